"""Which anchor answers for which object, and which are drawn."""

import numpy as np
import pytest

import minidl as ml
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from minidl.vision import BalancedPositiveNegativeSampler, Matcher

from ._torchvision import torchvision

QUALITY = [[0.9, 0.5, 0.2, 0.0, 0.3], [0.1, 0.5, 0.3, 0.4, 0.4]]


def test_thresholds_by_hand():
    assert Matcher(0.7, 0.3)(QUALITY).tolist() == [0, -2, -2, -2, -2]
    assert Matcher(0.5, 0.4)(ml.tensor(QUALITY, dtype=ml.float64)).tolist() == [0, 0, -1, -2, -2]
    assert Matcher(0.95, 0.95)(QUALITY).tolist() == [-1] * 5


def test_no_object_is_left_alone():
    quality = [[0.9, 0.2, 0.1, 0.3], [0.1, 0.2, 0.25, 0.25]]
    assert Matcher(0.7, 0.3)(quality).tolist() == [0, -1, -1, -2]
    assert Matcher(0.7, 0.3, allow_low_quality_matches=True)(quality).tolist() == [0, -1, 1, 0]


def test_without_objects_all_is_background():
    matches = Matcher(0.7, 0.3, True)(np.zeros((0, 4), np.float32))
    assert matches.tolist() == [-1] * 4 and matches.dtype == np.int64
    assert Matcher(0.7, 0.3)(np.zeros((2, 0))).shape == (0,)


@pytest.mark.parametrize("low_quality", [False, True])
def test_torchvision_matches_the_same(low_quality, rng):
    torch, _ = torchvision()
    theirs = pytest.importorskip("torchvision.models.detection")._utils.Matcher(0.7, 0.3, low_quality)
    for _ in range(20):
        quality = rng.integers(0, 11, (rng.integers(1, 5), 30)) / 10
        assert Matcher(0.7, 0.3, low_quality)(quality).tolist() == theirs(torch.tensor(quality)).tolist()


def test_bad_matches():
    for call, error, message in [
        (lambda: Matcher(0.3, 0.7), ArgumentError, "low_threshold 0.7 must not be above high_threshold 0.3"),
        (lambda: Matcher(0.7, 0.3)([0.5, 0.6]), ShapeError, r"must be \(objects, predictions\), got \(2,\)"),
        (lambda: Matcher(0.7, 0.3)([[np.nan, 0.5]]), ArgumentError, "a quality is NaN"),
    ]:
        with pytest.raises(error, match=message):
            call()


LABELS = np.array([1] * 10 + [0] * 50 + [-1] * 20 + [3] * 5)


@pytest.mark.parametrize(
    "size, fraction, positive, negative", [(20, 0.25, 5, 15), (40, 0.5, 15, 25), (200, 0.5, 15, 50)]
)
def test_how_many_are_drawn_and_of_what(size, fraction, positive, negative):
    (p,), (n,) = BalancedPositiveNegativeSampler(size, fraction)([LABELS])
    assert p.shape == n.shape == LABELS.shape and p.dtype == np.uint8
    drawn, background = p.numpy() == 1, n.numpy() == 1
    assert drawn.sum() == positive and background.sum() == negative
    assert (LABELS[drawn] >= 1).all() and (LABELS[background] == 0).all()


def test_without_objects_background_fills_up():
    (p,), (n,) = BalancedPositiveNegativeSampler(8, 0.5)([np.zeros(20, int)])
    assert p.sum().item() == 0 and n.sum().item() == 8


def test_draws_follow_the_generator_and_are_uniform():
    def draw(seed):
        return BalancedPositiveNegativeSampler(20, 0.25, generator=ml.Generator(seed))([LABELS] * 2)[1]

    first, again, other = draw(0), draw(0), draw(1)
    assert first[0].tolist() == again[0].tolist() != other[0].tolist()
    assert first[0].tolist() != first[1].tolist()
    sampler = BalancedPositiveNegativeSampler(20, 0.25, generator=ml.Generator(0))
    counts = sum(n.numpy().astype(int) for n in sampler([LABELS] * 400)[1])[LABELS == 0]
    assert abs(counts - 400 * 15 / 50).max() < 5 * (400 * 0.3 * 0.7) ** 0.5


def test_on_a_gpu(on_cuda):
    (p,), _ = BalancedPositiveNegativeSampler(20, 0.25)([ml.tensor(LABELS).cuda()])
    assert p.device.type == "cuda" and p.cpu().sum().item() == 5
    assert (
        Matcher(0.7, 0.3, True)(ml.tensor(QUALITY).cuda()).cpu().tolist() == Matcher(0.7, 0.3, True)(QUALITY).tolist()
    )


def test_bad_draws():
    for call, error, message in [
        (
            lambda: BalancedPositiveNegativeSampler(0, 0.5),
            ArgumentError,
            "batch_size_per_image must be at least 1, got 0",
        ),
        (lambda: BalancedPositiveNegativeSampler(8, 1.5), ArgumentError, r"positive_fraction=1.5 must lie in \[0, 1\]"),
        (lambda: BalancedPositiveNegativeSampler(8, 0.5, generator=3), ArgumentTypeError, "must be a minidl.Generator"),
        (lambda: BalancedPositiveNegativeSampler(8, 0.5)([[[1, 0]]]), ShapeError, r"matched_idxs\[0\] must be \(N,\)"),
        (lambda: BalancedPositiveNegativeSampler(8, 0.5)([[True]]), DtypeError, "labels are numbers"),
    ]:
        with pytest.raises(error, match=message):
            call()
