"""Networks that label pixels: where their scores lie, what they share with classifiers and with torchvision."""

import numpy as np
import pytest

import minidl as ml
import minidl.functional as F
from minidl import models, nn, optim
from minidl.autograd import gradcheck
from minidl.errors import ArgumentError, ShapeError
from minidl.models.fcn import Upscore
from minidl.nn.summary import summarize
from tests.models._torchvision import SEGMENTATION, at_two_pixels, fill, images, listing

WIDTHS = (4, 4, 8, 8, 8)
FCNS = [models.FCN32s, models.FCN16s, models.FCN8s]


def trunk(**settings):
    return models.MiniVGG(**{"num_classes": 7, "widths": WIDTHS, "dropout": 0.0, **settings})


SMALL = {
    "FCN32s": lambda k=3, c=3: models.FCN32s(k, trunk(in_channels=c)),
    "FCN16s": lambda k=3, c=3: models.FCN16s(k, trunk(in_channels=c)),
    "FCN8s": lambda k=3, c=3: models.FCN8s(k, trunk(in_channels=c), learn_last=True),
    "DeconvNet": lambda k=3, c=3: models.DeconvNet(k, c, (4, 8), (1, 2), hidden=16, side=2),
    "SegNet": lambda k=3, c=3: models.SegNet(k, c, (8, 16), (1, 2)),
    "UNet": lambda k=3, c=3: models.UNet(k, c, (4, 8, 8)),
}


def predict(model, x):
    with ml.no_grad():
        return model(x if isinstance(x, ml.Tensor) else ml.tensor(x))


def draw_scores(model):
    """Score layers of FCNs begin at 0, where nothing could be told from another."""
    for layer in getattr(model, "score", nn.Module()).modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight)
    return model


# ---------------------------------------------------------------------------------------------------------------------
# Convolutionalization


@pytest.mark.parametrize(
    ("make", "side"),
    [
        (trunk, 64),
        (lambda: trunk(batch_norm=False, widths=(4, 8)), 8),
        (lambda: models.mobilenet_v2(num_classes=7, width_mult=0.35), 64),
        (lambda: models.resnet18(num_classes=7), 64),
    ],
    ids=["MiniVGG", "two stages", "mobilenet_v2", "resnet18"],
)
def test_a_classifier_as_a_convolution_gives_identical_scores(make, side, rng):
    classifier = make().to(ml.float64).eval()
    convolution = models.convolutionalize(classifier)
    assert not convolution.training
    x = rng.standard_normal((2, 3, side, side))
    expected, scores = predict(classifier, x).numpy(), predict(convolution, x).numpy()
    if isinstance(classifier, models.MobileNetV2 | models.ResNet):  # they average over the map
        assert scores.shape == (2, 7, 2, 2)
        scores = scores.mean((2, 3), keepdims=True)
    assert scores.shape == (2, 7, 1, 1)
    assert np.abs(scores[..., 0, 0] - expected).max() <= 1e-12 * np.abs(expected).max()


def test_float32_scores_agree_to_a_millionth_and_larger_images_give_maps(rng):
    classifier = trunk(widths=(16, 32, 64, 64, 64)).eval()
    convolution = models.convolutionalize(classifier)
    x = rng.standard_normal((4, 3, 64, 64), dtype=np.float32)
    expected = predict(classifier, x).numpy()
    assert np.abs(predict(convolution, x).numpy()[..., 0, 0] - expected).max() < 1e-6 * np.abs(expected).max()
    assert predict(convolution, rng.standard_normal((1, 3, 128, 160), dtype=np.float32)).shape == (1, 7, 3, 4)
    same = models.convolutionalize(classifier, padding="same")
    assert predict(same, rng.standard_normal((1, 3, 128, 160), dtype=np.float32)).shape == (1, 7, 4, 5)


def test_what_is_shared_and_what_is_copied():
    classifier = trunk()
    fcn = models.FCN8s(3, classifier)
    assert fcn.features[0].weight is classifier.features[0].weight
    assert fcn.head[0].weight.shape == (256, 8, 2, 2)
    assert not np.shares_memory(fcn.head[0].weight.data, classifier.classifier[0].weight.data)
    names = {name for name in classifier.state_dict() if name.startswith("features")}
    assert names and names <= set(fcn.state_dict())


