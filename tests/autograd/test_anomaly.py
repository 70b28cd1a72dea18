"""The first NaN or infinity is found where it is made, with the line, the layer and the cause; nothing else is."""

import pickle
import threading

import numpy as np
import pytest

import minidl as ml
from minidl import functional as F
from minidl import nn
from minidl.autograd import Anomaly, Function, detect_anomaly, engine
from minidl.errors import NonFiniteError
from minidl.models import LeNet5
from tests.op_cases import ALL_CASES
from tests.test_operations import draw, gradients, tensors

INF, NAN = float("inf"), float("nan")


def leaf(*values, dtype="float32"):
    return ml.tensor(np.array(values, dtype), requires_grad=True)


def found(compute):
    with pytest.raises(NonFiniteError, match="^detect_anomaly: the ") as caught, detect_anomaly():
        compute()
    return caught.value.anomaly


def exploded():
    weight = leaf([1e30, 1.0], [1.0, 1.0])
    weight.grad = ml.tensor(np.full((2, 2), 3e8, np.float32))
    return ml.tensor([[1e10, 1.0]]) @ weight


def destroyed():
    weight = leaf([NAN, 1.0])
    weight.grad = ml.tensor([[INF, 1.0]])
    return ml.ones(3, 1) @ weight


FORWARD = {
    "log of 0": (lambda: leaf(1.0, 0.0).log(), "log", -INF, (1,), "log of 0: 1 of 2 elements are 0"),
    "log of a negative": (lambda: leaf(-2.0, 1.0).log(), "log", NAN, (0,), "log of a negative number: 1 elements"),
    "log1p at -1": (lambda: leaf(-1.0).log1p(), "log1p", -INF, (0,), "log of 0: 1 of 1 elements are -1"),
    "sqrt of a negative": (lambda: leaf(4.0, -9.0).sqrt(), "sqrt", NAN, (1,), "root of a negative number: .* -9"),
    "rsqrt of 0": (lambda: leaf(0.0).rsqrt(), "rsqrt", INF, (0,), "division by a root of 0: 1 elements"),
    "division by 0": (lambda: leaf(1.0, 2.0) / leaf(1.0, 0.0), "div", INF, (1,), "division by 0: 1 of the divisor"),
    "0 / 0": (lambda: leaf(0.0) / leaf(0.0), "div", NAN, (0,), "division of 0 by 0"),
    "zero norm": (
        lambda: (x := leaf([3.0, 4.0], [0.0, 0.0])) / x.norm(dim=1, keepdim=True),
        "div", NAN, (1, 0), "division by a zero norm",
    ),
    "overflow in exp": (lambda: leaf(1.0, 90.0).exp(), "exp", INF, (1,), r"overflow in exp: .* is 90, .* e\^88.72"),
    "0 to -1": (lambda: leaf(0.0) ** -1, "pow", INF, (0,), "0 to a negative power: 1 elements"),
    "root of a negative power": (lambda: leaf(-1.0) ** 0.5, "pow", NAN, (0,), "a negative number to a power"),
    "inf - inf": (lambda: leaf(INF, 1.0) - leaf(INF, 1.0), "sub", NAN, (0,), "inf − inf"),
    "0 * inf": (lambda: leaf(1.0, 0.0) * leaf(1.0, INF), "mul", NAN, (1,), "0 · inf: an infinity meets a 0"),
    "empty mean": (lambda: leaf().mean(), "mean", NAN, (), "mean over no elements"),
    "variance of one": (lambda: leaf(2.0).var(), "var", NAN, (0,), "var over too few elements"),
    "softmax over -inf": (
        lambda: leaf([1.0, 2.0], [-INF, -INF]).softmax(1), "softmax", NAN, (1, 0), "a row that is all −inf",
    ),
    "softmax over inf": (lambda: F.log_softmax(leaf(1.0, INF), 0), "log_softmax", NAN, (0,), r"softmax over \+inf: 1"),
    "float16": (lambda: leaf(300.0, 1.0, dtype="float16") * 300.0, "mul", INF, (0,), "float16 overflow: .* 300"),
    "bad data": (
        lambda: F.linear(ml.tensor([[1.0, NAN]]), leaf([1.0, 2.0])),
        "linear", NAN, (0, 0), "bad input data: input 0 holds 1 NaN",
    ),
    "exploding step": (
        exploded, "mat_mul", INF, (0, 0),
        r"exploding step: input 1, a parameter, reaches 1e\+30 \(its last gradient has norm 6e\+08\)",
    ),
    "destroyed parameter": (
        destroyed, "mat_mul", NAN, (0, 0), "an update has destroyed it .its last gradient has 1 NaN or infinite",
    ),
    "exploding activations": (
        lambda: (ml.full((2,), 1e25) * leaf(1.0, 1.0)) * ml.full((2,), 1e25),
        "mul", INF, (0,), r"overflow: the operands reach 1e\+25, and float32 ends at 3.4e\+38",
    ),
}  # fmt: skip


