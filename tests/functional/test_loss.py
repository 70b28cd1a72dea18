"""Losses: PyTorch's corner cases, stability, bad input. The numbers themselves are in tests/op_cases."""

import math

import numpy as np
import pytest

import minidl as ml
import minidl.functional as F
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, GradientError, OutOfRangeError, ShapeError

INF = float("inf")


def gradient(loss, x):
    (gx,) = ml.grad(loss, x)
    return gx.data


# ---------------------------------------------------------------------------------------------------------------------
# Class labels


def test_gradient_of_the_mean_is_p_minus_y_over_n():
    x = ml.randn(5, 3, dtype=ml.float64, requires_grad=True)
    t = ml.tensor([0, 2, 1, 1, 0])
    p = F.softmax(x.detach(), 1).data
    np.testing.assert_allclose(gradient(F.cross_entropy(x, t), x), (p - np.eye(3)[t.data]) / 5, rtol=1e-12)


@pytest.mark.parametrize("dtype", [ml.uint8, ml.int32, ml.int64])
def test_any_integer_labels(dtype):
    x = ml.randn(3, 4)
    t = ml.tensor([0, 3, 1])
    assert F.cross_entropy(x, t.to(dtype)).item() == F.cross_entropy(x, t).item()
    assert F.nll_loss(x, t.to(dtype)).item() == F.nll_loss(x, t).item()


def test_float32_stays_float32():
    x = ml.randn(4, 3, requires_grad=True)
    t, w = ml.tensor([0, 1, 2, -1]), ml.rand(3)
    for loss in (
        F.cross_entropy(x, t, w, ignore_index=-1, label_smoothing=0.1),
        F.cross_entropy(x, F.softmax(x.detach(), 1), w, label_smoothing=0.1),
        F.nll_loss(x, t, w, ignore_index=-1),
        F.multi_margin_loss(x, t.clamp(min=0), weight=w),
        F.sigmoid_focal_loss(x, (x.detach() > 0).to(ml.float32), reduction="mean"),
        F.mse_loss(x, x.detach() + 1),
        F.smooth_l1_loss(x, x.detach() + 1),
        F.huber_loss(x, x.detach() + 1),
        F.cosine_similarity(x, x.detach() + 1).sum(),
        F.kl_div(x, x.detach() ** 2, reduction="batchmean"),
    ):
        assert loss.dtype == ml.float32 and gradient(loss, x).dtype == np.float32


@pytest.mark.parametrize("create_graph", [False, True])
def test_cross_entropy_of_extreme_scores(create_graph):
    x = ml.tensor([[1e4, -1e4, 0.0], [-INF, 1.0, 2.0]], requires_grad=True)
    losses = F.cross_entropy(x, ml.tensor([1, 1]), reduction="none")
    np.testing.assert_allclose(losses.data, [2e4, math.log(1 + math.e)], rtol=1e-6)
    (gx,) = ml.grad(losses.sum(), x, create_graph=create_graph)
    p = 1 / (1 + math.e)
    np.testing.assert_allclose(gx.data, [[1, -1, 0], [0, p - 1, 1 - p]], atol=1e-6)


def test_impossible_label_costs_infinity():
    assert F.cross_entropy(ml.tensor([[-INF, 1.0]]), ml.tensor([0])).item() == INF


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_mean_of_nothing_is_nan_with_gradient_zero(label_smoothing):
    x = ml.randn(3, 4, requires_grad=True)
    loss = F.cross_entropy(x, ml.full((3,), -100), label_smoothing=label_smoothing)
    assert np.isnan(loss.data)
    np.testing.assert_array_equal(gradient(loss, x), 0)
    assert F.cross_entropy(x, ml.full((3,), -100), reduction="sum").item() == 0


@pytest.mark.parametrize("target", [ml.zeros(0, dtype=ml.int64), ml.zeros(0, 4)])
def test_empty_batch(target):
    x = ml.zeros(0, 4)
    assert np.isnan(F.cross_entropy(x, target).data)
    assert F.cross_entropy(x, target, reduction="none").shape == (0,)


