"""``torch.save`` before PyTorch 1.6: five pickles in a row, then the storages.

The pickles are a magic number, the protocol, the writer's machine, the object, and the keys of its storages; then
follow, for each key, an 8-byte length and the raw values, always little-endian.
"""

from __future__ import annotations

import os
import reprlib
from typing import Any, BinaryIO

from ..errors import FileFormatError
from .elements import Element
from .torch_objects import Storage, read_object

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


def read(file: BinaryIO) -> Any:
    """The object that was saved."""
    storages: dict[str, Storage] = {}
    bytes_left = os.fstat(file.fileno()).st_size

    def load_storage(element: Element, key: str, length: int) -> Storage:
        nonlocal bytes_left
        if key not in storages:
            bytes_left -= length * element.disk.itemsize
            if bytes_left < 0:
                raise FileFormatError(f"is truncated: with storage {key!r} its tensors need more bytes than it has")
            storages[key] = Storage.empty(element, length)  # filled below: the values come last in the file
        storage = storages[key]
        if (storage.element, len(storage.array)) != (element, length):
            raise FileFormatError(f"declares the storage {key!r} twice, with different types or lengths")
        return storage

    if read_object(file, load_storage) != _MAGIC:
        raise FileFormatError("is a pickle, but not of PyTorch: it does not begin with the magic number")
    protocol = read_object(file, load_storage)
    if protocol != _PROTOCOL:
        raise FileFormatError(f"has protocol version {reprlib.repr(protocol)}, known is {_PROTOCOL}")
    read_object(file, load_storage)  # sizes of C types on the writer's machine: of no use
    result = read_object(file, load_storage)
    keys = read_object(file, load_storage)
    if type(keys) is not list or set(keys) != set(storages) or len(keys) != len(storages):
        raise FileFormatError(
            f"lists the storages {reprlib.repr(keys)}, its tensors need {reprlib.repr(list(storages))}"
        )
    for key in keys:
        storage = storages[key]
        if (length := file.read(8)) != len(storage.array).to_bytes(8, "little"):
            raise FileFormatError(
                f"is truncated or corrupt at storage {key!r}: {len(storage.array)} elements should follow, "
                f"the file says {int.from_bytes(length, 'little')}"
            )
        storage.fill(file, "little", f"storage {key!r}")
    return result
