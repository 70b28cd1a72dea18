"""Profiles: what they count, what they leave alone, and how they show it."""

import gc
import json
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest

import minidl as ml
from minidl import functional as F
from minidl.autograd import Function, Tensor, _flops, _profile_views, _recorder, engine, profiler
from minidl.autograd.deferred import deferred_of
from minidl.autograd.profiler import Event
from minidl.errors import ArgumentError, ArgumentTypeError, MissingPackageError


class Twice(Function):
    """2x, whose backward calls one operation: itself."""

    saves_inputs = ()
    saves_outputs = ()

    def forward(self, x):
        return 2 * x

    def backward(self, gy):
        return Twice()(gy)


class Nap(Function):
    """x, slowly; backward sleeps 10 ms itself and 20 ms in the operation that it calls."""

    def forward(self, x):
        time.sleep(0.02)
        return x.copy()

    def backward(self, gy):
        time.sleep(0.01)
        return Nap()(gy)


class Failing(Function):
    def forward(self, x):
        Twice()(Tensor(x))
        raise RuntimeError("as planned")


class Counted(Function):
    def __init__(self, *, count=None):
        self.count = count

    def forward(self, x):
        return x + 1

    def flops(self, input_shapes, output_shapes):
        return self.count(input_shapes, output_shapes)


def leaf(*shape, requires_grad=True):
    return ml.tensor(
        np.linspace(-1, 1, int(np.prod(shape)), dtype="float32").reshape(shape), requires_grad=requires_grad
    )


def tensor_of(*shape):
    return leaf(*shape, requires_grad=False)


def originals():
    return vars(Function)["__call__"], vars(Function)["computed"], engine._propagate, engine.backward, engine.run


def brief(events):
    return [(event.name, event.phase, event.method, event.depth) for event in events]


def one(events, name, method="forward"):
    (event,) = [event for event in events if event.name == name and event.method == method]
    return event


# What is recorded -----------------------------------------------------------------------------------------------------


def test_events_of_a_small_graph():
    x = leaf(3, 2)
    with ml.profile() as prof:
        y = Twice.apply(Twice()(x))
        y.backward(ml.ones(3, 2))
    forward = [("twice", "forward", "forward", 0)]
    backward = [("twice", "backward", "forward", 1), ("twice", "backward", "backward", 0)]
    assert brief(prof.events) == 2 * forward + 2 * backward
    assert all(event.input_shapes == event.output_shapes == ((3, 2),) for event in prof.events)
    assert {event.thread for event in prof.events} == {threading.get_ident()}
    np.testing.assert_array_equal(x.grad.data, np.full((3, 2), 4))


def test_functions_of_minidl_are_seen():
    a, b = leaf(3, 2), leaf(2)
    with ml.profile() as prof:
        (a * b).sum().backward()
    outermost = [event for event in prof.events if event.depth == 0]
    assert brief(outermost) == [
        ("mul", "forward", "forward", 0),
        ("sum", "forward", "forward", 0),
        ("sum", "backward", "backward", 0),
        ("mul", "backward", "backward", 0),
    ]
    assert outermost[0].input_shapes == ((3, 2), (2,)) and outermost[0].output_shapes == ((3, 2),)
    assert outermost[3].input_shapes == ((3, 2),) and outermost[3].output_shapes == ((3, 2), (2,))
    assert all(event.phase == "backward" for event in prof.events[2:])


def test_shapes_come_without_a_graph_too():
    with ml.profile() as prof, ml.no_grad():
        leaf(2, 3) @ leaf(3, 4)
        F.max_pool2d(leaf(1, 2, 4, 4), 2)
    product, pool = prof.events
    assert (product.input_shapes, product.output_shapes) == (((2, 3), (3, 4)), ((2, 4),))
    assert (pool.input_shapes, pool.output_shapes) == (((1, 2, 4, 4),), ((1, 2, 2, 2), (1, 2, 2, 2)))


def test_only_gradients_that_are_needed_come_out():
    x, w = tensor_of(5, 3), leaf(2, 3)
    with ml.profile() as prof:
        F.linear(x, w).sum().backward()
    assert one(prof.events, "linear", "backward").output_shapes == ((2, 3),)


