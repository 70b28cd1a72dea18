"""Results that wait until somebody looks: batch norms, their sums and ReLUs in one pass, and all gradients as ever."""

import copy
import pickle

import numpy as np
import pytest

import minidl as ml
import minidl.functional as F
from minidl import nn
from minidl.autograd import Tensor, grad, gradcheck, gradgradcheck, no_grad
from minidl.errors import DtypeError, GradientError, MissingAttributeError
from minidl.kernels import cpu

SHAPE = (4, 3, 5, 6)


class Calls:
    """How often each of some kernels was called, and with what."""

    def __init__(self, monkeypatch, *names):
        self.calls = {name: [] for name in names}
        for name in names:
            monkeypatch.setattr(cpu, name, self.counting(name, getattr(cpu, name)))

    def counting(self, name, kernel):
        def call(*args, **settings):
            self.calls[name].append((args, settings))
            return kernel(*args, **settings)

        return call

    def __getitem__(self, name):
        return len(self.calls[name])


@pytest.fixture
def calls(monkeypatch):
    return Calls(monkeypatch, "normalized_sum", "relu", "add", "relu_backward", "batch_norm_backward")


def make(*shape, seed=0, dtype=np.float32, requires_grad=True):
    return Tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype), requires_grad=requires_grad)


class Net:
    """What the operations start from: x, z, and two batch norms' parameters."""

    def __init__(self, dtype=np.float32, training=True):
        self.x, self.z = make(*SHAPE, dtype=dtype), make(*SHAPE, seed=1, dtype=dtype)
        self.parameters = [make(3, seed=seed, dtype=dtype) for seed in range(2, 6)]
        self.training = training

    def batch_norm(self, x=None, second=False):
        running = [None, None] if self.training else [make(3, seed=8, dtype=self.x.dtype, requires_grad=False), None]
        if not self.training:
            running[1] = running[0] * running[0] + 0.5
        weight, bias = self.parameters[2:] if second else self.parameters[:2]
        return F.batch_norm(self.x if x is None else x, *running, weight, bias, training=self.training)

    @property
    def leaves(self):
        return [self.x, self.z, *self.parameters]


def batch_norm(x=None, **settings):
    return F.batch_norm(make(*SHAPE) if x is None else x, None, None, training=True, **settings)


# Looking --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_computed_until_somebody_looks_and_then_once(calls, training):
    net = Net(training=training)
    y = net.batch_norm()
    assert calls["normalized_sum"] == 0
    first = y.data
    assert calls["normalized_sum"] == 1
    assert y.data is first and calls["normalized_sum"] == 1
    np.testing.assert_array_equal(y.tolist(), first.tolist())


@pytest.mark.parametrize(
    "look",
    [
        lambda y: y.shape,
        lambda y: y.dtype,
        lambda y: y.ndim,
        lambda y: y.requires_grad,
        lambda y: y.grad_fn,
        lambda y: y.is_leaf,
        lambda y: y.grad,
        lambda y: y.size(1),
        lambda y: y.retain_grad(),
        lambda y: y.register_hook(lambda g: None),
        lambda y: hash(y),
    ],
    ids="shape dtype ndim requires_grad grad_fn is_leaf grad size retain_grad hook hash".split(),
)
def test_what_is_known_without_the_values_computes_nothing(calls, look):
    net = Net()
    for y in (net.batch_norm(), net.batch_norm() + net.z, net.batch_norm() + net.batch_norm(second=True)):
        value = look(y)
        assert calls["normalized_sum"] == 0
        y.data  # noqa: B018
        assert calls["normalized_sum"] >= 1
        if not callable(getattr(value, "remove", None)):
            assert value == look(y) or value is None
        calls.calls["normalized_sum"].clear()
    assert (net.batch_norm().shape, net.batch_norm().ndim, net.batch_norm().dtype) == (SHAPE, 4, np.float32)


