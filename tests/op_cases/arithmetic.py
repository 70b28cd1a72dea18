"""Rows of the operation table: arithmetic, elementwise functions, selection."""

import math

import numpy as np

import minidl as ml
from minidl import functional as F

from ._case import OpCase, away_from, normal, uniform

_pairs = {
    "same": ((3, 4), (3, 4)),
    "row": ((3, 4), (4,)),
    "column": ((3, 1), (1, 4)),
    "scalar": ((3, 4), ()),
    "leading": ((4,), (2, 3, 4)),
}

CASES = [
    OpCase(
        f"{name}-{kind}",
        getattr(F, name),
        uniform(0.4, 2.5, *shapes) if name in ("div", "pow") else normal(*shapes),
        reference,
        lambda torch, a, b, name=name: getattr(torch, name)(a, b),
        batch_axis=0 if kind == "same" else None,
        batched=(0, 1),
    )
    for name, reference in {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
        "pow": lambda a, b: a**b,
    }.items()
    for kind, shapes in _pairs.items()
]


def _apart_pair(*shapes):
    """Two operands that are nowhere equal."""

    def draw(rng):
        a = rng.standard_normal(shapes[0])
        b = rng.standard_normal(shapes[1])
        return [np.round(a, 1), np.round(b, 1) + 0.05]

    return draw


CASES += [
    OpCase("maximum", F.maximum, _apart_pair((3, 4), (3, 4)), np.maximum, lambda torch, a, b: torch.maximum(a, b)),
    OpCase("maximum-broadcast", F.maximum, _apart_pair((3, 4), (4,)), np.maximum,
          lambda torch, a, b: torch.maximum(a, b)),
    OpCase("minimum", F.minimum, _apart_pair((3, 4), (3, 4)), np.minimum, lambda torch, a, b: torch.minimum(a, b)),
    OpCase("minimum-broadcast", F.minimum, _apart_pair((2, 1), (3,)), np.minimum,
          lambda torch, a, b: torch.minimum(a, b)),
    OpCase("add-alpha", lambda a, b: F.add(a, b, alpha=3), normal((2, 3), (3,)), lambda a, b: a + 3 * b),
    OpCase("sub-alpha", lambda a, b: F.sub(a, b, alpha=0.5), normal((2, 3), (3,)), lambda a, b: a - b / 2),
    OpCase("scalar-left", lambda a: 2.0 - 3 / (1.5 + a * a), normal((3,)), lambda a: 2 - 3 / (1.5 + a * a)),
    OpCase("scalar-right", lambda a: (a - 2) / 4 + 1, normal((3,)), lambda a: (a - 2) / 4 + 1),
    OpCase("scalar-base", lambda a: 2.0**a, normal((3,)), lambda a: 2.0**a),
    OpCase("numpy-scalar", lambda a: np.float64(2) * a + np.int64(1), normal((3,)), lambda a: 2 * a + 1),
    *[
        OpCase(f"pow-{p}", lambda a, p=p: a**p, uniform(0.5, 2, (3, 2)), lambda a, p=p: a**p,
          lambda torch, a, p=p: a**p)
        for p in (0, 1, 2, 3, -1, 0.5, -1.5)
    ],
    OpCase("floor_divide", lambda a: a // 0.7, away_from([0.7 * i for i in range(-9, 9)], (5,)), lambda a: a // 0.7),
    OpCase("remainder", lambda a: a % 0.7, away_from([0.7 * i for i in range(-9, 9)], (5,)), lambda a: a % 0.7,
           lambda torch, a: torch.remainder(a, 0.7)),
    OpCase("add-empty", F.add, normal((0, 3), (3,)), lambda a, b: a + b),
]  # fmt: skip

_unary = {
    "neg": (np.negative, normal((3, 4))),
    "abs": (np.abs, away_from([0], (3, 4))),
    "exp": (np.exp, normal((3, 4))),
    "expm1": (np.expm1, normal((3, 4))),
    "log": (np.log, uniform(0.2, 3, (3, 4))),
    "log2": (np.log2, uniform(0.2, 3, (3, 4))),
    "log10": (np.log10, uniform(0.2, 3, (3, 4))),
    "log1p": (np.log1p, uniform(-0.6, 3, (3, 4))),
    "sqrt": (np.sqrt, uniform(0.2, 3, (3, 4))),
    "rsqrt": (lambda x: x**-0.5, uniform(0.2, 3, (3, 4))),
    "reciprocal": (lambda x: 1 / x, uniform(0.2, 3, (3, 4))),
    "square": (lambda x: x * x, normal((3, 4))),
    "sin": (np.sin, normal((3, 4))),
    "cos": (np.cos, normal((3, 4))),
    "tanh": (np.tanh, normal((3, 4))),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), normal((3, 4))),
    "erf": (np.vectorize(math.erf, otypes=[np.float64]), normal((3, 4))),
    "relu": (lambda x: x * (x > 0), away_from([0], (3, 4))),
    "sign": (np.sign, away_from([0], (3, 4))),
    "floor": (np.floor, away_from(range(-9, 9), (3, 4))),
    "trunc": (np.trunc, away_from(range(-9, 9), (3, 4))),
    "ceil": (np.ceil, away_from(range(-9, 9), (3, 4))),
    "round": (np.rint, away_from([i + 0.5 for i in range(-9, 9)], (3, 4))),
}
CASES += [
    OpCase(
        name,
        getattr(F, name),
        inputs,
        reference,
        lambda torch, x, name=name: getattr(torch, name)(x),
        batch_axis=0,
    )
    for name, (reference, inputs) in _unary.items()
]

