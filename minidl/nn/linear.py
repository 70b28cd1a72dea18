"""Fully connected layers, embeddings, and the reshapes around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import functional as F
from ..autograd import Tensor
from ..errors import OutOfRangeError, ShapeError
from ..functional._shared import ntuple, require_floating
from . import init
from .module import Module, Parameter


class Linear(Module):
    """y = x wᵀ + b. See :func:`minidl.functional.linear`.

    Args:      in_features, out_features: lengths of the last dimension, before and after. bias: whether there is a b
    Shapes:    weight (out_features, in_features), bias (out_features,)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__()
        (self.in_features,) = ntuple(in_features, 1, "Linear", "in_features", minimum=0)
        (self.out_features,) = ntuple(out_features, 1, "Linear", "out_features", minimum=0)
        self.weight = Parameter(F.empty(out_features, in_features, dtype=dtype, device=device))
        self.register_parameter("bias", Parameter(F.empty(out_features, dtype=dtype, device=device)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew.

        Math:      U[−b, b), b = 1/√in_features
        Source:    PyTorch's default: a third of the variance of LeCun et al. 1998, "Efficient BackProp", section 4.6
        """
        _uniform_by_fan(self.weight, self.bias, self.in_features)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """y_o = x1ᵀ w_o x2 + b_o. See :func:`minidl.functional.bilinear`.

    Shapes:    weight (out_features, in1_features, in2_features), bias (out_features,)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        (self.in1_features,) = ntuple(in1_features, 1, "Bilinear", "in1_features")
        (self.in2_features,) = ntuple(in2_features, 1, "Bilinear", "in2_features")
        (self.out_features,) = ntuple(out_features, 1, "Bilinear", "out_features")
        self.weight = Parameter(F.empty(out_features, in1_features, in2_features, dtype=dtype, device=device))
        self.register_parameter("bias", Parameter(F.empty(out_features, dtype=dtype, device=device)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew from U[−b, b), b = 1/√in1_features."""
        _uniform_by_fan(self.weight, self.bias, self.in1_features)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.bilinear(x1, x2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


def _uniform_by_fan(weight: Tensor, bias: Tensor | None, fan_in: int) -> None:
    bound = 1 / math.sqrt(max(fan_in, 1))
    init.uniform_(weight, -bound, bound)
    if bias is not None:
        init.uniform_(bias, -bound, bound)


class Embedding(Module):
    """A table with one learnt vector for each integer. See :func:`minidl.functional.embedding`.

    Args:      num_embeddings: rows. embedding_dim: length of a vector. padding_idx: a row of zeros that is not trained
    Shapes:    weight (num_embeddings, embedding_dim), from N(0, 1)
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        (self.num_embeddings,) = ntuple(num_embeddings, 1, "Embedding", "num_embeddings")
        (self.embedding_dim,) = ntuple(embedding_dim, 1, "Embedding", "embedding_dim")
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise OutOfRangeError(f"Embedding: padding_idx {padding_idx} is out of range for {num_embeddings} rows")
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        self.weight = Parameter(F.empty(num_embeddings, embedding_dim, dtype=dtype, device=device))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table anew from N(0, 1), with zeros for the padding."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None) -> Embedding:
        """A layer whose table is `embeddings` itself, (rows, dimensions); frozen unless said otherwise."""
        if require_floating(embeddings, "Embedding.from_pretrained", "embeddings").ndim != 2:
            raise ShapeError(f"Embedding.from_pretrained: needs a (rows, dimensions) table, got {embeddings.shape}")
        rows, size = embeddings.shape
        layer = cls(rows, size, padding_idx, device=embeddings.device, dtype=embeddings.dtype)
        layer.weight = Parameter(embeddings, requires_grad=not freeze)
        return layer

    def forward(self, indices: Tensor) -> Tensor:
        return F.embedding(indices, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class Flatten(Module):
    """Merge dimensions, by default all but the batch. See :func:`minidl.functional.flatten`."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        return F.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Split dimension `dim` into several. See :func:`minidl.functional.unflatten`."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]):
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, x: Tensor) -> Tensor:
        return F.unflatten(x, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
