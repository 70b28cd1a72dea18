"""The networks that lessons train: counts, shapes, gradients, and what residual means."""

import subprocess
import sys

import numpy as np
import pytest

import minidl as ml
from minidl import models, nn, optim
from minidl.autograd import gradcheck
from minidl.errors import ArgumentError, ArgumentTypeError, ShapeError
from minidl.models import __main__ as listing


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (models.LeNet5, 61_706),
        (lambda: models.LeNet5(num_classes=7, in_channels=3, dropout=0.5), 61_706 + 2 * 6 * 25 - 3 * 85),
        (models.MiniVGG, 421_802),
        (lambda: models.MiniVGG(batch_norm=False), 421_802 - 2 * 2 * (32 + 64 + 128)),
        (models.MiniInception, 1_649_402 + 1_712),  # Zhang et al. 2017, table 1; and γ of 1,712 channels
        (lambda: models.ResNetCifar(20), 269_722),
        (lambda: models.ResNetCifar(32), 464_154),
        (lambda: models.ResNetCifar(56), 853_018),
        (lambda: models.ResNetCifar(110), 1_727_962),
        (lambda: models.plain_cifar(20), 269_722),
    ],
)
def test_parameters(make, parameters):
    assert count(make()) == parameters


@pytest.mark.parametrize(
    ("make", "shapes"),
    [
        (models.LeNet5, [(1, 28, 28)]),
        (models.MiniVGG, [(3, 32, 32), (3, 28, 28), (3, 8, 8)]),
        (lambda: models.MiniVGG(in_channels=1), [(1, 28, 28)]),
        (lambda: models.MiniInception(width_mult=0.125), [(3, 32, 32), (3, 28, 28), (3, 33, 31)]),
        (lambda: models.ResNetCifar(8), [(3, 32, 32), (3, 28, 28), (3, 31, 33)]),
        (lambda: models.plain_cifar(8, in_channels=1), [(1, 28, 28)]),
    ],
)
def test_logits(make, shapes, rng):
    model = make()
    for shape in shapes:
        for training in (True, False):
            y = model.train(training)(ml.tensor(rng.standard_normal((3, *shape), dtype=np.float32)))
            assert y.shape == (3, 10) and y.dtype == ml.float32 and np.isfinite(y.data).all()


def test_shapes_of_the_tables():
    seen = {}
    for name, make, image in (
        ("lenet", models.LeNet5, (1, 28, 28)),
        ("vgg", models.MiniVGG, (3, 32, 32)),
        ("inception", models.MiniInception, (3, 32, 32)),
        ("resnet", models.ResNetCifar, (3, 32, 32)),
    ):
        rows = nn.summary.summarize(make(), (1, *image)).rows
        seen |= {f"{name}.{row.path}": row.output_shapes[0][1:] for row in rows if row.path}
    expected = {
        "lenet.c1": (6, 28, 28), "lenet.s2": (6, 14, 14), "lenet.c3": (16, 10, 10), "lenet.s4": (16, 5, 5),
        "lenet.c5": (120,), "lenet.f6": (84,), "vgg.features.6": (32, 16, 16), "vgg.features": (128, 4, 4),
        "vgg.avgpool": (128, 2, 2), "inception.conv1": (96, 32, 32), "inception.blocks.1": (80, 32, 32),
        "inception.blocks.2": (160, 16, 16), "inception.blocks.6": (144, 16, 16), "inception.blocks.7": (240, 8, 8),
        "inception.blocks.9": (336, 8, 8), "resnet.layer1": (16, 32, 32), "resnet.layer2": (32, 16, 16),
        "resnet.layer3": (64, 8, 8),
    }  # fmt: skip
    assert {key: seen[key] for key in expected} == expected


@pytest.mark.parametrize(
    "make",
    [
        lambda: models.ResNetCifar(8, num_classes=3, in_channels=2, width=2),
        lambda: models.MiniInception(num_classes=3, in_channels=2, width_mult=1 / 32),
    ],
)
def test_gradients(make, rng):
    """By finite differences, in training, so with the statistics of the batch."""
    model = make().to(ml.float64)
    x = ml.tensor(rng.standard_normal((2, 2, 8, 8)), requires_grad=True)
    gradcheck(model, x, mode="directional", eps=1e-7)


