"""Convolutions and transposed convolutions."""

from __future__ import annotations

from collections.abc import Iterator

from ._case import Kernel, normal

CONV = [  # name, batch, channels, height and width, output channels, kernel, stride, padding, groups
    ("conv 3->32@32 3x3", 64, 3, 32, 32, 3, 1, 1, 1),
    ("conv 16->16@32 3x3", 64, 16, 32, 16, 3, 1, 1, 1),
    ("conv 32->32@32 3x3", 64, 32, 32, 32, 3, 1, 1, 1),
    ("conv 64->64@32 3x3", 64, 64, 32, 64, 3, 1, 1, 1),
    ("conv 128->128@16 3x3", 64, 128, 16, 128, 3, 1, 1, 1),
    ("conv 256->64@14 1x1", 64, 256, 14, 64, 1, 1, 0, 1),
    ("conv 32->64@32 3x3/2", 64, 32, 32, 64, 3, 2, 1, 1),
    ("conv 3->64@112 7x7/2 N=8", 8, 3, 112, 64, 7, 2, 3, 1),
    ("depthwise 64@32 3x3", 64, 64, 32, 64, 3, 1, 1, 64),
    ("depthwise 144@56 3x3 N=8", 8, 144, 56, 144, 3, 1, 1, 144),
]
TRANSPOSED = [  # name, batch, channels, height and width, output channels, kernel, stride, padding
    ("conv_transpose 128->64@8 4x4/2", 64, 128, 8, 64, 4, 2, 1),
    ("conv_transpose 64->3@16 4x4/2", 64, 64, 16, 3, 4, 2, 1),
    ("conv_transpose 6->6@16 8x8/4 N=16", 16, 6, 16, 6, 8, 4, 2),
]


def kernels() -> Iterator[Kernel]:
    for row in CONV:
        yield conv(*row)
    for row in TRANSPOSED:
        yield conv_transpose(*row)


def conv(name: str, n: int, c: int, size: int, o: int, k: int, stride: int, padding: int, groups: int) -> Kernel:
    out = (size + 2 * padding - k) // stride + 1
    return Kernel(
        name,
        (normal(n, c, size, size), normal(o, c // groups, k, k)),
        lambda ml, x, w: ml.nn.functional.conv2d(x, w, stride=stride, padding=padding, groups=groups),
        flops=2.0 * n * o * out * out * (c // groups) * k * k,
        chainer=lambda F, x, w: F.convolution_2d(x, w, None, stride, padding, groups=groups),
        dezero=(lambda F, x, w: F.conv2d_simple(x, w, None, stride, padding)) if groups == 1 else None,
    )


def conv_transpose(name: str, n: int, c: int, size: int, o: int, k: int, stride: int, padding: int) -> Kernel:
    return Kernel(
        name,
        (normal(n, c, size, size), normal(c, o, k, k)),
        lambda ml, x, w: ml.nn.functional.conv_transpose2d(x, w, stride=stride, padding=padding),
        flops=2.0 * n * c * size * size * o * k * k,
        chainer=lambda F, x, w: F.deconvolution_2d(x, w, None, stride, padding),
        dezero=lambda F, x, w: F.deconv2d(x, w, None, stride, padding),
    )
