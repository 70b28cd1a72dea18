"""Rows of the operation table: shapes, indexing, products."""

import numpy as np

import minidl as ml
from minidl import functional as F

from ._case import OpCase, normal


def _case(name, fn, shapes, reference, torch=None, **options):
    return OpCase(name, fn, normal(*shapes), reference, torch, **options)


def _tile(x, counts):
    return np.tile(x, counts)


CASES = [
    _case("reshape", lambda x: x.reshape(4, -1), [(2, 3, 4)], lambda x: x.reshape(4, 6), lambda t, x: x.reshape(4, -1)),
    _case("view-tuple", lambda x: x.view((6, 4)), [(2, 3, 4)], lambda x: x.reshape(6, 4), lambda t, x: x.reshape(6, 4)),
    _case("flatten", lambda x: x.flatten(1), [(2, 3, 4)], lambda x: x.reshape(2, 12),
          lambda t, x: x.flatten(1), batch_axis=0),
    _case("flatten-scalar", lambda x: x.flatten(), [()], lambda x: x.reshape(1), lambda t, x: x.flatten()),
    _case("unflatten", lambda x: x.unflatten(1, (3, -1)), [(2, 12)], lambda x: x.reshape(2, 3, 4),
          lambda t, x: x.unflatten(1, (3, -1)), batch_axis=0),
    _case("squeeze", lambda x: x.squeeze(), [(2, 1, 3, 1)], lambda x: x.squeeze(), lambda t, x: x.squeeze()),
    _case("squeeze-dim", lambda x: x.squeeze(1), [(2, 1, 3, 1)], lambda x: x.squeeze(1), lambda t, x: x.squeeze(1)),
    _case("squeeze-dim-longer", lambda x: x.squeeze(0), [(2, 1)], lambda x: x, lambda t, x: x.squeeze(0)),
    _case("unsqueeze", lambda x: x.unsqueeze(-1), [(2, 3)], lambda x: x[..., None], lambda t, x: x.unsqueeze(-1)),
    _case("permute", lambda x: x.permute(2, 0, 1), [(2, 3, 4)], lambda x: x.transpose(2, 0, 1),
          lambda t, x: x.permute(2, 0, 1)),
    _case("transpose", lambda x: x.transpose(0, -1), [(2, 3, 4)], lambda x: x.swapaxes(0, 2),
          lambda t, x: x.transpose(0, -1)),
    _case("T", lambda x: x.T, [(2, 3)], lambda x: x.T, lambda t, x: x.T),
    _case("mT", lambda x: x.mT, [(2, 3, 4)], lambda x: x.swapaxes(1, 2), lambda t, x: x.mT, batch_axis=0),
    _case("t", lambda x: x.t(), [(2, 3)], lambda x: x.T, lambda t, x: x.t()),
    _case("expand", lambda x: x.expand(2, -1, 4), [(3, 1)], lambda x: np.broadcast_to(x, (2, 3, 4)),
          lambda t, x: x.expand(2, -1, 4)),
    _case("broadcast_to", lambda x: x.broadcast_to((2, 3)), [()], lambda x: np.broadcast_to(x, (2, 3)),
          lambda t, x: x.broadcast_to((2, 3))),
    _case("repeat", lambda x: x.repeat(2, 1, 3), [(2, 3)], lambda x: _tile(x, (2, 1, 3)),
          lambda t, x: x.repeat(2, 1, 3)),
    _case("flip", lambda x: x.flip(0, 2), [(2, 3, 4)], lambda x: x[::-1, :, ::-1], lambda t, x: x.flip(0, 2)),
    _case("roll", lambda x: x.roll((1, -2), (0, 1)), [(2, 3)], lambda x: np.roll(x, (1, -2), (0, 1)),
          lambda t, x: x.roll((1, -2), (0, 1))),
    _case("roll-flat", lambda x: x.roll(2), [(2, 3)], lambda x: np.roll(x, 2), lambda t, x: x.roll(2)),
    _case("cat", lambda *x: F.cat(x, 1), [(2, 3), (2, 1), (2, 2)], lambda *x: np.concatenate(x, 1),
          lambda t, *x: t.cat(x, 1),
          batch_axis=0, batched=(0, 1, 2)),
    _case("stack", lambda *x: F.stack(x, -1), [(2, 3), (2, 3)], lambda *x: np.stack(x, -1),
          lambda t, *x: t.stack(x, -1)),
    _case("split", lambda x: x.split(2, 1), [(2, 5)], lambda x: (x[:, :2], x[:, 2:4], x[:, 4:]),
          lambda t, x: x.split(2, 1), batch_axis=0),
    _case("split-sizes", lambda x: x.split([1, 4], 1), [(2, 5)], lambda x: (x[:, :1], x[:, 1:]),
          lambda t, x: x.split([1, 4], 1)),
    _case("chunk", lambda x: x.chunk(3, 1), [(2, 7)], lambda x: (x[:, :3], x[:, 3:6], x[:, 6:]),
          lambda t, x: x.chunk(3, 1)),
    _case("unbind", lambda x: x.unbind(1), [(2, 2)], lambda x: (x[:, 0], x[:, 1]), lambda t, x: x.unbind(1)),
    _case("narrow", lambda x: x.narrow(1, 1, 2), [(2, 4)], lambda x: x[:, 1:3], lambda t, x: x.narrow(1, 1, 2)),
    _case("iteration", lambda x: tuple(x), [(2, 3)], lambda x: tuple(x), lambda t, x: tuple(x)),
    _case("clone", lambda x: x.clone(), [(2, 3)], lambda x: x, lambda t, x: x.clone()),
    _case("contiguous", lambda x: x.T.contiguous(), [(2, 3)], lambda x: x.T, lambda t, x: x.T.contiguous()),
]  # fmt: skip

