"""The devices that there are and the current one of this thread."""

import threading

_local = threading.local()


class CUDARuntimeError(RuntimeError):
    """As cupy.cuda.runtime.CUDARuntimeError."""

    def __init__(self, name, text):
        super().__init__(f"{name}: {text}")


class _Machine:
    """How many devices the stand-in shows; an exception is what asking for their number raises."""

    count = 2


machine = _Machine()


def device_count():
    if isinstance(machine.count, Exception):
        raise machine.count
    return machine.count


def current_device():
    """The number of this thread's current device."""
    return getattr(_local, "device", 0)


def set_device(index):
    if not 0 <= index < device_count():
        raise CUDARuntimeError("cudaErrorInvalidDevice", "invalid device ordinal")
    _local.device = index


class Device:
    """As cupy.cuda.Device: a number, and a context in which it is the current device."""

    def __init__(self, device=None):
        self.id = current_device() if device is None else int(getattr(device, "id", device))
        self._before = []

    def use(self):
        set_device(self.id)

    def __enter__(self):
        self._before.append(current_device())
        self.use()
        return self

    def __exit__(self, *exception):
        _local.device = self._before.pop()

    def synchronize(self):
        from .streams import synchronize_device

        synchronize_device(self.id)

    @property
    def mem_info(self):
        from .memory import pool

        with self:
            return pool.free_and_total()

    @property
    def compute_capability(self):
        return "80"

    @property
    def attributes(self):
        return {"MultiProcessorCount": 108, "WarpSize": 32, "MaxThreadsPerBlock": 1024}

    def __int__(self):
        return self.id

    def __eq__(self, other):
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self):
        return hash(self.id)

    def __repr__(self):
        return f"<CUDA Device {self.id}>"
