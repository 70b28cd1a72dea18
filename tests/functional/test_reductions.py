"""Reductions: dtypes, dimensions, empty tensors, ties, NaN, accuracy."""

import math

import numpy as np
import pytest

import minidl as ml
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, MinidlError, OutOfRangeError


@pytest.fixture
def x():
    return ml.tensor(np.random.default_rng(0).standard_normal((2, 3, 4)), requires_grad=True)


def leaf(*values):
    return ml.tensor(np.array(values), requires_grad=True)


@pytest.mark.parametrize("name", ["sum", "mean", "var", "std", "amax", "amin", "logsumexp", "norm", "any", "all"])
def test_dimensions_of_every_reduction(name, x):
    function = (lambda v, *a, **k: ml.norm(v, 2, *a, **k)) if name == "norm" else getattr(ml, name)
    method = (lambda v, *a, **k: v.norm(2, *a, **k)) if name == "norm" else getattr(ml.Tensor, name)
    whole = () if name in ("sum", "mean", "var", "std", "norm", "any", "all") else (None,)
    assert function(x, *whole).shape == () and type(function(x, *whole).data) is np.ndarray
    for dim, shape in ((0, (3, 4)), (-1, (2, 3)), ((0, 2), (3,)), ([-1, 0], (3,)), (np.int64(1), (2, 4))):
        assert function(x, dim).shape == method(x, dim).shape == shape
        kept = function(x, dim, keepdim=True)
        assert kept.ndim == 3 and kept.numel() == math.prod(shape)
    with pytest.raises(
        OutOfRangeError, match=f"{name}: dim 3 is out of range for a tensor of 3 dimensions; expected -3"
    ):
        function(x, 3)
    with pytest.raises(ArgumentError, match=f"{name}: dim .* names a dimension twice"):
        function(x, (0, -3))
    for bad in (1.5, "a", (0, "a")):
        with pytest.raises(ArgumentTypeError, match=f"{name}: dim must be"):
            function(x, bad)
    assert function(ml.tensor(2.0), 0).shape == ()
    with pytest.raises(ArgumentTypeError, match=f"{name}: x must be a Tensor, got list"):
        function([1.0], 0)


def test_dtypes_of_sums():
    for dtype in ("int64", "int32", "uint8", "bool"):
        n = ml.tensor([1, 1, 1], dtype=dtype)
        assert n.sum().dtype == n.cumsum(0).dtype == n.prod().dtype == np.int64
        assert n.sum().item() == 3
    assert ml.full((300,), 1, dtype="uint8").sum().item() == 300
    assert ml.tensor([1, 2]).sum(dtype=ml.float32).dtype == np.float32
    for dtype in ("float16", "float32", "float64"):
        f = ml.ones(3, dtype=dtype)
        for y in (f.sum(), f.mean(), f.var(), f.std(), f.amax(), f.logsumexp(0), f.norm(), f.prod(), f.cumsum(0)):
            assert y.dtype == dtype


@pytest.mark.parametrize("name", ["mean", "var", "std", "norm"])
def test_averages_of_integers_are_refused(name):
    with pytest.raises(DtypeError, match=rf"{name}: x must be a floating-point tensor, got int64; convert it with"):
        getattr(ml.tensor([1, 2]), name)()
    with pytest.raises(DtypeError, match="got bool"):
        getattr(ml.tensor([True]), name)()
    assert ml.tensor([1, 2]).mean(dtype="float64").item() == 1.5


def test_the_mean_of_ones_is_one():
    for n in range(1, 200):
        for dtype in ("float32", "float64"):
            assert ml.ones(n, dtype=dtype).mean().item() == 1


def test_empty_tensors():
    e = ml.zeros(0)
    assert e.sum().item() == 0 and e.prod().item() == 1 and e.logsumexp(0).item() == -math.inf
    assert math.isnan(e.mean().item()) and math.isnan(e.var().item()) and math.isnan(e.std().item())
    assert e.norm().item() == 0 and not e.any() and e.all().item() is True
    assert ml.zeros(2, 0).sum(1).tolist() == [0, 0] and ml.zeros(0, 2).amax(1).shape == (0,)
    for call in (e.amax, e.amin, e.max, e.min, e.argmax, e.argmin, lambda: e.max(0), lambda: ml.zeros(2, 0).argmin(1)):
        with pytest.raises(MinidlError, match="no elements to choose from along"):
            call()


def test_variances():
    x = leaf(1.0, 2.0, 4.0)
    assert x.var().item() == pytest.approx(7 / 3) and x.var(correction=0).item() == pytest.approx(14 / 9)
    assert x.var(unbiased=False).item() == pytest.approx(14 / 9) and x.std(unbiased=True).item() ** 2 == pytest.approx(
        7 / 3
    )
    assert x.std(0, correction=2).item() == pytest.approx((14 / 3) ** 0.5)
    assert math.isnan(leaf(1.0).var().item()) and leaf(1.0).var(correction=0).item() == 0
    assert leaf(1.0, 2.0).var(correction=2).item() == math.inf
    assert leaf(1.0, 2.0).std(correction=5).item() == math.inf
    big = ml.tensor([1e8, 1e8 + 8, 1e8 + 16], dtype="float64")
    assert big.var(correction=0).item() == pytest.approx(128 / 3, rel=1e-3)  # two passes, not E x² − (E x)²


def test_the_gradient_of_a_deviation_of_zero_is_zero():
    x = leaf(2.0, 2.0, 2.0)
    x.std().backward()
    assert x.grad.tolist() == [0, 0, 0]