# ---------------------------------------------------------------------------------------------------------------------
# Upscoring, skips and crops


@pytest.mark.parametrize("stride", [2, 8])
def test_upscore_is_the_transposed_convolution_and_begins_bilinear(stride, rng):
    layer = Upscore(3, stride).to(ml.float64)
    x = ml.tensor(rng.standard_normal((2, 3, 4, 5)))
    bilinear = F.interpolate(x, scale_factor=float(stride), mode="bilinear")
    np.testing.assert_allclose(layer(x).data, bilinear.data, atol=1e-12)
    nn.init.normal_(layer.weight)
    whole = F.conv_transpose2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), layer.weight, stride=stride).data
    margin = stride + stride // 2
    np.testing.assert_allclose(layer(x).data, whole[..., margin:-margin, margin:-margin], atol=1e-12)
    if stride == 2:
        gradcheck(layer, ml.tensor(x.data, requires_grad=True))


class Means(nn.Module):
    """A trunk that only averages, so that each unit holds what an image of constant slope has at its middle."""

    def __init__(self, pools, side):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), *pools)
        self.classifier = nn.Sequential(nn.Linear(side * side, 1), nn.Linear(1, 1))
        nn.init.ones_(self.features[0].weight)
        nn.init.constant_(self.classifier[0].weight, 1 / side**2)
        nn.init.zeros_(self.classifier[0].bias)


@pytest.mark.parametrize("size", [(320, 320), (333, 351)])
@pytest.mark.parametrize("side", [1, 2, 3])
@pytest.mark.parametrize("window", [2, 4])
@pytest.mark.parametrize("network", FCNS)
def test_scores_lie_where_they_were_computed(network, window, side, size):
    """Whatever the windows, skips and crops: a slope comes back as it was, away from the border."""
    model = network(1, Means([nn.AvgPool2d(window, stride=2) for _ in range(5)], side)).to(ml.float64)
    slope = np.add.outer(np.arange(size[0]), 2.0 * np.arange(size[1]))[None, None]
    for layer in model.score.values():
        nn.init.ones_(layer.weight)
    expected = slope * len(model.score)
    actual = predict(model, slope).numpy()
    assert actual.shape == slope.shape
    np.testing.assert_allclose(actual[..., 128:-144, 128:-144], expected[..., 128:-144, 128:-144], rtol=1e-7)


@pytest.mark.parametrize("network", FCNS)
@pytest.mark.parametrize("make", [trunk, lambda: models.resnet18(num_classes=2)], ids=["MiniVGG", "resnet18"])
def test_any_size_of_image(make, network, rng):
    model = draw_scores(network(3, make())).eval()
    for size in ((64, 64), (32, 33), (63, 65), (95, 127)):
        y = predict(model, rng.standard_normal((1, 3, *size), dtype=np.float32)).numpy()
        assert y.shape == (1, 3, *size) and np.isfinite(y).all() and y.std() > 0


def test_each_begins_where_the_coarser_one_ended(rng):
    x = rng.standard_normal((2, 3, 192, 192), dtype=np.float32)
    coarse = draw_scores(models.FCN32s(3, trunk())).eval()
    before = predict(coarse, x).numpy()
    for network in (models.FCN16s, models.FCN8s):
        finer = network(3, trunk())
        keys = finer.load_state_dict(coarse.state_dict(), strict=False)
        assert not keys.unexpected_keys and {key.split(".")[0] for key in keys.missing_keys} == {"score", "upscore"}
        after = predict(finer.eval(), x).numpy()
        assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.99
        assert 0 < np.abs(after - before).max() < 0.2 * np.abs(before).max()  # bilinear twice is not quite once
        coarse, before = finer, after


