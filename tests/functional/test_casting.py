"""Dtypes and conversions."""

import numpy as np
import pytest

import minidl as ml
from minidl import functional as F
from minidl.errors import ArgumentTypeError, DeviceError, DtypeError

DTYPES = ["float32", "float64", "float16", "int64", "int32", "uint8", "bool"]


@pytest.mark.parametrize("name", DTYPES)
def test_dtypes_have_names(name):
    dtype = getattr(ml, name)
    assert dtype == np.dtype(name)
    for spelling in (dtype, name, np.dtype(name), getattr(np, "bool_" if name == "bool" else name)):
        assert ml.zeros(2, dtype=spelling).dtype == dtype
        assert ml.tensor([1]).to(spelling).dtype == dtype
        assert ml.tensor([1]).to(dtype=spelling).dtype == dtype


def test_shorthands():
    x = ml.tensor([0.0, 1.5])
    for y, dtype in (
        (x.double(), "float64"),
        (x.half(), "float16"),
        (x.long(), "int64"),
        (x.int(), "int32"),
        (x.bool(), "bool"),
        (x.double().float(), "float32"),
        (x.type_as(ml.tensor([1])), "int64"),
    ):
        assert y.dtype == dtype
    assert x.bool().tolist() == [False, True] and x.long().tolist() == [0, 1]
    assert x.float() is x and x.to(ml.float32) is x and x.cpu() is x


def test_gradients_are_converted_back():
    x = ml.tensor([1.0, 2.0], requires_grad=True)
    y = x.double() * ml.tensor([3.0, 4.0], dtype="float64")
    assert y.dtype == np.float64
    y.sum().backward()
    assert x.grad.dtype == np.float32 and x.grad.tolist() == [3, 4]
    assert not x.long().requires_grad and not x.bool().requires_grad
    (first,) = ml.grad((x.double() ** 3).sum(), x, create_graph=True)
    (second,) = ml.grad(first.sum(), x)
    assert second.dtype == np.float32 and second.tolist() == [6, 12]


def test_what_does_not_fit_is_no_warning():
    assert ml.tensor([1e300], dtype="float64").float().item() == np.inf
    assert ml.tensor([1e300], dtype="float64").half().item() == np.inf
    assert ml.tensor([np.nan]).long().dtype == np.int64


@pytest.mark.parametrize("dtype", ["complex64", "float128x", np.uint16, "S3", 5, object, np.dtype("datetime64[s]")])
def test_unknown_dtypes(dtype):
    with pytest.raises(DtypeError, match="minidl has float32, float64"):
        ml.tensor([1.0], dtype=dtype)
    with pytest.raises(DtypeError, match="minidl has"):
        ml.zeros(2, dtype=dtype)


def test_bad_targets():
    with pytest.raises(ArgumentTypeError, match="to: x must be a Tensor, got list"):
        F.to([1.0], ml.float64)
    with pytest.raises(ArgumentTypeError, match="type_as: other must be a Tensor"):
        ml.ones(1).type_as("float64")
    with pytest.raises(DeviceError, match="unknown device 'cuda:x'"):
        ml.ones(1).to("cuda:x")
    with pytest.raises(DtypeError, match="'tpu' is not a dtype"):
        ml.ones(1).to("tpu")
