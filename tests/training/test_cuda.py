"""Training on a GPU, or on the stand-in for one: the loop as a whole, and resuming on the same or another device."""

import numpy as np
import pytest

import minidl as ml
from minidl import nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.training import fit
from minidl.weights import load
from tests.cupy_stand_in import counting

pytestmark = pytest.mark.usefixtures("on_cuda")


def train(device, epochs, path=None, *, dropout=0.0, resume=False, callbacks=(), seed=1):
    """(model, history) of a few epochs on twelve samples."""
    ml.manual_seed(seed)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((12, 3)).astype(np.float32)
    loader = DataLoader(TensorDataset(x, x.sum(1, keepdims=True)), 4, shuffle=True, device=device)
    first = nn.Linear(3, 8, bias=False)  # batch norm would leave nothing but noise of the gradient of its bias
    model = nn.Sequential(first, nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 1))
    model.to(device)
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    history = fit(
        model, optimizer, nn.MSELoss(), loader, epochs=epochs, val_loader=loader, checkpoint=path, resume=resume,
        callbacks=callbacks, progress=False,
    )  # fmt: skip
    return model, history


def parameters(model):
    return np.concatenate([tensor.cpu().numpy().ravel() for tensor in model.state_dict().values()])


def test_a_training_is_the_same_on_both_devices():
    (here, expected), (there, history) = train("cpu", 3), train("cuda", 3)
    assert all(tensor.device == "cuda" for tensor in there.state_dict().values())
    np.testing.assert_allclose(parameters(there), parameters(here), rtol=2e-4, atol=2e-5)
    for ours, theirs in zip(history, expected, strict=True):
        assert ours.keys() == theirs.keys()
        np.testing.assert_allclose(list(ours.values()), list(theirs.values()), rtol=2e-4)


def test_resuming_on_the_gpu_is_exact(tmp_path):
    """To the bit, dropout included: the part of its stream that the GPU draws from is in the checkpoint."""
    whole, expected = train("cuda", 4, dropout=0.5)
    path = tmp_path / "run.npz"
    train("cuda", 2, path, dropout=0.5)
    assert load(path)["random"]["dropout"]["cuda"][1] > 0
    resumed, history = train("cuda", 4, path, dropout=0.5, resume=True, seed=9)
    np.testing.assert_array_equal(parameters(resumed), parameters(whole))
    assert list(history) == list(expected)


@pytest.mark.parametrize("first, second", [("cpu", "cuda"), ("cuda", "cpu")])
def test_resuming_on_another_device(tmp_path, first, second):
    expected, _ = train("cpu", 4)
    path = tmp_path / "run.npz"
    train(first, 2, path)
    resumed, history = train(second, 4, path, resume=True, seed=9)
    assert len(history) == 4
    assert all(tensor.device == second for tensor in resumed.state_dict().values())
    np.testing.assert_allclose(parameters(resumed), parameters(expected), rtol=5e-4, atol=5e-5)


def test_a_step_of_the_loop_waits_for_the_loss_only(stand_in):
    """One wait for each step, for the number that is reported; the batches come without any."""
    seen_steps = []

    class Count(ml.training.Callback):
        def on_step_end(self, run):
            seen_steps.append((seen.synchronisations, seen.transfers_to_host))

    with counting() as seen:
        train("cuda", 2, dropout=0.5, callbacks=[Count()])
    for (waits, moved), (next_waits, next_moved) in [*zip(seen_steps[:2], seen_steps[1:3], strict=True)]:
        assert next_waits - waits == next_moved - moved == 1
