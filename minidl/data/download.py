"""Downloads that either arrive whole and right, or leave nothing behind."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import os
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import ArgumentError, DownloadError, FileFormatError

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
    reader sees the whole right file or none, even with two processes at once. Each mirror is tried `attempts` times,
    except that "not found" and its kin are final.

    Args:      urls: one URL or several mirrors. max_bytes: more than that is refused. timeout: seconds to wait for the
               next bytes. max_seconds: for one attempt, however steadily it trickles. pause: seconds before the second
               attempt, doubled for each one after
    Raises:    DownloadError: what went wrong at each mirror
    """
    mirrors = [urls] if isinstance(urls, str) else list(urls)
    for url in mirrors:
        if not url.startswith(("https://", "http://")):
            raise ArgumentError(f"download: {url!r} is neither http:// nor https://")
    failures = []
    for url in mirrors:
        for attempt in range(attempts):
            if attempt:
                time.sleep(pause * 2 ** (attempt - 1))
            try:
                _download_once(url, target, checksum, max_bytes, timeout, max_seconds)
                return target
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
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    part = Path(name)
    try:
        with open(handle, "wb") as file:
            request = urllib.request.Request(url, headers={"User-Agent": "minidl"})
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                _copy(answer, file, max_bytes, max_seconds)
        checksum.check(part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the folder goes too if it is empty
            target.parent.rmdir()


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


def _in_words(error: Exception, timeout: float) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return f"no bytes for {timeout} seconds"
    return str(error) or type(error).__name__