def test_times_nest_and_add_up_to_no_more_than_the_wall_time():
    x = leaf(2)
    with ml.profile() as prof:
        before = time.perf_counter()
        Nap()(x).backward(ml.ones(2))
        elapsed = time.perf_counter() - before
    forward, inner, backward = prof.events
    assert forward.duration == forward.self_time >= 0.02
    assert backward.duration >= 0.03 and inner.duration >= 0.02
    assert 0.01 <= backward.self_time <= backward.duration - inner.duration
    assert backward.start <= inner.start
    assert inner.start + inner.duration <= backward.start + backward.duration + 1e-9
    assert 0.05 <= sum(event.self_time for event in prof.events) <= elapsed <= prof.wall_time


def test_self_times_of_a_network_add_up():
    layers = ml.nn.Sequential(ml.nn.Conv2d(3, 4, 3), ml.nn.BatchNorm2d(4), ml.nn.ReLU(), ml.nn.MaxPool2d(2))
    with ml.profile() as prof:
        layers(tensor_of(2, 3, 8, 8)).sum().backward()
    assert 0 < sum(event.self_time for event in prof.events) <= prof.wall_time
    for outer in prof.events:
        inside = [e for e in prof.events if e.depth == outer.depth + 1 and outer.start <= e.start]
        inside = [e for e in inside if e.start + e.duration <= outer.start + outer.duration + 1e-9]
        assert outer.self_time + sum(event.duration for event in inside) <= outer.duration + 1e-9
    for total, own in (("flops", "self_flops"), ("bytes", "self_bytes")):
        outermost = sum(getattr(event, total) or 0 for event in prof.events if event.depth == 0)
        assert outermost == sum(getattr(event, own) or 0 for event in prof.events) > 0


def test_create_graph_is_part_of_the_backward_pass():
    x = leaf(4)
    with ml.profile() as prof:
        (g,) = ml.grad((x * x).sum(), x, create_graph=True)
        first = len(prof.events)
        g.sum().backward()
    backwards = [e.name for e in prof.events[first:] if e.method == "backward" and e.depth == 0]
    assert "mul" in backwards and "mul" in [e.name for e in prof.events[:first] if e.depth == 1]
    np.testing.assert_array_equal(x.grad.data, np.full(4, 2))


def test_hooks_and_sums_of_gradients_are_part_of_the_backward_pass():
    x = leaf(2)
    x.grad = ml.ones(2)
    x.register_hook(lambda g: -g)
    with ml.profile() as prof:
        Twice()(x).backward(ml.ones(2))
        F.relu(x)
    assert [(event.name, event.phase) for event in prof.events if event.depth == 0] == [
        ("twice", "forward"),
        ("twice", "backward"),
        ("neg", "backward"),
        ("add", "backward"),
        ("relu", "forward"),
    ]


def test_a_composite_runs_inside_the_backward_of_its_operation():
    x, w = leaf(5, 3), leaf(2, 3)
    with ml.profile() as prof:
        ml.grad(F.linear(x, w).sum(), (x, w), create_graph=True)
    outer = one(prof.events, "linear", "backward")
    inside = [e for e in prof.events if e.depth > 0 and outer.start <= e.start <= outer.start + outer.duration]
    assert {("mat_mul", "forward"), ("mat_mul", "backward")} <= {(e.name, e.method) for e in inside}
    assert {event.phase for event in inside} == {"backward"}
    assert outer.self_flops == 0 and outer.flops == sum(event.self_flops or 0 for event in inside)


def test_a_profile_that_a_hook_begins():
    prof = ml.profile()
    x = leaf(2)
    y = Twice()(x)
    y.register_hook(lambda g: prof.__enter__() and None)
    y.backward(ml.ones(2))
    prof.__exit__(None, None, None)
    assert brief(prof.events) == [("twice", "backward", "forward", 1), ("twice", "backward", "backward", 0)]


def normalized(x):
    return F.batch_norm(x, None, None, ml.ones(3, requires_grad=True), ml.zeros(3, requires_grad=True), training=True)


