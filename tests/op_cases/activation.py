"""Rows of the operation table: activation functions. relu, sigmoid, tanh and erf are in arithmetic.py."""

import math

import numpy as np

from minidl import functional as F

from ._case import OpCase, away_from

_SHAPE = (3, 4, 2)


def elementwise(function):
    """A function of one Python number, applied to every element of an array."""
    return lambda x: np.array([function(float(v)) for v in x.ravel()]).reshape(x.shape)


def phi(v):
    """The cumulative distribution of the standard normal."""
    return (1 + math.erf(v / math.sqrt(2))) / 2


def sigma(v):
    return 1 / (1 + math.exp(-v))


def softplus(v):
    return math.log(1 + math.exp(v))


def limit(v, low, high):
    return low if v < low else high if v > high else v


# name, settings, the function of one number, kinks
_TABLE = [
    ("relu6", {}, lambda v: limit(v, 0, 6), [0, 6]),
    ("leaky_relu", {}, lambda v: v if v > 0 else 0.01 * v, [0]),
    ("leaky_relu", {"negative_slope": 0.3}, lambda v: v if v > 0 else 0.3 * v, [0]),
    ("leaky_relu", {"negative_slope": 1.5}, lambda v: v if v > 0 else 1.5 * v, [0]),
    ("elu", {}, lambda v: v if v > 0 else math.exp(v) - 1, [0]),
    ("elu", {"alpha": 0.4}, lambda v: v if v > 0 else 0.4 * (math.exp(v) - 1), [0]),
    (
        "selu",
        {},
        lambda v: 1.0507009873554805 * (v if v > 0 else 1.6732632423543772 * (math.exp(v) - 1)),
        [0],
    ),
    ("celu", {}, lambda v: max(v, 0) + min(0, math.exp(v) - 1), [0]),
    ("celu", {"alpha": 0.5}, lambda v: max(v, 0) + min(0, 0.5 * (math.exp(v / 0.5) - 1)), [0]),
    ("gelu", {}, lambda v: v * phi(v), []),
    (
        "gelu",
        {"approximate": "tanh"},
        lambda v: v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))) / 2,
        [],
    ),
    ("silu", {}, lambda v: v * sigma(v), []),
    ("mish", {}, lambda v: v * math.tanh(softplus(v)), []),
    ("hardswish", {}, lambda v: v * limit(v + 3, 0, 6) / 6, [-3, 3]),
    ("hardsigmoid", {}, lambda v: limit(v + 3, 0, 6) / 6, [-3, 3]),
    ("hardtanh", {}, lambda v: limit(v, -1, 1), [-1, 1]),
    ("hardtanh", {"min_val": -0.5, "max_val": 2.0}, lambda v: limit(v, -0.5, 2), [-0.5, 2]),
    ("softplus", {}, softplus, []),
    ("softplus", {"beta": 2.5}, lambda v: softplus(2.5 * v) / 2.5, []),
    ("softplus", {"beta": 2.0, "threshold": 1.0}, lambda v: v if 2 * v > 1 else softplus(2 * v) / 2, [0.5]),
    ("softsign", {}, lambda v: v / (1 + abs(v)), [0]),
    ("logsigmoid", {}, lambda v: math.log(sigma(v)), []),
    ("threshold", {"threshold": 0.5, "value": -2.0}, lambda v: v if v > 0.5 else -2.0, [0.5]),
]


def _name(name, settings):
    return "-".join([name, *(f"{key}{value}" for key, value in settings.items())])


def _torch(name, settings):
    if name == "hardsigmoid":  # PyTorch's own gradient multiplies by a sixth in float32
        return lambda torch, x: torch.nn.functional.relu6(x + 3) / 6
    return lambda torch, x: getattr(torch.nn.functional, name)(x, **settings)


CASES = [
    OpCase(
        _name(name, settings),
        lambda x, name=name, settings=settings: getattr(F, name)(x, **settings),
        away_from(kinks, _SHAPE),
        elementwise(function),
        _torch(name, settings),
        batch_axis=0,
    )
    for name, settings, function, kinks in _TABLE
]


CASES += [  # a tensor without dimensions
    OpCase(
        _name(name, settings) + "-0d",
        lambda x, name=name, settings=settings: getattr(F, name)(x, **settings),
        lambda rng: [np.array(0.7)],
        elementwise(function),
        _torch(name, settings),
    )
    for name, settings, function, _ in _TABLE
]


def _prelu(x, w):
    y = x.copy()
    for index in np.ndindex(x.shape):
        if x[index] <= 0:
            y[index] *= w[0] if w.size == 1 else w[index[1]]
    return y


CASES += [
    OpCase(
        f"prelu-{name}",
        F.prelu,
        lambda rng, shape=shape, slopes=slopes: [
            *away_from([0], shape)(rng),
            rng.uniform(0.1, 0.5, slopes),
        ],
        _prelu,
        lambda torch, x, w: torch.nn.functional.prelu(x, w),
        batch_axis=0,
    )
    for name, shape, slopes in [
        ("one-slope", (3, 4), 1),
        ("vector", (5,), 1),
        ("channels", (3, 4), 4),
        ("images", (2, 3, 2, 2), 3),
    ]
]