_slices = {
    "integer": np.s_[1],
    "negative": np.s_[-1, ..., 0],
    "slice": np.s_[1:, ::2],
    "backwards": np.s_[..., ::-1],
    "ellipsis-none": np.s_[..., None, 1:3],
    "list": ([0, 2, 0],),
    "list-second": np.s_[:, [1, 1, 0]],
    "pairs": ([0, 2, 2], [1, 0, 0]),
    "apart": ([0, 2, 2], slice(None), [1, 0, 0]),
    "matrix": (np.array([[0, 2], [1, -1]]),),
    "mask": (np.array([True, False, True]),),
    "mask-2d": (np.arange(6).reshape(3, 2) % 2 == 0,),
    "mask-and-integers": (np.array([True, False, True]), [0, 1]),
    "empty-list": ([],),
}
CASES += [
    OpCase(
        f"getitem-{name}",
        lambda x, i=index: x[i],
        normal((3, 2, 4)),
        lambda x, i=index: x[
            tuple(np.asarray(e, dtype=int) if isinstance(e, list) else e for e in i) if isinstance(i, tuple) else i
        ],
        None if name == "backwards" else lambda t, x, i=index: x[i],
    )
    for name, index in _slices.items()
]


def _indexed(index, *shapes):
    return lambda rng: [rng.standard_normal(shape) for shape in shapes] + [np.array(index)]


def _gather_reference(x, index, dim):
    y = np.zeros(index.shape)
    for place in np.ndindex(index.shape):
        source = list(place)
        source[dim] = index[place]
        y[place] = x[tuple(source)]
    return y


def _scatter_reference(x, src, index, dim):
    y = x.copy()
    for place in np.ndindex(index.shape):
        target = list(place)
        target[dim] = index[place]
        y[tuple(target)] += src[place]
    return y


