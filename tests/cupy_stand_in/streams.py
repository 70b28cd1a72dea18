"""Streams and events. Work runs at once, except copies from pinned memory, which run when something waits for them.

So a program that reads an array before the copy into it has been waited for, or that writes into a pinned buffer whose
copy has not ended, gets wrong numbers here every time, and not only now and then.
"""

import threading
import weakref

from .counters import synchronised
from .devices import current_device

_local = threading.local()
_streams: "weakref.WeakSet[Stream]" = weakref.WeakSet()


class Stream:
    """As cupy.cuda.Stream.

    Args:      null: the default stream, which waits for all streams but the non-blocking ones
    """

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.non_blocking, self.device_id = non_blocking, current_device()
        self.ptr = 0 if null else id(self)
        self._queue = []
        self._before = []
        self._ended = 0  # how many of all copies have run
        _streams.add(self)

    def __enter__(self):
        self._before.append(get_current_stream())
        _local.stream = self
        return self

    def __exit__(self, *exception):
        _local.stream = self._before.pop()

    def use(self):
        _local.stream = self
        return self

    def later(self, copy):
        """Queue a copy."""
        self._queue.append(copy)

    def catch_up(self, until=None):
        """Run the queued copies, or the first of them up to the number `until`."""
        if self.ptr == 0:
            for stream in list(_streams):
                if not stream.non_blocking and stream is not self:
                    stream.catch_up()
        while self._queue and (until is None or self._ended < until):
            self._ended += 1
            self._queue.pop(0)()

    def synchronize(self):
        synchronised("Stream.synchronize")
        self.catch_up()

    @property
    def done(self):
        pending = bool(self._queue)
        self.catch_up()  # it will have ended when it is asked again
        return not pending

    def record(self, event=None):
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event):
        event.catch_up()

    def __eq__(self, other):
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self):
        return hash(self.ptr)


Stream.null = Stream(null=True)


class Event:
    """As cupy.cuda.Event: a point in a stream."""

    def __init__(self, block=True, disable_timing=False, interprocess=False):
        self._stream, self._position = None, 0

    def record(self, stream=None):
        self._stream = get_current_stream() if stream is None else stream
        self._position = self._stream._ended + len(self._stream._queue)

    def catch_up(self):
        if self._stream is not None:
            self._stream.catch_up(self._position)

    def synchronize(self):
        synchronised("Event.synchronize")
        self.catch_up()

    @property
    def done(self):
        ended = self._stream is None or self._stream._ended >= self._position
        self.catch_up()  # it will have ended when it is asked again
        return ended


def get_current_stream(device_id=-1):
    return getattr(_local, "stream", Stream.null)


def get_elapsed_time(start_event, end_event):
    """Milliseconds between two events; nothing is measured here."""
    return 0.0


def synchronize_device(device):
    synchronised("Device.synchronize")
    for stream in list(_streams):
        if stream.device_id == device:
            stream.catch_up()
