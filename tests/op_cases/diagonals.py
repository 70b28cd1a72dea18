"""Rows of the operation table: diagonals and triangles."""

import numpy as np

from minidl import functional as F

from ._case import OpCase, normal


def _triangle(x, keep):
    rows, columns = x.shape[-2:]
    return x * np.array([[keep(i, j) for j in range(columns)] for i in range(rows)])


CASES = [
    OpCase(
        f"{name}{offset:+d}",
        lambda x, f=function, k=offset: f(x, k),
        normal((2, 3, 4)),
        lambda x, lower=name == "tril", k=offset: _triangle(x, lambda i, j: j - i <= k if lower else j - i >= k),
        lambda torch, x, n=name, k=offset: getattr(torch, n)(x, k),
        batch_axis=0,
    )
    for name, function in {"tril": F.tril, "triu": F.triu}.items()
    for offset in (0, 1, -1, 9)
]
CASES += [
    OpCase(
        f"diag-{kind}{offset:+d}",
        lambda x, k=offset: F.diag(x, k),
        normal(shape),
        lambda x, k=offset: np.diag(x, k),
        lambda torch, x, k=offset: torch.diag(x, k),
    )
    for kind, shape in {"vector": (3,), "matrix": (3, 5)}.items()
    for offset in (0, 1, -2)
]
CASES += [
    OpCase(
        "diagonal",
        F.diagonal,
        normal((3, 4, 2)),
        lambda x: np.stack([x[i, i] for i in range(3)], -1),
        lambda torch, x: torch.diagonal(x),
    ),
    OpCase(
        "diagonal-last",
        lambda x: F.diagonal(x, offset=-1, dim1=-2, dim2=-1),
        normal((2, 3, 3)),
        lambda x: np.stack([x[:, 1, 0], x[:, 2, 1]], -1),
        lambda torch, x: torch.diagonal(x, -1, -2, -1),
        batch_axis=0,
    ),
    OpCase(
        "diagonal-swapped",
        lambda x: x.diagonal(1, 2, 0),
        normal((3, 2, 4)),
        lambda x: np.stack([x[1, :, 0], x[2, :, 1]], -1),
        lambda torch, x: x.diagonal(1, 2, 0),
    ),
    OpCase("trace", F.trace, normal((3, 4)), lambda x: x[0, 0] + x[1, 1] + x[2, 2], lambda torch, x: torch.trace(x)),
]
