"""The IDX format of MNIST: a short header, then the numbers."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from ...errors import FileFormatError

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_PIECE = 1 << 20


def read_idx(path: str | Path, max_bytes: int = 1 << 30) -> np.ndarray:
    """Read an IDX file, gzipped or not.

    The header is two zero bytes, a byte for the type, a byte for the number of dimensions, then each dimension as a
    big-endian uint32. Nothing is believed: memory grows with the bytes that are really there, and never beyond the size
    that the header declares, which itself may not exceed `max_bytes`.

    Returns:   an array in the machine's byte order
    Raises:    FileFormatError: no IDX file, truncated, too large, or with bytes left over
    Source:    LeCun, Cortes & Burges, "The MNIST database", section "file formats"
    """
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if zipped else open(path, "rb") as stream:
            return _parse(stream, path, max_bytes)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FileFormatError(f"read_idx: {path} is not a whole gzip file: {error}") from None


def _parse(stream: BufferedIOBase, path: str | Path, max_bytes: int) -> np.ndarray:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES:
        raise FileFormatError(f"read_idx: {path} is no IDX file: it starts with {magic.hex(' ') or 'nothing'}")
    dtype, ndim = np.dtype(_DTYPES[magic[2]]), magic[3]
    header = stream.read(4 * ndim)
    if len(header) < 4 * ndim:
        raise FileFormatError(f"read_idx: {path} ends within its header of {ndim} dimensions")
    shape = struct.unpack(f">{ndim}I", header)
    declared = math.prod(shape) * dtype.itemsize
    if ndim > 8 or math.prod(n or 1 for n in shape) * dtype.itemsize > max_bytes:  # 0 × 2³² × 2³² is refused too
        raise FileFormatError(
            f"read_idx: {path} declares the shape {shape}, {declared} bytes; at most 8 dimensions and {max_bytes} bytes"
        )
    body = bytearray()
    while len(body) <= declared and (piece := stream.read(min(_PIECE, declared + 1 - len(body)))):
        body += piece
    if len(body) != declared:
        found = "more" if len(body) > declared else f"only {len(body)}"
        raise FileFormatError(f"read_idx: {path} declares the shape {shape}, {declared} bytes, but holds {found}")
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
