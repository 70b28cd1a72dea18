"""A training that is stopped, however, and resumed ends like one that was not: the same bits, the same history."""

import signal
import threading

import numpy as np
import pytest

import minidl as ml
from minidl import nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.errors import ArgumentError, ArgumentTypeError, FileFormatError, NonFiniteError, StateDictError
from minidl.training import Callback, Checkpoint, EarlyStopping, fit
from minidl.weights import load, save

EPOCHS, BATCHES = 4, 5  # 19 samples in batches of 4


class Net(nn.Module):
    """Everything that has state beside parameters: running statistics, and dropout's random stream."""

    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(ml.randn(3, 8) * 0.5)
        self.norm = nn.BatchNorm1d(8)
        self.dropout = nn.Dropout(0.3)
        self.second = nn.Parameter(ml.randn(8, 2) * 0.5)

    def forward(self, x):
        return self.dropout(self.norm(x @ self.first).relu()) @ self.second


def squared_error(outputs, targets):
    return ((outputs - targets) ** 2).mean()


class Kill(Exception):
    """What a power cut looks like to the tests."""


class RaiseAt(Callback):
    def __init__(self, error, step=None, epoch=None):
        self.error, self.step, self.epoch = error, step, epoch

    def on_step_end(self, run):
        if run.step == self.step:
            raise self.error

    def on_epoch_end(self, run):
        if run.history[-1]["epoch"] == self.epoch:
            raise self.error


def session(seed=1, optimizer="adam", scheduler="epoch", workers=0, generator=False, **settings):
    """A fresh process, as far as the training can tell; runs fit and returns (model, history)."""
    ml.manual_seed(seed)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((19, 3)).astype(np.float32)
    dataset = TensorDataset(ml.from_numpy(x), ml.from_numpy(x[:, :2] ** 2))
    own = ml.Generator(seed + 10) if generator else None
    loader = DataLoader(dataset, 4, shuffle=True, num_workers=workers, generator=own)
    model = Net()
    if optimizer == "adam":
        optimizer = optim.AdamW(model.parameters(), lr=0.01)
    else:
        optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    if scheduler == "plateau":
        settings["scheduler"] = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5)
    elif scheduler == "step":
        settings["scheduler"] = optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=EPOCHS * BATCHES)
        settings["schedule_by"] = "step"
    elif scheduler == "epoch":
        settings["scheduler"] = optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    settings = {"epochs": EPOCHS, "progress": False, "loss_fn": squared_error, "train_loader": loader, **settings}
    settings.setdefault("val_loader", DataLoader(dataset, 7, shuffle=True))
    settings.setdefault("metrics", {"mean": lambda outputs, targets: outputs.mean()})
    return model, fit(model, optimizer, **settings)


def assert_same(one, other):
    (model, history), (model2, history2) = one, other
    assert history == history2
    for (name, tensor), tensor2 in zip(model.state_dict().items(), model2.state_dict().values(), strict=True):
        np.testing.assert_array_equal(tensor.data, tensor2.data, err_msg=name)


