"""ml.cuda, TF32 and what is said when a GPU is full, on the stand-in for CuPy."""

import gc
import importlib

import numpy as np
import pytest

import minidl as ml
from minidl import errors
from minidl import functional as F
from minidl.autograd.deferred import Deferred
from minidl.backend import array_module
from minidl.backend._cupy import import_cupy
from minidl.data import DataLoader, TensorDataset
from tests import cupy_stand_in


def test_what_the_devices_are(stand_in):
    assert ml.cuda.is_available() and ml.cuda.device_count() == 2 and ml.cuda.current_device() == 0
    with ml.cuda.device("cuda:1"):
        assert ml.cuda.current_device() == 1
    assert ml.cuda.current_device() == 0
    assert isinstance(ml.cuda.get_device_name(), str)
    assert ml.cuda.get_device_name("cuda:1") == ml.cuda.get_device_name(1) == "Stand-in GPU"
    assert ml.cuda.OutOfMemoryError is errors.OutOfMemoryError
    for device in (None, "cuda:1", 1, ml.device("cuda")):
        with cupy_stand_in.counting() as seen:
            ml.cuda.synchronize(device)
        assert seen.synchronisations == 1


def test_synchronize_tells_what_a_check_on_the_device_has_found(stand_in):
    y = F.gather(ml.ones(2, 2, device="cuda"), 0, ml.tensor([[5, 0]], device="cuda"))
    with pytest.raises(errors.OutOfRangeError, match="index 5 is out of range"):
        ml.cuda.synchronize()
    assert y.shape == (1, 2)


def test_without_a_gpu(stand_in):
    cupy_stand_in.machine.count = 0
    assert not ml.cuda.is_available() and ml.cuda.device_count() == 0
    assert ml.cuda.memory_allocated() == ml.cuda.memory_reserved() == 0
    ml.cuda.empty_cache()
    for ask in (ml.cuda.current_device, ml.cuda.synchronize, ml.cuda.get_device_name):
        with pytest.raises(errors.DeviceError, match="pip install cupy"):
            ask()


def test_a_device_that_is_none(stand_in):
    for device in ("cuda:2", 2):
        with pytest.raises(errors.DeviceError, match="'cuda:2' does not exist: this machine has 2 CUDA device"):
            ml.cuda.synchronize(device)
    with pytest.raises(errors.DeviceError, match="'cuda:2' does not exist"), ml.cuda.device(2):
        pass
    with pytest.raises(errors.DeviceError, match="'cpu' is no CUDA device"):
        ml.cuda.synchronize("cpu")


def test_memory_is_counted(stand_in):
    gc.collect()
    before = ml.cuda.memory_allocated()
    x = ml.ones(1024, device="cuda")
    assert ml.cuda.memory_allocated() - before == 4096
    assert ml.cuda.memory_reserved() >= ml.cuda.memory_allocated()
    assert ml.cuda.memory_allocated(1) == 0
    del x
    ml.cuda.empty_cache()
    assert ml.cuda.memory_allocated() == before == ml.cuda.memory_reserved()


def compute_type(cupy):
    """What cuBLAS is told to compute float32 in."""
    types = cupy._core._routines_linalg
    number = cupy._core.get_compute_type("float32")
    return next(name for name in ("DEFAULT", "TF32") if getattr(types, f"COMPUTE_TYPE_{name}") == number)


@pytest.fixture
def tf32_afterwards_off():
    yield
    ml.set_tf32(False)


def test_tf32_is_off_until_it_is_asked_for(stand_in, tf32_afterwards_off):
    assert not ml.get_tf32()
    ml.zeros(1, device="cuda")
    assert compute_type(stand_in) == "DEFAULT"
    ml.set_tf32(True)
    assert ml.get_tf32() and compute_type(stand_in) == "TF32"
    ml.set_tf32(False)
    assert not ml.get_tf32() and compute_type(stand_in) == "DEFAULT"
    with pytest.raises(errors.ArgumentTypeError, match="set_tf32: expected True or False, got 1"):
        ml.set_tf32(1)


def test_tf32_waits_for_the_first_use_of_cupy(stand_in, tf32_afterwards_off):
    ml.set_tf32(True)
    assert compute_type(stand_in) == "DEFAULT"
    ml.zeros(1, device="cuda")
    assert compute_type(stand_in) == "TF32"


