"""The training loop: batches forward and backward, an update, the numbers of the epoch, and again."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor, check_tensor, no_grad
from ..backend import get_random_state, set_random_state
from ..errors import ArgumentError, ArgumentTypeError, NonFiniteError, ShapeError
from ..nn import Module
from ..nn.module import same_mode_afterwards
from ..nn.utils import clip_grad_norm_
from ..optim import Optimizer
from ..optim.lr_scheduler import ReduceLROnPlateau
from ._culprit import StepStart, check_gradients
from .callbacks import EarlyStopping
from .checkpoint import Checkpoint
from .history import History
from .progress import Progress
from .state import Training

Metrics = Mapping[str, Callable[[Any, Any], Any]]


def fit(
    model: Module,
    optimizer: Optimizer,
    loss_fn: Callable[[Any, Any], Tensor],
    train_loader: Iterable[Any],
    *,
    epochs: int,
    val_loader: Iterable[Any] | None = None,
    metrics: Metrics | None = None,
    scheduler: Any = None,
    schedule_by: str = "epoch",
    clip_grad_norm: float | None = None,
    early_stopping: int | EarlyStopping | None = None,
    callbacks: Sequence[Any] = (),
    checkpoint: str | os.PathLike | Checkpoint | None = None,
    resume: bool = False,
    on_nan: str = "raise",
    device: Any = None,
    progress: bool = True,
) -> History:
    """Train a model. With a checkpoint, a training that was stopped goes on to the same parameters, bit for bit.

    Args:      loss_fn: (outputs, targets) → Tensor of one element, the mean over the batch.
               train_loader: gives batches (inputs…, targets). epochs: how many in all, those before a resume included.
               val_loader: evaluated after each epoch, without any effect on the training.
               metrics: name → function (outputs, targets) → number, averaged over the samples.
               scheduler: stepped after each epoch, or with schedule_by="step" after each update; ReduceLROnPlateau is
               given val_loss, without a val_loader loss. clip_grad_norm: the largest norm that the gradient may have.
               early_stopping: epochs to wait for a lower val_loss, or an :class:`EarlyStopping`.
               callbacks: see :class:`Callback`. checkpoint: a path (".safetensors" or ".npz") or a :class:`Checkpoint`.
               resume: go on from the checkpoint; begin where there is none yet.
               on_nan: "raise" looks at the loss of each step. "stop" looks at the gradients too, before they are used,
               and runs a step whose loss or gradient is not finite once more, from the same random numbers, under
               :class:`minidl.autograd.detect_anomaly`, so that the error says which operation did it, on which
               samples. device: where batches are moved to; None leaves them.
               progress: show a bar (if tqdm is installed) and a line for each epoch
    Returns:   the records of all epochs. The model is back in the mode, train or eval, that it came in
    Raises:    NonFiniteError: the loss (or with on_nan="stop" a gradient) is NaN or infinite; nothing was updated by
               it, and the last checkpoint is kept. After "stop" buffers and random streams are those before the step.
               KeyboardInterrupt: Ctrl-C, after the step that it came in. With a checkpoint, this step is in it, and a
               note of the exception says so, or why the file is an older one.
               ArgumentError, ArgumentTypeError: settings that do not fit each other, or a loader without batches
    """
    metrics = dict(metrics or {})
    saver = Checkpoint(checkpoint) if isinstance(checkpoint, str | os.PathLike) else checkpoint
    stopper = EarlyStopping(early_stopping) if isinstance(early_stopping, int) else early_stopping
    callbacks = [*callbacks, *([stopper] if stopper else [])]
    _check_parts(model, optimizer, loss_fn)
    _check_settings(epochs, metrics, scheduler, schedule_by, clip_grad_norm, saver, resume, on_nan, train_loader)
    run = Training(model, optimizer, train_loader, scheduler, callbacks, saved=saver is not None)
    screen = Progress(progress, epochs)
    with same_mode_afterwards(model):
        try:
            with run.change():
                if saver and resume:
                    saver.load(run)
            if saver:
                saver.save(run)
            run.call("on_train_begin")

            while run.epoch < epochs and not run.stop:
                model.train()
                for batch in screen.watch(train_loader, run.epoch + 1, run.batch):
                    with run.change():
                        inputs, targets = _split(batch, device)
                        start = StepStart(model) if on_nan == "stop" else None
                        try:
                            outputs = model(*inputs)
                            loss = loss_fn(outputs, targets)
                            run.loss = _finite(loss, run)
                            optimizer.zero_grad()
                            loss.backward()
                            if start:
                                check_gradients(run)
                        except NonFiniteError as error:
                            if start is None:
                                raise
                            raise start.explain(error, run, loss_fn, inputs, targets) from None
                        if clip_grad_norm is not None:
                            clip_grad_norm_(model.parameters(), clip_grad_norm)
                        optimizer.step()
                        if scheduler and schedule_by == "step":
                            scheduler.step()
                        _add(run.totals, len(inputs[0]), {"loss": run.loss, **_measure(metrics, outputs, targets)})
                        run.batch, run.step = run.batch + 1, run.step + 1
                        run.call("on_step_end")
                    screen.show_loss(run.loss)
                    if saver:
                        saver.on_step_end(run)

                record = {"epoch": run.epoch + 1, **_means(run.totals, "fit: train_loader")}
                if val_loader is not None:
                    validation = evaluate(model, val_loader, loss_fn, metrics, device=device)
                    record |= {f"val_{name}": value for name, value in validation.items()}
                record["lr"] = optimizer.param_groups[0]["lr"]
                run.history.append(record)
                screen.show_epoch(record)
                run.call("on_epoch_end")
                with run.change():
                    if scheduler and schedule_by == "epoch":
                        _step_of_epoch(scheduler, record)
                    run.epoch, run.batch, run.totals = run.epoch + 1, 0, {}
                if saver:
                    saver.save(run)
        except KeyboardInterrupt as interrupt:
            if saver:
                saver.save(run)
                interrupt.add_note(_what_is_kept(run, saver))
            raise
        run.call("on_train_end")
    return run.history


def _what_is_kept(run: Training, saver: Checkpoint) -> str:
    """What an interrupted training left in its file."""
    if run.position is not None:
        return f"fit: {saver.path} holds the training up to here, step {run.step}; go on with resume=True"
    if hasattr(run.loader, "state_dict"):
        why = f"the interrupt came amid step {run.step + 1}, which may be half done"
    else:
        why = f"a {type(run.loader).__name__} has no state_dict to say which batches of the epoch are still to come"
    return f"fit: {saver.path} was left as last saved, for {why}; resume=True goes on from there"


def evaluate(
    model: Module,
    loader: Iterable[Any],
    loss_fn: Callable[[Any, Any], Tensor] | None,
    metrics: Metrics | None = None,
    *,
    device: Any = None,
) -> dict[str, float]:
    """The mean loss and metrics over all samples of a loader, in eval mode and without gradients.

    The modes of all modules and the random streams are afterwards as they were. A metric that is no mean over samples,
    as F1 or the area under a ROC curve, needs all predictions at once and is not for here.

    Args:      see :func:`fit`. loss_fn: may be None where only metrics are wanted
    Returns:   {"loss": …, and each metric's name: …}
    Raises:    ArgumentError: the loader gave no batches, or there is nothing to measure
    """
    metrics = dict(metrics or {})
    if loss_fn is None and not metrics:
        raise ArgumentError("evaluate: there is nothing to measure; give a loss_fn or metrics")
    totals: dict[str, float] = {}
    random_state = get_random_state()
    with same_mode_afterwards(model), no_grad():
        model.eval()
        try:
            for batch in loader:
                inputs, targets = _split(batch, device)
                outputs = model(*inputs)
                values = {} if loss_fn is None else {"loss": loss_fn(outputs, targets).item()}
                _add(totals, len(inputs[0]), values | _measure(metrics, outputs, targets))
        finally:
            set_random_state(random_state)
    return _means(totals, "evaluate: the loader")


def _check_parts(model: Any, optimizer: Any, loss_fn: Any) -> None:
    for name, part, kind in (("model", model, Module), ("optimizer", optimizer, Optimizer)):
        if not isinstance(part, kind):
            raise ArgumentTypeError(f"fit: {name} must be of type {kind.__name__}, got {type(part).__name__}")
    if isinstance(loss_fn, type) or not callable(loss_fn):
        raise ArgumentTypeError(f"fit: loss_fn must be a function or a loss, as CrossEntropyLoss(), got {loss_fn!r}")
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if not any(id(parameter) in trained for parameter in model.parameters()):
        raise ArgumentError(
            "fit: the optimizer holds none of the model's parameters; make it from this model's parameters()"
        )


def _check_settings(
    epochs: int,
    metrics: Metrics,
    scheduler: Any,
    schedule_by: str,
    clip_grad_norm: float | None,
    saver: Checkpoint | None,
    resume: bool,
    on_nan: str,
    loader: Iterable[Any],
) -> None:
    if isinstance(epochs, bool) or not isinstance(epochs, int | np.integer) or epochs < 0:
        raise ArgumentError(f"fit: epochs must be an integer ≥ 0, got {epochs!r}")
    if taken := {"epoch", "loss", "lr", "samples"} & set(metrics):
        raise ArgumentError(f"fit: a metric cannot be called {', '.join(sorted(taken))}; the history uses that name")
    if schedule_by not in ("epoch", "step"):
        raise ArgumentError(f"fit: schedule_by must be 'epoch' or 'step', got {schedule_by!r}")
    if schedule_by == "step" and isinstance(scheduler, ReduceLROnPlateau):
        raise ArgumentError("fit: ReduceLROnPlateau needs the numbers of an epoch; use schedule_by='epoch'")
    if clip_grad_norm is not None and not clip_grad_norm > 0:
        raise ArgumentError(f"fit: clip_grad_norm must be positive, got {clip_grad_norm}")
    if resume and saver is None:
        raise ArgumentError("fit: resume=True needs a checkpoint to go on from")
    if on_nan not in ("raise", "stop"):
        raise ArgumentError(f"fit: on_nan must be 'raise' or 'stop', got {on_nan!r}")
    if saver and saver.every_steps and not hasattr(loader, "state_dict"):
        raise ArgumentTypeError(
            f"fit: a checkpoint within an epoch needs a loader with state_dict, as DataLoader, "
            f"not a {type(loader).__name__}; leave every_steps out"
        )


def _split(batch: Any, device: Any) -> tuple[list[Any], Any]:
    """(inputs, targets) of a batch."""
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        raise ArgumentTypeError(f"fit: a batch must be (inputs…, targets), the loader gave a {type(batch).__name__}")
    if device is not None:
        batch = [item.to(device) if isinstance(item, Tensor) else item for item in batch]
    *inputs, targets = batch
    return inputs, targets


def _finite(loss: Tensor, run: Training) -> float:
    if check_tensor(loss, "fit", "what loss_fn returns").numel() != 1:
        raise ShapeError(f"fit: loss_fn returned shape {loss.shape}, not one number; use reduction='mean'")
    value = loss.item()
    if not math.isfinite(value):
        raise NonFiniteError(
            f"fit: the loss is {value} in epoch {run.epoch + 1}, batch {run.batch + 1} (step {run.step + 1}), "
            f"which was not taken; lower the learning rate, set clip_grad_norm, or find the cause with on_nan='stop'"
        )
    return value


def _measure(metrics: Metrics, outputs: Any, targets: Any) -> dict[str, float]:
    with no_grad():
        return {name: float(metric(outputs, targets)) for name, metric in metrics.items()}


def _add(totals: dict[str, float], samples: int, means: dict[str, float]) -> None:
    """Add a batch's means, each times the number of its samples, for a last batch may be smaller."""
    for name, value in {"samples": 1, **means}.items():
        totals[name] = totals.get(name, 0) + value * samples


def _means(totals: dict[str, float], what: str) -> dict[str, float]:
    if not totals.get("samples"):
        raise ArgumentError(f"{what} gave no samples")
    return {name: total / totals["samples"] for name, total in totals.items() if name != "samples"}


def _step_of_epoch(scheduler: Any, record: dict[str, float]) -> None:
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(record.get("val_loss", record["loss"]))
    else:
        scheduler.step()
