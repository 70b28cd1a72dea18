"""Ctrl-C on a process that trains, as a person sends it; and what a thousand epochs leave behind."""

import gc
import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import minidl as ml
from minidl import nn, optim
from minidl.data import DataLoader, Dataset
from minidl.training import Checkpoint, fit
from minidl.weights import load
from tests.training._slow_training import train

ROOT = Path(__file__).parents[2]
EPOCHS = 1_000
MEBIBYTE = 2**20


@pytest.mark.parametrize("step", [3, 10])
def test_ctrl_c_on_a_process_leaves_a_checkpoint_that_goes_on_to_the_bit(tmp_path, step):
    path = tmp_path / "run.npz"
    command = [sys.executable, "-m", "tests.training._slow_training", str(path), "0.004"]
    with subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as child:
        for line in child.stdout:
            if int(line) == step:
                child.send_signal(signal.SIGINT)
                break
        _, errors = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGINT, errors
    saved = load(path)["step"]
    assert step <= saved <= step + 2
    assert f"run.npz holds the training up to here, step {saved}; go on with resume=True" in errors

    resumed, resumed_history = train(path, resume=True)
    whole, whole_history = train()
    assert resumed_history == whole_history and len(whole_history) == 6
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a.data, b.data, err_msg=name)


class InterruptIn:
    """A loss that is interrupted in one of its calls, amid the step."""

    def __init__(self, call):
        self.calls, self.call = 0, call

    def __call__(self, outputs, targets):
        self.calls += 1
        if self.calls == self.call:
            raise KeyboardInterrupt
        return nn.MSELoss()(outputs, targets)


def pairs():
    x = ml.from_numpy(np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32))
    return [(x[i], x[i, :1]) for i in range(12)]


@pytest.mark.parametrize(
    ("batches", "call", "why"),
    [
        (DataLoader(pairs(), 4), 5, "left as last saved, for the interrupt came amid step 5, which may be half done"),
        ([(ml.ones(2, 3), ml.ones(2, 1))] * 3, 5, "left as last saved, for a list has no state_dict to say which"),
    ],
    ids=["amid a step", "a list"],
)
def test_an_interrupt_that_cannot_be_saved_says_why(tmp_path, batches, call, why):
    model = nn.Linear(3, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    checkpoint = Checkpoint(tmp_path / "run.npz")
    with pytest.raises(KeyboardInterrupt, match=why):
        fit(model, optimizer, InterruptIn(call), batches, epochs=3, checkpoint=checkpoint, progress=False)
    assert load(checkpoint.path)["step"] == 3


def resident():
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files():
    return len(os.listdir("/proc/self/fd"))


class Files(Dataset):
    """Two samples, each read from a file."""

    def __init__(self, folder):
        self.paths = [folder / "a.bin", folder / "b.bin"]
        for number, path in enumerate(self.paths):
            path.write_bytes(bytes([number] * 64))

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with open(self.paths[index], "rb") as file:
            return np.frombuffer(file.read(), np.uint8).astype(np.float32), index


def allocated():
    """Bytes that minidl has asked for; a tool that watches the tests, as for coverage, keeps some for each thread."""
    inside = tracemalloc.Filter(True, str(Path(ml.__file__).parent / "*"))
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([inside]).traces)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory and files are counted in Linux's /proc")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_thousand_epochs_leave_no_thread_file_or_memory(tmp_path, workers):
    loader = DataLoader(Files(tmp_path), 2, shuffle=True, num_workers=workers)

    def epochs(count):
        for _ in range(count):
            assert sum(len(x) for x, _ in loader) == 2
        gc.collect()

    epochs(100)  # caches, and the heaps that malloc keeps for threads
    threads, files, memory = threading.active_count(), open_files(), resident()
    epochs(EPOCHS)
    assert (threading.active_count(), open_files()) == (threads, files)
    assert resident() - memory < MEBIBYTE

    tracemalloc.start()
    try:
        epochs(20)
        before = allocated()
        epochs(EPOCHS // 5)
        assert allocated() - before < MEBIBYTE / 5
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is counted in Linux's /proc")
def test_a_thousand_epochs_of_fit_keep_their_history_and_no_more():
    """A record is three numbers: 1,000 of them, and nothing else, are still there at the end."""
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
    optimizer = optim.Adam(model.parameters())
    loader = DataLoader(pairs(), 12, shuffle=True)
    settings = {"progress": False}
    fit(model, optimizer, nn.MSELoss(), loader, epochs=100, **settings)
    gc.collect()
    memory = resident()
    history = fit(model, optimizer, nn.MSELoss(), loader, epochs=EPOCHS, **settings)
    gc.collect()
    assert len(history) == EPOCHS
    assert resident() - memory < MEBIBYTE