def test_a_result_that_nobody_looks_at_is_never_computed(calls):
    net = Net()
    y, running = net.batch_norm(), ml.zeros(3)
    F.batch_norm(net.x, running, ml.ones(3), training=True)
    del y
    assert calls["normalized_sum"] == 0
    assert running.data.any()


@pytest.mark.parametrize("operation", [lambda y: y * 2, lambda y: y.sum(), lambda y: y.reshape(-1), lambda y: y - y])
def test_any_other_operation_looks(calls, operation):
    net = Net()
    y = operation(net.batch_norm())
    assert calls["normalized_sum"] == 1
    seen = net.batch_norm()
    seen.data  # noqa: B018
    np.testing.assert_array_equal(y.data, operation(seen).data)


def test_statistics_that_change_later_change_no_result():
    """Those of evaluation are constants of the operation, whenever somebody looks."""
    mean, var = ml.zeros(3), ml.ones(3)
    x = make(*SHAPE)
    y = F.batch_norm(x, mean, var)
    expected = F.batch_norm(x, mean, var).data
    mean.data[...] = 100
    var.data[...] = 100
    np.testing.assert_array_equal(y.data, expected)


def test_infinities_and_nan_are_results_and_not_warnings_whenever_somebody_looks():
    x = Tensor(np.array([[[3e38, -3e38, 1.0, np.nan]]], np.float32))

    def ten_times():
        return F.batch_norm(x, ml.zeros(1), ml.ones(1), ml.full((1,), 10.0), eps=0.0)

    with np.errstate(all="raise"):
        np.testing.assert_array_equal(ten_times().data, np.float32([[[np.inf, -np.inf, 10, np.nan]]]))
        np.testing.assert_array_equal(F.relu(ten_times()).data, np.float32([[[np.inf, 0, 10, np.nan]]]))
        np.testing.assert_array_equal((x + ten_times()).data, np.float32([[[np.inf, -np.inf, 11, np.nan]]]))
        total = ten_times() + F.batch_norm(x, ml.zeros(1), ml.ones(1), ml.full((1,), -10.0), eps=0.0)
        np.testing.assert_array_equal(total.data, np.float32([[[np.nan, np.nan, 0, np.nan]]]))
        assert np.isnan(batch_norm(x).data).all()
        no_variance = F.batch_norm(x, ml.zeros(1), ml.zeros(1), eps=0.0)
        assert not np.isfinite(no_variance.data).any()


# Fused results --------------------------------------------------------------------------------------------------------

FORMS = {
    "relu": lambda net, seen: F.relu(seen(net.batch_norm())),
    "add": lambda net, seen: seen(net.batch_norm()) + net.z,
    "radd": lambda net, seen: net.z + seen(net.batch_norm()),
    "add-relu": lambda net, seen: F.relu(seen(seen(net.batch_norm()) + net.z)),
    "radd-relu": lambda net, seen: F.relu(seen(net.z + seen(net.batch_norm()))),
    "two": lambda net, seen: seen(net.batch_norm()) + seen(net.batch_norm(net.z, second=True)),
    "two-relu": lambda net, seen: F.relu(seen(seen(net.batch_norm()) + seen(net.batch_norm(net.z, second=True)))),
    "two-and-one": lambda net, seen: seen(net.z + seen(net.batch_norm())) + seen(net.batch_norm(second=True)),
    "three": lambda net, seen: (
        seen(net.batch_norm()) + seen(seen(net.batch_norm(net.z, second=True)) + seen(net.batch_norm(net.z)))
    ),
    "twice": lambda net, seen: (lambda y: y + y)(seen(net.batch_norm())),
    "itself-and-its-relu": lambda net, seen: (lambda y: F.relu(y) + y)(seen(net.batch_norm())),
    "itself-and-its-input": lambda net, seen: F.relu(seen(seen(net.batch_norm()) + net.x)),
    "one-after-another": lambda net, seen: F.relu(
        seen(net.batch_norm(F.relu(seen(net.batch_norm())), second=True) + net.z)
    ),
    "batch-norm-of-batch-norm": lambda net, seen: F.relu(seen(net.batch_norm(seen(net.batch_norm()), second=True))),
}
forms = pytest.mark.parametrize("form", FORMS)