CASES += [  # a tensor without dimensions: NumPy turns such results into scalars on the way
    OpCase(
        f"{name}-0d",
        getattr(F, name),
        uniform(0.6, 0.9, ()),
        reference,
        lambda torch, x, name=name: getattr(torch, name)(x),
    )
    for name, (reference, _) in _unary.items()
]
CASES += [
    OpCase("maximum-0d", F.maximum, uniform(0.6, 0.9, (), ()), np.maximum, lambda torch, a, b: torch.maximum(a, b)),
    OpCase("clamp-0d", lambda x: x.clamp(0.1, 0.5), uniform(0.6, 0.9, ()), lambda x: np.clip(x, 0.1, 0.5),
           lambda torch, x: x.clamp(0.1, 0.5)),
    OpCase("masked_fill-0d", lambda x: x.masked_fill(x < 0.0, 1.0), uniform(0.6, 0.9, ()), lambda x: x,
           lambda torch, x: x.masked_fill(x < 0.0, 1.0)),
    OpCase("clamp", lambda x: x.clamp(-0.5, 0.7), away_from([-0.5, 0.7], (3, 4)), lambda x: np.clip(x, -0.5, 0.7),
           lambda torch, x: x.clamp(-0.5, 0.7), batch_axis=0),
    OpCase("clamp-min", lambda x: ml.clip(x, min=0.1), away_from([0.1], (3, 4)), lambda x: np.maximum(x, 0.1),
           lambda torch, x: x.clamp(min=0.1)),
    OpCase("clamp-max", lambda x: x.clip(max=0.1), away_from([0.1], (3, 4)), lambda x: np.minimum(x, 0.1),
           lambda torch, x: x.clamp(max=0.1)),
    OpCase("clamp-tensor-bounds", lambda x, lo, hi: x.clamp(lo, hi), lambda rng: [
        np.round(rng.standard_normal((3, 4)), 1), np.full(4, -0.55), np.full((3, 1), 0.45)],
        lambda x, lo, hi: np.minimum(np.maximum(x, lo), hi), lambda torch, x, lo, hi: x.clamp(lo, hi)),
    OpCase("where", lambda c, a, b: F.where(c, a, b), lambda rng: [
        rng.random((3, 4)) < 0.5, rng.standard_normal((3, 4)), rng.standard_normal((4,))],
        np.where, lambda torch, c, a, b: torch.where(c, a, b)),
    OpCase("round-decimals", lambda x: x.round(decimals=1),
           away_from([i / 10 + 0.05 for i in range(-90, 90)], (3, 4), gap=0.01),
           lambda x: np.rint(x * 10) / 10, lambda torch, x: x.round(decimals=1)),
    OpCase("masked_select", lambda x, m: x.masked_select(m),
           lambda rng: [rng.standard_normal((3, 4)), rng.random(4) < 0.5],
           lambda x, m: np.array([x[i, j] for i in range(3) for j in range(4) if m[j]]),
           lambda torch, x, m: x.masked_select(m)),
    OpCase("nonzero", lambda m: F.nonzero(m), lambda rng: [rng.random((3, 4)) < 0.5],
           lambda m: np.array([(i, j) for i in range(3) for j in range(4) if m[i, j]]),
           lambda torch, m: torch.nonzero(m)),
    OpCase("where-one", lambda m: F.where(m), lambda rng: [rng.random((3, 4)) < 0.5], np.nonzero,
           lambda torch, m: torch.where(m)),
    OpCase("masked_fill-broadcast", lambda x, m: F.masked_fill(x, m, 2.0), lambda rng: [
        rng.standard_normal(4), rng.random((3, 4)) < 0.5], lambda x, m: np.where(m, 2.0, x),
        lambda torch, x, m: torch.masked_fill(x, m, 2.0)),
    *[
        OpCase(f"logical_{n}", lambda a, b, n=n: getattr(F, f"logical_{n}")(a, b), lambda rng: [
            rng.integers(0, 2, (3, 4)), rng.random(4) < 0.5], reference,
            lambda torch, a, b, n=n: getattr(torch, f"logical_{n}")(a, b))
        for n, reference in {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}.items()
    ],
    OpCase("logical_not", F.logical_not, lambda rng: [rng.integers(0, 2, (3, 4))], np.logical_not,
           lambda torch, a: torch.logical_not(a)),
    OpCase("isclose", F.isclose, lambda rng: [np.ones(3), np.array([1, 1 + 5e-6, 1 + 5e-5])], np.isclose,
           lambda torch, a, b: torch.isclose(a, b), diff=()),
    OpCase("where-numbers", lambda c, a: F.where(c, a, 0.0) + F.where(c, 2.0, a), lambda rng: [
        rng.random((3, 4)) < 0.5, rng.standard_normal((3, 1))],
        lambda c, a: np.where(c, a, 0.0) + np.where(c, 2.0, a)),
    OpCase("masked_fill", lambda x, m: x.masked_fill(m, -3.0), lambda rng: [
        rng.standard_normal((3, 4)), rng.random((4,)) < 0.5],
        lambda x, m: np.where(m, -3.0, x), lambda torch, x, m: x.masked_fill(m, -3.0)),
    OpCase("masked_fill-tensor", lambda x, m, v: x.masked_fill(m, v), lambda rng: [
        rng.standard_normal((3, 4)), rng.random((3, 4)) < 0.5, rng.standard_normal(())],
        lambda x, m, v: np.where(m, v, x), lambda torch, x, m, v: torch.where(m, v, x)),
]  # fmt: skip
