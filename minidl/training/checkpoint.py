"""Checkpoints: the whole training in one file, from which it goes on to the bit."""

from __future__ import annotations

import os
from pathlib import Path

from ..backend import array_module
from ..errors import ArgumentError, NonFiniteError
from ..weights import load, save
from .state import Training


class Checkpoint:
    """Where and how often :func:`fit` saves the training; ``checkpoint="path"`` means ``Checkpoint("path")``.

    One file, replaced whole: model, optimizer, scheduler, counters, history, all random streams, the loader's place
    and the callbacks' state. It is written when the training begins, so that a path that cannot be written to shows at
    once; after each epoch; and where Ctrl-C ends the training, if the loader has ``state_dict``.

    Args:      path: ends in ".safetensors" or ".npz". every_steps: save within an epoch too, after each so many steps;
               needs a loader with state_dict, as :class:`minidl.data.DataLoader`
    Raises:    ArgumentError: every_steps < 1
    """

    def __init__(self, path: str | os.PathLike, every_steps: int | None = None):
        if every_steps is not None and every_steps < 1:
            raise ArgumentError(f"Checkpoint: every_steps must be at least 1, got {every_steps}")
        self.path, self.every_steps = Path(path), every_steps

    def save(self, run: Training) -> None:
        """Replace the file, unless the training is amid a step or its parameters are not finite.

        Raises:    NonFiniteError: the last good checkpoint is kept
        """
        state = run.state_dict()
        if state is None:
            return
        for name, parameter in run.model.named_parameters():
            if not bool(array_module(parameter.data).isfinite(parameter.data).all()):
                raise NonFiniteError(
                    f"fit: parameter {name!r} has a NaN or infinity after epoch {run.epoch}, step {run.step}; "
                    f"{self.path} was not replaced. Lower the learning rate or set clip_grad_norm"
                )
        save(state, self.path)

    def load(self, run: Training) -> None:
        """Put the training where the file says, if there is a file."""
        if self.path.exists():
            run.load_state_dict(load(self.path))

    def on_step_end(self, run: Training) -> None:
        """Save, if it is time to."""
        if self.every_steps and run.step % self.every_steps == 0:
            self.save(run)
