"""Corners where an answer other than PyTorch's would surprise: NaN, infinities, no elements, no dimensions."""

import threading

import numpy as np
import pytest

import minidl as ml
from minidl.errors import ArgumentError, DtypeError, IndexTypeError, MinidlError, OutOfRangeError

nan, inf = float("nan"), float("inf")


def leaf(*values):
    return ml.tensor(values, dtype=ml.float64, requires_grad=True)


def gradient(y, x):
    return ml.grad(y, x, ml.ones_like(y))[0].tolist()


def test_infinities_and_overflow_are_results_not_warnings():
    big = ml.tensor([3e38, inf, -inf, nan], requires_grad=True)
    for y in (
        big + big,
        big * big,
        big - big,
        big.sin(),
        big.exp(),
        big @ big,
        big.sum(),
        big.mean(),
        big.var(),
        big / 0.0,
    ):
        assert y.dtype == np.float32
        y.sum().backward()
    ml.randn(4, 4, dtype=ml.float16).mul(6e4).exp().matmul(ml.ones(4, 4, dtype=ml.float16))


def test_numpys_own_warnings_stay_as_the_user_set_them():
    before = np.geterr()
    ml.ones(1) / ml.zeros(1)
    assert np.geterr() == before
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        np.ones(1) / np.zeros(1)


def test_threads_are_as_silent():
    failures = []

    def work():
        try:
            (ml.full((3,), 3e38) * 10).sum()
        except RuntimeWarning as warning:
            failures.append(warning)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failures


def test_a_nan_takes_the_gradient_of_the_extremum_that_it_is():
    x = leaf(1.0, nan, 3.0)
    assert gradient(x.max(), x) == [0, 1, 0]
    assert gradient(x.amin(0), x) == [0, 1, 0]


def test_a_nan_lies_outside_every_bound():
    x = leaf(0.5, nan, 2.0)
    assert gradient(x.clamp(0, 1), x) == [1, 0, 0]


def test_logsumexp_of_infinities():
    x = leaf(inf, 1.0)
    assert x.logsumexp(0).item() == inf
    np.testing.assert_array_equal(gradient(x.logsumexp(0), x), [nan, 0])
    x = leaf(-inf, -inf)
    assert x.logsumexp(0).item() == -inf
    assert gradient(x.logsumexp(0), x) == [0, 0]


def test_there_is_no_extremum_of_nothing():
    for name in ("max", "amin", "argmax"):
        with pytest.raises(OutOfRangeError, match=rf"{name}: no elements to choose from along \(0,\)"):
            getattr(ml.zeros(0, 3), name)(0)
    with pytest.raises(IndexError):
        ml.zeros(0, 3).max(0)


def test_older_forms_of_var_and_std():
    x = ml.tensor([[1.0, 2.0, 4.0], [0.0, 1.0, -1.0]])
    for name in ("var", "std"):
        f = getattr(ml, name)
        biased = f(x, 1, correction=0)
        np.testing.assert_array_equal(f(x, 1, False).data, biased.data)
        np.testing.assert_array_equal(f(x, 1, unbiased=False).data, biased.data)
        assert f(x, 1, True, True).shape == (2, 1)
        assert f(x, False).item() == f(x, correction=0).item()


def test_sums_and_products_in_another_dtype():
    x = ml.tensor([1, 2, 3])
    for name in ("cumsum", "cumprod"):
        assert getattr(x, name)(0, dtype=ml.float32).dtype == np.float32
    assert x.prod(dtype=ml.float64).dtype == np.float64
    assert ml.tensor([True, False]).cumprod(0).dtype == np.int64


def test_rounding_forms():
    assert ml.tensor([1, 2]).trunc().dtype == np.int64
    assert ml.tensor([-1.5, 1.5]).trunc().tolist() == [-1, 1]
    np.testing.assert_allclose(ml.tensor([1.2345]).round(decimals=2).data, [1.23], rtol=1e-6)


def test_masked_fill_broadcasts_both_ways():
    x = leaf(1.0, 2.0)
    y = x.masked_fill(ml.tensor([[True, False], [False, False]]), 0.0)
    assert y.tolist() == [[0, 2], [1, 2]]
    assert gradient(y, x) == [1, 2]


