"""Small layers for the tests of the machinery, from elementwise operations only."""

import numpy as np

from minidl import nn
from minidl.autograd import Tensor
from minidl.errors import ShapeError


class Affine(nn.Module):
    """x · weight + bias, element by element."""

    def __init__(self, size=3, bias=True):
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(np.arange(1, size + 1, dtype=np.float32))
        if bias:
            self.bias = nn.Parameter(np.zeros(size, np.float32))
        else:
            self.register_parameter("bias", None)

    def forward(self, x):
        if x.shape[-1] != self.size:
            raise ShapeError(f"affine: x has {x.shape[-1]} features but weight has {self.size}")
        y = x * self.weight
        return y if self.bias is None else y + self.bias

    def extra_repr(self):
        return f"{self.size}"


class Counter(nn.Module):
    """A layer with buffers: one that is saved and one that is not."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", Tensor(np.zeros((), np.int64)))
        self.register_buffer("running", Tensor(np.zeros(2, np.float32)))
        self.register_buffer("cache", Tensor(np.zeros(2, np.float32)), persistent=False)

    def forward(self, x):
        self.calls.data[...] += 1
        return x


class Net(nn.Module):
    """A tree two levels deep, one of whose parameters is shared."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(Affine(), Counter(), Affine(bias=False))
        self.head = Affine()
        self.head.weight = self.features[0].weight

    def forward(self, x):
        return self.head(self.features(x))


def array(*shape, dtype=np.float32):
    """Distinct numbers."""
    return np.arange(1, np.prod(shape, dtype=int) + 1, dtype=dtype).reshape(shape)
