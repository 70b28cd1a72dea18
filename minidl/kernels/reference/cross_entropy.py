"""Softmax and cross-entropy in one, element by element."""

from __future__ import annotations

import math

import numpy as np


def softmax_cross_entropy(x, labels, dim):
    """−log softmax(x)[label] along `dim`: (losses, e = e^(x − m), Σ e), m the largest score; e has the shape of x."""
    losses, total, e = np.zeros(labels.shape, x.dtype), np.zeros(labels.shape, x.dtype), np.zeros(x.shape, x.dtype)
    for at in np.ndindex(labels.shape):
        row = (*at[:dim], slice(None), *at[dim:])
        scores = [float(score) for score in x[row]]
        exponentials = [math.exp(score - max(scores)) for score in scores]
        losses[at] = math.log(math.fsum(exponentials)) - (scores[labels[at]] - max(scores))
        e[row], total[at] = exponentials, math.fsum(exponentials)
    return losses, e, total


def softmax_cross_entropy_backward(gy, e, total, labels, dim):
    """gx = gy · (e/Σ e − one_hot(label)), e/Σ e being the softmax; gy has the shape of labels, or none."""
    gx = np.zeros(e.shape, e.dtype)
    gy = np.broadcast_to(gy, labels.shape)
    for at in np.ndindex(labels.shape):
        for c in range(e.shape[dim]):
            where = (*at[:dim], c, *at[dim:])
            gx[where] = float(gy[at]) * (float(e[where]) / float(total[at]) - (c == labels[at]))
    return gx