@pytest.mark.parametrize("recorded", [False, True])
def test_results_that_wait_are_not_computed_by_looking(recorded):
    with ml.profile() as prof, ml.set_grad_enabled(recorded):
        y = normalized(tensor_of(4, 3, 5, 5))
    assert deferred_of(y) is not None
    norm = one(prof.events, "batch_norm")
    assert norm.output_shapes == ((4, 3, 5, 5), (3,), (3,)) and norm.flops is None  # they are not spent yet
    assert norm.bytes == 4 * (300 + 3 + 3)  # x, weight and bias: y is not written yet
    _, _, _, shapes, dtypes, *_ = _recorder._application(Twice(), (y,), tensor_of(2))
    assert shapes == [(4, 3, 5, 5)] and dtypes == [np.float32] and deferred_of(y) is not None


def test_what_waited_is_recorded_where_it_is_computed():
    x = tensor_of(4, 3, 5, 5)
    with ml.profile() as prof:
        F.relu(normalized(x))  # in one pass, before the node of the ReLU is made
        Twice()(normalized(x))  # when the operation asks for it, and so inside
    assert brief(prof.events) == [
        ("batch_norm", "forward", "forward", 0),
        ("affine (deferred)", "forward", "deferred", 0),
        ("relu", "forward", "forward", 0),
        ("batch_norm", "forward", "forward", 0),
        ("affine (deferred)", "forward", "deferred", 1),
        ("twice", "forward", "forward", 0),
    ]
    _, affine, relu, *_ = prof.events
    assert affine.output_shapes == relu.output_shapes == ((4, 3, 5, 5),)
    assert (affine.bytes, relu.bytes, relu.flops) == (1200, 0, None)  # nothing is counted twice


# What is left alone ---------------------------------------------------------------------------------------------------


def test_outside_there_is_nothing():
    before = originals()
    with ml.profile() as prof:
        assert all(now is not then for now, then in zip(originals(), before, strict=True))
        assert Function.__call__.__doc__ == before[0].__doc__
    assert originals() == before
    Twice()(leaf(2))
    assert prof.events == []


def test_originals_are_back_after_an_exception():
    before = originals()
    with pytest.raises(RuntimeError, match="as planned"), ml.profile() as prof:
        Twice()(leaf(2))
        Failing()(leaf(2))
    assert originals() == before
    assert brief(prof.events) == [("twice", "forward", "forward", 0), ("twice", "forward", "forward", 1)]


def test_after_a_failed_operation_the_count_goes_on():
    with ml.profile() as prof:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="as planned"):
                Failing()(leaf(2))
        Twice()(leaf(2)).backward(ml.ones(2))
    *_, forward, inner, backward = prof.events
    assert (forward.depth, inner.depth, backward.depth) == (0, 1, 0)
    assert forward.bytes == backward.bytes == inner.bytes == 16  # nothing of what the failed ones had called


def test_one_inside_another():
    before = originals()
    with ml.profile() as outer:
        Twice()(leaf(2))
        with ml.profile() as inner:
            Twice()(leaf(3))
        assert originals() != before
        Twice()(leaf(4))
    assert originals() == before
    assert [event.input_shapes for event in outer.events] == [((2,),), ((3,),), ((4,),)]
    assert [event.input_shapes for event in inner.events] == [((3,),)]
    assert inner.events[0].start < outer.events[1].start  # each from its own beginning


def test_they_may_end_in_any_order():
    first, second = ml.profile(), ml.profile()
    before = originals()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    Twice()(leaf(2))
    second.__exit__(None, None, None)
    assert originals() == before
    assert len(first.events) == 0 and len(second.events) == 1


def test_begun_inside_an_operation():
    later = ml.profile()

    class Profiled(Function):
        def forward(self, x):
            with ml.profile() as self.inner:
                Twice()(Tensor(x))
            later.__enter__()
            Twice()(Tensor(x))
            return x

    function = Profiled()
    with ml.profile() as outer:
        function(leaf(2))
        Twice()(leaf(2)).backward(ml.ones(2))
    later.__exit__(None, None, None)
    assert [event.depth for event in function.inner.events] == [0]
    assert [event.depth for event in outer.events] == [1, 1, 0, 0, 1, 0]
    assert [event.depth for event in later.events] == [0, 0, 1, 0]


def test_entered_again_it_goes_on():
    prof = ml.profile()
    for size in (2, 3):
        with prof:
            Nap()(leaf(size))
        time.sleep(0.1)
    first, second = prof.events
    assert (first.input_shapes, second.input_shapes) == (((2,),), ((3,),))
    assert second.start > first.start + 0.04 and prof.wall_time > 0.04
    assert first.duration + second.duration <= prof.wall_time < second.start


