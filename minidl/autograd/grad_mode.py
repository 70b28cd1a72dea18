"""Whether operations record themselves for a backward pass. One switch for each thread, on by default."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any


class _Mode(threading.local):
    enabled = True


_mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations in this thread record themselves for a backward pass."""
    return _mode.enabled


class set_grad_enabled(ContextDecorator):  # lower case, as PyTorch spells it
    """Record operations or not, inside a ``with`` block or a decorated function; restored under exceptions too."""

    def __init__(self, enabled: bool):
        self._enabled = bool(enabled)
        self._previous: list[bool] = []

    def __enter__(self) -> None:
        self._previous.append(_mode.enabled)
        _mode.enabled = self._enabled

    def __exit__(self, *exception: object) -> None:
        _mode.enabled = self._previous.pop()

    def _recreate_cm(self) -> set_grad_enabled:  # a decorated function gets one of its own for each call and thread
        return set_grad_enabled(self._enabled)


class _FixedMode(set_grad_enabled):
    _value: bool

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        mode = super().__new__(cls)
        if function is None:
            return mode
        mode.__init__()  # type: ignore[misc]
        return mode(function)

    def __init__(self, function: Callable[..., Any] | None = None):
        super().__init__(self._value)


class no_grad(_FixedMode):
    """Do not record operations: ``with no_grad():`` or ``@no_grad()``. Results do not require gradients."""

    _value = False


class enable_grad(_FixedMode):
    """Record operations again inside a :class:`no_grad` block."""

    _value = True
