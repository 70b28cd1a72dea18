"""Transfer: what is frozen stays to the bit, heads, features, rates by layer, and files that are refused."""

import copy
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

import minidl as ml
from minidl import functional as F
from minidl import models, nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.data.datasets._find import Source
from minidl.errors import (
    ArgumentError,
    ArgumentTypeError,
    DatasetError,
    MissingAttributeError,
    ShapeError,
    StateDictError,
)
from minidl.models import _pretrained, extract_features, parameter_groups, replace_head
from minidl.nn.utils import freeze, unfreeze
from minidl.training import fit


@pytest.fixture
def data(rng):
    images = rng.standard_normal((12, 3, 32, 32), dtype=np.float32) + 1
    return TensorDataset(images, np.arange(12) % 4)


def small(norm_in_head=False):
    """Convolutions, batch norm and dropout as a trunk, and a head that may have batch norm too."""
    trunk = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(2)
    )
    head = nn.Sequential(nn.Flatten(), *([nn.BatchNorm1d(16)] if norm_in_head else []), nn.Linear(16, 4))
    return nn.Sequential({"trunk": trunk, "head": head})


def snapshot(module):
    return {name: value.data.copy() for name, value in module.state_dict().items()}


def changed(module, before):
    return {name for name, value in module.state_dict().items() if value.data.tobytes() != before[name].tobytes()}


def train(model, data, optimizer, epochs=2):
    fit(model, optimizer, F.cross_entropy, DataLoader(data, 4, shuffle=True), epochs=epochs, progress=False)


# Freezing


@pytest.mark.parametrize("make", [optim.SGD, optim.AdamW], ids=lambda make: make.__name__)
def test_what_is_frozen_stays_to_the_bit(data, make):
    """Through fit, which calls train() in every epoch, with an optimizer that holds all parameters and decays them."""
    model = small(norm_in_head=True)
    assert freeze(model.trunk) is model.trunk
    before = snapshot(model)
    train(model, data, make(model.parameters(), lr=0.1, weight_decay=0.1))
    moved = changed(model, before)
    assert not {name for name in moved if name.startswith("trunk")}
    assert moved == {name for name in before if name.startswith("head")}


def test_freezing_midway_forgets_gradients_and_momentum_does_nothing(data):
    model = small()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    train(model, data, optimizer, epochs=1)
    assert all(parameter.grad is not None for parameter in model.parameters())
    freeze(model.trunk)
    before = snapshot(model.trunk)
    optimizer.step()
    train(model, data, optimizer, epochs=1)
    assert not changed(model.trunk, before)


def test_a_frozen_batch_norm_stays_in_eval(data):
    model = small()
    freeze(model.trunk)
    images = data.tensors[0]
    expected = model.eval().trunk(images).data
    model.train()
    assert model.training and model.head.training
    assert not any(module.training for module in model.trunk.modules())
    before = snapshot(model)
    np.testing.assert_array_equal(model.trunk(images).data, expected)  # dropout is idle too
    model.trunk.train()
    model.trunk[1].train(True)
    np.testing.assert_array_equal(model.trunk(images).data, expected)
    assert not changed(model, before)


def test_without_freezing_batch_norm_moves_though_nothing_requires_a_gradient(data):
    """What requires_grad_(False) alone would miss; without this the tests above would prove nothing."""
    model = small().train()
    model.trunk.requires_grad_(False)
    before = snapshot(model)
    model(data.tensors[0])
    assert changed(model, before) == {
        f"trunk.1.{name}" for name in "running_mean running_var num_batches_tracked".split()
    }


def test_unfreezing(data):
    model = small()
    freeze(model)
    assert not model.train().training
    assert unfreeze(model.head) is model.head
    model.train()
    assert model.head.training and not model.training and not model.trunk.training
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["head.1.weight", "head.1.bias"]
    unfreeze(model)
    before = snapshot(model)
    train(model.train(), data, optim.SGD(model.parameters(), lr=0.1))
    assert all(module.training for module in model.modules())
    assert changed(model, before) == set(before)


def test_a_copy_of_a_frozen_model_is_frozen_by_itself():
    model = small()
    freeze(model.trunk)
    copied = copy.deepcopy(model)
    unfreeze(model.trunk)
    assert model.train().trunk.training and not copied.train().trunk.training


def test_frozen_parts_need_no_backward():
    model = small()
    freeze(model.trunk)
    assert model.trunk(ml.randn(2, 3, 8, 8)).grad_fn is None