def test_cupy_has_what_tf32_needs():
    """The real CuPy, which can be asked without a GPU too."""
    cupy = pytest.importorskip("cupy")
    types = cupy._core._routines_linalg
    assert types.COMPUTE_TYPE_TF32 != types.COMPUTE_TYPE_DEFAULT
    assert callable(cupy._core.set_compute_type) and callable(cupy._core.get_compute_type)


def test_a_compiler_that_is_missing(stand_in, monkeypatch):
    """As of a CuPy for another CUDA than the one installed: found out at once, not at the first kernel."""

    def missing():
        raise RuntimeError("CuPy failed to load libnvrtc.so.12")

    monkeypatch.setattr(stand_in.cuda.nvrtc, "getVersion", missing)
    with pytest.raises(
        errors.DeviceError, match=r"not the compiler NVRTC .*libnvrtc.so.12.*cupy-cuda12x\[ctk\] brings"
    ):
        ml.ones(1, device="cuda")


def test_a_cupy_that_cannot_be_imported(monkeypatch):
    def broken(name):
        raise ValueError("numpy.dtype size changed")

    monkeypatch.setattr(importlib, "import_module", broken)
    import_cupy.cache_clear()
    with pytest.raises(errors.DeviceError, match=r"CuPy could not be imported \(numpy.dtype size changed\)"):
        ml.ones(1, device="cuda")
    import_cupy.cache_clear()


def test_several_devices(stand_in):
    """One operation, one device; and it runs on the current one."""
    x, y = ml.ones(3, device="cuda:0"), ml.ones(3, device="cuda:1")
    with pytest.raises(errors.DeviceError, match=r"add: inputs are on different devices \(cuda:0, cuda:1\)"):
        x + y
    with pytest.raises(errors.DeviceError, match=r"add: inputs are on different devices \(cpu, cuda:0\)"):
        ml.ones(3) + x
    with pytest.raises(errors.DeviceError, match="mul: its tensors are on another device than the current one, cuda:0"):
        y * y
    y.requires_grad_()
    with ml.cuda.device(y.device):
        (y * y).sum().backward()
        assert y.grad.device == "cuda:1" and y.grad.tolist() == [2, 2, 2]
    assert y.to("cuda:0").device == "cuda:0" and ml.rand(2, device="cuda:1").device == "cuda:1"
    with pytest.raises(errors.DeviceError, match=r"numpy: the tensor is on cuda:1; call .cpu\(\) first"):
        y.detach().numpy()
    with pytest.raises(errors.DeviceError, match="numpy: the tensor is on cuda:0"):
        np.asarray(x)


def room_for(size, cupy):
    """The memory pool, limited to so many bytes beyond those in use."""
    gc.collect()  # or what earlier tests have left would be found to be room, at some moment
    pool = cupy.get_default_memory_pool()
    pool.set_limit(pool.used_bytes() + size)
    return pool


@pytest.mark.parametrize("where", ["forward", "backward", "to", "creation"])
def test_out_of_memory_says_how_much(stand_in, where):
    x = ml.ones(1024, device="cuda", requires_grad=True)
    y = (x * x).sum()
    host = ml.ones(1024)
    pool = room_for(512, stand_in)
    ask = {
        "forward": lambda: x * x,
        "backward": y.backward,
        "to": lambda: host.to("cuda"),
        "creation": lambda: ml.zeros(1024, device="cuda"),
    }[where]
    with pytest.raises(
        errors.OutOfMemoryError, match=r"4,096 bytes were asked for.*smaller batch.*empty_cache"
    ) as info:
        ask()
    assert isinstance(info.value, MemoryError) and isinstance(info.value, RuntimeError)
    assert isinstance(info.value.__cause__, stand_in.cuda.memory.OutOfMemoryError)
    pool.set_limit(0)
    assert (x + 1).sum().item() == 2048  # there is room again


class Waiting(Deferred):
    def compute(self):
        return array_module(self.like).zeros(1024)


