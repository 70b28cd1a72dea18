"""Schedules: against closed formulas always, and against PyTorch where it is installed."""

import json
import math

import numpy as np
import pytest

import minidl.optim as optim
from minidl import nn
from minidl.autograd import Tensor
from minidl.errors import ArgumentError, ArgumentTypeError, StateDictError
from minidl.optim import lr_scheduler

EPOCHS = 30
BASE = (0.4, 0.03)


def make_optimizer(name="SGD", **settings):
    groups = [{"params": [nn.Parameter(np.ones(1))], "lr": lr} for lr in BASE]
    return getattr(optim, name)(groups, **settings)


def rates(optimizer, scheduler, epochs=EPOCHS):
    """The learning rates of all groups, at once and after each step."""
    rows = [[group["lr"] for group in optimizer.param_groups]]
    for _ in range(epochs):
        optimizer.step()
        scheduler.step()
        rows.append([group["lr"] for group in optimizer.param_groups])
        assert scheduler.get_last_lr() == rows[-1]
    return np.array(rows)


def cosine(t, length):
    return (1 + math.cos(math.pi * t / length)) / 2


SCALES = [
    ("LambdaLR", dict(lr_lambda=lambda t: 0.9**t + 1), lambda t: 0.9**t + 1),
    ("StepLR", dict(step_size=4, gamma=0.5), lambda t: 0.5 ** (t // 4)),
    ("MultiStepLR", dict(milestones=[9, 3, 9, 20], gamma=0.3), lambda t: 0.3 ** ((t >= 3) + 2 * (t >= 9) + (t >= 20))),
    ("ConstantLR", dict(factor=0.2, total_iters=7), lambda t: 0.2 if t < 7 else 1),
    ("LinearLR", dict(), lambda t: 1 / 3 + 2 / 3 * min(t / 5, 1)),
    ("LinearLR", dict(start_factor=0.9, end_factor=0.1, total_iters=8), lambda t: 0.9 - 0.8 * min(t / 8, 1)),
    ("ExponentialLR", dict(gamma=0.8), lambda t: 0.8**t),
    ("PolynomialLR", dict(total_iters=9, power=2.5), lambda t: (1 - min(t / 9, 1)) ** 2.5),
    ("CosineAnnealingLR", dict(T_max=12), lambda t: cosine(t, 12)),
    ("CosineAnnealingWarmRestarts", dict(T_0=7), lambda t: cosine(t % 7, 7)),
]


@pytest.mark.parametrize("name, settings, scale", SCALES, ids=[row[0] for row in SCALES])
def test_against_the_formula(name, settings, scale):
    optimizer = make_optimizer()
    found = rates(optimizer, getattr(lr_scheduler, name)(optimizer, **settings))
    expected = np.array([[base * scale(t) for base in BASE] for t in range(EPOCHS + 1)])
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_cosines_that_end_above_zero():
    optimizer = make_optimizer()
    found = rates(optimizer, lr_scheduler.CosineAnnealingLR(optimizer, T_max=10, eta_min=0.01))
    expected = [0.01 + (BASE[0] - 0.01) * cosine(t, 10) for t in range(EPOCHS + 1)]
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-12)
    optimizer = make_optimizer()
    found = rates(optimizer, lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=3, T_mult=2, eta_min=0.01))
    for start, length in ((0, 3), (3, 6), (9, 12)):
        expected = [0.01 + (BASE[1] - 0.01) * cosine(t, length) for t in range(length)]
        np.testing.assert_allclose(found[start : start + length, 1], expected, rtol=1e-12)


def test_one_cycle():
    optimizer = make_optimizer(momentum=0.9)
    found = rates(optimizer, lr_scheduler.OneCycleLR(optimizer, [1.0, 2.0], total_steps=21, pct_start=2 / 7), 20)
    rise = [1 + (1 / 25 - 1) * cosine(t, 5) for t in range(6)]
    fall = [1 / 25e4 + (1 - 1 / 25e4) * cosine(t, 15) for t in range(16)]
    np.testing.assert_allclose(found[:, 0], rise + fall[1:], rtol=1e-12)
    np.testing.assert_allclose(found[:, 1], 2 * found[:, 0], rtol=1e-12)


