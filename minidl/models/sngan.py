"""Spectral normalization GAN: Miyato, Kataoka, Koyama & Yoshida 2018, "Spectral normalization for GANs"."""

from __future__ import annotations

from .dcgan import DCGANDiscriminator, DCGANGenerator
from .gan import GAN


class SNGAN(GAN):
    """A GAN whose discriminator cannot be steep: each of its weights is divided by its largest singular value.

    Such a layer is 1-Lipschitz, and so is the chain of them with leaky ReLUs, whatever the weights. Nothing but the
    division is needed for it: no batch norm in the discriminator, no penalty, one power iteration a step.

    Deviation: the networks are those of :class:`minidl.models.DCGAN`, without the discriminator's norms.

    Math:      see :func:`minidl.nn.utils.spectral_norm`
    Args:      see :class:`minidl.models.DCGAN`
    Source:    section 2, eq. 8; eq. 16 and 17 for the hinge loss
    """

    def __init__(
        self, image_size: int = 28, channels: int = 1, latent_size: int = 100, width: int = 64, loss: str = "hinge"
    ):
        super().__init__(
            DCGANGenerator(image_size, channels, latent_size, width),
            DCGANDiscriminator(image_size, channels, width, norm="none", spectral=True),
            latent_size,
            loss,
        )
