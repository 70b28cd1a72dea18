"""The updates of the optimizers, element by element, in place. Formulas are those of the classes in minidl.optim."""

from __future__ import annotations

import math

import numpy as np


def sgd_update(data, grad, buffer, lr, momentum, dampening, weight_decay, nesterov, maximize, first):
    """One step of SGD; buffer is None without momentum, and filled at the first step."""
    for at in np.ndindex(data.shape):
        g = _descent(data[at], grad[at], weight_decay, maximize)
        if buffer is not None:
            b = g if first else momentum * float(buffer[at]) + (1 - dampening) * g
            g = g + momentum * b if nesterov else b
            buffer[at] = b
        data[at] = float(data[at]) - lr * g


def adam_update(data, grad, mean, square, largest, step, lr, beta1, beta2, eps, weight_decay, decoupled, maximize):
    """Step number `step` of Adam; largest is None without amsgrad; decoupled: AdamW."""
    for at in np.ndindex(data.shape):
        p = float(data[at]) * (1 - lr * weight_decay if decoupled else 1)
        g = _descent(p, grad[at], 0 if decoupled else weight_decay, maximize)
        m = beta1 * float(mean[at]) + (1 - beta1) * g
        v = beta2 * float(square[at]) + (1 - beta2) * g * g
        mean[at], square[at] = m, v
        if largest is not None:
            v = largest[at] = max(float(largest[at]), v)
        data[at] = p - lr * (m / (1 - beta1**step)) / (math.sqrt(v / (1 - beta2**step)) + eps)


def rmsprop_update(data, grad, square, mean, buffer, lr, alpha, eps, weight_decay, momentum, maximize):
    """One step of RMSprop; mean is None unless centered, buffer without momentum."""
    for at in np.ndindex(data.shape):
        g = _descent(data[at], grad[at], weight_decay, maximize)
        s = square[at] = alpha * float(square[at]) + (1 - alpha) * g * g
        if mean is not None:
            a = mean[at] = alpha * float(mean[at]) + (1 - alpha) * g
            s = max(float(s) - float(a) ** 2, 0.0)
        d = g / (math.sqrt(s) + eps)
        if buffer is not None:
            d = buffer[at] = momentum * float(buffer[at]) + d
        data[at] = float(data[at]) - lr * float(d)


def adagrad_update(data, grad, total, lr, eps, weight_decay, maximize):
    """One step of Adagrad at the rate that holds now."""
    for at in np.ndindex(data.shape):
        g = _descent(data[at], grad[at], weight_decay, maximize)
        s = total[at] = float(total[at]) + g * g
        data[at] = float(data[at]) - lr * g / (math.sqrt(s) + eps)


def _descent(p, g, weight_decay, maximize):
    return (-float(g) if maximize else float(g)) + weight_decay * float(p)
