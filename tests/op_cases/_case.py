"""One row of the operation table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class OpCase:
    """What one operation, with one set of settings, must do.

    name        unique, readable: "conv2d-stride2-groups2"
    fn          Tensors in, one Tensor or a tuple of Tensors out: the public function with its settings bound
    inputs      rng -> list of float64 arrays (integer or bool arrays stay as they are). Away from kinks and distinct
                where the operation needs it (`distinct`, `away_from` below help)
    reference   the same on plain arrays, by loops or textbook NumPy: arrays -> array or tuple of arrays.
                Never the code under test
    torch       `lambda torch, *tensors: ...`, PyTorch's spelling of `fn`, or None where PyTorch has no such operation
    diff        positions of the inputs that are differentiated; None: every floating input
    second      False only where the operation documents NotTwiceDifferentiable (the runner then checks that it raises)
    draws       whether it draws random numbers: `reference` then takes device="cpu" or "cuda", whose numbers differ
    batch_axis  axis of the first `batched` inputs that may be empty; None: the operation has no batch
    batched     positions of the inputs that carry the batch
    """

    name: str
    fn: Callable[..., Any]
    inputs: Callable[[np.random.Generator], Sequence[np.ndarray]]
    reference: Callable[..., Any]
    torch: Callable[..., Any] | None = None
    diff: tuple[int, ...] | None = None
    second: bool = True
    draws: bool = False
    batch_axis: int | None = None
    batched: tuple[int, ...] = (0,)
    tolerances: dict[str, tuple[float, float]] = field(default_factory=dict)


def normal(*shapes):
    """Inputs drawn from the standard normal distribution, one array for each shape."""
    return lambda rng: [rng.standard_normal(shape) for shape in shapes]


def distinct(*shapes):
    """Inputs whose values are all different by at least 0.1 (for max and max-pooling), in random order."""
    return lambda rng: [
        (rng.permutation(int(np.prod(shape))).reshape(shape) - np.prod(shape) / 2) * 0.1 + 0.05 for shape in shapes
    ]


def away_from(points, *shapes, gap=0.05, scale=2.0):
    """Normal inputs (times `scale`) kept at least `gap` away from each kink in `points`."""

    def draw(rng):
        arrays = [rng.standard_normal(shape) * scale for shape in shapes]
        for array in arrays:
            for point in points:
                near = np.abs(array - point) < gap
                array[near] = point + np.where(array[near] >= point, gap, -gap) * 2
        return arrays

    return draw


def uniform(low, high, *shapes):
    """Inputs drawn uniformly from [low, high)."""
    return lambda rng: [rng.uniform(low, high, shape) for shape in shapes]
