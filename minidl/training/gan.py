"""The training loop of two networks: the discriminator, then the generator, each by its own loss and optimizer."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad
from ..backend import array_module
from ..errors import ArgumentError, ArgumentTypeError, NonFiniteError, StateDictError
from ..nn import Module
from ..nn.module import same_mode_afterwards
from ..optim import Optimizer
from .checkpoint import Checkpoint
from .history import History
from .progress import Progress
from .state import Training

OF_DISCRIMINATOR = ("loss_d", "d_real", "d_fake", "grad_d")
OF_GENERATOR = ("loss_g", "grad_g")


@dataclass
class GANTraining(Training):
    """What callbacks see of the training of a GAN: beside :class:`Training`, where model is the GAN and optimizer that
    of its generator:

    Attributes: discriminator_optimizer: as given to :func:`fit_gan`. values: the numbers of the last step
    """

    discriminator_optimizer: Any = None
    values: dict[str, float] = field(default_factory=dict)

    def state_dict(self) -> dict[str, Any] | None:
        """Both networks, both optimizers and all else that a later :func:`fit_gan` needs; None amid a step."""
        state = super().state_dict()
        return state and {**state, "discriminator_optimizer": self.discriminator_optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`.

        Raises:    StateDictError: no such state, or one of other networks, optimizers or another loader
        """
        if not isinstance(state, dict) or "discriminator_optimizer" not in state:
            raise StateDictError("fit_gan: this is no checkpoint of a GAN, which has discriminator_optimizer")
        super().load_state_dict(state)
        self.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])

    def add(self, samples: int, count: str, values: dict[str, float]) -> None:
        """Add the numbers of an update to those of the epoch, each times the samples that it was made on."""
        self.values |= values
        for name, value in {count: 1.0, **values}.items():
            self.totals[name] = self.totals.get(name, 0.0) + value * samples

    def means(self) -> dict[str, float]:
        """The numbers of the epoch so far, averaged over the samples; nan for a network that was not updated."""
        groups = (("samples", OF_DISCRIMINATOR), ("generated", OF_GENERATOR))
        return {
            name: self.totals[name] / self.totals[count] if count in self.totals else math.nan
            for count, names in groups
            for name in names
        }


def fit_gan(
    gan: Module,
    generator_optimizer: Optimizer,
    discriminator_optimizer: Optimizer,
    loader: Iterable[Any],
    *,
    epochs: int,
    n_critic: int | None = None,
    callbacks: Sequence[Any] = (),
    checkpoint: str | os.PathLike | Checkpoint | None = None,
    resume: bool = False,
    device: Any = None,
    progress: bool = True,
) -> History:
    """Train a GAN. With a checkpoint, a training that was stopped goes on to the same parameters, bit for bit.

    Each batch is one step. First the discriminator: real samples and as many generated ones go through it in two
    batches, so that its batch norm normalizes each kind by itself; the generated ones are made without a graph, so the
    generator gets no gradient. Then, every `n_critic` steps, the generator: new noise, through both networks, the
    discriminator's parameters held. Both networks are in training mode throughout.

    Args:      gan: a :class:`minidl.models.GAN`, or anything with its methods. generator_optimizer,
               discriminator_optimizer: each of one network's parameters. loader: gives batches of samples, or
               (samples, labels); the labels are used where the GAN has classes. epochs: how many in all, those before a
               resume included. n_critic: updates of the discriminator for each of the generator, by default what the
               GAN says. callbacks: see :class:`Callback`; ``on_generator_step(run)`` is called after each update of the
               generator. checkpoint, resume, device, progress: see :func:`minidl.training.fit`
    Returns:   for each epoch: "epoch"; "loss_d" and "loss_g", what each network minimized; "d_real" and "d_fake", the
               discriminator's mean judgement of real and generated samples before its update, as the probability of
               being real, or where scores are no logits as the score itself; "grad_d" and "grad_g", the norms of the
               gradients; and what callbacks add
    Raises:    NonFiniteError: a loss or gradient is NaN or infinite; it says in which step and where it came from, and
               that update was not made. ArgumentError, ArgumentTypeError: things that do not fit each other
    Source:    Goodfellow et al. 2014, algorithm 1
    """
    saver = Checkpoint(checkpoint) if isinstance(checkpoint, str | os.PathLike) else checkpoint
    _check(gan, generator_optimizer, discriminator_optimizer)
    n_critic = getattr(gan, "n_critic", 1) if n_critic is None else n_critic
    _check_settings(epochs, n_critic, saver, resume, loader)
    run = GANTraining(
        gan,
        generator_optimizer,
        loader,
        callbacks=list(callbacks),
        saved=saver is not None,
        discriminator_optimizer=discriminator_optimizer,
    )
    screen = Progress(progress, epochs)
    with same_mode_afterwards(gan):
        try:
            with run.change():
                if saver and resume:
                    saver.load(run)
            if saver:
                saver.save(run)
            run.call("on_train_begin")

            while run.epoch < epochs and not run.stop:
                gan.train()
                for batch in screen.watch(loader, run.epoch + 1, run.batch):
                    with run.change():
                        real, labels = _split(batch, gan, device)
                        _update_discriminator(run, real, labels)
                        if (run.step + 1) % n_critic == 0:
                            _update_generator(run, len(real), labels)
                            run.call("on_generator_step")
                        run.batch, run.step = run.batch + 1, run.step + 1
                        run.call("on_step_end")
                    screen.show_loss(run.loss)
                    if saver:
                        saver.on_step_end(run)
                if not run.totals:
                    raise ArgumentError("fit_gan: the loader gave no batches")
                run.history.append({"epoch": run.epoch + 1, **run.means()})
                run.call("on_epoch_end")
                screen.show_epoch(run.history[-1])
                with run.change():
                    run.epoch, run.batch, run.totals = run.epoch + 1, 0, {}
                if saver:
                    saver.save(run)
        except KeyboardInterrupt:
            if saver:
                saver.save(run)
            raise
        run.call("on_train_end")
    return run.history


