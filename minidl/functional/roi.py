"""Features of regions of interest (RoI): boxes of any size, each as a grid of the same size."""

from __future__ import annotations

from typing import Any

from .. import kernels
from ..autograd import Function, Tensor
from .selection import masked_fill
from .unpool import PlaneScatter


class RoIAlign(Function):
    """The mean of bilinear samples in each bin: linear in the features, so the gradient is its transpose."""

    saves_inputs = (1,)
    saves_outputs = ()

    def __init__(self, *, out_size: tuple[int, int], **rule: Any):  # rule: spatial_scale, sampling_ratio, aligned
        self.out_size, self.rule = out_size, rule

    def forward(self, x: Any, rois: Any) -> Any:
        return kernels.of(x).roi_align(x, rois, out_size=self.out_size, **self.rule)

    def backward(self, gy: Tensor) -> tuple[Tensor, None]:
        images, _, *size = self.input_shapes[0]
        return RoIAlignInputGrad(in_size=(images, *size), **self.rule)(gy, self.inputs[1]), None


class RoIAlignInputGrad(Function):
    """The transpose of RoIAlign, and RoIAlign is its transpose."""

    saves_inputs = (1,)
    saves_outputs = ()

    def __init__(self, *, in_size: tuple[int, ...], **rule: Any):  # in_size: (N, H, W)
        self.in_size, self.rule = in_size, rule

    def forward(self, gy: Any, rois: Any) -> Any:
        return kernels.of(gy).roi_align_input_grad(gy, rois, in_size=self.in_size, **self.rule)

    def backward(self, ggx: Tensor) -> tuple[Tensor, None]:
        out_h, out_w = self.input_shapes[0][2:]
        return RoIAlign(out_size=(out_h, out_w), **self.rule)(ggx, self.inputs[1]), None


class RoIPool(Function):
    """The largest pixel of each bin, and where it is: backward scatters to there; a bin without pixels gets nothing."""

    saves_inputs = ()
    saves_outputs = (1,)
    non_differentiable = (1,)

    def __init__(self, *, out_size: tuple[int, int], spatial_scale: float):
        self.out_size, self.spatial_scale = out_size, spatial_scale

    def forward(self, x: Any, rois: Any) -> tuple[Any, Any]:
        return kernels.of(x).roi_pool(x, rois, out_size=self.out_size, spatial_scale=self.spatial_scale)

    def backward(self, gy: Tensor, _: None) -> tuple[Tensor, None]:
        places = self.output(1).data
        gy = masked_fill(gy, Tensor(places < 0), 0.0)
        whole = PlaneScatter(size=self.input_shapes[0], accumulate=True)  # all of x as one plane of four dimensions
        return whole(gy, Tensor(places.clip(0, None))), None
