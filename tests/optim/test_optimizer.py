"""What optimizers share: groups, gradients that are absent or wrong, state dicts, errors."""

import json

import numpy as np
import pytest

import minidl as ml
import minidl.optim as optim
from minidl import nn
from minidl.autograd import Tensor, is_grad_enabled, no_grad
from minidl.errors import (
    ArgumentError,
    ArgumentTypeError,
    DeviceError,
    DtypeError,
    InPlaceError,
    ShapeError,
    StateDictError,
)


def parameter(*shape, value=1.0, grad=None):
    p = nn.Parameter(np.full(shape, value))
    if grad is not None:
        p.grad = Tensor(np.full(shape, float(grad)))
    return p


def trained(make=optim.Adam, **settings):
    """An optimizer of two groups after a step, and its parameters."""
    parameters = [parameter(2, grad=1), parameter(3, grad=2), parameter(4, grad=3)]
    optimizer = make([{"params": parameters[:2]}, {"params": parameters[2:], "lr": 0.5}], **settings)
    optimizer.step()
    return optimizer, parameters


class TestGroups:
    def test_settings_of_a_group_take_the_place_of_the_defaults(self):
        a, b = parameter(1, grad=1), parameter(1, grad=1)
        optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
        optimizer.step()
        assert a.tolist() == [0.9] and b.tolist() == [0.5]
        assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5]
        assert set(optimizer.param_groups[0]) == {"params", *optimizer.defaults}

    def test_settings_can_change(self):
        a = parameter(1, grad=1)
        optimizer = optim.SGD([a], lr=0.1)
        optimizer.param_groups[0]["lr"] = 0.25
        optimizer.step()
        assert a.tolist() == [0.75]

    def test_add_param_group(self):
        a, b = parameter(1), parameter(1, grad=1)
        optimizer = optim.SGD(iter([a]), lr=0.1)
        optimizer.add_param_group({"params": b, "lr": 1.0})
        optimizer.step()
        assert len(optimizer.param_groups) == 2 and b.tolist() == [0]

    def test_a_dict_given_stays_as_it_is(self):
        group = {"params": [parameter(1)]}
        optim.SGD([group], lr=0.1)
        assert set(group) == {"params"}

    def test_generator_of_parameters_in_a_group(self):
        net = nn.ParameterList([parameter(1), parameter(2)])
        assert len(optim.SGD([{"params": net.parameters()}], lr=1).param_groups[0]["params"]) == 2

    def test_repr(self):
        text = repr(optim.SGD([parameter(1), parameter(2)], lr=0.5))
        assert text.startswith("SGD(\n  group 0: 2 parameters\n    dampening: 0.0\n    lr: 0.5\n")