def look_at(y):
    """The same tensor, computed: nothing that follows can be done in the same pass."""
    y.data  # noqa: B018
    return y


def assert_near(actual, expected, tolerance):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max()))


@forms
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_and_gradients_are_those_of_the_operations_one_by_one(form, training, dtype):
    gy = make(*SHAPE, seed=9, dtype=dtype, requires_grad=False)
    results = []
    for seen in (lambda y: y, look_at):
        net = Net(dtype, training)
        y = FORMS[form](net, seen)
        assert y.requires_grad and y.shape == SHAPE and y.dtype == dtype
        y.backward(gy)
        results.append([y.data, *[x.grad.data if x.grad is not None else None for x in net.leaves]])
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    for fused, plain in zip(*results, strict=True):
        assert (fused is None) == (plain is None)
        if plain is not None:
            assert fused.dtype == plain.dtype == dtype
            assert_near(fused, plain, tolerance)


@pytest.mark.parametrize("form", ["relu", "add", "radd", "two", "add-relu", "radd-relu", "two-relu"])
def test_a_fused_result_takes_one_pass(calls, form):
    FORMS[form](Net(), lambda y: y).data  # noqa: B018
    assert (calls["normalized_sum"], calls["relu"], calls["add"]) == (1, 0, 0)
    (_, others, relu), _ = calls.calls["normalized_sum"][0]
    assert relu == form.endswith("relu") and len(others) == ("add" in form)


@pytest.mark.parametrize("form", ["relu", "add", "radd", "two", "add-relu"])
def test_values_of_one_pass_are_exactly_those_of_several(form):
    fused, plain = (FORMS[form](Net(), seen) for seen in (lambda y: y, look_at))
    np.testing.assert_array_equal(fused.data, plain.data)


def test_the_batch_norm_before_a_relu_can_still_be_looked_at():
    net = Net()
    y = net.batch_norm()
    z = F.relu(y)
    total = y + net.z
    np.testing.assert_array_equal(z.data, np.maximum(y.data, 0))
    np.testing.assert_array_equal(total.data, y.data + net.z.data)


@pytest.mark.parametrize("other", [1.5, make(3, 1, 1), make(1, 3, 5, 6), make(6)], ids=["number", "C", "1CHW", "W"])
def test_broadcast_sums_are_right(other):
    net = Net()
    for total in (net.batch_norm() + other, other + net.batch_norm()):
        expected = net.batch_norm().data + (other if isinstance(other, float) else other.data)
        assert_near(total.data, expected, 1e-6)
        net.x.grad = None
        total.sum().backward()
        assert net.x.grad.shape == SHAPE


def test_sums_with_another_dtype_are_refused_as_ever():
    with pytest.raises(DtypeError, match="add: inputs have different float dtypes"):
        batch_norm() + make(*SHAPE, dtype=np.float64)
    with pytest.raises(DtypeError, match="add: inputs have different float dtypes"):
        make(*SHAPE, dtype=np.float64) + batch_norm()


def test_sums_with_integers_are_right():
    labels = ml.arange(int(np.prod(SHAPE))).reshape(SHAPE)
    total = batch_norm() + labels
    assert total.dtype == np.float32
    assert_near(total.data, batch_norm().data + labels.data.astype(np.float32), 1e-6)


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 7), (2, 3, 2, 3, 2)])
def test_batch_norms_of_any_rank_may_wait(shape):
    x, z = make(*shape), make(*shape, seed=1)
    y = F.relu(batch_norm(x) + z)
    np.testing.assert_array_equal(y.data, np.maximum(batch_norm(x).data + z.data, 0))


