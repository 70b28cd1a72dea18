"""Feature pyramid: Lin, Dollár, Girshick, He, Hariharan & Belongie 2017, "Feature pyramid networks for detection"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .. import functional as F
from .. import nn
from ..autograd import Tensor
from ..errors import ArgumentError, ShapeError
from ..nn import init
from .resnet import Bottleneck, ResNet


class FrozenBatchNorm2d(nn.Module):
    """Batch norm whose four numbers per channel are fixed: y = (x − mean) · weight / √(var + eps) + bias.

    A detector sees one or two images at a time, from which no statistics can be had; it keeps those of ImageNet. All
    four are buffers, so nothing of it is trained.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5):
        super().__init__()
        self.num_features, self.eps = num_features, eps
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, F.full((num_features,), value))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}"


class FeaturePyramidNetwork(nn.Module):
    """Maps of all strides with the same number of channels, each told what the coarser ones know.

    Math:      p_l = conv3×3(m_l),  m_l = conv1×1(c_l) + enlarge(m_{l+1});  and on top of the last one its every second
               pixel, "pool", for the largest anchors
    Args:      in_channels_list: channels of c_l, the finest first. out_channels: of every p_l
    Returns:   forward: {name: (N, out_channels, h_l, w_l)} of {name: (N, C_l, h_l, w_l)}, and "pool"
    Raises:    ShapeError: another number of maps
    Source:    section 3, figure 3; enlarged by repeating pixels. "pool" is in section 4.1
    """

    def __init__(self, in_channels_list: Sequence[int], out_channels: int):
        super().__init__()
        # one Sequential around each convolution, as torchvision's names have it
        self.inner_blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(c, out_channels, 1)) for c in in_channels_list)
        self.layer_blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(out_channels, out_channels, 3, padding=1)) for _ in in_channels_list
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_uniform_(module.weight, a=1)
                init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, x: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if len(x) != len(self.inner_blocks):
            raise ShapeError(
                f"FeaturePyramidNetwork: {len(x)} maps were given, but there are convolutions for "
                f"{len(self.inner_blocks)}"
            )
        merged: Tensor | None = None
        pyramid = {}
        for (name, c), inner, layer in reversed(
            list(zip(x.items(), self.inner_blocks, self.layer_blocks, strict=True))
        ):
            lateral = inner(c)
            merged = lateral if merged is None else lateral + F.interpolate(merged, lateral.shape[-2:], mode="nearest")
            pyramid[name] = layer(merged)
        pyramid = dict(reversed(pyramid.items()))
        coarsest = list(pyramid.values())[-1]
        return {**pyramid, "pool": F.max_pool2d(coarsest, 1, stride=2)}


class ResNetBody(ResNet):
    """A ResNet-50 without its classifier, with frozen batch norm; gives the maps of its four layers, "0" to "3"."""

    def __init__(self) -> None:
        super().__init__(Bottleneck, (3, 4, 6, 3), norm_layer=FrozenBatchNorm2d)
        del self.avgpool, self.fc

    def forward(self, x: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps = {}
        for number, layer in enumerate((self.layer1, self.layer2, self.layer3, self.layer4)):
            maps[str(number)] = x = layer(x)
        return maps


class ResNetFPN(nn.Module):
    """A feature pyramid on a ResNet-50.

    ==========  ======================  ====================
    map         from                    output
    ==========  ======================  ====================
    "0"         layer1                  256 × H/4 × W/4
    "1"         layer2                  256 × H/8 × W/8
    "2"         layer3                  256 × H/16 × W/16
    "3"         layer4                  256 × H/32 × W/32
    "pool"      every second of "3"     256 × H/64 × W/64
    ==========  ======================  ====================

    Args:      trainable_layers: how many of layer4, layer3, layer2, layer1 and the stem are trained, from the top
    """

    def __init__(self, trainable_layers: int = 3):
        super().__init__()
        if not 0 <= trainable_layers <= 5:
            raise ArgumentError(f"ResNetFPN: trainable_layers={trainable_layers} must be 0 … 5")
        self.out_channels = 256
        self.body = ResNetBody()
        self.fpn = FeaturePyramidNetwork((256, 512, 1024, 2048), self.out_channels)
        trained = ("layer4", "layer3", "layer2", "layer1", "conv1")[:trainable_layers]
        for name, parameter in self.body.named_parameters():
            parameter.requires_grad_(name.startswith(trained) if trained else False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return self.fpn(self.body(x))
