"""Generative adversarial networks: Goodfellow et al. 2014, "Generative adversarial nets"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from .. import functional as F
from .. import nn
from ..autograd import Tensor, no_grad
from ..backend import stream
from ..errors import ArgumentError
from ..nn.module import same_mode_afterwards


class GAN(nn.Module):
    """A generator, which makes samples from noise, and a discriminator, which tells them from real ones.

    What every GAN of minidl is, and what :func:`minidl.training.fit_gan` trains. Other papers change the networks, the
    losses, or add a :meth:`penalty` or a constraint (:meth:`constrain`); a GAN of one's own does the same::

        gan = GAN(generator, discriminator, latent_size=64, loss="hinge")

    Math:      min_G max_D V(D, G) = E_x[log D(x)] + E_z[log(1 − D(G(z)))], D = σ(score). For a fixed generator the best
               discriminator is D*(x) = p_data(x) / (p_data(x) + p_g(x)); then V(D*, G) = 2 JSD(p_data ‖ p_g) − log 4,
               least where p_g = p_data, and there D* = ½
    Args:      generator: z (N, latent_size) → samples (N, …). discriminator: samples (N, …) → scores (N,), logits where
               the loss is one of probabilities. loss: "non-saturating", "minimax", "hinge" or "wasserstein", see
               :func:`minidl.functional.discriminator_loss`
    Attributes: latent_size, loss. n_critic: updates of the discriminator for each of the generator.
               num_classes: of the labels that both networks take as a second argument, None where they take none
    Raises:    ArgumentError: an unknown loss, or latent_size < 1
    Source:    section 3, eq. 1; section 4.1 for the optimum
    """

    n_critic: int = 1
    num_classes: int | None = None

    def __init__(self, generator: nn.Module, discriminator: nn.Module, latent_size: int, loss: str = "non-saturating"):
        super().__init__()
        F.generator_loss(F.zeros(1), loss)  # refuses an unknown loss
        if latent_size < 1:
            raise ArgumentError(f"{type(self).__name__}: latent_size must be at least 1, got {latent_size}")
        self.generator, self.discriminator = generator, discriminator
        self.latent_size, self.loss = latent_size, loss

    @property
    def scores_are_logits(self) -> bool:
        """Whether σ(score) is the probability of being real, as in the losses of the first paper."""
        return self.loss in ("non-saturating", "minimax")

    def noise(self, count: int) -> Tensor:
        """(count, latent_size) standard normal numbers from the stream "noise", where the generator is."""
        parameter = next(self.generator.parameters())
        return F.randn(
            count, self.latent_size, generator=stream("noise"), dtype=parameter.dtype, device=parameter.device
        )

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The samples (N, …) that the generator makes of z (N, latent_size)."""
        return self.generator(z) if labels is None else self.generator(z, labels)

    def score(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The scores (N,) that the discriminator gives to samples (N, …)."""
        return self.discriminator(x) if labels is None else self.discriminator(x, labels)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.num_classes is not None and labels is None:
            labels = F.arange(len(z), device=z.device) % self.num_classes
        return self.generate(z, labels)

    def sample(self, count: int = 64, *, z: Tensor | None = None, labels: Any = None) -> Tensor:
        """New samples, made in evaluation mode and without a graph.

        Args:      z: (count, latent_size), by default drawn anew. labels: (count,) the classes to make, where the GAN
                   has classes; by default all of them in turn
        """
        z = self.noise(count) if z is None else z
        with same_mode_afterwards(self), no_grad():
            self.eval()
            return self(z, labels)

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """What the discriminator minimizes. See :func:`minidl.functional.discriminator_loss`."""
        return F.discriminator_loss(real_scores, fake_scores, self.loss)

    def generator_loss(self, fake_scores: Tensor) -> Tensor:
        """What the generator minimizes. See :func:`minidl.functional.generator_loss`."""
        return F.generator_loss(fake_scores, self.loss)

    def penalty(self, real: Tensor, fake: Tensor, labels: Tensor | None = None) -> Tensor | None:
        """What is added to the discriminator's loss; None for nothing."""
        return None

    def constrain(self) -> None:
        """What is done to the discriminator's parameters after each of its updates; here nothing."""


class MLPGenerator(nn.Module):
    """z (N, latent_size) → samples (N, *data_shape), through dense layers with ReLU.

    Args:      data_shape: of one sample, as (2,) or (1, 28, 28). hidden: units of each layer. output: "linear", or
               "tanh" or "sigmoid" for data in [−1, 1] or [0, 1]
    """

    def __init__(
        self,
        data_shape: Sequence[int] = (1, 28, 28),
        latent_size: int = 64,
        hidden: Sequence[int] = (128, 128),
        output: str = "tanh",
    ):
        super().__init__()
        data_shape = tuple(data_shape)
        layers = dense_layers([latent_size, *hidden], nn.ReLU)
        layers.append(nn.Linear([latent_size, *hidden][-1], math.prod(data_shape)))
        self.net = nn.Sequential(*layers, output_layer(output), nn.Unflatten(1, data_shape))

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)


