"""One update of a million parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..libraries import attempt, target
from ._case import Case, normal

TENSORS, SIZE = 16, 256  # parameters: 16 matrices of 256 x 256
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
        functions = {}
        for column in columns:
            if column in ("minidl", "torch"):
                functions[column] = attempt(title, column, _update, column, device, make)
        functions = {column: function for column, function in functions.items() if function}
        if "minidl" in functions:
            yield Case(title, functions, moved=passes * TENSORS * SIZE * SIZE * 4)


def _update(column: str, device: str, make: Callable[[Any, Any], Any]) -> Callable[[], object]:
    here = target(column, device)
    parameters = [here.tensor(normal(SIZE, SIZE), requires_grad=True) for _ in range(TENSORS)]
    for parameter in parameters:
        parameter.grad = here.tensor(normal(SIZE, SIZE) * 1e-3)
    step = here.finished(make(here.library.optim, parameters).step)
    step()
    return step