def back(compute):
    """Backward under detection too, so that the forward's line is known."""
    return lambda: compute().sum().backward()


def masked_root():
    x = leaf(4.0, 0.0)
    return ml.where(x > 0, x.sqrt(), ml.zeros(2))


def masked_log():
    x = leaf(4.0, 0.0)
    return ml.where(x > 0, x**-0.5, ml.zeros(2))


def two_ways():
    x = leaf(1e-38)
    y = x * 1.0
    return y * 2e38 + y * 3e38


def bad_hook():
    y = leaf(1.0) * 2.0
    y.register_hook(lambda gradient: ml.full_like(gradient, NAN))
    return y * 3.0


BACKWARD = {
    "sqrt at 0": (back(lambda: leaf(4.0, 0.0).sqrt()), "sqrt", INF, (1,), "sqrt at 0: its slope there is infinite"),
    "power at 0": (back(lambda: leaf(0.0) ** 0.25), "pow", INF, (0,), "the power at 0: its slope"),
    "where after sqrt": (back(masked_root), "sqrt", NAN, (1,), "0 · inf: .*a where after it comes too late"),
    "log near 0": (back(lambda: leaf(1e-39).log()), "log", INF, (0,), "the slope of log is steep near 0: .* 1e-39"),
    "tiny divisor": (
        back(lambda: ml.tensor([1e-20]) / leaf(1e-30)), "div", -INF, (0,), "the slope of div is steep near 0",
    ),
    "exploding gradient": (
        back(lambda: leaf(1e-30) * 1e30 * 1e30), "mul", INF, (0,), r"exploding gradient: .* norm 1e\+30",
    ),
    "sum of two ways": (back(two_ways), "add", INF, (0,), r"exploding gradient: .* norm 3e\+38"),
    "float16 gradient": (
        back(lambda: leaf(0.001, dtype="float16") * 300.0 * 300.0), "mul", INF, (0,), "float16 overflow",
    ),
    "hook": (
        back(bad_hook), "mul", NAN, (0,), "the gradient that arrives is NaN already: .* a hook",
    ),
    "given": (
        lambda: (leaf(1.0) * 2.0).backward(ml.tensor([NAN])), "mul", NAN, (0,), "it was given to backward",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORWARD)
def test_forward(name):
    compute, operation, value, index, cause = FORWARD[name]
    anomaly = found(compute)
    assert (anomaly.phase, anomaly.operation, anomaly.index) == ("forward", operation, index)
    np.testing.assert_equal(anomaly.value, value)
    with pytest.raises(NonFiniteError, match=cause), detect_anomaly():
        compute()
    assert anomaly.source.startswith("test_anomaly.py:") and anomaly.operands


@pytest.mark.parametrize("name", BACKWARD)
def test_backward(name):
    compute, operation, value, index, cause = BACKWARD[name]
    anomaly = found(compute)
    assert (anomaly.phase, anomaly.operation, anomaly.index) == ("backward", operation, index)
    np.testing.assert_equal(anomaly.value, value)
    with pytest.raises(NonFiniteError, match=cause), detect_anomaly():
        compute()


class Steep(nn.Module):
    def forward(self, x):
        y = x * 2.0
        return y.sqrt()  # the line to be named


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Identity(), Steep())

    def forward(self, x):
        return self.body(x).sum()


def test_backward_names_the_line_and_the_layer_of_the_forward():
    net, x = Net(), leaf(1.0, 0.0)
    with pytest.raises(NonFiniteError, match=r"\[in layer body.1\]$") as caught, detect_anomaly():
        net(x).backward()
    anomaly = caught.value.anomaly
    assert anomaly.source.endswith("in forward: return y.sqrt()  # the line to be named")
    assert anomaly.layer == "body.1 (Steep)" and caught.value.layer_path == "body.1"
    assert x.grad is None


def test_forward_names_the_layer_once():
    with pytest.raises(NonFiniteError, match=r"\[in layer body.1\]$") as caught, detect_anomaly():
        Net()(leaf(-1.0))
    assert str(caught.value).count("body.1") == 1 and caught.value.anomaly.layer == "body.1 (Steep)"


def test_the_report_reads_well():
    with pytest.raises(NonFiniteError, match="likely cause") as caught, detect_anomaly():
        leaf([1.0, 2.0], [0.0, 3.0]).log()
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        "detect_anomaly: the forward of log gave -inf in its result of shape (2, 2), first at index (1, 0)"
    )
    assert lines[2] == (
        "  input 0: shape (2, 2) float32, min 0, mean 1.5, max 3, 0 NaN, 0 infinite, 1 zero; at (1, 0): 0"
    )
    assert lines[3].startswith("  written at: test_anomaly.py:") and lines[3].endswith("[0.0, 3.0]).log()")
    copied = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(copied.anomaly, Anomaly) and str(copied) == str(caught.value)