def test_the_shortcut_takes_every_second_pixel_and_adds_zeros(rng):
    """With γ = 0 at its end a block is relu(shortcut), and a plain one is 0."""
    x = rng.standard_normal((2, 16, 8, 8), dtype=np.float32)
    for residual in (True, False):
        block = models.ResNetCifar(8, residual=residual).layer2[0]
        nn.init.zeros_(block.bn2.weight)
        y = block(ml.tensor(x)).detach().numpy()
        expected = np.zeros((2, 32, 4, 4), np.float32)
        if residual:
            expected[:, :16] = np.maximum(x[:, :, ::2, ::2], 0)
        np.testing.assert_array_equal(y, expected)


def test_a_plain_network_is_the_residual_one_without_shortcuts():
    residual, plain = models.ResNetCifar(14), models.plain_cifar(14)
    assert {k: v.shape for k, v in residual.state_dict().items()} == {k: v.shape for k, v in plain.state_dict().items()}
    plain.load_state_dict(residual.state_dict())
    x = ml.randn(2, 3, 16, 16)
    assert not np.allclose(plain.eval()(x).data, residual.eval()(x).data)


def test_they_learn():
    """Eight images by heart."""
    for model in (models.LeNet5(), models.MiniVGG(4, 1, (8, 16), dropout=0.0), models.ResNetCifar(8, 4, 1)):
        x, labels = ml.randn(8, 1, 28, 28), ml.tensor([0, 1, 2, 3] * 2)
        optimizer = optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(30):
            optimizer.zero_grad()
            loss = nn.CrossEntropyLoss()(model(x), labels)
            loss.backward()
            optimizer.step()
        assert loss.item() < 0.1, type(model).__name__
        assert (model(x).data.argmax(1) == labels.data).all()


def test_on_every_device(device):
    model = models.ResNetCifar(8, width=4)
    x = ml.randn(2, 3, 8, 8)
    expected = model.eval()(x).detach().numpy()
    y = model.to(device)(x.to(device))
    assert y.device.type == device
    np.testing.assert_allclose(y.detach().cpu().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_refused():
    for depth in (2, 18, 19, -4):
        with pytest.raises(ArgumentError, match=f"6n \\+ 2, such as 8, 14, 20, .*; got {depth}"):
            models.ResNetCifar(depth)
    with pytest.raises(ArgumentTypeError, match="depth must be an integer, got 20.0"):
        models.plain_cifar(20.0)
    for width_mult in (0, -1, 0.01):
        with pytest.raises(ArgumentError, match=f"width_mult={width_mult} leaves no channels"):
            models.MiniInception(width_mult=width_mult)
    with pytest.raises(ShapeError, match=r"\[in layer c5\]"):
        models.LeNet5()(ml.zeros(1, 1, 32, 32))


def test_the_room_opens_when_it_is_asked_for():
    code = "import sys, minidl; before = 'minidl.models' in sys.modules; minidl.models.LeNet5(); print(before)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "False", result.stderr


def test_the_listing(monkeypatch, capsys):
    names = {name.partition("(")[0] for name, *_ in listing.MODELS}
    classes = {"AlexNet", "EfficientNetLite0", "FCNResNet50", "GoogLeNet", "Inception3", "MobileNetV2", "ResNet", "VGG"}
    helpers = {"GoogLeNetOutputs", "InceptionOutputs", "class_names", "convolutionalize", "preprocessing"}
    helpers |= {"extract_features", "parameter_groups", "predict_image", "replace_head"}
    classes |= {"GAN", "MLPGenerator", "MLPDiscriminator", "DCGANGenerator", "DCGANDiscriminator"}
    classes |= {"ConditionalGenerator", "ConditionalDiscriminator", "VAEOutputs", "NegativeELBO"}
    classes |= {"DetectionTransform", "FastRCNNPredictor", "FeaturePyramidNetwork", "FrozenBatchNorm2d"}
    classes |= {"GeneralizedRCNN", "MaskRCNNHeads", "MaskRCNNPredictor", "RPNHead", "RegionProposalNetwork"}
    classes |= {"ResNetFPN", "RoIHeads", "TwoMLPHead", "FastRCNN", "FasterRCNN", "MaskRCNN", "RCNN"}
    helpers |= {"critic_gradient_norms", "gradient_penalty", "kl_to_standard_normal"}
    assert names == set(models.__all__) - classes - helpers
    monkeypatch.setattr(listing, "MODELS", [row for row in listing.MODELS if row[0] in ("LeNet5", "mobilenet_v2")])
    listing.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["LeNet5", "61,706"] and lines[1].endswith("LeCun et al. 1998")
    assert lines[2].split() == "mobilenet_v2 3,504,872 3 × 224 × 224 0.63 Sandler et al. 2018".split()