CASES += [
    OpCase("gather-0", lambda x, i: x.gather(0, i), _indexed([[0, 2, 2], [1, 1, 0]], (3, 4)),
           lambda x, i: _gather_reference(x, i, 0), lambda t, x, i: x.gather(0, i)),
    OpCase("gather-1", lambda x, i: x.gather(1, i), _indexed([[0, 3, 3], [1, 1, 0], [2, 2, 2]], (3, 4)),
           lambda x, i: _gather_reference(x, i, 1), lambda t, x, i: x.gather(1, i), batch_axis=0, batched=(0, 1)),
    OpCase("scatter_add-0", lambda x, s, i: x.scatter_add(0, i, s), _indexed([[0, 2, 2], [1, 1, 0]], (3, 4), (2, 3)),
           lambda x, s, i: _scatter_reference(x, s, i, 0), lambda t, x, s, i: x.scatter_add(0, i, s)),
    OpCase("scatter_add-wider-source",
          lambda x, s, i: x.scatter_add(1, i, s), _indexed([[0, 0], [1, 3]], (3, 4), (3, 3)),
           lambda x, s, i: _scatter_reference(x, s, i, 1)),  # PyTorch's own backward fails here
    OpCase("index_select", lambda x, i: x.index_select(1, i), _indexed([2, 0, 2], (2, 3, 2)), lambda x, i: x[:, i],
           lambda t, x, i: x.index_select(1, i), batch_axis=0),
    OpCase("take_along_dim", lambda x, i: x.take_along_dim(i, 1), _indexed([[2], [0], [1]], (1, 4)),
           lambda x, i: np.take_along_axis(np.broadcast_to(x, (3, 4)), i, 1), lambda t, x, i: x.take_along_dim(i, 1)),
    OpCase("take_along_dim-flat", lambda x, i: ml.take_along_dim(x, i), _indexed([[5, 0]], (2, 3)),
           lambda x, i: x.reshape(-1)[i.reshape(-1)], lambda t, x, i: t.take_along_dim(x, i)),
    _case("matmul", lambda a, b: a @ b, [(2, 3), (3, 4)], lambda a, b: a @ b, lambda t, a, b: a @ b, batch_axis=0),
    _case("mv", F.mv, [(2, 3), (3,)], lambda a, b: a @ b, lambda t, a, b: t.mv(a, b)),
    _case("addmm", lambda x, a, b: x.addmm(a, b), [(4,), (2, 3), (3, 4)], lambda x, a, b: x + a @ b,
          lambda t, x, a, b: t.addmm(x, a, b)),
    _case("addmm-scaled", lambda x, a, b: F.addmm(x, a, b, beta=0.5, alpha=3), [(2, 1), (2, 3), (3, 4)],
          lambda x, a, b: 0.5 * x + 3 * (a @ b), lambda t, x, a, b: t.addmm(x, a, b, beta=0.5, alpha=3)),
    _case("matmul-vector-vector", lambda a, b: a @ b, [(3,), (3,)], lambda a, b: a @ b, lambda t, a, b: a @ b),
    _case("matmul-matrix-vector", lambda a, b: a @ b, [(2, 3), (3,)], lambda a, b: a @ b, lambda t, a, b: a @ b),
    _case("matmul-vector-matrix", lambda a, b: a @ b, [(3,), (3, 2)], lambda a, b: a @ b, lambda t, a, b: a @ b),
    _case("matmul-stack-matrix", ml.matmul, [(2, 2, 3), (3, 2)], lambda a, b: a @ b,
          lambda t, a, b: a @ b, batch_axis=0),
    _case("matmul-stack-vector", ml.matmul, [(2, 2, 3), (3,)], lambda a, b: a @ b, lambda t, a, b: a @ b),
    _case("matmul-vector-stack", ml.matmul, [(3,), (2, 3, 2)], lambda a, b: a @ b, lambda t, a, b: a @ b),
    _case("matmul-matrix-stack", ml.matmul, [(2, 3), (2, 3, 2)], lambda a, b: a @ b, lambda t, a, b: a @ b),
    _case("matmul-broadcast", ml.matmul, [(2, 1, 2, 3), (3, 3, 2)], lambda a, b: a @ b, lambda t, a, b: a @ b),
    _case("mm", lambda a, b: a.mm(b), [(2, 3), (3, 4)], lambda a, b: a @ b, lambda t, a, b: a.mm(b)),
    _case("bmm", lambda a, b: a.bmm(b), [(2, 2, 3), (2, 3, 4)], lambda a, b: a @ b, lambda t, a, b: a.bmm(b),
          batch_axis=0, batched=(0, 1)),
    _case("dot", lambda a, b: a.dot(b), [(3,), (3,)], lambda a, b: a @ b, lambda t, a, b: a.dot(b)),
    _case("outer", lambda a, b: a.outer(b), [(3,), (2,)], np.outer, lambda t, a, b: a.outer(b)),
]  # fmt: skip

_equations = {
    "ij,jk->ik": [(2, 3), (3, 4)],
    "ij->ji": [(2, 3)],
    "ij->": [(2, 3)],
    "ii->i": [(3, 3)],
    "ii": [(3, 3)],
    "iji->j": [(3, 2, 3)],
    "i,j": [(2,), (3,)],
    "bij,bjk": [(2, 2, 3), (2, 3, 2)],
    "...ij,...jk->...ik": [(2, 1, 2, 3), (3, 3, 2)],
    "b...,b...->...": [(2, 3, 2), (2, 3, 2)],
    "ij,j->i": [(2, 3), (1,)],
    "ij,kl->ik": [(2, 3), (2, 2)],
    "ij,jk,kl->il": [(2, 3), (3, 2), (2, 2)],
    "i,i,i->": [(3,), (3,), (3,)],
}
CASES += [
    OpCase(
        f"einsum-{equation}",
        lambda *x, e=equation: F.einsum(e, *x),
        normal(*shapes),
        lambda *x, e=equation: np.einsum(e, *x),
        lambda t, *x, e=equation: t.einsum(e, *x),
    )
    for equation, shapes in _equations.items()
]
