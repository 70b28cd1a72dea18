"""The columns of a table: libraries, on a device, and PyTorch in both of its memory layouts.

A column computes on the first device that was asked for; one on the second, if there is one, is called "… cuda".
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .options import Options

_REMOVED = {  # names that NumPy 1.24 and 2 removed and that Chainer 7.8 and DeZero 0.0.13 still use
    "int": int,
    "float": float,
    "bool8": np.bool_,
    "float_": np.float64,
    "sctypes": {
        "int": [np.int8, np.int16, np.int32, np.int64],
        "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
        "float": [np.float16, np.float32, np.float64],
        "complex": [np.complex64, np.complex128],
        "others": [bool, object, bytes, str, np.void],
    },
}

ON_CUDA = " cuda"
TRANSFER = "transfer"
"""The column of no library: the time to bring the operands from the host to the GPU, and the result back."""

notes: list[str] = []
"""What could not take part, and why; printed below the tables."""


def load(column: str, threads: int | None = None) -> Any:
    """The library of a column. Raises whatever its import raises."""
    name = column.split()[0]
    if name in ("chainer", "dezero"):
        for removed, stand_in in _REMOVED.items():
            if removed not in vars(np):
                setattr(np, removed, stand_in)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = importlib.import_module(name)
    if threads and hasattr(library, "set_num_threads"):  # Chainer and DeZero have NumPy's
        library.set_num_threads(threads)
    return library


def columns(options: Options) -> list[str]:
    """The columns that can take part; what cannot is named on a line, with the reason."""
    load("minidl", options.threads)
    found = []
    for device in options.devices:
        suffix = "" if device == options.device else ON_CUDA
        found.append(f"minidl{suffix}")
        for name in options.against:
            try:
                library = load(name, options.threads)
                if device == "cuda":
                    _prepare_cuda(name, library)
            except Exception as error:
                print(f"{name}{suffix}: not usable here: {_first_line(error)}")
            else:
                layouts = ("torch", "torch channels_last") if name == "torch" else (name,)
                found += [f"{layout}{suffix}" for layout in layouts]
    return found


def _prepare_cuda(name: str, library: Any) -> None:
    """PyTorch's convolutions round to TF32 by default; minidl's do not, and the comparison is of equal numbers."""
    if name != "torch" or not library.cuda.is_available():
        raise RuntimeError("no CUDA")
    library.backends.cudnn.allow_tf32 = False


def usable_devices(names: tuple[str, ...]) -> tuple[str, ...]:
    """The devices that were asked for; without a GPU the CPU alone, and a line that says why."""
    if "cuda" in names:
        try:
            target("minidl", "cuda").tensor(np.zeros(1, "f4"))
        except Exception as error:
            print(f"no CUDA here, so the CPU{' alone' * (len(names) > 1)}: {_first_line(error)}")
            return ("cpu",)
    return names


def attempt(case: str, column: str, make: Callable[..., Any], *arguments: Any) -> Any:
    """What ``make(*arguments)`` gives; or None and a note, where a library cannot do this."""
    try:
        return make(*arguments)
    except Exception as error:
        notes.append(f"{case}: {column} not usable here: {_first_line(error)}")
        return None


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


@dataclass(frozen=True)
class Target:
    """minidl or PyTorch, which the same lines can use; where, and in which layout, it computes."""

    library: Any
    device: str = "cpu"
    channels_last: bool = False
    folded: bool = False

    def tensor(self, array: np.ndarray, requires_grad: bool = False) -> Any:
        x = self.library.tensor(array, device=self.device)
        if self.channels_last and x.ndim == 4:
            x = x.contiguous(memory_format=self.library.channels_last)
        return x.requires_grad_(requires_grad)

    def module(self, module: Any) -> Any:
        module = module.to(self.device)
        return module.to(memory_format=self.library.channels_last) if self.channels_last else module

    def fold(self) -> Callable[[Any], Any] | None:
        """What folds batch norm into convolutions, in the column that says so; minidl does it by itself."""
        return importlib.import_module("torch.fx.experimental.optimization").fuse if self.folded else None

    def finished(self, function: Callable[[], object]) -> Callable[[], object]:
        """`function`, but on a GPU it returns when the work is done."""
        if self.device == "cpu":
            return function

        def wait() -> object:
            result = function()
            self.library.cuda.synchronize()
            return result

        return wait


def target(column: str, device: str) -> Target:
    """The column of minidl or PyTorch; `device` is that of columns that name none."""
    device = "cuda" if column.endswith(ON_CUDA) else device
    return Target(load(column), device, "channels_last" in column, "folded" in column)
