"""Whether operations record themselves for a backward pass. One switch for each thread, on by default."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Generator
from typing import Any, ClassVar

import numpy as np

from ..errors import ArgumentTypeError

try:  # what np.errstate(all="ignore") does, without its microsecond
    from numpy._core._ufunc_config import _extobj_contextvar, _make_extobj  # type: ignore[attr-defined]

    SILENT: Any = _make_extobj(all="ignore")
    set_errors: Callable[[Any], Any] = _extobj_contextvar.set
    reset_errors: Callable[[Any], None] = _extobj_contextvar.reset
except ImportError:  # a NumPy that keeps it elsewhere
    SILENT = None

    def set_errors(_: Any) -> Any:
        """Switch NumPy's warnings off; what it returns switches them on again."""
        state = np.errstate(all="ignore")
        state.__enter__()
        return state

    def reset_errors(state: Any) -> None:
        """Set them as they were."""
        state.__exit__()


class _Mode(threading.local):
    enabled = True
    silent = False


_mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations in this thread record themselves for a backward pass."""
    return _mode.enabled


class Silence:
    """NumPy's warnings off for a whole backward pass, so that each operation in it need not switch them off again."""

    def __enter__(self) -> None:
        self._before, self._token = _mode.silent, set_errors(SILENT)
        _mode.silent = True

    def __exit__(self, *exception: Any) -> None:
        _mode.silent = self._before
        reset_errors(self._token)


class GradMode:
    """Record operations or not, inside a ``with`` block or a decorated function; restored under exceptions too."""

    def __init__(self, enabled: bool):
        self._enabled = bool(enabled)
        self._previous: list[bool] = []

    def __enter__(self) -> None:
        self._previous.append(_mode.enabled)
        _mode.enabled = self._enabled

    def __exit__(self, *exception: object) -> None:
        _mode.enabled = self._previous.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if not callable(function):
            raise ArgumentTypeError(f"{type(self).__name__}: expected a function to decorate, got {function!r}")
        enabled = self._enabled

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with GradMode(enabled):
                return function(*args, **kwargs)

        @functools.wraps(function)
        def generate(*args: Any, **kwargs: Any) -> Any:
            return (yield from _steps(function(*args, **kwargs), enabled))

        return generate if inspect.isgeneratorfunction(function) else call


def _steps(generator: Generator[Any, Any, Any], enabled: bool) -> Generator[Any, Any, Any]:
    """A generator whose own steps run in the mode, while its consumer's mode stays as it is in between."""
    resume: Callable[[], Any] = functools.partial(next, generator)
    while True:
        try:
            with GradMode(enabled):
                value = resume()
        except StopIteration as stop:
            return stop.value
        try:
            sent = yield value
            resume = functools.partial(generator.send, sent)
        except GeneratorExit:
            generator.close()
            raise
        except BaseException as error:
            resume = functools.partial(generator.throw, error)


class set_grad_enabled(GradMode):  # lower case, as PyTorch spells it
    """Record operations or not: from this call on, or as a ``with`` block or decorator only there."""

    def __init__(self, enabled: bool):
        super().__init__(enabled)
        super().__enter__()
        self._entered = False  # the call has done it; the with block that may follow must not do it again

    def __enter__(self) -> None:
        if self._entered:
            super().__enter__()
        self._entered = True

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        self.__exit__()
        return super().__call__(function)


class _FixedMode(GradMode):
    """A mode that also decorates without parentheses."""

    _value: ClassVar[bool]

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)

    def __init__(self, function: None = None):
        super().__init__(self._value)


class no_grad(_FixedMode):
    """Do not record operations: ``with no_grad():``, ``@no_grad`` or ``@no_grad()``. Results require no gradients."""

    _value = False


class enable_grad(_FixedMode):
    """Record operations again inside a :class:`no_grad` block."""

    _value = True
