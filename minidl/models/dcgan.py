"""DCGAN: Radford, Metz & Chintala 2016, "Unsupervised representation learning with deep convolutional GANs"."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, pairwise

from .. import nn
from ..autograd import Tensor
from ..errors import ArgumentError, ShapeError
from ..nn import init
from ..nn.utils import spectral_norm
from .gan import GAN


class Projection(nn.ConvTranspose2d):
    """z (N, L) → maps (N, C, s, s): the transposed convolution of a single pixel, which is a matrix product."""

    def forward(self, z: Tensor) -> Tensor:  # type: ignore[override]
        return (z @ self.weight.flatten(1)).unflatten(1, self.weight.shape[1:])


class DCGANGenerator(nn.Module):
    """z (N, latent_size) → images (N, channels, S, S) in [−1, 1]: from s × s upwards, each layer twice as wide.

    With image_size 64 and width 64, the network of figure 1, at half its widths:

    ==========  ============================  ==============
    layer                                     output
    ==========  ============================  ==============
    main.0      transposed 4×4                512 × 4 × 4
    main.3      transposed 4×4, stride 2      256 × 8 × 8
    main.6      transposed 4×4, stride 2      128 × 16 × 16
    main.9      transposed 4×4, stride 2      64 × 32 × 32
    main.12     transposed 4×4, stride 2      channels × 64 × 64
    ==========  ============================  ==============

    Batch norm and ReLU after each but the last, tanh after that: 3,576,704 parameters for RGB. For 28 × 28 the way is
    7, 14, 28; for 32 × 32 it is 4, 8, 16, 32. The names of the parameters are those of PyTorch's example.

    Args:      image_size: S = s · 2ᵏ with s from 4 to 7 and k ≥ 1, as 28, 32, 48 or 64. channels: 1 for gray, 3 for
               RGB. latent_size: numbers of noise. width: maps of the last hidden layer
    Raises:    ArgumentError: another image size, or a size below 1
    """

    def __init__(self, image_size: int = 28, channels: int = 1, latent_size: int = 100, width: int = 64):
        super().__init__()
        _check_sizes("DCGANGenerator", channels, latent_size, width)
        start, widths = _widths(image_size, width)
        layers: list[nn.Module] = [Projection(latent_size, widths[-1], start, bias=False)]
        for wide, narrow in pairwise([*widths[::-1], channels]):
            layers += [nn.BatchNorm2d(wide), nn.ReLU(), nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False)]
        self.main = nn.Sequential(*layers, nn.Tanh())
        self.latent_size = latent_size
        radford_init(self)

    def forward(self, z: Tensor) -> Tensor:
        if z.ndim != 2 or z.shape[1] != self.latent_size:
            raise ShapeError(f"DCGANGenerator: z must have shape (N, {self.latent_size}), got {z.shape}")
        return self.main(z)


class DCGANDiscriminator(nn.Module):
    """Images (N, channels, S, S) → scores (N,): the way of :class:`DCGANGenerator` backwards.

    Convolutions 4×4 of stride 2, each twice as wide as the one before, with leaky ReLU of slope 0.2; then one as large
    as what is left. Batch norm after each but the first and the last: 2,765,568 parameters with image_size 64, width 64
    and RGB.

    Args:      image_size, channels: as the generator's. width: maps of the first layer. norm: "batch"; "layer", over
               all maps of an image with a gain for each map, which knows no batch; or "none". spectral: whether each
               convolution is divided by its spectral norm
    Raises:    ArgumentError: an image size that cannot be halved so, an unknown norm, or a size below 1.
               ShapeError: in forward, images of another size
    """

    def __init__(
        self,
        image_size: int = 28,
        channels: int = 1,
        width: int = 64,
        norm: str = "batch",
        spectral: bool = False,
    ):
        super().__init__()
        _check_sizes("DCGANDiscriminator", channels, width)
        norms: dict[str, Callable[[int], nn.Module] | None] = {
            "batch": nn.BatchNorm2d,
            "layer": lambda maps: nn.GroupNorm(1, maps),
            "none": None,
        }
        if norm not in norms:
            raise ArgumentError(f"DCGANDiscriminator: unknown norm {norm!r}; there are {', '.join(norms)}")
        make_norm = norms[norm]
        last, widths = _widths(image_size, width)
        bias = spectral or make_norm is None  # what no norm would take out again
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1, bias=bias), nn.LeakyReLU(0.2)]
        for narrow, wide in pairwise(widths):
            layers.append(nn.Conv2d(narrow, wide, 4, 2, 1, bias=bias))
            layers += [make_norm(wide), nn.LeakyReLU(0.2)] if make_norm else [nn.LeakyReLU(0.2)]
        self.main = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, last, bias=bias))
        self.image_shape = (channels, image_size, image_size)
        radford_init(self)
        if spectral:
            for layer in self.main:
                if isinstance(layer, nn.Conv2d):
                    spectral_norm(layer)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1:] != self.image_shape:
            size = ", ".join(map(str, self.image_shape))
            raise ShapeError(f"DCGANDiscriminator: images must have shape (N, {size}), got {x.shape}")
        return self.main(x).flatten()


class DCGAN(GAN):
    """A GAN of convolutions that trains: the rules of section 3.

    No pooling, but strides, in both networks; batch norm in both, but not at the generator's output and the
    discriminator's input; no hidden dense layers; ReLU in the generator with tanh at its end, leaky ReLU of slope 0.2
    in the discriminator; weights from N(0, 0.02²). The images are scaled to [−1, 1]. The paper trains with Adam,
    lr=0.0002, betas=(0.5, 0.999), and batches of 128.

    Deviation: noise is normal instead of uniform.

    Args:      see :class:`DCGANGenerator`; width belongs to both networks, where the paper has 128. loss: see
               :class:`GAN`
    Raises:    ArgumentError: an image size that the generator cannot make, or a size below 1
    Source:    section 3 and 4
    """

    def __init__(
        self,
        image_size: int = 28,
        channels: int = 1,
        latent_size: int = 100,
        width: int = 64,
        loss: str = "non-saturating",
    ):
        super().__init__(
            DCGANGenerator(image_size, channels, latent_size, width),
            DCGANDiscriminator(image_size, channels, width),
            latent_size,
            loss,
        )


def radford_init(model: nn.Module) -> None:
    """Draw the weights from N(0, 0.02²), the gains of norms from N(1, 0.02²); biases 0.

    Source:    section 4; the gains are those of the authors' code
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d | nn.GroupNorm) and layer.weight is not None:
            init.normal_(layer.weight, 1.0, 0.02)
        else:
            continue
        if layer.bias is not None:
            init.zeros_(layer.bias)


def _widths(image_size: int, width: int) -> tuple[int, list[int]]:
    """The smallest side s, and the maps of the layers from the largest maps to those of s × s."""
    side, halvings = _halved(image_size)
    if not halvings or not 4 <= side <= 7:
        nearest = next(size for size in count(max(image_size, 8)) if 4 <= _halved(size)[0] <= 7)
        raise ArgumentError(
            f"DCGAN: cannot make images of {image_size} × {image_size}: the side must be 4, 5, 6 or 7 doubled once or "
            f"more often, as 28, 32 or 64; pad or resize to {nearest}"
        )
    return side, [width * 2**k for k in range(halvings)]


def _halved(side: int) -> tuple[int, int]:
    """The side, halved while it is even and above 7, and how often that was."""
    halvings = 0
    while side > 7 and side % 2 == 0:
        side, halvings = side // 2, halvings + 1
    return side, halvings


def _check_sizes(name: str, *sizes: int) -> None:
    if min(sizes) < 1:
        raise ArgumentError(f"{name}: channels, latent_size and width must be at least 1, got {sizes}")
