"""ResNet: He, Zhang, Ren & Sun 2016, "Deep residual learning for image recognition"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from .. import nn
from ..autograd import Tensor
from ..errors import ArgumentError
from ..nn import init
from ._init import he_convolutions
from ._pretrained import build

Norm = Callable[[int], nn.Module]


class BasicBlock(nn.Module):
    """y = relu(x + F(x)), F two 3×3 convolutions: figure 5, left. `downsample` fits x to the shape of F(x)."""

    expansion: ClassVar[int] = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        dilation: int = 1,
        norm_layer: Norm = nn.BatchNorm2d,
    ):
        super().__init__()
        if dilation > 1:
            raise ArgumentError(f"BasicBlock: dilation {dilation} is for Bottleneck only, as in resnet50; use 1")
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = norm_layer(planes)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = norm_layer(planes)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + shortcut)


class Bottleneck(nn.Module):
    """y = relu(x + F(x)), F: 1×1 to a quarter of the channels, 3×3, 1×1 back: figure 5, right.

    The stride is in the 3×3, as in torchvision; in the paper it is in the first 1×1, which skips three quarters of x.
    """

    expansion: ClassVar[int] = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        dilation: int = 1,
        norm_layer: Norm = nn.BatchNorm2d,
    ):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = norm_layer(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride=stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = norm_layer(planes)
        self.conv3 = nn.Conv2d(planes, planes * self.expansion, 1, bias=False)
        self.bn3 = norm_layer(planes * self.expansion)
        self.relu = nn.ReLU()
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.relu(self.bn3(self.conv3(out)) + shortcut)


class ResNet(nn.Module):
    """Blocks that add to their input what they compute from it, so that depth does no harm.

    Table 1 of the paper. Names, shapes and arithmetic are torchvision's.

    ===========  ===============  ===============  ======================  ==============
    layer        resnet18         resnet34         resnet50                output
    ===========  ===============  ===============  ======================  ==============
    input                                                                  3 × 224 × 224
    conv1        7×7, stride 2                                             64 × 112 × 112
    maxpool      3×3, stride 2                                             64 × 56 × 56
    layer1       2 × [3×3, 64]²   3 × [3×3, 64]²   3 × [1×1, 3×3, 1×1]     64k × 56 × 56
    layer2       2 × [3×3, 128]²  4 × [3×3, 128]²  4 × [1×1, 3×3, 1×1]     128k × 28 × 28
    layer3       2 × [3×3, 256]²  6 × [3×3, 256]²  6 × [1×1, 3×3, 1×1]     256k × 14 × 14
    layer4       2 × [3×3, 512]²  3 × [3×3, 512]²  3 × [1×1, 3×3, 1×1]     512k × 7 × 7
    avgpool, fc  mean, dense                                               1000 logits
    k            1                1                4
    parameters   11,689,512       21,797,672       25,557,032
    ===========  ===============  ===============  ======================  ==============

    Where a layer changes the shape, its first block has a 1×1 convolution in the shortcut (option B of the paper).

    Args:      block: BasicBlock or Bottleneck. layers: number of blocks of each of the four layers. num_classes:
               logits. zero_init_residual: γ = 0 in the last norm of each block, so that all blocks begin as the
               identity (Goyal et al. 2017, section 5.1). replace_stride_with_dilation: for layers 2 to 4, keep the size
               and see as far by dilation instead, as segmentation wants it; Bottleneck only. norm_layer: what makes a
               norm for so many channels
    Raises:    ArgumentError: not four layers, not three choices of dilation, or dilation with BasicBlock
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: Norm = nn.BatchNorm2d,
    ):
        super().__init__()
        dilate = (False, False, False) if replace_stride_with_dilation is None else replace_stride_with_dilation
        if len(layers) != 4 or len(dilate) != 3:
            raise ArgumentError(
                f"ResNet: needs the number of blocks of 4 layers and, for the last 3, whether to replace the stride "
                f"with dilation; got layers={layers!r}, replace_stride_with_dilation={replace_stride_with_dilation!r}"
            )
        self.inplanes, self.dilation = 64, 1
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm_layer(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0], 1, False, norm_layer)
        self.layer2 = self._make_layer(block, 128, layers[1], 2, dilate[0], norm_layer)
        self.layer3 = self._make_layer(block, 256, layers[2], 2, dilate[1], norm_layer)
        self.layer4 = self._make_layer(block, 512, layers[3], 2, dilate[2], norm_layer)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)

        he_convolutions(self)
        if zero_init_residual:
            for module in self.modules():
                if isinstance(module, BasicBlock | Bottleneck):
                    last = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                    init.zeros_(last.weight)

    def _make_layer(
        self, block: Any, planes: int, blocks: int, stride: int, dilate: bool, norm_layer: Norm
    ) -> nn.Sequential:
        first_dilation = self.dilation
        if dilate:
            self.dilation, stride = self.dilation * stride, 1
        out_channels = planes * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != out_channels:
            downsample = nn.Sequential(
                nn.Conv2d(self.inplanes, out_channels, 1, stride=stride, bias=False), norm_layer(out_channels)
            )
        first = block(self.inplanes, planes, stride, downsample, first_dilation, norm_layer)
        self.inplanes = out_channels
        others = [block(out_channels, planes, 1, None, self.dilation, norm_layer) for _ in range(1, blocks)]
        return nn.Sequential(first, *others)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def resnet18(pretrained: bool = False, **settings: Any) -> ResNet:
    """:class:`ResNet` of 18 layers; `settings` are its arguments. For `pretrained` see :mod:`minidl.models`."""
    return build("resnet18", pretrained, ResNet, BasicBlock, (2, 2, 2, 2), **settings)


def resnet34(pretrained: bool = False, **settings: Any) -> ResNet:
    """:class:`ResNet` of 34 layers; `settings` are its arguments. For `pretrained` see :mod:`minidl.models`."""
    return build("resnet34", pretrained, ResNet, BasicBlock, (3, 4, 6, 3), **settings)


def resnet50(pretrained: bool = False, **settings: Any) -> ResNet:
    """:class:`ResNet` of 50 layers; `settings` are its arguments. For `pretrained` see :mod:`minidl.models`."""
    return build("resnet50", pretrained, ResNet, Bottleneck, (3, 4, 6, 3), **settings)
