"""Batch norms and their sums with other arrays, not yet computed: what a ReLU or a residual sum may follow."""

from __future__ import annotations

from typing import Any

from .. import kernels
from ..autograd import Tensor
from ..autograd.deferred import Deferred, deferred_of


class Affine(Deferred):
    """The sum of some batch norms and some other arrays.

    Args:      normalized: arguments of the kernel ``batch_norm_eval`` for each batch norm. others: arrays to add
    """

    def __init__(self, normalized: list[tuple[Any, ...]], others: list[Any]):
        self.normalized, self.others = normalized, others
        self.like = x = normalized[0][0]
        self.shape, self.dtype = x.shape, x.dtype

    def compute(self, relu: bool = False) -> Any:
        """The array, or its ReLU, in one pass."""
        return kernels.of(self.like).normalized_sum(self.normalized, self.others, relu)


def affine_sum(a: Tensor, b: Tensor) -> Affine | None:
    """a + b, if one of them is a batch norm that has not been computed and the other is like it."""
    waiting = [deferred_of(x) for x in (a, b)]
    known = [x if isinstance(x, Affine) else None for x in waiting]
    if not any(known) or a.shape != b.shape or a.dtype != b.dtype:
        return None
    normalized = [term for x in known if x is not None for term in x.normalized]
    others = [array for x in known if x is not None for array in x.others]
    others += [x.data for x, affine in zip((a, b), known, strict=True) if affine is None]
    return Affine(normalized, others)
