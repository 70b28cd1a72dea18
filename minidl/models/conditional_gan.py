"""Conditional GAN: Mirza & Osindero 2014, "Conditional generative adversarial nets"."""

from __future__ import annotations

from .. import functional as F
from .. import nn
from ..autograd import Tensor
from ..errors import ArgumentError, ShapeError
from .dcgan import DCGANDiscriminator, DCGANGenerator
from .gan import GAN


class ConditionalGenerator(nn.Module):
    """(z, labels) → images of these classes: :class:`DCGANGenerator` of z with the label beside it, as one-hot."""

    def __init__(self, num_classes: int, image_size: int, channels: int, latent_size: int, width: int):
        super().__init__()
        self.num_classes = num_classes
        self.net = DCGANGenerator(image_size, channels, latent_size + num_classes, width)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.net(F.cat([z, _one_hot(labels, z, self.num_classes, "ConditionalGenerator")], 1))


class ConditionalDiscriminator(nn.Module):
    """(images, labels) → scores (N,): :class:`DCGANDiscriminator` of the image and a map that each class learns."""

    def __init__(self, num_classes: int, image_size: int, channels: int, width: int):
        super().__init__()
        self.num_classes = num_classes
        self.maps = nn.Linear(num_classes, image_size**2, bias=False)
        self.net = DCGANDiscriminator(image_size, channels + 1, width)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        chosen = _one_hot(labels, x, self.num_classes, "ConditionalDiscriminator")
        side = self.net.image_shape[1]
        return self.net(F.cat([x, self.maps(chosen).reshape(-1, 1, side, side)], 1))


class ConditionalGAN(GAN):
    """A GAN that is told which class to make: both networks see the label.

    A discriminator that knows the label asks whether this is a real image *of this class*, so the generator has to
    obey. The networks are those of :class:`minidl.models.DCGAN`, where the paper has dense ones.

    Math:      min_G max_D E[log D(x | y)] + E[log(1 − D(G(z | y) | y))]
    Args:      num_classes: labels are 0 … num_classes − 1. Others as in :class:`minidl.models.DCGAN`
    Raises:    ArgumentError: an image size that the generator cannot make, or a size below 1. In use: OutOfRangeError:
               a label that is no class. DtypeError, ShapeError: labels that are not (N,) integers
    Source:    section 3.2, eq. 2
    """

    def __init__(
        self,
        num_classes: int = 10,
        image_size: int = 28,
        channels: int = 1,
        latent_size: int = 100,
        width: int = 64,
        loss: str = "non-saturating",
    ):
        if num_classes < 1:
            raise ArgumentError(f"ConditionalGAN: num_classes must be at least 1, got {num_classes}")
        super().__init__(
            ConditionalGenerator(num_classes, image_size, channels, latent_size, width),
            ConditionalDiscriminator(num_classes, image_size, channels, width),
            latent_size,
            loss,
        )
        self.num_classes = num_classes


def _one_hot(labels: Tensor, beside: Tensor, num_classes: int, op: str) -> Tensor:
    """(N, num_classes), 1 at the label and 0 elsewhere, of the dtype of the N things that the labels belong to."""
    chosen = F.one_hot(labels, num_classes)
    if chosen.ndim != 2 or len(chosen) != len(beside):
        raise ShapeError(f"{op}: {len(beside)} inputs need labels of shape ({len(beside)},), got {labels.shape}")
    return chosen.to(beside.dtype)
