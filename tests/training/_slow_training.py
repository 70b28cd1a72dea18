"""A training that takes its time, to be interrupted: ``python -m tests.training._slow_training PATH SECONDS``."""

import signal
import sys
import time

import numpy as np

import minidl as ml
from minidl import nn, optim
from minidl.data import DataLoader, Dataset
from minidl.training import Callback, fit


class Slow(Dataset):
    """Samples that take a while to fetch."""

    def __init__(self, seconds):
        self.x = np.random.default_rng(0).standard_normal((24, 3)).astype(np.float32)
        self.seconds = seconds

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        time.sleep(self.seconds)
        return self.x[index], self.x[index, :2] ** 2


class Say(Callback):
    """Tell the parent process where the training is."""

    def on_step_end(self, run):
        print(run.step, flush=True)


def train(path=None, seconds=0.0, callbacks=(), resume=False):
    """(model, history) of a training with dropout, running statistics, two loader threads and a validation."""
    ml.manual_seed(3)
    dataset = Slow(seconds)
    model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))
    history = fit(
        model,
        optim.AdamW(model.parameters(), lr=0.01),
        nn.MSELoss(),
        DataLoader(dataset, 4, shuffle=True, num_workers=2),
        val_loader=DataLoader(dataset, 8),
        epochs=6,
        checkpoint=path,
        resume=resume,
        callbacks=callbacks,
        progress=False,
    )
    return model, history


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs tests behind may have it ignored
    train(sys.argv[1], float(sys.argv[2]), [Say()])
