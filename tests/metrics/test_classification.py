"""Metrics of classification against cases worked by hand, and against scikit-learn where it is installed."""

import numpy as np
import pytest

from minidl.autograd import Tensor
from minidl.errors import (
    ArgumentError,
    ArgumentTypeError,
    DtypeError,
    OutOfRangeError,
    ShapeError,
)
from minidl.metrics import accuracy, confusion_matrix, f1_score, precision, recall, top_k_accuracy

# true class:  0 0 0 1 1 2;  predicted: 0 0 1 1 2 2
PREDICTED, TRUE = [0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 2]


def test_accuracy_of_labels_and_of_scores():
    assert accuracy(PREDICTED, TRUE) == pytest.approx(4 / 6)
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], np.float32)
    assert accuracy(scores, [1, 0, 0]) == pytest.approx(2 / 3)
    assert accuracy(Tensor(scores), Tensor(np.array([1, 0, 1]))) == 1.0


def test_accuracy_is_a_python_float():
    assert type(accuracy([1], [1])) is float


def test_top_k_accuracy():
    scores = [[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3]]
    assert top_k_accuracy(scores, [1, 0, 1], k=1) == pytest.approx(1 / 3)
    assert top_k_accuracy(scores, [1, 0, 1], k=2) == pytest.approx(2 / 3)
    assert top_k_accuracy(scores, [1, 0, 1], k=3) == 1.0


def test_top_k_accuracy_counts_a_tie_once():
    assert top_k_accuracy(np.zeros((4, 4)), [0, 1, 2, 3], k=1) == 0.25


def test_confusion_matrix_has_true_classes_in_rows():
    matrix = confusion_matrix(PREDICTED, TRUE)
    np.testing.assert_array_equal(matrix, [[2, 1, 0], [0, 1, 1], [0, 0, 1]])
    assert matrix.dtype == np.int64
    assert confusion_matrix([0], [0], num_classes=3).shape == (3, 3)
    assert confusion_matrix(np.zeros((2, 5)), [0, 0]).shape == (5, 5)
    assert confusion_matrix([[0.0, 1.0, 0.0]], [0]).shape == (3, 3)


def test_precision_recall_and_f1_by_hand():
    np.testing.assert_allclose(precision(PREDICTED, TRUE, average=None), [1, 1 / 2, 1 / 2])
    np.testing.assert_allclose(recall(PREDICTED, TRUE, average=None), [2 / 3, 1 / 2, 1])
    np.testing.assert_allclose(f1_score(PREDICTED, TRUE, average=None), [4 / 5, 1 / 2, 2 / 3])
    assert precision(PREDICTED, TRUE) == pytest.approx(2 / 3)
    assert precision(PREDICTED, TRUE, average="weighted") == pytest.approx((3 + 1 + 0.5) / 6)
    for metric in (precision, recall, f1_score):
        assert metric(PREDICTED, TRUE, average="micro") == pytest.approx(accuracy(PREDICTED, TRUE))


def test_zero_division_is_what_the_caller_says():
    assert precision([0, 0], [0, 1], average=None).tolist() == [0.5, 0.0]
    assert precision([0, 0], [0, 1], average=None, zero_division=1.0).tolist() == [0.5, 1.0]
    assert np.isnan(recall([0, 1], [0, 0], average=None, zero_division=float("nan"))[1])


def test_macro_leaves_out_classes_that_never_occur():
    assert recall([0, 1], [0, 1], num_classes=10) == 1.0


def test_binary_average_is_the_score_of_class_one():
    predicted, true = [1, 1, 0, 0], [1, 0, 1, 0]
    assert precision(predicted, true, average="binary") == 0.5
    assert precision([0], [0], average="binary") == 0.0
    assert recall([0, 0, 0], [0, 1, 1], average="binary") == 0.0
    with pytest.raises(OutOfRangeError, match="classes 0 and 1, but there are 3"):
        recall([0, 2], [0, 1], average="binary")


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: accuracy([0, 1], [0]), ShapeError, "accuracy: 2 predictions but 1 targets"),
        (lambda: accuracy([], np.zeros(0, int)), DtypeError, "must be integer class indices, got float64"),
        (lambda: accuracy(np.zeros(0, int), np.zeros(0, int)), ShapeError, "no samples"),
        (lambda: accuracy([0.5], [0]), DtypeError, "predictions must be integer"),
        (lambda: accuracy([[[0.5]]], [0]), ShapeError, r"indices \(N,\) or scores \(N, C\), got shape \(1, 1, 1\)"),
        (lambda: accuracy([[0], [1]], [[0], [1]]), ShapeError, r"targets must have shape \(N,\), got \(2, 1\)"),
        (lambda: accuracy([0], [-1]), OutOfRangeError, "targets holds the class -1"),
        (lambda: accuracy([[0.1, 0.9]], [2]), OutOfRangeError, "targets hold the class 2, but the scores have 2"),
        (lambda: accuracy([[np.nan, 0.9]], [1]), ArgumentError, "hold 1 NaN of 2"),
        (lambda: accuracy(np.zeros((1, 0)), [1]), ShapeError, "hold no classes"),
        (lambda: accuracy(["cat"], [0]), ArgumentTypeError, "predictions must hold numbers"),
        (lambda: accuracy([0, [1]], [0, 1]), ShapeError, "predictions is not a rectangular array"),
        (lambda: top_k_accuracy([0.1], [0], k=1), ShapeError, r"scores must have shape \(N, C\)"),
        (lambda: top_k_accuracy([[1, 2]], [0], k=3), ArgumentError, "k=3 must lie in 1 … 2"),
        (lambda: top_k_accuracy([[1, 2]], [2], k=1), OutOfRangeError, "class 2, but scores have 2"),
        (lambda: confusion_matrix([3], [0], num_classes=3), OutOfRangeError, "class 3 occurs, but num_classes is 3"),
        (lambda: f1_score([0], [0], average="median"), ArgumentError, "average='median'; choose 'macro'"),
    ],
)
def test_bad_input(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("average", ["macro", "weighted", "micro", None])
def test_agrees_with_scikit_learn(average):
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    for classes in (2, 5):
        predicted, true = rng.integers(classes, size=(2, 60))
        np.testing.assert_array_equal(confusion_matrix(predicted, true), reference.confusion_matrix(true, predicted))
        for mine, theirs in (
            (precision, reference.precision_score),
            (recall, reference.recall_score),
            (f1_score, reference.f1_score),
        ):
            np.testing.assert_allclose(mine(predicted, true, average), theirs(true, predicted, average=average))


def test_top_k_agrees_with_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    scores, true = rng.normal(size=(80, 6)), rng.integers(6, size=80)
    for k in (1, 2, 5):
        expected = reference.top_k_accuracy_score(true, scores, k=k, labels=range(6))
        assert top_k_accuracy(scores, true, k) == pytest.approx(expected)
