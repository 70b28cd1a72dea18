"""Operations on tensors: one file per family, Functions with forward and backward by hand, and their wrappers."""

from . import _methods
from .activation import (
    celu,
    elu,
    gelu,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    prelu,
    relu6,
    selu,
    silu,
    softplus,
    softsign,
    threshold,
)
from .adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)
from .arithmetic import add, div, floor_divide, maximum, minimum, mul, pow, remainder, sub
from .broadcast import broadcast_to, expand
from .casting import clone, contiguous, to
from .comparison import (
    allclose,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    eq,
    equal,
    ge,
    gt,
    isclose,
    isfinite,
    isinf,
    isnan,
    le,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    ne,
)
from .conv import conv1d, conv2d, conv3d
from .conv_transpose import conv_transpose1d, conv_transpose2d, conv_transpose3d
from .creation import (
    arange,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    normal,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from .diagonals import diag, diagonal, trace, tril, triu
from .dropout import alpha_dropout, dropout, dropout1d, dropout2d, dropout3d, feature_alpha_dropout
from .elementwise import (
    abs,
    ceil,
    clamp,
    cos,
    erf,
    exp,
    expm1,
    floor,
    log,
    log1p,
    log2,
    log10,
    neg,
    reciprocal,
    relu,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sqrt,
    square,
    tanh,
    trunc,
)
from .embedding import embedding, one_hot
from .grid import affine_grid, grid_sample
from .group_norm import group_norm, instance_norm, layer_norm, rms_norm
from .indexing import gather, getitem, index_select, masked_select, scatter_add, take_along_dim
from .layout import (
    broadcast_tensors,
    expand_as,
    hstack,
    meshgrid,
    movedim,
    ravel,
    repeat_interleave,
    select,
    swapaxes,
    tile,
    view_as,
    vstack,
)
from .linalg import addmm, bmm, dot, einsum, matmul, mm, mv, outer
from .linear import bilinear, linear
from .loss import cross_entropy, multi_margin_loss, nll_loss
from .loss_adversarial import discriminator_loss, generator_loss
from .loss_binary import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    dice_loss,
    sigmoid_focal_loss,
)
from .loss_metric import (
    cosine_embedding_loss,
    cosine_similarity,
    hinge_embedding_loss,
    margin_ranking_loss,
    pairwise_distance,
    triplet_margin_loss,
)
from .loss_regression import huber_loss, kl_div, l1_loss, mse_loss, smooth_l1_loss
from .loss_segmentation import softmax_dice_loss, softmax_focal_loss
from .norm import batch_norm, local_response_norm, normalize
from .ordering import argsort, bincount, sort, topk, unique
from .pad import pad
from .pixel_shuffle import pixel_shuffle, pixel_unshuffle
from .pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from .reductions import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    cumprod,
    cumsum,
    logsumexp,
    max,
    mean,
    min,
    norm,
    prod,
    std,
    sum,
    var,
)
from .resize import interpolate
from .selection import masked_fill, nonzero, where
from .shape import (
    cat,
    chunk,
    flatten,
    flip,
    narrow,
    permute,
    repeat,
    reshape,
    roll,
    split,
    squeeze,
    stack,
    t,
    transpose,
    unbind,
    unflatten,
    unsqueeze,
    view,
)
from .softmax import log_softmax, softmax, softmin
from .unfold import fold, unfold
from .unpool import max_unpool1d, max_unpool2d, max_unpool3d

_methods.attach()

__all__ = [
    "abs", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "add", "addmm", "affine_grid", "all", "allclose", "alpha_dropout",
    "amax", "amin", "any", "arange", "argmax", "argmin", "argsort", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "batch_norm", "bilinear", "binary_cross_entropy", "binary_cross_entropy_with_logits", "bincount", "bitwise_and",
    "bitwise_not", "bitwise_or", "bitwise_xor", "bmm", "broadcast_tensors", "broadcast_to", "cat", "ceil", "celu",
    "chunk", "clamp", "clone", "contiguous", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "cos", "cosine_embedding_loss", "cosine_similarity", "cross_entropy", "cumprod", "cumsum",
    "diag", "diagonal", "dice_loss", "discriminator_loss", "div", "dot", "dropout", "dropout1d", "dropout2d",
    "dropout3d", "einsum", "elu", "embedding", "empty", "empty_like", "eq", "equal", "erf", "exp", "expand",
    "expand_as", "expm1", "eye", "feature_alpha_dropout", "flatten", "flip", "floor", "floor_divide", "fold",
    "from_numpy", "full", "full_like", "gather", "ge", "gelu", "generator_loss", "getitem", "grid_sample", "group_norm",
    "gt", "hardsigmoid", "hardswish", "hardtanh", "hinge_embedding_loss", "hstack", "huber_loss", "index_select",
    "instance_norm", "interpolate", "isclose", "isfinite", "isinf", "isnan", "kl_div", "l1_loss", "layer_norm", "le",
    "leaky_relu", "linear", "linspace", "local_response_norm", "log", "log10", "log1p", "log2", "log_softmax",
    "logical_and", "logical_not", "logical_or", "logical_xor", "logsigmoid", "logsumexp", "lp_pool1d", "lp_pool2d",
    "lp_pool3d", "lt", "margin_ranking_loss", "masked_fill", "masked_select", "matmul", "max", "max_pool1d",
    "max_pool2d", "max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d", "maximum", "mean", "meshgrid", "min",
    "minimum", "mish", "mm", "movedim", "mse_loss", "mul", "multi_margin_loss", "mv", "narrow", "ne", "neg", "nll_loss",
    "nonzero", "norm", "normal", "normalize", "one_hot", "ones", "ones_like", "outer", "pad", "pairwise_distance",
    "permute", "pixel_shuffle", "pixel_unshuffle", "pow", "prelu", "prod", "rand", "rand_like", "randint", "randn",
    "randn_like", "randperm", "ravel", "reciprocal", "relu", "relu6", "remainder", "repeat", "repeat_interleave",
    "reshape", "rms_norm", "roll", "round", "rsqrt", "scatter_add", "select", "selu", "sigmoid", "sigmoid_focal_loss",
    "sign", "silu", "sin", "smooth_l1_loss", "softmax", "softmax_dice_loss", "softmax_focal_loss", "softmin",
    "softplus", "softsign", "sort", "split", "sqrt", "square", "squeeze", "stack", "std", "sub", "sum", "swapaxes", "t",
    "take_along_dim", "tanh", "tensor", "threshold", "tile", "to", "topk", "trace", "transpose", "tril",
    "triplet_margin_loss", "triu", "trunc", "unbind", "unflatten", "unfold", "unique", "unsqueeze", "var", "view",
    "view_as", "vstack", "where", "zeros", "zeros_like",
]  # fmt: skip