class MLPDiscriminator(nn.Module):
    """Samples (N, *data_shape) → scores (N,), through dense layers with leaky ReLU of slope 0.2.

    Args:      data_shape: of one sample. hidden: units of each layer. dropout: probability after each of them
    """

    def __init__(
        self, data_shape: Sequence[int] = (1, 28, 28), hidden: Sequence[int] = (128, 128), dropout: float = 0.0
    ):
        super().__init__()
        sizes = [math.prod(data_shape), *hidden]
        layers = dense_layers(sizes, lambda: nn.LeakyReLU(0.2), dropout)
        self.net = nn.Sequential(nn.Flatten(), *layers, nn.Linear(sizes[-1], 1), nn.Flatten(0))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class MLPGAN(GAN):
    """The first GAN, of dense layers: enough for points in the plane and for digits.

    Deviations: leaky ReLU for the maxout of the discriminator; noise is normal instead of uniform.

    Args:      data_shape: of one sample, as (2,) or (1, 28, 28). latent_size: numbers of noise. hidden: units of each
               hidden layer of both networks. output: what ends the generator: "linear", or "tanh" or "sigmoid" for data
               in [−1, 1] or [0, 1]. loss: see :class:`GAN`. dropout: in the discriminator
    Raises:    ArgumentError: an unknown output or loss, or a size below 1
    Source:    section 5
    """

    def __init__(
        self,
        data_shape: Sequence[int] = (1, 28, 28),
        latent_size: int = 64,
        hidden: Sequence[int] = (128, 128),
        output: str = "tanh",
        loss: str = "non-saturating",
        dropout: float = 0.0,
    ):
        if not data_shape or min(*data_shape, *hidden, latent_size) < 1:
            raise ArgumentError(
                f"MLPGAN: sizes must be at least 1, got data_shape={tuple(data_shape)}, latent_size={latent_size}, "
                f"hidden={tuple(hidden)}"
            )
        super().__init__(
            MLPGenerator(data_shape, latent_size, hidden, output),
            MLPDiscriminator(data_shape, hidden, dropout),
            latent_size,
            loss,
        )


def dense_layers(sizes: Sequence[int], activation: Any, dropout: float = 0.0) -> list[nn.Module]:
    """Linear and activation for each step from one size to the next, and dropout if there is any."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation(), *([nn.Dropout(dropout)] if dropout else [])]
    return layers


def output_layer(output: str) -> nn.Module:
    """What ends a network whose outputs are data: "linear", "tanh" for [−1, 1], "sigmoid" for [0, 1]."""
    layers = {"linear": nn.Identity, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
    if output not in layers:
        raise ArgumentError(f"unknown output {output!r}; there are {', '.join(layers)}")
    return layers[output]()
