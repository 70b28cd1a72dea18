"""The kernels of both kinds are one interface: same names, same signatures; and the dispatcher finds them."""

import inspect
import sys
import types

import numpy as np
import pytest

from minidl import kernels
from minidl.kernels import cpu, reference
from tests.fake_cupy import FakeArray


def public(module):
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and not name.startswith("_") and value.__module__.startswith(module.__name__)
    }


def test_both_kinds_have_the_same_kernels():
    assert sorted(public(cpu)) == sorted(public(reference))
    assert len(public(cpu)) > 20


@pytest.mark.parametrize("name", sorted(set(public(cpu)) & set(public(reference))))
def test_signatures_are_equal(name):
    ours, theirs = (inspect.signature(public(module)[name]) for module in (cpu, reference))
    assert [(p.name, p.kind, p.default) for p in ours.parameters.values()] == [
        (p.name, p.kind, p.default) for p in theirs.parameters.values()
    ]
    assert public(cpu)[name].__doc__ and public(reference)[name].__doc__


def test_the_dispatcher_goes_by_the_type_of_the_array(monkeypatch):
    assert kernels.of(np.ones(2)) is cpu
    cuda = types.ModuleType("minidl.kernels.cuda")
    monkeypatch.setitem(sys.modules, "minidl.kernels.cuda", cuda)
    assert kernels.of(FakeArray(np.ones(2))) is cuda


def test_the_loops_are_never_dispatched_to():
    assert kernels.of(np.ones(2)) is not reference
