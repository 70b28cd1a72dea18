"""How dense and convolution layers begin."""

from __future__ import annotations

import math

from ..autograd import Tensor
from .init import uniform_


def draw_parameters(weight: Tensor, bias: Tensor | None, fan_in: int) -> None:
    """Draw a layer's parameters anew.

    Math:      U[−b, b) with b = 1/√fan_in
    Args:      fan_in: how many inputs a unit sees
    Source:    PyTorch's default, there Kaiming uniform with a = √5: a third of the variance of LeCun et al. 1998,
               "Efficient BackProp", section 4.6
    """
    bound = 1 / math.sqrt(max(fan_in, 1))
    for parameter in (weight, bias):
        if parameter is not None:
            uniform_(parameter, -bound, bound)
