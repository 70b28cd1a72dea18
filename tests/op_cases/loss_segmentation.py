"""Rows of the operation table: losses of label maps. References go element by element, as the formulas do."""

import math

import numpy as np

from minidl import functional as F

from ._case import OpCase
from .loss import by_element, log_probabilities, reduce


def _inputs(shape, ignored=False, weight=False):
    """Scores with classes along dimension 1 (or 0), labels, one of them −1 if `ignored`, and weights if wanted."""

    def draw(rng):
        dim = min(len(shape) - 1, 1)
        labels = np.asarray(rng.integers(0, shape[dim], shape[:dim] + shape[dim + 1 :]))
        if ignored:
            labels.flat[1] = -1
        return [rng.standard_normal(shape), labels] + [rng.uniform(0.5, 2.0, shape[dim])] * weight

    return draw


def _focal(x, t, weight=None, gamma=2.0, ignore_index=-100, reduction="mean"):
    losses, total = np.zeros(t.shape), 0.0
    for index, vector, label in by_element(x, t):
        if label != ignore_index:
            log_q, w = log_probabilities(vector)[label], 1.0 if weight is None else weight[label]
            losses[index] = -w * (1 - math.exp(log_q)) ** gamma * log_q
            total += w
    return reduce(losses, reduction, total)


def _torch_focal(torch, x, t, weight=None, gamma=2.0, ignore_index=-100, reduction="mean"):
    """Written from the formula, around PyTorch's cross-entropy."""
    settings = {"ignore_index": ignore_index, "reduction": "none"}
    wrong = 1 - torch.exp(-torch.nn.functional.cross_entropy(x, t, **settings))
    losses = torch.nn.functional.cross_entropy(x, t, weight, **settings) * wrong**gamma
    if reduction != "mean":
        return losses if reduction == "none" else losses.sum()
    counted = t != ignore_index
    return losses.sum() / (counted.sum() if weight is None else weight[t[counted]].sum())


def _dice(x, t, smooth=1.0, ignore_index=-100, reduction="mean"):
    overlaps, sizes = np.zeros(x.shape[:2]), np.zeros(x.shape[:2])
    for (n, *_), vector, label in by_element(x, t):
        if label != ignore_index:
            p = np.exp(log_probabilities(vector))
            overlaps[n, label] += p[label]
            sizes[n] += p
            sizes[n, label] += 1
    return reduce(1 - ((2 * overlaps + smooth) / (sizes + smooth)).mean(1), reduction)


def _case(name, fn, reference, torch, shape, ignored, weight, settings):
    return OpCase(
        name,
        lambda *inputs: fn(*inputs, **settings),
        _inputs(shape, ignored, weight),
        lambda *inputs: reference(*inputs, **settings),
        torch and (lambda torch_module, *inputs: torch(torch_module, *inputs, **settings)),
        diff=(0,),
        batch_axis=0 if len(shape) > 1 else None,
        batched=(0, 1),
    )


CASES = [
    _case(f"softmax_focal_loss-{name}", F.softmax_focal_loss, _focal, _torch_focal, *row)
    for name, *row in [
        ("mean", (5, 4), False, False, {}),
        ("cross-entropy", (5, 4), False, False, {"gamma": 0.0}),
        ("none", (5, 4), False, False, {"gamma": 1.0, "reduction": "none"}),
        ("ignore-weight", (5, 4), True, True, {"ignore_index": -1}),
        ("images-sum", (2, 4, 3, 2), True, True, {"gamma": 1.5, "ignore_index": -1, "reduction": "sum"}),
        ("alone", (4,), False, False, {}),
    ]
]

CASES += [
    _case(f"softmax_dice_loss-{name}", F.softmax_dice_loss, _dice, None, *row)
    for name, *row in [
        ("images", (2, 4, 3, 2), False, False, {}),
        ("ignore", (2, 4, 3, 2), True, False, {"ignore_index": -1, "smooth": 0.1}),
        ("rows-none", (3, 2, 5), True, False, {"ignore_index": -1, "reduction": "none"}),
    ]
]