def test_which_parameters_an_fcn_learns():
    names = {name for name, _ in models.FCN8s(3, trunk()).named_parameters() if "score" in name}
    assert names == {f"score.{s}.{p}" for s in (32, 16, 8) for p in ("weight", "bias")} | {
        "upscore.32to16.weight",
        "upscore.16to8.weight",
    }
    learned = models.FCN8s(3, trunk(), learn_last=True)
    assert learned.upscore["8to1"].weight.shape == (3, 3, 16, 16)
    plain = models.FCN8s(3, trunk())
    plain.load_state_dict(learned.state_dict(), strict=False)
    draw_scores(learned), draw_scores(plain).load_state_dict(learned.state_dict(), strict=False)
    x = ml.randn(1, 3, 64, 64)
    np.testing.assert_allclose(predict(learned.eval(), x).data, predict(plain.eval(), x).data, atol=1e-4)


# ---------------------------------------------------------------------------------------------------------------------
# Encoders and decoders


def shapes(model, image):
    rows = summarize(model, (1, *image)).rows
    return {row.path: row.output_shapes[0][1:] for row in rows if row.path and row.output_shapes}


def test_shapes_of_the_tables():
    seen = shapes(models.UNet(2, 1, (1, 2, 4, 8, 16), padding=0, batch_norm=False), (1, 572, 572))
    expected = {
        "down.0": (1, 568, 568), "down.1": (2, 280, 280), "down.2": (4, 136, 136), "down.3": (8, 64, 64),
        "down.4": (16, 28, 28), "up.0": (8, 56, 56), "conv.0": (8, 52, 52), "conv.1": (4, 100, 100),
        "conv.2": (2, 196, 196), "conv.3": (1, 388, 388), "score": (2, 388, 388),
    }  # fmt: skip
    assert {key: seen[key] for key in expected} == expected
    widths = (1, 2, 3, 4, 5)
    seen = shapes(models.SegNet(6, 3, widths), (3, 64, 96))
    expected = {
        "encoder.0": (1, 64, 96), "encoder.4": (5, 4, 6), "decoder.0": (4, 4, 6), "decoder.1": (3, 8, 12),
        "decoder.2": (2, 16, 24), "decoder.3": (1, 32, 48), "decoder.4": (1, 64, 96), "score": (6, 64, 96),
    }  # fmt: skip
    assert {key: seen[key] for key in expected} == expected
    seen = shapes(models.DeconvNet(21, 3, widths, hidden=9), (3, 224, 224))
    expected = {
        "encoder.4": (5, 14, 14), "dense.0": (9, 1, 1), "dense.3": (9, 1, 1), "dense.6": (5, 7, 7),
        "decoder.0": (4, 14, 14), "decoder.3": (1, 112, 112), "decoder.4": (1, 224, 224), "score": (21, 224, 224),
    }  # fmt: skip
    assert {key: seen[key] for key in expected} == expected


def test_parameters():
    def count(model):
        return sum(parameter.numel() for parameter in model.parameters())

    assert count(models.UNet(2, 1, batch_norm=False)) == 31_030_658
    assert round(count(models.SegNet()) / 1e6, 2) == 29.45  # millions, as the paper says
    assert count(models.UNet(5, 3, (2, 4), batch_norm=False)) == (
        (3 * 9 * 2 + 2) + (2 * 9 * 2 + 2) + (2 * 9 * 4 + 4) + (4 * 9 * 4 + 4)  # down
        + (4 * 4 * 2 + 2) + (4 * 9 * 2 + 2) + (2 * 9 * 2 + 2)  # up, and twice after the concatenation
        + (2 * 5 + 5)
    )  # fmt: skip


@pytest.mark.parametrize("name", ["SegNet", "DeconvNet"])
def test_unpooling_puts_values_where_the_maxima_were(name, rng):
    model = SMALL[name]().eval()
    pooled, unpooled = [], []
    for stage in model.encoder:
        stage.register_forward_hook(lambda layer, args, output: pooled.append(output.numpy()))
    model.unpool.register_forward_hook(lambda layer, args, output: unpooled.append((args[0].numpy(), output.numpy())))
    predict(model, rng.standard_normal((1, 3, 16, 18), dtype=np.float32))
    assert len(pooled) == len(unpooled) == 2
    for maps, (values, result) in zip(pooled, reversed(unpooled), strict=True):
        n, c, h, w = values.shape
        blocks = maps[..., : 2 * h, : 2 * w].reshape(n, c, h, 2, w, 2).swapaxes(3, 4).reshape(n, c, h, w, 4)
        placed = result[..., : 2 * h, : 2 * w].reshape(n, c, h, 2, w, 2).swapaxes(3, 4).reshape(n, c, h, w, 4)
        np.testing.assert_array_equal(np.take_along_axis(placed, blocks.argmax(-1)[..., None], -1)[..., 0], values)
        assert np.count_nonzero(result) == np.count_nonzero(values) and result.shape[-2:] == maps.shape[-2:]


