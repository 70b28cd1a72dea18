"""Devices by name, and what is said where there is no GPU."""

import builtins
import sys

import numpy as np
import pytest

import minidl as ml
from minidl import backend, kernels
from minidl.backend import Device, array_module, device_of, is_array, to_device, to_numpy
from minidl.backend._cupy import import_cupy
from minidl.errors import ArgumentTypeError, DeviceError
from tests import cupy_stand_in


@pytest.fixture
def no_cupy(monkeypatch):
    """As on a machine where CuPy is not installed."""
    monkeypatch.setitem(sys.modules, "cupy", None)
    import_cupy.cache_clear()
    yield
    import_cupy.cache_clear()


def test_names():
    assert str(Device("cpu")) == str(Device()) == str(Device("cpu:0")) == "cpu"
    assert str(Device("cuda")) == str(Device("cuda:0")) == "cuda:0"
    assert repr(Device("cuda:3")) == "device('cuda:3')"
    assert Device(Device("cuda:3")).index == 3 and Device("cuda").type == "cuda"


def test_equality_and_hashing():
    assert Device("cuda") == Device("cuda:0") == "cuda:0" and Device("cuda:0") == "cuda"
    assert Device("cpu") == "cpu" and "cpu" == Device("cpu")
    assert Device("cpu") != Device("cuda") and Device("cuda:1") != "cuda" and Device("cpu") != "gpu"
    assert Device("cpu") != 0 and Device("cpu") is not None
    assert len({Device("cuda"), Device("cuda:0"), Device("cpu")}) == 2
    assert {"cpu": 1}[Device("cpu")] == 1


@pytest.mark.parametrize("name", ["gpu", "cpu:1", "cuda:", "cuda:x", "", "CPU", "cuda:-1"])
def test_unknown_names(name):
    with pytest.raises(DeviceError, match="unknown device .*minidl knows 'cpu', 'cuda' and 'cuda:N'"):
        Device(name)


def test_what_is_no_name():
    with pytest.raises(ArgumentTypeError, match="Device: expected a name such as 'cpu' or 'cuda:0', got int"):
        Device(0)


@pytest.mark.parametrize(
    "request_cuda",
    [
        lambda: ml.ones(2, device="cuda"),
        lambda: ml.ones(2).cuda(),
        lambda: ml.ones(2).to("cuda:1"),
        lambda: ml.tensor([1.0], device=ml.device("cuda")),
        lambda: ml.Generator(device="cuda"),
        lambda: to_device(np.ones(2), "cuda"),
        lambda: ml.nn.Linear(2, 2).to("cuda"),
    ],
)
def test_a_gpu_asked_for_without_cupy(no_cupy, request_cuda):
    """The error says what was found and what to install."""
    with pytest.raises(DeviceError, match=r"'cuda' is not available: CuPy could not be imported \(.*pip install cupy"):
        request_cuda()
    assert not backend.cuda_is_available()


def test_cupy_without_a_driver(stand_in):
    error = stand_in.cuda.runtime.CUDARuntimeError
    cupy_stand_in.machine.count = error("cudaErrorInsufficientDriver", "CUDA driver version is insufficient")
    with pytest.raises(DeviceError, match=r"CuPy [\d.]+ was found but no CUDA device could be used \(cudaErrorInsuff"):
        ml.ones(2, device="cuda")
    import_cupy.cache_clear()
    cupy_stand_in.machine.count = 0
    with pytest.raises(DeviceError, match="CuPy was found but this machine has no CUDA device"):
        ml.ones(2, device="cuda")
    assert not backend.cuda_is_available()


def test_cupy_that_is_broken(monkeypatch):
    real = builtins.__import__
    monkeypatch.delitem(sys.modules, "cupy", raising=False)

    def broken(name, *args, **kwargs):
        if name == "cupy":
            raise ImportError("libcuda.so.1: cannot open shared object file")
        return real(name, *args, **kwargs)

    import importlib

    monkeypatch.setattr(importlib, "import_module", broken)
    import_cupy.cache_clear()
    with pytest.raises(DeviceError, match="libcuda.so.1"):
        ml.ones(2).cuda()
    import_cupy.cache_clear()


def test_with_a_gpu(stand_in):
    assert backend.cuda_is_available()
    there = to_device(np.arange(3.0), "cuda:1")
    assert type(there) is stand_in.ndarray
    assert device_of(there) == "cuda:1" and array_module(there) is stand_in and is_array(there)
    assert to_device(there, "cuda:1") is there
    assert device_of(to_device(there, "cuda:0")) == "cuda:0"
    np.testing.assert_array_equal(to_numpy(there), np.arange(3.0))
    assert type(to_numpy(there)) is np.ndarray
    with pytest.raises(DeviceError, match=r"'cuda:2' does not exist: this machine has 2 CUDA device\(s\)"):
        to_device(np.ones(1), "cuda:2")


def test_arrays():
    x = np.ones(2)
    assert is_array(x) and not is_array([1.0]) and not is_array(ml.ones(2))
    assert array_module(x) is np and device_of(x) == "cpu"
    assert to_device(x, "cpu") is x and to_numpy(x) is x
    with pytest.raises(ArgumentTypeError, match="expected a NumPy or CuPy array, got list"):
        array_module([1.0])


def test_the_dispatcher_of_kernels():
    assert kernels.of(np.ones(2)).__name__ == "minidl.kernels.cpu"


def test_conversions_of_device_and_dtype_at_once(stand_in):
    x = ml.tensor([1, 2])
    y = x.to("cuda", ml.float64)
    assert y.device == "cuda" and y.dtype == np.float64
    assert x.to(y).device == "cuda:0" and x.to(y).dtype == np.float64
    assert x.to(device="cpu") is x and x.to(dtype="int64") is x and x.to() is x
    assert ml.zeros(2, device="cuda").device == "cuda" and ml.zeros_like(y).device == "cuda:0"
    assert ml.tensor(y).device == "cuda:0"
