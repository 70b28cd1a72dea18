"""What segmentation and detection need beside layers: boxes and regions, anchors, matches; drawing what was found."""

from . import draw, ops, samples
from .anchors import AnchorGenerator
from .coding import BoxCoder
from .matching import BalancedPositiveNegativeSampler, Matcher
from .proposals import selective_search

__all__ = [
    "AnchorGenerator",
    "BalancedPositiveNegativeSampler",
    "BoxCoder",
    "Matcher",
    "draw",
    "ops",
    "samples",
    "selective_search",
]