def test_unet_hands_the_middle_across(rng):
    """Without padding the upper half sees the middle of the maps: what lies outside reaches it only from below."""
    model = models.UNet(2, 1, (2, 4), padding=0, batch_norm=False).eval()
    seen = []
    model.conv[0].register_forward_pre_hook(lambda layer, args: seen.append(args[0].numpy()))
    across = []
    model.down[0].register_forward_hook(lambda layer, args, output: across.append(output.numpy()))
    y = predict(model, rng.standard_normal((1, 1, 24, 28), dtype=np.float32))
    assert across[0].shape == (1, 2, 20, 24) and seen[0].shape == (1, 4, 12, 16) and y.shape == (1, 2, 8, 12)
    np.testing.assert_array_equal(seen[0][:, :2], across[0][:, :, 4:16, 4:20])


@pytest.mark.parametrize("name", ["DeconvNet", "SegNet", "UNet"])
def test_sizes_that_do_not_halve(name, rng):
    model = SMALL[name]().eval()
    for size in ((16, 16), (17, 23), (19, 14)):
        assert predict(model, rng.standard_normal((1, 3, *size), dtype=np.float32)).shape == (1, 3, *size)


# ---------------------------------------------------------------------------------------------------------------------
# All of them


@pytest.mark.parametrize("name", SMALL)
def test_gradients(name, rng):
    """By finite differences, in training, so with the statistics of the batch."""
    model = draw_scores(SMALL[name](2, 1)).to(ml.float64)
    side = 33 if name.startswith("FCN") else 9
    x = ml.tensor(rng.standard_normal((2, 1, side, side)), requires_grad=True)
    gradcheck(model, x, mode="directional", eps=1e-7)


@pytest.mark.parametrize("name", SMALL)
def test_they_learn(name):
    """Two images by heart: squares of two colours on gray."""
    rng = np.random.default_rng(1)
    labels = np.zeros((2, 64, 64), np.int64)
    labels[0, 8:40, 8:40], labels[1, 24:64, 20:60], labels[0, 40:64, 32:64] = 1, 2, 2
    x = rng.normal(0, 0.1, (2, 3, 64, 64)).astype(np.float32) + np.eye(3, dtype=np.float32)[labels].transpose(
        0, 3, 1, 2
    )
    labels[:, ::9] = 255
    x, t = ml.tensor(x), ml.tensor(labels)
    ml.manual_seed(0)
    model = SMALL[name]()
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    criterion = nn.CrossEntropyLoss(ignore_index=255)
    for _ in range(30):
        optimizer.zero_grad()
        loss = criterion(model(x), t)
        loss.backward()
        optimizer.step()
    least = {"FCN32s": 0.7, "FCN16s": 0.88}.get(name, 0.95)  # 0.59 are gray; FCN-32s has 2 × 2 scores for each image
    assert ml.metrics.pixel_accuracy(model(x), t) > least


