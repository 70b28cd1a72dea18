"""Where downloaded data lives on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_dir() -> Path:
    """The folder for downloaded data; it need not exist yet.

    ``$MINIDL_CACHE`` if set; else the platform's custom: ``%LOCALAPPDATA%\\minidl`` on Windows,
    ``~/Library/Caches/minidl`` on macOS, ``$XDG_CACHE_HOME/minidl`` or ``~/.cache/minidl`` elsewhere.
    """
    if chosen := os.environ.get("MINIDL_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "minidl"
