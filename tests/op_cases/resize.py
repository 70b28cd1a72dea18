"""Cases of interpolate and the pixel shuffles."""

import numpy as np

import minidl.functional as F
from minidl.kernels import reference

from ._case import OpCase, normal

KERNEL_MODES = {"bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}


def interpolate_case(mode, in_size, out_size, scale=None, align_corners=None, positions_from_sizes=False):
    """Resize (2, 2, *in_size) to `out_size`, or by `scale` to a size that must come out as `out_size`."""
    dims = len(in_size)
    scales = scale if isinstance(scale, tuple) else (scale,) * dims
    settings = {"mode": mode}
    if scale is None:
        settings["size"] = out_size
    else:
        settings["scale_factor"] = scale
    if align_corners is not None:
        settings["align_corners"] = align_corners
    if positions_from_sizes:
        settings["recompute_scale_factor"] = True
    return OpCase(
        name="interpolate-" + "-".join(f"{key}={value}" for key, value in settings.items()) + f"-from={in_size}",
        fn=lambda x: F.interpolate(x, **settings),
        inputs=normal((2, 2, *in_size)),
        reference=lambda x: reference.resize(
            x,
            out_size,
            mode=KERNEL_MODES.get(mode, mode),
            align_corners=bool(align_corners),
            scales=(None,) * dims if positions_from_sizes else scales,
        ),
        torch=lambda torch, x: torch.nn.functional.interpolate(x, **settings),
        batch_axis=0,
    )


def shuffled(x, r):
    """pixel_shuffle as loops over the r × r places of a pixel."""
    *batch, channels, h, w = x.shape
    y = np.empty((*batch, channels // r**2, h * r, w * r), x.dtype)
    for i in range(r):
        for j in range(r):
            y[..., i::r, j::r] = x[..., i * r + j :: r**2, :, :]
    return y


def unshuffled(x, r):
    """pixel_unshuffle as loops over the r × r places of a pixel."""
    *batch, channels, h, w = x.shape
    y = np.empty((*batch, channels * r**2, h // r, w // r), x.dtype)
    for i in range(r):
        for j in range(r):
            y[..., i * r + j :: r**2, :, :] = x[..., i::r, j::r]
    return y


def shuffle_case(x_shape, r):
    return OpCase(
        name=f"pixel_shuffle-{r}-{len(x_shape)}d",
        fn=lambda x: F.pixel_shuffle(x, r),
        inputs=normal(x_shape),
        reference=lambda x: shuffled(x, r),
        torch=lambda torch, x: torch.nn.functional.pixel_shuffle(x, r),
        batch_axis=0 if len(x_shape) > 3 else None,
    )


def unshuffle_case(x_shape, r):
    return OpCase(
        name=f"pixel_unshuffle-{r}-{len(x_shape)}d",
        fn=lambda x: F.pixel_unshuffle(x, r),
        inputs=normal(x_shape),
        reference=lambda x: unshuffled(x, r),
        torch=lambda torch, x: torch.nn.functional.pixel_unshuffle(x, r),
        batch_axis=0 if len(x_shape) > 3 else None,
    )


CASES = [
    interpolate_case("nearest", (5,), (8,)),
    interpolate_case("nearest", (3, 4), (6, 8), scale=2),
    interpolate_case("nearest", (3, 4), (9, 8), scale=(3.0, 2.0)),
    interpolate_case("nearest", (7, 6), (3, 4)),
    interpolate_case("nearest", (5, 6), (6, 7), scale=1.3),
    interpolate_case("nearest", (2, 3, 2), (4, 3, 5)),
    interpolate_case("nearest-exact", (5,), (3,)),
    interpolate_case("nearest-exact", (4, 5), (8, 11), scale=(2.0, 2.3)),
    interpolate_case("nearest-exact", (2, 3, 2), (3, 2, 4)),
    interpolate_case("linear", (5,), (11,)),
    interpolate_case("linear", (5,), (12,), scale=2.5, align_corners=False),
    interpolate_case("linear", (6,), (4,), align_corners=True),
    interpolate_case("bilinear", (4, 5), (8, 10), scale=2, align_corners=False),
    interpolate_case("bilinear", (4, 5), (8, 10), scale=2, align_corners=True),
    interpolate_case("bilinear", (4, 5), (9, 3), align_corners=False),
    interpolate_case("bilinear", (4, 5), (1, 7), align_corners=True),
    interpolate_case("bilinear", (5, 7), (6, 9), scale=1.3, align_corners=False),
    interpolate_case("bilinear", (5, 7), (6, 9), scale=1.3, align_corners=False, positions_from_sizes=True),
    interpolate_case("bilinear", (1, 3), (4, 3), align_corners=False),
    interpolate_case("trilinear", (2, 3, 4), (4, 2, 5), align_corners=False),
    interpolate_case("trilinear", (2, 3, 4), (3, 4, 6), scale=1.5, align_corners=True),
    interpolate_case("bicubic", (4, 5), (8, 10), scale=2, align_corners=False),
    interpolate_case("bicubic", (5, 6), (7, 4), align_corners=True),
    interpolate_case("bicubic", (5, 6), (3, 9), scale=(0.7, 1.5), align_corners=False),
    interpolate_case("area", (5, 7), (3, 4)),
    interpolate_case("area", (4, 6), (6, 3), scale=(1.5, 0.5)),
    interpolate_case("area", (7,), (4,)),
    shuffle_case((2, 8, 2, 3), 2),
    shuffle_case((9, 2, 2), 3),
    shuffle_case((2, 2, 4, 1, 2), 2),
    unshuffle_case((2, 2, 4, 6), 2),
    unshuffle_case((1, 3, 6), 3),
]