# Extrema --------------------------------------------------------------------------------------------------------------


def test_max_forms():
    x = ml.tensor([[1.0, 5.0], [7.0, 2.0]])
    assert x.max().item() == ml.max(x).item() == 7
    result = x.max(1)
    assert result.values.tolist() == [5, 7] and result.indices.tolist() == [1, 0]
    values, indices = ml.min(x, dim=0, keepdim=True)
    assert values.tolist() == [[1, 2]] and indices.tolist() == [[0, 1]] and indices.dtype == np.int64
    assert (
        x.argmax().item() == 2 and x.argmax(0).tolist() == [1, 0] and x.argmin(-1, keepdim=True).tolist() == [[0], [1]]
    )
    assert x.argmax(keepdim=True).shape == (1, 1)
    assert ml.tensor(3.0).max(0).values.item() == 3 and ml.tensor(3.0).argmax(0).item() == 0
    assert ml.tensor([3, 1]).max().dtype == np.int64 and ml.tensor([True, False]).max().item() is True
    with pytest.raises(OutOfRangeError, match="max: dim 2 is out of range"):
        x.max(2)
    with pytest.raises(ArgumentTypeError, match="argmax: dim must be an integer"):
        x.argmax((0, 1))


def test_ties():
    x = leaf(3.0, 1.0, 3.0)
    assert x.argmax().item() == 0 and x.max(0).indices.item() == 0
    x.max(0).values.backward()
    assert x.grad.tolist() == [1, 0, 0]  # along a dimension the first is chosen
    for reduce in (ml.amax, ml.max):
        x.grad = None
        reduce(x).backward()
        assert x.grad.tolist() == [0.5, 0, 0.5]  # over the whole they share


def test_nan_is_the_extreme():
    x = ml.tensor([1.0, np.nan, 3.0])
    for y in (x.amax(), x.amin(), x.max(), x.min(), x.max(0).values, x.min(0).values):
        assert math.isnan(y.item())
    assert x.argmax().item() == x.argmin().item() == x.max(0).indices.item() == 1


# Others ---------------------------------------------------------------------------------------------------------------


def test_logsumexp_does_not_overflow():
    assert ml.tensor([1000.0, 1000.0]).logsumexp(0).item() == pytest.approx(1000 + math.log(2))
    assert ml.tensor([-1000.0, -1000.0]).logsumexp(0).item() == pytest.approx(-1000 + math.log(2))
    assert ml.tensor([-math.inf, -math.inf]).logsumexp(0).item() == -math.inf
    assert ml.tensor([-math.inf, 1.0]).logsumexp(0).item() == 1
    assert ml.tensor([math.inf, 1.0]).logsumexp(0).item() == math.inf
    assert math.isnan(ml.tensor([math.nan, 1.0]).logsumexp(0).item())
    assert ml.tensor([1, 1]).logsumexp(0).dtype == np.float32
    x = leaf(-math.inf, 0.0)
    x.logsumexp(0).backward()
    assert x.grad.tolist() == [0, 1]


def test_norms_at_zero():
    for p in (2, 3, 1, 0.5, math.inf):
        x = leaf(0.0, 0.0)
        x.norm(p).backward()
        assert x.grad.tolist() == [0, 0] or p == math.inf
    x = leaf(0.0, 4.0)
    x.norm(0.5).backward()
    assert x.grad.tolist() == [0, 1]
    assert leaf(3.0, 4.0).norm("fro").item() == 5 and leaf(0.0, 2.0).norm(0).item() == 1
    assert leaf(0.0, 2.0).norm(-1).item() == 0
    for bad in ("nuc", True):
        with pytest.raises(ArgumentError, match="norm: p must be a number or 'fro'"):
            leaf(1.0).norm(bad)


def test_products():
    x = leaf(2.0, 0.0, 3.0)
    x.prod().backward()
    assert x.grad.tolist() == [0, 6, 0]
    y = leaf(0.0, 0.0, 3.0)
    y.prod().backward()
    assert y.grad.tolist() == [0, 0, 0]
    assert ml.tensor([[1, 2], [3, 4]]).prod(1).tolist() == [2, 12] and ml.ones(2, 3).prod(keepdim=True).shape == (1, 1)
    assert ml.tensor(5.0).prod(0).item() == 5


def test_running_sums():
    assert ml.tensor([[1, 2], [3, 4]]).cumsum(0).tolist() == [[1, 2], [4, 6]]
    assert ml.tensor(5.0).cumsum(0).item() == 5 and ml.ones(0).cumsum(0).shape == (0,)
    with pytest.raises(OutOfRangeError, match="cumsum: dim 1"):
        ml.ones(2).cumsum(1)


def test_any_and_all():
    x = ml.tensor([[0.0, 2.0], [0.0, 0.0]])
    assert x.any().item() is True and x.all().item() is False and x.any(1).tolist() == [True, False]
    assert (x == 0).all(0, keepdim=True).tolist() == [[True, False]] and ml.any(x, (0, 1)).item() is True
    assert x.any().dtype == np.bool_ and bool((x >= 0).all())


def test_running_products():
    x = leaf(2.0, 0.0, 3.0)
    y = x.cumprod(0)
    assert y.tolist() == [2, 0, 0]
    y.sum().backward()
    assert x.grad.tolist() == [1, 8, 0]
    assert (
        ml.tensor([[1, 2], [3, 4]]).cumprod(1).tolist() == [[1, 2], [3, 12]] and ml.tensor(5.0).cumprod(0).item() == 5
    )
