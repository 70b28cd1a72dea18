"""Dropout layers: active in training, the identity after ``eval()``."""

from __future__ import annotations

from .. import functional as F
from ..autograd import Tensor
from ..functional.dropout import check_probability
from .module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False):
        super().__init__()
        self.p, self.inplace = check_probability(type(self).__name__, p), inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Dropout of single elements. See :func:`minidl.functional.dropout`.

    Args:      p: probability of a 0. inplace: taken for PyTorch's sake; nothing is ever overwritten
    Raises:    ArgumentError: p outside [0, 1]
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training)


class Dropout1d(_Dropout):
    """Dropout of whole channels of (N, C, L) or (C, L). See :func:`minidl.functional.dropout1d`."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout1d(x, self.p, self.training)


class Dropout2d(_Dropout):
    """Dropout of whole channels of (N, C, H, W) or (N, C, L). See :func:`minidl.functional.dropout2d`."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout2d(x, self.p, self.training)


class Dropout3d(_Dropout):
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W). See :func:`minidl.functional.dropout3d`."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout3d(x, self.p, self.training)


class AlphaDropout(_Dropout):
    """Dropout for SELU networks. See :func:`minidl.functional.alpha_dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        return F.alpha_dropout(x, self.p, self.training)


class FeatureAlphaDropout(_Dropout):
    """Alpha dropout of whole channels. See :func:`minidl.functional.feature_alpha_dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        return F.feature_alpha_dropout(x, self.p, self.training)
