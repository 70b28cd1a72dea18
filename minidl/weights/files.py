"""Saving and loading by path: the format follows from the suffix, a write replaces the old file whole or not at all."""

from __future__ import annotations

import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ..errors import ArgumentError, FileFormatError, MinidlError, SaveError
from . import npz_file, safetensors_file, torch_legacy, torch_zip
from .bounded import Bounded
from .state import flatten, unflatten

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be deleted anyway
    fcntl = None  # type: ignore[assignment]

_WRITTEN = {".safetensors": safetensors_file, ".npz": npz_file}
_PYTORCH = (".pt", ".pth", ".bin")


def save(state: dict, path: str | os.PathLike) -> None:
    """Write a state to `path`, as ``.safetensors`` or ``.npz``; never as a pickle.

    The file appears whole or not at all: it is written beside `path` under a temporary name, flushed to the disk and
    then renamed, and the folder is flushed too. After any failure the old file is as it was and the temporary file is
    gone; what a process that was killed could not remove, the next save to `path` does. A checksum goes into the file.

    Args:      state: a dict of Tensors and arrays, as ``model.state_dict()``; nested dicts (keys str or int), lists and
                   tuples, and numbers, strings, bools and None inside them come back exactly, so a whole checkpoint
                   fits. Arrays come back as Tensors, NumPy scalars as Python numbers.
               path: ends in ``.safetensors`` (needs ``pip install safetensors``) or ``.npz``
    Raises:    ArgumentError: another suffix. ArgumentTypeError: a value or key that the file cannot hold.
               DtypeError: an array of a dtype that minidl does not have. SaveError: the disk is full, or the folder
               or the old file is read-only. FileNotFoundError: there is no such folder
    """
    path = Path(os.path.realpath(path))  # a link is followed, not replaced
    format = _WRITTEN.get(path.suffix.lower())
    if format is None:
        raise ArgumentError(f"save: {path.name!r} ends in {path.suffix!r}; minidl writes {' and '.join(_WRITTEN)}")
    arrays, tree = flatten(state)
    with _replacing(path) as temporary:
        format.write(temporary, arrays, tree)


def load(path: str | os.PathLike) -> Any:
    """Read what :func:`save` wrote, any other ``.safetensors`` or ``.npz``, or the state dict in a PyTorch checkpoint.

    PyTorch files are recognised by content, both layouts. A restricted reader interprets their pickle: it builds
    tensors, dicts, lists, tuples, sets, numbers, strings and None, and refuses every other name before anything of it
    is imported or called, so a file from a stranger is safe to load. bfloat16 becomes float32, exactly.

    Args:      path: ends in ``.safetensors``, ``.npz``, ``.pt``, ``.pth`` or ``.bin``
    Returns:   the saved state: (nested) dict of Tensors on the CPU that require no gradient. Tensors that shared
               memory in a PyTorch file still share it
    Raises:    FileFormatError: the file is truncated, damaged (a checksum tells, if minidl wrote it), hostile, or not
               of the format that its name says. ArgumentError: an unknown suffix. OSError: there is no such file, or it
               cannot be read
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _WRITTEN and suffix not in _PYTORCH:
        known = ", ".join([*_WRITTEN, *_PYTORCH])
        raise ArgumentError(f"load: {path.name!r} ends in {path.suffix!r}; minidl reads {known}")
    with open(path, "rb") as opened, _format_errors(path):
        file: Any = Bounded(opened)
        if suffix in _WRITTEN:
            return unflatten(*_WRITTEN[suffix].read(file))
        return _read_pytorch(file)


def _read_pytorch(file: Any) -> Any:
    start = file.read(265)
    file.seek(0)
    if start.startswith(b"PK"):
        return torch_zip.read(file)
    if start.startswith(b"\x80"):
        return torch_legacy.read(file)
    if start[257:262] == b"ustar":
        raise FileFormatError("is a tar archive of PyTorch 0.1; load and save it again with a newer PyTorch")
    raise FileFormatError(f"is not a PyTorch checkpoint: neither zip nor pickle starts with {start[:8]!r}")


@contextmanager
def _format_errors(path: Path) -> Iterator[None]:
    """Name the file in errors. Whatever a parser of untrusted bytes trips over is a fault of the file."""
    try:
        yield
    except FileFormatError as error:
        raise FileFormatError(f"load: {path}: {error}") from error.__cause__
    except MinidlError:
        raise
    except Exception as error:
        raise FileFormatError(f"load: {path}: is corrupt or of another format ({error!r:.300})") from error


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes the place of `path` when the block ends well."""
    if _is_write_protected(path):
        raise SaveError(f"save: {path} is write-protected and was not replaced; chmod u+w it, or choose another path")
    _remove_leftovers(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            with suppress(OSError):  # a file system without locks; leftovers stay there
                _lock(file)  # until the end: nobody takes it for a leftover
            mode = os.fstat(file.fileno()).st_mode  # what the user's umask allows
            yield temporary
            temporary.chmod(mode)
            with open(temporary, "r+b") as written:
                os.fsync(written.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            reason = error.strerror or str(error)
            kept = "the old file is as it was; " if os.path.exists(path) else ""
            raise SaveError(
                f"save: {path} could not be written: {reason}; {kept}make room, or choose a path where you may write"
            ) from error
        raise
    _sync_folder(path)


def _is_write_protected(path: Path) -> bool:
    """Whether there is such a file and nobody may write to it; what cannot be looked at shows when it is opened."""
    try:
        return not path.stat().st_mode & 0o222
    except OSError:
        return False


def _remove_leftovers(path: Path) -> None:
    """Delete the temporary files beside `path` that no process is writing: those of saves that were killed."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(OSError):
            with open(leftover, "rb") as file:
                _lock(file)
            leftover.unlink()


def _lock(file: IO[bytes]) -> None:
    """Hold the file until it is closed, or the process is gone.

    Raises:    BlockingIOError: another process holds it
    """
    if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sync_folder(path: Path) -> None:
    """Flush the renaming to `path` to the disk, where a folder can be opened: everywhere but on Windows."""
    if not fcntl:
        return
    try:
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise SaveError(f"save: {path} is written, but a power cut may undo it: {error}") from error
