"""Files with damage of every kind, and what must hold when minidl reads them. Used by test_fuzz.py.

As a script with atheris installed, it searches by coverage: ``python -m tests.weights.fuzz FORMAT -max_total_time=60``.
"""

import contextlib
import gzip
import io
import pickle
import random
import signal
import struct
import sys
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np

from minidl.data.datasets._csv import read_table
from minidl.data.datasets._idx import read_idx
from minidl.data.datasets._tiff import read_tiff
from minidl.data.datasets.cifar10 import _PARTS, read_cifar_tar
from minidl.data.datasets.photographs import decode_image
from minidl.errors import MinidlError
from minidl.weights import load
from tests.weights.test_hostile_files import sample_files

CONSTANT = 8 << 20  # bytes that reading may take beyond twice the file's size
SECONDS = 20  # a reader that takes so long hangs
FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.remove", "os.rename", "os.mkdir", "shutil.", "socket.",
    "subprocess.Popen", "exec",
)  # fmt: skip
LIBRARIES = tuple(str(Path(module.__file__).parents[up]) for module, up in ((random, 0), (np, 1)))
TOKENS = [
    *(count.to_bytes(2, "little") for count in (0, 0xFFFF)),
    *(count.to_bytes(4, "little") for count in (0, 1 << 28, 0x7FFFFFFF, 0xFFFFFFFF)),
    *(count.to_bytes(8, "little") for count in (0, 1 << 40, 2**63 - 1, 2**64 - 1)),
    *(count.to_bytes(4, "big") for count in (1 << 28, 0x7FFFFFFF, 1)),
    b"cos\nsystem\n", b"\x8c\x02os\x8c\x06system\x93", b"R", b"\x81", b"b", b"../../x", b"/etc/passwd",
    b"PK\x01\x02", b"PK\x03\x04", b"NaN", b"1e999", b"-1", b"\\u0000", b"[" * 40, b'{"a":', b"(" * 40,
    b"9" * 30, b"2" * 200, b"\x8b\xff\xff\xff\x7f", b"\x8d" + bytes([255] * 7) + b"\x7f", b"X\xff\xff\xff\x7f",
    b"j\xff\xff\xff\xff",
]  # fmt: skip


