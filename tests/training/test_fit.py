"""The loop does what a loop written by hand does; settings that do not fit are named."""

import sys

import numpy as np
import pytest

import minidl as ml
from minidl import nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.errors import ArgumentError, ArgumentTypeError, MissingPackageError, NonFiniteError, ShapeError
from minidl.training import Callback, EarlyStopping, History, evaluate, fit


class Line(nn.Module):
    """y = w · x, with dropout where asked for."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.weight = nn.Parameter(np.array([[0.5], [-0.25]], np.float32))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        return self.dropout(x) @ self.weight


def squared_error(outputs, targets):
    return ((outputs - targets) ** 2).mean()


def data(samples=10, batch_size=4, **settings):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((samples, 2)).astype(np.float32)
    y = x @ np.array([[1.0], [2.0]], np.float32)
    return DataLoader(TensorDataset(ml.from_numpy(x), ml.from_numpy(y)), batch_size, **settings)


def sgd(model, lr=0.1):
    return optim.SGD(model.parameters(), lr=lr)


def quiet(model, optimizer=None, loss_fn=squared_error, loader=None, **settings):
    optimizer = optimizer or sgd(model)
    return fit(model, optimizer, loss_fn, loader or data(), **{"epochs": 2, "progress": False, **settings})


def test_it_is_the_loop_of_a_book():
    loader, val_loader = data(), data(6)
    model, twin = Line(), Line()
    history = quiet(
        model,
        loader=loader,
        val_loader=val_loader,
        metrics={"bias": lambda outputs, targets: (outputs - targets).mean()},
        clip_grad_norm=1.5,
        epochs=3,
    )
    optimizer, expected = sgd(twin), []
    for epoch in range(3):
        losses = []
        for x, y in loader:
            output = twin(x)
            loss = squared_error(output, y)
            twin.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(twin.parameters(), 1.5)
            optimizer.step()
            losses += [(loss.item(), (output - y).mean().item())] * len(x)
        with ml.no_grad():
            val = [(twin(x) - y).data for x, y in val_loader]
        val = np.concatenate(val)
        expected.append([epoch + 1, *np.mean(losses, 0), np.mean(val**2), val.mean(), 0.1])
    np.testing.assert_array_equal(model.weight.data, twin.weight.data)
    assert isinstance(history, History)
    assert [list(record) for record in history] == [["epoch", "loss", "bias", "val_loss", "val_bias", "lr"]] * 3
    np.testing.assert_allclose([list(record.values()) for record in history], expected, rtol=1e-5, atol=1e-7)
    assert history[2]["loss"] < history[0]["loss"]


def test_modes_are_set_and_restored():
    seen = []

    class Watching(Line):
        def forward(self, x):
            seen.append((self.training, ml.is_grad_enabled()))
            return super().forward(x)

    model = Watching(0.5)
    model.eval()
    model.dropout.training = True
    quiet(model, loader=data(4), val_loader=data(4), epochs=2)
    assert seen == [(True, True), (False, False)] * 2
    assert (model.training, model.dropout.training) == (False, True)

    with pytest.raises(ShapeError, match="matmul"):
        evaluate(model, [(ml.ones(1, 3), ml.ones(1, 1))], squared_error)
    assert (model.training, model.dropout.training) == (False, True)
    assert ml.is_grad_enabled()


def test_evaluate():
    model = Line()
    loader = data(5, 2, shuffle=True)
    errors = np.concatenate([(model(x) - y).detach().data for x, y in loader])
    before = ml.get_random_state()
    result = evaluate(model, loader, squared_error, {"worst": lambda outputs, targets: 7})
    assert list(result) == ["loss", "worst"]
    assert result == pytest.approx({"loss": (errors**2).mean(), "worst": 7})
    assert ml.get_random_state() == before
    assert evaluate(model, loader, None, {"seven": lambda *_: np.float32(7)}, device="cpu") == {"seven": 7}


def test_validation_has_no_effect_on_the_training():
    weights = []
    for val_loader in (None, data(6, shuffle=True)):
        ml.manual_seed(3)
        model = Line(0.5)
        quiet(model, loader=data(shuffle=True), val_loader=val_loader, epochs=3)
        weights.append(model.weight.data)
    np.testing.assert_array_equal(*weights)


def test_any_iterable_and_several_inputs():
    class Sum(Line):
        def forward(self, a, b):
            return super().forward(a + b)

    batch = [ml.ones(3, 2), ml.ones(3, 2), ml.ones(3, 1)]
    assert len(quiet(Sum(), loader=[batch, tuple(batch)], device="cpu")) == 2


def test_schedulers():
    model = Line()
    optimizer = sgd(model)
    history = quiet(model, optimizer, scheduler=optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5), epochs=3)
    assert history.column("lr") == [0.1, 0.05, 0.025]

    optimizer = sgd(model)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 3, gamma=0.5)
    assert quiet(model, optimizer, scheduler=scheduler, schedule_by="step").column("lr") == [0.05, 0.025]

    for val_loader in (None, data()):
        optimizer = sgd(model)
        plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=1e9, threshold_mode="abs")
        history = quiet(model, optimizer, scheduler=plateau, val_loader=val_loader, epochs=3)
        assert history.column("lr") == [0.1, 0.1, pytest.approx(0.01)]


def test_callbacks_are_called_in_order():
    calls = []

    class Recorder(Callback):
        def on_train_begin(self, run):
            calls.append(("begin", run.epoch, run.step))

        def on_step_end(self, run):
            calls.append(("step", run.epoch, run.batch, run.step, run.loss > 0))

        def on_epoch_end(self, run):
            calls.append(("epoch", run.history[-1]["epoch"]))
            run.stop = run.history[-1]["epoch"] == 2

        def on_train_end(self, run):
            calls.append(("end", run.epoch, run.step))

    class OnlyOne:
        def on_epoch_end(self, run):
            calls.append("one")

    quiet(Line(), loader=data(8), callbacks=[Recorder(), OnlyOne(), Callback()], epochs=9)
    assert calls == [
        ("begin", 0, 0),
        ("step", 0, 1, 1, True), ("step", 0, 2, 2, True), ("epoch", 1), "one",
        ("step", 1, 1, 3, True), ("step", 1, 2, 4, True), ("epoch", 2), "one",
        ("end", 2, 4),
    ]  # fmt: skip


# Early stopping ------------------------------------------------------------------------------------------------------


class Script(Callback):
    """Puts given values into the history."""

    def __init__(self, values):
        self.values = values

    def on_epoch_end(self, run):
        run.history[-1]["score"] = self.values[run.epoch]
        run.model.weight.data[...] = run.epoch


@pytest.mark.parametrize(
    ("settings", "values", "epochs", "best"),
    [
        ({"patience": 2}, [5, 4, 4, 4, 1], 4, 4),
        ({"patience": 2}, [5, 4, 4.5, 3, 3.5, 9, 1], 6, 3),
        ({"patience": 1, "mode": "max"}, [1, 2, 2, 9], 3, 2),
        ({"patience": 1, "min_delta": 0.5}, [5, 4.6, 1], 2, 5),
        ({"patience": 1}, [5, float("nan"), 1], 2, 5),
        ({"patience": 9}, [5, 4, 3], 3, 3),
    ],
)
def test_early_stopping(settings, values, epochs, best):
    for restore_best in (False, True):
        model = Line()
        stopper = EarlyStopping(monitor="score", restore_best=restore_best, **settings)
        history = quiet(model, callbacks=[Script(values)], early_stopping=stopper, epochs=len(values))
        assert len(history) == epochs
        assert stopper.best == best
        assert model.weight.data[0, 0] == (values.index(best) if restore_best else epochs - 1)


def test_early_stopping_by_patience_alone():
    model = Line()
    optimizer = sgd(model, lr=0)
    assert len(quiet(model, optimizer, val_loader=data(), early_stopping=3, epochs=9)) == 4
    with pytest.raises(ArgumentError, match="there is no 'val_loss' among epoch, loss, lr; give fit a val_loader"):
        quiet(model, optimizer, early_stopping=3)
    with pytest.raises(ArgumentError, match="there is no 'score' among epoch, loss, lr$"):
        quiet(model, optimizer, early_stopping=EarlyStopping(monitor="score"))


@pytest.mark.parametrize("settings", [{"patience": 0}, {"min_delta": -1}, {"mode": "best"}])
def test_early_stopping_settings(settings):
    with pytest.raises(ArgumentError, match="EarlyStopping: needs patience ≥ 1, min_delta ≥ 0 and mode 'min' or 'max'"):
        EarlyStopping(**settings)


# Mistakes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"epochs": -1}, ArgumentError, "epochs must be an integer ≥ 0, got -1"),
        ({"epochs": "3"}, ArgumentError, "epochs must be an integer ≥ 0, got '3'"),
        ({"metrics": {"loss": len}}, ArgumentError, "a metric cannot be called loss"),
        ({"schedule_by": "batch"}, ArgumentError, "schedule_by must be 'epoch' or 'step', got 'batch'"),
        ({"clip_grad_norm": 0}, ArgumentError, "clip_grad_norm must be positive, got 0"),
        ({"clip_grad_norm": float("nan")}, ArgumentError, "clip_grad_norm must be positive, got nan"),
        ({"resume": True}, ArgumentError, "resume=True needs a checkpoint"),
        ({"loader": iter([])}, ArgumentError, "fit: train_loader gave no samples"),
        ({"val_loader": []}, ArgumentError, "evaluate: the loader gave no samples"),
        (
            {"loader": [ml.ones(2)]},
            ArgumentTypeError,
            r"a batch must be \(inputs…, targets\), the loader gave a Tensor",
        ),
        ({"loader": [(ml.ones(2),)]}, ArgumentTypeError, r"a batch must be \(inputs…, targets\)"),
        ({"loss_fn": lambda outputs, targets: outputs}, ShapeError, "loss_fn returned shape .*; use reduction='mean'"),
        ({"loss_fn": lambda outputs, targets: 0.5}, ArgumentTypeError, "loss_fn returns must be a Tensor, got float"),
    ],
)
def test_mistakes(settings, error, message):
    with pytest.raises(error, match=message):
        quiet(Line(), **settings)


def test_plateau_by_step():
    model = Line()
    optimizer = sgd(model)
    plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    with pytest.raises(ArgumentError, match="ReduceLROnPlateau needs the numbers of an epoch; use schedule_by='epoch'"):
        quiet(model, optimizer, scheduler=plateau, schedule_by="step")


def test_nothing_to_measure():
    with pytest.raises(ArgumentError, match="evaluate: there is nothing to measure; give a loss_fn or metrics"):
        evaluate(Line(), data(), None)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite(bad):
    model, count = Line(), 0
    after = []

    def loss_fn(outputs, targets):
        nonlocal count
        count += 1
        return squared_error(outputs, targets) * (bad if count == 5 else 1)

    class Keep(Callback):
        def on_step_end(self, run):
            after.append(run.model.weight.data.copy())

    message = rf"the loss is {bad} in epoch 2, batch 2 \(step 5\), which was not taken; lower the learning rate"
    with pytest.raises(NonFiniteError, match=message):
        quiet(model, loss_fn=loss_fn, callbacks=[Keep()])
    np.testing.assert_array_equal(model.weight.data, after[-1])
    assert len(after) == 4


# What a person sees --------------------------------------------------------------------------------------------------


def test_silence(capfd):
    quiet(Line())
    assert capfd.readouterr() == ("", "")


def test_without_tqdm(capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    quiet(Line(), progress=True, epochs=2)
    out, err = capfd.readouterr()
    assert err == ""
    assert [line.split()[:2] for line in out.splitlines()] == [["epoch", "1/2"], ["epoch", "2/2"]]
    assert "loss" in out
    assert "lr 0.1" in out
    assert " s)" in out


def test_with_a_bar(capfd, monkeypatch):
    bars = []

    class Bar:
        """Stands for tqdm."""

        def __init__(self, loader, **settings):
            self.loader, self.settings, self.losses, self.closed = loader, settings, [], False
            bars.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.closed = True

        def __iter__(self):
            return iter(self.loader)

        def set_postfix(self, loss, refresh):
            self.losses.append(loss)

    module = type(sys)("tqdm")
    module.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm", module)
    quiet(Line(), progress=True, epochs=2)
    assert [bar.settings["desc"] for bar in bars] == ["epoch 1/2", "epoch 2/2"]
    assert all(bar.closed and len(bar.losses) == 3 and not bar.settings["leave"] for bar in bars)
    assert capfd.readouterr().out.count("\n") == 2


def test_with_tqdm(capfd):
    pytest.importorskip("tqdm")
    quiet(Line(), progress=True, epochs=1)
    assert capfd.readouterr().out.startswith("epoch 1/1  loss ")


# History -------------------------------------------------------------------------------------------------------------

RECORDS = [
    {"epoch": 1, "loss": 3.0, "val_loss": 4.0, "accuracy": 0.25, "lr": 0.1},
    {"epoch": 2, "loss": 1.0, "val_loss": 2.0, "accuracy": 0.75, "lr": 0.1},
    {"epoch": 3, "loss": 1.0, "val_loss": 3.0, "accuracy": 0.5, "lr": 0.1},
]


def test_history():
    history = History(RECORDS)
    assert history.column("val_loss") == [4, 2, 3]
    assert history.best("loss")["epoch"] == 2
    assert history.best("accuracy", "max")["epoch"] == 2
    assert history == RECORDS
    with pytest.raises(ArgumentError, match="history: there is no 'f1', only epoch, loss, val_loss, accuracy, lr"):
        history.column("f1")
    with pytest.raises(ArgumentError, match="needs an epoch and mode 'min' or 'max', got 3 and 'least'"):
        history.best("loss", "least")
    with pytest.raises(ArgumentError, match="needs an epoch and mode 'min' or 'max', got 0"):
        History().best("loss")
    assert History().column("loss") == []


def test_history_plot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = History(RECORDS).plot()
    curves = [[line.get_label() for line in ax.lines] for ax in figure.axes]
    assert curves == [["loss", "val_loss"], ["accuracy"]]
    np.testing.assert_array_equal(figure.axes[0].lines[1].get_xydata(), [[1, 4], [2, 2], [3, 3]])
    assert len(History(RECORDS).plot(["lr"]).axes) == 1
    with pytest.raises(ArgumentError, match="there is no 'f1'"):
        History(RECORDS).plot(["f1"])
    with pytest.raises(ArgumentError, match="nothing to plot before the end of the first epoch"):
        History().plot()
    pyplot.close("all")


def test_history_plot_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match="history.plot needs Matplotlib .*: pip install matplotlib"):
        History(RECORDS).plot()
