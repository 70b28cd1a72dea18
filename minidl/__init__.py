"""minidl: a deep-learning engine to read in a weekend.

Autograd with hand-written forward and backward passes, on NumPy or CuPy. What is written with it carries over to
PyTorch and back: a name that both have means the same.

>>> import minidl as ml
>>> x = ml.tensor([1.0, 2.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4.])
"""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

import numpy as _np

from . import autograd, errors, functional, nn, optim
from .autograd import Tensor, enable_grad, grad, is_grad_enabled, no_grad, set_grad_enabled
from .backend import (
    Device,
    Generator,
    cuda,
    get_num_threads,
    get_random_state,
    get_tf32,
    get_worker_kind,
    manual_seed,
    set_num_threads,
    set_random_state,
    set_tf32,
    set_worker_kind,
)
from .functional import (
    abs,
    adaptive_avg_pool1d,
    adaptive_max_pool1d,
    add,
    addmm,
    all,
    allclose,
    amax,
    amin,
    any,
    arange,
    argmax,
    argmin,
    argsort,
    avg_pool1d,
    bilinear,
    bincount,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    bmm,
    broadcast_tensors,
    broadcast_to,
    cat,
    ceil,
    celu,
    chunk,
    clamp,
    clone,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    cos,
    cosine_similarity,
    cumprod,
    cumsum,
    diag,
    diagonal,
    div,
    dot,
    einsum,
    empty,
    empty_like,
    eq,
    equal,
    erf,
    exp,
    expm1,
    eye,
    flatten,
    flip,
    floor,
    floor_divide,
    from_numpy,
    full,
    full_like,
    gather,
    ge,
    gt,
    hstack,
    index_select,
    isclose,
    isfinite,
    isinf,
    isnan,
    le,
    linspace,
    log,
    log1p,
    log2,
    log10,
    log_softmax,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    logsumexp,
    lt,
    masked_fill,
    masked_select,
    matmul,
    max,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    maximum,
    mean,
    meshgrid,
    min,
    minimum,
    mm,
    movedim,
    mul,
    mv,
    narrow,
    ne,
    neg,
    nonzero,
    norm,
    normal,
    ones,
    ones_like,
    outer,
    pad,
    pairwise_distance,
    permute,
    pixel_shuffle,
    pixel_unshuffle,
    pow,
    prelu,
    prod,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    ravel,
    reciprocal,
    relu,
    remainder,
    repeat_interleave,
    reshape,
    roll,
    round,
    rsqrt,
    scatter_add,
    select,
    selu,
    sigmoid,
    sign,
    sin,
    softmax,
    sort,
    split,
    sqrt,
    square,
    squeeze,
    stack,
    std,
    sub,
    sum,
    swapaxes,
    t,
    take_along_dim,
    tanh,
    tensor,
    tile,
    topk,
    trace,
    transpose,
    tril,
    triu,
    trunc,
    unbind,
    unflatten,
    unique,
    unsqueeze,
    var,
    vstack,
    where,
    zeros,
    zeros_like,
)
from .functional import cat as concat
from .functional import clamp as clip
from .kernels.cpu.conv import get_winograd, set_winograd

if _TYPE_CHECKING:
    from . import data, metrics, models, training, vision, weights
    from .autograd import profile
    from .weights import load, save

__version__ = "0.1.0"

float32, float64, float16 = _np.dtype("float32"), _np.dtype("float64"), _np.dtype("float16")
int64, int32, int16, int8, uint8 = (_np.dtype(_name) for _name in ("int64", "int32", "int16", "int8", "uint8"))
bool = _np.dtype("bool")
device = Device

__all__ = [
    "Device", "Generator", "Tensor", "abs", "adaptive_avg_pool1d", "adaptive_max_pool1d", "add", "addmm", "all",
    "allclose", "amax", "amin", "any", "arange", "argmax", "argmin", "argsort", "autograd", "avg_pool1d", "bilinear",
    "bincount", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "bmm", "bool", "broadcast_tensors",
    "broadcast_to", "cat", "ceil", "celu", "chunk", "clamp", "clip", "clone", "concat", "conv1d", "conv2d", "conv3d",
    "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "cos", "cosine_similarity", "cuda", "cumprod", "cumsum",
    "data", "device", "diag", "diagonal", "div", "dot", "einsum", "empty", "empty_like", "enable_grad", "eq", "equal",
    "erf", "errors", "exp", "expm1", "eye", "flatten", "flip", "float16", "float32", "float64", "floor", "floor_divide",
    "from_numpy", "full", "full_like", "functional", "gather", "ge", "get_num_threads", "get_random_state", "get_tf32",
    "get_winograd", "get_worker_kind", "grad", "gt", "hstack", "index_select", "int16", "int32", "int64", "int8",
    "is_grad_enabled", "isclose", "isfinite", "isinf", "isnan", "le", "linspace", "load", "log", "log10", "log1p",
    "log2", "log_softmax", "logical_and", "logical_not", "logical_or", "logical_xor", "logsumexp", "lt", "manual_seed",
    "masked_fill", "masked_select", "matmul", "max", "max_pool1d", "max_pool2d", "max_pool3d", "maximum", "mean",
    "meshgrid", "metrics", "min", "minimum", "mm", "models", "movedim", "mul", "mv", "narrow", "ne", "neg", "nn",
    "no_grad", "nonzero", "norm", "normal", "ones", "ones_like", "optim", "outer", "pad", "pairwise_distance",
    "permute", "pixel_shuffle", "pixel_unshuffle", "pow", "prelu", "prod", "profile", "rand", "rand_like", "randint",
    "randn", "randn_like", "randperm", "ravel", "reciprocal", "relu", "remainder", "repeat_interleave", "reshape",
    "roll", "round", "rsqrt", "save", "scatter_add", "select", "selu", "set_grad_enabled", "set_num_threads",
    "set_random_state", "set_tf32", "set_winograd", "set_worker_kind", "sigmoid", "sign", "sin", "softmax", "sort",
    "split", "sqrt", "square", "squeeze", "stack", "std", "sub", "sum", "swapaxes", "t", "take_along_dim", "tanh",
    "tensor", "tile", "topk", "trace", "training", "transpose", "tril", "triu", "trunc", "uint8", "unbind", "unflatten",
    "unique", "unsqueeze", "var", "vision", "vstack", "weights", "where", "zeros", "zeros_like",
]  # fmt: skip

_LATER = ("data", "metrics", "models", "training", "vision", "weights")


def __getattr__(name: str) -> _Any:
    """What an import of minidl alone does not need is loaded when it is first asked for."""
    if name in _LATER:
        return _importlib.import_module(f"minidl.{name}")
    if name in ("load", "save"):
        return getattr(_importlib.import_module("minidl.weights"), name)
    if name == "profile":
        return autograd.profile
    raise AttributeError(f"module 'minidl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