def test_an_empty_batch_may_wait():
    y = F.relu(F.batch_norm(ml.zeros(0, 3, 2), ml.zeros(3), ml.ones(3)) + ml.zeros(0, 3, 2))
    assert y.shape == y.data.shape == (0, 3, 2)


@pytest.mark.parametrize("form", ["relu", "add-relu", "two-relu"])
def test_half_precision_works_too(form):
    fused, plain = (Net(np.float16) for _ in range(2))
    results = [FORMS[form](fused, lambda y: y), FORMS[form](plain, look_at)]
    for y in results:
        y.backward(ml.ones(*SHAPE, dtype=np.float16))
    assert_near(results[0].data.astype(np.float32), results[1].data.astype(np.float32), 5e-3)
    assert_near(fused.x.grad.data.astype(np.float32), plain.x.grad.data.astype(np.float32), 2e-2)


# Backward -------------------------------------------------------------------------------------------------------------


def test_a_relu_hands_its_gradient_to_the_batch_norm_before_it_masked_but_not_computed(calls):
    net = Net()
    y = F.relu(net.batch_norm())
    y.backward(ml.ones(*SHAPE))
    (args, settings), *more = calls.calls["batch_norm_backward"]
    assert not more and calls["relu_backward"] == 0
    assert args[-1] is y.data or settings.get("relu_output") is y.data


def test_a_relu_after_anything_else_computes_its_gradient(calls):
    x = make(*SHAPE)
    F.relu(x).backward(ml.ones(*SHAPE))
    assert calls["relu_backward"] == 1
    np.testing.assert_array_equal(x.grad.data, x.data > 0)
    F.relu(x * 2).backward(ml.ones(*SHAPE))
    assert calls["relu_backward"] == 2


def plain_gradients(gy):
    """The gradients of x and of the batch norm's result under a ReLU, from unfused operations."""
    net = Net()
    y = look_at(net.batch_norm())
    masked = np.where(y.data > 0, gy.data, 0)
    return grad(y, net.x, Tensor(masked))[0].data, masked


def test_hooks_between_batch_norm_and_relu_see_and_change_the_gradient():
    gy = make(*SHAPE, seed=9, requires_grad=False)
    gx, masked = plain_gradients(gy)
    net, seen = Net(), []
    y = net.batch_norm()
    y.register_hook(lambda g: seen.append(g.data.copy()))
    F.relu(y).backward(gy)
    np.testing.assert_array_equal(seen, [masked])
    assert_near(net.x.grad.data, gx, 1e-6)

    net = Net()
    y = net.batch_norm()
    y.register_hook(lambda g: g * 3)
    F.relu(y).backward(gy)
    assert_near(net.x.grad.data, 3 * gx, 1e-6)

    net = Net()
    y = net.batch_norm()
    y.register_hook(lambda g: None)  # does not even look
    F.relu(y).backward(gy)
    assert_near(net.x.grad.data, gx, 1e-6)


def test_hooks_on_the_relu_and_on_the_input():
    gy = make(*SHAPE, seed=9, requires_grad=False)
    gx, _ = plain_gradients(gy)
    net, seen = Net(), []
    y = F.relu(net.batch_norm())
    y.register_hook(lambda g: g * 2)
    net.x.register_hook(lambda g: seen.append(g.data.copy()))
    y.backward(gy)
    assert_near(seen[0], 2 * gx, 1e-6)


def test_intermediate_gradients_are_retained():
    gy = make(*SHAPE, seed=9, requires_grad=False)
    gx, masked = plain_gradients(gy)
    net = Net()
    y = net.batch_norm()
    y.retain_grad()
    z = F.relu(y)
    z.retain_grad()
    z.backward(gy)
    np.testing.assert_array_equal(y.grad.data, masked)
    np.testing.assert_array_equal(z.grad.data, gy.data)
    assert_near(net.x.grad.data, gx, 1e-6)
    assert not np.shares_memory(z.grad.data, gy.data)


