"""CIFAR-10: small colour photographs of ten kinds of things."""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FileFormatError
from ..download import Checksum
from ._find import Source, find
from ._labeled import LabeledImages, from_bytes

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FILE = Source(
    "cifar10",
    "cifar-10-python.tar.gz",
    remedy="Remedy: connect to the network, or put the file into the cache by hand.",
    urls=["https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"],
    checksum=Checksum("sha256", "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"),
    max_bytes=170_498_071,
)
_PARTS = [f"cifar-10-batches-py/{name}" for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")]
_MAX_PART_BYTES = 40_000_000


def cifar10(download: bool = True) -> tuple[LabeledImages, LabeledImages]:
    """CIFAR-10: (train, test) of 50,000 and 10,000 photographs.

    Args:      download: whether the network may be asked when the file is not in the cache (170 MB)
    Returns:   images (N, 3, 32, 32) float32 in [0, 1], RGB (614 MB and 123 MB); labels (N,) int64; classes "airplane" …
    Raises:    DatasetError: the file is nowhere. FileFormatError: it is not what it should be
    Source:    Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images; no licence stated, cite the
               report
    """
    parts = read_cifar_tar(find(FILE, download))
    images = np.concatenate([images for images, _ in parts[:-1]])
    labels = np.concatenate([labels for _, labels in parts[:-1]])
    return from_bytes(images, labels, CLASSES), from_bytes(*parts[-1], CLASSES)


def read_cifar_tar(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """(images uint8 (N, 3, 32, 32), labels) of the five train batches and the test batch.

    The members are read in memory, by name; nothing is unpacked, so no member can write anywhere.
    """
    parts = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                if member.name in _PARTS and member.isfile() and member.size <= _MAX_PART_BYTES:
                    parts[member.name] = archive.extractfile(member).read()  # type: ignore[union-attr]
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise FileFormatError(f"{path} is not a whole .tar.gz file: {error}") from None
    if missing := [name for name in _PARTS if name not in parts]:
        raise FileFormatError(f"{path}: {missing[0]} is missing or larger than {_MAX_PART_BYTES} bytes")
    return [_decode(parts[name], f"{path}: {name}") for name in _PARTS]


def _decode(data: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        batch = read_plain_pickle(data)
        if not isinstance(batch, dict) or not isinstance(batch.get(b"data"), _PickledArray):
            raise FileFormatError("it is no dict with an array 'data'")
        images = batch[b"data"].to_bytes_array((3, 32, 32))
        labels = batch.get(b"labels")
        if not isinstance(labels, list) or not all(isinstance(label, int) and 0 <= label < 10 for label in labels):
            raise FileFormatError("it has no list of labels 0 … 9")
        if len(labels) != len(images):
            raise FileFormatError(f"it has {len(images)} images but {len(labels)} labels")
    except FileFormatError as error:
        raise FileFormatError(f"{where}: {error}") from None
    return images, np.array(labels)


class _PickledArray:
    """What a pickle says of an array, kept as plain data until it has been checked."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def to_bytes_array(self, sample_shape: tuple[int, ...]) -> np.ndarray:
        """The uint8 array (N, *sample_shape), if the pickled (version, shape, dtype, Fortran order, bytes) add up."""
        try:
            _, shape, dtype, fortran, raw = self.state
            rows, columns = shape
            fits = columns == np.prod(sample_shape) and isinstance(raw, bytes) and len(raw) == rows * columns
            fits = fits and isinstance(dtype, _PickledDtype) and dtype.code in ("u1", b"u1") and not fortran
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise FileFormatError(f"its array is not of bytes with shape (N, {np.prod(sample_shape)})")
        return np.frombuffer(raw, np.uint8).reshape(-1, *sample_shape)


class _PickledDtype:
    def __init__(self, code: Any = None, *_: Any):
        self.code = code

    def __setstate__(self, state: Any) -> None:
        """The rest, as byte order, does not matter to bytes."""


class _PlainUnpickler(pickle._Unpickler):
    """Builds containers, numbers, strings and stand-ins for arrays; asks for nothing else and so runs no foreign
    code.

    It is Python's own in Python: the one in C makes room for as many memos as the file says.
    """

    dispatch = {code: load for code, load in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]}

    _STAND_INS = {
        ("numpy.core.multiarray", "_reconstruct"): lambda *_: _PickledArray(),
        ("numpy._core.multiarray", "_reconstruct"): lambda *_: _PickledArray(),
        ("numpy", "ndarray"): _PickledArray,
        ("numpy", "dtype"): _PickledDtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._STAND_INS[module, name]
        except KeyError:
            raise FileFormatError(f"it asks for {module}.{name}, which this reader refuses") from None


def read_plain_pickle(data: bytes) -> Any:
    """Read a pickle that holds only plain values and arrays. Strings of Python 2 come as bytes.

    Raises:    FileFormatError: it asks for anything else, or is corrupt
    """
    try:
        return _PlainUnpickler(io.BytesIO(data), encoding="bytes").load()
    except FileFormatError:
        raise
    except Exception as error:  # a corrupt pickle can raise nearly anything
        raise FileFormatError(f"it is a corrupt pickle: {error}") from None