def test_ignored_elements_do_not_reach_the_scores():
    x = ml.tensor([[0.0, 1.0], [float("nan"), INF]], requires_grad=True)
    loss = F.cross_entropy(x[:1], ml.tensor([0]))
    ignoring = F.nll_loss(x, ml.tensor([0, 7]), ignore_index=7)
    assert ignoring.item() == 0 and loss.item() > 0
    np.testing.assert_array_equal(gradient(ignoring, x), [[-1, 0], [0, 0]])


@pytest.mark.parametrize("op", ["cross_entropy", "nll_loss", "multi_margin_loss"])
def test_labels_out_of_range(op):
    fn, x = getattr(F, op), ml.zeros(3, 4)
    with pytest.raises(OutOfRangeError, match=rf"{op}: target holds the label 4 but there are 4 classes .*0 to 3"):
        fn(x, ml.tensor([0, 4, 1]))
    with pytest.raises(IndexError, match="target holds the label -1 but"):
        fn(x, ml.tensor([0, -1, 1]))


@pytest.mark.parametrize("op", ["cross_entropy", "nll_loss", "multi_margin_loss"])
def test_targets_that_are_no_labels(op):
    fn, x = getattr(F, op), ml.zeros(3, 4)
    with pytest.raises(DtypeError, match=r"target must hold class indices as integers, got float32; convert it"):
        fn(x, ml.zeros(3))
    with pytest.raises(DtypeError, match="class indices as integers, got bool"):
        fn(x, ml.zeros(3, dtype=ml.bool))
    with pytest.raises(ShapeError, match=r"target has shape \(5,\) but input .*; give each sample one"):
        fn(x, ml.zeros(5, dtype=ml.int64))
    with pytest.raises(ShapeError, match=r"target has shape \(3, 1\) .* shape \(3,\); use target.reshape\(\(3,\)\)"):
        fn(x, ml.zeros(3, 1, dtype=ml.int64))
    with pytest.raises(ShapeError, match=r"one-hot labels become indices with target.argmax\(1\)"):
        fn(x, ml.zeros(3, 4, dtype=ml.int64))
    with pytest.raises(ArgumentTypeError, match=f"{op}: target must be a Tensor, got list"):
        fn(x, [0, 1, 2])


@pytest.mark.parametrize("op", ["cross_entropy", "nll_loss", "multi_margin_loss"])
def test_scores_and_weights_are_checked(op):
    fn, t = getattr(F, op), ml.tensor([0, 1, 2])
    x = ml.zeros(3, 4)
    with pytest.raises(ShapeError, match=r"input must have shape \(C,\) or \(N, C, ...\)"):
        fn(ml.tensor(1.0), t)
    with pytest.raises(DtypeError, match="input must be a floating-point tensor, got int64"):
        fn(ml.zeros(3, 4, dtype=ml.int64), t)
    with pytest.raises(ShapeError, match=r"weight has shape \(3,\) but there are 4 classes"):
        fn(x, t, weight=ml.ones(3))
    with pytest.raises(DtypeError, match="weight is float64 but input is float32"):
        fn(x, t, weight=ml.ones(4, dtype=ml.float64))
    with pytest.raises(GradientError, match=r"no gradient is computed for the class weights; pass weight.detach\(\)"):
        fn(x, t, weight=ml.ones(4, requires_grad=True))
    with pytest.raises(ArgumentTypeError, match="weight must be a Tensor, got list"):
        fn(x, t, weight=[1.0] * 4)
    with pytest.raises(ArgumentError, match=f"{op}: reduction must be 'mean', 'sum' or 'none', got 'average'"):
        fn(x, t, reduction="average")


def test_cross_entropy_settings():
    x, q = ml.zeros(3, 4), ml.full((3, 4), 0.25)
    with pytest.raises(ArgumentError, match="label_smoothing must lie between 0 and 1, got 1.5"):
        F.cross_entropy(x, ml.tensor([0, 1, 2]), label_smoothing=1.5)
    with pytest.raises(ArgumentError, match="ignore_index 2 has no meaning for probabilities"):
        F.cross_entropy(x, q, ignore_index=2)
    with pytest.raises(ShapeError, match=r"input has shape \(3, 4\) but target has shape \(3, 5\)"):
        F.cross_entropy(x, ml.zeros(3, 5))
    with pytest.raises(DtypeError, match="input is float32 but target is float64"):
        F.cross_entropy(x, q.to(ml.float64))


