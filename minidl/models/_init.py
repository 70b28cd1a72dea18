"""How the networks begin, where their papers or torchvision say something else than the layers' default."""

from __future__ import annotations

from .. import nn
from ..nn import init


def he_convolutions(model: nn.Module) -> None:
    """Draw the convolutions so that rectified units keep the variance of gradients; biases 0.

    Math:      w ~ N(0, 2 / fan_out), fan_out = out_channels · kh · kw
    Source:    He et al. 2015, "Delving deep into rectifiers", eq. 14
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                init.zeros_(layer.bias)


def small_dense(model: nn.Module) -> None:
    """Draw the fully connected layers from N(0, 0.01²); biases 0."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            init.normal_(layer.weight, 0.0, 0.01)
            if layer.bias is not None:
                init.zeros_(layer.bias)
