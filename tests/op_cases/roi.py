"""Cases of roi_align and roi_pool."""

import numpy as np

from minidl.autograd import Tensor
from minidl.backend import to_device
from minidl.kernels import reference
from minidl.vision import ops

from ._case import OpCase, distinct

SIZE = (2, 3, 6, 7)
ROIS = np.array(
    [
        [0, 1.3, 0.7, 10.9, 9.2],
        [1, 4.1, 2.2, 6.3, 11.7],
        [1, -3.2, -2.4, 5.1, 3.3],  # partly outside
        [0, 8.3, 6.4, 17.6, 15.9],
        [1, 5.2, 5.1, 5.3, 5.2],  # less than a pixel
    ]
)


def regions(x):
    return Tensor(to_device(ROIS, x.device))


def align_case(out_size, spatial_scale, sampling_ratio, aligned):
    settings = {"spatial_scale": spatial_scale, "sampling_ratio": sampling_ratio, "aligned": aligned}
    return OpCase(
        name=f"roi_align-{out_size}-scale={spatial_scale}-ratio={sampling_ratio}-aligned={aligned}",
        fn=lambda x: ops.roi_align(x, regions(x), out_size, **settings),
        inputs=distinct(SIZE),
        reference=lambda x: reference.roi_align(x, ROIS, out_size=out_size, **settings),
    )


def pool_case(out_size, spatial_scale):
    return OpCase(
        name=f"roi_pool-{out_size}-scale={spatial_scale}",
        fn=lambda x: ops.roi_pool(x, regions(x), out_size, spatial_scale),
        inputs=distinct(SIZE),
        reference=lambda x: reference.roi_pool(x, ROIS, out_size=out_size, spatial_scale=spatial_scale)[0],
    )


CASES = [
    align_case((2, 3), 0.5, 2, False),
    align_case((2, 3), 0.5, 2, True),
    align_case((3, 2), 0.5, -1, True),
    align_case((2, 2), 1.0, 0, False),
    pool_case((2, 3), 0.5),
    pool_case((3, 2), 1.0),
]