def test_one_cycle_moves_momentum_against_the_rate():
    for name, get in (("SGD", lambda group: group["momentum"]), ("Adam", lambda group: group["betas"][0])):
        optimizer = make_optimizer(name)
        scheduler = lr_scheduler.OneCycleLR(optimizer, 1.0, epochs=3, steps_per_epoch=4, anneal_strategy="linear")
        momenta = [get(optimizer.param_groups[1])]
        for _ in range(11):
            optimizer.step()
            scheduler.step()
            momenta.append(get(optimizer.param_groups[1]))
        peak = 0.3 * 12 - 1
        expected = [0.95 - 0.1 * (t / peak if t <= peak else 1 - (t - peak) / (11 - peak)) for t in range(12)]
        np.testing.assert_allclose(momenta, expected, rtol=1e-12)


def test_one_cycle_three_phases_and_no_momentum():
    optimizer = make_optimizer()
    scheduler = lr_scheduler.OneCycleLR(
        optimizer,
        1.0,
        total_steps=21,
        pct_start=2 / 7,
        three_phase=True,
        cycle_momentum=False,
        anneal_strategy="linear",
    )
    found = rates(optimizer, scheduler, 20)[:, 0]
    np.testing.assert_allclose(found[[0, 5, 10, 20]], [1 / 25, 1, 1 / 25, 1 / 25e4], rtol=1e-12)
    np.testing.assert_allclose(found[:11], found[10::-1], rtol=1e-12)
    assert optimizer.param_groups[0]["momentum"] == 0


def test_one_cycle_whose_first_phase_has_no_length():
    optimizer = make_optimizer()
    scheduler = lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=10, pct_start=0.1)
    assert scheduler.get_last_lr() == [1.0, 1.0]


def test_sequence():
    optimizer = make_optimizer()
    warm_up = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=5)
    decay = lr_scheduler.ExponentialLR(optimizer, 0.5)
    found = rates(optimizer, lr_scheduler.SequentialLR(optimizer, [warm_up, decay], [5]), 10)
    scales = [0.1 + 0.9 * t / 5 for t in range(5)] + [0.5**t for t in range(6)]
    np.testing.assert_allclose(found, np.outer(scales, BASE), rtol=1e-12)


def test_two_schedules_multiply():
    optimizer = make_optimizer()
    first = lr_scheduler.ExponentialLR(optimizer, 0.9)
    second = lr_scheduler.StepLR(optimizer, 3, 0.5)
    third = lr_scheduler.ConstantLR(optimizer, 0.25, 4)
    for t in range(10):
        expected = 0.9**t * 0.5 ** (t // 3) * (0.25 if t < 4 else 1) * np.array(BASE)
        np.testing.assert_allclose([group["lr"] for group in optimizer.param_groups], expected, rtol=1e-12)
        optimizer.step()
        for scheduler in (first, second, third):
            scheduler.step()


def test_two_schedules_multiply_as_in_pytorch():
    torch = pytest.importorskip("torch")
    optimizer = make_optimizer()
    other = torch.optim.SGD([{"params": [torch.ones(1, requires_grad=True)], "lr": lr} for lr in BASE])

    def make(s, o):
        return [s.LinearLR(o, 0.2, total_iters=6), s.CosineAnnealingLR(o, 40), s.PolynomialLR(o, 50, 2.0)]

    ours, theirs = make(lr_scheduler, optimizer), make(torch.optim.lr_scheduler, other)
    other.step()
    for _ in range(EPOCHS):
        for scheduler in (*ours, *theirs):
            scheduler.step()
        expected = [group["lr"] for group in other.param_groups]
        np.testing.assert_allclose([group["lr"] for group in optimizer.param_groups], expected, rtol=1e-12)


def test_a_change_by_hand_is_kept_as_a_factor():
    optimizer = make_optimizer()
    scheduler = lr_scheduler.StepLR(optimizer, 2, 0.5)
    optimizer.param_groups[0]["lr"] /= 10
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.04)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.02)
    assert optimizer.param_groups[1]["lr"] == pytest.approx(0.015)


def test_fractions_of_an_epoch():
    optimizer = make_optimizer()
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 10)
    scheduler.step(2.5)
    assert scheduler.get_last_lr()[0] == pytest.approx(0.4 * cosine(2.5, 10), rel=1e-12)
    scheduler.step()
    assert scheduler.get_last_lr()[0] == pytest.approx(0.4 * cosine(3.5, 10), rel=1e-12)


