"""Initial values of parameters. Every function writes into ``tensor.data`` and returns the tensor.

Random numbers come from the stream "init", or from the generator that is given. They are drawn on the CPU and moved
once, to where the tensor is: the same seed begins with the same weights on every device.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import backend
from ..autograd import Tensor, check_tensor
from ..backend import Generator
from ..errors import ArgumentError, ShapeError
from ..functional._shared import require_floating

_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
_GAINS |= {f"conv{transpose}{n}d": 1.0 for transpose in ("", "_transpose") for n in (1, 2, 3)}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which to widen weights so that a nonlinearity keeps the variance.

    Math:      linear, convolutions, sigmoid: 1; tanh: 5/3; relu: √2; leaky_relu: √(2 / (1 + param²)); selu: 3/4
    Args:      param: the negative slope of leaky_relu, by default 0.01
    Source:    He et al. 2015, eq. 10 and 15 (relu, leaky_relu); the values of tanh and selu are PyTorch's
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ArgumentError(
            f"calculate_gain: unknown nonlinearity {nonlinearity!r}; known: {', '.join(_GAINS)}, leaky_relu"
        )
    return _GAINS[nonlinearity]


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with `val`."""
    return _write(tensor, val, "constant_")


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return _write(tensor, 0, "zeros_")


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return _write(tensor, 1, "ones_")


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draw from the uniform distribution U[a, b)."""
    if not a <= b:
        raise ArgumentError(f"uniform_: the interval [{a}, {b}) is empty; give a ≤ b")
    require_floating(tensor, "uniform_", "tensor")
    return _write(tensor, a + (b - a) * _uniform(tensor.shape, tensor.dtype, generator), "uniform_")


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draw from the normal distribution N(mean, std²)."""
    if not std >= 0:
        raise ArgumentError(f"normal_: std must not be negative, got {std}")
    require_floating(tensor, "normal_", "tensor")
    return _write(tensor, mean + std * _normal(tensor.shape, tensor.dtype, generator), "normal_")


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Draw from N(mean, std²) restricted to [a, b], both in the tensor's units.

    By rejection: a proposal from outside the interval is drawn again. Where the interval leaves out much of the normal,
    the proposals are uniform in it and z is kept with probability φ(z) / max φ.
    """
    if not (std > 0 and a < b):
        raise ArgumentError(f"trunc_normal_: needs std > 0 and a < b, got std {std}, a {a}, b {b}")
    require_floating(tensor, "trunc_normal_", "tensor")
    low, high = (a - mean) / std, (b - mean) / std
    peak = min(max(0.0, low), high)  # the point of the interval where the density is highest
    rng = _rng(generator)
    z = np.empty(tensor.numel())
    wanting = np.arange(z.size)
    while wanting.size:
        if low < -1 and high > 1:
            proposals = rng.standard_normal(wanting.size)
            kept = (low <= proposals) & (proposals <= high)
        else:  # more than 10 from the peak the density is below 1e-21 of the peak's
            proposals = rng.uniform(max(low, peak - 10), min(high, peak + 10), wanting.size)
            kept = rng.random(wanting.size) < np.exp((peak**2 - proposals**2) / 2)
        z[wanting] = proposals
        wanting = wanting[~kept]
    return _write(tensor, np.clip(mean + std * z, a, b).reshape(tensor.shape), "trunc_normal_")


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform with the variance that suits forward and backward passes through saturating units.

    Math:      U[-a, a), a = gain · √(6 / (fan_in + fan_out))
    Source:    Glorot & Bengio 2010, eq. 16
    """
    bound = gain * math.sqrt(6 / sum(_fans(tensor, "xavier_uniform_")))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with the variance of :func:`xavier_uniform_`.

    Math:      N(0, std²), std = gain · √(2 / (fan_in + fan_out))
    Source:    Glorot & Bengio 2010, eq. 12
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_fans(tensor, "xavier_normal_"))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform with the variance that rectified units keep.

    Math:      U[-b, b), b = gain · √(3 / fan)
    Args:      a: negative slope of the leaky_relu that follows. mode: "fan_in" keeps the variance in the forward pass,
               "fan_out" in the backward pass
    Source:    He et al. 2015, eq. 10 and 14
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity, "kaiming_uniform_")
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with the variance that rectified units keep.

    Math:      N(0, std²), std = gain / √fan
    Args:      as :func:`kaiming_uniform_`
    Source:    He et al. 2015, eq. 10 and 14
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity, "kaiming_normal_"), generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """A random (semi-)orthogonal matrix; further dimensions are flattened into its columns.

    Math:      W Wᵀ = gain² · I if there are no more rows than columns, else Wᵀ W = gain² · I. W is Q of the QR
               decomposition of a normal matrix, its columns' signs made those of R's diagonal, so that it is uniform
    Source:    Saxe, McClelland & Ganguli 2014
    """
    _check_rank(tensor, 2, "orthogonal_")
    rows = tensor.shape[0]
    columns = tensor.numel() // max(rows, 1)
    tall = _rng(generator).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return _write(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape), "orthogonal_")


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """A normal matrix in each of whose columns a fraction `sparsity` of the entries, rounded up, is 0.

    Source:    Martens 2010, section 5
    """
    if require_floating(tensor, "sparse_", "tensor").ndim != 2:
        raise ShapeError(f"sparse_: needs a matrix, got a tensor of shape {tensor.shape}")
    if not 0 <= sparsity <= 1:
        raise ArgumentError(f"sparse_: sparsity is a fraction between 0 and 1, got {sparsity}")
    rows, columns = tensor.shape
    rng = _rng(generator)
    values = std * rng.standard_normal((rows, columns))
    order = rng.permuted(np.tile(np.arange(rows)[:, None], columns), axis=0)
    values[order < math.ceil(sparsity * rows)] = 0
    return _write(tensor, values, "sparse_")


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix, so that a linear layer begins by passing its input on."""
    if check_tensor(tensor, "eye_", "tensor").ndim != 2:
        raise ShapeError(f"eye_: needs a matrix, got a tensor of shape {tensor.shape}")
    return _write(tensor, np.eye(tensor.shape[0], tensor.shape[1]), "eye_")


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution weight that passes on as many channels as it can, in each group.

    Math:      w[g·O/groups + i, i, center] = 1, all else 0
    """
    if check_tensor(tensor, "dirac_", "tensor").ndim not in (3, 4, 5):
        raise ShapeError(f"dirac_: needs a convolution weight of 3, 4 or 5 dimensions, got shape {tensor.shape}")
    out_channels, in_channels, *kernel = tensor.shape
    if groups < 1 or out_channels % groups:
        raise ArgumentError(f"dirac_: groups {groups} does not divide the {out_channels} output channels")
    values = np.zeros(tensor.shape)
    size = out_channels // groups
    for group in range(groups):
        for i in range(min(size, in_channels)):
            values[(group * size + i, i, *(k // 2 for k in kernel))] = 1
    return _write(tensor, values, "dirac_")


def bilinear_(tensor: Tensor) -> Tensor:
    """The weight (C, C, kh, kw), or grouped (C, 1, kh, kw), with which a transposed convolution interpolates.

    With kernel size 2s − s mod 2, stride s and padding ⌈(s − 1)/2⌉ it enlarges by s, as bilinear interpolation does.

    Math:      w[c, c, i, j] = t(i) t(j), t(i) = 1 − |i − center| / f, f = ⌈k/2⌉, center = f − 1 if k is odd, else f − ½
    Source:    Long, Shelhamer & Darrell 2015, section 3.3; the formula is that of their code, surgery.py
    """
    if check_tensor(tensor, "bilinear_", "tensor").ndim != 4 or tensor.shape[1] not in (1, tensor.shape[0]):
        raise ShapeError(f"bilinear_: needs a weight of shape (C, C, kh, kw) or (C, 1, kh, kw), got {tensor.shape}")

    def triangle(size: int) -> np.ndarray:
        factor = (size + 1) // 2
        center = factor - 1 if size % 2 else factor - 0.5
        return 1 - np.abs(np.arange(size) - center) / factor

    values = np.zeros(tensor.shape)
    channels = np.arange(tensor.shape[0])
    values[channels, channels % tensor.shape[1]] = np.outer(triangle(tensor.shape[2]), triangle(tensor.shape[3]))
    return _write(tensor, values, "bilinear_")


def _write(tensor: Tensor, values: Any, op: str) -> Tensor:
    check_tensor(tensor, op, "tensor")
    if backend.is_array(values):
        values = backend.to_device(values, tensor.device)
    tensor.data[...] = values
    tensor.bump_version()
    return tensor


def _rng(generator: Generator | None) -> np.random.Generator:
    return (backend.check_generator(generator, "init") or backend.stream("init")).numpy


def _draw_dtype(dtype: np.dtype) -> Any:
    return np.float64 if dtype == np.float64 else np.float32


def _uniform(shape: tuple[int, ...], dtype: np.dtype, generator: Generator | None) -> np.ndarray:
    return _rng(generator).random(shape, dtype=_draw_dtype(dtype))


def _normal(shape: tuple[int, ...], dtype: np.dtype, generator: Generator | None) -> np.ndarray:
    return _rng(generator).standard_normal(shape, dtype=_draw_dtype(dtype))


def _check_rank(tensor: Tensor, rank: int, op: str) -> None:
    if require_floating(tensor, op, "tensor").ndim < rank:
        raise ShapeError(f"{op}: needs a tensor of at least {rank} dimensions, got shape {tensor.shape}")


def _fans(tensor: Tensor, op: str) -> tuple[int, int]:
    """How many inputs a unit sees, and how many units see an input: weights are (out, in, *kernel)."""
    _check_rank(tensor, 2, op)
    receptive_field = math.prod(tensor.shape[2:])
    return max(tensor.shape[1] * receptive_field, 1), max(tensor.shape[0] * receptive_field, 1)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str, op: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"{op}: mode is 'fan_in' or 'fan_out', got {mode!r}")
    fan = _fans(tensor, op)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)
