"""Half precision for kernels in CUDA C, which know float and double."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import cupy
import numpy as np


def in_single(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel, which takes half precision too: it is computed in single precision, and the results are rounded."""

    @wraps(kernel)
    def of_any_precision(*arguments: Any, **settings: Any) -> Any:
        if not _has_half((*arguments, *settings.values())):
            return kernel(*arguments, **settings)
        arguments = _cast(arguments, np.float16, np.float32)
        settings = {name: _cast(value, np.float16, np.float32) for name, value in settings.items()}
        return _cast(kernel(*arguments, **settings), np.float32, np.float16)

    return of_any_precision


def _has_half(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(map(_has_half, value))
    return isinstance(value, cupy.ndarray) and value.dtype == np.float16


def _cast(value: Any, old: Any, new: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(_cast(entry, old, new) for entry in value)
    return value.astype(new) if isinstance(value, cupy.ndarray) and value.dtype == old else value
