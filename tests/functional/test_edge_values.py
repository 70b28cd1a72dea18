"""Values at the edges of arithmetic that are known without another library to compare with, on every device."""

import math

import numpy as np
import pytest

import minidl as ml
from minidl import functional as F

INF, NAN = math.inf, math.nan
TINIEST = float(np.finfo(np.float32).smallest_subnormal)


@pytest.mark.parametrize(
    ("function", "given", "expected"),
    [
        (F.exp, [-INF, -200, 0, 200, INF, NAN], [0, 0, 1, INF, INF, NAN]),
        (F.log, [-1, -0.0, 0, 1, INF, NAN], [NAN, -INF, -INF, 0, INF, NAN]),
        (F.sqrt, [-1, -0.0, TINIEST, INF, NAN], [NAN, -0.0, TINIEST**0.5, INF, NAN]),
        (F.sigmoid, [-INF, -200, 0, 200, INF, NAN], [0, 0, 0.5, 1, 1, NAN]),
        (F.tanh, [-INF, -200, TINIEST, 200, INF, NAN], [-1, -1, TINIEST, 1, 1, NAN]),
        (F.relu, [-INF, -0.0, TINIEST, INF, NAN], [0, 0, TINIEST, INF, NAN]),
        (F.softplus, [-INF, -200, 200, INF, NAN], [0, 0, 200, INF, NAN]),
        (F.gelu, [-200, 3e38, INF, NAN], [-0.0, 3e38, INF, NAN]),
        (F.sign, [-INF, -TINIEST, -0.0, INF, NAN], [-1, -1, 0, 1, NAN]),
        (F.reciprocal, [-INF, -0.0, 0, 1e-45, 1e38], [-0.0, -INF, INF, INF, 1e-38]),
        (lambda x: x + x, [TINIEST, 3e38, -3e38], [2 * TINIEST, INF, -INF]),
        (lambda x: F.softmax(x, 0), [-INF, 0, 0], [0, 0.5, 0.5]),
        (lambda x: F.softmax(x, 0), [3e38, 3e38, -3e38], [0.5, 0.5, 0]),
        (lambda x: F.softmax(x, 0), [-INF, -INF], [NAN, NAN]),
        (lambda x: F.log_softmax(x, 0), [1000, 0], [0, -1000]),
        (lambda x: F.logsumexp(x, 0), [-INF, -INF], -INF),
        (lambda x: F.logsumexp(x, 0), [INF, 0], INF),
        (lambda x: F.max(x, 0).values, [1, NAN, INF], NAN),
        (lambda x: F.max_pool1d(x[None], 2, 1)[0], [1, NAN, 2, INF, -INF], [NAN, NAN, INF, INF]),
        (lambda x: F.maximum(x, F.flip(x, [0])), [NAN, 1, 2], [NAN, 1, NAN]),
        (lambda x: x.clamp(0.0, 1.0), [-INF, INF, NAN], [0, 1, NAN]),
        (lambda x: x.clamp(ml.tensor([0.0, NAN], device=x.device)), [-1, 1], [0, NAN]),
        (lambda x: F.mean(x), [], NAN),
        (lambda x: F.sum(x), [], 0),
        (lambda x: F.prod(x), [], 1),
    ],
)
def test_values(function, given, expected, device):
    x = ml.tensor(np.array(given, np.float32), device=device)
    y = function(x).cpu().numpy()
    np.testing.assert_allclose(y, np.array(expected, np.float32), rtol=1e-6, atol=0)
    np.testing.assert_array_equal(np.signbit(y[y == 0]), np.signbit(np.array(expected)[y == 0]))


@pytest.mark.parametrize(
    ("function", "given", "expected"),
    [
        (lambda x: F.maximum(x, ml.tensor([NAN, 2.0, 2.0], device=x.device)), [1, NAN, 2], [1, 1, 0.5]),
        (lambda x: F.minimum(ml.tensor([NAN, 2.0, 2.0], device=x.device), x), [1, NAN, 2], [1, 1, 0.5]),
        (lambda x: F.amax(x, 0), [3, 3, 1], [0.5, 0.5, 0]),
        (lambda x: F.max(x, 0).values, [3, 3, 1], [1, 0, 0]),
        (lambda x: F.max_pool1d(x[None], 3), [3, 3, 1], [1, 0, 0]),
        (lambda x: F.relu(x), [-INF, 0, INF], [0, 0, 1]),
        (lambda x: F.abs(x), [-INF, 0, INF], [-1, 0, 1]),
        (lambda x: F.prelu(x, ml.tensor([0.5], device=x.device)), [-INF, 0, INF], [0.5, 0.5, 1]),
        (lambda x: F.logsumexp(x, 0), [-INF, -INF], [0, 0]),
        (lambda x: F.softplus(x), [-INF, -200, 200, INF], [0, 0, 1, 1]),
    ],
)
def test_gradients(function, given, expected, device):
    x = ml.tensor(np.array(given, np.float32), device=device, requires_grad=True)
    function(x).sum().backward()
    np.testing.assert_allclose(x.grad.cpu().numpy(), expected, rtol=1e-6)


def test_the_slope_of_prelu_gets_nothing_from_an_infinity_above_zero():
    weight = ml.tensor([0.25], requires_grad=True)
    F.prelu(ml.tensor([INF, -2.0]), weight).sum().backward()
    assert weight.grad.tolist() == [-2.0]


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("place", [NAN, INF, -INF, 3e38])
def test_grid_sample_at_a_place_that_is_nowhere_reads_no_other_memory(mode, padding_mode, place):
    image = ml.tensor(np.full((1, 1, 4, 4), 7.0, np.float32), requires_grad=True)
    grid = ml.tensor(np.full((1, 1, 1, 2), place, np.float32), requires_grad=True)
    y = F.grid_sample(image, grid, mode=mode, padding_mode=padding_mode, align_corners=False)
    y.backward(ml.ones(*y.shape))
    assert math.isnan(y.item()) if math.isnan(place) else y.item() in (0.0, pytest.approx(7.0))
    inside = image.grad.numpy()[np.isfinite(image.grad.numpy())]
    assert np.abs(inside).sum() <= 16 and grid.grad.shape == grid.shape