def _update_discriminator(run: GANTraining, real: Tensor, labels: Tensor | None) -> None:
    gan: Any = run.model
    with no_grad():
        fake = gan.generate(gan.noise(len(real)), labels)
    real_scores, fake_scores = gan.score(real, labels), gan.score(fake, labels)
    loss = gan.discriminator_loss(real_scores, fake_scores)
    penalty = gan.penalty(real, fake, labels)
    if penalty is not None:
        loss = loss + penalty
    run.loss = _finite(
        loss, "discriminator", run, {"the real samples hold": real, "the generator's samples hold": fake}
    )
    norm = _update(loss, run.discriminator_optimizer, gan.discriminator, "discriminator", run)
    gan.constrain()
    d_real, d_fake = (_judgement(gan, scores) for scores in (real_scores, fake_scores))
    run.add(len(real), "samples", {"loss_d": run.loss, "d_real": d_real, "d_fake": d_fake, "grad_d": norm})


def _update_generator(run: GANTraining, count: int, labels: Tensor | None) -> None:
    gan: Any = run.model
    with _held(gan.discriminator):
        fake = gan.generate(gan.noise(count), labels)
        loss = gan.generator_loss(gan.score(fake, labels))
        value = _finite(loss, "generator", run, {"the generator's samples hold": fake})
        norm = _update(loss, run.optimizer, gan.generator, "generator", run)
    run.add(count, "generated", {"loss_g": value, "grad_g": norm})


def _update(loss: Tensor, optimizer: Optimizer, network: Module, name: str, run: GANTraining) -> float:
    """Backward and a step of the optimizer, if the gradient is finite. Returns the gradient's norm."""
    optimizer.zero_grad()
    loss.backward()
    squares = [(parameter.grad.data**2).sum() for parameter in network.parameters() if parameter.grad is not None]
    norm = math.sqrt(sum(float(square) for square in squares))
    if not math.isfinite(norm):
        raise NonFiniteError(
            f"fit_gan: the gradient of the {name}'s loss has norm {norm} {_place(run)}, which was not taken; its loss "
            f"is {loss.item():.4g}. Lower the learning rates or look with autograd.detect_anomaly()"
        )
    optimizer.step()
    return norm