def test_own_schedule_from_get_lr():
    class Halving(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base / (1 + self.last_epoch) for base in self.base_lrs]

    optimizer = make_optimizer()
    found = rates(optimizer, Halving(optimizer), 3)
    np.testing.assert_allclose(found[:, 0], [0.4, 0.2, 0.4 / 3, 0.1])
    found = rates(optimizer, Halving(optimizer, last_epoch=1), 1)
    np.testing.assert_allclose(found[:, 0], [0.4 / 3, 0.1])


def test_a_state_dict_does_not_change_afterwards():
    optimizer = make_optimizer()
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    state = scheduler.state_dict()
    scheduler.step()
    assert state == lr_scheduler.ExponentialLR(make_optimizer(), 0.5).state_dict()


def plateau(metrics, **settings):
    optimizer = make_optimizer()
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
    rows = []
    for metric in metrics:
        optimizer.step()
        scheduler.step(metric)
        rows.append(scheduler.get_last_lr())
    return np.array(rows)


METRICS = [5, 4, 4, 4, 4.1, 3, 3.05, 2.9999, 3, 3, 3, 2, 1, 1, 1, 1, 1, 1, float("nan"), 1]
PLATEAUS = [
    dict(),
    dict(patience=1),
    dict(patience=1, cooldown=2, factor=0.5),
    dict(patience=0, threshold=0.5, threshold_mode="abs", min_lr=[0.1, 0.002]),
    dict(patience=2, mode="max"),
    dict(patience=2, mode="max", threshold=0.1, threshold_mode="abs", eps=0.02),
]


class TestPlateau:
    def test_by_hand(self):
        found = plateau([3, 2, 2, 2, 2, 1, 1], patience=1, factor=0.5)
        np.testing.assert_allclose(found[:, 0], [0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.2])

    def test_maximum_and_least_rate(self):
        found = plateau([1, 2, 2, 2, 2.5], patience=0, factor=0.5, mode="max", min_lr=0.15)
        np.testing.assert_allclose(found[:, 0], [0.4, 0.4, 0.2, 0.15, 0.15])

    def test_takes_a_tensor(self):
        assert plateau([Tensor(np.array(1.0))])[0, 0] == 0.4

    @pytest.mark.parametrize("settings", PLATEAUS)
    def test_against_pytorch(self, settings):
        torch = pytest.importorskip("torch")
        groups = [{"params": [torch.ones(1, requires_grad=True)], "lr": lr} for lr in BASE]
        optimizer = torch.optim.SGD(groups)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
        expected = []
        for metric in METRICS:
            scheduler.step(metric)
            expected.append([group["lr"] for group in optimizer.param_groups])
        np.testing.assert_allclose(plateau(METRICS, **settings), expected, rtol=1e-12)


def warm_up_then_cosine(s, o):
    return s.SequentialLR(o, [s.LinearLR(o, 0.1, total_iters=4), s.CosineAnnealingLR(o, 20, 0.001)], [4])


def three_in_a_row(s, o):
    schedulers = [s.ConstantLR(o, 0.5, 3), s.ExponentialLR(o, 0.9), s.StepLR(o, 2), s.CosineAnnealingWarmRestarts(o, 5)]
    return s.SequentialLR(o, schedulers, [3, 8, 15])


PYTORCH = [
    *[lambda s, o, row=row: getattr(s, row[0])(o, **row[1]) for row in SCALES],
    lambda s, o: s.LambdaLR(o, [lambda t: 1 / (t + 1), lambda t: 2.0]),
    lambda s, o: s.CosineAnnealingLR(o, 7, eta_min=0.01),
    lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2, 0.001),
    lambda s, o: s.OneCycleLR(o, 0.7, total_steps=31),
    lambda s, o: s.OneCycleLR(o, [0.7, 0.1], epochs=4, steps_per_epoch=9, pct_start=0.45, div_factor=10),
    lambda s, o: s.OneCycleLR(o, 1.0, 31, three_phase=True, anneal_strategy="linear", final_div_factor=5),
    lambda s, o: s.OneCycleLR(o, 1.0, 31, max_momentum=[0.9, 0.8], base_momentum=0.5),
    warm_up_then_cosine,
    three_in_a_row,
]


