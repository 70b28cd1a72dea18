"""What segmentation needs beside layers: so far, drawing what was found, and what was generated."""

from . import draw, samples

__all__ = ["draw", "samples"]