def test_a_forward_that_ran_outside_has_no_line():
    y = leaf(0.0).sqrt()
    assert found(y.backward).source == ""


def test_several_outputs():
    class Twins(Function):
        def forward(self, x):
            return x, np.log(x)

    with pytest.raises(NonFiniteError, match=r"of twins gave -inf in output 1 of shape \(1,\).*\n.*unknown"):
        with detect_anomaly():
            Twins()(leaf(0.0))


@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.name)
def test_no_operation_gives_a_false_alarm(case):
    with detect_anomaly():
        gradients(case, tensors(case, draw(case)))


def test_infinities_that_are_meant():
    mask = ml.tensor([[False, True, False]])
    with detect_anomaly():
        logits = leaf([1.0, 2.0, 3.0]).masked_fill(mask, -INF)
        logits.softmax(1)[:, 0].sum().backward()
        logits = ml.where(mask, ml.full((1, 3), -INF), leaf([1.0, 2.0, 3.0]))
        (logits.logsumexp(1).sum() + logits.max() + F.log_softmax(logits, 1)[0, 0]).backward()
        bias = ml.full((1, 3), 0.0).masked_fill(mask, -INF)
        (leaf([1.0, 2.0, 3.0]) + bias).softmax(1).max().backward()
        F.max_pool2d(ml.full((1, 1, 4, 4), -INF), 2)
        leaf([1.0, 2.0, 3.0]).masked_fill(mask, NAN).isnan()
        leaf(5.0).clamp(max=INF)
        leaf(0.0).norm().backward()
        leaf(2.0, 2.0).std().backward()
        F.normalize(leaf([0.0, 0.0])).sum().backward()


def lenet_step():
    ml.manual_seed(0)
    model = LeNet5()
    loss = F.cross_entropy(model(ml.rand(4, 1, 28, 28)), ml.tensor([1, 2, 3, 4]))
    loss.backward()
    return [loss, *(parameter.grad for parameter in model.parameters())]


def test_it_changes_no_number():
    plain = lenet_step()
    with detect_anomaly():
        watched = lenet_step()
    for a, b in zip(plain, watched, strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-5, atol=1e-7)


def places():
    return Function.__call__, Function.computed, engine._propagate, engine._sum, engine.run, engine.backward


def test_outside_nothing_is_left():
    before = places()
    with pytest.raises(NonFiniteError, match="root of a negative"), detect_anomaly(), detect_anomaly():
        leaf(-1.0).sqrt()
    assert all(a is b for a, b in zip(places(), before, strict=True))
    x = leaf(0.0)
    x.sqrt().backward()
    assert x.grad.item() == INF and x.sqrt().grad_fn._made is None


def test_on_every_device(device):
    x = leaf([1.0, 0.0]).to(device)
    assert found(x.log).index == (0, 1)
    assert "sqrt at 0" in found(lambda: x.sqrt().sum().backward()).cause


def test_it_decorates():
    @detect_anomaly()
    def step():
        return leaf(0.0).log()

    for _ in range(2):
        with pytest.raises(NonFiniteError, match="log of 0"):
            step()


@pytest.mark.parametrize("profile_leaves_first", [True, False])
def test_a_profile_may_come_and_go_in_between(profile_leaves_first):
    before = places()
    detection, profile = detect_anomaly(), ml.profile()
    first, second = (profile, detection) if profile_leaves_first else (detection, profile)
    first.__enter__()
    second.__enter__()
    with pytest.raises(NonFiniteError, match="log of 0"):
        leaf(1.0, 0.0).log()
    first.__exit__(None, None, None)
    if first is profile:
        with pytest.raises(NonFiniteError, match="log of 0"):
            leaf(1.0, 0.0).log()
    else:
        leaf(1.0, 0.0).log()
    second.__exit__(None, None, None)
    assert all(a is b for a, b in zip(places(), before, strict=True))
    assert [event.name for event in profile.events] == ["log"]


def test_other_threads_are_left_alone():
    results = []
    with detect_anomaly():
        thread = threading.Thread(target=lambda: results.append(leaf(0.0).log().item()))
        thread.start()
        thread.join()
    assert results == [-INF]


def test_gradients_of_gradients():
    x = leaf(0.0)
    with pytest.raises(NonFiniteError, match="the backward of pow gave inf"), detect_anomaly():
        (first,) = ml.grad((x**1.5).sum(), x, create_graph=True)
        first.sum().backward()
