"""NumPy's ``.npz``: a zip of ``.npy`` files, one per array. Object arrays, which are pickles, are refused.

The tree of :mod:`.state` is an entry of its own, ``minidl.json``.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.lib import format as npy

from ..errors import FileFormatError
from .archive import open_archive
from .elements import ELEMENTS, decode

_TREE = "minidl.json"
_HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def write(path: Path, arrays: dict[str, np.ndarray], tree: str) -> None:
    """Write named arrays and the tree."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                npy.write_array(entry, array, allow_pickle=False)
        archive.writestr(_TREE, tree)


def read(file: BinaryIO) -> tuple[dict[str, np.ndarray], str | None]:
    """The arrays by name, and the tree if minidl wrote the file."""
    arrays, tree = {}, None
    with open_archive(file, max_expansion=100) as archive:
        for entry in archive.infolist():
            if entry.filename == _TREE:
                tree = archive.read(entry).decode()
            elif entry.filename.endswith(".npy"):
                arrays[entry.filename.removesuffix(".npy")] = _read_array(archive, entry)
    return arrays, tree


def _read_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(entry) as file:
        version = npy.read_magic(file)
        if version not in _HEADER_READERS:
            raise FileFormatError(f"array {entry.filename!r} is of .npy version {version}, known are 1.0 and 2.0")
        shape, fortran_order, dtype = _HEADER_READERS[version](file)
        if dtype.name not in ELEMENTS:
            raise FileFormatError(f"array {entry.filename!r} has dtype {dtype}, which minidl does not have")
        declared = math.prod(shape) * dtype.itemsize
        if declared != entry.file_size - file.tell():
            raise FileFormatError(
                f"array {entry.filename!r} of shape {shape} needs {declared} bytes, "
                f"the entry has {entry.file_size - file.tell()}"
            )
        byteorder: Literal["little", "big"] = "big" if dtype.str.startswith(">") else "little"
        flat = decode(bytearray(file.read()), ELEMENTS[dtype.name], byteorder)
        return flat.reshape(shape, order="F" if fortran_order else "C")
