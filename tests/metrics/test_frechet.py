"""The worth of generated samples, against closed forms, counts done by hand, and SciPy."""

import importlib

import numpy as np
import pytest

import minidl as ml
from minidl import metrics
from minidl.errors import ArgumentError, ArgumentTypeError, OutOfRangeError, ShapeError
from minidl.metrics import class_histogram, coverage, frechet_distance, mode_coverage


def covariance(rng, d):
    a = rng.standard_normal((d, d))
    return a @ a.T + 0.1 * np.eye(d)


# The Fréchet distance


def test_one_dimension(rng):
    """(μ₁ − μ₂)² + (σ₁ − σ₂)²."""
    found = frechet_distance((np.array([1.0]), np.array([[4.0]])), (np.array([-2.0]), np.array([[0.25]])))
    assert found == pytest.approx(9 + 1.5**2, rel=1e-12)
    x, y = rng.standard_normal((2, 500, 1))
    y = 3 * y + 1
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-10)


def test_covariances_that_commute(rng):
    """‖μ₁ − μ₂‖² + Σ (√λ − √κ)², also in a rotated frame."""
    q, _ = np.linalg.qr(rng.standard_normal((5, 5)))
    a, b = rng.uniform(0.1, 3, (2, 5))
    b[2] = 0  # a direction without any spread
    mean = rng.standard_normal(5)
    expected = mean @ mean + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    one, other = (np.zeros(5), q * a @ q.T), (mean, q * b @ q.T)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-7)
    assert frechet_distance(other, one) == pytest.approx(expected, rel=1e-7)


def test_two_by_two_covariances_that_do_not_commute(rng):
    """In the plane tr √M = √(tr M + 2 √det M)."""
    a, b = covariance(rng, 2), covariance(rng, 2)
    product = a @ b
    assert not np.allclose(product, product.T)
    cross = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    zero = np.zeros(2)
    expected = np.trace(a) + np.trace(b) - 2 * cross
    assert frechet_distance((zero, a), (zero, b)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("d", [1, 3, 40])
def test_against_scipy(rng, d):
    linalg = pytest.importorskip("scipy.linalg")
    a, b = covariance(rng, d), covariance(rng, d)
    means = rng.standard_normal((2, d))
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    assert frechet_distance((means[0], a), (means[1], b)) == pytest.approx(expected, rel=1e-8)


def test_of_itself_it_is_nothing_and_it_grows_with_a_shift(rng):
    x = rng.standard_normal((300, 6)).astype(np.float32)
    assert frechet_distance(x, x) < 1e-8 * x.var() * 6
    assert frechet_distance(ml.tensor(x), ml.tensor(x + 2)) == pytest.approx(24, rel=1e-5)
    wide = rng.standard_normal((10, 30))  # fewer samples than features
    assert frechet_distance(wide, wide) < 1e-6


@pytest.mark.parametrize(
    ("one", "other", "error", "match"),
    [
        (np.ones((4, 3)), np.ones((4, 2)), ShapeError, "generated has 3 features but real has 2"),
        (np.ones((1, 3)), np.ones((4, 3)), ShapeError, r"needs two samples or more for a covariance, got \(1, 3\)"),
        (
            np.ones(3),
            np.ones((4, 3)),
            ShapeError,
            r"generated must have shape \(N, D\), at least one of each, got \(3,",
        ),
        ((np.ones(3),), np.ones((4, 3)), ShapeError, "got a tuple of 1"),
        ((np.ones(3), np.eye(2)), np.ones((4, 3)), ShapeError, r"got \(3,\) and \(2, 2\)"),
        ((np.ones(2), np.diag([1.0, -1.0])), np.ones((4, 2)), ArgumentError, "of generated .* lowest eigenvalue is -1"),
        (np.eye(2), (np.ones(2), np.array([[1, 0.5], [0, 1]])), ArgumentError, "of real is not symmetric"),
        (np.array([[1, np.nan], [1, 2]]), np.ones((4, 2)), ArgumentError, "generated hold 1 NaN or infinities"),
    ],
)
def test_frechet_refuses(one, other, error, match):
    with pytest.raises(error, match=match):
        frechet_distance(one, other)


# Modes


CORNERS = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])


