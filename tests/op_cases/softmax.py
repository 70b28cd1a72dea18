"""Rows of the operation table: softmax and its kin."""

import numpy as np

from minidl import functional as F

from ._case import OpCase, normal


def softmax(x, dim):
    """The definition, vector by vector."""
    y = np.empty_like(x)
    vectors, results = np.moveaxis(x, dim, -1), np.moveaxis(y, dim, -1)
    for index in np.ndindex(vectors.shape[:-1]):
        e = np.exp(vectors[index] - max(vectors[index]))
        results[index] = e / sum(e)
    return y


_REFERENCES = {
    "softmax": softmax,
    "log_softmax": lambda x, dim: np.log(softmax(x, dim)),
    "softmin": lambda x, dim: softmax(-x, dim),
}

CASES = [
    OpCase(
        f"{name}-{len(shape)}d-dim{dim}",
        lambda x, name=name, dim=dim: getattr(F, name)(x, dim),
        normal(shape),
        lambda x, reference=reference, dim=dim: reference(x, dim),
        lambda torch, x, name=name, dim=dim: getattr(torch.nn.functional, name)(x, dim),
        batch_axis=0 if len(shape) > 1 and dim != 0 else None,
    )
    for name, reference in _REFERENCES.items()
    for shape, dim in [((5,), 0), ((3, 4), 1), ((3, 4), 0), ((2, 3, 4), -2), ((2, 5, 3, 2), 1)]
]

CASES += [
    OpCase(
        f"{name}-scalar",
        lambda x, name=name: getattr(F, name)(x, 0),
        normal(()),
        lambda x, value=value: np.full_like(x, value),
        lambda torch, x, name=name: getattr(torch.nn.functional, name)(x, 0),
    )
    for name, value in [("softmax", 1.0), ("log_softmax", 0.0)]
]

CASES += [
    OpCase(
        "log_softmax-large",
        lambda x: F.log_softmax(300.0 * x, 1),
        lambda rng: [np.round(rng.standard_normal((3, 4)), 2)],
        lambda x: (
            300 * (x - x.max(1, keepdims=True))
            - np.log(np.exp(300 * (x - x.max(1, keepdims=True))).sum(1, keepdims=True))
        ),
        batch_axis=0,
        tolerances={"float32": (1e-4, 1e-3)},
    )
]
