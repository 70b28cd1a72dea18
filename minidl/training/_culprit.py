"""Which operation made the NaN of a training step: the step is run again, watched, from where it had started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import Tensor, detect_anomaly
from ..backend import array_module, get_random_state, set_random_state
from ..errors import NonFiniteError
from ..nn import Module
from .state import Training

SHOWN = 32
"""So many of a batch's indices are listed."""


class StepStart:
    """Where a step starts from, beside the parameters: the random streams, and the buffers that its forward updates."""

    def __init__(self, model: Module):
        self.model = model
        self.random = get_random_state()
        self.buffers = [(buffer, buffer.data.copy()) for buffer in model.buffers()]

    def rewind(self) -> None:
        """Go back there; the parameters have not been changed yet."""
        set_random_state(self.random)
        for buffer, data in self.buffers:
            buffer.data = data.copy()

    def explain(
        self,
        error: NonFiniteError,
        run: Training,
        loss_fn: Callable[[Any, Any], Tensor],
        inputs: list[Any],
        targets: Any,
    ) -> NonFiniteError:
        """The error with the samples of the batch and what made the NaN; then the model is as before the step."""
        self.rewind()
        culprit, anomaly, layer = "running it again found no operation that makes it out of finite numbers", None, ""
        try:
            with detect_anomaly():
                loss = loss_fn(self.model(*inputs), targets)
                self.model.zero_grad()
                loss.backward()
        except NonFiniteError as found:
            anomaly, layer = getattr(found, "anomaly", None), found.layer_path
            culprit = str(found.args[0])
        self.model.zero_grad()
        self.rewind()
        explained = NonFiniteError(f"{error.args[0]}\n{_samples(run, len(inputs[0]))}\n{culprit}")
        explained.anomaly, explained.layer_path = anomaly, layer  # type: ignore[attr-defined]
        return explained


def check_gradients(run: Training) -> None:
    """Raise if a parameter's gradient is not finite; a step would spoil the parameter for good."""
    found = [(name, p.grad.data) for name, p in run.model.named_parameters() if p.grad is not None]
    if not found:
        return
    xp = array_module(found[0][1])
    finite = xp.stack([xp.isfinite(gradient).all() for _, gradient in found])
    if not bool(finite.all()):
        names = [name for (name, _), good in zip(found, finite.tolist(), strict=True) if not good]
        raise NonFiniteError(
            f"fit: the loss is {run.loss:.6g}, but the gradient of {', '.join(map(repr, names))} is not finite in "
            f"epoch {run.epoch + 1}, batch {run.batch + 1} (step {run.step + 1}), which was not taken"
        )


def _samples(run: Training, count: int) -> str:
    if not hasattr(run.loader, "indices"):
        return f"the batch: {count} samples, number {run.batch} of its epoch, counted from 0"
    indices = run.loader.indices(run.batch).tolist()
    more = f" and {len(indices) - SHOWN} more" if len(indices) > SHOWN else ""
    return f"the batch: samples {', '.join(map(str, indices[:SHOWN]))}{more} of the dataset"
