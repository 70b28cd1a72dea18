"""The kernels of all kinds are one interface: same names, same signatures; and the dispatcher finds them."""

import inspect
import sys
import types

import numpy as np
import pytest

from minidl import kernels
from minidl.backend import to_device
from minidl.kernels import cpu, reference


def public(module):
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and not name.startswith("_") and value.__module__.startswith(module.__name__)
    }


def signature(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


def test_both_kinds_have_the_same_kernels():
    assert sorted(public(cpu)) == sorted(public(reference)) == sorted(cpu.__all__) == sorted(reference.__all__)
    assert len(public(cpu)) > 20


@pytest.mark.parametrize("name", sorted(set(public(cpu)) & set(public(reference))))
def test_signatures_are_equal(name):
    assert signature(public(cpu)[name]) == signature(public(reference)[name])
    assert public(cpu)[name].__doc__ and public(reference)[name].__doc__


def test_the_kernels_for_cuda_have_the_same_names_and_signatures(device):
    cuda = kernels.of(to_device(np.ones(1), device))
    assert sorted(public(cuda)) == sorted(cuda.__all__) == sorted(reference.__all__)
    for name, function in public(cuda).items():
        assert signature(function) == signature(public(reference)[name]), name
        assert function.__doc__, name


def test_the_dispatcher_goes_by_the_type_of_the_array(stand_in, monkeypatch):
    assert kernels.of(np.ones(2)) is cpu
    cuda = types.ModuleType("minidl.kernels.cuda")
    monkeypatch.setitem(sys.modules, "minidl.kernels.cuda", cuda)
    assert kernels.of(stand_in.ones(2)) is cuda


def test_the_loops_are_never_dispatched_to():
    assert kernels.of(np.ones(2)) is not reference
