"""WGAN-GP: Gulrajani, Ahmed, Arjovsky, Dumoulin & Courville 2017, "Improved training of Wasserstein GANs"."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from .. import functional as F
from .. import nn
from ..autograd import Tensor, enable_grad, grad
from ..backend import stream
from ..errors import ArgumentError, ShapeError
from .dcgan import DCGANDiscriminator, DCGANGenerator
from .gan import GAN


def critic_gradient_norms(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, *, create_graph: bool = False
) -> Tensor:
    """How steep the critic is at random points between real and generated samples.

    Math:      x̂_n = ε_n x_n + (1 − ε_n) x̃_n, ε_n ~ U[0, 1);  norm_n = ‖∂f(x̂_n) / ∂x̂_n‖₂
    Args:      critic: samples (N, …) → scores (N,), each of one sample alone. real, fake: x and x̃, (N, …); ε is drawn
               from the stream "noise". create_graph: whether the norms can be differentiated in turn
    Returns:   (N,)
    Raises:    ShapeError: real and fake of different shapes. GradientError: scores that do not depend on the samples
    Source:    algorithm 1, lines 5 to 7
    """
    if real.shape != fake.shape:
        raise ShapeError(f"gradient_penalty: real has shape {real.shape} but fake has shape {fake.shape}")
    each = (len(real), *[1] * (real.ndim - 1))
    epsilon = F.rand(*each, generator=stream("noise"), dtype=real.dtype, device=real.device)
    with enable_grad():
        between = (fake.detach() + epsilon * (real.detach() - fake.detach())).requires_grad_()
        total = critic(between).sum()  # each score has a sample of its own, so the gradient of the sum has them all
        slopes: Any = grad(total, [between], create_graph=create_graph)[0]
        return slopes.flatten(1).norm(dim=1)


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, *, target: float = 1.0) -> Tensor:
    """How far the critic is from being 1-Lipschitz with slope 1 between real and generated samples.

    Math:      E[(norm_n − target)²], the norms those of :func:`critic_gradient_norms`
    Backward:  through the norm of a gradient, so twice through every operation of the critic. A norm of exactly 0 has
               the subgradient 0
    Args:      see :func:`critic_gradient_norms`. A critic with batch norm gives each sample a gradient that depends on
               the others, and the norm of one no longer means its own slope
    Returns:   a scalar, whose gradient flows to the critic's parameters alone
    Source:    eq. 3
    """
    return ((critic_gradient_norms(critic, real, fake, create_graph=True) - target) ** 2).mean()


class WGANGP(GAN):
    """A Wasserstein GAN whose critic is held to slope 1 by a penalty instead of clipped weights.

    The paper trains with Adam, lr=0.0001, betas=(0, 0.9), batches of 64, λ = 10 and five updates of the critic for each
    of the generator. Its critic has no batch norm; layer norm takes its place.

    Math:      critic:  E[f(x̃)] − E[f(x)] + λ E[(‖∇f(x̂)‖₂ − 1)²];  generator:  −E[f(x̃)]
    Args:      image_size, channels, latent_size, width: see :class:`minidl.models.DCGAN`. penalty_weight: λ.
               n_critic: updates of the critic for each of the generator. generator, discriminator: networks of one's
               own in place of DCGAN's
    Raises:    ArgumentError: penalty_weight < 0 or n_critic < 1, or as DCGAN
    Warns:     a discriminator with batch norm
    Source:    algorithm 1; section 4, "No critic batch normalization"
    """

    def __init__(
        self,
        image_size: int = 28,
        channels: int = 1,
        latent_size: int = 100,
        width: int = 64,
        penalty_weight: float = 10.0,
        n_critic: int = 5,
        *,
        generator: nn.Module | None = None,
        discriminator: nn.Module | None = None,
    ):
        if not penalty_weight >= 0 or n_critic < 1:
            raise ArgumentError(
                f"WGANGP: needs penalty_weight ≥ 0 and n_critic ≥ 1, got {penalty_weight} and {n_critic}"
            )
        super().__init__(
            generator or DCGANGenerator(image_size, channels, latent_size, width),
            discriminator or DCGANDiscriminator(image_size, channels, width, norm="layer"),
            latent_size,
            "wasserstein",
        )
        self.penalty_weight, self.n_critic = penalty_weight, n_critic
        for path, layer in self.discriminator.named_modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
                warnings.warn(
                    f"WGANGP: discriminator.{path} is a {type(layer).__name__}. It mixes the samples of a batch, so "
                    "the slope at one sample depends on the others and the penalty bounds no critic; use layer norm "
                    "(GroupNorm(1, channels)) or none",
                    stacklevel=2,
                )
                break

    def penalty(self, real: Tensor, fake: Tensor, labels: Tensor | None = None) -> Tensor:
        """λ times the :func:`gradient_penalty` of the critic between these samples."""
        return self.penalty_weight * gradient_penalty(lambda x: self.score(x, labels), real, fake)