def test_gradients_with_respect_to_what_lies_between():
    gy = make(*SHAPE, seed=9, requires_grad=False)
    gx, masked = plain_gradients(gy)
    net = Net()
    y = net.batch_norm()
    z = F.relu(y)
    for_y, for_x = grad(z, [y, net.x], gy, retain_graph=True)
    np.testing.assert_array_equal(for_y.data, masked)
    assert_near(for_x.data, gx, 1e-6)
    (for_y,) = grad(z, y, gy)
    np.testing.assert_array_equal(for_y.data, masked)
    assert type(for_y) is Tensor and net.x.grad is None


def test_gradients_with_respect_to_a_waiting_sum():
    gy = make(*SHAPE, seed=9, requires_grad=False)
    net = Net()
    total = net.batch_norm() + net.z
    y = F.relu(total)
    for_total, for_z = grad(y, [total, net.z], gy)
    np.testing.assert_array_equal(for_total.data, np.where(y.data > 0, gy.data, 0))
    np.testing.assert_array_equal(for_z.data, for_total.data)
    assert not np.shares_memory(for_z.data, for_total.data)


def test_a_gradient_from_two_sides_adds_up():
    net, plain = Net(), Net()
    for case, seen in ((net, lambda y: y), (plain, look_at)):
        y = seen(case.batch_norm())
        (F.relu(y) * case.z + F.relu(y) + y * 2).sum().backward()
    for x, expected in zip(net.leaves, plain.leaves, strict=True):
        if expected.grad is not None:
            assert_near(x.grad.data, expected.grad.data, 2e-6)


def test_gradients_accumulate_over_passes():
    net = Net()
    y = F.relu(net.batch_norm() + net.z)
    y.backward(ml.ones(*SHAPE), retain_graph=True)
    first = net.x.grad.data.copy()
    y.backward(ml.ones(*SHAPE))
    np.testing.assert_array_equal(net.x.grad.data, 2 * first)
    with pytest.raises(GradientError, match="already freed"):
        y.backward(ml.ones(*SHAPE))


@forms
def test_a_recorded_backward_gives_the_same_gradients_and_can_be_differentiated(form):
    results = []
    for seen in (lambda y: y, look_at):
        net = Net(np.float64)
        y = FORMS[form](net, seen)
        leaves = [x for x in net.leaves if grad(y.sum(), x, retain_graph=True, allow_unused=True)[0] is not None]
        gy = make(*SHAPE, seed=9, dtype=np.float64, requires_grad=False)
        plain = grad(y, leaves, gy, retain_graph=True)
        recorded = grad(y, leaves, gy, create_graph=True)
        for a, b in zip(plain, recorded, strict=True):
            assert_near(a.data, b.data, 1e-12)
        penalty = sum((g * g).sum() for g in recorded)
        results.append([g.data for g in grad(penalty, leaves, allow_unused=True) if g is not None])
    assert len(results[0]) == len(results[1]) > 0
    for fused, plain in zip(*results, strict=True):
        assert_near(fused, plain, 1e-11)


def residual_block(x, w1, w2, weight, bias, training=True):
    running = (None, None) if training else (ml.zeros(2, dtype=np.float64), ml.ones(2, dtype=np.float64))
    y = F.conv2d(x, w1, padding=1)
    y = F.relu(F.batch_norm(y, *running, weight, bias, training=training))
    y = F.batch_norm(F.conv2d(y, w2, padding=1), *running, bias, weight, training=training)
    shortcut = F.batch_norm(x, *running, training=training)
    return F.relu(y + shortcut)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_gradcheck_of_a_residual_block(training):
    inputs = [make(*shape, seed=i, dtype=np.float64) for i, shape in enumerate([(2, 2, 3, 4), (2, 2, 3, 3)])]
    inputs += [make(2, 2, 3, 3, seed=2, dtype=np.float64), make(2, seed=3, dtype=np.float64)]
    inputs.append(Tensor(np.array([0.3, -0.2]), requires_grad=True))
    assert gradcheck(lambda *tensors: residual_block(*tensors, training=training), inputs)
    assert gradgradcheck(lambda *tensors: residual_block(*tensors, training=training), inputs)