def test_entered_twice_or_left_twice():
    with ml.profile() as prof, pytest.raises(ArgumentError, match="active already; make another one"):
        prof.__enter__()
    with pytest.raises(ArgumentError, match="left without having been entered"):
        prof.__exit__(None, None, None)
    Twice()(leaf(2))
    assert prof.events == []


def test_each_thread_has_its_own():
    before = originals()
    together = threading.Barrier(3, timeout=60)
    seen, idle = {}, []

    def profiled(size, count):
        with ml.profile() as prof:
            together.wait()
            for _ in range(count):
                Twice()(leaf(size)).backward(ml.ones(size))
            together.wait()
        seen[size] = (threading.get_ident(), prof)

    def unprofiled():
        together.wait()
        idle.append(Twice()(leaf(5)))
        together.wait()

    threads = [threading.Thread(target=profiled, args=args) for args in ((2, 30), (3, 50))]
    threads.append(threading.Thread(target=unprofiled))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert originals() == before and len(idle) == 1
    for size, count in ((2, 30), (3, 50)):
        ident, prof = seen[size]
        assert len(prof.events) == 3 * count
        assert {event.input_shapes for event in prof.events} == {((size,),)}
        assert {event.thread for event in prof.events} == {ident}
        assert [event.depth for event in prof.events] == [0, 1, 0] * count
        assert sum(event.self_time for event in prof.events) <= prof.wall_time


def test_no_array_and_no_node_is_kept():
    x = leaf(2)
    with ml.profile() as prof:
        y = F.max_pool2d(leaf(1, 2, 4, 4), 2).sum() + Twice()(x).sum()
        node, array = weakref.ref(y.grad_fn), weakref.ref(y.data)
        del y
    gc.collect()
    assert node() is None and array() is None and prof.events


def test_importing_minidl_does_not_load_it():
    script = "import sys, minidl as ml; a = 'minidl.autograd.profiler' in sys.modules; ml.profile; print(a, ml.profile)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.strip() == "False <class 'minidl.autograd.profiler.profile'>"


# FLOPs and bytes ------------------------------------------------------------------------------------------------------


def flops_of(compute, *inputs):
    """Of the one operation that `compute` applies: forward, and backward with all that it calls."""
    with ml.profile() as prof:
        y = compute(*inputs)
        wanted = [x for x in inputs if x.requires_grad]
        ml.grad(y, wanted, ml.ones_like(y))
    outermost = [event for event in prof.events if event.depth == 0 and event.name != "reshape"]
    forward, backward = outermost
    assert (forward.method, backward.method) == ("forward", "backward")
    return forward.flops, backward.flops


def test_flops_of_convolutions():
    x, w, b = leaf(2, 6, 9, 8), leaf(4, 3, 3, 2), leaf(4)
    out = 2 * 4 * 5 * 5
    product = 2 * out * 3 * 3 * 2
    settings = {"stride": 2, "padding": 1, "groups": 2}
    assert flops_of(lambda x, w, b: F.conv2d(x, w, b, **settings), x, w, b) == (product + out, 2 * product + out)
    assert flops_of(lambda x, w: F.conv2d(x, w, **settings), x, w) == (product, 2 * product)
    x = tensor_of(2, 6, 9, 8)
    assert flops_of(lambda w: F.conv2d(x, w, **settings), w) == (product, product)
    assert flops_of(F.conv1d, leaf(1, 2, 7), leaf(5, 2, 3)) == (2 * 5 * 5 * 2 * 3, 2 * 2 * 5 * 5 * 2 * 3)


def test_flops_of_a_transposed_convolution():
    x, w, b = leaf(2, 3, 4, 4), leaf(3, 5, 2, 2), leaf(5)
    product = 2 * (2 * 3 * 4 * 4) * 5 * 2 * 2
    out = 2 * 5 * 8 * 8
    forward, backward = flops_of(lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2), x, w, b)
    assert (forward, backward) == (product + out, 2 * product + out)


