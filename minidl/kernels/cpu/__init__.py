"""Kernels in NumPy, made fast. Same names and signatures as :mod:`minidl.kernels.reference`."""

from .conv import conv, conv_input_grad, conv_weight_grad
from .grid_sample import gather_dot, grid_coordinates, grid_taps, weighted_gather, weighted_scatter
from .indexing import index_put_add, scatter_add
from .linalg import matmul
from .norm import (
    batch_norm,
    batch_norm_backward,
    batch_norm_eval,
    batch_norm_eval_backward,
    group_norm,
    group_norm_backward,
    local_response_norm,
    local_response_norm_backward,
)
from .pad import pad, pad_adjoint
from .pooling import (
    adaptive_avg_pool,
    adaptive_avg_pool_input_grad,
    adaptive_max_pool,
    avg_pool,
    avg_pool_input_grad,
    last_of_equal_indices,
    max_pool,
    plane_gather,
    plane_scatter,
)
from .resize import resize, resize_adjoint
from .selection import choose
from .special import erf
from .unfold import fold, unfold

__all__ = [
    "adaptive_avg_pool", "adaptive_avg_pool_input_grad", "adaptive_max_pool", "avg_pool", "avg_pool_input_grad",
    "batch_norm", "batch_norm_backward", "batch_norm_eval", "batch_norm_eval_backward", "choose", "conv",
    "conv_input_grad", "conv_weight_grad", "erf", "fold", "gather_dot", "grid_coordinates", "grid_taps", "group_norm",
    "group_norm_backward", "index_put_add", "last_of_equal_indices", "local_response_norm",
    "local_response_norm_backward", "matmul", "max_pool", "pad", "pad_adjoint", "plane_gather", "plane_scatter",
    "resize", "resize_adjoint", "scatter_add", "unfold", "weighted_gather", "weighted_scatter",
]  # fmt: skip
