"""The rows of the kernel table."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import conv, layers, optimizers, pointwise, pooling
from ._case import Case


def cases(columns: list[str], device: str, wants: Callable[[str], bool]) -> Iterator[Case]:
    """Each kernel that is wanted, forward and backward, and the optimizers."""
    for family in (conv, pooling, layers, pointwise):
        for kernel in family.kernels():
            if wants(f"{kernel.name} forward") or wants(f"{kernel.name} backward"):
                yield from (case for case in kernel.cases(columns, device) if wants(case.name))
    yield from optimizers.cases(columns, device, wants)
