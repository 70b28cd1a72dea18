"""Networks on a GPU, or on the stand-in for one: the scores and gradients of the CPU."""

import numpy as np
import pytest

import minidl as ml
from minidl import models

NETWORKS = {
    "LeNet5": (lambda: models.LeNet5(), (2, 1, 28, 28)),
    "MiniVGG": (lambda: models.MiniVGG(), (2, 3, 32, 32)),
    "MiniInception": (lambda: models.MiniInception(), (1, 3, 28, 28)),
    "ResNetCifar": (lambda: models.ResNetCifar(8), (2, 3, 16, 16)),
    "plain_cifar": (lambda: models.plain_cifar(8), (2, 3, 16, 16)),
    "resnet18": (lambda: models.resnet18(num_classes=5), (1, 3, 32, 32)),
    "mobilenet_v2": (lambda: models.mobilenet_v2(num_classes=5), (1, 3, 32, 32)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_agree_with_the_cpu(on_cuda, name):
    make, shape = NETWORKS[name]
    images = np.random.default_rng(0).standard_normal(shape).astype("float32")
    scores, gradients = [], []
    for device in ("cpu", "cuda"):
        ml.manual_seed(0)
        model = make().eval().to(device)
        y = model(ml.tensor(images, device=device))
        y.square().mean().backward()
        scores.append(y.detach().cpu().numpy())
        gradients.append([parameter.grad.cpu().numpy() for parameter in model.parameters()])
    assert y.device == "cuda:0"
    largest = np.abs(scores[0]).max()
    assert largest > 0
    np.testing.assert_allclose(scores[1] / largest, scores[0] / largest, atol=1e-4)
    for here, there in zip(*gradients, strict=True):
        np.testing.assert_allclose(there, here, atol=1e-3 * np.abs(here).max() + 1e-12)