@contextmanager
def _held(network: Module) -> Iterator[None]:
    """A block in which the network's parameters take no gradient: it is computed through them, not for them."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def _judgement(gan: Any, scores: Tensor) -> float:
    """The mean score, as a probability where scores are logits."""
    with no_grad():
        scores = scores.detach()
        return (scores.sigmoid() if gan.scores_are_logits else scores).mean().item()


def _place(run: GANTraining) -> str:
    return f"in epoch {run.epoch + 1}, batch {run.batch + 1} (step {run.step + 1})"


def _finite(loss: Tensor, name: str, run: GANTraining, samples: dict[str, Tensor]) -> float:
    """The loss as a number; where it is none, the error says what went wrong first."""
    value = loss.item()
    if math.isfinite(value):
        return value
    gan: Any = run.model
    suspects = {
        **{f"parameter {path!r} holds": parameter for path, parameter in gan.named_parameters()},
        **samples,
    }
    culprits = [what for what, tensor in suspects.items() if not _all_finite(tensor)]
    cause = f"{culprits[0]} a NaN or infinity" if culprits else "the discriminator's scores overflow"
    raise NonFiniteError(
        f"fit_gan: the {name}'s loss is {value} {_place(run)}, which was not taken: {cause}. Lower the learning rates, "
        f"check the data, or look with autograd.detect_anomaly()"
    )


def _all_finite(tensor: Tensor) -> bool:
    return bool(array_module(tensor.data).isfinite(tensor.data).all())


def _split(batch: Any, gan: Any, device: Any) -> tuple[Tensor, Tensor | None]:
    """(samples, labels) of a batch, labels None where the GAN has no classes."""
    parts = list(batch) if isinstance(batch, tuple | list) else [batch]
    if not parts or not isinstance(parts[0], Tensor):
        raise ArgumentTypeError(
            f"fit_gan: a batch must be samples or (samples, labels), the loader gave a {type(batch).__name__}"
        )
    if gan.num_classes is None:
        parts = parts[:1]
    elif len(parts) < 2:
        raise ArgumentError("fit_gan: this GAN has classes, but the loader gives no labels; it must give both")
    if device is not None:
        parts = [part.to(device) for part in parts]
    return parts[0], parts[1] if len(parts) > 1 else None


def _check(gan: Any, generator_optimizer: Any, discriminator_optimizer: Any) -> None:
    needed = "generator discriminator noise generate score discriminator_loss generator_loss penalty constrain".split()
    if not isinstance(gan, Module) or not all(hasattr(gan, name) for name in needed):
        raise ArgumentTypeError(f"fit_gan: gan must be a models.GAN or have its methods, got {type(gan).__name__}")
    networks = {"generator": gan.generator, "discriminator": gan.discriminator}
    optimizers = {"generator": generator_optimizer, "discriminator": discriminator_optimizer}
    owners = {id(parameter): name for name, network in networks.items() for parameter in network.parameters()}
    for name, optimizer in optimizers.items():
        if not isinstance(optimizer, Optimizer):
            raise ArgumentTypeError(f"fit_gan: {name}_optimizer must be an Optimizer, got {type(optimizer).__name__}")
        held = {owners.get(id(parameter)) for group in optimizer.param_groups for parameter in group["params"]}
        if held != {name}:
            found = " and ".join(sorted(f"the {owner}" if owner else "neither network" for owner in held))
            raise ArgumentError(
                f"fit_gan: {name}_optimizer must hold parameters of the {name} alone, it holds some of {found}; "
                f"make it from gan.{name}.parameters()"
            )


def _check_settings(epochs: int, n_critic: int, saver: Checkpoint | None, resume: bool, loader: Any) -> None:
    for name, value, least in (("epochs", epochs, 0), ("n_critic", n_critic, 1)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ArgumentError(f"fit_gan: {name} must be an integer ≥ {least}, got {value!r}")
    if resume and saver is None:
        raise ArgumentError("fit_gan: resume=True needs a checkpoint to go on from")
    if saver and saver.every_steps and not hasattr(loader, "state_dict"):
        raise ArgumentTypeError(
            f"fit_gan: a checkpoint within an epoch needs a loader with state_dict, as DataLoader, "
            f"not a {type(loader).__name__}; leave every_steps out"
        )
