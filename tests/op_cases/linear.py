"""Rows of the operation table: fully connected layers and embeddings."""

import numpy as np

from minidl import functional as F

from ._case import OpCase, normal


def linear(x, w, b=None):
    """The definition, sample by sample and output by output."""
    rows = x.reshape(-1, x.shape[-1])
    y = np.zeros((len(rows), len(w)))
    for n in range(len(rows)):
        for o in range(len(w)):
            y[n, o] = sum(w[o, i] * rows[n, i] for i in range(w.shape[1])) + (0 if b is None else b[o])
    return y.reshape(*x.shape[:-1], len(w))


def bilinear(x1, x2, w, b=None):
    y = np.zeros((*x1.shape[:-1], len(w)))
    for index in np.ndindex(y.shape):
        *lead, o = index
        y[index] = x1[tuple(lead)] @ w[o] @ x2[tuple(lead)] + (0 if b is None else b[o])
    return y


def _embedding_inputs(*shape):
    def draw(rng):
        indices = rng.integers(0, 5, shape)
        indices.flat[:2] = 3  # a row that is read twice
        return [indices, rng.standard_normal((5, 4))]

    return draw


def _lookup(indices, table):
    y = np.zeros((*indices.shape, table.shape[1]))
    for index in np.ndindex(indices.shape):
        y[index] = table[indices[index]]
    return y


def _torch_linear(torch, *inputs):
    return torch.nn.functional.linear(*inputs)


CASES = [
    OpCase(f"linear-{name}", F.linear, normal(*shapes), linear, _torch_linear, batch_axis=axis)
    for name, shapes, axis in [
        ("bias", ((4, 3), (5, 3), (5,)), 0),
        ("no-bias", ((4, 3), (5, 3)), 0),
        ("one-dim", ((3,), (5, 3), (5,)), None),
        ("three-dims", ((2, 4, 3), (5, 3), (5,)), 0),
        ("three-dims-no-bias", ((2, 4, 3), (5, 3)), 1),
        ("one-output", ((4, 3), (1, 3), (1,)), 0),
    ]
]

CASES += [
    OpCase(
        f"linear-vector-weight-{name}",
        F.linear,
        normal(*shapes),
        lambda x, w, b=0.0: x @ w + b,
        torch_fn,
        batch_axis=0,
    )
    for name, shapes, torch_fn in [
        ("bias", ((4, 3), (3,), ()), lambda torch, x, w, b: x @ w + b),
        ("no-bias", ((2, 4, 3), (3,)), _torch_linear),
    ]
]

CASES += [
    OpCase(
        f"bilinear-{name}",
        F.bilinear,
        normal(*shapes),
        bilinear,
        lambda torch, *inputs: torch.nn.functional.bilinear(*inputs),
        batch_axis=0 if len(shapes[0]) > 1 else None,
        batched=(0, 1),
    )
    for name, shapes in [
        ("bias", ((4, 3), (4, 2), (5, 3, 2), (5,))),
        ("no-bias", ((4, 3), (4, 2), (5, 3, 2))),
        ("three-dims", ((2, 2, 3), (2, 2, 2), (3, 3, 2), (3,))),
        ("one-dim", ((3,), (2,), (4, 3, 2), (4,))),
    ]
]

CASES += [
    OpCase(
        f"embedding-{name}",
        lambda indices, table, padding_idx=padding_idx: F.embedding(indices, table, padding_idx),
        _embedding_inputs(*shape),
        _lookup,
        lambda torch, indices, table, p=padding_idx: torch.nn.functional.embedding(indices, table, padding_idx=p),
        # with padding, the gradient is by definition not the function's: see tests/functional/test_linear.py
        diff=(1,) if padding_idx is None else (),
        batch_axis=0,
    )
    for name, shape, padding_idx in [("vector", (6,), None), ("matrix", (3, 4), None), ("padding", (3, 4), 3)]
]

CASES += [
    OpCase(
        f"one_hot-{name}",
        lambda indices, classes=classes: F.one_hot(indices, classes),
        lambda rng: [rng.permutation(6).reshape(2, 3)],
        lambda indices, classes=classes: np.eye(max(classes, 6), dtype=np.int64)[indices],
        lambda torch, indices, classes=classes: torch.nn.functional.one_hot(indices, classes),
    )
    for name, classes in [("inferred", -1), ("given", 8)]
]
