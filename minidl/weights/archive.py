"""Zip archives from strangers: what the directory declares is checked before anything is unpacked."""

from __future__ import annotations

import os
import zipfile
from typing import BinaryIO

from ..errors import FileFormatError

_ALWAYS_FINE = 64 << 20  # bytes
_END = 22  # bytes of the record at the end, before the comment
_COUNTED_ELSEWHERE = 0xFFFF  # more than 16 bits can hold: in the zip64 record


def open_archive(file: BinaryIO, *, max_expansion: int) -> zipfile.ZipFile:
    """Open a zip whose contents are at most `max_expansion` times its own size (or small anyway if that exceeds 1).

    Raises:    FileFormatError: not a zip, cut short, encrypted, compressed although `max_expansion` is 1, or a bomb
    """
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise FileFormatError(f"is not a whole zip archive, it was probably cut short ({error})") from error
    entries = archive.infolist()
    allowed = {zipfile.ZIP_STORED} if max_expansion == 1 else {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
    for entry in entries:
        if entry.flag_bits & 1:
            raise FileFormatError(f"its entry {entry.filename!r} is encrypted")
        if entry.compress_type not in allowed:
            raise FileFormatError(
                f"its entry {entry.filename!r} is compressed (method {entry.compress_type}), which the format excludes"
            )
    declared = sum(entry.file_size for entry in entries)
    size = os.fstat(file.fileno()).st_size
    limit = size if max_expansion == 1 else max(size * max_expansion, _ALWAYS_FINE)
    if declared > limit:
        raise FileFormatError(f"declares {declared} bytes of content in a file of {size}: a zip bomb, not unpacked")
    _check_directory(archive, size)
    return archive


def _check_directory(archive: zipfile.ZipFile, size: int) -> None:
    """Whether the directory has as many entries as its end says, each where and called as it says.

    Damage can make one entry swallow the next, or rename one, which would then be missing without a word.
    """
    file = archive.fp
    file.seek(size - _END - len(archive.comment))  # type: ignore[union-attr]
    end = file.read(_END)  # type: ignore[union-attr]
    promised = int.from_bytes(end[10:12], "little")
    if end[:4] != b"PK\5\6" or promised not in (len(archive.infolist()), _COUNTED_ELSEWHERE):
        raise FileFormatError(f"is a damaged zip archive: of {promised} entries {len(archive.infolist())} are listed")
    for entry in archive.infolist():
        try:
            archive.open(entry).close()
        except zipfile.BadZipFile as error:
            raise FileFormatError(f"is damaged at entry {entry.filename!r} ({error})") from error
