"""Images stored as gzipped comma-separated rows: the pixels, then the label."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import numpy as np

from ...errors import FileFormatError

_PIECE = 1 << 20


def read_table(path: Path, columns: int, highest: int, max_bytes: int = 1 << 25) -> np.ndarray:
    """The rows as uint8, of which the last column is a label 0 … 9 and the others lie in 0 … `highest`.

    Raises:    FileFormatError: not such a table, damaged, or of more than `max_bytes` when inflated
    """
    try:
        with gzip.open(path) as file:
            text = bytearray()
            while len(text) <= max_bytes and (piece := file.read(_PIECE)):
                text += piece
        if not text.strip() or len(text) > max_bytes:
            raise FileFormatError(f"{path} holds no text, or more than {max_bytes} bytes")
        table = np.loadtxt(io.StringIO(text.decode("ascii")), dtype=np.uint8, delimiter=",", comments=None, ndmin=2)
    except FileFormatError:
        raise
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
        raise FileFormatError(f"{path} is not a whole gzipped table of numbers: {error}") from None
    if table.shape[1] != columns or len(table) == 0:
        raise FileFormatError(f"{path} is a table of shape {table.shape}, but {columns} columns are expected")
    if table[:, :-1].max() > highest or table[:, -1].max() > 9:
        raise FileFormatError(f"{path} holds pixels above {highest} or labels above 9")
    return table
