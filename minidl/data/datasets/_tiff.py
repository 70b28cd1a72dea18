"""TIFF, as far as images for measurement use it: gray pixels in strips, uncompressed or deflated."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from ...errors import FileFormatError

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _OFFSETS, _SAMPLES = 256, 257, 258, 259, 273, 277
_BYTE_COUNTS, _PREDICTOR, _TILE_WIDTH, _SAMPLE_FORMAT = 279, 317, 322, 339
_DEFAULTS = {_BITS: [1], _COMPRESSION: [1], _SAMPLES: [1], _PREDICTOR: [1], _SAMPLE_FORMAT: [1]}
_INTEGERS = {1: "B", 3: "H", 4: "I"}  # field types of TIFF: BYTE, SHORT, LONG
_RAW, _DEFLATED = (1,), (8, 32946)


def read_tiff(path: str | Path, max_bytes: int = 1 << 28) -> np.ndarray:
    """Read the first image of a TIFF file: one channel of 8, 16 or 32 bits, in strips, uncompressed or deflated.

    Nothing is believed: every offset is checked against the file, no strip is inflated beyond the size of the image,
    and that may not exceed `max_bytes`.

    Returns:   (H, W) in the machine's byte order: unsigned or signed integers, or float32
    Raises:    FileFormatError: no TIFF file, truncated, too large, or of another kind; the message says which
    Source:    Adobe 1992, TIFF revision 6.0, sections 2 to 4; Technical Note 2 of 2002 for deflate
    """
    data = Path(path).read_bytes()
    try:
        return _decode(data, max_bytes)
    except struct.error:
        wrong = f"it ends after {len(data)} bytes, within its header or directory"
    except KeyError as error:
        wrong = f"it has no field {error}"
    except (zlib.error, ValueError) as error:
        wrong = str(error)
    raise FileFormatError(f"read_tiff: {path} cannot be read: {wrong}")


def _decode(data: bytes, max_bytes: int) -> np.ndarray:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        raise ValueError(f"it starts with {data[:4].hex(' ') or 'nothing'}, not as a TIFF file does")
    fields = _DEFAULTS | _fields(data, order)
    height, width, bits, kind = (fields[tag][0] for tag in (_LENGTH, _WIDTH, _BITS, _SAMPLE_FORMAT))
    compression, predictor = fields[_COMPRESSION][0], fields[_PREDICTOR][0]
    code = {1: "u", 2: "i", 3: "f"}.get(kind, "") + str(bits // 8)
    if fields[_SAMPLES] != [1] or code not in ("u1", "u2", "u4", "i1", "i2", "i4", "f4") or _TILE_WIDTH in fields:
        raise ValueError(
            f"one channel of 8, 16 or 32 bits in strips is expected, not {fields[_SAMPLES][0]} of {bits} bits, sample "
            f"format {kind}{', in tiles' if _TILE_WIDTH in fields else ''}"
        )
    if compression not in _RAW + _DEFLATED or predictor != 1:
        raise ValueError(f"compression {compression} with predictor {predictor} is neither none (1) nor deflate (8)")
    declared = height * width * (bits // 8)
    if not 0 < declared <= max_bytes:
        raise ValueError(f"it declares {height}×{width} pixels, {declared} bytes; 1 to {max_bytes} are allowed")
    offsets, counts = fields[_OFFSETS], fields[_BYTE_COUNTS]
    if len(offsets) != len(counts):
        raise ValueError(f"it tells where {len(offsets)} strips are but how long {len(counts)} are")
    body = bytearray()
    for offset, count in zip(offsets, counts, strict=True):
        strip = data[offset : offset + count]
        if len(strip) < count:
            raise ValueError(f"a strip of {count} bytes at {offset} goes beyond its end at {len(data)}")
        room = declared - len(body)
        body += strip if compression in _RAW else zlib.decompressobj().decompress(strip, room + 1)
        if len(body) > declared:
            break
    if len(body) != declared:
        found = "more" if len(body) > declared else f"only {len(body)}"
        raise ValueError(f"it declares {height}×{width} pixels, {declared} bytes, but holds {found}")
    return np.frombuffer(body, order + code).reshape(height, width).astype(code)


def _fields(data: bytes, order: str) -> dict[int, list[int]]:
    """The integer fields of the first directory, by tag."""
    (start,) = struct.unpack_from(order + "I", data, 4)
    (entries,) = struct.unpack_from(order + "H", data, start)
    fields = {}
    for place in range(start + 2, start + 2 + 12 * entries, 12):
        tag, field_type, count = struct.unpack_from(order + "HHI", data, place)
        if field_type in _INTEGERS and 0 < count * struct.calcsize(_INTEGERS[field_type]) <= len(data):
            layout = f"{order}{count}{_INTEGERS[field_type]}"
            inside = struct.calcsize(layout) <= 4  # short values stand in the entry itself
            where = place + 8 if inside else struct.unpack_from(order + "I", data, place + 8)[0]
            fields[tag] = list(struct.unpack_from(layout, data, where))
    return fields
