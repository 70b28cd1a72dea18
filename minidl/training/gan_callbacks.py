"""What one keeps of a GAN beside its last parameters: pictures of the way, and an average of the generator."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad
from ..backend import array_module, to_numpy
from ..errors import ArgumentError
from ..nn import Module
from ..nn.module import same_mode_afterwards
from .callbacks import Callback
from .state import Training


class GeneratorEMA(Callback):
    """A generator whose weights are an exponential moving average of the trained one's: its samples are steadier.

    Give it to :func:`fit_gan` among the callbacks; afterwards ``ema.generator`` makes samples, in evaluation mode.

    Math:      θ̄ ← β_t θ̄ + (1 − β_t) θ after the generator's update t = 1, 2, …, β_t = min(decay, t / (t + 9)), so that
               the initial weights are soon forgotten. Running statistics are averaged in the same way
    Args:      gan: whose generator is followed. decay: β, of [0, 1)
    Attributes: generator: the average
    Raises:    ArgumentError: a decay outside [0, 1)
    Source:    Yazıcı et al. 2019, "The unusual effectiveness of averaging in GAN training"
    """

    def __init__(self, gan: Module, decay: float = 0.999):
        if not 0 <= decay < 1:
            raise ArgumentError(f"GeneratorEMA: decay must lie in [0, 1), got {decay}")
        self.decay, self.updates = decay, 0
        self.generator: Module = copy.deepcopy(gan.generator).requires_grad_(False).eval()

    def on_generator_step(self, run: Training) -> None:
        """Move the average a step towards the generator."""
        self.updates += 1
        new_share = 1 - min(self.decay, self.updates / (self.updates + 9))
        newest: Any = run.model.generator
        for average, new in zip(self.generator.state_dict().values(), newest.state_dict().values(), strict=True):
            if average.dtype.kind == "f":
                average.data += new_share * (new.data - average.data)
            else:
                average.data[...] = new.data

    def state_dict(self) -> dict[str, Any]:
        """The average, and of how many updates."""
        return {"updates": self.updates, "generator": self.generator.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self.updates = state["updates"]
        self.generator.load_state_dict(state["generator"])


class FixedNoiseSamples(Callback):
    """Samples of the same noise before the training and after every so many epochs: how each of them comes into being.

    Args:      gan: the noise is drawn from it, now. count: samples. labels: (count,) classes, by default all of them in
               turn, where the GAN has classes. every: epochs from one batch to the next. generator: what makes the
               samples, as ``ema.generator``; by default the GAN's
    Attributes: z, labels. epochs: of each batch. batches: the samples, (count, …) arrays on the host; see
               :mod:`minidl.vision.samples` for pictures of them
    Raises:    ArgumentError: count or every below 1
    """

    def __init__(
        self,
        gan: Any,
        count: int = 64,
        *,
        labels: Tensor | None = None,
        every: int = 1,
        generator: Module | None = None,
    ):
        if count < 1 or every < 1:
            raise ArgumentError(f"FixedNoiseSamples: count and every must be at least 1, got {count} and {every}")
        self.generator: Module = gan.generator if generator is None else generator
        self.every = every
        self.z: Tensor = gan.noise(count)
        if labels is None and gan.num_classes is not None:
            labels = Tensor(array_module(self.z.data).arange(count) % gan.num_classes)
        self.labels = labels
        self.epochs: list[int] = []
        self.batches: list[np.ndarray] = []

    def on_train_begin(self, run: Training) -> None:
        """The samples of a generator that has learned nothing yet."""
        if not self.epochs:
            self._take(0)

    def on_epoch_end(self, run: Training) -> None:
        """The samples after this epoch, if it is time to."""
        epoch = int(run.history[-1]["epoch"])
        if epoch % self.every == 0:
            self._take(epoch)

    def _take(self, epoch: int) -> None:
        with same_mode_afterwards(self.generator), no_grad():
            self.generator.eval()
            samples = self.generator(self.z) if self.labels is None else self.generator(self.z, self.labels)
        self.epochs.append(epoch)
        self.batches.append(np.array(to_numpy(samples.data)))

    def state_dict(self) -> dict[str, Any]:
        """The noise, and the samples so far."""
        return {"z": self.z, "epochs": list(self.epochs), "batches": list(self.batches)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self.z = state["z"].to(self.z.device)
        self.epochs = list(state["epochs"])
        self.batches = [np.array(batch.data if isinstance(batch, Tensor) else batch) for batch in state["batches"]]
