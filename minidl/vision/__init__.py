"""What segmentation and detection need beside layers: so far, drawing what they found."""

from . import draw

__all__ = ["draw"]
