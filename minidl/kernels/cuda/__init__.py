"""Kernels in CuPy and CUDA C. Same names and signatures as :mod:`minidl.kernels.reference`.

Loaded at the first CUDA array. No kernel waits for the device or moves anything between it and the host,
but for indices by a boolean mask; results are contiguous, and the same to the bit each time.
"""

from .batch_norm import (
    batch_norm,
    batch_norm_backward,
    batch_norm_eval,
    batch_norm_eval_backward,
    batch_norm_statistics,
    channel_sum,
    normalized_sum,
)
from .conv import conv, conv_input_grad, conv_weight_grad
from .cross_entropy import softmax_cross_entropy, softmax_cross_entropy_backward
from .elementwise import (
    add,
    binary,
    contiguous,
    leaky_relu,
    leaky_relu_backward,
    relu,
    relu_backward,
    tanh_backward,
    unary,
)
from .grid_sample import gather_dot, grid_coordinates, grid_taps, weighted_gather, weighted_scatter
from .indexing import index_put_add, scatter_add
from .linalg import matmul
from .nms import nms
from .norm import (
    group_norm,
    group_norm_backward,
    local_response_norm,
    local_response_norm_backward,
)
from .optimizers import adagrad_update, adam_update, rmsprop_update, sgd_update
from .pad import pad, pad_adjoint
from .pooling import (
    adaptive_avg_pool,
    adaptive_avg_pool_input_grad,
    adaptive_max_pool,
    avg_pool,
    avg_pool_input_grad,
    last_of_equal_indices,
    max_pool,
    max_pool_recorded,
    plane_gather,
    plane_scatter,
    recorded_indices,
    recorded_input_grad,
)
from .resize import resize, resize_adjoint
from .roi import roi_align, roi_align_input_grad, roi_pool
from .selection import choose
from .special import erf
from .unfold import fold, unfold

__all__ = [
    "adagrad_update", "adam_update", "adaptive_avg_pool", "adaptive_avg_pool_input_grad", "adaptive_max_pool", "add",
    "avg_pool", "avg_pool_input_grad", "batch_norm", "batch_norm_backward", "batch_norm_eval",
    "batch_norm_eval_backward", "batch_norm_statistics", "binary", "channel_sum", "choose", "contiguous", "conv",
    "conv_input_grad", "conv_weight_grad", "erf", "fold", "gather_dot", "grid_coordinates", "grid_taps", "group_norm",
    "group_norm_backward", "index_put_add", "last_of_equal_indices", "leaky_relu", "leaky_relu_backward",
    "local_response_norm", "local_response_norm_backward", "matmul", "max_pool", "max_pool_recorded", "nms",
    "normalized_sum", "pad", "pad_adjoint", "plane_gather", "plane_scatter", "recorded_indices", "recorded_input_grad",
    "relu", "relu_backward", "resize", "resize_adjoint", "rmsprop_update", "roi_align", "roi_align_input_grad",
    "roi_pool", "scatter_add", "sgd_update", "softmax_cross_entropy", "softmax_cross_entropy_backward", "tanh_backward",
    "unary", "unfold", "weighted_gather", "weighted_scatter",
]  # fmt: skip