def test_on_every_device(device):
    for make in SMALL.values():
        model = draw_scores(make()).eval()
        x = ml.randn(1, 3, 33, 64)
        expected = predict(model, x).numpy()
        y = predict(model.to(device), x.to(device))
        assert y.device.type == device
        np.testing.assert_allclose(y.cpu().numpy(), expected, rtol=1e-4, atol=1e-4)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ArgumentError, match="FCN8s: the trunk's maps must be 32 times smaller.*8 times smaller"):
        models.FCN8s(3, models.MiniVGG())
    with pytest.raises(ArgumentError, match="LeNet5 is neither a ResNet nor a network of two Sequentials"):
        models.convolutionalize(models.LeNet5())
    uneven = trunk()
    uneven.classifier[0] = nn.Linear(24, 7)
    with pytest.raises(ArgumentError, match=r"24 inputs cannot see 8 square maps; its in_features must be 8 · k²"):
        models.convolutionalize(uneven)
    oblong = trunk()
    oblong.features[0] = nn.Conv2d(3, 4, (3, 5), padding=(1, 2))
    with pytest.raises(ArgumentError, match=r"windows of the trunk must be square, got \(3, 5\)"):
        models.convolutionalize(oblong)
    with pytest.raises(ArgumentError, match="no layer of the trunk has maps 16 times smaller"):
        models.FCN16s(1, Means([nn.AvgPool2d(32)], 1))
    with pytest.raises(ArgumentError, match=r"SegNet: needs one width and one depth.*widths=\(4, 8\), depths=\(1,\)"):
        models.SegNet(widths=(4, 8), depths=(1,))
    with pytest.raises(ArgumentError, match="DeconvNet: side must be positive, the size of the last map, got 0"):
        models.DeconvNet(widths=(4,), depths=(1,), hidden=4, side=0)
    with pytest.raises(ArgumentError, match=r"UNet: needs the widths of two levels or more.*widths=\(4,\)"):
        models.UNet(widths=(4,))
    for make, side in ((SMALL["FCN8s"], 31), (SMALL["SegNet"], 3), (SMALL["DeconvNet"], 7)):
        with pytest.raises(ShapeError, match="in layer"):
            predict(make().eval(), ml.zeros(1, 3, side, side))


# ---------------------------------------------------------------------------------------------------------------------
# torchvision


@pytest.fixture(scope="module")
def fcn_resnet50():
    model = models.fcn_resnet50(**SEGMENTATION["fcn_resnet50"][0])
    fill({key: value.data for key, value in model.state_dict().items()})
    return model.eval()


def test_fcn_resnet50_is_the_one_recorded(fcn_resnet50):
    _, side, parameters, sha256, scores = SEGMENTATION["fcn_resnet50"]
    assert sum(parameter.numel() for parameter in fcn_resnet50.parameters()) == parameters
    assert listing({key: value.shape for key, value in fcn_resnet50.state_dict().items()}) == sha256
    outputs = predict(fcn_resnet50, images(side))
    assert list(outputs) == list(scores)
    for key, y in outputs.items():
        assert y.shape == (1, 21, side, side)
        assert np.abs(np.array(at_two_pixels(y.numpy())) - scores[key]).max() < 1e-4 * np.abs(y.data).max()


def test_fcn_resnet50_is_that_of_torchvision(fcn_resnet50):
    torch = pytest.importorskip("torch")
    try:
        from torchvision.models import segmentation
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another torch
        pytest.skip(f"torchvision cannot be imported: {error}")
    with torch.device("meta"):
        theirs = segmentation.fcn_resnet50(weights_backbone=None, aux_loss=True)
    state = {key: torch.from_numpy(value.data) for key, value in fcn_resnet50.state_dict().items()}
    theirs.load_state_dict(state, assign=True)
    x = images(72, count=2)[:, :, :, :59].copy()
    outputs = predict(fcn_resnet50, x)
    with torch.no_grad():
        expected = theirs.eval()(torch.from_numpy(x))
    assert outputs.keys() == expected.keys() == {"out", "aux"}
    for key, y in expected.items():
        assert np.abs(outputs[key].numpy() - y.numpy()).max() < 1e-4 * np.abs(y.numpy()).max()


def test_fcn_resnet50_without_the_auxiliary_classifier(fcn_resnet50):
    model = models.fcn_resnet50()
    assert sum(parameter.numel() for parameter in model.parameters()) == 32_957_013
    keys = model.load_state_dict(fcn_resnet50.state_dict(), strict=False)
    assert not keys.missing_keys and all(key.startswith("aux_classifier.") for key in keys.unexpected_keys)
    x = images(33)
    outputs = predict(model.eval(), x)
    assert list(outputs) == ["out"]
    np.testing.assert_array_equal(outputs["out"].data, predict(fcn_resnet50, x)["out"].data)
    with pytest.raises(ArgumentError, match="fcn_resnet50: minidl knows where to find pretrained weights of"):
        models.fcn_resnet50(pretrained=True)