def test_a_waiting_result_that_was_changed_in_place_is_noticed():
    """As for any operation: what it has saved must not change before backward."""
    net = Net()
    y = F.relu(net.batch_norm())
    net.parameters[0].data[...] = 0
    net.parameters[0].bump_version()
    with pytest.raises(ml.errors.InPlaceError, match="batch_norm has saved was changed in place"):
        y.sum().backward()


# Without a graph ------------------------------------------------------------------------------------------------------


@forms
def test_without_grad_values_are_the_same_and_nothing_is_recorded(form):
    with no_grad():
        y = FORMS[form](Net(), lambda y: y)
    assert not y.requires_grad and y.grad_fn is None
    assert_near(y.data, FORMS[form](Net(), look_at).data, 1e-6)


def test_what_was_made_without_grad_stays_so_in_a_later_sum():
    net = Net()
    with no_grad():
        y = net.batch_norm()
    total = F.relu(y + net.z)
    total.sum().backward()
    assert net.x.grad is None
    np.testing.assert_array_equal(net.z.grad.data, total.data > 0)


def test_layers_in_both_modes():
    block = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    x = make(2, 3, 6, 6, requires_grad=False)
    y = block(x)
    hidden = block[0](x)
    mean, var = hidden.data.mean((0, 2, 3)), hidden.data.var((0, 2, 3))
    expected = (hidden.data - mean.reshape(-1, 1, 1)) / np.sqrt(var.reshape(-1, 1, 1) + block[1].eps)
    assert_near(y.data, np.maximum(expected, 0), 1e-5)
    np.testing.assert_allclose(block[1].running_mean.data, 0.1 * mean, atol=1e-6)
    block.eval()
    y = block(x)
    mean, var = (buffer.data.reshape(-1, 1, 1) for buffer in (block[1].running_mean, block[1].running_var))
    assert_near(y.data, np.maximum((hidden.data - mean) / np.sqrt(var + block[1].eps), 0), 1e-5)


# As any other tensor --------------------------------------------------------------------------------------------------


def test_it_prints_its_values():
    with no_grad():
        assert repr(batch_norm()) == repr(look_at(batch_norm()))
    text = repr(batch_norm())
    assert text.startswith("tensor([[[[") and text.endswith("grad_fn=<batch_norm>)")


def test_it_gives_its_values_as_numbers_and_arrays():
    def one():
        return F.batch_norm(ml.full((1, 1), 3.0), ml.full((1,), 1.0), ml.full((1,), 4.0), eps=0.0)

    assert one().item() == 1.0
    assert float(one()) == 1.0 and int(one()) == 1 and bool(one()) and one().tolist() == [[1.0]]
    assert one().numpy().shape == (1, 1) and np.asarray(one()).item() == 1.0
    assert f"{one():.2f}" == "1.00" and len(one()) == 1 and 1.0 in one()
    assert one().numel() == 1 and one().nbytes == 4 and one().is_contiguous() and one().is_floating_point()


@pytest.mark.parametrize("looked", [False, True])
def test_it_is_copied_like_any_other(looked):
    with no_grad():
        y = batch_norm()
        expected = batch_norm().data
    if looked:
        look_at(y)
    for twin in (copy.deepcopy(y), copy.copy(y), pickle.loads(pickle.dumps(y)), y.clone(), y.detach()):
        assert twin.shape == SHAPE and twin.ndim == 4 and twin.dtype == np.float32
        np.testing.assert_array_equal(twin.data, expected)
        np.testing.assert_array_equal(F.relu(twin).data, np.maximum(expected, 0))
        np.testing.assert_array_equal((twin + twin).data, expected + expected)
    deep = copy.deepcopy(y)
    deep.data[...] = 0
    np.testing.assert_array_equal(y.data, expected)


