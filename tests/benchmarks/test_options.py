"""What a command line may ask for as devices, and which columns come of it."""

from types import SimpleNamespace

import pytest

from benchmarks import libraries
from benchmarks.libraries import columns, usable_devices
from benchmarks.options import parse


@pytest.mark.parametrize(
    "arguments, devices",
    [
        ([], ("cpu",)),
        (["--device", "cuda"], ("cuda",)),
        (["--device", "cpu,cuda"], ("cpu", "cuda")),
        (["--device", "cuda,cpu"], ("cpu", "cuda")),
    ],
)
@pytest.mark.parametrize("command", ["kernels", "steps"])
def test_devices_come_with_the_cpu_first(command, arguments, devices):
    options = parse([command, *arguments])
    assert options.devices == devices
    assert options.device == devices[0]


@pytest.mark.parametrize("command", ["memory", "overhead", "scaling", "accuracy"])
def test_other_commands_take_one_device_and_say_so(command, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse([command, "--device", "cpu,cuda"])
    assert f"{command} takes one, cpu or cuda; kernels and steps take cpu,cuda" in capsys.readouterr().err
    assert parse([command, "--device", "cuda"]).devices == ("cuda",)


@pytest.mark.parametrize("devices, named", [("cpu,gpu", "'gpu'"), ("cuda:1", "'cuda:1'"), ("cpu,", "''"), ("", "''")])
def test_unknown_devices_are_named(devices, named, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse(["kernels", "--device", devices])
    assert f"unknown {named}; there are cpu, cuda, and cpu,cuda" in capsys.readouterr().err


def test_both_devices_remain_where_there_is_a_gpu(stand_in, capsys):
    assert usable_devices(("cpu", "cuda")) == ("cpu", "cuda")
    assert usable_devices(("cuda",)) == ("cuda",)
    assert capsys.readouterr().out == ""


@pytest.fixture
def torch(monkeypatch):
    """What the columns ask of PyTorch, in its place."""
    cudnn = SimpleNamespace(allow_tf32=True)
    module = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: True), backends=SimpleNamespace(cudnn=cudnn))
    load = libraries.load
    monkeypatch.setattr(
        libraries, "load", lambda column, threads=None: module if column == "torch" else load(column, None)
    )
    return module


def test_each_device_has_its_columns(torch):
    names = ["minidl", "torch", "torch channels_last"]
    assert columns(parse(["kernels"])) == names
    assert torch.backends.cudnn.allow_tf32  # nobody asked for a GPU
    assert columns(parse(["kernels", "--device", "cuda"])) == names
    assert columns(parse(["kernels", "--device", "cpu,cuda"])) == names + [f"{name} cuda" for name in names]
    assert not torch.backends.cudnn.allow_tf32  # as minidl computes


def test_pytorch_without_a_gpu_takes_part_on_the_cpu_alone(torch, capsys):
    torch.cuda.is_available = lambda: False
    found = columns(parse(["kernels", "--device", "cpu,cuda"]))
    assert found == ["minidl", "torch", "torch channels_last", "minidl cuda"]
    assert capsys.readouterr().out == "torch cuda: not usable here: RuntimeError: no CUDA\n"