class TestStep:
    def test_skips_parameters_without_gradient(self):
        a, b = parameter(1), parameter(1, grad=1)
        optimizer = optim.Adam([a, b], weight_decay=1)
        optimizer.step()
        assert a.tolist() == [1] and b.tolist() != [1] and list(optimizer.state) == [b]

    def test_updates_in_place_and_leaves_the_gradient_alone(self):
        for make in (optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad):
            p = parameter(3, grad=1)
            data, gradient = p.data, p.grad.data
            make([p], weight_decay=0.1, maximize=True).step()
            assert p.data is data and p.grad.data is gradient and gradient.tolist() == [1, 1, 1]

    def test_closure(self):
        p = parameter(1)
        optimizer = optim.SGD([p], lr=0.1)

        def closure():
            assert is_grad_enabled()
            optimizer.zero_grad()
            loss = (p * p).sum()
            loss.backward()
            return loss

        with no_grad():
            assert optimizer.step(closure).item() == 1
        np.testing.assert_allclose(p.data, 0.8)
        assert optimizer.step() is None

    def test_strided_parameters(self):
        whole = np.ones((4, 3))
        p = nn.Parameter(whole[::2].T)
        p.grad = Tensor(np.ones((2, 3)).T)
        optim.SGD([p], lr=1.0, momentum=0.9, nesterov=True).step()
        assert whole[::2].max() < 0 and whole[1::2].min() == 1

    def test_empty_and_zero_dimensional_parameters(self):
        a, b = parameter(0, grad=1), parameter(grad=1)
        optimizer = optim.Adam([a, b], lr=0.1)
        optimizer.step()
        assert b.item() == pytest.approx(0.9)
        other = optim.Adam([a, b])
        other.load_state_dict(optimizer.state_dict())
        assert other.state[b]["exp_avg"].shape == () and other.state[b]["step"] == 1

    def test_centered_rmsprop_with_constant_gradient_stays_finite(self):
        p = nn.Parameter(np.ones(1000, np.float32))
        optimizer = optim.RMSprop([p], centered=True, alpha=0.0)
        for _ in range(3):
            p.grad = Tensor(np.linspace(0.1, 3, 1000, dtype=np.float32))
            optimizer.step()
        assert np.isfinite(p.data).all()

    def test_zero_grad(self):
        p = parameter(2, grad=1)
        optimizer = optim.SGD([p])
        optimizer.zero_grad(set_to_none=False)
        assert p.grad.tolist() == [0, 0]
        optimizer.zero_grad()
        assert p.grad is None

    def test_backward_after_step_through_an_old_graph_is_refused(self):
        p = parameter(2, grad=1)
        loss = (p * p).sum()
        optim.SGD([p], lr=0.1).step()
        with pytest.raises(InPlaceError, match="changed in place"):
            loss.backward()

    def test_learns(self):
        p = parameter(2, value=4.0)
        for make in (optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad):
            p.data[...] = 4
            optimizer = make([p], lr=0.1)
            for _ in range(300):
                optimizer.zero_grad()
                ((p - 3) ** 2).sum().backward()
                optimizer.step()
            assert np.abs(p.data - 3).max() < 0.1, make.__name__

    def test_wrong_gradients(self):
        p = parameter(2)
        p.grad = Tensor(np.ones(3))
        with pytest.raises(ShapeError, match=r"SGD: a parameter of shape \(2,\) has a gradient of shape \(3,\)"):
            optim.SGD([p]).step()
        p.grad = Tensor(np.ones(2, np.float32))
        with pytest.raises(DtypeError, match="a parameter of dtype float64 has a gradient of dtype float32"):
            optim.SGD([p]).step()


