"""Rows of the operation table: sorting and counting."""

import numpy as np

from minidl import functional as F

from ._case import OpCase, distinct


def _ordered(x, axis, descending=False):
    """Insertion sort of each line: (values, indices)."""
    values, indices = np.moveaxis(x.copy(), axis, -1), np.empty(np.moveaxis(x, axis, -1).shape, np.int64)
    for line in np.ndindex(values.shape[:-1]):
        pairs: list = []
        for place, value in enumerate(values[line]):
            at = 0
            while at < len(pairs) and (pairs[at][0] >= value if descending else pairs[at][0] <= value):
                at += 1
            pairs.insert(at, (value, place))
        values[line], indices[line] = zip(*pairs, strict=True)
    return np.moveaxis(values, -1, axis), np.moveaxis(indices, -1, axis)


CASES = [
    OpCase(
        f"sort-dim{dim}{'-descending' if descending else ''}",
        lambda x, d=dim, r=descending: tuple(F.sort(x, d, r)),
        distinct((2, 4, 3)),
        lambda x, d=dim, r=descending: _ordered(x, d, r),
        lambda torch, x, d=dim, r=descending: tuple(torch.sort(x, dim=d, descending=r, stable=True)),
        batch_axis=0 if dim != 0 else None,
    )
    for dim in (0, 1, -1)
    for descending in (False, True)
]
CASES += [
    OpCase(
        f"argsort-ties{'-descending' if descending else ''}",
        lambda x, r=descending: F.argsort(x, 1, r),
        lambda rng: [rng.integers(0, 3, (2, 9))],
        lambda x, r=descending: _ordered(x, 1, r)[1],
        lambda torch, x, r=descending: torch.argsort(x, dim=1, descending=r, stable=True),
    )
    for descending in (False, True)
]
CASES += [
    OpCase(
        "topk",
        lambda x: tuple(x.topk(2)),
        distinct((3, 4)),
        lambda x: tuple(y[:, :2] for y in _ordered(x, 1, True)),
        lambda torch, x: tuple(x.topk(2)),
        batch_axis=0,
    ),
    OpCase(
        "topk-smallest",
        lambda x: tuple(F.topk(x, 2, 0, largest=False)),
        distinct((3, 4)),
        lambda x: tuple(y[:2] for y in _ordered(x, 0)),
        lambda torch, x: tuple(torch.topk(x, 2, 0, largest=False)),
    ),
    OpCase(
        "unique",
        lambda x: F.unique(x, return_inverse=True, return_counts=True),
        lambda rng: [rng.integers(-2, 3, (3, 4))],
        lambda x: np.unique(x, return_inverse=True, return_counts=True),
        lambda torch, x: torch.unique(x, return_inverse=True, return_counts=True),
    ),
    OpCase(
        "bincount",
        F.bincount,
        lambda rng: [rng.integers(0, 5, (9,))],
        lambda x: np.array([(x == i).sum() for i in range(x.max() + 1)]),
        lambda torch, x: torch.bincount(x),
    ),
    OpCase(
        "bincount-weights",
        lambda x, w: F.bincount(x, w, 8),
        lambda rng: [rng.integers(0, 5, (9,)), rng.random(9)],
        lambda x, w: np.array([w[x == i].sum() for i in range(8)]),
        lambda torch, x, w: torch.bincount(x, w.double(), 8).to(w.dtype),
        diff=(),
    ),
]
