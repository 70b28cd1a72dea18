"""Optimizer steps on a GPU, or its stand-in: the CPU's numbers, one launch for each parameter, all of them or none."""

import itertools

import numpy as np
import pytest

import minidl as ml
from minidl import backend, nn, optim
from minidl.errors import DeviceError
from tests import cupy_stand_in

SGD = [dict(), dict(momentum=0.9), dict(momentum=0.9, dampening=0.3), dict(momentum=0.9, nesterov=True)]
ADAM = [dict(eps=1e-3, amsgrad=a) for a in (False, True)]
RMSPROP = [dict(eps=1e-3, momentum=m, centered=c) for m, c in itertools.product((0.0, 0.7), (False, True))]
ADAGRAD = [dict(), dict(lr_decay=0.1, initial_accumulator_value=0.5)]
RULES = [
    (make, dict(lr=0.1, weight_decay=decay, maximize=maximize) | settings)
    for make, several in [
        (optim.SGD, SGD),
        (optim.Adam, ADAM),
        (optim.AdamW, ADAM),
        (optim.RMSprop, RMSPROP),
        (optim.Adagrad, ADAGRAD),
    ]
    for settings, decay, maximize in itertools.product(several, (0.0, 0.1), (False, True))
]
rules = pytest.mark.parametrize("make, settings", RULES, ids=[f"{r[0].__name__}-{i}" for i, r in enumerate(RULES)])

LENET = [(6, 1, 5, 5), (6,), (16, 6, 5, 5), (16,), (120, 400), (120,), (84, 120), (84,), (10, 84), (10,)]


class SignSGD(optim.Optimizer):
    """A rule as a user writes it, with operations on arrays."""

    def __init__(self, params, lr):
        super().__init__(params, dict(lr=lr))

    def _update(self, data, grad, state, group):
        mean = state.setdefault("mean", backend.array_module(data).zeros_like(data))
        mean += 0.5 * (grad - mean)
        data -= group["lr"] * backend.array_module(data).sign(mean)


def parameters(device, shapes=((3, 4), (), (0, 2), (5,)), dtype="float64"):
    """Parameters with gradients, of which the first is strided."""
    rng = np.random.default_rng(0)
    found = []
    for i, shape in enumerate(shapes):
        pair = [ml.tensor(rng.standard_normal(shape), dtype=dtype, device=device) for _ in range(2)]
        data, grad = (each.data if i else each.data.T for each in pair)
        found.append(nn.Parameter(data))
        found[-1].grad = ml.Tensor(grad)
    return found


def trained(make, settings, device, steps=3, **options):
    """All arrays after some steps: parameters, and what the optimizer remembers."""
    params = parameters(device, **options)
    optimizer = make(params, **settings)
    for step in range(steps):
        for parameter in params:
            parameter.grad.data[...] *= -0.7 if step else 1.0
        optimizer.step()
    return [backend.to_numpy(p.data) for p in params], [
        (name, backend.to_numpy(value) if backend.is_array(value) else value)
        for p in params
        for name, value in optimizer.state.get(p, {}).items()
    ]


@pytest.mark.parametrize("dtype, rtol", [("float64", 1e-12), ("float32", 1e-4)])
@rules
def test_a_gpu_steps_as_the_cpu_does(on_cuda, make, settings, dtype, rtol):
    (data, memory), (expected, wanted) = (trained(make, settings, device, dtype=dtype) for device in ("cuda", "cpu"))
    for array, other in zip(data, expected, strict=True):
        assert array.dtype == dtype
        np.testing.assert_allclose(array, other, rtol=rtol, atol=rtol)
    for (name, value), (other_name, other) in zip(memory, wanted, strict=True):
        assert name == other_name
        np.testing.assert_allclose(value, other, rtol=rtol, atol=rtol, err_msg=name)


@rules
def test_a_step_is_one_launch_for_each_parameter(stand_in, make, settings):
    params = parameters("cuda", shapes=LENET)
    optimizer = make(params, **settings)
    optimizer.step()
    with cupy_stand_in.counting() as seen:
        optimizer.step()
    assert sum(seen.launches.values()) == len(LENET) and len(seen.launches) == 1 and not seen.places


def test_a_rule_of_ones_own_works_with_arrays_of_either_device(on_cuda):
    for array, other in zip(*(trained(SignSGD, dict(lr=0.1), device)[0] for device in ("cuda", "cpu")), strict=True):
        np.testing.assert_allclose(array, other, rtol=1e-12)


def on_two_gpus():
    """An optimizer that has made a step on the first GPU, and then lost its last parameter to the second."""
    params = parameters("cuda")
    optimizer = optim.Adam(params, lr=0.1)
    optimizer.step()
    params[-1].data = params[-1].to("cuda:1").data
    return optimizer, params


def contents(optimizer, params):
    return [
        (p._version, backend.to_numpy(p.data).tolist(), state["step"], backend.to_numpy(state["exp_avg"]).tolist())
        for p, state in ((p, optimizer.state[p]) for p in params)
    ]


@pytest.mark.parametrize("current", ["cuda:0", "cuda:1"])
def test_a_parameter_on_a_gpu_that_is_not_the_current_one_changes_nothing(stand_in, current):
    optimizer, params = on_two_gpus()
    params[-1].grad = params[-1].grad.to("cuda:1")
    before = contents(optimizer, params)
    there = {"cuda:0": "cuda:1", "cuda:1": "cuda:0"}[current]
    message = f"Adam: a parameter is on {there}, and the current device is {current}; put 'with .*{there}.*' around"
    with ml.cuda.device(current), pytest.raises(DeviceError, match=message):
        optimizer.step()
    assert contents(optimizer, params) == before


def test_a_gradient_on_another_gpu_changes_nothing(stand_in):
    optimizer, params = on_two_gpus()
    before = contents(optimizer, params)
    with pytest.raises(DeviceError, match="Adam: a parameter on cuda:1 has a gradient on cuda:0"):
        optimizer.step()
    assert contents(optimizer, params) == before


def test_a_state_left_on_another_gpu_is_moved_by_loading_it(stand_in):
    params = parameters("cuda", shapes=[(2, 3)])
    optimizer = optim.Adam(params, lr=0.1)
    optimizer.step()
    params[0].data, params[0].grad = params[0].to("cuda:1").data, params[0].grad.to("cuda:1")
    with ml.cuda.device("cuda:1"):
        with pytest.raises(DeviceError, match="Adam: 'exp_avg' of a parameter on cuda:1 is on cuda:0"):
            optimizer.step()
        assert optimizer.state[params[0]]["step"] == 1
        optimizer.load_state_dict(optimizer.state_dict())
        optimizer.step()
    assert optimizer.state[params[0]]["step"] == 2
    assert backend.device_of(optimizer.state[params[0]]["exp_avg"]) == "cuda:1"