def test_flops_of_linear():
    product, out = 2 * 10 * 4 * 3, 10 * 4
    w, b = leaf(4, 3), leaf(4)
    assert flops_of(F.linear, leaf(5, 2, 3), w, b) == (product + out, 2 * product + out)
    assert flops_of(F.linear, leaf(10, 3), w) == (product, 2 * product)
    assert flops_of(F.linear, tensor_of(10, 3), w, b) == (product + out, product + out)
    with ml.profile() as prof:  # the gradient of the ReLU is computed inside, and is no operation of the backward's
        F.relu(F.linear(leaf(10, 3), w)).sum().backward()
    backward = one(prof.events, "linear", "backward")
    assert any(event.method == "deferred" and event.depth == 1 for event in prof.events)
    assert backward.flops == backward.self_flops == 2 * product


def test_flops_of_products():
    with ml.profile() as prof:
        y = leaf(5, 2, 3) @ leaf(5, 3, 4)
        y.backward(ml.ones_like(y))
    assert one([event for event in prof.events if event.depth == 0], "mat_mul").flops == 2 * 5 * 2 * 4 * 3
    assert one(prof.events, "mat_mul", "backward").flops == 2 * (2 * 5 * 2 * 4 * 3)
    with ml.profile() as prof:
        ml.einsum("bij,bjk->bik", tensor_of(5, 2, 3), tensor_of(5, 3, 4))
        ml.einsum("ij,jk,kl->il", tensor_of(2, 3), tensor_of(3, 4), tensor_of(4, 5))
    pair, chain = [event.flops for event in prof.events if event.name == "einsum"]
    assert pair == 2 * 5 * 2 * 3 * 4 and chain is None


def test_flops_of_the_rest():
    x = tensor_of(2, 3, 4, 6)
    with ml.profile() as prof:
        F.relu(x), x + 1, x.sum(), x.reshape(-1), F.max_pool2d(x, (2, 3)), F.avg_pool2d(x, 2), F.softmax(x, 1)
    counts = {event.name: event.flops for event in prof.events}
    expected = {"relu": 144, "add": 144, "sum": 144, "reshape": 0, "max_pool": 144, "avg_pool": 144, "softmax": 432}
    assert counts == expected


def test_every_formula_is_of_an_operation_that_exists():
    names, pending = set(), [Function]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        if kind.__module__.startswith("minidl."):
            names.add(kind.name)
    assert set(_flops._FORMULAS) | set(_flops._SETTINGS) <= names


def test_flops_by_a_function_of_ones_own():
    with ml.profile() as prof:
        Counted(count=lambda ins, outs: 7 * ins[0][0] + outs[0][1])(leaf(3, 2))
        Counted(count=lambda ins, outs: np.int64(5))(tensor_of(3, 2))
        Counted(count=lambda ins, outs: None)(leaf(3, 2))
    assert [event.flops for event in prof.events] == [23, 5, None]
    assert type(prof.events[1].flops) is int
    with ml.profile(), pytest.raises(ArgumentTypeError, match=r"counted: flops\(\) must return an integer .* got 1.5"):
        Counted(count=lambda ins, outs: 1.5)(leaf(3, 2))


def test_a_users_operation_of_the_same_name_is_another_one():
    class Linear(Function):
        def forward(self, x):
            return x

    with ml.profile() as prof:
        Linear()(leaf(2, 2))
    assert one(prof.events, "linear").flops is None


def test_bytes():
    x, w = ml.ones(5, 3, dtype=ml.float64, requires_grad=True), ml.ones(2, 3, dtype=ml.float64)
    with ml.profile() as prof:
        F.linear(x, w).backward(ml.ones(5, 2, dtype=ml.float64))
    assert one(prof.events, "linear").bytes == 8 * (15 + 6 + 10)
    assert one(prof.events, "linear", "backward").bytes == 8 * (10 + 15)
    with ml.profile() as prof:
        Twice()(leaf(4)).backward(ml.ones(4))
    forward, inner, backward = prof.events
    assert (backward.bytes, backward.self_bytes, inner.bytes) == (32, 0, 32)


def test_the_peak_is_measured_once():
    peak = ml.profile().peak
    assert 1e8 < peak < 1e16
    assert ml.profile().peak == peak


# What it shows --------------------------------------------------------------------------------------------------------


def event(name, phase="forward", time=1e-3, self_time=None, depth=0, flops=None, bytes=0, method=None, own=None):
    return Event(
        name=name,
        phase=phase,
        start=0.0,
        duration=time,
        self_time=time if self_time is None else self_time,
        depth=depth,
        thread=1,
        flops=flops,
        bytes=bytes,
        input_shapes=(),
        output_shapes=(),
        method=method or phase,
        self_flops=flops if own is None else own,
        self_bytes=bytes,
    )


