"""Softmax and cross-entropy in one, element by element."""

from __future__ import annotations

import math

import numpy as np


def softmax_cross_entropy(x, labels, dim):
    """−log softmax(x)[label] along `dim`: (losses, largest score m, Σ e^(x − m)), all of the shape of labels."""
    losses, top, total = (np.zeros(labels.shape, x.dtype) for _ in range(3))
    for at in np.ndindex(labels.shape):
        scores = [float(score) for score in x[(*at[:dim], slice(None), *at[dim:])]]
        largest = max(scores)
        summed = math.fsum(math.exp(score - largest) for score in scores)
        losses[at] = math.log(summed) - (scores[labels[at]] - largest)
        top[at], total[at] = largest, summed
    return losses, top, total


def softmax_cross_entropy_backward(gy, x, labels, top, total, dim):
    """gx = gy · (softmax(x) − one_hot(label)); gy has the shape of labels, or none."""
    gx = np.zeros(x.shape, x.dtype)
    gy = np.broadcast_to(gy, labels.shape)
    for at in np.ndindex(labels.shape):
        for c in range(x.shape[dim]):
            where = (*at[:dim], c, *at[dim:])
            probability = math.exp(float(x[where]) - float(top[at])) / float(total[at])
            gx[where] = float(gy[at]) * (probability - (c == labels[at]))
    return gx
