"""The backward engine: order, sharing, what is freed, what is left alone."""

import gc
import sys
import threading

import numpy as np
import pytest

import minidl as ml
from minidl import functional as F
from minidl.autograd import Function, FusedFunction, Tensor, engine, grad
from minidl.errors import (
    ArgumentTypeError,
    DtypeError,
    GradientError,
    InPlaceError,
    NotTwiceDifferentiable,
    ShapeError,
)
from tests.tolerances import BACKWARD, assert_close


def leaf(*values, dtype="float64"):
    return ml.tensor(np.array(values if len(values) != 1 else values[0], dtype), requires_grad=True)


def normal(*shape, seed=0, requires_grad=True):
    return Tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=requires_grad)


class Counted(Function):
    """The identity, counting its backward passes by label."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, log, label):
        self.log, self.label = log, label

    def forward(self, x):
        return x.copy()

    def backward(self, gy):
        self.log.append(self.label)
        return gy


# Order ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [5_000, 50_000])
def test_long_chains_need_no_recursion(length):
    assert length > sys.getrecursionlimit() or length == 5_000
    x = leaf(1.0)
    y = x
    for _ in range(length):
        y = y + 1.0
    y.backward()
    assert y.item() == 1 + length
    assert x.grad.item() == 1
    del y  # freeing it must not recurse either
    gc.collect()


def test_a_long_chain_can_be_differentiated_twice():
    x = leaf(0.5)
    y = x
    for _ in range(1500):
        y = y * 1.0 + 0.0
    (first,) = grad(y * y, x, create_graph=True)
    (second,) = grad(first, x)
    assert (first.item(), second.item()) == (1.0, 2.0)


def test_diamonds_run_each_node_once():
    log = []
    x = leaf(3.0)
    a = Counted(log=log, label="a")(x)
    b, c = Counted(log=log, label="b")(a), Counted(log=log, label="c")(a)
    d = Counted(log=log, label="d")(b * c)
    d.backward()
    assert sorted(log) == ["a", "b", "c", "d"]
    assert log[0] == "d" and log[-1] == "a"
    assert x.grad.item() == 6


def test_a_ladder_of_diamonds_is_not_walked_path_by_path():
    x = leaf(1.0)
    y = x
    for _ in range(200):  # 2²⁰⁰ paths
        y = (y + y) * 0.5
    y.backward()
    assert x.grad.item() == 1


def test_a_short_and_a_long_path_to_one_node():
    log = []
    x = leaf(1.0)
    near = Counted(log=log, label="shared")(x)
    far = near
    for _ in range(10):
        far = far * 2.0
    (near + far).backward()
    assert log == ["shared"]
    assert x.grad.item() == 1025


def test_a_tensor_used_many_times_gathers_everything():
    x = leaf(2.0)
    total = x * 0.0
    for i in range(100):
        total = total + x * float(i)
    total.backward()
    assert x.grad.item() == 4950
    y = leaf(3.0)
    (y * y * y).backward()
    assert y.grad.item() == 27
    z = leaf(3.0)
    Tensor.backward(F.stack([z, z, z]).sum())
    assert z.grad.item() == 3


def test_two_outputs_of_one_graph_at_once():
    x = leaf(1.0, 2.0)
    y = x.exp()
    (gradient,) = grad([y.sum(), (y * y).sum()], x)
    np.testing.assert_allclose(gradient.data, np.exp(x.data) + 2 * np.exp(2 * x.data))
    (same,) = grad([x.sum(), x.sum()], [x])
    np.testing.assert_array_equal(same.data, [2, 2])
    z = x * 3.0
    (twice,) = grad([z, z], x, [ml.ones(2, dtype="float64"), Tensor(np.array([10.0, 20.0]))])
    np.testing.assert_array_equal(twice.data, [33, 63])


# Where gradients go ---------------------------------------------------------------------------------------------------


def test_gradients_of_tensors_inside_the_graph():
    x = leaf(2.0)
    y = x * x
    z = y * 3.0
    gy, gx, gz = grad(z, [y, x, z])
    assert (gy.item(), gx.item(), gz.item()) == (3, 12, 1)
    assert x.grad is None and y.grad is None


def test_only_the_way_to_the_inputs_is_run():
    log = []
    x, w = leaf(2.0), leaf(3.0)
    hidden = Counted(log=log, label="to x")(x)
    side = Counted(log=log, label="to w")(w)
    top = Counted(log=log, label="top")(hidden * side)
    grad(top, w, retain_graph=True)
    assert sorted(log) == ["to w", "top"]
    log.clear()
    grad(top, hidden)
    assert log == ["top"]


def test_needs_input_grad_is_narrowed_to_the_inputs_asked_for():
    seen = []

    class Product(Function):
        def forward(self, a, b):
            return a * b

        def backward(self, gy):
            seen.append(self.needs_input_grad)
            a, b = self.inputs
            return tuple(g if need else None for g, need in zip((gy * b, gy * a), self.needs_input_grad, strict=True))

    a, b = leaf(2.0), leaf(3.0)
    y = Product()(a, b)
    (gb,) = grad(y, b, retain_graph=True)
    assert gb.item() == 2
    y.backward(retain_graph=True)
    grad(y, [a, b])
    assert seen == [(False, True), (True, True), (True, True)]
    assert Product()(a, b.detach()).grad_fn.needs_input_grad == (True, False)


def test_unused_inputs():
    x, unused = leaf(1.0), leaf(2.0)
    with pytest.raises(GradientError, match=r"do not depend on input 1 \(shape \(\)\); pass allow_unused=True"):
        grad(x * 2.0, [x, unused])
    gx, none = grad(x * 2.0, [x, unused], allow_unused=True)
    assert gx.item() == 2 and none is None


def test_outputs_of_one_operation_that_are_not_used_count_as_unused():
    x = leaf(1.0, 2.0)
    first, second = Pair()(x)
    for inputs in ([second], [second, x]):
        with pytest.raises(GradientError, match="do not depend on input 0"):
            grad(first.sum(), inputs, retain_graph=True)


class Pair(Function):
    """x² and x³."""

    saves_inputs = (0,)
    saves_outputs = ()

    def forward(self, x):
        return x * x, x**3

    def backward(self, g2, g3):
        (x,) = self.inputs
        return g2 * 2 * x + g3 * 3 * x**2


def test_unused_outputs_get_zeros_in_backward():
    x = leaf(2.0)
    first, second = Pair()(x)
    second.backward(retain_graph=True)
    assert x.grad.item() == 12
    first.backward(retain_graph=True)
    assert x.grad.item() == 16
    (first + second).backward()
    assert x.grad.item() == 32


def test_outputs_that_are_not_differentiable():
    class Largest(Function):
        non_differentiable = (1, 2)

        def forward(self, x):
            return x.max(keepdims=True), x.argmax(keepdims=True), x.min(keepdims=True)

        def backward(self, gy, index_gradient, low_gradient):
            assert index_gradient is None  # integers have none
            assert low_gradient.shape == (1,)
            return gy * Tensor((self.inputs[0].data == self.output(0).data).astype(float))

    high, index, low = Largest()(leaf(1.0, 5.0, 2.0))
    assert high.requires_grad and not index.requires_grad and not low.requires_grad
    assert index.is_leaf and index.item() == 1
    high.backward()


def test_leaves_gather_over_passes():
    x = leaf(1.0)
    for expected in (2.0, 4.0, 6.0):
        (x * 2.0).backward()
        assert x.grad.item() == expected
    x.grad = None
    (x * 2.0).backward()
    assert x.grad.item() == 2


def test_a_leaf_as_root():
    x = leaf(1.0, 2.0)
    cotangent = Tensor(np.array([3.0, 4.0]))
    x.backward(cotangent)
    np.testing.assert_array_equal(x.grad.data, [3, 4])
    assert not np.shares_memory(x.grad.data, cotangent.data)
    (gradient,) = grad(x, x, cotangent)
    assert not np.shares_memory(gradient.data, cotangent.data)


# Freed graphs ---------------------------------------------------------------------------------------------------------


def test_a_second_pass_over_a_freed_graph_raises_and_leaves_grad_alone():
    x = leaf(2.0)
    y = x * x
    y.backward()
    with pytest.raises(GradientError, match="graph through mul was already freed .* retain_graph=True"):
        y.backward()
    assert x.grad.item() == 4
    with pytest.raises(RuntimeError, match="already freed"):
        (y + x).backward()
    assert x.grad.item() == 4
    with pytest.raises(GradientError, match="already freed"):
        grad(y, x)


def test_retained_graphs_can_be_run_again():
    x = leaf(2.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    assert x.grad.item() == 8
    y.backward()
    assert x.grad.item() == 12
    with pytest.raises(GradientError, match="already freed"):
        y.backward()


def test_create_graph_retains_unless_told_otherwise():
    x = leaf(2.0)
    y = x * x * x
    grad(y, x, create_graph=True)
    grad(y, x, create_graph=True, retain_graph=False)
    with pytest.raises(GradientError, match="already freed"):
        grad(y, x)


def test_an_operation_that_saves_nothing_is_freed_all_the_same():
    """Otherwise a second backward over x + 1 would silently gather, and one over x · x raise."""
    x = leaf(2.0)
    y = x + 1.0
    y.backward()
    with pytest.raises(GradientError, match="already freed"):
        y.backward()


def bytes_saved(node, seen=None):
    seen = set() if seen is None else seen
    if isinstance(node, Tensor) or node in seen:
        return 0
    seen.add(node)
    arrays = [a for a in (*node.input_arrays, *node.output_arrays, *node.saved) if a is not None]
    return sum(a.nbytes for a in arrays) + sum(bytes_saved(e[0], seen) for e in node.edges if e)


def test_saved_arrays_are_freed_by_backward():
    x = normal(100, 100)
    y = (x * x).exp().tanh().sum()
    node = y.grad_fn
    assert bytes_saved(node) >= 3 * x.nbytes
    y.backward()
    assert bytes_saved(node) == 0


def test_saved_arrays_are_freed_while_backward_is_under_way():
    """When the first operation of the chain runs, those behind it must have let go already."""
    sizes = []
    x = normal(50, 50)
    early = x.exp()
    y = early.tanh().sin().sum()
    node = y.grad_fn
    before = bytes_saved(node)
    early.register_hook(lambda gradient: sizes.append(bytes_saved(node)))
    y.backward()
    assert sizes == [early.nbytes] and before >= 3 * early.nbytes


def test_only_what_backward_reads_is_saved():
    a, b = normal(4, 4), normal(4, 4, seed=1)
    assert bytes_saved((a + b).grad_fn) == 0
    assert bytes_saved(a.reshape(16).grad_fn) == 0
    assert bytes_saved(a.sum(0).grad_fn) == 0
    assert bytes_saved(a.exp().grad_fn) == a.nbytes
    assert bytes_saved((a * b).grad_fn) == 2 * a.nbytes
    assert bytes_saved(a.log().grad_fn) == a.nbytes


def functions_alive():
    return sum(issubclass(type(thing), Function) for thing in gc.get_objects())


def test_graphs_are_freed_by_reference_count_alone():
    """No cycles: without the garbage collector a dropped graph must go at once."""
    gc.collect()
    gc.disable()
    try:
        before = functions_alive()
        x = normal(10)
        y = (x * x).exp()
        y.register_hook(lambda g: None)
        assert functions_alive() == before + 2
        del y
        assert functions_alive() == before
        y = (x * x).exp()
        y.retain_grad()  # a cycle, until backward has run
        z = y.sum()
        z.backward()
        del y, z
        assert functions_alive() == before
        (gradient,) = grad((x * x).exp().sum(), x, create_graph=True)
        del gradient
        assert functions_alive() == before
    finally:
        gc.enable()


def test_nothing_is_recorded_without_need():
    x = normal(3)
    with ml.no_grad():
        assert (x * x).grad_fn is None and not (x * x).requires_grad
    constant = x.detach() * 2
    assert constant.is_leaf and not constant.requires_grad and constant.grad_fn is None
    assert (x > 0).grad_fn is None
    assert x.argmax().grad_fn is None


# Higher orders --------------------------------------------------------------------------------------------------------


def test_derivatives_up_to_the_third():
    x = leaf(0.7)
    y = x**4 * x.sin()
    derivatives = []
    for _ in range(3):
        (y,) = grad(y, x, create_graph=True)
        derivatives.append(y.item())
    s, c, v = np.sin(0.7), np.cos(0.7), 0.7
    expected = [
        4 * v**3 * s + v**4 * c,
        12 * v**2 * s + 8 * v**3 * c - v**4 * s,
        24 * v * s + 36 * v**2 * c - 12 * v**3 * s - v**4 * c,
    ]
    np.testing.assert_allclose(derivatives, expected, rtol=1e-12)


def test_backward_with_create_graph_leaves_differentiable_gradients():
    x = leaf(3.0)
    (x**3).backward(create_graph=True)
    assert x.grad.requires_grad and x.grad.item() == 27
    first, x.grad = x.grad, None
    first.backward()
    assert x.grad.item() == 18


def test_gradients_without_create_graph_carry_no_history():
    x = leaf(3.0)
    (gradient,) = grad(x * x, x)
    assert not gradient.requires_grad and gradient.is_leaf
    (x * x).backward()
    assert not x.grad.requires_grad
    with ml.enable_grad(), pytest.raises(GradientError, match="does not require a gradient"):
        gradient.backward()


def test_backward_sets_grad_mode_itself():
    modes = []

    class Spy(Function):
        def forward(self, x):
            modes.append(("forward", ml.is_grad_enabled()))
            return x * 1.0

        def backward(self, gy):
            modes.append(("backward", ml.is_grad_enabled()))
            return gy

    x = leaf(1.0)
    y = Spy()(x)
    with ml.no_grad():
        grad(y, x, create_graph=True)
        assert not ml.is_grad_enabled()
    grad(y, x)
    assert modes == [("forward", True), ("backward", True), ("backward", False)]
    assert ml.is_grad_enabled()


# Fused operations -----------------------------------------------------------------------------------------------------


class FusedProduct(FusedFunction):
    saves_outputs = ()

    def forward(self, x, w):
        return x * w

    def backward_array(self, gy):
        x, w = self.input_arrays
        needs = self.needs_input_grad
        return gy * w if needs[0] else None, gy * x if needs[1] else None

    def composite(self, x, w):
        return x * w


def test_a_composite_walks_no_further_than_its_inputs():
    log = []
    x = leaf(2.0)
    h = x
    for i in range(20):
        h = Counted(log=log, label=i)(h)
    y = FusedProduct()(h, h * 3.0)
    (gh,) = grad(y, h, create_graph=True)
    assert gh.item() == 12
    assert log == []
    (gx,) = grad(y, x, create_graph=True)
    assert gx.item() == 12
    assert sorted(log) == list(range(20))  # each once, not once more for the composite


def test_a_composite_does_not_even_look_at_the_graph_above_it(monkeypatch):
    """Each fused operation of a deep network would otherwise walk all the layers below: quadratic time."""
    walked = []
    original = engine._topological_order
    monkeypatch.setattr(engine, "_topological_order", lambda *a: walked.append(len(o := original(*a))) or o)
    h = leaf(2.0)
    for _ in range(100):
        h = h * 1.0
    y = FusedProduct()(h, h * 3.0)
    grad(y, h, create_graph=True)
    outer, inner = walked
    assert inner < 10 < 100 < outer


def test_a_composite_whose_second_input_depends_on_the_first():
    x = leaf(2.0)
    w = x * x
    y = FusedProduct()(x, w)  # x³
    for expected in (12.0, 12.0, 6.0):
        (y,) = grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(expected)


def test_a_composite_whose_two_inputs_are_one_tensor():
    x = leaf(3.0)
    y = FusedProduct()(x, x)
    (first,) = grad(y, x, create_graph=True)
    (second,) = grad(first, x)
    assert (first.item(), second.item()) == (6, 2)


def test_a_gradient_asked_for_one_input_still_depends_on_the_others():
    """∂/∂w of ∂y/∂x: what a gradient penalty trains on. The other input must not be cut off."""
    x, w = leaf(2.0), leaf(5.0)
    (gx,) = grad(FusedProduct()(x, w), x, create_graph=True)
    gx.backward()
    assert w.grad.item() == 1
    assert x.grad is None


@pytest.mark.parametrize(
    "fused, plain",
    [
        (F.linear, lambda x, w, b: x @ w.T + b),
        (
            lambda x, w, b: F.layer_norm(x, (4,), w[0], b),
            lambda x, w, b: (x - x.mean(1, True)) / (x.var(1, correction=0, keepdim=True) + 1e-5).sqrt() * w[0] + b,
        ),
        (
            lambda x, w, b: F.batch_norm(x, None, None, w[0], b, training=True),
            lambda x, w, b: (x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt() * w[0] + b,
        ),
    ],
    ids=["linear", "layer_norm", "batch_norm"],
)
def test_gradient_penalties_through_fused_layers(fused, plain):
    results = []
    for fn in (fused, plain):
        x, w, b = normal(5, 4), normal(4, 4, seed=1), normal(4, seed=2)
        y = fn(x, w, b)
        (gx,) = grad((y * y).sum(), x, create_graph=True)
        ((gx * gx).sum(1).sqrt() - 1).square().mean().backward()
        results.append((w.grad, x.grad, b.grad))
    for ours, reference in zip(*results, strict=True):
        assert_close(ours.data, reference.data, BACKWARD)


def test_fused_operations_with_several_outputs():
    class Both(FusedFunction):
        non_differentiable = (2,)

        def forward(self, x):
            return np.sin(x), np.cos(x), np.floor(x).astype(np.int64)

        def backward_array(self, gs, gc, gi):
            assert gi is None
            return gs * self.output_arrays[1] - gc * self.output_arrays[0]

        def composite(self, x):
            return x.sin(), x.cos(), x.detach()

    x = leaf(0.5)
    sine, cosine, _ = Both()(x)
    (plain,) = grad(cosine, x, retain_graph=True)
    (recorded,) = grad(cosine, x, create_graph=True)
    assert plain.item() == pytest.approx(-np.sin(0.5)) == recorded.item()
    (second,) = grad(recorded, x)
    assert second.item() == pytest.approx(-np.cos(0.5))


def test_a_fused_operation_without_backward_or_composite():
    class Bare(FusedFunction):
        def forward(self, x):
            return x * 2

    y = Bare()(leaf(1.0))
    with pytest.raises(GradientError, match="bare: the Function defines no backward_array"):
        y.backward(retain_graph=True)
    with pytest.raises(NotTwiceDifferentiable, match="bare: its gradient cannot itself be differentiated"):
        y.backward(create_graph=True)


@pytest.mark.parametrize("saved", [(), (0,)])
def test_a_composite_needs_every_input_saved(saved):
    class Forgetful(FusedProduct):
        saves_inputs = saved

    y = Forgetful()(leaf(2.0), leaf(3.0))
    with pytest.raises(NotTwiceDifferentiable, match="forgetful: the composite starts from all 2 inputs, but saves_"):
        y.backward(create_graph=True)


def test_a_composite_that_does_not_depend_on_its_inputs():
    class Floor(FusedFunction):
        def forward(self, x):
            return np.floor(x)

        def backward_array(self, gy):
            return np.zeros_like(gy)

        def composite(self, x):
            return x.detach()

    x = leaf(1.5)
    assert grad(Floor()(x) + x, x, create_graph=True)[0].item() == 1


# Sharing --------------------------------------------------------------------------------------------------------------


def test_gradients_share_memory_with_nothing():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    cotangent = Tensor(np.array([5.0, 6.0]))
    (a + b).backward(cotangent)
    arrays = [a.grad.data, b.grad.data, cotangent.data, a.data, b.data]
    assert a.grad is not b.grad
    assert not any(np.shares_memory(p, q) for i, p in enumerate(arrays) for q in arrays[:i])
    ga, gb = grad(a - -b, [a, b], cotangent, create_graph=True)
    assert not np.shares_memory(ga.data, gb.data) and not np.shares_memory(ga.data, cotangent.data)


def test_gathering_never_writes_into_a_gradient_someone_holds():
    x = leaf(1.0, 2.0)
    (x * 2.0).sum().backward()
    held = x.grad
    before = held.data.copy()
    (x * 3.0).sum().backward()
    np.testing.assert_array_equal(held.data, before)
    np.testing.assert_array_equal(x.grad.data, [5, 5])
    assert x.grad is not held


def test_the_cotangent_is_never_written_to_nor_kept():
    x, w = normal(3, 4), normal(3, 4, seed=1)
    data = np.ones((3, 4))
    data.flags.writeable = False
    cotangent = Tensor(data)
    y = ((x + w) + x).reshape(3, 4).transpose(0, 1).transpose(0, 1)
    y.retain_grad()
    y.backward(cotangent)
    for tensor in (x, w, y):
        assert not np.shares_memory(tensor.grad.data, data)
    assert x.grad.data.flags.writeable
    np.testing.assert_array_equal(x.grad.data, 2)


def test_expanded_gradients_come_back_as_memory_of_their_own():
    x = normal(3, 4)
    x.sum().backward()
    x.grad.data[0, 0] = 7  # a broadcast view would be read-only, or change everywhere
    assert x.grad.data.sum() == 18


# In-place changes -----------------------------------------------------------------------------------------------------


def test_changed_leaves_are_noticed():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (x * w).sum()
    w.data[...] = 0
    w.bump_version()
    with pytest.raises(InPlaceError, match=r"shape \(2,\) that mul has saved was changed in place"):
        y.backward()
    assert x.grad is None and w.grad is None
    with pytest.raises(RuntimeError, match="changed in place"):
        grad(y, x)


@pytest.mark.parametrize(
    "view",
    [
        lambda w: w.T,
        lambda w: w.reshape(-1).reshape(2, 2),
        lambda w: w[:, :],
        lambda w: w.expand(2, 2),
        lambda w: w.flip(0),
        lambda w: w.narrow(0, 0, 2),
        lambda w: w.unsqueeze(0).squeeze(0).permute(1, 0),
    ],
)
def test_changes_are_noticed_through_views(view):
    x, w = normal(2, 2, requires_grad=False), normal(2, 2, seed=1)
    y = (x * view(w)).sum()
    w.data += 1
    w.bump_version()
    with pytest.raises(InPlaceError, match="that mul has saved was changed in place"):
        y.backward()


def test_changes_of_what_is_not_needed_are_no_matter():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (x + w).sum()
    copied = (x * w[[0, 1]]).sum()  # the saved array is a copy of w
    for tensor in (x, w):
        if tensor is w:
            tensor.data[...] = 0
            tensor.bump_version()
    y.backward()
    copied.backward()
    np.testing.assert_array_equal(x.grad.data, [4, 5])


def test_an_optimizer_step_between_forward_and_backward_is_noticed():
    layer = ml.nn.Linear(3, 2)
    optimizer = ml.optim.SGD(layer.parameters(), lr=0.1)
    first, second = layer(ml.ones(4, 3)).sum(), layer(ml.ones(4, 3, requires_grad=True)).sum()
    first.backward()
    optimizer.step()
    with pytest.raises(InPlaceError, match="optimizer step"):
        second.backward()


def test_replaced_data_is_noticed_under_create_graph():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    x.data = np.array([5.0, 6.0])
    with pytest.raises(InPlaceError, match="mul: data of an input was replaced"):
        grad(y, x, create_graph=True)


# Hooks ----------------------------------------------------------------------------------------------------------------


def test_hooks_see_complete_gradients():
    seen = {}
    x = leaf(2.0)
    y = x * 3.0
    z = y * y + y
    for name, tensor in (("x", x), ("y", y), ("z", z)):
        tensor.register_hook(lambda g, name=name: seen.setdefault(name, g.item()) and None)
    z.backward()
    assert seen == {"z": 1.0, "y": 13.0, "x": 39.0}


def test_hooks_may_replace_gradients_in_turn():
    x = leaf(2.0)
    y = x * 3.0
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: g + 1)
    x.register_hook(lambda g: -g)
    y.backward()
    assert x.grad.item() == -33
    root = leaf(1.0) * 1.0
    root.register_hook(lambda g: g * 0)
    root.backward()


def test_hooks_can_be_removed():
    x = leaf(2.0)
    y = x * 3.0
    calls = []
    for tensor in (x, y):
        handle = tensor.register_hook(lambda g: calls.append(1))
        other = tensor.register_hook(lambda g: calls.append(2))
        handle.remove()
        handle.remove()
        assert other is not handle
    with x.register_hook(lambda g: calls.append(3)):
        pass
    y.backward()
    assert calls == [2, 2]


def test_a_hook_may_remove_itself():
    x = leaf(1.0)
    calls = []

    def once(gradient):
        calls.append(gradient.item())
        handle.remove()

    handle = x.register_hook(once)
    x.register_hook(lambda g: calls.append("other"))
    (x * 2.0).backward()
    (x * 2.0).backward()
    assert calls == [2.0, "other", "other"]


def test_hooks_on_one_of_several_outputs():
    x = leaf(2.0)
    first, second = Pair()(x)
    seen = []
    first.register_hook(lambda g: seen.append("first"))
    second.register_hook(lambda g: g * 2)
    second.backward(retain_graph=True)
    assert seen == [] and x.grad.item() == 24


def test_hooks_run_for_grad_too():
    x = leaf(2.0)
    x.register_hook(lambda g: g * 5)
    y = x * x
    y.register_hook(lambda g: g * 2)
    assert grad(y, x)[0].item() == 40


@pytest.mark.parametrize(
    "answer", [5.0, Tensor(np.zeros(3)), Tensor(np.zeros(2, np.float32))], ids=["number", "shape", "dtype"]
)
def test_hooks_must_return_gradients(answer):
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: answer)
    with pytest.raises(GradientError, match=r"hook: must return None or a Tensor of shape \(2,\), dtype float64"):
        x.sum().backward()
    assert x.grad is None


def test_hooks_need_a_gradient():
    for method in ("retain_grad", "register_hook"):
        arguments = () if method == "retain_grad" else (print,)
        with pytest.raises(GradientError, match=f"{method}: this tensor does not require a gradient"):
            getattr(ml.ones(2), method)(*arguments)


def test_retain_grad():
    x = leaf(2.0)
    y = x * 3.0
    y.retain_grad()
    y.retain_grad()  # twice is once
    x.retain_grad()  # a leaf keeps its gradient anyway
    y.register_hook(lambda g: g * 2)  # what is kept is what flows on
    z = y * y
    z.backward(retain_graph=True)
    assert y.grad.item() == 24 and x.grad.item() == 72
    z.backward()
    assert y.grad.item() == 48
    assert not np.shares_memory(y.grad.data, x.grad.data)
    a, b = Pair()(x)
    b.retain_grad()
    a.backward()
    assert b.grad is None


# What backward may return ---------------------------------------------------------------------------------------------


def returning(result):
    class Careless(Function):
        def forward(self, *arrays):
            return arrays[0] * 1.0

        def backward(self, gy):
            return result(gy)

    return Careless()


@pytest.mark.parametrize(
    "result, message",
    [
        (lambda g: (g, g, g), "careless: backward returned 3 gradients for 2 inputs"),
        (lambda g: g, "careless: backward returned 1 gradients for 2 inputs"),
        (lambda g: None, "careless: backward returned 1 gradients for 2 inputs"),
        (lambda g: (g.sum(), g), r"careless: .* shape \(\) and dtype float64 for input 0 of shape \(2,\)"),
        (lambda g: (g, g.float()), "careless: .* dtype float32 for input 1 of shape .* dtype float64"),
        (lambda g: (g, g.long()), "careless: .* dtype int64 for input 1"),
        (lambda g: (g.data, g), "careless: backward returned ndarray for input 0"),
        (lambda g: (1.0, g), "careless: backward returned float for input 0"),
    ],
)
def test_backward_is_held_to_its_contract(result, message):
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = returning(result)(a, b)
    with pytest.raises(GradientError, match=message):
        y.sum().backward()
    assert a.grad is None and b.grad is None


def test_backward_may_return_lists_none_and_whatever_for_constants():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    returning(lambda g: [g, None])(a, b).sum().backward()
    assert b.grad is None
    np.testing.assert_array_equal(a.grad.data, [1, 1])
    returning(lambda g: (g, "nonsense"))(a, b.detach()).sum().backward()
    np.testing.assert_array_equal(a.grad.data, [2, 2])


# Failures -------------------------------------------------------------------------------------------------------------


def test_an_exception_in_backward_leaves_no_gradient_behind():
    class Fails(Function):
        def forward(self, x):
            return x * 1.0

        def backward(self, gy):
            raise ZeroDivisionError("planted")

    a, b = leaf(1.0), leaf(2.0)
    y = a * 2.0 + Fails()(b)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match="planted"):
            y.backward(retain_graph=True)
        assert a.grad is None and b.grad is None
        assert ml.is_grad_enabled()
    assert y.grad_fn.needs_input_grad == (True, True)


def test_a_gradient_that_cannot_be_added_leaves_the_others_alone():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    b.grad = ml.ones(3, dtype="float64")
    with pytest.raises(ShapeError, match="add"):
        (a + b).sum().backward()
    assert a.grad is None and b.grad.shape == (3,)


def test_an_exception_in_forward_leaves_nothing_behind():
    class Fails(Function):
        def forward(self, x):
            raise ZeroDivisionError("planted")

    x = leaf(1.0)
    node = Fails()
    with pytest.raises(ZeroDivisionError, match="planted"):
        node(x)
    assert node.edges == () and x.grad is None


def test_where_a_backward_pass_starts():
    x = leaf(1.0, 2.0)
    with pytest.raises(GradientError, match=r"shape \(2,\)\) does not require a gradient.*no_grad"):
        x.detach().backward()
    with pytest.raises(GradientError, match=r"left out only for a tensor of one element, this one has shape \(2,\)"):
        (x * 2).backward()
    with pytest.raises(ShapeError, match=r"backward: the gradient has shape \(3,\) but the tensor has shape \(2,\)"):
        (x * 2).backward(ml.ones(3, dtype="float64"))
    with pytest.raises(DtypeError, match="backward: the gradient is float32 but the tensor is float64"):
        (x * 2).backward(ml.ones(2))
    with pytest.raises(ArgumentTypeError, match="backward: the gradient must be a Tensor, got ndarray"):
        (x * 2).backward(np.ones(2))
    assert x.grad is None
    y = (x * 2).sum().reshape(1, 1)
    y.backward()
    np.testing.assert_array_equal(x.grad.data, [2, 2])


def test_what_grad_is_asked():
    x = leaf(1.0, 2.0)
    with pytest.raises(GradientError, match=r"grad: input 0 \(shape \(2,\)\) does not require a gradient"):
        grad(x.sum(), x.detach())
    with pytest.raises(GradientError, match="grad: 2 outputs but 1 grad_outputs"):
        grad([x.sum(), x.sum()], x, [None])
    with pytest.raises(ArgumentTypeError, match=r"grad: inputs\[1\] must be a Tensor, got float"):
        grad(x.sum(), [x, 1.0])
    with pytest.raises(ArgumentTypeError, match=r"grad: outputs\[0\] must be a Tensor, got NoneType"):
        grad([None], x)
    with pytest.raises(ArgumentTypeError, match="grad: outputs must be a Tensor or a sequence of Tensors, got float"):
        grad(3.0, x)
    with pytest.raises(ShapeError, match="grad: the gradient has shape"):
        grad(x * 2, x, ml.ones(3, dtype="float64"))
    (gradient,) = grad([x.sum(), x * 2], x, [None, Tensor(np.array([1.0, 2.0]))])
    np.testing.assert_array_equal(gradient.data, [3, 5])


def test_overflow_in_a_backward_pass_is_no_warning():
    x = leaf(0.0, 1.0)
    (x.sqrt() * x.log()).sum().backward()
    assert not np.isfinite(x.grad.data[0]) and np.isfinite(x.grad.data[1])


# Threads --------------------------------------------------------------------------------------------------------------


def in_threads(count, work):
    errors, results = [], [None] * count

    def run(i):
        try:
            results[i] = work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors and not any(thread.is_alive() for thread in threads)
    return results


def test_backward_in_several_threads_on_graphs_of_their_own():
    def work(i):
        x = leaf(float(i + 1))
        for _ in range(20):
            y = x
            for _ in range(50):
                y = y * 1.01
            (first,) = grad(y * y, x, create_graph=True)
            first.backward()
        return x.grad.item()

    for result in in_threads(4, work):
        assert result == pytest.approx(20 * 2 * 1.01**100)


def test_grad_mode_belongs_to_a_thread():
    barrier = threading.Barrier(2, timeout=30)

    def work(i):
        if i:
            with ml.no_grad():
                barrier.wait()
                barrier.wait()
                return (leaf(1.0) * 2.0).requires_grad
        barrier.wait()
        recorded = (leaf(1.0) * 2.0).requires_grad
        barrier.wait()
        return recorded

    with ml.no_grad():  # nor do threads inherit the mode of their maker
        assert in_threads(2, work) == [True, False]
