"""``torch.save`` since PyTorch 1.6: a zip of a pickle, ``x/data.pkl``, and each storage's bytes, ``x/data/<key>``.

Newer files say in ``x/byteorder`` which byte comes first. Nothing is compressed, so all content together is smaller
than the file.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any, BinaryIO

from ..errors import FileFormatError
from .archive import open_archive
from .elements import Element
from .torch_objects import Storage, read_object


def read(file: BinaryIO) -> Any:
    """The object that was saved."""
    storages: dict[str, Storage] = {}

    with open_archive(file, max_expansion=1) as archive:
        names = set(archive.namelist())
        roots = [name.removesuffix("data.pkl") for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise FileFormatError(f"is a zip with {len(roots)} entries data.pkl, but a PyTorch checkpoint has one")
        root = roots[0]
        byteorder = archive.read(f"{root}byteorder") if f"{root}byteorder" in names else b"little"
        if byteorder not in (b"little", b"big"):
            raise FileFormatError(f"has the unknown byte order {byteorder!r:.20}")

        def load_storage(element: Element, key: str, length: int) -> Storage:
            if key not in storages:
                name = f"{root}data/{key}"
                if name not in names:
                    raise FileFormatError(f"lacks the entry {name!r} that its pickle refers to")
                size = archive.getinfo(name).file_size
                if size != length * element.disk.itemsize:
                    raise FileFormatError(
                        f"has {size} bytes in {name!r}, its pickle declares {length} × {element.name}"
                    )
                storages[key] = Storage.empty(element, length)
                try:
                    with archive.open(name) as entry:
                        storages[key].fill(entry, "big" if byteorder == b"big" else "little", f"entry {name!r}")
                except zipfile.BadZipFile as error:
                    raise FileFormatError(f"is damaged at entry {name!r} ({error})") from error
            storage = storages[key]
            if (storage.element, len(storage.array)) != (element, length):
                raise FileFormatError(f"declares the storage {key!r} twice, with different types or lengths")
            return storage

        return read_object(io.BytesIO(archive.read(f"{root}data.pkl")), load_storage)
