"""Metrics of label maps, against cases worked out by hand and against scikit-learn and scipy."""

import numpy as np
import pytest

import minidl as ml
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, OutOfRangeError, ShapeError
from minidl.metrics import (
    SegmentationMetrics,
    boundary_f,
    dice,
    f1_score,
    frequency_weighted_iou,
    mean_accuracy,
    mean_iou,
    pixel_accuracy,
)

# Eight pixels count: class 0 has 4 (3 right, 1 taken for 1), class 1 has 3 (2 right, 1 taken for 2), class 2 has 1
# (right). Class 3 is nowhere. The pixel of 255 is taken for 3.
TRUE = [[0, 0, 0], [0, 1, 1], [1, 2, 255]]
PREDICTED = [[0, 0, 0], [1, 1, 1], [2, 2, 3]]


def test_by_hand():
    metrics = SegmentationMetrics(num_classes=4)
    metrics.update(PREDICTED, TRUE)
    assert metrics.matrix.tolist() == [[3, 1, 0, 0], [0, 2, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(metrics.accuracies(), [3 / 4, 2 / 3, 1, np.nan])
    np.testing.assert_allclose(metrics.ious(), [3 / 4, 2 / 4, 1 / 2, np.nan])
    np.testing.assert_allclose(metrics.dices(), [6 / 7, 4 / 6, 2 / 3, np.nan])
    assert metrics.compute() == {
        "pixel_accuracy": pytest.approx(6 / 8),
        "mean_accuracy": pytest.approx((3 / 4 + 2 / 3 + 1) / 3),
        "mean_iou": pytest.approx((3 / 4 + 1 / 2 + 1 / 2) / 3),
        "frequency_weighted_iou": pytest.approx((4 * 3 / 4 + 3 / 2 + 1 / 2) / 8),
        "dice": pytest.approx((6 / 7 + 4 / 6 + 2 / 3) / 3),
    }
    for function in (pixel_accuracy, mean_accuracy, mean_iou, frequency_weighted_iou, dice):
        assert function(PREDICTED, TRUE) == pytest.approx(metrics.compute()[function.__name__])


def test_a_class_that_is_only_predicted_counts_as_a_miss_and_only_for_iou_and_dice():
    predicted, true = [[0, 0, 0, 2]], [[0, 0, 0, 0]]
    metrics = SegmentationMetrics(num_classes=3)
    metrics.update(predicted, true)
    np.testing.assert_allclose(metrics.ious(), [3 / 4, np.nan, 0])
    assert metrics.mean_iou() == pytest.approx((3 / 4 + 0) / 2)
    assert metrics.dice() == pytest.approx((6 / 7 + 0) / 2)
    assert metrics.mean_accuracy() == metrics.pixel_accuracy() == 3 / 4
    assert metrics.frequency_weighted_iou() == 3 / 4


def test_batches_give_what_the_whole_gives():
    rng = np.random.default_rng(0)
    scores, true = rng.standard_normal((7, 5, 6, 4)), rng.integers(0, 5, (7, 6, 4))
    true[rng.random(true.shape) < 0.2] = 255
    metrics = SegmentationMetrics(5)
    for part in (slice(0, 3), slice(3, 6)):
        metrics.update(ml.tensor(scores[part]), ml.tensor(true[part]))
    metrics.update(scores[6], true[6].astype(np.uint8))  # one image, without the batch
    assert metrics.matrix.sum() == (true != 255).sum()
    assert metrics.mean_iou() == mean_iou(scores, true) == mean_iou(scores.argmax(1), true)
    metrics.reset()
    assert metrics.matrix.sum() == 0 and all(np.isnan(value) for value in metrics.compute().values())


def test_agrees_with_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    predicted, true = rng.integers(0, 4, (2, 3, 5, 6))
    p, t = predicted.ravel(), true.ravel()
    assert mean_iou(predicted, true) == pytest.approx(reference.jaccard_score(t, p, average="macro"))
    expected = reference.jaccard_score(t, p, average="weighted")
    assert frequency_weighted_iou(predicted, true) == pytest.approx(expected)
    assert mean_accuracy(predicted, true) == pytest.approx(reference.balanced_accuracy_score(t, p))
    np.testing.assert_allclose(dice(predicted, true, None), reference.f1_score(t, p, average=None))


def test_dice_is_the_f1_score_of_pixels():
    predicted, true = np.random.default_rng(2).integers(0, 2, (2, 1, 8, 8))
    binary = dice(predicted, true, "binary")
    assert binary == pytest.approx(f1_score(predicted.ravel(), true.ravel(), "binary"))
    overlap = (predicted & true).sum()
    assert binary == pytest.approx(2 * overlap / (predicted.sum() + true.sum()))
    assert dice(predicted, true) == pytest.approx(f1_score(predicted.ravel(), true.ravel()))
    assert np.isnan(dice([[0]], [[0]], "binary"))


def test_another_ignore_index_and_none():
    assert pixel_accuracy([[1, 1]], [[0, 1]], ignore_index=0) == 1
    assert pixel_accuracy([[255, 1]], [[255, 0]], ignore_index=None) == 0.5
    assert np.isnan(mean_iou([[1, 1]], [[255, 255]]))


def square(top, left, side=8, size=32):
    mask = np.zeros((size, size), np.int64)
    mask[top : top + side, left : left + side] = 1
    return mask


def test_boundary_of_a_shifted_square():
    """An 8 × 8 square has 28 boundary pixels. Moved by two to the right, its upper and its lower edge have 6 on the old
    ones, and one more beside them; of its left edge, the pixels below and above the corners are beside them too."""
    true, moved = square(10, 10), square(10, 12)
    assert boundary_f(true, true, 0) == 1
    assert boundary_f(moved, true, 2) == 1
    per_class = boundary_f(moved, true, 1, average=None)
    assert per_class[1] == pytest.approx((7 + 7 + 2) / 28)
    assert boundary_f(moved, true, 0, average=None)[1] == pytest.approx((6 + 6) / 28)


def test_boundary_tolerance_is_a_disc_and_by_default_a_share_of_the_diagonal():
    true, diagonal = square(10, 10, side=1), square(11, 11, side=1)
    assert boundary_f(diagonal, true, 1, average=None)[1] == 0 and boundary_f(diagonal, true, 2, average=None)[1] == 1
    for size, tolerance in ((32, 1), (100, 2), (200, 3)):  # 0.75 % of 45.3, 141.4 and 282.8
        apart = [boundary_f(square(5, 5 + d, 1, size), square(5, 5, 1, size), average=None)[1] for d in range(5)]
        assert apart == [1.0] * (tolerance + 1) + [0.0] * (4 - tolerance)


def test_boundary_agrees_with_distance_transforms():
    ndimage = pytest.importorskip("scipy.ndimage")
    rng = np.random.default_rng(3)
    predicted, true = (ndimage.zoom(rng.integers(0, 3, (6, 6)), 5, order=0) for _ in range(2))

    def edge(labels, c):
        mask = labels == c
        return mask & ~ndimage.binary_erosion(mask, border_value=1)

    for tolerance in (1, 2, 4):
        expected = []
        for c in range(3):
            ours, theirs = edge(predicted, c), edge(true, c)
            p = (ndimage.distance_transform_edt(~theirs)[ours] <= tolerance).mean()
            r = (ndimage.distance_transform_edt(~ours)[theirs] <= tolerance).mean()
            expected.append(2 * p * r / (p + r))
        np.testing.assert_allclose(boundary_f(predicted, true, tolerance, average=None), expected)
        assert boundary_f(predicted, true, tolerance) == pytest.approx(np.mean(expected))


def test_boundary_averages_over_the_images_that_have_the_class():
    empty = np.zeros((32, 32), np.int64)
    true, predicted = [square(4, 4), empty, empty], [square(4, 4), square(4, 4), empty]
    # Class 0: exact, lost, and without boundary in both; class 1: exact, invented, nowhere.
    np.testing.assert_allclose(
        boundary_f(predicted, true, 1, num_classes=3, average=None), [(1 + 0 + 1) / 3, (1 + 0) / 2, np.nan]
    )
    assert boundary_f(predicted, true, 1) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_boundaries_end_at_ignored_pixels():
    true = square(10, 10)
    true[8:20, 8:10] = 255  # the strip beside the left edge
    lost = square(10, 11, side=7)
    lost[10:18, 11:18] = 1
    exact = square(10, 10)
    exact[8:20, 8:10] = 1  # predicted to spread where it does not count
    assert boundary_f(exact, true, 0) == 1
    assert boundary_f(lost, true, 0) < 1
    assert np.isnan(boundary_f([[0, 1]], [[255, 255]]))
    assert boundary_f([[0]], [[0]]) == 1


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: mean_iou([0, 1], [0, 1]), ShapeError, r"targets must have shape \(N, H, W\) or \(H, W\), got \(2,\)"),
        (lambda: mean_iou([[0, 1]], [[0], [1]]), ShapeError, r"predictions \(1, 2\) do not fit targets \(2, 1\)"),
        (lambda: mean_iou([[0.0, 1]], [[0, 1]]), DtypeError, "neither class indices"),
        (lambda: mean_iou([[0, 1]], [[0.0, 1]]), DtypeError, "targets must be integer class indices, got float64"),
        (lambda: mean_iou([["cat"]], [[0]]), ArgumentTypeError, "predictions must hold numbers"),
        (lambda: mean_iou(np.zeros((0, 1, 1)), [[0]]), ShapeError, "hold no classes"),
        (lambda: mean_iou(np.full((2, 1, 1), np.nan), [[0]]), ArgumentError, "2 NaN of 2"),
        (lambda: mean_iou([[0, 3]], [[0, 1]], num_classes=3), OutOfRangeError, "predictions hold the label 3"),
        (lambda: mean_iou([[0, 1]], [[0, -100]]), OutOfRangeError, "targets hold the label -100.*ignore_index"),
        (lambda: dice([[0, 2]], [[0, 1]], "binary"), OutOfRangeError, "label 2, but there are the classes 0 to 1"),
        (lambda: dice([[0]], [[0]], "micro"), ArgumentError, "average='micro'; choose 'macro', 'binary' or None"),
        (lambda: SegmentationMetrics(0), ArgumentError, "num_classes must be a positive integer, got 0"),
        (lambda: SegmentationMetrics(2).update([[0, 2]], [[0, 1]]), OutOfRangeError, "SegmentationMetrics.update"),
        (lambda: boundary_f([[0]], [[0]], 1.5), ArgumentError, "tolerance must be a number of whole pixels.*1.5"),
        (lambda: boundary_f([[0]], [[0]], average="mean"), ArgumentError, "average='mean'"),
        (lambda: boundary_f([[2]], [[0]], num_classes=2), OutOfRangeError, "boundary_f: predictions hold the label 2"),
    ],
)
def test_bad_input(call, error, match):
    with pytest.raises(error, match=match):
        call()
