"""fit(on_nan="stop") says which step, which samples and which operation, and leaves everything as before the step."""

import numpy as np
import pytest

import minidl as ml
from minidl import nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.errors import ArgumentError, NonFiniteError, OutOfRangeError
from minidl.training import Callback, Checkpoint, fit

SAMPLES, BATCH = 20, 4


class Root(nn.Module):
    """√x, which has no derivative at 0."""

    def forward(self, x):
        return x.sqrt()


class Log(nn.Module):
    def forward(self, x):
        return x.log()


class Net(nn.Module):
    def __init__(self, last):
        super().__init__()
        self.body = nn.Sequential(nn.BatchNorm1d(2, affine=False), nn.Dropout(0.25))
        self.scale = nn.Parameter(np.ones(2, np.float32))
        self.last = last

    def forward(self, x):
        weighed = self.body(x) * 0.0 + x * self.scale
        return self.last(weighed)


def loader(bad_value, shuffle=True):
    """Positive numbers, but for one of sample 13."""
    x = np.random.default_rng(0).uniform(1, 2, (SAMPLES, 2)).astype(np.float32)
    x[13, 1] = bad_value
    y = np.zeros((SAMPLES, 2), np.float32)
    return DataLoader(TensorDataset(ml.from_numpy(x), ml.from_numpy(y)), BATCH, shuffle=shuffle)


class Watch(Callback):
    def __init__(self):
        self.weights, self.means = [], []

    def on_step_end(self, run):
        self.weights.append(run.model.scale.data.copy())
        self.means.append(run.model.body[0].running_mean.data.copy())


def squared_error(outputs, targets):
    return ((outputs - targets) ** 2).mean()


def stopped(last, bad_value, **settings):
    ml.manual_seed(4)  # which puts sample 13 into a later batch than the first
    model = Net(last)
    seen = Watch()
    settings = {"epochs": 2, "on_nan": "stop", "progress": False, "callbacks": [seen], **settings}
    with pytest.raises(NonFiniteError, match="^fit: the loss is") as caught:
        fit(model, optim.SGD(model.parameters(), lr=0.01), squared_error, loader(bad_value), **settings)
    return model, seen, caught.value


@pytest.mark.parametrize(
    "last, bad_value, operation, phase, cause",
    [
        (Log(), 0.0, "log", "forward", "log of 0: 1 of 8 elements"),
        (Log(), -1.0, "log", "forward", "log of a negative number: 1 elements"),
        (Root(), 0.0, "sqrt", "backward", "sqrt at 0|0 · inf"),
        (nn.Identity(), np.nan, "batch_norm", "forward", "bad input data: input 0 holds 1 NaN"),
    ],
)
def test_step_samples_and_culprit(last, bad_value, operation, phase, cause):
    model, seen, error = stopped(last, bad_value)
    step = len(seen.weights) + 1
    assert step > 1 and f"in epoch 1, batch {step} (step {step}), which was not taken" in str(error)
    line = next(line for line in str(error).splitlines() if line.startswith("the batch: samples "))
    indices = [int(i) for i in line.removeprefix("the batch: samples ").removesuffix(" of the dataset").split(", ")]
    assert 13 in indices and len(indices) == BATCH
    assert (error.anomaly.operation, error.anomaly.phase) == (operation, phase)
    with pytest.raises(NonFiniteError, match=cause):
        raise error
    layer = "body.0" if operation == "batch_norm" else "last"
    assert error.layer_path == layer and str(error).endswith(f"[in layer {layer}]")


def test_the_model_is_as_before_the_step():
    model, seen, _ = stopped(Root(), 0.0)
    np.testing.assert_array_equal(model.scale.data, seen.weights[-1])
    np.testing.assert_array_equal(model.body[0].running_mean.data, seen.means[-1])
    assert model.scale.grad is None


def test_raise_would_have_spoiled_the_weights():
    """Without the look at the gradients the NaN shows a step later, in the loss, and the weights are gone."""
    ml.manual_seed(4)
    model = Net(Root())
    with pytest.raises(NonFiniteError, match=r"fit: the loss is nan .* find the cause with on_nan='stop'$"):
        fit(model, optim.SGD(model.parameters(), lr=0.01), squared_error, loader(0.0), epochs=2, progress=False)
    assert np.isnan(model.scale.data).any()


class NanOfChance(nn.Module):
    """A NaN where a random number says so: found again only from the same random numbers."""

    def forward(self, x):
        return (x - 1e3).log() if ml.rand(1).item() < 0.1 else x


def test_random_streams_are_rewound():
    _, seen, error = stopped(NanOfChance(), 1.0, epochs=20)
    assert len(seen.weights) > 0
    assert error.anomaly.operation == "log" and error.anomaly.layer == "last (NanOfChance)"


def test_a_nan_that_does_not_come_back():
    calls = []

    def once(outputs, targets):
        calls.append(1)
        return squared_error(outputs, targets) * (float("nan") if len(calls) == 3 else 1)

    model = Net(nn.Identity())
    with pytest.raises(NonFiniteError, match="the loss is nan (.|\n)*running it again found no operation") as caught:
        fit(model, optim.SGD(model.parameters(), lr=0.01), once, loader(1.0), epochs=1, on_nan="stop", progress=False)
    assert caught.value.anomaly is None


def test_the_last_good_checkpoint_is_left(tmp_path):
    path = tmp_path / "run.npz"
    _, seen, _ = stopped(Root(), 0.0, checkpoint=Checkpoint(path, every_steps=1))
    state = ml.load(path)
    assert state["step"] == len(seen.weights)
    np.testing.assert_array_equal(state["model"]["scale"], seen.weights[-1])


def test_it_changes_no_training():
    results = []
    for on_nan in ("raise", "stop"):
        ml.manual_seed(4)
        model = Net(nn.Identity())
        history = fit(
            model, optim.SGD(model.parameters(), lr=0.01), squared_error, loader(1.0),
            epochs=2, on_nan=on_nan, progress=False,
        )  # fmt: skip
        results.append((history, model.scale.data))
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])


def test_a_list_of_batches_has_no_indices():
    model = Net(Log())
    batches = [(ml.zeros(3, 2), ml.zeros(3, 2))]
    with pytest.raises(NonFiniteError, match="the batch: 3 samples, number 0 of its epoch"):
        fit(
            model,
            optim.SGD(model.parameters(), lr=0.01),
            squared_error,
            batches,
            epochs=1,
            on_nan="stop",
            progress=False,
        )


def test_settings_that_do_not_exist():
    model = Net(Log())
    with pytest.raises(ArgumentError, match="on_nan must be 'raise' or 'stop', got 'skip'"):
        fit(model, optim.SGD(model.parameters(), lr=0.01), squared_error, loader(1.0), epochs=1, on_nan="skip")


@pytest.mark.parametrize("shuffle", [True, False])
def test_the_loader_knows_the_indices(shuffle):
    x = ml.arange(10)
    batches = DataLoader(TensorDataset(x, x), 4, shuffle=shuffle)
    for number, (values, _) in enumerate(batches):
        assert batches.indices(number).tolist() == values.tolist()
    with pytest.raises(OutOfRangeError, match="no batch 0 of 3 in a running epoch"):
        batches.indices(0)
    next(iter(batches))
    with pytest.raises(OutOfRangeError, match="no batch 3 of 3"):
        batches.indices(3)