def test_multi_margin_settings():
    with pytest.raises(ArgumentError, match="p must be 1 or 2, got 3"):
        F.multi_margin_loss(ml.zeros(3, 4), ml.tensor([0, 1, 2]), p=3)
    with pytest.raises(ShapeError, match=r"must have shape \(N, C\) or \(C,\), got \(2, 4, 3\)"):
        F.multi_margin_loss(ml.zeros(2, 4, 3), ml.zeros(2, 3, dtype=ml.int64))


def test_nll_of_log_softmax_is_cross_entropy():
    x, t, w = ml.randn(6, 3, dtype=ml.float64), ml.tensor([0, 1, 2, 2, -100, 0]), ml.tensor(np.array([1.0, 2, 3]))
    for reduction in ("mean", "sum", "none"):
        np.testing.assert_allclose(
            F.nll_loss(F.log_softmax(x, 1), t, w, reduction=reduction).data,
            F.cross_entropy(x, t, w, reduction=reduction).data,
            rtol=1e-12,
        )


def test_one_hot_probabilities_are_labels():
    x, t = ml.randn(5, 3, dtype=ml.float64), ml.tensor([0, 2, 1, 1, 0])
    hot = F.one_hot(t, 3).to(ml.float64)
    for smoothing in (0.0, 0.2):
        np.testing.assert_allclose(
            F.cross_entropy(x, hot, label_smoothing=smoothing).data,
            F.cross_entropy(x, t, label_smoothing=smoothing).data,
            rtol=1e-12,
        )


# ---------------------------------------------------------------------------------------------------------------------
# Yes or no


def test_bce_limits_its_logarithms_and_its_gradient():
    x = ml.tensor([0.0, 1.0, 0.5, 0.0, 1.0], requires_grad=True)
    losses = F.binary_cross_entropy(x, ml.tensor([1.0, 0, 0, 0, 1]), reduction="none")
    np.testing.assert_allclose(losses.data, [100, 100, math.log(2), 0, 0], rtol=1e-6)
    np.testing.assert_allclose(gradient(losses.sum(), x), [-1e12, 1e12, 2, 0, 0], rtol=1e-6)


def test_bce_input_must_be_probabilities():
    for value in (1.5, -0.25):
        with pytest.raises(ArgumentError, match=f"input must lie between 0 and 1, got {value}; apply sigmoid"):
            F.binary_cross_entropy(ml.tensor([0.5, value]), ml.zeros(2))
        with pytest.raises(ArgumentError, match=f"target must lie between 0 and 1, got {value}; it holds"):
            F.binary_cross_entropy(ml.full((2,), 0.5), ml.tensor([0.5, value]))
    with pytest.raises(ArgumentError, match="got nan"):
        F.binary_cross_entropy(ml.tensor([float("nan")]), ml.zeros(1))


def test_bce_of_sigmoid_is_bce_with_logits():
    x, t = ml.randn(20, dtype=ml.float64) * 5, (ml.rand(20) > 0.5).to(ml.float64)
    np.testing.assert_allclose(
        F.binary_cross_entropy(F.sigmoid(x), t).data, F.binary_cross_entropy_with_logits(x, t).data, rtol=1e-10
    )
    below = F.binary_cross_entropy(F.sigmoid(ml.tensor([-40.0])), ml.ones(1))
    np.testing.assert_allclose(below.data, 40, rtol=1e-6)


def test_bce_with_logits_at_zero_and_far_out():
    x = ml.tensor([0.0, 0.0, 500.0, -500.0, -20.0], requires_grad=True)
    t = ml.tensor([1.0, 0.0, 0.0, 1.0, 0.0])
    losses = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    np.testing.assert_allclose(losses.data, [math.log(2), math.log(2), 500, 500, math.exp(-20)], rtol=1e-5)
    np.testing.assert_allclose(gradient(losses.sum(), x), [-0.5, 0.5, 1, -1, math.exp(-20)], rtol=1e-5)


