"""The updates of the optimizers, in place, in blocks that every pass finds in the cache again."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

from ...backend import scratch, share
from .elementwise import LARGE

BLOCK = 1 << 15
"""Elements that are updated at once."""


def sgd_update(data, grad, buffer, lr, momentum, dampening, weight_decay, nesterov, maximize, first):
    """One step of SGD; buffer is None without momentum, and filled at the first step."""
    settings = lr, momentum, dampening, weight_decay, nesterov, maximize, first
    _update(_sgd_part, (data, buffer), grad, settings)


def adam_update(data, grad, mean, square, largest, step, lr, beta1, beta2, eps, weight_decay, decoupled, maximize):
    """Step number `step` of Adam; largest is None without amsgrad; decoupled: AdamW."""
    settings = step, lr, beta1, beta2, eps, weight_decay, decoupled, maximize
    _update(_adam_part, (data, mean, square, largest), grad, settings)


def rmsprop_update(data, grad, square, mean, buffer, lr, alpha, eps, weight_decay, momentum, maximize):
    """One step of RMSprop; mean is None unless centered, buffer without momentum."""
    settings = lr, alpha, eps, weight_decay, momentum, maximize
    _update(_rmsprop_part, (data, square, mean, buffer), grad, settings)


def adagrad_update(data, grad, total, lr, eps, weight_decay, maximize):
    """One step of Adagrad at the rate that holds now."""
    _update(_adagrad_part, (data, total), grad, (lr, eps, weight_decay, maximize))


def _update(part: Callable[..., None], outs: tuple[Any, ...], grad: np.ndarray, settings: tuple[Any, ...]) -> None:
    """Do the part on all elements: block by block, on several cores if it is worth it, where they lie side by side."""
    arrays = [array for array in (*outs, grad) if array is not None]
    if grad.size <= BLOCK or not all(array.flags.c_contiguous for array in arrays):
        part(0, None, outs, (grad,), *settings)
        return
    flat = tuple(None if out is None else out.reshape(-1) for out in outs)
    share(part, grad.size, flat, (grad.reshape(-1),), settings, LARGE // 2)


def _blocks(start: int, stop: int | None, outs: Any, ins: Any) -> Any:
    """The arrays from start to stop in blocks; stop None: the arrays as they are, of whatever shape and layout."""
    if stop is None:
        yield (*outs, *ins)
        return
    for i in range(start, stop, BLOCK):
        block = slice(i, min(i + BLOCK, stop))
        yield tuple([None if array is None else array[block] for array in (*outs, *ins)])


def _sgd_part(start, stop, outs, ins, lr, momentum, dampening, weight_decay, nesterov, maximize, first):
    for data, buffer, grad in _blocks(start, stop, outs, ins):
        direction = grad = _descent_gradient(data, grad, weight_decay, maximize)
        if buffer is not None:
            if first:
                buffer[...] = grad
            else:
                buffer *= momentum
                _add_scaled(buffer, grad, 1 - dampening)
            direction = buffer
            if nesterov:
                direction = np.multiply(buffer, momentum, out=_scratch("ahead", data))
                direction += grad
        _add_scaled(data, direction, -lr)


def _adam_part(start, stop, outs, ins, step, lr, beta1, beta2, eps, weight_decay, decoupled, maximize):
    for data, mean, square, largest, grad in _blocks(start, stop, outs, ins):
        if decoupled:
            data *= 1 - lr * weight_decay
        grad = _descent_gradient(data, grad, 0 if decoupled else weight_decay, maximize)
        mean *= beta1
        _add_scaled(mean, grad, 1 - beta1)
        square *= beta2
        work = np.multiply(grad, grad, out=_scratch("work", data))
        _add_scaled(square, work, 1 - beta2)
        if largest is not None:
            square = np.maximum(largest, square, out=largest)
        np.sqrt(square, out=work)
        work /= sqrt(1 - beta2**step)
        work += eps
        np.divide(mean, work, out=work)
        _add_scaled(data, work, -lr / (1 - beta1**step))


def _rmsprop_part(start, stop, outs, ins, lr, alpha, eps, weight_decay, momentum, maximize):
    for data, square, mean, buffer, grad in _blocks(start, stop, outs, ins):
        grad = _descent_gradient(data, grad, weight_decay, maximize)
        square *= alpha
        work = np.multiply(grad, grad, out=_scratch("work", data))
        _add_scaled(square, work, 1 - alpha)
        if mean is not None:
            mean *= alpha
            _add_scaled(mean, grad, 1 - alpha)
            np.multiply(mean, mean, out=work)
            np.subtract(square, work, out=work)
            np.maximum(work, 0, out=work)
            np.sqrt(work, out=work)
        else:
            np.sqrt(square, out=work)
        work += eps
        np.divide(grad, work, out=work)
        if buffer is not None:
            buffer *= momentum
            buffer += work
            work = buffer
        _add_scaled(data, work, -lr)


def _adagrad_part(start, stop, outs, ins, lr, eps, weight_decay, maximize):
    for data, total, grad in _blocks(start, stop, outs, ins):
        grad = _descent_gradient(data, grad, weight_decay, maximize)
        work = np.multiply(grad, grad, out=_scratch("work", data))
        total += work
        np.sqrt(total, out=work)
        work += eps
        np.divide(grad, work, out=work)
        _add_scaled(data, work, -lr)


def _scratch(tag: str, like: np.ndarray) -> np.ndarray:
    return scratch(f"optimizers.{tag}", like.shape, like.dtype)


def _add_scaled(target: np.ndarray, source: np.ndarray, factor: float) -> None:
    """target ← target + factor · source, in place and without a fresh temporary."""
    if factor == 1:
        target += source
    else:
        target += np.multiply(source, factor, out=_scratch("product", target))


def _descent_gradient(data: np.ndarray, grad: np.ndarray, weight_decay: float, maximize: bool) -> np.ndarray:
    """±grad + weight_decay · data, minus where it maximizes: `grad` itself if that is all, else scratch."""
    if not weight_decay and not maximize:
        return grad
    total = np.multiply(data, weight_decay, out=_scratch("gradient", data))
    return (np.subtract if maximize else np.add)(total, grad, out=total)
