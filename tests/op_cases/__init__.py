"""The table of operation cases: every family's CASES, gathered; tests/test_operations.py runs them all."""

import importlib
import pkgutil

from ._case import OpCase

ALL_CASES: list[OpCase] = [
    case
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))
    for case in importlib.import_module(f"{__name__}.{module}").CASES
]

__all__ = ["ALL_CASES", "OpCase"]
