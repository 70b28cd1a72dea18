"""Rows of the operation table: rearrangements put together from simpler ones."""

import numpy as np

import minidl as ml
from minidl import functional as F

from ._case import OpCase, normal

CASES = [
    OpCase(
        "movedim",
        lambda x: F.movedim(x, 0, -1),
        normal((2, 3, 4)),
        lambda x: x.transpose(1, 2, 0),
        lambda torch, x: torch.movedim(x, 0, -1),
        batch_axis=0,
    ),
    OpCase(
        "movedim-two",
        lambda x: x.movedim((0, 1), (2, 0)),
        normal((2, 3, 4)),
        lambda x: x.transpose(1, 2, 0),
        lambda torch, x: x.movedim((0, 1), (2, 0)),
    ),
    OpCase(
        "swapaxes",
        lambda x: F.swapaxes(x, 0, -1),
        normal((2, 3, 4)),
        lambda x: x.transpose(2, 1, 0),
        lambda torch, x: torch.swapaxes(x, 0, -1),
    ),
    OpCase(
        "select",
        lambda x: x.select(1, -1),
        normal((2, 3, 4)),
        lambda x: x[:, 2],
        lambda torch, x: x.select(1, -1),
        batch_axis=0,
    ),
    OpCase(
        "expand_as",
        lambda x, y: x.expand_as(y),
        normal((3, 1), (2, 3, 4)),
        lambda x, y: x + 0 * y,
        lambda torch, x, y: x.expand_as(y),
        diff=(0,),
    ),
    OpCase(
        "view_as",
        lambda x, y: x.view_as(y),
        normal((3, 4), (2, 6)),
        lambda x, y: x.reshape(2, 6),
        lambda torch, x, y: x.view_as(y),
        diff=(0,),
    ),
    OpCase("ravel", F.ravel, normal((2, 3)), lambda x: x.reshape(6), lambda torch, x: torch.ravel(x), batch_axis=0),
    OpCase(
        "tile",
        lambda x: F.tile(x, (2,)),
        normal((2, 3)),
        lambda x: np.concatenate([x, x], 1),
        lambda torch, x: torch.tile(x, (2,)),
        batch_axis=0,
    ),
    OpCase(
        "tile-more",
        lambda x: x.tile(2, 1, 3),
        normal((2, 3)),
        lambda x: np.stack([np.concatenate([x] * 3, 1)] * 2),
        lambda torch, x: x.tile(2, 1, 3),
    ),
    OpCase(
        "repeat_interleave",
        lambda x: F.repeat_interleave(x, 2),
        normal((2, 3)),
        lambda x: np.array([v for v in x.reshape(-1) for _ in range(2)]),
        lambda torch, x: torch.repeat_interleave(x, 2),
        batch_axis=0,
    ),
    OpCase(
        "repeat_interleave-each",
        lambda x: x.repeat_interleave(ml.tensor([2, 0, 1]), dim=1),
        normal((2, 3)),
        lambda x: x[:, [0, 0, 2]],
        lambda torch, x: x.repeat_interleave(torch.tensor([2, 0, 1]), dim=1),
        batch_axis=0,
    ),
    OpCase(
        "hstack",
        lambda a, b: F.hstack([a, b]),
        normal((2, 3), (2, 1)),
        lambda a, b: np.concatenate([a, b], 1),
        lambda torch, a, b: torch.hstack([a, b]),
    ),
    OpCase(
        "hstack-vectors",
        lambda a, b: F.hstack([a, b]),
        normal((3,), (2,)),
        lambda a, b: np.concatenate([a, b]),
        lambda torch, a, b: torch.hstack([a, b]),
    ),
    OpCase(
        "hstack-numbers",
        lambda a, b: F.hstack([a, b]),
        normal((), ()),
        lambda a, b: np.array([a, b]),
        lambda torch, a, b: torch.hstack([a, b]),
    ),
    OpCase(
        "vstack",
        lambda a, b: F.vstack([a, b]),
        normal((3,), (2, 3)),
        lambda a, b: np.concatenate([a[None], b]),
        lambda torch, a, b: torch.vstack([a, b]),
    ),
    OpCase(
        "meshgrid",
        lambda a, b: F.stack(F.meshgrid(a, b)),
        normal((2,), (3,)),
        lambda a, b: np.stack([a[:, None] + 0 * b, 0 * a[:, None] + b]),
        lambda torch, a, b: torch.stack(torch.meshgrid(a, b, indexing="ij")),
    ),
    OpCase(
        "meshgrid-xy",
        lambda *v: F.stack(F.meshgrid(list(v), indexing="xy")),
        normal((2,), (3,)),
        lambda a, b: np.stack([a + 0 * b[:, None], 0 * a + b[:, None]]),
        lambda torch, a, b: torch.stack(torch.meshgrid(a, b, indexing="xy")),
    ),
    OpCase(
        "meshgrid-three",
        lambda *v: F.stack(F.meshgrid(*v)),
        normal((2,), (3,), ()),
        lambda a, b, c: np.stack([np.broadcast_to(v, (2, 3, 1)) for v in (a[:, None, None], b[:, None], c)]),
        lambda torch, a, b, c: torch.stack(torch.meshgrid(a, b, c, indexing="ij")),
    ),
    OpCase(
        "broadcast_tensors",
        lambda a, b: F.stack(F.broadcast_tensors(a, b)),
        normal((3, 1), (4,)),
        lambda a, b: np.stack([a + 0 * b, 0 * a + b]),
        lambda torch, a, b: torch.stack(torch.broadcast_tensors(a, b)),
    ),
]
