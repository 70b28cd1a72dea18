"""Cases of dropout: a generator that is made anew in each call gives the same mask each time.

PyTorch draws other masks, so it is no oracle here; the reference redraws the mask from the same bits.
"""

import numpy as np

import minidl.functional as F
from minidl import backend
from tests import philox

from ._case import OpCase, normal

SATURATION = -1.7580993408473766


def mask(shape, p, device):
    """What the generator with seed 0 gives: 0 with probability p, else 1."""
    size, generator = int(np.prod(shape)), backend.Generator(0)
    if device == "cpu":
        bits = generator.numpy.integers(2**64, size=-(-size // 4), dtype=np.uint64).view(np.uint16)[:size]
        bits = bits.reshape(shape)
    else:
        bits = philox.spread(philox.words(*generator.reserve(0), -(-size // 8)).view(np.uint16), shape)
    return (bits / 65536 >= round(p * 65536) / 65536).astype(np.float64)


def case(name, fn, x_shape, p, mask_shape=None, *, alpha=False):
    def expected(x, device):
        m = mask(x.shape if mask_shape is None else (x.shape[0], *mask_shape), p, device)
        if alpha:
            a = 1 / np.sqrt((1 - p) * (1 + p * SATURATION**2))
            return a * (x * m + SATURATION * (1 - m)) - a * p * SATURATION
        return x * m / (1 - p)

    return OpCase(
        name=f"{fn.__name__}-{name}",
        fn=lambda x: fn(x, p, True, generator=backend.Generator(0)),
        inputs=normal(x_shape),
        reference=expected,
        draws=True,
        batch_axis=0,
    )


CASES = [
    case("half", F.dropout, (3, 5), 0.5),
    case("rare", F.dropout, (4, 7, 2), 0.1),
    case("often", F.dropout, (23,), 0.9),
    case("channels", F.dropout1d, (3, 4, 2), 0.4, (4, 1)),
    case("channels", F.dropout2d, (3, 4, 2, 2), 0.4, (4, 1, 1)),
    case("channels", F.dropout3d, (3, 4, 2, 1, 2), 0.4, (4, 1, 1, 1)),
    case("half", F.alpha_dropout, (4, 5), 0.5, alpha=True),
    case("channels", F.feature_alpha_dropout, (3, 4, 2), 0.3, (4, 1), alpha=True),
]
