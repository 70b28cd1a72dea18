"""Normalization by textbook loops: the definition of every kernel in ``kernels/cpu/norm.py``.

Statistics come out in float64 whatever the dtype of x: they are few, and rounding a large mean would cost digits of y.
"""

from __future__ import annotations

import math

import numpy as np

from .elementwise import relu_backward


def batch_norm(x, weight, bias, eps):
    """Normalize every channel of x (N, C, ...) by its own mean and variance: (y, mean (C,), biased variance (C,))."""
    mean, var = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for c in range(x.shape[1]):
        values = [float(value) for value in x[:, c].ravel()]
        count = max(len(values), 1)
        mean[c] = math.fsum(values) / count
        var[c] = math.fsum((value - mean[c]) ** 2 for value in values) / count
    return batch_norm_eval(x, weight, bias, mean, var, eps), mean, var


def batch_norm_statistics(x):
    """(mean, biased variance) of every channel of x (N, C, ...), both (C,) float64."""
    _, mean, var = batch_norm(x, None, None, 1.0)
    return mean, var


def normalized_sum(normalized, others, relu):
    """The sum of some batch norms (the arguments of :func:`batch_norm_eval`) and of `others`; maybe its ReLU."""
    y = sum([batch_norm_eval(*arguments) for arguments in normalized] + list(others))
    return np.maximum(y, 0) if relu else y


def channel_sum(x):
    """Σ x over all but the channels of x (N, C, ...): (C,)."""
    sums = [math.fsum(float(value) for value in x[:, c].ravel()) for c in range(x.shape[1])]
    return np.array(sums, x.dtype)


def batch_norm_backward(gy, x, weight, mean, var, eps, relu_output=None):
    """(gx, gweight, gbias) of batch norm by the statistics of x. With relu_output, gy counts only where that is > 0."""
    gy = gy if relu_output is None else relu_backward(gy, relu_output)
    gx = np.zeros(x.shape, x.dtype)
    _, gweight, gbias = batch_norm_eval_backward(gy, x, weight, mean, var, eps)
    count = max(x[:, 0].size, 1)
    for n, c, *where in np.ndindex(x.shape):
        at = (n, c, *where)
        std = math.sqrt(var[c] + eps)
        x_hat = (float(x[at]) - mean[c]) / std
        centered = float(gy[at]) - float(gbias[c]) / count - x_hat * float(gweight[c]) / count
        gx[at] = (1.0 if weight is None else float(weight[c])) / std * centered
    return gx, gweight, gbias


def batch_norm_eval(x, weight, bias, mean, var, eps):
    """Normalize every channel of x (N, C, ...) by the given mean and variance."""
    y = np.zeros(x.shape, x.dtype)
    for n, c, *where in np.ndindex(x.shape):
        x_hat = (float(x[(n, c, *where)]) - float(mean[c])) / math.sqrt(float(var[c]) + eps)
        scale = 1.0 if weight is None else float(weight[c])
        shift = 0.0 if bias is None else float(bias[c])
        y[(n, c, *where)] = scale * x_hat + shift
    return y


def batch_norm_eval_backward(gy, x, weight, mean, var, eps, relu_output=None):
    """(gx, gweight, gbias) of :func:`batch_norm_eval`, whose statistics are constants."""
    gy = gy if relu_output is None else relu_backward(gy, relu_output)
    gx = np.zeros(x.shape, x.dtype)
    gweight, gbias = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for n, c, *where in np.ndindex(x.shape):
        at = (n, c, *where)
        std = math.sqrt(float(var[c]) + eps)
        gx[at] = (1.0 if weight is None else float(weight[c])) / std * float(gy[at])
        gweight[c] += float(gy[at]) * (float(x[at]) - float(mean[c])) / std
        gbias[c] += float(gy[at])
    return gx, gweight.astype(x.dtype), gbias.astype(x.dtype)


def group_norm(x, weight, bias, eps):
    """Normalize each of the G groups of each sample of x (N, G, K, S): (y, mean (N, G), biased variance (N, G)).

    weight and bias are (G, K): one number for each of the K channels of a group.
    """
    y = np.zeros(x.shape, x.dtype)
    mean, var = np.zeros(x.shape[:2]), np.zeros(x.shape[:2])
    for n, g in np.ndindex(x.shape[:2]):
        values = [float(value) for value in x[n, g].ravel()]
        mean[n, g] = math.fsum(values) / max(len(values), 1)
        var[n, g] = math.fsum((value - mean[n, g]) ** 2 for value in values) / max(len(values), 1)
        for k, s in np.ndindex(x.shape[2:]):
            x_hat = (float(x[n, g, k, s]) - mean[n, g]) / math.sqrt(var[n, g] + eps)
            scale = 1.0 if weight is None else float(weight[g, k])
            shift = 0.0 if bias is None else float(bias[g, k])
            y[n, g, k, s] = scale * x_hat + shift
    return y, mean, var


def group_norm_backward(gy, x, weight, mean, var, eps):
    """(gx, gweight, gbias) of :func:`group_norm`."""
    gx = np.zeros(x.shape, x.dtype)
    gweight, gbias = np.zeros(x.shape[1:3]), np.zeros(x.shape[1:3])
    for n, g in np.ndindex(x.shape[:2]):
        std = math.sqrt(var[n, g] + eps)
        count, sum_g, sum_gx = x[n, g].size, 0.0, 0.0
        for k, s in np.ndindex(x.shape[2:]):
            g_hat = float(gy[n, g, k, s]) * (1.0 if weight is None else float(weight[g, k]))
            x_hat = (float(x[n, g, k, s]) - mean[n, g]) / std
            sum_g += g_hat
            sum_gx += g_hat * x_hat
            gweight[g, k] += float(gy[n, g, k, s]) * x_hat
            gbias[g, k] += float(gy[n, g, k, s])
        for k, s in np.ndindex(x.shape[2:]):
            g_hat = float(gy[n, g, k, s]) * (1.0 if weight is None else float(weight[g, k]))
            x_hat = (float(x[n, g, k, s]) - mean[n, g]) / std
            gx[n, g, k, s] = (g_hat - sum_g / count - x_hat * sum_gx / count) / std
    return gx, gweight.astype(x.dtype), gbias.astype(x.dtype)


def local_response_norm(x, size, alpha, beta, k):
    """Divide x (N, C, ...) by a power of the energy of `size` neighbouring channels: (y, that energy)."""
    y, energy = np.zeros(x.shape, x.dtype), np.zeros(x.shape, x.dtype)
    for n, c, *where in np.ndindex(x.shape):
        total = 0.0
        for neighbour in range(max(c - size // 2, 0), min(c + (size - 1) // 2 + 1, x.shape[1])):
            total += float(x[(n, neighbour, *where)]) ** 2
        energy[(n, c, *where)] = k + alpha / size * total
        y[(n, c, *where)] = float(x[(n, c, *where)]) * (k + alpha / size * total) ** -beta
    return y, energy


def local_response_norm_backward(gy, x, energy, size, alpha, beta):
    """gx of :func:`local_response_norm`."""
    gx = np.zeros(x.shape, x.dtype)
    for n, c, *where in np.ndindex(x.shape):
        total = 0.0  # over the channels whose window contains c
        for center in range(max(c - (size - 1) // 2, 0), min(c + size // 2 + 1, x.shape[1])):
            at = (n, center, *where)
            total += float(gy[at]) * float(x[at]) * float(energy[at]) ** (-beta - 1)
        at = (n, c, *where)
        direct = float(gy[at]) * float(energy[at]) ** -beta
        gx[at] = direct - 2 * alpha * beta / size * float(x[at]) * total
    return gx
