"""Where downloaded data lives on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_dir() -> Path:
    """The folder for downloaded data; it need not exist yet.

    ``$MINIDL_CACHE`` if set; else the platform's custom: ``%LOCALAPPDATA%\\minidl\\Cache`` on Windows,
    ``~/Library/Caches/minidl`` on macOS, ``$XDG_CACHE_HOME/minidl`` or ``~/.cache/minidl`` elsewhere, where a relative
    ``$XDG_CACHE_HOME`` counts as none.

    Source:    the rules of platformdirs; XDG Base Directory Specification 0.8
    """
    if chosen := os.environ.get("MINIDL_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "minidl" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "minidl"
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "minidl"
