"""Losses of label maps: what they reduce to, what they are for, bad input. The numbers are in tests/op_cases."""

import numpy as np
import pytest

import minidl as ml
import minidl.functional as F
from minidl.errors import ArgumentError, OutOfRangeError, ShapeError


@pytest.fixture
def maps(rng):
    """Scores (2, 4, 3, 5) and labels, some of them −1."""
    labels = rng.integers(-1, 4, (2, 3, 5))
    return ml.tensor(rng.standard_normal((2, 4, 3, 5)), requires_grad=True), ml.tensor(labels)


def test_focal_loss_without_gamma_is_cross_entropy(maps):
    x, t = maps
    weight = ml.tensor(np.array([1.0, 2.0, 0.5, 3.0]))
    for reduction in ("mean", "sum", "none"):
        settings = {"ignore_index": -1, "reduction": reduction}
        ours, theirs = F.softmax_focal_loss(x, t, weight, 0.0, **settings), F.cross_entropy(x, t, weight, **settings)
        np.testing.assert_array_equal(ours.data, theirs.data)


def test_focal_loss_of_two_classes_is_the_sigmoid_one(rng):
    x, t = ml.tensor(rng.standard_normal((6, 2))), ml.tensor(rng.integers(0, 2, 6))
    expected = F.sigmoid_focal_loss(x[:, 1] - x[:, 0], t, alpha=-1, reduction="none")
    np.testing.assert_allclose(F.softmax_focal_loss(x, t, reduction="none").data, expected.data, rtol=1e-12)


def test_dice_loss_of_perfect_and_of_disjoint_scores():
    t = ml.tensor([[[0, 1], [1, 1]]])
    right = F.one_hot(t, 2).permute(0, 3, 1, 2).to(ml.float64) * 100
    assert F.softmax_dice_loss(right, t).item() == pytest.approx(0, abs=1e-12)
    assert F.softmax_dice_loss(right, 1 - t, smooth=0.0).item() == pytest.approx(1)
    # Of class 2 there is nothing, and smooth makes that a match.
    with_a_third = F.cat([right, ml.full((1, 1, 2, 2), -100.0, dtype=ml.float64)], 1)
    assert F.softmax_dice_loss(with_a_third, t).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("loss", [F.softmax_focal_loss, F.softmax_dice_loss])
def test_ignored_pixels_do_not_matter(maps, loss):
    x, t = maps
    other = ml.where(ml.tensor((t.data == -1)[:, None]), ml.randn(x.shape, dtype=ml.float64) * 5, x.detach())
    assert loss(x, t, ignore_index=-1).item() == pytest.approx(loss(other, t, ignore_index=-1).item(), rel=1e-13)
    (gx,) = ml.grad(loss(x, t, ignore_index=-1), x)
    assert (gx.data.transpose(0, 2, 3, 1)[t.data == -1] == 0).all() and (gx.data != 0).any()


def test_one_rare_pixel_weighs_more_than_in_the_cross_entropy():
    """Of 400 pixels one is of class 1, and all are scored alike: how much of the gradient is about that one?"""
    labels = np.zeros((1, 20, 20), np.int64)
    labels[0, 7, 7] = 1
    scores = np.zeros((1, 2, 20, 20))
    scores[:, 0] = 2.0  # the frequent class is predicted everywhere
    shares = []
    for loss in (F.cross_entropy, F.softmax_focal_loss, F.softmax_dice_loss):
        x = ml.tensor(scores, requires_grad=True)
        (gx,) = ml.grad(loss(x, ml.tensor(labels)), x)
        size = np.abs(gx.data).sum(1)[0]
        shares.append(size[7, 7] / size.sum())
    assert shares[0] < 0.02 and shares[1] > 10 * shares[0]
    assert shares[2] > shares[0]


def test_float32_stays_float32_and_perfect_scores_have_finite_gradients():
    for loss in (F.softmax_focal_loss, F.softmax_dice_loss):
        x = ml.tensor(np.array([[[200.0], [-200.0]]], np.float32), requires_grad=True)
        y = loss(x, ml.tensor([[0]]))
        (gx,) = ml.grad(y, x)
        assert y.dtype == gx.dtype == ml.float32 and np.isfinite(gx.data).all()


def test_bad_input(maps):
    x, t = maps
    with pytest.raises(ArgumentError, match="softmax_focal_loss: gamma must not be negative, got -1"):
        F.softmax_focal_loss(x, t, gamma=-1, ignore_index=-1)
    with pytest.raises(ShapeError, match=r"softmax_dice_loss: input must have shape \(N, C, d1, ...\).*got \(3, 2\)"):
        F.softmax_dice_loss(ml.zeros(3, 2), ml.tensor([0, 1, 0]))
    for loss in (F.softmax_focal_loss, F.softmax_dice_loss):
        with pytest.raises(
            OutOfRangeError, match=f"{loss.__name__}: target holds the label -1 but there are 4 classes"
        ):
            loss(x, t)
        with pytest.raises(ArgumentError, match="reduction must be 'mean', 'sum' or 'none', got 'avg'"):
            loss(x, t, ignore_index=-1, reduction="avg")