def mutate(data, rng):
    """One to five pieces of damage."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at, token = rng.randrange(len(data) + 1), rng.choice(TOKENS)
        match rng.randrange(9):
            case 0 | 1 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 2 if at < len(data):
                data[at] = rng.choice([0, 255, rng.randrange(256), data[at] + 1 & 255])
            case 3:
                del data[at : at + rng.choice([1, 2, 4, 8, 50])]
            case 4:
                data[at:at] = rng.randbytes(rng.choice([1, 4]))
            case 5:
                piece, to = data[at : at + rng.choice([1, 8, 40])], rng.randrange(len(data) + 1)
                data[to : to + len(piece)] = piece
            case 6:
                data[at : at + len(token)] = token
            case 7:
                data[at:at] = token
            case 8:
                del data[at:]
    return bytes(data)


# The formats ---------------------------------------------------------------------------------------------------------


def zipped(parts, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(parts):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def png(parts):
    """A PNG file of chunks, with the right checksums."""
    chunks = ((name[:4].encode(), content) for name, content in parts.items())
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def deflated(data):
    return gzip.compress(data, 1, mtime=0)


def tiff():
    raw = zlib.compress(bytes(range(12)))
    entries = [
        (256, 3, 1, 4),
        (257, 3, 1, 3),
        (258, 3, 1, 8),
        (259, 3, 1, 8),
        (273, 4, 1, 8 + 2 + 7 * 12 + 4),
        (277, 3, 1, 1),
    ]
    entries.append((279, 4, 1, len(raw)))
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4) + raw


def cifar_parts():
    def batch(protocol):
        return pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 2]}, protocol)

    return {name: batch(3) for name in _PARTS}


def seeds(folder):
    """Format → (suffix, reader, sound file, parts or None, wrap)."""
    zip_torch, legacy, npz, *more = (path.read_bytes() for path in sample_files(folder))
    idx = b"\0\0\x08\x02" + struct.pack(">II", 3, 4) + bytes(12)
    table = b"0,7,255,3\n1,2,3,9\n"
    pixels = {
        "IHDR": struct.pack(">IIBBBBB", 4, 3, 8, 2, 0, 0, 0),
        "tEXt": b"a\0b",
        "IDAT": zlib.compress(bytes(39)),
        "IEND": b"",
    }

    def parts_of(data):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    formats = {
        "pth zip": (".pt", load, zip_torch, parts_of(zip_torch), zipped),
        "pth legacy": (".pth", load, legacy, None, None),
        "npz": (".npz", load, npz, parts_of(npz), lambda parts: zipped(parts, zipfile.ZIP_DEFLATED)),
        "idx": (".idx", read_idx, idx, None, None),
        "idx.gz": (".gz", read_idx, deflated(idx), {"x": idx}, lambda parts: deflated(parts["x"])),
        "csv.gz": (".csv.gz", lambda path: read_table(path, 4, 255), deflated(table), {"x": table},
                   lambda parts: deflated(parts["x"])),
        "tiff": (".tif", read_tiff, tiff(), None, None),
        "cifar": (".tar.gz", read_cifar_tar, deflated(tarred(cifar_parts())), cifar_parts(),
                  lambda parts: deflated(tarred(parts))),
        "cifar tar": (".tar.gz", read_cifar_tar, deflated(tarred(cifar_parts())), {"x": tarred(cifar_parts())},
                      lambda parts: deflated(parts["x"])),
    }  # fmt: skip
    if more:
        formats["safetensors"] = (".safetensors", load, more[0], None, None)
    with contextlib.suppress(ImportError):
        import PIL.Image  # noqa: F401

        formats["png"] = (".png", decode_image, png(pixels), pixels, png)
    return formats


# What must hold ------------------------------------------------------------------------------------------------------


class Fuzzer:
    """Reads damaged files and watches the errors, the memory, the time, and Python's audit events."""

    def __init__(self, folder):
        self.folder, self.formats, self.watched, self.seen = Path(folder), seeds(Path(folder)), False, []
        self.outcomes = {"read": 0, "refused": 0}
        sys.addaudithook(self._audit)
        for name in self.formats:
            self._read(name, self.formats[name][2])  # imports what is imported at the first use
            assert self.outcomes["refused"] == 0, f"the sound file of {name} was refused"
            self._read(name, self.formats[name][2][:9])  # and at the first failure
            self.outcomes["refused"] = 0
        self.seen.clear()
        self.names = {path.name for path in self.folder.iterdir()}
        self.outcomes["read"] = 0

    def _audit(self, event, arguments):
        if not self.watched or not (event == "open" or event.startswith(FORBIDDEN)):
            return
        code = getattr(arguments[0], "co_filename", arguments[0])
        if not str(code).startswith((str(self.folder), *LIBRARIES)):  # Python imports some encodings when it needs them
            self.seen.append((event, arguments))

    def damaged(self, name, seed):
        rng = random.Random(seed)
        _, _, whole, parts, wrap = self.formats[name]
        if parts and rng.random() < 0.6:
            part = rng.choice(sorted(parts))
            return wrap({**parts, part: mutate(parts[part], rng)})
        return mutate(whole, rng)

    def _read(self, name, data):
        suffix, reader, *_ = self.formats[name]
        path = self.folder / f"damaged{suffix}"
        path.write_bytes(data)
        try:
            self.watched = True
            reader(path)
            self.outcomes["read"] += 1
        except MinidlError as error:
            self.outcomes["refused"] += 1
            assert not isinstance(error.__cause__, MemoryError), f"memory was asked for by {error}"
        finally:
            self.watched = False

    def check(self, name, data):
        """Read it, and raise AssertionError or whatever came out that should not."""

        def hangs(*_):
            raise AssertionError(f"{name}: more than {SECONDS} seconds")

        before = signal.signal(signal.SIGALRM, hangs)
        signal.alarm(SECONDS)
        tracemalloc.reset_peak()
        start = tracemalloc.get_traced_memory()[0]
        try:
            self._read(name, data)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
        peak = tracemalloc.get_traced_memory()[1] - start
        assert peak <= 2 * len(data) + CONSTANT, f"{name}: {peak} bytes of memory for a file of {len(data)}"
        seen, self.seen = self.seen, []
        assert not seen, f"{name}: {seen}"
        left = {path.name for path in self.folder.iterdir()} - self.names
        assert not left, f"{name} wrote {left}"


if __name__ == "__main__":
    import tempfile

    import atheris

    with tempfile.TemporaryDirectory() as folder:
        tracemalloc.start()
        fuzzer, name = Fuzzer(folder), sys.argv.pop(1)
        atheris.Setup(sys.argv, lambda data: fuzzer.check(name, data))
        atheris.Fuzz()