def test_only_leaves_can_be_deepcopied():
    with pytest.raises(GradientError, match="deepcopy: only leaf tensors can be copied, this one was made by batch_"):
        copy.deepcopy(batch_norm())


def test_detached_it_has_no_history():
    y = batch_norm().detach()
    assert not y.requires_grad and y.grad_fn is None and not F.relu(y).requires_grad


@pytest.mark.parametrize("looked", [False, True])
def test_data_that_is_set_takes_the_place_of_what_was_waiting(looked):
    with no_grad():
        y = batch_norm()
    if looked:
        look_at(y)
    new = np.full((2, 3), -1.0, np.float64)
    y.data = new
    assert y.data is new
    assert y.shape == (2, 3) and y.ndim == 2 and y.dtype == np.float64
    assert not F.relu(y).data.any()
    np.testing.assert_array_equal((y + y).data, 2 * new)


def test_an_unknown_attribute_is_named():
    for y in (batch_norm(), look_at(batch_norm())):
        with pytest.raises(MissingAttributeError, match="a Tensor has no attribute 'colour'"):
            y.colour  # noqa: B018


def test_it_is_a_tensor():
    y = batch_norm()
    assert isinstance(y, Tensor)
    assert not hasattr(make(2), "deferred")


# Where the maxima are -------------------------------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch):
    return Calls(monkeypatch, "recorded_indices")


def test_the_indices_of_max_pooling_are_computed_only_when_asked_for(counted):
    x = make(8, 2, 4, 6)
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    y.sum().backward()
    assert (indices.shape, indices.ndim, indices.dtype) == ((8, 2, 2, 3), 4, np.int64)
    assert not indices.requires_grad and counted["recorded_indices"] == 0
    found = indices.data
    assert counted["recorded_indices"] == 1 and indices.data is found
    np.testing.assert_array_equal(
        np.take_along_axis(x.data.reshape(8, 2, 24), found.reshape(8, 2, 6), 2), y.data.reshape(8, 2, 6)
    )


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 3, 0, 1), (1, 2, 3, 0)], ids=["NCHW", "HWNC", "CHWN"])
@pytest.mark.parametrize("window", [(2, None, 0), (3, 2, 1), (2, 1, 0)], ids=["2", "3-stride2-padding1", "2-stride1"])
def test_max_pooling_without_indices_never_computes_them(counted, order, window):
    x = make(*[(8, 2, 5, 6)[axis] for axis in order]).permute(*np.argsort(order).tolist()).detach()
    x.requires_grad = True
    F.max_pool2d(x, *window).sum().backward()
    assert counted["recorded_indices"] == 0


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 3, 0, 1), (1, 2, 3, 0)], ids=["NCHW", "HWNC", "CHWN"])
def test_a_recorded_backward_of_max_pooling_scatters_to_the_indices(counted, order):
    x = make(*[(8, 2, 5, 6)[axis] for axis in order]).permute(*np.argsort(order).tolist()).detach()
    x.requires_grad = True
    y = F.max_pool2d(x, 2)
    gy = make(8, 2, 2, 3, seed=1)
    (plain,) = grad(y, x, gy, retain_graph=True)
    assert counted["recorded_indices"] == 0
    (recorded,) = grad(y, x, gy, create_graph=True)
    assert counted["recorded_indices"] == 1
    np.testing.assert_array_equal(plain.data, recorded.data)
    (again,) = grad((recorded * recorded).sum(), gy)
    np.testing.assert_array_equal(again.data, 2 * gy.data)


def test_indices_can_be_used_before_anybody_has_looked_at_them():
    x = make(8, 2, 4, 6)
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    back = F.max_unpool2d(y, indices, 2)
    expected = np.where(x.data == np.repeat(np.repeat(y.data, 2, 2), 2, 3), x.data, 0)
    np.testing.assert_array_equal(back.data, expected)
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    twin = copy.deepcopy(indices)
    assert twin.shape == (8, 2, 2, 3) and (twin.data == indices.data).all()
