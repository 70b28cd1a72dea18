"""Dropout: what is drawn, exact limits, fixed masks under the gradient checks, bad input."""

import numpy as np
import pytest

import minidl.functional as F
from minidl import backend
from minidl.autograd import Tensor, grad, gradcheck, gradgradcheck
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from tests.cupy_stand_in import counting

ALL = [F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout]
SHAPES = {F.dropout2d: (4, 5, 2, 3), F.dropout3d: (4, 5, 2, 3, 2)}


def ones(*shape, dtype=np.float32, requires_grad=False):
    return Tensor(np.ones(shape, dtype), requires_grad=requires_grad)


def shape_for(fn):
    return SHAPES.get(fn, (4, 5, 6))


@pytest.mark.parametrize("fn", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shape_dtype_and_mask_gradient(fn, dtype):
    x = ones(*shape_for(fn), dtype=dtype, requires_grad=True)
    y = fn(x, np.float64(0.5), training=True)
    assert y.shape == x.shape and y.dtype == dtype
    (gx,) = grad(y.sum(), x)
    assert gx.dtype == dtype
    kept = gx.data != 0
    assert kept.any() and not kept.all()
    assert len(np.unique(y.data[kept])) == len(np.unique(y.data[~kept])) == 1


def test_values_are_zero_or_scaled():
    y = F.dropout(ones(1000), 0.2).data
    np.testing.assert_allclose(np.unique(y), [0.0, 1.25])


@pytest.mark.parametrize("p", [0.02, 0.5, 0.9])
def test_frequency(p):
    """The share of zeros is within five standard deviations of p."""
    n = 200_000
    zeros = (F.dropout(ones(n), p, generator=backend.Generator(1)).data == 0).mean()
    assert abs(zeros - p) < 5 * np.sqrt(p * (1 - p) / n)


def test_elements_are_independent():
    """Neighbours, and the four draws that share a 64-bit word, are uncorrelated."""
    y = F.dropout(ones(200_000), 0.5, generator=backend.Generator(2)).data - 1
    for lag in (1, 2, 3, 4):
        assert abs((y[lag:] * y[:-lag]).mean()) < 5 / np.sqrt(y.size)


@pytest.mark.parametrize("fn", [F.dropout1d, F.dropout2d, F.dropout3d, F.feature_alpha_dropout])
def test_whole_channels_go(fn):
    x = ones(*shape_for(fn))
    y = fn(x, 0.5, training=True).data.reshape(4, 5, -1)
    assert (y == y[:, :, :1]).all()
    assert len(np.unique(y)) == 2


@pytest.mark.parametrize("fn, shape", [(F.dropout1d, (40, 3)), (F.dropout3d, (40, 3, 2, 2))])
def test_an_unbatched_input_drops_its_first_dimension(fn, shape):
    y = fn(ones(*shape), 0.5).data.reshape(40, -1)
    assert (y == y[:, :1]).all()
    assert len(np.unique(y)) == 2


def test_dropout2d_takes_three_dimensions_for_batch_channels_length():
    y = F.dropout2d(ones(8, 9, 10), 0.5).data
    assert (y == y[:, :, :1]).all()
    assert len(np.unique(y[0, :, 0])) == 2


@pytest.mark.parametrize("fn", ALL)
def test_limits_are_exact(fn):
    x = ones(*shape_for(fn), requires_grad=True)
    assert fn(x, 0.0, training=True) is x
    assert fn(x, 0.7, training=False) is x
    y = fn(x, 1.0, training=True)
    assert (y.data == 0).all()
    assert (grad(y.sum(), x)[0].data == 0).all()


def test_p_below_the_resolution_drops_nothing():
    y = F.dropout(ones(1000), 1e-7).data
    np.testing.assert_allclose(y, 1.0, rtol=1e-6)


def test_alpha_dropout_keeps_mean_and_variance():
    x = Tensor(np.random.default_rng(0).standard_normal(200_000))
    y = F.alpha_dropout(x, 0.3, training=True, generator=backend.Generator(0)).data
    assert abs(y.mean()) < 0.02
    assert abs(y.var() - 1) < 0.02


def test_alpha_dropout_defaults_to_evaluation():
    x = ones(3)
    assert F.alpha_dropout(x) is x
    assert F.feature_alpha_dropout(ones(3, 2)).shape == (3, 2)


def test_masks_come_from_the_dropout_stream():
    state = backend.get_random_state()
    try:
        backend.manual_seed(3)
        first = F.dropout(ones(100)).data
        second = F.dropout(ones(100)).data
        backend.manual_seed(3)
        backend.stream("data").numpy.random(7)  # other streams do not matter
        again = F.dropout(ones(100)).data
    finally:
        backend.set_random_state(state)
    assert (first != second).any()
    np.testing.assert_array_equal(first, again)


def test_a_generator_replaces_the_stream():
    before = backend.get_random_state()["dropout"]
    first = F.dropout(ones(100), generator=backend.Generator(5)).data
    again = F.dropout(ones(100), generator=backend.Generator(5)).data
    np.testing.assert_array_equal(first, again)
    assert backend.get_random_state()["dropout"] == before


@pytest.mark.parametrize("fn", ALL)
def test_gradient_checks_pass_when_the_stream_is_reset(fn):
    x = Tensor(np.random.default_rng(0).standard_normal(shape_for(fn)[:3] + (1,) * (len(shape_for(fn)) - 3)))
    x.requires_grad_()
    generator = backend.Generator(0)

    def fixed(x):
        generator.manual_seed(4)
        return fn(x, 0.4, training=True, generator=generator)

    assert gradcheck(fixed, [x])
    assert gradgradcheck(lambda x: fixed(x) * x, [x])


@pytest.mark.parametrize("fn", ALL)
def test_on_a_gpu_the_mask_is_drawn_there_from_the_same_stream(on_cuda, fn):
    """No transfer and no wait; the part of the stream for the CPU goes on as if nothing had happened."""

    def draw():
        return fn(x, 0.4, training=True)

    x = Tensor(backend.to_device(np.ones(shape_for(fn), np.float32), "cuda"), requires_grad=True)
    backend.manual_seed(3)
    state = backend.stream("dropout").get_state()
    with counting() as seen:
        first, second = draw(), draw()
        gx = grad(first.sum(), x)[0]
    assert not seen.places and first.device == gx.device == "cuda"
    assert first.tolist() != second.tolist()
    if not fn.__name__.endswith("alpha_dropout"):
        assert gx.tolist() == first.tolist()
    moved_on = backend.stream("dropout").get_state()
    assert moved_on.pop("cuda")[1] > 0 and moved_on == state
    backend.manual_seed(3)
    assert draw().tolist() == first.tolist() and draw().tolist() == second.tolist()


def test_the_input_is_never_overwritten():
    x = ones(100)
    F.dropout(x, 0.5, True, True)
    assert (x.data == 1).all()


def test_an_empty_input():
    assert F.dropout(ones(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("fn", ALL)
@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_p_outside_the_unit_interval(fn, p):
    with pytest.raises(ArgumentError, match=f"{fn.__name__}: dropout probability .* between 0 and 1, but got {p}"):
        fn(ones(*shape_for(fn)), p)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: F.dropout([1.0]), ArgumentTypeError, "dropout: x must be a Tensor"),
        (lambda: F.dropout(Tensor(np.ones(3, int))), DtypeError, "dropout: x must be a floating-point tensor"),
        (lambda: F.dropout(ones(3), "half"), ArgumentTypeError, "p must be a number, got 'half'"),
        (lambda: F.dropout(ones(3), True), ArgumentTypeError, "p must be a number, got True"),
        (lambda: F.dropout1d(ones(3)), ShapeError, "dropout1d: x must have 2 or 3 dimensions, got 1"),
        (lambda: F.dropout2d(ones(3, 2)), ShapeError, "dropout2d: x must have 3 or 4 dimensions, got 2"),
        (lambda: F.dropout3d(ones(3, 2, 2)), ShapeError, "dropout3d: x must have 4 or 5 dimensions, got 3"),
        (lambda: F.feature_alpha_dropout(ones(3)), ShapeError, r"feature_alpha_dropout: x must be \(N, C, ...\)"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