@pytest.mark.parametrize("make", PYTORCH, ids=range(len(PYTORCH)))
@pytest.mark.parametrize("rule", ["SGD", "Adam"])
def test_against_pytorch(make, rule):
    torch = pytest.importorskip("torch")
    ours = make_optimizer(rule)
    theirs = getattr(torch.optim, rule)([{"params": [torch.ones(1, requires_grad=True)], "lr": lr} for lr in BASE])
    scheduler, other = make(lr_scheduler, ours), make(torch.optim.lr_scheduler, theirs)
    for _ in range(EPOCHS + 1):
        for group, expected in zip(ours.param_groups, theirs.param_groups, strict=True):
            assert group["lr"] == pytest.approx(expected["lr"], rel=1e-12, abs=1e-17)
            if rule == "Adam":
                assert group["betas"] == pytest.approx(expected["betas"], rel=1e-12)
            else:
                assert group["momentum"] == pytest.approx(expected["momentum"], rel=1e-12)
        if scheduler.last_epoch < EPOCHS:
            ours.step()
            theirs.step()
            scheduler.step()
            other.step()


RESUMED = [
    *[lambda s, o, row=row: getattr(s, row[0])(o, **row[1]) for row in SCALES],
    lambda s, o: s.OneCycleLR(o, 0.7, total_steps=31),
    warm_up_then_cosine,
    three_in_a_row,
]


@pytest.mark.parametrize("make", RESUMED, ids=range(len(RESUMED)))
def test_continues_from_its_state_dict(make):
    optimizer = make_optimizer()
    whole = rates(optimizer, make(lr_scheduler, optimizer))

    first = make_optimizer()
    scheduler = make(lr_scheduler, first)
    rates(first, scheduler, 11)
    saved = json.loads(json.dumps({"scheduler": scheduler.state_dict(), "groups": first.state_dict()["param_groups"]}))
    second = make_optimizer()
    restored = make(lr_scheduler, second)
    second.load_state_dict({"state": {}, "param_groups": saved["groups"]})
    restored.load_state_dict(saved["scheduler"])
    np.testing.assert_array_equal(rates(second, restored, EPOCHS - 11), whole[11:])


def test_plateau_continues_from_its_state_dict():
    whole = plateau(METRICS, patience=1, cooldown=1)
    optimizer = make_optimizer()
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, cooldown=1)
    for metric in METRICS[:7]:
        scheduler.step(metric)
    restored = lr_scheduler.ReduceLROnPlateau(optimizer)
    restored.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    for metric in METRICS[7:]:
        restored.step(metric)
    np.testing.assert_allclose(restored.get_last_lr(), whole[-1])


@pytest.mark.parametrize("make", [lr_scheduler.StepLR, lr_scheduler.CosineAnnealingLR])
def test_continues_from_last_epoch(make):
    optimizer = make_optimizer()
    whole = rates(optimizer, make(optimizer, 10))
    second = make_optimizer()
    make(second, 10)
    second.param_groups[0]["lr"] = second.param_groups[1]["lr"] = 99.0  # does not matter
    np.testing.assert_allclose(rates(second, make(second, 10, last_epoch=6), 5), whole[7:13], rtol=1e-12)


def test_one_cycle_continues_from_last_epoch():
    optimizer = make_optimizer(momentum=0.9)
    whole = rates(optimizer, lr_scheduler.OneCycleLR(optimizer, 1.0, 20), 15)
    second = make_optimizer(momentum=0.9)
    lr_scheduler.OneCycleLR(second, 1.0, 20)
    found = rates(second, lr_scheduler.OneCycleLR(second, 1.0, 20, last_epoch=9), 5)
    np.testing.assert_allclose(found, whole[10:], rtol=1e-12)
    assert second.param_groups[0]["momentum"] == pytest.approx(optimizer.param_groups[0]["momentum"])


def sequential(**change):
    optimizer = make_optimizer()
    schedulers = [lr_scheduler.StepLR(optimizer, 2), lr_scheduler.StepLR(optimizer, 3)]
    settings = {"optimizer": optimizer, "schedulers": schedulers, "milestones": [5], **change}
    return lr_scheduler.SequentialLR(**settings)


