"""The update rules: against textbook loops over single numbers, and against PyTorch."""

import math

import numpy as np
import pytest

import minidl.optim as optim
from minidl.autograd import Tensor

STEPS = 20


def sgd(p, g, s, t, lr, momentum=0, dampening=0, weight_decay=0, nesterov=False):
    g = g + weight_decay * p
    if momentum:
        s["b"] = g if t == 1 else momentum * s["b"] + (1 - dampening) * g
        g = g + momentum * s["b"] if nesterov else s["b"]
    return p - lr * g


def adam(p, g, s, t, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, decoupled=False):
    if decoupled:
        p = p - lr * weight_decay * p
    else:
        g = g + weight_decay * p
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * g**2
    s["max"] = max(s.get("max", 0), s["v"])
    m = s["m"] / (1 - betas[0] ** t)
    v = (s["max"] if amsgrad else s["v"]) / (1 - betas[1] ** t)
    return p - lr * m / (math.sqrt(v) + eps)


def adamw(p, g, s, t, lr, weight_decay=0.01, **settings):
    return adam(p, g, s, t, lr, weight_decay=weight_decay, decoupled=True, **settings)


def rmsprop(p, g, s, t, lr, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
    g = g + weight_decay * p
    s["s"] = alpha * s.get("s", 0) + (1 - alpha) * g**2
    s["a"] = alpha * s.get("a", 0) + (1 - alpha) * g
    d = g / (math.sqrt(s["s"] - s["a"] ** 2 if centered else s["s"]) + eps)
    s["b"] = momentum * s.get("b", 0) + d
    return p - lr * s["b"]


def adagrad(p, g, s, t, lr, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10):
    g = g + weight_decay * p
    s["s"] = s.get("s", initial_accumulator_value) + g**2
    return p - lr / (1 + (t - 1) * lr_decay) * g / (math.sqrt(s["s"]) + eps)


RULES = [
    ("SGD", sgd, dict(lr=0.1)),
    ("SGD", sgd, dict(lr=0.1, weight_decay=0.2)),
    ("SGD", sgd, dict(lr=0.1, momentum=0.9)),
    ("SGD", sgd, dict(lr=0.1, momentum=0.9, dampening=0.4, weight_decay=0.1)),
    ("SGD", sgd, dict(lr=0.1, momentum=0.9, nesterov=True)),
    ("SGD", sgd, dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)),
    ("Adam", adam, dict(lr=0.1)),
    ("Adam", adam, dict(lr=0.1, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.1)),
    ("Adam", adam, dict(lr=0.1, betas=(0.0, 0.5), amsgrad=True)),
    ("AdamW", adamw, dict(lr=0.1)),
    ("AdamW", adamw, dict(lr=0.1, weight_decay=0.3, amsgrad=True, betas=(0.8, 0.6))),
    ("RMSprop", rmsprop, dict(lr=0.05)),
    ("RMSprop", rmsprop, dict(lr=0.05, alpha=0.8, weight_decay=0.1, momentum=0.5)),
    ("RMSprop", rmsprop, dict(lr=0.05, alpha=0.8, eps=1e-3, centered=True)),
    ("RMSprop", rmsprop, dict(lr=0.05, alpha=0.8, eps=1e-3, centered=True, momentum=0.5)),
    ("Adagrad", adagrad, dict(lr=0.3)),
    ("Adagrad", adagrad, dict(lr=0.3, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.5, eps=1e-3)),
]
rules = pytest.mark.parametrize("name, rule, settings", RULES, ids=[f"{r[0]}-{i}" for i, r in enumerate(RULES)])


def gradient(p, t):
    """That of a bowl which moves: parameters oscillate, nothing vanishes."""
    return p * np.linspace(0.5, 2, p.size).reshape(p.shape) - np.sin(t)


