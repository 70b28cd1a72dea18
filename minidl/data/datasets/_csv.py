"""Images stored as gzipped comma-separated rows: the pixels, then the label."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from ...errors import FileFormatError


def read_table(path: Path, columns: int, highest: int) -> np.ndarray:
    """The rows as uint8, of which the last column is a label 0 … 9 and the others lie in 0 … `highest`."""
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.loadtxt(file, dtype=np.uint8, delimiter=",", ndmin=2)
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
        raise FileFormatError(f"{path} is not a whole gzipped table of numbers: {error}") from None
    if table.shape[1] != columns or len(table) == 0:
        raise FileFormatError(f"{path} is a table of shape {table.shape}, but {columns} columns are expected")
    if table[:, :-1].max() > highest or table[:, -1].max() > 9:
        raise FileFormatError(f"{path} holds pixels above {highest} or labels above 9")
    return table