@pytest.mark.parametrize("function", [freeze, unfreeze])
def test_freezing_refuses(function):
    with pytest.raises(ArgumentTypeError, match=f"^{function.__name__}: expected a Module.*got generator"):
        function(small().parameters())


# The head


@pytest.mark.parametrize(
    ("make", "path", "inputs"),
    [
        (models.alexnet, "classifier.6", 4096),
        (lambda: models.googlenet(aux_logits=False, init_weights=False), "fc", 1024),
        (models.resnet18, "fc", 512),
        (models.mobilenet_v2, "classifier.1", 1280),
        (models.efficientnet_lite0, "_fc", 1280),
        (models.LeNet5, None, 84),
        (models.MiniVGG, "classifier.3", 256),
        (lambda: models.MiniInception(width_mult=0.25), None, None),
        (lambda: models.ResNetCifar(8), "fc", 64),
    ],
)
def test_replace_head(make, path, inputs):
    model = make()
    before = snapshot(model)
    names = list(before)
    head = replace_head(model, 7)
    assert list(model.state_dict()) == names
    differing = {name for name, value in snapshot(model).items() if value.shape != before[name].shape}
    weight = next(name for name, parameter in model.named_parameters() if parameter is head.weight)
    assert differing == {weight, weight.removesuffix("weight") + "bias"}
    assert head.out_features == 7 and inputs in (None, head.in_features) and path in (None, weight[: -len(".weight")])
    assert not changed(model, before) - differing


def test_a_new_head_is_like_the_old_one():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5, bias=False)).double().eval()
    freeze(model)
    head = replace_head(model, 3)
    assert head is model[1] and head.bias is None and head.weight.dtype == ml.float64
    assert not head.training and head.weight.requires_grad
    assert model.train()[1].training and not model[0].training
    assert model(ml.ones(2, 3, 4, dtype=ml.float64)).shape == (2, 3)


def test_the_new_head_follows_the_stream_of_initial_weights():
    ml.manual_seed(5)
    first = replace_head(models.LeNet5(), 3).weight.data
    ml.manual_seed(5)
    np.testing.assert_array_equal(replace_head(models.LeNet5(), 3).weight.data, first)


def test_replace_head_refuses():
    for wrong in (0, -1, True, 2.0, "ten"):
        with pytest.raises(ArgumentError, match=f"num_classes must be a positive integer, got {wrong!r}"):
            replace_head(models.LeNet5(), wrong)
    with pytest.raises(ArgumentError, match="Sequential has no Linear layer"):
        replace_head(nn.Sequential(nn.Conv2d(1, 2, 1)), 3)
    with pytest.raises(ArgumentError, match="the model is a single Linear"):
        replace_head(nn.Linear(3, 4), 3)
    with pytest.raises(ArgumentTypeError, match="model must be a Module, got str"):
        replace_head("resnet18", 3)


# Rates


def test_rates_fall_from_the_head_to_the_first_layer():
    model = models.mobilenet_v2(num_classes=10)
    groups = parameter_groups(model, lr=0.1, decay=0.5)
    assert [group["name"] for group in groups] == ["features.0.0", *(f"features.{i}" for i in range(1, 18)),
                                                   "features.18.0", "classifier.1"]  # fmt: skip
    assert [group["lr"] for group in groups] == [0.1 * 0.5**k for k in range(19, -1, -1)]
    assert [id(p) for group in groups for p in group["params"]] == [id(p) for p in model.parameters()]
    first = groups[0]["params"]
    assert [p.shape for p in first] == [(32, 3, 3, 3), (32,), (32,)]  # the convolution and its batch norm


