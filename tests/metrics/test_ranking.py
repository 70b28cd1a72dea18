"""ROC curves and areas: by hand, by counting pairs, and against scikit-learn where it is installed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.autograd import Tensor
from minidl.errors import ArgumentError, OutOfRangeError, ShapeError
from minidl.metrics import roc_auc, roc_curve


def test_curve_by_hand():
    false_rates, true_rates, thresholds = roc_curve([0.9, 0.8, 0.4, 0.2], [1, 0, 1, 0])
    np.testing.assert_allclose(false_rates, [0, 0, 0.5, 0.5, 1])
    np.testing.assert_allclose(true_rates, [0, 0.5, 0.5, 1, 1])
    np.testing.assert_allclose(thresholds, [np.inf, 0.9, 0.8, 0.4, 0.2])
    assert roc_auc([0.9, 0.8, 0.4, 0.2], [1, 0, 1, 0]) == 0.75


def test_a_tie_is_one_step_whatever_the_order():
    false_rates, true_rates, thresholds = roc_curve([0.5, 0.5, 0.5], [0, 1, 0])
    assert (false_rates.tolist(), true_rates.tolist(), thresholds.tolist()) == ([0, 1], [0, 1], [np.inf, 0.5])
    assert roc_auc([0.5, 0.5], [0, 1]) == roc_auc([0.5, 0.5], [1, 0]) == 0.5


def test_integer_scores_and_tensors():
    assert roc_auc([3, 1, 2], [1, 0, 0]) == 1.0
    assert roc_auc(Tensor(np.array([3.0, 1.0], np.float32)), Tensor(np.array([False, True]))) == 0.0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30))
def test_area_counts_pairs(samples):
    scores, true = np.array([s for s, _ in samples], float), np.array([int(t) for _, t in samples])
    if true.all() or not true.any():
        with pytest.raises(ArgumentError, match="needs both 0 and 1"):
            roc_auc(scores, true)
        return
    differences = scores[true == 1][:, None] - scores[true == 0]
    assert roc_auc(scores, true) == pytest.approx(np.mean((differences > 0) + 0.5 * (differences == 0)))


def test_one_against_rest():
    scores = np.eye(3)[[0, 1, 2, 0]]
    assert roc_auc(scores, [0, 1, 2, 0]) == 1.0


def test_agrees_with_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    scores, true = rng.integers(0, 9, 70) / 9, rng.integers(0, 2, 70)
    expected = reference.roc_curve(true, scores, drop_intermediate=False)
    for mine, theirs in zip(roc_curve(scores, true), expected, strict=True):
        np.testing.assert_allclose(mine, theirs)
    assert roc_auc(scores, true) == pytest.approx(reference.roc_auc_score(true, scores))
    logits, classes = rng.normal(size=(70, 4)), rng.integers(0, 4, 70)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = reference.roc_auc_score(classes, probabilities, multi_class="ovr")
    assert roc_auc(probabilities, classes) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: roc_curve([[0.1]], [0]), ShapeError, r"scores must have shape \(N,\)"),
        (lambda: roc_curve([0.1, 0.2], [0, 2]), OutOfRangeError, "targets must be 0 or 1, got 2"),
        (lambda: roc_curve([0.1, np.nan], [0, 1]), ArgumentError, "1 NaN of 2"),
        (lambda: roc_curve([0.1], [0, 1]), ShapeError, "1 predictions but 2 targets"),
        (lambda: roc_auc([[0.1, 0.2, 0.7]] * 2, [0, 1]), ArgumentError, "no sample of class 2"),
        (lambda: roc_auc([[0.1, 0.9]] * 3, [0, 1, 2]), OutOfRangeError, "class 2, but scores have 2"),
    ],
)
def test_bad_input(call, error, match):
    with pytest.raises(error, match=match):
        call()
