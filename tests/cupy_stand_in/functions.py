"""The functions of the module: NumPy's, called with what CuPy's take and returning what CuPy's return."""

import functools

import numpy as np

from . import creation, indexing
from .array import call, ndarray, rearrange, unwrap
from .counters import launched, synchronised
from .names import check_call

VIEWS = """
    broadcast_to diagonal expand_dims flip fliplr flipud moveaxis ravel reshape rollaxis rot90 squeeze swapaxes
    transpose
"""
"""These look at the memory of their first argument in another way."""

PLAIN = """
    all amax amin any append argmax argmin argpartition around array_split atleast_1d atleast_2d atleast_3d average
    broadcast_arrays clip column_stack concatenate convolve corrcoef cov cross cumprod cumsum diag diff digitize dot
    dstack einsum hsplit hstack indices inner interp ix_ isclose kron lexsort max mean median meshgrid min nan_to_num
    nanmax nanmean nanmin nansum outer pad partition percentile prod ptp put_along_axis quantile ravel_multi_index
    repeat roll round searchsorted select split stack std sum tensordot tile trace tril triu unravel_index var vdot
    vsplit vstack
"""
"""These compute, with as many kernels as CuPy likes, and do not wait."""

SYNCHRONISING = "argwhere bincount extract flatnonzero histogram intersect1d isin nonzero setdiff1d union1d unique"
"""These have to know on the host how large their result will be, or what is in it."""

ZERO_D = "allclose array_equal array_equiv count_nonzero"
"""NumPy answers these with Python's numbers, CuPy with arrays of no dimension."""

ABOUT = """
    can_cast common_type isscalar iscomplexobj isrealobj may_share_memory ndim promote_types result_type shape
    shares_memory size
"""
"""These look at types and shapes only."""

LINALG = "cholesky det eigh inv norm pinv qr solve svd"


def _listed(namespace, name, function, how):
    """A function that takes what CuPy's function of this name takes."""

    @functools.wraps(function)
    def checked(*args, **kwargs):
        check_call(namespace, name, args, kwargs)
        return how(function, *args, **kwargs)

    return checked


def _rearranged(function, a, *args, **kwargs):
    if not isinstance(a, ndarray):
        raise TypeError(f"Unsupported type {type(a)}")
    return rearrange(function, a, *args, **kwargs)


def _computed(function, *args, **kwargs):
    launched(f"cupy.{function.__name__}")
    out = kwargs.get("out")
    result = call(function, *args, **kwargs)
    return result if out is None else out


def _synchronising(function, *args, **kwargs):
    synchronised(f"cupy.{function.__name__}")
    return _computed(function, *args, **kwargs)


def _zero_d(function, *args, **kwargs):
    return call(lambda *a, **k: np.asarray(function(*a, **k))[()], *args, **kwargs)


def _about(function, *args, **kwargs):
    return function(*unwrap(args), **kwargs)


def where(condition, x=None, y=None):
    if x is None and y is None:
        return _synchronising(np.nonzero, condition)
    if x is None or y is None:
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    if isinstance(condition, bool | int | float | np.generic):
        condition = creation.array(condition)
    return _computed(np.where, condition, x, y)


def argsort(a, axis=-1, kind=None):
    return _computed(lambda x: np.argsort(x, axis, kind="stable"), a)


def sort(a, axis=-1, kind=None):
    return _computed(lambda x: np.sort(x, axis, kind="stable"), a)


def copyto(dst, src, casting="same_kind", where=None):
    if not isinstance(dst, ndarray):
        raise TypeError(f"Unsupported type {type(dst)}")
    mask = {} if where is None else {"where": where}
    call(lambda x, y, **k: np.copyto(x, y, casting, **k), dst, src, **mask)


def functions():
    """All functions of the module cupy, by name."""
    made = {}
    for text, how in (
        (VIEWS, _rearranged), (PLAIN, _computed), (SYNCHRONISING, _synchronising), (ZERO_D, _zero_d), (ABOUT, _about),
    ):  # fmt: skip
        made |= {name: _listed("cupy", name, getattr(np, name), how) for name in text.split()}
    made |= {each.__name__: each for each in (where, argsort, sort, copyto)}
    made |= {name: getattr(indexing, name) for name in ("take", "take_along_axis")}
    made |= {
        name: _listed("cupy", name, getattr(creation, name), _made)
        for name in (
            "array", "asarray", "ascontiguousarray", "asfortranarray", "asnumpy", "copy", "empty", "empty_like", "full",
            "full_like", "ones", "ones_like", "zeros", "zeros_like", "arange", "linspace", "eye", "identity", "tri",
        )
    }  # fmt: skip
    made["asanyarray"] = made["asarray"]
    made["matmul"] = _listed("cupy", "matmul", np.matmul, _computed)
    return made


def _made(function, *args, **kwargs):
    return function(*args, **kwargs)


def linalg():
    """The functions of cupy.linalg that there are."""
    return {name: _listed("cupy.linalg", name, getattr(np.linalg, name), _computed) for name in LINALG.split()}
