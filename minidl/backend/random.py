"""Random numbers from explicit named streams.

Each purpose draws from a stream of its own, so that switching dropout on does not change the order of the data, nor an
extra layer the augmentation. All streams follow from one seed and are saved in a checkpoint.

What :func:`manual_seed` promises: the same program with the same seed computes the same bits again, in this process or
another, on the same machine with the same versions of Python, NumPy and minidl, and the same number of threads
(:func:`minidl.set_num_threads`; the kind of workers does not matter). The number of a DataLoader's workers does not
matter either. The tests hold every layer and every lesson to it, and a GPU to the same from run to run.

What it cannot promise, because rounding depends on the order in which numbers are added:

- Another number of threads cuts sums elsewhere. Results agree within rounding, and a training that goes on from them
  drifts apart. By default there are as many threads as cores, so set the number where it has to be the same.
- Another machine may have another BLAS, or another kernel of it, chosen by its processor; another version of NumPy may
  draw or add in another way.
- A GPU adds in another order than the CPU, and draws other random numbers: dropout's mask there is another one.
- Set iteration, the clock, files in the order in which the system lists them, and transforms or datasets that draw from
  ``random`` or ``np.random`` are not minidl's: seed or sort those yourself.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError
from .device import Device

STREAM_NAMES = ("default", "init", "data", "augment", "dropout", "noise")
"""``default`` serves :func:`minidl.rand` and its kin; the others what their names say."""

_POSITIONS = 2**128  # of blocks in the stream of one key of Philox


class Generator:
    """A stream of random numbers, with a part for the host and a part for GPUs.

    On the host NumPy draws, with SFC64, the fastest of its bit generators. On a GPU Philox draws, of which each number
    is a function of a key and of its position in the stream. Both are kept here, not on the device, so drawing moves
    nothing between the two. The key follows from the host part as it is when a GPU first asks: from the same seed. What
    is drawn on a GPU is another sequence than what is drawn on the host.

    Args:      seed: int ≥ 0, or None for fresh entropy. device: where :func:`minidl.rand` and its kin draw from this
               generator if they are not told where. Both parts are always there: dropout, say, draws where its input is
    Attributes: numpy: the ``numpy.random.Generator`` of the host part
    """

    numpy: np.random.Generator
    _key: int | None  # of the part for GPUs, None until one asks
    _position: int

    def __init__(self, seed: int | None = None, device: Device | str = "cpu"):
        self.device = Device(device)
        self.device.check_usable()
        self._seed_with(np.random.SeedSequence(seed if seed is None else _check_seed(seed)))

    def _seed_with(self, sequence: np.random.SeedSequence) -> None:
        self.numpy = np.random.Generator(np.random.SFC64(sequence))
        self._key, self._position = None, 0

    def manual_seed(self, seed: int) -> Generator:
        """Restart the stream from `seed`; returns the generator itself."""
        self._seed_with(np.random.SeedSequence(_check_seed(seed)))
        return self

    def reserve(self, blocks: int) -> tuple[int, int]:
        """Take the next blocks of 128 bits of the part for GPUs: its key, and the position of the first of them."""
        if self._key is None:
            words = self.numpy.bit_generator.state["state"]["state"]
            self._key = int(np.random.SeedSequence(words.tolist()).generate_state(1, np.uint64)[0])
        first = self._position
        self._position = (first + blocks) % _POSITIONS
        return self._key, first

    def get_state(self) -> dict[str, Any]:
        """The stream's state in plain Python types, fit for JSON; with an entry "cuda" once a GPU has drawn."""
        state = self.numpy.bit_generator.state
        return {
            "bit_generator": state["bit_generator"],
            "state": [int(word) for word in state["state"]["state"]],
            "has_uint32": int(state["has_uint32"]),
            "uinteger": int(state["uinteger"]),
            **({} if self._key is None else {"cuda": [self._key, self._position]}),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state of :meth:`get_state`.

        Raises:    ArgumentError: not such a state; the stream is left as it was
        """
        try:
            if state["bit_generator"] != "SFC64" or len(state["state"]) != 4:
                raise ValueError("not a state of SFC64")
            restored = {
                "bit_generator": "SFC64",
                "state": {"state": np.array(state["state"], dtype=np.uint64)},
                "has_uint32": int(state["has_uint32"]),
                "uinteger": int(state["uinteger"]),
            }
            key, position = map(int, state["cuda"]) if "cuda" in state else (None, 0)
            if not (0 <= (key or 0) < 2**64 and 0 <= position < _POSITIONS):
                raise ValueError("not a state of Philox")
            self.numpy.bit_generator.state = restored
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ArgumentError(f"Generator.set_state: not a state made by Generator.get_state ({error})") from None
        self._key, self._position = key, position


def check_generator(generator: Generator | None, op: str) -> Generator | None:
    """The generator, if it is one or None."""
    if generator is not None and not isinstance(generator, Generator):
        raise ArgumentTypeError(f"{op}: generator must be a minidl.Generator or None, got {type(generator).__name__}")
    return generator


def _check_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise ArgumentTypeError(f"a seed is an integer, got {seed!r} of type {type(seed).__name__}")
    if seed < 0:
        raise ArgumentError(f"a seed is not negative, got {seed}")
    return int(seed)


_streams: dict[str, Generator] = {name: Generator() for name in STREAM_NAMES}


def stream(name: str) -> Generator:
    """The named stream: "default", "init", "data", "augment", "dropout" or "noise"."""
    try:
        return _streams[name]
    except KeyError:
        raise ArgumentError(f"no random stream {name!r}; there are {', '.join(STREAM_NAMES)}") from None


def manual_seed(seed: int) -> Generator:
    """Restart every stream from `seed`, each in its own way, and return the default one.

    What is the same afterwards, and what need not be: see :mod:`minidl.backend.random`.
    """
    seed = _check_seed(seed)
    for name, generator in _streams.items():
        generator._seed_with(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))
    return _streams["default"]


def get_random_state() -> dict[str, Any]:
    """The state of every stream, by name, in plain Python types."""
    return {name: generator.get_state() for name, generator in _streams.items()}


def set_random_state(state: dict[str, Any]) -> None:
    """Continue every stream from a state of :func:`get_random_state`; nothing changes if any part does not fit.

    Raises:    ArgumentError: a stream is missing, unknown or malformed
    """
    if not isinstance(state, dict):
        raise ArgumentTypeError(f"set_random_state: expected a state of get_random_state, got {type(state).__name__}")
    if set(state) != set(_streams):
        raise ArgumentError(f"set_random_state: streams {sorted(state)} were given, but {sorted(_streams)} are needed")
    before = get_random_state()
    try:
        for name, generator in _streams.items():
            generator.set_state(state[name])
    except ArgumentError:
        for name, generator in _streams.items():
            generator.set_state(before[name])
        raise
