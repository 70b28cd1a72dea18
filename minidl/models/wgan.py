"""Wasserstein GAN: Arjovsky, Chintala & Bottou 2017, "Wasserstein GAN"."""

from __future__ import annotations

from .. import nn
from ..backend import array_module
from ..errors import ArgumentError
from .dcgan import DCGANDiscriminator, DCGANGenerator
from .gan import GAN


class WGAN(GAN):
    """A GAN whose discriminator is a critic: it estimates how far apart real and generated samples are.

    The estimate falls as the samples get better, which no probability does. The critic has to be Lipschitz; here its
    parameters are clipped to [−c, c] after each update. The paper trains with RMSprop, lr=0.00005, batches of 64 and
    five updates of the critic for each of the generator; it warns of momentum.

    Math:      W(p_r, p_g) = max over 1-Lipschitz f of E_r[f(x)] − E_g[f(x)] (Kantorovich–Rubinstein); clipping gives
               K-Lipschitz critics, hence K · W, with an unknown K
    Args:      image_size, channels, latent_size, width: see :class:`minidl.models.DCGAN`. clip: c. n_critic: updates
               of the critic for each of the generator. generator, discriminator: networks of one's own in place of
               DCGAN's
    Raises:    ArgumentError: clip ≤ 0 or n_critic < 1, or as DCGAN
    Source:    algorithm 1; section 2, eq. 2
    """

    def __init__(
        self,
        image_size: int = 28,
        channels: int = 1,
        latent_size: int = 100,
        width: int = 64,
        clip: float = 0.01,
        n_critic: int = 5,
        *,
        generator: nn.Module | None = None,
        discriminator: nn.Module | None = None,
    ):
        if not clip > 0 or n_critic < 1:
            raise ArgumentError(f"WGAN: needs clip > 0 and n_critic ≥ 1, got {clip} and {n_critic}")
        super().__init__(
            generator or DCGANGenerator(image_size, channels, latent_size, width),
            discriminator or DCGANDiscriminator(image_size, channels, width),
            latent_size,
            "wasserstein",
        )
        self.clip, self.n_critic = clip, n_critic

    def constrain(self) -> None:
        """Clip every parameter of the critic to [−c, c], in place."""
        for parameter in self.discriminator.parameters():
            array_module(parameter.data).clip(parameter.data, -self.clip, self.clip, out=parameter.data)
            parameter.bump_version()