def one_cycle(**settings):
    return lr_scheduler.OneCycleLR(make_optimizer(), **{"max_lr": 1.0, "total_steps": 10, **settings})


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: lr_scheduler.StepLR(3, 2), ArgumentTypeError, "StepLR: expected an Optimizer, got int"),
        (
            lambda: lr_scheduler.StepLR(make_optimizer(), 0),
            ArgumentError,
            "StepLR: step_size must be a positive integer, got 0",
        ),
        (lambda: lr_scheduler.StepLR(make_optimizer(), 1, last_epoch=3), ArgumentError, "needs 'initial_lr'"),
        (lambda: lr_scheduler.ConstantLR(make_optimizer(), 2), ArgumentError, "factor must lie between 0 and 1, got 2"),
        (lambda: lr_scheduler.LinearLR(make_optimizer(), 0), ArgumentError, "needs 0 < start_factor ≤ 1"),
        (
            lambda: lr_scheduler.LinearLR(make_optimizer(), 1, total_iters=0),
            ArgumentError,
            "total_iters must be positive",
        ),
        (lambda: lr_scheduler.CosineAnnealingLR(make_optimizer(), 0), ArgumentError, "T_max must be positive, got 0"),
        (
            lambda: lr_scheduler.LambdaLR(make_optimizer(), [abs]),
            ArgumentError,
            "lr_lambda: .* 2 parameter groups but 1",
        ),
        (
            lambda: lr_scheduler.CosineAnnealingWarmRestarts(make_optimizer(), 1.5),
            ArgumentError,
            "T_0 must be a positive int",
        ),
        (
            lambda: lr_scheduler.CosineAnnealingWarmRestarts(make_optimizer(), 2).step(-1),
            ArgumentError,
            "epoch must not be negative, got -1",
        ),
        (lambda: one_cycle(total_steps=None), ArgumentError, "give total_steps, or both epochs and steps_per_epoch"),
        (lambda: one_cycle(total_steps=0), ArgumentError, "total_steps must be a positive integer"),
        (lambda: one_cycle(pct_start=1.5), ArgumentError, "pct_start must lie between 0 and 1, got 1.5"),
        (
            lambda: one_cycle(anneal_strategy="log"),
            ArgumentError,
            "anneal_strategy must be 'cos' or 'linear', got 'log'",
        ),
        (lambda: lr_scheduler.OneCycleLR(make_optimizer("Adagrad"), 1.0, 9), ArgumentError, "Adagrad has no momentum"),
        (lambda: sequential(milestones=[]), ArgumentError, "one milestone fewer than schedulers, got 0 and 2"),
        (
            lambda: sequential(optimizer=make_optimizer()),
            ArgumentError,
            r"schedulers\[0\] belongs to another optimizer",
        ),
        (
            lambda: sequential(schedulers=[lr_scheduler.ReduceLROnPlateau(make_optimizer())], milestones=[]),
            ArgumentError,
            "is a ReduceLROnPlateau, whose step needs a metric",
        ),
        (
            lambda: lr_scheduler.ReduceLROnPlateau(make_optimizer(), factor=1),
            ArgumentError,
            "factor must be < 1, got 1",
        ),
        (lambda: lr_scheduler.ReduceLROnPlateau(make_optimizer(), "low"), ArgumentError, "mode must be 'min' or 'max'"),
        (
            lambda: lr_scheduler.ReduceLROnPlateau(make_optimizer(), threshold_mode="x"),
            ArgumentError,
            "threshold_mode must be 'rel' or 'abs'",
        ),
        (lambda: lr_scheduler.StepLR(make_optimizer(), 2).load_state_dict({}), StateDictError, "needs the entries"),
        (lambda: lr_scheduler.StepLR(make_optimizer(), 2).load_state_dict(3), StateDictError, "entries .* got a int"),
        (
            lambda: sequential().load_state_dict({"_schedulers": [{}]}),
            StateDictError,
            "1 schedulers were saved, 2 are here",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_one_cycle_ends():
    scheduler = one_cycle(total_steps=2)
    scheduler.step()
    scheduler.step()
    with pytest.raises(ArgumentError, match="step 3 goes past the total of 2 steps"):
        scheduler.step()


def test_a_group_that_came_later():
    optimizer = make_optimizer()
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    optimizer.add_param_group({"params": nn.Parameter(np.ones(1))})
    with pytest.raises(ArgumentError, match="has 3 parameter groups but had 2"):
        scheduler.step()
