"""One update of a million parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import isqrt
from typing import Any

from ..libraries import ON_CUDA, TRANSFER, attempt, target
from ._case import Case, Function, Functions, normal, transfer

TENSORS, SIZE = 16, 256  # parameters: 16 matrices of 256 x 256
SIZES = tuple(TENSORS * side**2 for side in (8, 32, 128, 256, 512))
UPDATES: list[tuple[str, Callable[[Any, Any], Any], int]] = [  # name, optimizer, passes over memory
    ("SGD momentum", lambda optim, parameters: optim.SGD(parameters, lr=0.01, momentum=0.9), 5),
    ("Adam", lambda optim, parameters: optim.Adam(parameters, lr=1e-3), 7),
]


def cases(columns: list[str], device: str, wants: Callable[[str], bool]) -> Iterator[Case]:
    """For minidl and PyTorch; passes: gradient, parameters and state are read, parameters and state written."""
    for name, make, passes in UPDATES:
        title = f"{name} update, 1M parameters"
        if not wants(title):
            continue
        at = partial(_functions, title, device, make, passes)
        parameters = TENSORS * SIZE**2
        functions = at(parameters, columns)
        if "minidl" in functions:
            yield Case(title, functions, moved=passes * parameters * 4, unit="parameters", sizes=SIZES, at=at)


def _functions(
    title: str, device: str, make: Callable[[Any, Any], Any], passes: int, parameters: int, columns: list[str]
) -> Functions:
    size = isqrt(parameters // TENSORS)
    functions = {}
    for column in columns:
        if column == TRANSFER:
            functions[column] = attempt(title, column, _transfer, passes, size)
        elif column.removesuffix(ON_CUDA) in ("minidl", "torch"):
            functions[column] = attempt(title, column, _update, column, device, make, size)
    return {column: function for column, function in functions.items() if function}


def _update(column: str, device: str, make: Callable[[Any, Any], Any], size: int) -> Function:
    here = target(column, device)
    parameters = [here.tensor(normal(size, size), requires_grad=True) for _ in range(TENSORS)]
    for parameter in parameters:
        parameter.grad = here.tensor(normal(size, size) * 1e-3)
    step = here.finished(make(here.library.optim, parameters).step)
    step()
    return step


def _transfer(passes: int, size: int) -> Function:
    """Everything that is read goes to the GPU, and everything that is written comes back."""
    here = target("minidl", "cuda")
    written = passes // 2
    results = [here.tensor(normal(size, size)) for _ in range(written * TENSORS)]
    move = transfer(here, [normal(size, size)] * ((passes - written) * TENSORS), results)
    move()
    return move