@pytest.mark.parametrize(
    "fn",
    [
        F.binary_cross_entropy,
        F.binary_cross_entropy_with_logits,
        F.dice_loss,
        F.hinge_embedding_loss,
        F.huber_loss,
        F.kl_div,
        F.l1_loss,
        F.mse_loss,
        F.smooth_l1_loss,
        F.sigmoid_focal_loss,
    ],
)
def test_shapes_must_be_equal(fn):
    """PyTorch broadcasts (N, 1) with (N,) in mse_loss, with a warning: a classic silent error."""
    x = ml.full((3, 1), 0.5)
    with pytest.raises(ShapeError, match=r"has shape \(3, 1\) but targets? has shape \(3,\); they must be equal"):
        fn(x, ml.zeros(3))
    with pytest.raises(DtypeError, match="is float32 but targets? is float64"):
        fn(x, ml.zeros(3, 1, dtype=ml.float64))
    with pytest.raises(ArgumentTypeError, match="targets? must be a Tensor, got list"):
        fn(x, [[0.0]] * 3)
    with pytest.raises(ArgumentError, match="reduction must be 'mean', 'sum' or 'none', got 'total'"):
        fn(x, ml.zeros(3, 1), reduction="total")


def test_integer_targets_take_the_dtype_of_the_input():
    x = ml.tensor([0.25, 0.75], requires_grad=True)
    for target in (ml.tensor([0, 1]), ml.tensor([False, True])):
        assert F.binary_cross_entropy(x, target).dtype == ml.float32
        np.testing.assert_allclose(F.mse_loss(x, target).data, 0.0625)


def test_weights_must_fit():
    x = ml.full((3, 4), 0.5)
    for fn in (F.binary_cross_entropy, F.binary_cross_entropy_with_logits):
        with pytest.raises(ShapeError, match=r"weight of shape \(2, 3, 4\) does not fit input of shape \(3, 4\)"):
            fn(x, x, weight=ml.ones(2, 3, 4))
        with pytest.raises(ShapeError, match=r"shapes \(3, 4\) and \(3,\) cannot be broadcast"):
            fn(x, x, weight=ml.ones(3))
        with pytest.raises(ArgumentTypeError, match="weight must be a Tensor, got float"):
            fn(x, x, weight=0.5)
    with pytest.raises(ArgumentTypeError, match="pos_weight must be a Tensor, got float"):
        F.binary_cross_entropy_with_logits(x, x, pos_weight=2.0)


def test_focal_loss():
    x, t = ml.randn(10), (ml.rand(10) > 0.5).to(ml.float32)
    np.testing.assert_allclose(
        F.sigmoid_focal_loss(x, t, alpha=-1, gamma=0).data,
        F.binary_cross_entropy_with_logits(x, t, reduction="none").data,
        rtol=1e-6,
    )
    with pytest.raises(ArgumentError, match="alpha must lie between 0 and 1, or be -1 for no weighting, got 1.5"):
        F.sigmoid_focal_loss(x, t, alpha=1.5)