def test_an_optimizer_moves_each_layer_at_its_rate():
    """SGD on a loss with gradient 1 everywhere: a step is minus the rate."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), nn.Linear(4, 2))
    optimizer = optim.SGD(parameter_groups(model, lr=0.5, decay=0.2), lr=99.0)
    before = snapshot(model)
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimizer.step()
    for path, rate in (("0", 0.02), ("2.0", 0.1), ("2.1", 0.1), ("3", 0.5)):
        for name in (f"{path}.weight", f"{path}.bias"):
            np.testing.assert_allclose(before[name] - model.state_dict()[name].data, rate, rtol=1e-5)


def test_frozen_layers_are_left_out_but_counted():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    freeze(model[1])
    groups = parameter_groups(model, lr=1.0, decay=0.5)
    assert [(group["name"], group["lr"]) for group in groups] == [("0", 0.25), ("2", 1.0)]


def test_shared_and_own_parameters_are_in_one_group():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(np.zeros((2, 4), np.float32))
            self.encode, self.decode = nn.Linear(4, 4, bias=False), nn.Linear(4, 4)
            self.decode.weight = self.encode.weight

    model = Tied()
    groups = parameter_groups(model, lr=1.0, decay=0.5)
    assert [[p.shape for p in group["params"]] for group in groups] == [[(2, 4)], [(4, 4), (4,)]]
    assert [group["lr"] for group in groups] == [0.5, 1.0]
    optim.Adam(groups)


def test_a_schedule_keeps_the_proportions():
    model = models.LeNet5()
    optimizer = optim.SGD(parameter_groups(model, lr=0.8, decay=0.5), lr=1.0)
    scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    optimizer.step()
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.025, 0.05, 0.1, 0.2, 0.4])


def test_parameter_groups_refuses():
    model = models.LeNet5()
    for lr in (0, -1.0, float("nan")):
        with pytest.raises(ArgumentError, match=f"lr must be positive, got {lr}"):
            parameter_groups(model, lr, 0.5)
    for decay in (0, 1.5, float("nan")):
        with pytest.raises(ArgumentError, match=rf"decay must be in \(0, 1\], got {decay}"):
            parameter_groups(model, 0.1, decay)
    with pytest.raises(ArgumentError, match="LeNet5 has no parameter that requires a gradient; unfreeze"):
        parameter_groups(freeze(model), 0.1, 0.5)


# Features


def test_the_heads_input(data):
    """The head on the features gives the network's logits, in evaluation mode, whatever the mode was."""
    model = models.MiniVGG(num_classes=4).train()
    images = data.tensors[0]
    before = snapshot(model)
    features = extract_features(model, images, batch_size=5)
    assert all(module.training for module in model.modules()) and not changed(model, before)
    assert features.shape == (12, 256) and features.grad_fn is None and not features.requires_grad
    with ml.no_grad():
        np.testing.assert_allclose(model.classifier[3](features).data, model.eval()(images).data, rtol=1e-4, atol=1e-5)


