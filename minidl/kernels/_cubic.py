"""Keys' cubic convolution kernel with a = −0.75, in operators that arrays and Tensors share."""

from __future__ import annotations

from typing import Any

A = -0.75


def cubic_weights(t: Any) -> list[Any]:
    """The weights of the pixels at ⌊s⌋ − 1, ⌊s⌋, ⌊s⌋ + 1 and ⌊s⌋ + 2 for the fraction t = s − ⌊s⌋.

    Math:      k(d) = (a + 2)·d³ − (a + 3)·d² + 1 for distances d ≤ 1, a·d³ − 5a·d² + 8a·d − 4a for 1 ≤ d ≤ 2
    Source:    Keys 1981, "Cubic convolution interpolation for digital image processing", equation 15
    """
    return [_far(t + 1.0), _near(t), _near(1.0 - t), _far(2.0 - t)]


def _near(d: Any) -> Any:
    return ((A + 2) * d - (A + 3)) * d * d + 1.0


def _far(d: Any) -> Any:
    return ((A * d - 5 * A) * d + 8 * A) * d - 4 * A
