"""Batches on a GPU: each is copied while the one before is worked on.

A batch is put into page-locked memory where it is fetched: by a worker, if there are workers. The thread that iterates
sends it off before it hands out the one before, and lets the stream of the operations wait for the copy when it is
handed out itself; the host waits for nothing. What has to be kept in order, and how: :mod:`minidl.backend.transfer`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..autograd import Tensor
from ..backend import Courier


def pinned(load: Callable[[int], Any], courier: Courier) -> Callable[[int], Any]:
    """`load`, the tensors of whose batches are in page-locked memory."""

    def pin(x: Tensor) -> Tensor:
        return Tensor(courier.pin(x.data)) if isinstance(x.data, np.ndarray) else x

    return lambda number: map_tensors(pin, load(number))


class _Sent(NamedTuple):
    """A batch on its way, and the event at the end of its copies; or the error that came in its place."""

    batch: Any
    ended: Any
    error: Exception | None = None


def sent_ahead(batches: Iterable[Any], courier: Courier) -> Iterator[Any]:
    """The batches of a :func:`pinned` load on the device, each sent before the one before it is handed out.

    An error that comes with a batch is raised in its place, after the batches before it.
    """
    waiting: deque[_Sent] = deque()
    try:
        for sent in _send_each(batches, courier):
            waiting.append(sent)
            if len(waiting) > 1:
                yield _hand_out(waiting.popleft(), courier)
        while waiting:
            yield _hand_out(waiting.popleft(), courier)
    finally:  # the consumer left early: what is being copied into must be waited for all the same
        for sent in waiting:
            courier.receive(sent.ended)


def _send_each(batches: Iterable[Any], courier: Courier) -> Iterator[_Sent]:
    try:
        for batch in batches:
            sent = map_tensors(lambda x: Tensor(courier.send(x.data)), batch)
            yield _Sent(sent, courier.end())
    except Exception as error:
        yield _Sent(None, courier.end(), error)


def _hand_out(sent: _Sent, courier: Courier) -> Any:
    courier.receive(sent.ended)
    if sent.error is not None:
        raise sent.error
    return sent.batch


def map_tensors(function: Callable[[Tensor], Any], batch: Any) -> Any:
    """The batch with ``function(x)`` for each Tensor in its tuples, named tuples, lists and dicts."""
    if isinstance(batch, Tensor):
        return function(batch)
    if isinstance(batch, Mapping):
        return {key: map_tensors(function, entry) for key, entry in batch.items()}
    if isinstance(batch, tuple | list):
        entries = [map_tensors(function, entry) for entry in batch]
        if hasattr(batch, "_fields"):
            return type(batch)(*entries)
        return tuple(entries) if isinstance(batch, tuple) else entries
    return batch