class TestStateDict:
    def test_form(self):
        optimizer, parameters = trained(lr=0.1)
        state = optimizer.state_dict()
        assert [group["params"] for group in state["param_groups"]] == [[0, 1], [2]]
        assert sorted(state["state"]) == [0, 1, 2]
        assert set(state["state"][2]) == {"step", "exp_avg", "exp_avg_sq"} and state["state"][2]["step"] == 1
        assert state["param_groups"][1]["lr"] == 0.5
        json.dumps(state["param_groups"])

    def test_survives_json_and_tensors(self):
        optimizer, parameters = trained(lr=0.1, betas=(0.5, 0.6))
        state = optimizer.state_dict()
        state = {
            "param_groups": json.loads(json.dumps(state["param_groups"])),
            "state": {
                str(position): {k: v if k == "step" else Tensor(v) for k, v in entries.items()}
                for position, entries in state["state"].items()
            },
        }
        other = optim.Adam([{"params": parameters[:2]}, {"params": parameters[2:]}])
        other.load_state_dict(state)
        assert other.param_groups[0]["betas"] == (0.5, 0.6) and other.param_groups[1]["lr"] == 0.5
        mean = other.state[parameters[2]]["exp_avg"]
        np.testing.assert_array_equal(mean, optimizer.state[parameters[2]]["exp_avg"])
        assert mean is not optimizer.state[parameters[2]]["exp_avg"]

    def test_casts_to_the_parameter(self):
        optimizer, _ = trained()
        p = [nn.Parameter(np.ones(n, np.float32)) for n in (2, 3, 4)]
        other = optim.Adam([{"params": p[:2]}, {"params": p[2:]}])
        other.load_state_dict(optimizer.state_dict())
        assert other.state[p[0]]["exp_avg"].dtype == np.float32

    def test_reads_absent_entries(self):
        p = parameter(2, grad=1)
        optimizer = optim.SGD([p], lr=0.5, momentum=0.5)
        optimizer.load_state_dict({**optimizer.state_dict(), "state": {0: {"momentum_buffer": None}}})
        optimizer.step()
        assert p.tolist() == [0.5, 0.5]

    def test_before_the_first_step(self):
        p = parameter(2, grad=1)
        optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
        optimizer.load_state_dict(optim.SGD([parameter(2)], lr=0.5, momentum=0.5).state_dict())
        optimizer.step()
        assert p.tolist() == [0.5, 0.5]

    @pytest.mark.parametrize(
        "spoil, message",
        [
            (lambda s: s.pop("state"), "needs a dict with the keys 'state' and 'param_groups'"),
            (lambda s: s["param_groups"].pop(), r"saved groups have \[2\] parameters, those here \[2, 1\]"),
            (lambda s: s["param_groups"][0]["params"].pop(), r"saved groups have \[1, 1\] parameters"),
            (lambda s: s.update(state=3), "'state' must be a dict, and each of 'param_groups' one with 'params'"),
            (lambda s: s["param_groups"][0].pop("params"), "each of 'param_groups' one with 'params'"),
            (lambda s: s["state"].update({7: {}}), "parameter 7 of the state is in no group"),
            (
                lambda s: s["state"][1].update(exp_avg=np.ones(5)),
                r"'exp_avg' of parameter 1 must be an array of shape \(3,\), got shape \(5,\)",
            ),
            (lambda s: s["state"][1].update(exp_avg=3.0), r"'exp_avg' of parameter 1 must be .* got float"),
        ],
    )
    def test_refuses_what_does_not_fit_and_changes_nothing(self, spoil, message):
        optimizer, parameters = trained(lr=0.1)
        state = optimizer.state_dict()
        state["param_groups"][0]["lr"] = 77.0
        spoil(state)
        with pytest.raises(StateDictError, match=message):
            optimizer.load_state_dict(state)
        assert optimizer.param_groups[0]["lr"] == 0.1 and len(optimizer.state) == 3

    def test_refuses_impossible_settings(self):
        optimizer, _ = trained(lr=0.1)
        state = optimizer.state_dict()
        state["param_groups"][1]["lr"] = -1.0
        with pytest.raises(ArgumentError, match="Adam: lr must be a number ≥ 0, got -1.0"):
            optimizer.load_state_dict(state)
        assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5]

    def test_reads_pytorch(self):
        torch = pytest.importorskip("torch")
        theirs = torch.ones(2, dtype=torch.float64, requires_grad=True)
        other = torch.optim.Adam([theirs], lr=0.25)
        theirs.grad = torch.ones_like(theirs)
        other.step()
        state = other.state_dict()
        state["state"] = {i: {k: v.numpy() for k, v in entries.items()} for i, entries in state["state"].items()}
        p = parameter(2)
        optimizer = optim.Adam([p])
        optimizer.load_state_dict(state)
        p.data[...] = theirs.detach().numpy()
        p.grad, theirs.grad = Tensor(np.full(2, 3.0)), torch.full((2,), 3.0, dtype=torch.float64)
        optimizer.step()
        other.step()
        np.testing.assert_allclose(p.data, theirs.detach().numpy(), rtol=1e-14)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: optim.SGD([]), ArgumentError, "SGD: got an empty parameter list"),
        (lambda: optim.SGD(parameter(1)), ArgumentTypeError, "params is a Parameter; give model.parameters"),
        (lambda: optim.SGD(None), ArgumentTypeError, "params is a NoneType"),
        (lambda: optim.SGD([{"lr": 1.0}]), ArgumentTypeError, "a dict with the key 'params', got {'lr': 1.0}"),
        (lambda: optim.SGD([parameter(1)], lr="0.1"), ArgumentError, "lr must be a number ≥ 0, got '0.1'"),
        (lambda: optim.SGD([np.ones(2)]), ArgumentTypeError, r"params\[0\] is a ndarray, not a Tensor"),
        (lambda: optim.SGD([("w", parameter(1))]), ArgumentTypeError, r"params\[0\] is a tuple"),
        (
            lambda: optim.SGD([parameter(1) * 2]),
            ArgumentError,
            r"params\[0\] of shape \(1,\) is the result of an operation",
        ),
        (lambda: optim.SGD([p := parameter(1), p]), ArgumentError, "is in this optimizer already"),
        (lambda: optim.SGD([{"params": [p := parameter(1)]}, {"params": p}]), ArgumentError, "in one group only"),
        (lambda: optim.SGD([{"params": {parameter(1)}}]), ArgumentTypeError, "params is a set"),
        (
            lambda: optim.SGD([parameter(1)]).add_param_group([]),
            ArgumentTypeError,
            r"a parameter group is a dict with the key 'params', got \[\]",
        ),
        (lambda: optim.SGD([parameter(1)], lr=-1), ArgumentError, "SGD: lr must be a number ≥ 0, got -1"),
        (lambda: optim.SGD([parameter(1)], lr=float("nan")), ArgumentError, "SGD: lr must be a number ≥ 0, got nan"),
        (lambda: optim.SGD([parameter(1)], momentum=-1), ArgumentError, "momentum must be a number ≥ 0"),
        (lambda: optim.SGD([parameter(1)], weight_decay=-1), ArgumentError, "weight_decay must be a number ≥ 0"),
        (
            lambda: optim.SGD([parameter(1)], nesterov=True),
            ArgumentError,
            "nesterov needs momentum > 0 and dampening 0",
        ),
        (lambda: optim.SGD([{"params": parameter(1), "lr": -1}]), ArgumentError, "lr must be a number ≥ 0"),
        (lambda: optim.Adam([parameter(1)], betas=(0.9, 1.0)), ArgumentError, r"betas must be .* got \(0.9, 1.0\)"),
        (lambda: optim.Adam([parameter(1)], betas=(-0.1, 0.9)), ArgumentError, "betas must be two numbers"),
        (lambda: optim.Adam([parameter(1)], betas=0.9), ArgumentError, "betas must be two numbers.* got 0.9"),
        (lambda: optim.Adam([parameter(1)], betas=("a", "b")), ArgumentError, "betas must be two numbers"),
        (lambda: optim.AdamW([parameter(1)], betas=(0.9,)), ArgumentError, "AdamW: betas must be two numbers"),
        (lambda: optim.Adam([parameter(1)], eps=-1), ArgumentError, "eps must be a number ≥ 0"),
        (lambda: optim.RMSprop([parameter(1)], alpha=-1), ArgumentError, "RMSprop: alpha must be a number ≥ 0"),
        (lambda: optim.Adagrad([parameter(1)], lr_decay=-1), ArgumentError, "Adagrad: lr_decay must be a number ≥ 0"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_state_on_another_device_is_found_before_anything_changes(stand_in):
    first, second = (nn.Parameter(ml.ones(2)) for _ in range(2))
    optimizer = optim.SGD([first, second], lr=0.1, momentum=0.9)
    for parameter in (first, second):
        parameter.grad = ml.ones(2)
    optimizer.step()
    before = first.data.copy()
    second.data, second.grad = second.to("cuda").data, ml.ones(2, device="cuda")
    with pytest.raises(DeviceError, match="'momentum_buffer' of a parameter on cuda:0 is on cpu"):
        optimizer.step()
    np.testing.assert_array_equal(first.data, before)
