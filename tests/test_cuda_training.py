"""Training steps on a GPU, or on the stand-in for one: the same numbers as on the CPU, and no wait for the device."""

import numpy as np
import pytest

import minidl as ml
from minidl import functional as F
from minidl import nn, optim
from minidl.backend import cuda_is_available
from minidl.errors import OutOfRangeError
from tests import cupy_stand_in


class Residual(nn.Module):
    """Two convolutions with batch norm, around which the input goes."""

    def __init__(self, channels):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(h)) + x)


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16, 20), nn.Tanh(), nn.Linear(20, 10),
    )  # fmt: skip


def resnet():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1), Residual(8), nn.AvgPool2d(2), nn.GroupNorm(2, 8), nn.GELU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(8), nn.Linear(8, 10),
    )  # fmt: skip


class Segmenter(nn.Module):
    """A fully convolutional network with a skip; each image is labelled by its mean score."""

    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.LeakyReLU(0.1), nn.MaxPool2d(2))
        self.up = nn.ConvTranspose2d(8, 10, 4, stride=2, padding=1)
        self.skip = nn.Conv2d(1, 10, 1)

    def forward(self, x):
        scores = self.up(self.down(x)) + self.skip(x)
        return F.interpolate(scores, scale_factor=0.5, mode="bilinear").mean((2, 3))


NETWORKS = {"lenet": lenet, "resnet": resnet, "segmenter": Segmenter}
OPTIMIZERS = {
    "sgd": lambda parameters: optim.SGD(parameters, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": lambda parameters: optim.Adam(parameters, lr=0.01),
    "rmsprop": lambda parameters: optim.RMSprop(parameters, lr=0.001, momentum=0.9),
    "adagrad": lambda parameters: optim.Adagrad(parameters, lr=0.01),
}


def trainer(network, optimizer, device):
    """(step, model): ``step()`` trains on the same few images again, and returns the loss where it is."""
    ml.manual_seed(1)
    model = NETWORKS[network]().to("float64").to(device)
    rng = np.random.default_rng(2)
    x = ml.tensor(rng.standard_normal((6, 1, 12, 12)), device=device)
    labels = ml.tensor(rng.integers(0, 10, 6), device=device)
    updates = OPTIMIZERS[optimizer](model.parameters())

    def step():
        updates.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        updates.step()
        return loss

    return step, model


@pytest.fixture
def on_cuda(request):
    """The GPU, or the stand-in."""
    if not cuda_is_available():
        request.getfixturevalue("stand_in")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_training_is_the_same_on_both_devices(on_cuda, network, optimizer):
    step, model = trainer(network, optimizer, "cpu")
    losses = [float(step()) for _ in range(3)]
    there, moved = trainer(network, optimizer, "cuda")
    np.testing.assert_allclose([float(there()) for _ in range(3)], losses, rtol=1e-9)
    for (name, here), other in zip(model.state_dict().items(), moved.state_dict().values(), strict=True):
        assert other.device == "cuda:0"
        np.testing.assert_allclose(other.cpu().numpy(), here.numpy(), rtol=1e-6, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_a_step_neither_waits_for_the_device_nor_moves_anything(stand_in, network, optimizer):
    step, _ = trainer(network, optimizer, "cuda")
    step()
    with cupy_stand_in.counting() as seen:
        loss = step()
    assert not seen.places and seen.synchronisations == seen.transfers_to_device == seen.transfers_to_host == 0
    assert sum(seen.launches.values()) > 10
    with cupy_stand_in.counting() as seen:
        loss.item()
    assert seen.transfers_to_host > 0


def test_inference_is_the_same_on_both_devices(on_cuda):
    results = []
    for device in ("cpu", "cuda"):
        step, model = trainer("resnet", "sgd", device)
        step()
        with ml.no_grad():
            results.append(model.eval()(ml.ones(2, 1, 12, 12, dtype="float64", device=device)).cpu().numpy())
    np.testing.assert_allclose(*results, rtol=1e-9)


def test_a_wrong_label_is_reported_before_any_number_that_it_could_spoil(on_cuda):
    scores = ml.zeros(3, 4, device="cuda", requires_grad=True)
    loss = F.cross_entropy(scores, ml.tensor([0, 7, 1], device="cuda"))
    loss.backward()
    with pytest.raises(OutOfRangeError, match="target holds the label 7 but there are 4 classes"):
        loss.item()
    assert np.isfinite(F.cross_entropy(scores, ml.tensor([0, 3, 1], device="cuda")).item())


@pytest.mark.parametrize(
    "operation",
    [
        lambda x, i: F.gather(x, 0, i),
        lambda x, i: F.embedding(i.reshape(-1), x),
        lambda x, i: F.index_select(x, 0, i.reshape(-1)),
        lambda x, i: F.scatter_add(x, 0, i, x),
    ],
)
def test_a_wrong_index_is_reported_and_writes_nowhere_else(on_cuda, operation):
    x = ml.ones(2, 2, device="cuda", requires_grad=True)
    y = operation(x, ml.tensor([[0, 9], [1, 1]], device="cuda"))
    y.sum().backward()
    with pytest.raises(OutOfRangeError, match="index 9 is out of range"):
        y.cpu()


def test_gradients_that_are_handed_out_share_no_memory(on_cuda):
    x, y = (ml.ones(2, 3, device="cuda", requires_grad=True) for _ in range(2))
    (x + y).sum().backward()  # one number, broadcast to both
    x.grad.data[0, 0] = 5
    assert x.grad.tolist() == [[5, 1, 1], [1, 1, 1]] and y.grad.tolist() == [[1, 1, 1], [1, 1, 1]]