def test_modes_are_counted():
    samples = np.concatenate([CORNERS[:2].repeat(9, 0) + 0.05, CORNERS[2:3], [[0.3, 0.3]]])
    found = mode_coverage(samples, CORNERS, 0.1)
    assert found.covered == 3 and found.near == 19 / 20
    np.testing.assert_array_equal(found.counts, [9, 9, 1, 0])
    assert mode_coverage(samples, CORNERS, 0.1, least=2).covered == 2
    assert mode_coverage(ml.tensor(samples), CORNERS, 1.0).near == 1  # the last one is nearest to the first corner
    assert mode_coverage(samples, CORNERS, 0.01).covered == 1


def test_a_mode_needs_a_fifth_of_its_share():
    samples = CORNERS[[0] * 91 + [1] * 5 + [2] * 4]
    assert mode_coverage(samples, CORNERS, 0.1).covered == 2


@pytest.mark.parametrize(
    ("samples", "radius", "settings", "error", "match"),
    [
        (np.ones((3, 5)), 1, {}, ShapeError, "samples have 5 coordinates but centers 2"),
        (np.ones((0, 2)), 1, {}, ShapeError, r"at least one of each, got \(0, 2\)"),
        (np.ones((3, 2)), 0, {}, ArgumentError, "needs radius > 0 and least ≥ 1, got 0 and 1"),
        (np.ones((3, 2)), 1, {"least": 0}, ArgumentError, "got 1 and 0"),
    ],
)
def test_mode_coverage_refuses(samples, radius, settings, error, match):
    with pytest.raises(error, match=match):
        mode_coverage(samples, CORNERS, radius, **settings)


# Coverage


def test_coverage_by_hand():
    real = np.array([[0.0], [1], [3], [10]])  # second nearest at 3, 2, 3 and 9
    assert coverage(np.array([[4.5]]), real, k=2) == 0.5  # 1.5 from the third, 5.5 from the fourth
    assert coverage(np.array([[-2.5], [3.0]]), real, k=2) == 1.0
    assert coverage(np.array([[50.0]]), real, k=2) == 0.0
    assert coverage(real, real, k=1) == 1.0


def test_coverage_of_equals_is_that_of_the_paper(rng):
    """E = 1 − Π_{j=1..k} (N − j) / (N + M − j)."""
    expected = 1 - np.prod([(800 - j) / (1600 - j) for j in range(1, 4)])
    x, y = rng.standard_normal((2, 800, 2))
    assert coverage(x, y, k=3) == pytest.approx(expected, abs=0.03)


def test_coverage_sees_that_modes_are_missing(rng):
    centers = 10 * rng.standard_normal((8, 3))
    real = (centers[:, None] + rng.standard_normal((8, 50, 3))).reshape(-1, 3)
    fake = (centers[:2, None] + rng.standard_normal((2, 200, 3))).reshape(-1, 3)
    assert 0.2 < coverage(fake, real) < 0.26  # two of eight
    images = real.reshape(-1, 3, 1, 1)
    assert coverage(ml.tensor(images), images) == 1


@pytest.mark.parametrize(
    ("x", "settings", "error", "match"),
    [
        (np.ones((3, 2)), {"k": 4}, ArgumentError, "k must lie between 1 and the 4 real samples less one, got 4"),
        (np.ones((3, 2)), {"k": 0}, ArgumentError, "got 0"),
        (np.ones((3, 3)), {}, ShapeError, "generated has 3 features but real has 2"),
        (np.full((3, 2), np.inf), {}, ArgumentError, "generated hold 6 NaN"),
    ],
)
def test_coverage_refuses(x, settings, error, match):
    with pytest.raises(error, match=match):
        coverage(x, CORNERS, **settings)


