"""Samplers: in which order the indices of an epoch come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from typing import Any

import numpy as np

from ..backend import Generator, check_generator, stream
from ..errors import ArgumentError


class SequentialSampler:
    """0, 1, 2, …"""

    def __init__(self, dataset: Sized):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.dataset)))


class _RandomOrder:
    """A sampler that draws from `generator`, which a loader's state_dict therefore has to cover."""

    def __init__(self, generator: Generator | None):
        self._generator = check_generator(generator, type(self).__name__)

    @property
    def generator(self) -> Generator:
        return self._generator or stream("data")


class RandomSampler(_RandomOrder):
    """Every index once, in an order that is new each time. `generator` is by default the stream "data"."""

    def __init__(self, dataset: Sized, generator: Generator | None = None):
        super().__init__(generator)
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[int]:
        return iter(self.generator.numpy.permutation(len(self.dataset)).tolist())


class WeightedRandomSampler(_RandomOrder):
    """`num_samples` indices drawn with chances in proportion to `weights`, as to balance rare classes.

    Raises:    ArgumentError: weights that are negative, not finite or all zero; or fewer positive ones than num_samples
               without replacement
    """

    def __init__(
        self,
        weights: Sequence[float] | np.ndarray,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ):
        super().__init__(generator)
        self.weights = np.asarray(weights, dtype=np.float64)
        self.num_samples, self.replacement = num_samples, replacement
        if self.weights.ndim != 1 or not np.isfinite(self.weights).all() or (self.weights < 0).any():
            raise ArgumentError("WeightedRandomSampler: weights must be a list of finite numbers that are not negative")
        if num_samples < 1 or not self.weights.any():
            raise ArgumentError(f"WeightedRandomSampler: needs a weight above 0 and num_samples ≥ 1, got {num_samples}")
        if not replacement and num_samples > np.count_nonzero(self.weights):
            raise ArgumentError(
                f"WeightedRandomSampler: num_samples={num_samples} without replacement, but only "
                f"{np.count_nonzero(self.weights)} weights are above 0"
            )

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        chances = self.weights / self.weights.sum()
        drawn: Any = self.generator.numpy.choice(len(chances), self.num_samples, self.replacement, chances)
        return iter(drawn.tolist())