def run(optimizer, parameters, steps=STEPS):
    for t in range(1, steps + 1):
        for parameter in parameters:
            parameter.grad = Tensor(gradient(parameter.data, t).astype(parameter.dtype))
        optimizer.step()
    return [parameter.data for parameter in parameters]


def start(*shape):
    return np.random.default_rng(0).standard_normal(shape)


@rules
@pytest.mark.parametrize("maximize", [False, True])
def test_against_the_textbook(name, rule, settings, maximize):
    parameter = Tensor(start(2, 3), requires_grad=True)
    (result,) = run(getattr(optim, name)([parameter], maximize=maximize, **settings), [parameter])

    expected = start(2, 3)
    states = [{} for _ in range(expected.size)]
    sign = -1 if maximize else 1
    for t in range(1, STEPS + 1):
        g = gradient(expected, t)
        for i, state in enumerate(states):
            expected.flat[i] = rule(float(expected.flat[i]), sign * float(g.flat[i]), state, t, **settings)
    np.testing.assert_allclose(result, expected, rtol=1e-11, atol=1e-13)


@rules
@pytest.mark.parametrize("maximize", [False, True])
def test_against_pytorch(name, rule, settings, maximize):
    torch = pytest.importorskip("torch")
    parameter = Tensor(start(4, 3), requires_grad=True)
    (result,) = run(getattr(optim, name)([parameter], maximize=maximize, **settings), [parameter])

    theirs = torch.tensor(start(4, 3), requires_grad=True)
    optimizer = getattr(torch.optim, name)([theirs], maximize=maximize, **settings, foreach=False)
    for t in range(1, STEPS + 1):
        theirs.grad = torch.from_numpy(gradient(theirs.detach().numpy(), t))
        optimizer.step()
    np.testing.assert_allclose(result, theirs.detach().numpy(), rtol=1e-11, atol=1e-13)


@rules
def test_float32_stays_float32_and_follows_float64(name, rule, settings):
    settings = {key: np.float64(value) if isinstance(value, float) else value for key, value in settings.items()}
    single = Tensor(start(5).astype(np.float32), requires_grad=True)
    double = Tensor(start(5), requires_grad=True)
    optimizer = getattr(optim, name)([single], **settings)
    run(optimizer, [single])
    run(getattr(optim, name)([double], **settings), [double])
    assert single.dtype == np.float32
    for value in optimizer.state[single].values():
        assert isinstance(value, int) or value.dtype == np.float32
    np.testing.assert_allclose(single.data, double.data, rtol=2e-4, atol=2e-5)


@rules
def test_state_dict_continues_exactly(name, rule, settings):
    whole, half = (Tensor(start(3), requires_grad=True) for _ in range(2))
    make = getattr(optim, name)
    optimizer = make([whole], **settings)
    run(optimizer, [whole], steps=10)

    first = make([half], **settings)
    run(first, [half], steps=5)
    second = make([half], lr=123.0)
    second.load_state_dict(first.state_dict())
    for t in range(6, 11):
        half.grad = Tensor(gradient(half.data, t))
        second.step()
    np.testing.assert_array_equal(whole.data, half.data)
    assert second.param_groups[0]["lr"] == settings["lr"]


@rules
def test_state_keys_as_pytorch(name, rule, settings):
    torch = pytest.importorskip("torch")
    ours = Tensor(start(3), requires_grad=True)
    optimizer = getattr(optim, name)([ours], **settings)
    run(optimizer, [ours], steps=2)
    theirs = torch.tensor(start(3), requires_grad=True)
    other = getattr(torch.optim, name)([theirs], **settings)
    for _ in range(2):
        theirs.grad = torch.ones(3, dtype=torch.float64)
        other.step()
    entries = {key for key, value in other.state_dict()["state"].get(0, {}).items() if value is not None}
    assert set(optimizer.state_dict()["state"].get(0, {})) == entries
    for key, value in other.state_dict()["param_groups"][0].items():
        if key in optimizer.param_groups[0] and key != "params":
            assert optimizer.param_groups[0][key] == value