EVENTS = [
    event("conv2d", time=2e-3, flops=10**7, bytes=4 * 10**6),
    event("relu", time=0.5e-3, flops=10**3, bytes=10**6),
    event("relu", time=0.5e-3, flops=10**3, bytes=10**6),
    event("mystery", time=1e-3),
    event("conv_weight_grad", "backward", time=3e-3, depth=1, flops=10**7, bytes=0, method="forward"),
    event("conv2d", "backward", time=4e-3, self_time=1e-3, flops=10**7, own=0),
]


def table(sort_by="time", limit=None, nested=True):
    rows = _profile_views.rows(EVENTS, nested)
    return _profile_views.table(rows, sort_by, limit, 0.01, lambda: 20e9).splitlines()


def test_table():
    assert table() == [
        "operation         calls  forward ms  backward ms  total ms  % of time    GFLOP  GFLOP/s  % of peak    MB",
        "--------------------------------------------------------------------------------------------------------",
        "conv2d                1       2.000        1.000     3.000       30.0   0.0100     3.33       16.7  4.00",
        "conv_weight_grad      1       0.000        3.000     3.000       30.0   0.0100     3.33       16.7  0.00",
        "mystery               1       1.000        0.000     1.000       10.0        –        –          –  0.00",
        "relu                  2       1.000        0.000     1.000       10.0  2.0e-06  2.0e-03    1.0e-02  2.00",
        "--------------------------------------------------------------------------------------------------------",
        "total                 5       4.000        4.000     8.000       80.0   0.0200     2.86       14.3  6.00",
        "wall time 10.000 ms; matmul peak 20.0 GFLOP/s (float32); a multiplication and an addition count as two",
    ]


def test_table_without_rows_for_what_a_backward_calls():
    lines = table(nested=False)
    conv = "conv2d         1       2.000        4.000     6.000       60.0   0.0200     3.33       16.7  4.00"
    assert lines[2] == conv and not any("conv_weight_grad" in line for line in lines)
    assert lines[-2].split()[:5] == ["total", "4", "4.000", "4.000", "8.000"]


def test_table_in_every_order():
    def names(sort_by):
        return [line.split()[0] for line in table(sort_by)[2:-3]]

    assert names("time") == ["conv2d", "conv_weight_grad", "mystery", "relu"]
    assert names("calls") == ["relu", "conv2d", "conv_weight_grad", "mystery"]
    assert names("flops") == ["conv2d", "conv_weight_grad", "relu", "mystery"]
    assert names("name") == ["conv2d", "conv_weight_grad", "mystery", "relu"]


def test_table_cut_short():
    lines = table(limit=1)
    assert lines[2].startswith("conv2d ") and lines[3] == "… and 3 more operations" and len(lines) == 7
    assert lines[-2].split()[1] == "5"  # the total is of all
    assert table(limit=3)[5] == "… and 1 more operation" and table(limit=4) == table()


def test_table_of_a_computation(monkeypatch):
    monkeypatch.setattr(profiler, "matmul_peak", lambda: 1e9)
    with ml.profile() as prof:
        F.linear(leaf(64, 32), leaf(16, 32)).sum().backward()
    rows = {line.split()[0]: line.split() for line in prof.table().splitlines()}
    assert rows["linear"][1] == "1"
    seconds = sum(e.self_time for e in prof.events if e.name == "linear")
    speed = 3 * 2 * 64 * 32 * 16 / seconds
    assert float(rows["linear"][7]) == pytest.approx(speed / 1e9, abs=0.006)
    assert float(rows["linear"][8]) == pytest.approx(100 * speed / 1e9, abs=0.06)
    assert float(rows["total"][4]) <= prof.wall_time * 1e3


def test_table_of_nothing():
    lines = ml.profile().table().splitlines()
    assert lines[0].split()[0] == "operation" and lines[-2].split()[:2] == ["total", "0"]
    assert repr(ml.profile()) == "<profile: 0 events in 0.000 ms>"