@pytest.mark.parametrize("fail", ["optimizer", "accumulation", "leaf", "deferred", "module", "loader", "dropout"])
def test_out_of_memory_everywhere(stand_in, fail):
    model = ml.nn.Sequential(ml.nn.Flatten(), ml.nn.Linear(256, 4)).cuda()
    x = ml.ones(1, 256, device="cuda")
    optimizer = ml.optim.Adam(model.parameters())
    model(x).sum().backward()
    loss, direct = model(x).sum(), ml.ones(1024, device="cuda", requires_grad=True)
    total = direct.sum()
    waiting = Waiting()
    waiting.like = x.data
    batches = iter(DataLoader(TensorDataset(np.ones((4, 4096), np.float32)), 2, device="cuda"))
    room_for(2048, stand_in)
    ask, op = {
        "optimizer": (optimizer.step, "Adam.step"),
        "accumulation": (loss.backward, "backward of "),
        "leaf": (total.backward, "backward"),
        "deferred": (waiting.now, "Waiting, which had waited,"),
        "module": (lambda: model(ml.ones(400, 256).cuda()), "to"),
        "loader": (lambda: next(batches), "send"),
        "dropout": (lambda: F.dropout(x.expand(64, 256)), "dropout"),
    }[fail]
    with pytest.raises(errors.OutOfMemoryError, match=f"^{op}.*: no memory left on cuda:0: .* bytes were asked for"):
        ask()


def test_out_of_memory_names_the_layer_and_the_limit(stand_in):
    model = ml.nn.Sequential(ml.nn.ReLU(), ml.nn.ReLU())
    x = ml.ones(1024, device="cuda")
    room_for(4096, stand_in)
    with pytest.raises(errors.OutOfMemoryError, match=r"limited to [\d,]+ bytes.*\[in layer 1\]"):
        model(x)


def test_what_is_not_of_cupy_stays_as_it_is(stand_in):
    class Full(ml.autograd.Function):
        def forward(self, x):
            raise MemoryError("of the host")

    with pytest.raises(MemoryError, match="^of the host$"):
        Full()(ml.ones(1))


def test_an_optimizer_whose_model_has_moved(stand_in):
    model = ml.nn.Linear(3, 2)
    optimizer = ml.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for device in ("cpu", "cuda"):
        model.to(device)
        optimizer.zero_grad()
        model(ml.ones(1, 3, device=device)).sum().backward()
        if device == "cuda":
            with pytest.raises(
                errors.DeviceError, match="'momentum_buffer' of a parameter on cuda:0 is on cpu: the mod"
            ):
                optimizer.step()
            optimizer.load_state_dict(optimizer.state_dict())
        optimizer.step()
    assert all(state["momentum_buffer"].device.id == 0 for state in optimizer.state.values())
    model.weight.grad = ml.zeros(2, 3)
    with pytest.raises(errors.DeviceError, match="SGD: a parameter on cuda:0 has a gradient on cpu"):
        optimizer.step()


def test_the_same_seed_begins_with_the_same_weights_on_both_devices(stand_in):
    weights = []
    for device in ("cpu", "cuda"):
        ml.manual_seed(5)
        layer = ml.nn.Linear(4, 3).to(device)
        ml.nn.init.kaiming_normal_(layer.weight)
        assert layer.weight.device == device
        weights.append(layer.weight.tolist())
    assert weights[0] == weights[1]


def test_a_module_moves_with_gradients_and_buffers(stand_in):
    model = ml.nn.Sequential(ml.nn.Linear(3, 4), ml.nn.BatchNorm1d(4))
    model(ml.ones(5, 3)).sum().backward()
    gradients = [p.grad.numpy() for p in model.parameters()]
    assert model.cuda() is model
    for tensor in [*model.parameters(), *model.buffers(), *(p.grad for p in model.parameters())]:
        assert tensor.device == "cuda"
    for parameter, gradient in zip(model.cpu().parameters(), gradients, strict=True):
        np.testing.assert_array_equal(parameter.grad.numpy(), gradient)


def test_modules_optimisers_and_files_go_from_one_device_to_the_other(stand_in, tmp_path):
    def step(model, optimizer, device):
        optimizer.zero_grad()
        (model(ml.ones(2, 3, device=device)) ** 2).mean().backward()
        optimizer.step()

    model = ml.nn.Linear(3, 2).to("cuda")
    optimizer = ml.optim.Adam(model.parameters(), lr=0.1)
    step(model, optimizer, "cuda")
    ml.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.npz")
    there = ml.nn.Linear(3, 2)
    resumed = ml.optim.Adam(there.parameters(), lr=0.1)
    saved = ml.load(tmp_path / "state.npz")
    there.load_state_dict(saved["model"])
    resumed.load_state_dict(saved["optimizer"])
    step(model, optimizer, "cuda")
    step(there, resumed, "cpu")
    assert there.weight.device == "cpu" and model.weight.device == "cuda"
    np.testing.assert_allclose(there.weight.detach().numpy(), model.weight.detach().cpu().numpy(), rtol=1e-5)
