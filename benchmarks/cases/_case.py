"""One row of a table, and the libraries that may take part."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """One piece of work, done by every library.

    flops: floating-point operations of one call, where that is a sensible count
    """

    name: str
    functions: dict[str, Callable[[], object]] = field(repr=False)
    flops: float | None = None


Cases = Iterator[Case]


def load(name: str) -> Any:
    """The library if it is installed and imports, else None."""
    if name == "dezero" and not hasattr(np, "int"):
        np.int = int  # type: ignore[attr-defined]  # DeZero 0.0.13 still uses the alias that NumPy 1.24 removed
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
