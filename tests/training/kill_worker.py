"""A small training with everything that has state, for test_kill.py to kill: ``python kill_worker.py RUN RESULT``.

It goes on from the checkpoint RUN, and at the end writes its model and history to RESULT.
"""

import sys

import numpy as np

import minidl as ml
from minidl import nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.training import Checkpoint, fit


def train(run, result):
    ml.set_num_threads(1)
    ml.manual_seed(3)
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((40, 16)).astype(np.float32), rng.integers(0, 4, 40)
    loader = DataLoader(TensorDataset(ml.from_numpy(images), ml.from_numpy(labels)), 6, shuffle=True)
    model = nn.Sequential(nn.Linear(16, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 4))
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    history = fit(
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        loader,
        epochs=12,
        scheduler=optim.lr_scheduler.CosineAnnealingLR(optimizer, 84),
        schedule_by="step",
        checkpoint=Checkpoint(run, every_steps=1),
        resume=True,
        progress=False,
    )
    ml.save({"model": model.state_dict(), "history": list(history)}, result)


if __name__ == "__main__":
    train(*sys.argv[1:])
