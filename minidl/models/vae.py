"""Variational autoencoder: Kingma & Welling 2014, "Auto-encoding variational Bayes"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from .. import functional as F
from .. import nn
from ..autograd import Tensor, no_grad
from ..backend import stream
from ..errors import ArgumentError
from ..nn.module import same_mode_afterwards
from .autoencoder import check_images, encoder_and_decoder


class VAEOutputs(NamedTuple):
    """What a VAE makes of images: scores of the pixels (N, C, S, S), and mean and log variance of q(z | x), (N, L)."""

    scores: Tensor
    mean: Tensor
    log_variance: Tensor


class NegativeELBO(NamedTuple):
    """−ELBO = reconstruction + KL, each a scalar, in nats for each image, averaged over the batch."""

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor


class VAE(nn.Module):
    """An autoencoder whose code is a distribution, kept near N(0, I): so codes can be drawn, and it generates.

    Its loss takes the outputs and the images, so that it trains with :func:`minidl.training.fit`::

        model = VAE(latent_size=8)
        fit(model, optimizer, model.loss, DataLoader(TensorDataset(images, images), 100), epochs=10)

    Math:      −ELBO(x) = −E_q[log p(x | z)] + KL(q(z | x) ‖ N(0, I)) ≥ −log p(x), q = N(μ(x), diag σ²(x));
               KL = ½ Σ_j (μ_j² + σ_j² − log σ_j² − 1), in closed form; E_q by one draw z = μ + σ ε, ε ~ N(0, I);
               bernoulli:  log p(x | z) = Σ x log σ(s) + (1 − x) log(1 − σ(s)), s the decoder's scores, x in [0, 1];
               gaussian:   log p(x | z) = Σ −½ ((x − s) / τ)² − log τ − ½ log 2π
    Backward:  z is a function of μ and σ with the noise ε outside of them, so the gradient passes through the draw
    Args:      image_size, channels, latent_size, hidden, convolutional: see :class:`minidl.models.Autoencoder`.
               likelihood: "bernoulli" or "gaussian". sigma: τ, the standard deviation of a pixel under "gaussian"
    Raises:    ArgumentError: an unknown likelihood, sigma ≤ 0, or sizes that do not fit, as for Autoencoder
    Source:    section 2.3, eq. 7; section 2.4; appendix B for the KL, C.1 for the Bernoulli decoder
    """

    def __init__(
        self,
        image_size: int = 28,
        channels: int = 1,
        latent_size: int = 16,
        hidden: Sequence[int] | None = None,
        *,
        convolutional: bool = False,
        likelihood: str = "bernoulli",
        sigma: float = 1.0,
    ):
        super().__init__()
        if likelihood not in ("bernoulli", "gaussian") or not sigma > 0:
            raise ArgumentError(
                f"VAE: likelihood must be 'bernoulli' or 'gaussian' and sigma > 0, got {likelihood!r} and {sigma}"
            )
        self.image_shape, self.latent_size = (channels, image_size, image_size), latent_size
        self.likelihood, self.sigma = likelihood, sigma
        self.encoder, self.decoder = encoder_and_decoder(
            "VAE", self.image_shape, 2 * latent_size, latent_size, hidden, convolutional
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, each (N, latent_size), of q(z | x) for images (N, C, S, S)."""
        mean, log_variance = self.encoder(check_images(x, self.image_shape, "VAE")).chunk(2, 1)
        return mean, log_variance

    def reparameterize(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """A draw z = μ + σ ε, with ε from the stream "noise"."""
        return mean + (0.5 * log_variance).exp() * F.randn_like(mean, generator=stream("noise"))

    def decode(self, z: Tensor) -> Tensor:
        """The mean images (N, C, S, S) of p(x | z)."""
        scores = self.decoder(z)
        return scores.sigmoid() if self.likelihood == "bernoulli" else scores

    def forward(self, x: Tensor) -> VAEOutputs:
        mean, log_variance = self.encode(x)
        return VAEOutputs(self.decoder(self.reparameterize(mean, log_variance)), mean, log_variance)

    def negative_elbo(self, x: Tensor) -> NegativeELBO:
        """−ELBO of images and its two terms, with one draw for each image."""
        return self._terms(self(x), x)

    def loss(self, outputs: VAEOutputs, x: Tensor) -> Tensor:
        """−ELBO, from what :meth:`forward` gave for the images x."""
        return self._terms(outputs, x).loss

    def sample(self, count: int = 64, *, z: Tensor | None = None) -> Tensor:
        """The mean images of codes drawn from N(0, I), or of those given; in evaluation mode, without a graph."""
        parameter = next(self.decoder.parameters())
        if z is None:
            noise = stream("noise")
            z = F.randn(count, self.latent_size, generator=noise, dtype=parameter.dtype, device=parameter.device)
        with same_mode_afterwards(self), no_grad():
            self.eval()
            return self.decode(z)

    def _terms(self, outputs: VAEOutputs, x: Tensor) -> NegativeELBO:
        scores, mean, log_variance = outputs
        if self.likelihood == "bernoulli":
            losses = F.binary_cross_entropy_with_logits(scores, x, reduction="sum")
        else:
            constant = math.log(self.sigma) + 0.5 * math.log(2 * math.pi)
            losses = F.mse_loss(scores, x, reduction="sum") / (2 * self.sigma**2) + constant * x.numel()
        reconstruction = losses / len(x)
        kl = kl_to_standard_normal(mean, log_variance).mean()
        return NegativeELBO(reconstruction + kl, reconstruction, kl)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, diag σ²) ‖ N(0, I)) of each row, in nats.

    Math:      ½ Σ_j (μ_j² + σ_j² − log σ_j² − 1)
    Args:      mean, log_variance: μ and log σ², (N, L)
    Returns:   (N,)
    Source:    Kingma & Welling 2014, appendix B
    """
    return 0.5 * (mean**2 + log_variance.exp() - log_variance - 1.0).sum(1)