# Classes


def test_the_histogram_of_a_judge():
    scores = np.array([[0.1, 2, -1], [0.3, 0.2, 0.1], [5, 6, 0]])
    for given in (scores, ml.tensor(scores)):
        np.testing.assert_array_equal(class_histogram(given), [1, 2, 0])
    np.testing.assert_array_equal(class_histogram([3, 3, 0], 5), [1, 0, 0, 2, 0])


@pytest.mark.parametrize(
    ("scores", "classes", "error", "match"),
    [
        ([0, 1], None, ShapeError, r"integer classes \(N,\) with num_classes, got int64 of shape \(2,\)"),
        ([0.5, 1], 3, ShapeError, "got float64"),
        ([0, 3], 3, OutOfRangeError, "there is no class 3 among 3"),
        ([-1], 3, OutOfRangeError, "there is no class -1"),
        ([[np.nan, 1.0]], None, ArgumentError, "scores hold 1 NaN of 2"),
    ],
)
def test_class_histogram_refuses(scores, classes, error, match):
    with pytest.raises(error, match=match):
        class_histogram(np.array(scores), classes)


# The panel


def test_health_measures_what_it_is_given(rng):
    real = ml.tensor(np.concatenate([CORNERS] * 10) + 0.01 * rng.standard_normal((40, 2)))

    def judge(x):
        quadrant = 2 * (x.data[:, 0] < 0) + (x.data[:, 1] < 0)
        return ml.tensor(np.eye(4)[quadrant])

    health = metrics.GANHealth(real, features=lambda x: x * 3, judge=judge, centers=CORNERS, radius=0.1)
    numbers = health.measure(real)
    assert numbers.pop("frechet") < 1e-8
    assert numbers == {"coverage": 1.0, "modes": 4.0, "near": 1.0, "classes": 4.0}
    numbers = health.measure(ml.tensor(CORNERS[[0] * 20 + [1] * 20]))
    assert numbers["modes"] == numbers["classes"] == 2 and numbers["frechet"] > 1
    np.testing.assert_array_equal(health.histogram, [20, 20, 0, 0])
    assert 0.4 < numbers["coverage"] < 0.6


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"patience": 0}, "needs every and patience ≥ 1"),
        ({"sure": 0.4}, r"sure in \(½, 1\), got 1, 2, 2, 0.5 and 0.4"),
        ({"centers": CORNERS}, "centers and radius go together"),
    ],
)
def test_health_refuses(settings, match):
    with pytest.raises(ArgumentError, match=match):
        metrics.GANHealth(ml.rand(30, 2), **settings)
    with pytest.raises(ShapeError, match="needs at least 24 real samples to compare with, got 5"):
        metrics.GANHealth(ml.rand(5, 2))


def test_the_panel_shows_what_was_measured(rng):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    health = metrics.GANHealth(ml.rand(30, 2))
    health.alarms.append(metrics.Alarm("collapse", 2, "mode collapse"))
    health.histogram = np.array([3, 4])
    history = [{"epoch": e, "d_real": 0.6, "d_fake": 0.4, "loss_d": 1.0, "loss_g": e, "frechet": 1 / e} for e in (1, 2)]
    figure = health.panel(history)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["judgement", "loss", "Fréchet distance", "classes of the samples, by the judge"]
    np.testing.assert_array_equal(figure.axes[1].lines[1].get_xydata(), [[1, 1], [2, 2]])
    assert [line.get_color() for line in figure.axes[0].lines] == ["C0", "C1", "red"]
    pyplot.close(figure)
    with pytest.raises(ArgumentError, match="before the end of the first epoch"):
        health.panel([])


def test_metrics_take_numbers_only():
    with pytest.raises(ArgumentTypeError, match="must hold numbers"):
        frechet_distance(np.array([["a"]]), np.ones((2, 1)))
