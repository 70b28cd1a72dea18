"""Autoencoders: Hinton & Salakhutdinov 2006; Vincent et al. 2008 (denoising); Masci et al. 2011 (convolutional)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from .. import functional as F
from .. import nn
from ..autograd import Tensor
from ..backend import stream
from ..errors import ArgumentError, ShapeError
from .gan import dense_layers, output_layer


class DenseEncoder(nn.Sequential):
    """Images (N, C, S, S) → codes (N, codes), through dense layers with ReLU."""

    def __init__(self, image_shape: Sequence[int], codes: int, hidden: Sequence[int]):
        sizes = [math.prod(image_shape), *hidden]
        super().__init__(nn.Flatten(), *dense_layers(sizes, nn.ReLU), nn.Linear(sizes[-1], codes))


class DenseDecoder(nn.Sequential):
    """Codes (N, codes) → images (N, C, S, S), as scores: the way of :class:`DenseEncoder` backwards."""

    def __init__(self, image_shape: Sequence[int], codes: int, hidden: Sequence[int]):
        sizes = [codes, *hidden[::-1]]
        last = nn.Linear(sizes[-1], math.prod(image_shape))
        super().__init__(*dense_layers(sizes, nn.ReLU), last, nn.Unflatten(1, tuple(image_shape)))


class ConvEncoder(nn.Sequential):
    """Images (N, C, S, S) → codes (N, codes): convolutions 3×3 of stride 2 with ReLU, and a dense layer."""

    def __init__(self, image_shape: Sequence[int], codes: int, widths: Sequence[int]):
        channels, side = image_shape[0], image_shape[1] >> len(widths)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([channels, *widths]):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()]
        super().__init__(*layers, nn.Flatten(), nn.Linear(widths[-1] * side**2, codes))


class ConvDecoder(nn.Sequential):
    """Codes (N, codes) → images (N, C, S, S), as scores: a dense layer, and transposed convolutions 4×4 of stride 2."""

    def __init__(self, image_shape: Sequence[int], codes: int, widths: Sequence[int]):
        channels, side = image_shape[0], image_shape[1] >> len(widths)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([*widths[::-1], channels]):
            layers += [nn.ReLU(), nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)]
        start = nn.Unflatten(1, (widths[-1], side, side))
        super().__init__(nn.Linear(codes, widths[-1] * side**2), start, *layers)


class Autoencoder(nn.Module):
    """A network that returns its input through a narrow place, the code: it keeps what the images have in common.

    With linear layers only and the squared error, the code spans what principal components do; hidden layers bend it.
    The targets of a training are the inputs themselves::

        model = Autoencoder(latent_size=16)
        fit(model, optimizer, F.mse_loss, DataLoader(TensorDataset(images, images), 100), epochs=10)

    Math:      x̂ = g(h(x̃));  x̃ = x, or while training, with corruption ν, x with each pixel set to 0 with probability ν
    Args:      image_size: S. channels: C. latent_size: numbers in a code. hidden: units of the dense layers, or maps of
               the convolutions, each of which halves the sides; by default (512, 128), or (32, 64) if convolutional.
               convolutional: see :class:`ConvEncoder`, else dense. output: "sigmoid" for images in [0, 1], "tanh" for
               [−1, 1], "linear". corruption: ν, 0 for none; a denoising autoencoder learns to undo it
    Raises:    ArgumentError: a side that cannot be halved so often, corruption outside [0, 1), or a size below 1.
               ShapeError: in encode, images of another size
    Source:    Hinton & Salakhutdinov 2006; Vincent et al. 2008, section 2.3; Masci et al. 2011, section 3. Trained as a
               whole, not layer by layer
    """

    def __init__(
        self,
        image_size: int = 28,
        channels: int = 1,
        latent_size: int = 32,
        hidden: Sequence[int] | None = None,
        *,
        convolutional: bool = False,
        output: str = "sigmoid",
        corruption: float = 0.0,
    ):
        super().__init__()
        if not 0 <= corruption < 1:
            raise ArgumentError(f"Autoencoder: corruption is the share of pixels set to 0, in [0, 1), got {corruption}")
        self.image_shape, self.latent_size = (channels, image_size, image_size), latent_size
        self.corruption = corruption
        self.encoder, decoder = encoder_and_decoder(
            "Autoencoder", self.image_shape, latent_size, latent_size, hidden, convolutional
        )
        self.decoder = nn.Sequential(*decoder, output_layer(output))

    def encode(self, x: Tensor) -> Tensor:
        """The codes (N, latent_size) of images (N, C, S, S)."""
        return self.encoder(check_images(x, self.image_shape, "Autoencoder"))

    def decode(self, z: Tensor) -> Tensor:
        """The images (N, C, S, S) of codes (N, latent_size)."""
        return self.decoder(z)

    def corrupt(self, x: Tensor) -> Tensor:
        """The images with pixels set to 0, each with probability ν; the numbers come from the stream "noise"."""
        return x * (F.rand_like(x, generator=stream("noise")) >= self.corruption)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(self.corrupt(x) if self.training and self.corruption else x))


def encoder_and_decoder(
    name: str,
    image_shape: tuple[int, int, int],
    codes: int,
    latent_size: int,
    hidden: Sequence[int] | None,
    convolutional: bool,
) -> tuple[nn.Sequential, nn.Sequential]:
    """An encoder to `codes` numbers and a decoder from `latent_size`.

    Raises:    ArgumentError: sizes below 1, or a side that cannot be halved as often as there are widths
    """
    hidden = tuple(((32, 64) if convolutional else (512, 128)) if hidden is None else hidden)
    if min(*image_shape, codes, latent_size, *hidden) < 1:
        raise ArgumentError(f"{name}: sizes must be at least 1, got {image_shape}, latent_size={latent_size}, {hidden}")
    if not convolutional:
        return DenseEncoder(image_shape, codes, hidden), DenseDecoder(image_shape, latent_size, hidden)
    side = image_shape[1]
    if not hidden or side % 2 ** len(hidden):
        raise ArgumentError(
            f"{name}: {len(hidden)} convolutions halve the side {side} as often, but it must be a multiple of "
            f"{2 ** len(hidden)} and there must be one at least; give other widths in hidden, or pad the images"
        )
    return ConvEncoder(image_shape, codes, hidden), ConvDecoder(image_shape, latent_size, hidden)


def check_images(x: Tensor, image_shape: tuple[int, int, int], name: str) -> Tensor:
    """x, if it has shape (N, *image_shape)."""
    if x.ndim != 4 or x.shape[1:] != image_shape:
        raise ShapeError(f"{name}: images must have shape (N, {', '.join(map(str, image_shape))}), got {x.shape}")
    return x