def test_calls_where_only_the_backward_was_seen():
    y = Twice()(leaf(2))
    with ml.profile() as prof:
        y.backward(ml.ones(2))
    (row,) = _profile_views.rows(prof.events, nested=False)
    assert row.calls == 1 and row.forward == 0 < row.backward


@pytest.mark.parametrize("sort_by", ["speed", None, ["time"]])
def test_table_in_an_unknown_order(sort_by):
    with pytest.raises(ArgumentError, match=r"sort_by must be one of 'time', 'calls', 'flops', 'name', got"):
        ml.profile().table(sort_by)


@pytest.mark.parametrize("limit", [0, -1, 2.0, True, "3"])
def test_a_limit_that_is_none(limit):
    with pytest.raises(ArgumentError, match=f"limit must be a positive integer or None, got {limit!r}"):
        ml.profile().table(limit=limit)
    with pytest.raises(ArgumentError, match=f"limit must be a positive integer or None, got {limit!r}"):
        ml.profile().plot(limit=limit)


def test_plot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    with ml.profile() as prof:
        Nap()(leaf(2)).backward(ml.ones(2))
        Twice()(leaf(2))
    ax = prof.plot()
    forward, backward = ax.containers
    assert [label.get_text() for label in ax.get_yticklabels()] == ["nap", "twice"]
    assert forward[0].get_width() >= 20 and backward[0].get_width() >= 30 and backward[1].get_width() == 0
    assert backward[0].get_x() == forward[0].get_width()  # stacked
    figure, given = pyplot.subplots()
    assert prof.plot(given, limit=1) is given and len(given.containers[0]) == 1
    pyplot.close(ax.figure)
    pyplot.close(figure)


def test_plot_in_what_is_no_axes():
    with ml.profile() as prof:
        Twice()(leaf(2))
    with pytest.raises(ArgumentTypeError, match="ax must be Matplotlib axes, got str"):
        prof.plot("axes")
    with pytest.raises(ArgumentError, match="no operation ran inside the profile"):
        ml.profile().plot()


def test_plot_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with ml.profile() as prof:
        Twice()(leaf(2))
    with pytest.raises(MissingPackageError, match="profile.plot needs Matplotlib .*: pip install matplotlib"):
        prof.plot()


def test_chrome_trace(tmp_path):
    with ml.profile() as prof:
        F.conv2d(leaf(1, 2, 5, 5), leaf(3, 2, 3, 3)).sum().backward()
    path = tmp_path / "trace.json"
    path.write_text("old")
    prof.to_chrome_trace(path)
    assert [file.name for file in tmp_path.iterdir()] == ["trace.json"]
    trace = json.loads(path.read_text())
    spans = [entry for entry in trace["traceEvents"] if entry["ph"] == "X"]
    assert len(spans) == len(prof.events)
    assert [span["ts"] for span in spans] == sorted(span["ts"] for span in spans)
    assert {span["tid"] for span in spans} == {threading.get_ident()}
    (outer,) = [span for span in spans if span["name"] == "conv2d backward"]
    inside = [s for s in spans if outer["ts"] < s["ts"] and s["ts"] + s["dur"] < outer["ts"] + outer["dur"] + 1e-3]
    assert {"conv_input_grad", "conv_weight_grad"} <= {span["name"] for span in inside}
    assert outer["cat"] == "backward" and outer["args"]["FLOPs"] == 2 * (2 * 27 * 18)
    assert outer["args"]["inputs"] == ["(1, 3, 3, 3)"]
    prof.to_chrome_trace(str(path))


def test_a_trace_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "trace.json"
    path.write_text("old")

    def fail(_, file, **settings):
        file.write("half")
        raise OSError("disk full")

    monkeypatch.setattr(json, "dump", fail)
    with pytest.raises(OSError, match="disk full"):
        ml.profile().to_chrome_trace(path)
    assert [file.name for file in tmp_path.iterdir()] == ["trace.json"] and path.read_text() == "old"


def test_traces_to_nowhere(tmp_path):
    prof = ml.profile()
    with pytest.raises(ArgumentTypeError, match="path must be a string or a Path, got 3"):
        prof.to_chrome_trace(3)
    with pytest.raises(ArgumentError, match="is a folder; give the name of a file"):
        prof.to_chrome_trace(tmp_path)
    with pytest.raises(ArgumentError, match="which is no folder"):
        prof.to_chrome_trace(tmp_path / "nowhere" / "trace.json")