def test_dice_loss():
    mask = ml.tensor([[1.0, 1, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(F.dice_loss(mask, mask, reduction="none").data, [0, 0])
    np.testing.assert_allclose(F.dice_loss(1 - mask[:1], mask[:1], smooth=0.0).data, 1)
    with pytest.raises(ShapeError, match=r"input must have shape \(N, ...\), one mask for each sample, got \(4,\)"):
        F.dice_loss(mask[0], mask[0])


# ---------------------------------------------------------------------------------------------------------------------
# Regression and distances


def test_smooth_l1_and_huber_where_they_change_over():
    x = ml.tensor([0.0, 0.5, 1.0, -1.0, 2.0], requires_grad=True)
    t = ml.zeros(5)
    np.testing.assert_allclose(F.smooth_l1_loss(x, t, reduction="none").data, [0, 0.125, 0.5, 0.5, 1.5])
    np.testing.assert_allclose(gradient(F.smooth_l1_loss(x, t, reduction="sum"), x), [0, 0.5, 1, -1, 1])
    np.testing.assert_allclose(
        F.huber_loss(x, t, delta=0.5).data, 0.5 * F.smooth_l1_loss(x, t, beta=0.5).data, rtol=1e-6
    )
    np.testing.assert_array_equal(F.smooth_l1_loss(x, t, beta=0).data, F.l1_loss(x, t).data)
    with pytest.raises(ArgumentError, match="beta must not be negative, got -1"):
        F.smooth_l1_loss(x, t, beta=-1)
    with pytest.raises(ArgumentError, match="delta must be positive, got 0"):
        F.huber_loss(x, t, delta=0)


def test_kl_div_of_a_distribution_with_zeros():
    t = ml.tensor([[0.0, 0.5, 0.5]])
    x = ml.tensor([[math.log(0.2), math.log(0.4), math.log(0.4)]], requires_grad=True)
    loss = F.kl_div(x, t, reduction="batchmean")
    np.testing.assert_allclose(loss.data, math.log(0.5 / 0.4), rtol=1e-6)
    np.testing.assert_allclose(gradient(loss, x), -t.data)
    assert F.kl_div(ml.tensor(0.0), ml.tensor(1.0), reduction="batchmean").item() == 0


def test_cosine_of_zero_vectors_is_zero_with_a_finite_gradient():
    x = ml.zeros(2, 3, requires_grad=True)
    y = F.cosine_similarity(x, ml.ones(2, 3))
    np.testing.assert_array_equal(y.data, 0)
    assert np.isfinite(gradient(y.sum(), x)).all()


def test_distance_of_equal_vectors_has_gradient_zero():
    x = ml.ones(2, 3, requires_grad=True)
    y = F.pairwise_distance(x, ml.ones(2, 3), eps=0.0)
    np.testing.assert_array_equal(gradient(y.sum(), x), 0)


def test_margins_at_their_limit_pass_the_gradient_on():
    """As PyTorch's clamp does: equal scores and margin 0 still pull."""
    x = ml.zeros(2, requires_grad=True)
    loss = F.margin_ranking_loss(x, ml.zeros(2), ml.ones(2), reduction="sum")
    np.testing.assert_array_equal(gradient(loss, x), [-1, -1])


def test_targets_of_embedding_losses():
    x = ml.tensor([0.3, 0.3, 2.0])
    losses = F.hinge_embedding_loss(x, ml.tensor([1, -1, -1]), reduction="none")
    np.testing.assert_allclose(losses.data, [0.3, 0.7, 0], rtol=1e-6)
    a, b = ml.tensor([[1.0, 0.0]]), ml.tensor([[1.0, 1.0]])
    for target, value in ((1, 1 - math.sqrt(0.5)), (-1, math.sqrt(0.5) - 0.5)):
        loss = F.cosine_embedding_loss(a, b, ml.tensor([target]), margin=0.5)
        np.testing.assert_allclose(loss.data, value, rtol=1e-5)


def test_vectors_are_checked():
    a, b = ml.ones(3, 4), ml.ones(3, 4)
    with pytest.raises(ShapeError, match=r"inputs must be \(N, D\) .* got inputs \(3, 4\) and target \(4,\)"):
        F.cosine_embedding_loss(a, b, ml.ones(4))
    with pytest.raises(ShapeError, match=r"input1 has shape \(3, 4\) but input2 has shape \(4,\)"):
        F.margin_ranking_loss(a, ml.ones(4), ml.ones(3, 4))
    with pytest.raises(ShapeError, match=r"input1 has shape \(3, 4\) but target has shape \(3,\)"):
        F.margin_ranking_loss(a, b, ml.ones(3))
    with pytest.raises(ShapeError, match="must have equally many dimensions"):
        F.triplet_margin_loss(a, b, ml.ones(4))
    with pytest.raises(ArgumentError, match="margin must be positive, got -1"):
        F.triplet_margin_loss(a, b, b, margin=-1)
    with pytest.raises(ArgumentTypeError, match="triplet_margin_loss: negative must be a Tensor"):
        F.triplet_margin_loss(a, b, [1.0])
    with pytest.raises(ShapeError, match=r"cosine_similarity: shapes \(3, 4\) and \(3,\) cannot be broadcast"):
        F.cosine_similarity(a, ml.ones(3))
    with pytest.raises(OutOfRangeError, match="cosine_similarity: dim 2 is out of range"):
        F.cosine_similarity(a, b, dim=2)
    with pytest.raises(ArgumentTypeError, match="pairwise_distance: x2 must be a Tensor"):
        F.pairwise_distance(a, [1.0])
