"""Wrappers around the few places where operations run, put there by observers and taken away when they leave.

The engine knows nothing of them, so that nothing is paid while nobody observes. Several observers (a profile, a search
for the first NaN) may come and go in any order, in several threads: each place holds its original inside the wrappers
of those present, the last one outermost.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

Wrapper = tuple[Any, str, Callable[[Any], Any]]
"""(owner, name, wrap): ``owner.name`` becomes ``wrap(what is there)``."""

_lock = threading.Lock()
_originals: dict[tuple[Any, str], Any] = {}
_present: dict[str, list[Wrapper]] = {}
_users: Counter[str] = Counter()


def put(observer: str, wrappers: Sequence[Wrapper]) -> None:
    """Put an observer's wrappers in place, unless they are; each call is undone by one of :func:`take_away`."""
    with _lock:
        _users[observer] += 1
        if _users[observer] == 1:
            for owner, name, _ in wrappers:
                _originals.setdefault((owner, name), vars(owner)[name])
            _present[observer] = list(wrappers)
            _renew(wrappers)


def take_away(observer: str) -> None:
    """Take its wrappers away, if no one else needs them; those of other observers stay."""
    with _lock:
        _users[observer] -= 1
        if _users[observer] == 0:
            _renew(_present.pop(observer))


def _renew(changed: Sequence[Wrapper]) -> None:
    for place in dict.fromkeys((owner, name) for owner, name, _ in changed):
        wraps = [wrap for wrappers in _present.values() for *where, wrap in wrappers if tuple(where) == place]
        value = _originals[place] if wraps else _originals.pop(place)
        for wrap in wraps:
            value = wrap(value)
        setattr(*place, value)