def test_layers_by_path(data):
    model = models.MiniVGG(num_classes=4)
    images = data.tensors[0]
    both = extract_features(model, images, ["classifier.0", "features.2"], pool=2, batch_size=5)
    assert list(both) == ["classifier.0", "features.2"]
    with ml.no_grad():
        maps = model.eval().features[:3](images).data
        dense = model.classifier[0](model.avgpool(model.features(images)).flatten(1)).data
    windows = maps.reshape(12, 32, 2, 16, 2, 16).mean(axis=(3, 5)).reshape(12, 128)
    np.testing.assert_allclose(both["features.2"].data, windows, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(both["classifier.0"].data, dense, rtol=1e-4, atol=1e-5)
    one = extract_features(model, images, "features.2", pool=2, batch_size=5)
    np.testing.assert_array_equal(one.data, both["features.2"].data)


def test_no_more_is_computed_than_needed_and_no_hook_is_left(data):
    model = models.MiniVGG(num_classes=4)
    later = []
    model.features[3].register_forward_hook(lambda *args: later.append(args))
    extract_features(model, data.tensors[0], "features.2")
    assert not later
    model(data.tensors[0])
    assert len(later) == 1
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert sum(len(module._forward_hooks) for module in model.modules()) == 1


def test_batches_may_come_from_anywhere(data):
    model = models.MiniVGG(num_classes=4)
    images = data.tensors[0]
    expected = extract_features(model, images, batch_size=4).data
    np.testing.assert_array_equal(extract_features(model, DataLoader(data, 4)).data, expected)
    halves = (images[i : i + 4] for i in range(0, 12, 4))
    np.testing.assert_array_equal(extract_features(model, halves).data, expected)


def test_a_head_trained_on_features_is_the_head_trained_in_the_network(data):
    """What extracting once saves is time, not accuracy: both ways give the same head."""
    images, labels = data.tensors
    heads = []
    for in_network in (True, False):
        ml.manual_seed(0)
        model = small()
        freeze(model.trunk)
        inputs = images if in_network else extract_features(model, images)
        trained = model if in_network else model.head[1]
        optimizer = optim.SGD(model.head.parameters(), lr=0.1)
        for _ in range(5):
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(trained(inputs), labels).backward()
            optimizer.step()
        heads.append(model.head[1].weight.data)
    np.testing.assert_allclose(heads[0], heads[1], rtol=1e-4, atol=1e-6)
    assert np.abs(heads[0]).max() > 0


def test_extract_features_refuses(data):
    model, images = models.MiniVGG(), data.tensors[0]
    with pytest.raises(MissingAttributeError, match="no module 'features.99': features has no child '99'"):
        extract_features(model, images, "features.99")
    for settings in ({"pool": 0}, {"pool": 1.5}, {"batch_size": 0}, {"batch_size": True}):
        (name, value), *_ = settings.items()
        with pytest.raises(ArgumentError, match=f"{name} must be .*{value!r}"):
            extract_features(model, images, **settings)
    with pytest.raises(ArgumentError, match="there are no images"):
        extract_features(model, images[:0])
    with pytest.raises(ArgumentError, match="layers is empty"):
        extract_features(model, images, [])
    with pytest.raises(ArgumentTypeError, match="a Tensor or batches of them, got int"):
        extract_features(model, 3)
    with pytest.raises(ArgumentTypeError, match="a batch must be a Tensor, got ndarray"):
        extract_features(model, [images.data])
    with pytest.raises(ShapeError, match=r"'0' gives shape \(2, 3, 4\), not \(N, D\)"):
        extract_features(nn.Sequential(nn.Identity(), nn.Linear(4, 2)), ml.ones(2, 3, 4), "0")
    unused = models.googlenet(init_weights=False)
    with pytest.raises(ArgumentError, match="does not call 'aux1' in evaluation mode"):
        extract_features(unused, ml.zeros(1, 3, 64, 64), "aux1")
    assert not any(module._forward_hooks for module in unused.modules())


def test_a_photographs_features_are_the_trunks():
    try:
        model = models.efficientnet_lite0(pretrained=True)
    except DatasetError as error:
        pytest.skip(str(error))
    image = ml.randn(1, 3, 64, 64)
    features = extract_features(model, image)
    with ml.no_grad():
        logits = model.eval()(image).data
        assert features.shape == (1, 1280)
        np.testing.assert_allclose(model._fc(features).data, logits, rtol=1e-4, atol=1e-4)


# Files that are refused


def test_a_checkpoint_of_another_architecture():
    """The message begins with the first keys that differ, and with the shapes that do; nothing was loaded."""
    model = models.mobilenet_v2(num_classes=5)
    before = snapshot(model)
    with pytest.raises(StateDictError) as caught:
        model.load_state_dict(models.resnet18().state_dict())
    message = str(caught.value)
    assert "does not fit MobileNetV2; nothing was loaded" in message
    assert "missing keys: 'features.0.0.weight', 'features.0.1.weight'" in message
    assert "unexpected keys: 'conv1.weight', 'bn1.weight'" in message
    with pytest.raises(StateDictError) as caught:
        models.resnet18().load_state_dict(models.resnet50().state_dict())
    shapes = "different shapes: 'layer1.0.conv1.weight' is (64, 64, 3, 3) in the model but (64, 64, 1, 1) in the state"
    assert shapes in str(caught.value)
    with pytest.raises(StateDictError, match=r"'classifier.1.weight' is \(5, 1280\) in the model but \(10, 1280\)"):
        model.load_state_dict(models.mobilenet_v2(num_classes=10).state_dict(), strict=False)
    assert not changed(model, before)


@pytest.fixture
def server(monkeypatch):
    """Answers every request with bytes that are no weights."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "14")
            self.end_headers()
            self.wfile.write(b"not what it is")

        def log_message(self, *args):
            pass

    monkeypatch.setenv("no_proxy", "*")
    served = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}/mobilenet_v2-b0353104.pth"
    served.shutdown()
    thread.join()
    served.server_close()


def test_a_corrupted_download_is_refused_and_removed(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_CACHE", str(tmp_path))
    source = vars(_pretrained.WEIGHTS["mobilenet_v2"]) | {"wheel": None, "urls": [server]}
    monkeypatch.setitem(_pretrained.WEIGHTS, "mobilenet_v2", Source(**source))
    with pytest.raises(DatasetError, match="mobilenet_v2-b0353104.pth .*sha256.*b03531047ffacf1e"):
        models.mobilenet_v2(pretrained=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
