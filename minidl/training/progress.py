"""What a person sees while a model trains: a bar where tqdm is installed, and one line for each epoch."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterable, Iterator
from typing import Any


class Progress:
    """Args:      shown: whether to show anything at all. epochs: how many there will be"""

    def __init__(self, shown: bool, epochs: int):
        self.shown, self.epochs = shown, epochs
        self.bar: Any = None

    def watch(self, loader: Iterable[Any], epoch: int, batches_done: int) -> Iterator[Any]:
        """The batches of `loader`, under a bar that says how far epoch number `epoch` is."""
        self.started = time.perf_counter()
        tqdm = _tqdm() if self.shown else None
        if tqdm is None:
            yield from loader
            return
        title = f"epoch {epoch}/{self.epochs}"
        with tqdm(loader, desc=title, initial=batches_done, leave=False, disable=None) as self.bar:
            yield from self.bar
        self.bar = None

    def show_loss(self, loss: float) -> None:
        """Put the loss of a step beside the bar."""
        if self.bar is not None:
            self.bar.set_postfix(loss=f"{loss:.4g}", refresh=False)

    def show_epoch(self, record: dict[str, float]) -> None:
        """Print the numbers of an epoch, on one line."""
        if self.shown:
            numbers = "  ".join(f"{name} {value:.4g}" for name, value in record.items() if name != "epoch")
            seconds = time.perf_counter() - self.started
            print(f"epoch {record['epoch']}/{self.epochs}  {numbers}  ({seconds:.1f} s)", flush=True)


def _tqdm() -> Any:
    try:
        return importlib.import_module("tqdm").tqdm
    except ImportError:
        return None