def test_where_of_a_condition_alone_are_its_places():
    rows, columns = ml.where(ml.tensor([[0, 1], [1, 0]]))
    assert rows.tolist() == [0, 1] and columns.tolist() == [1, 0]
    assert ml.nonzero(ml.tensor(5.0)).shape == (1, 0)
    assert ml.nonzero(ml.tensor(5.0), as_tuple=True)[0].tolist() == [0]
    with pytest.raises(DtypeError, match="masked_select: mask must be a boolean tensor, got int64"):
        ml.ones(2).masked_select(ml.tensor([0, 1]))


def test_python_types_as_dtypes_are_those_of_numpy_and_torch():
    assert ml.tensor([1], dtype=float).dtype == np.float64
    assert ml.tensor([1.5], dtype=int).dtype == np.int64
    assert ml.tensor([1.5], dtype=bool).dtype == np.bool_


def test_full_takes_numpy_scalars_for_what_they_are():
    assert ml.full((2,), np.float64(3)).dtype == np.float32
    assert ml.full((2,), ml.tensor(3.0, dtype=ml.float64)).dtype == np.float32
    with pytest.raises(MinidlError, match="zeros_like: x must be a Tensor, got list"):
        ml.zeros_like([1])


def test_python_integers_that_do_not_fit_are_refused():
    for bad, dtype in ((300, "uint8"), ([0, -1], "uint8"), (2**63, None), (2**70, None)):
        with pytest.raises(OutOfRangeError, match="does not fit into"):
            ml.tensor(bad, dtype=dtype)
    assert ml.tensor(np.array([300]), dtype=ml.uint8).item() == 44  # an array is converted as NumPy does


def test_arange_forms():
    assert ml.arange(end=3).tolist() == [0, 1, 2]
    for bad in (inf, nan):
        with pytest.raises(ArgumentError, match="start, end and step must be finite"):
            ml.arange(bad)


def test_random_makers_can_require_a_gradient():
    x = ml.zeros(2)
    assert ml.rand_like(x, requires_grad=True).requires_grad and ml.randn_like(x, requires_grad=True).requires_grad
    assert ml.normal(0.0, 1.0, (2,), requires_grad=True).requires_grad
    with pytest.raises(DtypeError, match="only floating-point tensors can require gradients"):
        ml.randint(5, (2,), requires_grad=True)


@pytest.mark.parametrize("index", [1.0, "a", ml.tensor([0.5]), [0.5], (0, 1.5)])
def test_what_is_no_index_is_both_an_index_error_and_a_type_error(index):
    with pytest.raises(IndexTypeError, match="indexing: an index") as caught:
        ml.zeros(3, 3)[index]
    assert isinstance(caught.value, IndexError) and isinstance(caught.value, TypeError)


def test_a_uint8_index_must_say_what_it_means():
    mask = ml.tensor([0, 1, 1], dtype=ml.uint8)  # PyTorch reads a mask, NumPy a list of places
    with pytest.raises(IndexTypeError, match=r"Write .bool\(\) or .long\(\)"):
        ml.arange(3)[mask]
    assert ml.arange(3)[mask.bool()].tolist() == [1, 2]
    assert ml.arange(3)[mask.long()].tolist() == [0, 1, 1]
    assert ml.arange(3)[ml.tensor(2, dtype=ml.uint8)].item() == 2


def test_dimensions_of_a_tensor_without_any():
    x = ml.tensor(1.0)
    assert x.transpose(0, -1).shape == x.roll(1, 0).shape == ()
    with pytest.raises(OutOfRangeError, match="dim 1 is out of range"):
        x.transpose(0, 1)


def test_chunks_of_nothing():
    assert [y.shape for y in ml.zeros(0, 2).chunk(3)] == [(0, 2)] * 3


def test_addmm_does_not_grow():
    with pytest.raises(
        MinidlError, match=r"addmm: x of shape \(5, 2, 2\) does not fit into the product's shape \(2, 2\)"
    ):
        ml.addmm(ml.zeros(5, 2, 2), ml.ones(2, 2), ml.ones(2, 2))
    with pytest.raises(MinidlError, match=r"mv: b must have 1 dimension, got shape \(2, 2\)"):
        ml.mv(ml.ones(2, 2), ml.ones(2, 2))


def test_scalars_of_numpy_become_tensors():
    x = ml.Tensor(np.float64(2))
    assert x.shape == () and type(x.data) is np.ndarray
