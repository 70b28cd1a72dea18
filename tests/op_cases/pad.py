"""Cases of pad."""

import minidl.functional as F
from minidl.kernels import reference

from ._case import OpCase, normal


def pad_case(x_shape, pad, mode="constant", value=None, batch_axis=0):
    """Pad by PyTorch's list of widths, whose first pair is for the last dimension."""
    widths = tuple((pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2))
    return OpCase(
        name=f"pad-{mode}-{pad}" + (f"-value={value}" if value is not None else ""),
        fn=lambda x: F.pad(x, pad, mode, value),
        inputs=normal(x_shape),
        reference=lambda x: reference.pad(x, widths, mode=mode, value=value or 0.0),
        torch=lambda torch, x: torch.nn.functional.pad(x, pad, mode, value),
        batch_axis=batch_axis,
    )


CASES = [
    pad_case((2, 3, 4), (1, 2)),
    pad_case((2, 3, 4), (1, 2), value=-1.5),
    pad_case((2, 3, 4, 3), (1, 0, 2, 3), value=0.5),
    pad_case((2, 3, 4, 5), (-1, 2, 1, -2)),
    pad_case((3, 4), (1, 1, 2, 0), batch_axis=None),
    pad_case((2, 2, 2, 3, 2), (1, 0, 0, 2, 1, 1)),
    pad_case((2, 2, 5), (4, 3), "reflect"),
    pad_case((2, 2, 4, 5), (2, 3, 3, 1), "reflect"),
    pad_case((2, 2, 4, 5), (-1, 3, 2, -1), "reflect"),
    pad_case((2, 1, 3, 2, 4), (1, 2, 0, 1, 2, 1), "reflect"),
    pad_case((2, 2, 3), (5, 4), "replicate"),
    pad_case((2, 2, 3, 4), (2, 1, 0, 3), "replicate"),
    pad_case((2, 2, 3, 4), (-1, 2, 3, -1), "replicate"),
    pad_case((2, 1, 2, 3, 2), (1, 2, 2, 0, 1, 3), "replicate"),
    pad_case((2, 2, 4), (4, 3), "circular"),
    pad_case((2, 2, 3, 4), (2, 1, 3, 2), "circular"),
    pad_case((2, 2, 3, 4), (-1, 2, 2, -1), "circular"),
    pad_case((2, 1, 2, 3, 2), (1, 2, 0, 3, 2, 1), "circular"),
]
