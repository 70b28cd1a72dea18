"""A stand-in for CuPy on machines without one: NumPy arrays of another type, which say that they live on a GPU.

It lets the branches for a second kind of array be tested; it computes nothing that NumPy does not.
"""

import types

import numpy as np


class FakeArray:
    """The few things of cupy.ndarray that moving and refusing arrays needs."""

    def __init__(self, array, index=0):
        self.array = np.array(array)
        self.device = types.SimpleNamespace(id=index)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.array, name)

    def copy(self, order="C"):
        return FakeArray(self.array.copy(order), self.device.id)

    def astype(self, dtype, copy=True):
        return FakeArray(self.array.astype(dtype), self.device.id)

    def __mul__(self, other):
        return FakeArray(self.array * other.array, self.device.id)


def make(device_count=2):
    """A module to put into sys.modules as "cupy"."""
    cupy = types.ModuleType("cupy")
    cupy.__version__ = "13.9"
    cupy.ndarray = FakeArray
    current = [0]

    class Device:
        def __init__(self, index):
            self.index = index

        def __enter__(self):
            self.before, current[0] = current[0], self.index

        def __exit__(self, *exception):
            current[0] = self.before

    def get_device_count():
        if isinstance(device_count, Exception):
            raise device_count
        return device_count

    runtime = types.SimpleNamespace(getDeviceCount=get_device_count)
    cupy.cuda = types.SimpleNamespace(Device=Device, runtime=runtime)
    cupy.asarray = lambda array, dtype=None: FakeArray(
        np.asarray(array.array if isinstance(array, FakeArray) else array, dtype), current[0]
    )
    cupy.asnumpy = lambda array: array.array.copy()
    cupy.ones_like = lambda array: FakeArray(np.ones_like(array.array), array.device.id)
    cupy.zeros = lambda shape, dtype: FakeArray(np.zeros(shape, dtype), current[0])
    cupy.may_share_memory = lambda a, b: np.may_share_memory(a.array, b.array)
    return cupy
