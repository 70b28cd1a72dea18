"""Where the data pipeline's random numbers come from.

The order of an epoch draws from the stream "data", transforms from the stream "augment". Worker threads would race for
the latter, so while a loader fetches a sample, transforms draw from a stream that belongs to that sample alone: its
seed is (a number drawn at the start of the epoch, the sample's place in the epoch). So the batches do not depend on the
number of workers, and an epoch can be continued in its middle.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ..backend import Generator, stream

_current = threading.local()


@contextmanager
def own_stream(*key: int) -> Iterator[None]:
    """Within this block, in this thread, transforms draw from a stream seeded by `key`."""
    before = getattr(_current, "make", None)
    _current.make = functools.cache(lambda: np.random.Generator(np.random.SFC64(np.random.SeedSequence(key))))
    try:
        yield
    finally:
        _current.make = before


def augment_generator(generator: Generator | None = None) -> np.random.Generator:
    """What a transform draws from: its own `generator`, else the current sample's, else the stream "augment"."""
    if generator is not None:
        return generator.numpy
    make = getattr(_current, "make", None)  # seeds the generator when it is first asked for, as most samples never do
    return make() if make else stream("augment").numpy