@pytest.fixture
def usual_signals():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupting(at, calls, interrupt):
    """The loss function, which is interrupted in its call number `at`."""

    def loss_fn(outputs, targets):
        calls.append(1)
        if len(calls) == at:
            interrupt()
        return squared_error(outputs, targets)

    return loss_fn


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": "sgd", "scheduler": "plateau"},
        {"scheduler": "step", "clip_grad_norm": 0.5},
        {"scheduler": None, "workers": 2, "generator": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("end", [{"epoch": 3}, {"step": 8}, {"step": BATCHES * 2}, {"step": 1}], ids=str)
def test_killed_and_resumed(tmp_path, suffix, settings, end):
    if suffix == "safetensors":
        pytest.importorskip("safetensors")
    whole = session(**settings)
    settings = {**settings, "checkpoint": Checkpoint(tmp_path / f"run.{suffix}", every_steps=3)}
    with pytest.raises(Kill, match="now"):
        session(callbacks=[RaiseAt(Kill("now"), **end)], **settings)
    assert_same(session(seed=2, resume=True, **settings), whole)


def test_a_checkpoint_changes_nothing_and_a_finished_training_stays(tmp_path):
    path = str(tmp_path / "run.npz")
    whole = session()
    assert_same(session(checkpoint=path), whole)
    assert_same(session(seed=2, checkpoint=path, resume=True), whole)
    longer = session(seed=2, checkpoint=path, resume=True, epochs=EPOCHS + 2)
    assert [record["epoch"] for record in longer[1]] == [1, 2, 3, 4, 5, 6]
    assert longer[1][:EPOCHS] == whole[1]


def test_resume_begins_where_there_is_nothing_yet(tmp_path):
    assert_same(session(checkpoint=tmp_path / "run.npz", resume=True), session())


def test_every_batch_once(tmp_path):
    """In the resumed epoch only the batches that were still to come are used."""
    steps = []

    class Count(Callback):
        def on_step_end(self, run):
            steps.append((run.epoch, run.batch, run.step))

    settings = {"checkpoint": Checkpoint(tmp_path / "run.npz", every_steps=4), "epochs": 2}
    with pytest.raises(Kill, match="now"):
        session(callbacks=[RaiseAt(Kill("now"), step=9)], **settings)
    session(resume=True, callbacks=[Count()], **settings)
    assert steps == [(1, 4, 9), (1, 5, 10)]


def test_early_stopping_is_resumed(tmp_path):
    def stopper():
        return EarlyStopping(patience=3, monitor="lr", mode="max", restore_best=True)

    whole = session(epochs=9, early_stopping=stopper())
    assert len(whole[1]) == 4
    path = tmp_path / "run.npz"
    for end in ({"epoch": 1}, {"epoch": 3}, {"step": 3 * BATCHES}):
        with pytest.raises(Kill, match="now"):
            session(epochs=9, early_stopping=stopper(), callbacks=[RaiseAt(Kill("now"), **end)], checkpoint=path)
        assert_same(session(2, epochs=9, early_stopping=stopper(), checkpoint=path, resume=True), whole)
    assert_same(session(2, epochs=9, early_stopping=stopper(), checkpoint=path, resume=True), whole)


class Noise(Callback):
    """Remembers, and draws random numbers, in every step."""

    def __init__(self):
        self.total, self.steps = 0.0, 0

    def on_step_end(self, run):
        self.total, self.steps = self.total + ml.rand(()).item(), self.steps + 1

    def state_dict(self):
        return {"total": self.total, "steps": self.steps}

    def load_state_dict(self, state):
        self.total, self.steps = state["total"], state["steps"]


@pytest.mark.parametrize("how", ["killed", "ctrl-c"])
def test_callbacks_with_a_memory_are_resumed(tmp_path, usual_signals, how):
    whole, resumed = Noise(), Noise()
    session(callbacks=[whole])
    checkpoint = Checkpoint(tmp_path / "run.npz", every_steps=3)
    if how == "killed":
        with pytest.raises(Kill, match="now"):
            session(callbacks=[Noise(), RaiseAt(Kill("now"), step=8)], checkpoint=checkpoint)
    else:
        loss_fn = interrupting(7, [], lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt, match=r"run\.npz "):
            session(callbacks=[Noise()], checkpoint=checkpoint, loss_fn=loss_fn)
    session(seed=2, callbacks=[resumed], checkpoint=checkpoint, resume=True)
    assert (resumed.total, resumed.steps) == (whole.total, whole.steps)


def test_a_callback_that_comes_later_starts_afresh(tmp_path):
    path = tmp_path / "run.npz"
    session(checkpoint=path, epochs=2)
    stopper = EarlyStopping(patience=1, monitor="lr", mode="max")
    assert len(session(checkpoint=path, resume=True, epochs=9, early_stopping=stopper)[1]) == 4


# Ctrl-C --------------------------------------------------------------------------------------------------------------


def raise_interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("at", [1, 8, BATCHES + 3, BATCHES + 4])  # in training, in validation
def test_ctrl_c_waits_for_the_end_of_the_step(tmp_path, usual_signals, at):
    whole = session()
    path, calls = tmp_path / "run.npz", []
    loss_fn = interrupting(at, calls, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match=r"run\.npz "):
        session(loss_fn=loss_fn, checkpoint=path)
    assert len(calls) == at
    in_training = {1: 1, 8: 5, BATCHES + 3: 5, BATCHES + 4: 6}[at]  # the validation has three batches
    assert load(path)["step"] == in_training
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert_same(session(seed=2, checkpoint=path, resume=True), whole)


@pytest.mark.parametrize(("end", "saved"), [({"step": 7}, BATCHES), ({"epoch": 2}, 2 * BATCHES)])
def test_an_interrupt_raised_by_a_callback(tmp_path, end, saved):
    path = tmp_path / "run.npz"
    with pytest.raises(KeyboardInterrupt, match=r"run\.npz "):
        session(callbacks=[RaiseAt(KeyboardInterrupt(), **end)], checkpoint=path)
    assert load(path)["step"] == saved
    assert_same(session(seed=2, checkpoint=path, resume=True), session())


def test_an_interrupt_amid_a_step_leaves_the_last_whole_one(tmp_path):
    path = tmp_path / "run.npz"
    with pytest.raises(KeyboardInterrupt, match=r"run\.npz "):
        session(loss_fn=interrupting(3, [], raise_interrupt), checkpoint=path)
    assert load(path)["step"] == 0
    assert_same(session(seed=2, checkpoint=path, resume=True), session())


def test_ctrl_c_without_a_checkpoint(usual_signals):
    calls = []
    with pytest.raises(KeyboardInterrupt, match="^$"):
        session(loss_fn=interrupting(3, calls, lambda: signal.raise_signal(signal.SIGINT)))
    assert len(calls) == 3


def test_other_handlers_and_other_threads_are_left_alone(tmp_path):
    path, caught = tmp_path / "run.npz", []
    before = signal.signal(signal.SIGINT, lambda *_: caught.append(1))
    try:
        session(loss_fn=interrupting(3, [], lambda: signal.raise_signal(signal.SIGINT)), checkpoint=path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert caught == [1]

    results = []
    thread = threading.Thread(target=lambda: results.append(session(checkpoint=path)))
    thread.start()
    thread.join()
    assert_same(results[0], session())


# The last good one is kept -------------------------------------------------------------------------------------------


def test_nan_keeps_the_last_checkpoint(tmp_path):
    path, calls = tmp_path / "run.npz", []

    def loss_fn(outputs, targets):
        calls.append(1)
        return squared_error(outputs, targets) * (float("nan") if len(calls) == 2 * BATCHES + 7 else 1)

    with pytest.raises(NonFiniteError, match="the loss is nan in epoch 3, batch 1"):
        session(loss_fn=loss_fn, checkpoint=path)
    assert load(path)["epoch"] == 2
    assert_same(session(seed=2, checkpoint=path, resume=True), session())


def test_parameters_that_are_not_finite_do_not_replace_good_ones(tmp_path):
    path = tmp_path / "run.npz"

    class Spoil(Callback):
        def on_epoch_end(self, run):
            if run.epoch == 1:
                run.model.second.data[0, 0] = np.inf

    with pytest.raises(NonFiniteError, match=r"'second' has a NaN or infinity after epoch 2, step 10; .* not replaced"):
        session(callbacks=[Spoil()], checkpoint=path)
    assert load(path)["epoch"] == 1


# Loaders without a state, and files that do not fit ------------------------------------------------------------------


def test_a_list_of_batches_is_resumed_by_epochs(tmp_path):
    path = tmp_path / "run.npz"
    batches = [(ml.ones(2, 3) * i, ml.ones(2, 2)) for i in range(3)]
    settings = {"train_loader": batches, "val_loader": None, "checkpoint": path}
    whole = session(train_loader=batches, val_loader=None)
    for error, match in ((Kill("now"), "now"), (KeyboardInterrupt(), "a list has no state_dict")):
        with pytest.raises(type(error), match=match):
            session(callbacks=[RaiseAt(error, step=8)], **settings)
        assert load(path)["step"] == 6
        assert_same(session(seed=2, resume=True, **settings), whole)
    with pytest.raises(ArgumentTypeError, match="needs a loader with state_dict, as DataLoader, not a list"):
        session(**{**settings, "checkpoint": Checkpoint(path, every_steps=2)})
    with pytest.raises(StateDictError, match="the state of the loader: the checkpoint has none, this training has one"):
        session(checkpoint=path, resume=True)


def test_checkpoints_that_do_not_fit(tmp_path):
    path = tmp_path / "run.npz"
    session(checkpoint=path, epochs=1)
    with pytest.raises(
        StateDictError, match="the state of the scheduler: the checkpoint has one, this training has none"
    ):
        session(checkpoint=path, resume=True, scheduler=None)
    save({"weight": np.ones(2)}, path)
    with pytest.raises(StateDictError, match="this is no checkpoint of a training, which has batch, callbacks, epoch"):
        session(checkpoint=path, resume=True)
    path.write_bytes(b"no zip")
    with pytest.raises(FileFormatError, match=r"run\.npz: is not a whole zip archive"):
        session(checkpoint=path, resume=True)


def test_paths_that_cannot_be_written(tmp_path):
    with pytest.raises(ArgumentError, match=r"ends in '\.pt'; minidl writes \.safetensors and \.npz"):
        session(checkpoint=tmp_path / "run.pt")
    with pytest.raises(FileNotFoundError, match="missing"):
        session(checkpoint=tmp_path / "missing" / "run.npz")
    with pytest.raises(ArgumentError, match="every_steps must be at least 1, got 0"):
        Checkpoint(tmp_path / "run.npz", every_steps=0)
