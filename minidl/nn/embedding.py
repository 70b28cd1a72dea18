"""Tables of learnt vectors."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..autograd import Tensor
from ..errors import OutOfRangeError, ShapeError
from ..functional._shared import ntuple, require_floating
from . import init
from .module import Module
from .parameter import Parameter


class Embedding(Module):
    """A table with one learnt vector for each integer. See :func:`minidl.functional.embedding`.

    Args:      num_embeddings: rows. embedding_dim: length of a vector. padding_idx: a row of zeros that is not trained
    Attributes: weight: (num_embeddings, embedding_dim), at first from N(0, 1)
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
