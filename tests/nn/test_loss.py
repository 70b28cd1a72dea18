"""Loss layers: each is its function with the settings that it was given."""

import numpy as np
import pytest

import minidl as ml
import minidl.functional as F
from minidl import nn
from minidl.errors import ArgumentError

X, Y, Z = (ml.tensor(np.random.default_rng(seed).standard_normal((5, 4))) for seed in range(3))
P, Q = F.softmax(X, 1), F.softmax(Y, 1)
LABELS = ml.tensor([0, 3, -100, 1, 2])
VALID = ml.tensor([0, 3, 1, 1, 2])
SIGNS = ml.tensor([1, -1, 1, -1, -1])
MATRIX_SIGNS = ml.where(Z > 0, ml.ones_like(Z), -ml.ones_like(Z))
MAPS, MAP_LABELS = X.reshape(2, 2, 5), ml.tensor([[0, 1, 1, 0, 1], [1, 1, 0, 0, 1]])
W = ml.tensor(np.array([1.0, 2.0, 0.5, 1.5]))

CASES = [
    (nn.CrossEntropyLoss(), (X, LABELS), F.cross_entropy(X, LABELS)),
    (
        nn.CrossEntropyLoss(W, ignore_index=3, reduction="sum", label_smoothing=0.1),
        (X, VALID),
        F.cross_entropy(X, VALID, W, ignore_index=3, reduction="sum", label_smoothing=0.1),
    ),
    (nn.NLLLoss(), (X, LABELS), F.nll_loss(X, LABELS)),
    (
        nn.NLLLoss(W, ignore_index=0, reduction="none"),
        (X, VALID),
        F.nll_loss(X, VALID, W, ignore_index=0, reduction="none"),
    ),
    (nn.MultiMarginLoss(2, 0.5, W), (X, VALID), F.multi_margin_loss(X, VALID, 2, 0.5, W)),
    (nn.BCELoss(W, reduction="sum"), (P, Q), F.binary_cross_entropy(P, Q, W, reduction="sum")),
    (
        nn.BCEWithLogitsLoss(W, pos_weight=2 * W),
        (X, Q),
        F.binary_cross_entropy_with_logits(X, Q, W, pos_weight=2 * W),
    ),
    (nn.SigmoidFocalLoss(0.5, 1.0), (X, P), F.sigmoid_focal_loss(X, P, 0.5, 1.0, "mean")),
    (
        nn.SoftmaxFocalLoss(W, 1.0, ignore_index=3, reduction="sum"),
        (X, VALID),
        F.softmax_focal_loss(X, VALID, W, 1.0, ignore_index=3, reduction="sum"),
    ),
    (nn.DiceLoss(0.1, reduction="sum"), (P, Q), F.dice_loss(P, Q, 0.1, reduction="sum")),
    (
        nn.SoftmaxDiceLoss(0.1, ignore_index=0, reduction="none"),
        (MAPS, MAP_LABELS),
        F.softmax_dice_loss(MAPS, MAP_LABELS, 0.1, ignore_index=0, reduction="none"),
    ),
    (nn.MSELoss(reduction="none"), (X, Y), F.mse_loss(X, Y, reduction="none")),
    (nn.L1Loss(), (X, Y), F.l1_loss(X, Y)),
    (nn.SmoothL1Loss(beta=0.3), (X, Y), F.smooth_l1_loss(X, Y, beta=0.3)),
    (nn.HuberLoss("sum", 0.3), (X, Y), F.huber_loss(X, Y, "sum", 0.3)),
    (nn.KLDivLoss(reduction="batchmean"), (X, Q), F.kl_div(X, Q, reduction="batchmean")),
    (nn.KLDivLoss(log_target=True), (X, Y), F.kl_div(X, Y, log_target=True)),
    (nn.HingeEmbeddingLoss(0.5), (X, MATRIX_SIGNS), F.hinge_embedding_loss(X, MATRIX_SIGNS, 0.5)),
    (nn.MarginRankingLoss(0.5), (X, Y, MATRIX_SIGNS), F.margin_ranking_loss(X, Y, MATRIX_SIGNS, 0.5)),
    (nn.CosineEmbeddingLoss(0.2), (X, Y, SIGNS), F.cosine_embedding_loss(X, Y, SIGNS, 0.2)),
    (
        nn.TripletMarginLoss(2.0, p=1.0, swap=True, reduction="sum"),
        (X, Y, Z),
        F.triplet_margin_loss(X, Y, Z, 2.0, 1.0, swap=True, reduction="sum"),
    ),
    (nn.CosineSimilarity(dim=0), (X, Y), F.cosine_similarity(X, Y, 0)),
    (nn.PairwiseDistance(1.0, keepdim=True), (X, Y), F.pairwise_distance(X, Y, 1.0, keepdim=True)),
]


@pytest.mark.parametrize(("layer", "inputs", "expected"), CASES, ids=lambda value: type(value).__name__)
def test_layer_is_its_function(layer, inputs, expected):
    np.testing.assert_array_equal(layer(*inputs).data, expected.data)


def test_weights_are_buffers():
    layer = nn.CrossEntropyLoss(W)
    assert list(layer.state_dict()) == ["weight"] and not list(layer.parameters())
    assert layer.float().weight.dtype == ml.float32
    assert list(nn.BCEWithLogitsLoss(pos_weight=W).state_dict()) == ["pos_weight"]
    assert not nn.CrossEntropyLoss().state_dict()


def test_reduction_is_checked_by_the_function():
    with pytest.raises(ArgumentError, match="mse_loss: reduction must be 'mean', 'sum' or 'none', got 'avg'"):
        nn.MSELoss(reduction="avg")(X, Y)
