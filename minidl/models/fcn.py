"""FCN: Long, Shelhamer & Darrell 2015, "Fully convolutional networks for semantic segmentation"."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any, ClassVar, NamedTuple

from .. import functional as F
from .. import nn
from ..autograd import Tensor, no_grad
from ..errors import ArgumentError
from ..nn import init
from .resnet import ResNet
from .vgg import vgg16


class Grid(NamedTuple):
    """Where the units of a map lie in the image: unit i sees pixels around ``stride · i + offset``."""

    stride: int = 1
    offset: float = 0.0
    channels: int = 0


def grid_after(grid: Grid, layer: nn.Module) -> Grid:
    """The grid of a layer's output, from that of its input; of a block, along its main path.

    Math:      a window of k pixels, dilation d, stride s and padding p, of a grid with stride a and offset b:
               stride' = a s, offset' = b + a (d (k − 1) / 2 − p)
    """
    if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        kernel, stride = _one(layer.kernel_size), _one(layer.stride)
        reach = _one(getattr(layer, "dilation", 1)) * (kernel - 1)
        before = reach // 2 if layer.padding == "same" else 0 if layer.padding == "valid" else _one(layer.padding)
        offset = grid.offset + grid.stride * (reach / 2 - before)
        return Grid(grid.stride * stride, offset, getattr(layer, "out_channels", grid.channels))
    for name, child in layer.named_children():
        if name != "downsample":  # the shortcut of a residual block
            grid = grid_after(grid, child)
    return grid


def _one(setting: Any) -> int:
    """A setting of a square window: k of k or of (k, k)."""
    if isinstance(setting, int):
        return setting
    if setting[0] != setting[1]:
        raise ArgumentError(f"FCN: the windows of the trunk must be square, got {tuple(setting)}")
    return setting[0]


def convolutionalize(trunk: nn.Module, padding: str = "valid") -> nn.Sequential:
    """A classification network as a convolution of its own: the same scores, at every place of an image of any size.

    A fully connected layer that sees maps of C × k × k is a convolution of k × k, and those after it are 1×1
    (section 3.1). At the image size of the trunk the result is 1 × 1 and equals the trunk's scores; where the trunk
    averages over the whole map, the mean of the result does.

    Args:      trunk: a network with `features` and a `classifier` (AlexNet, VGG, MiniVGG, MobileNetV2) or a ResNet.
               padding: "valid", or "same" to have as many score vectors as the last map has units
    Returns:   Sequential of `features`, which are the trunk's own layers, and `head`, whose convolutions have copies of
               its weights. (N, C, H, W) to (N, num_classes, h, w)
    Raises:    ArgumentError: another kind of network, or a dense layer that does not see C · k² numbers
    """
    features, dense = _parts(trunk)
    channels = _last(features).channels
    layers: list[nn.Module] = []
    for layer in dense:
        if isinstance(layer, nn.Flatten):
            continue
        if isinstance(layer, nn.Linear):
            layer = _as_convolution(layer, channels, padding)
            channels = layer.out_channels
        layers.append(layer)
    result = nn.Sequential()
    result.features, result.head = nn.Sequential(*features), nn.Sequential(*layers)
    return result.train(trunk.training)


def _parts(trunk: nn.Module) -> tuple[list[nn.Module], list[nn.Module]]:
    """The layers that make maps, and the dense layers."""
    if isinstance(trunk, ResNet):
        stem = nn.Sequential(trunk.conv1, trunk.bn1, trunk.relu)
        return [stem, trunk.maxpool, trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4], [trunk.fc]
    features, classifier = getattr(trunk, "features", None), getattr(trunk, "classifier", None)
    if not isinstance(features, nn.Sequential) or not isinstance(classifier, nn.Sequential):
        raise ArgumentError(
            f"convolutionalize: {type(trunk).__name__} is neither a ResNet nor a network of two Sequentials, "
            f"`features` and `classifier`; take alexnet, vgg16, MiniVGG, mobilenet_v2 or resnet50, or "
            f"name the parts of yours so"
        )
    return list(features), list(classifier)


def _last(layers: Iterable[nn.Module]) -> Grid:
    return list(accumulate(layers, grid_after, initial=Grid()))[-1]


def _as_convolution(dense: nn.Linear, channels: int, padding: str) -> nn.Conv2d:
    """w[o, (c, i, j)] of the dense layer as w[o, c, i, j]."""
    side = math.isqrt(dense.in_features // channels)
    if channels * side**2 != dense.in_features:
        raise ArgumentError(
            f"convolutionalize: a dense layer of {dense.in_features} inputs cannot see {channels} square maps; its "
            f"in_features must be {channels} · k²"
        )
    weight, bias = dense.weight, dense.bias
    convolution = nn.Conv2d(
        channels, dense.out_features, side, padding=padding, bias=bias is not None, device=weight.device,
        dtype=weight.dtype,
    )  # fmt: skip
    with no_grad():
        convolution.weight.data[...] = weight.data.reshape(convolution.weight.shape)
        if bias is not None and convolution.bias is not None:
            convolution.bias.data[...] = bias.data
    return convolution


class Upscore(nn.ConvTranspose2d):
    """Scores enlarged s times, by a transposed convolution of 2s × 2s that begins as bilinear interpolation.

    A transposed convolution whose kernel is twice its stride is s² convolutions of 2×2, one for each place within a
    block of s × s pixels; :func:`~minidl.functional.pixel_shuffle` puts their results side by side. It is computed so
    because 4s² steps of a few numbers each would take longer.

    Deviation from the paper: outside the map its border is repeated, so that the layer begins as
    :func:`~minidl.functional.interpolate` up to the edge. The authors pad the image by 100 pixels instead.

    Args:      channels: C, of input and output. stride: s, even
    Returns:   forward: (N, C, s·h, s·w) of (N, C, h, w)
    Source:    section 3.3
    """

    def __init__(self, channels: int, stride: int):
        super().__init__(channels, channels, 2 * stride, stride=stride, padding=stride // 2, bias=False)
        init.bilinear_(self.weight)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        (c, o), s = self.weight.shape[:2], self.stride[0]
        x = F.pad(x, (1, 1, 1, 1), mode="replicate")
        taps = self.weight.reshape(c, o, 2, s, 2, s).flip((2, 4)).permute(1, 3, 5, 0, 2, 4)
        y = F.pixel_shuffle(F.conv2d(x, taps.reshape(o * s * s, c, 2, 2)), s)
        return y[..., s // 2 : -s // 2, s // 2 : -s // 2]


class _FCN(nn.Module):
    _skips: ClassVar[tuple[int, ...]]

    def __init__(self, num_classes: int = 21, trunk: nn.Module | None = None, learn_last: bool = False):
        super().__init__()
        name = type(self).__name__
        parts = convolutionalize(vgg16() if trunk is None else trunk, padding="same")
        self.features, self.head = parts.features, parts.head[:-1]
        grids = list(accumulate(self.features, grid_after, initial=Grid()))[1:]
        deepest = grid_after(grids[-1], self.head)
        if deepest.stride != 32:
            raise ArgumentError(
                f"{name}: the trunk's maps must be 32 times smaller than the image, those of this "
                f"{type(trunk).__name__} are {deepest.stride} times smaller; as a small trunk take MiniVGG with five "
                f"widths, such as MiniVGG(widths=(16, 32, 64, 64, 64))"
            )
        self._taken: dict[int, int] = {}  # position in features: the stride of its maps, for a skip
        self._grids = [deepest]
        for stride in self._skips:
            at = next((i for i, grid in enumerate(grids) if grid.stride == stride), None)
            if at is None:
                raise ArgumentError(f"{name}: no layer of the trunk has maps {stride} times smaller than the image")
            self._taken[at] = stride
            self._grids.append(grids[at])

        self.score = nn.ModuleDict({str(g.stride): nn.Conv2d(g.channels, num_classes, 1) for g in self._grids})
        for layer in self.score.values():
            init.zeros_(layer.weight)
            init.zeros_(layer.bias)
        self.upscore = nn.ModuleDict(
            {f"{a.stride}to{b.stride}": Upscore(num_classes, a.stride // b.stride) for a, b in pairwise(self._grids)}
        )
        last = self._grids[-1].stride
        self.upscore[f"{last}to1"] = (
            Upscore(num_classes, last) if learn_last else nn.Upsample(scale_factor=last, mode="bilinear")
        )

    def forward(self, x: Tensor) -> Tensor:
        size, skips = x.shape[-2:], {}
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._taken:
                skips[self._taken[index]] = x
        y = self.score["32"](self.head(x))
        for coarse, fine in pairwise(self._grids):
            skip = self.score[str(fine.stride)](skips[fine.stride])
            y = self._enlarge(y, coarse, fine, skip.shape[-2:]) + skip
        return self._enlarge(y, self._grids[-1], Grid(), size)

    def _enlarge(self, y: Tensor, coarse: Grid, fine: Grid, size: Sequence[int]) -> Tensor:
        """Scores on a finer grid, cut or, by repeating the border, filled up to the units that this has."""
        s = coarse.stride // fine.stride
        start = math.floor(s / 2 - (coarse.offset - fine.offset) / fine.stride)  # where the finer grid begins in ours
        before = max(-(start // s), 0)
        after = [max(-(-(start + wanted) // s) - n, 0) for wanted, n in zip(size, y.shape[-2:], strict=True)]
        if before or any(after):
            y = F.pad(y, (before, after[1], before, after[0]), mode="replicate")
        y = self.upscore[f"{coarse.stride}to{fine.stride}"](y)
        first = start + before * s
        return y[..., first : first + size[0], first : first + size[1]]


class FCN32s(_FCN):
    """A classification network that labels every pixel: scores at every 32nd pixel, enlarged to the image.

    ===============  ============================================  ==========================
    layer            with vgg16, num_classes K                     output
    ===============  ============================================  ==========================
    input                                                          3 × H × W
    features         the trunk's: 13 × conv3, five maxima          512 × H/32 × W/32
    head             its dense layers as 7×7 and 1×1, without the  4096 × H/32 × W/32
    ..               last; dropout
    score.32         1×1, begins at 0                              K × H/32 × W/32
    upscore.32to1    bilinear interpolation                        K × H × W
    ===============  ============================================  ==========================

    In :class:`FCN16s` scores of stride 32 are doubled by a learned transposed convolution, ``upscore.32to16``, and
    added to ``score.16`` of the fourth maximum before they are enlarged; in :class:`FCN8s` so once more with
    ``score.8`` of the third. The last enlargement stays bilinear interpolation, the others (:class:`Upscore`) begin as
    that. Crops come from where the units lie in the image, so that any trunk and any size of image fits.

    Train the three in turn: names agree, and scores of skips begin at 0, so that each begins where the one before
    ended::

        finer = FCN16s(21, trunk)
        finer.load_state_dict(coarser.state_dict(), strict=False)

    Deviations: the first dense layer is padded to keep the size of the map, and borders are repeated
    (:class:`Upscore`), where the authors pad the image by 100 pixels.

    Args:      num_classes: scores of each pixel, background included. trunk: what :func:`convolutionalize` takes, with
               maps 32 times smaller than the image: vgg16 (the default), alexnet, resnet50, mobilenet_v2, or with few
               channels MiniVGG(widths=(16, 32, 64, 64, 64)). Its convolutions become part of this network, its dense
               layers are copied. learn_last: let the last enlargement be learned too; that takes its time
    Returns:   forward: scores (N, num_classes, H, W) of images (N, C, H, W)
    Raises:    ArgumentError: a trunk that does not fit. ShapeError: in forward, an image that the trunk finds too small
    Source:    section 4; the fixed last layer is in section 4.3
    """

    _skips = ()


class FCN16s(_FCN):
    """:class:`FCN32s` with a skip from the first maps of stride 16: section 4.2."""

    _skips = (16,)


class FCN8s(_FCN):
    """:class:`FCN32s` with skips from the first maps of stride 16 and 8: section 4.2."""

    _skips = (16, 8)
