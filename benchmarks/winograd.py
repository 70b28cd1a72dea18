"""The switch for Winograd's algorithm, and which way convolutions on the CPU went."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from .libraries import load


@contextmanager
def allowed(enabled: bool) -> Iterator[None]:
    """With Winograd's algorithm, or without; afterwards with it, which is the default."""
    switch = getattr(load("minidl"), "set_winograd", None) or _kernels().set_winograd
    switch(enabled)
    try:
        yield
    finally:
        switch(True)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Counts the paths taken inside, as "winograd conv" or "columns conv_weight_grad"; filled when it ends."""
    taken: Counter[str] = Counter()
    before = Counter(_kernels().paths)
    yield taken
    taken.update(_kernels().paths - before)


def _kernels():  # type: ignore[no-untyped-def]
    return importlib.import_module("minidl.kernels.cpu.conv")
