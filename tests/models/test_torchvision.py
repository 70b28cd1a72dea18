"""The networks that torchvision has too: same names, shapes, counts and logits, so that its files load."""

import numpy as np
import pytest

import minidl as ml
from minidl import models, nn
from minidl.errors import ArgumentError, ShapeError, StateDictError
from tests.models._torchvision import RECORDED, fill, images, listing

RTOL = 1e-4
WITHOUT_INIT = {"init_weights": False}


def network(name):
    """The network with the weights of the recording, for evaluation."""
    model = getattr(models, name)(**RECORDED[name][0])
    fill({key: value.data for key, value in model.state_dict().items()})
    return model.eval()


@pytest.fixture(scope="module", params=RECORDED)
def name_and_network(request):
    """Each network once, and one at a time in memory: a VGG takes half a gigabyte."""
    return request.param, network(request.param)


def relative_error(actual, expected):
    return np.abs(actual - expected).max() / np.abs(expected).max()


def predict(model, x):
    with ml.no_grad():
        return model(ml.tensor(x)).numpy()


def in_torchvision(name, ours, **settings):
    """torchvision's network around the same memory."""
    torch = pytest.importorskip("torch")
    try:
        from torchvision import models as theirs
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another torch
        pytest.skip(f"torchvision cannot be imported: {error}")
    with torch.device("meta"):
        model = getattr(theirs, name)(**settings)
    model.load_state_dict({k: torch.from_numpy(v.data) for k, v in ours.state_dict().items()}, assign=True)
    return model.train(ours.training)


def test_names_shapes_counts_and_logits_are_those_recorded(name_and_network):
    name, model = name_and_network
    _, side, parameters, sha256, logits = RECORDED[name]
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert listing({key: value.shape for key, value in model.state_dict().items()}) == sha256
    y = predict(model, images(side))
    assert y.shape == (1, 1000) and y.dtype == np.float32
    assert np.abs(y[0, : len(logits)] - logits).max() < RTOL * np.abs(y).max()


def test_an_image_that_is_too_small_is_refused(name_and_network):
    name, model = name_and_network
    smallest = dict(alexnet=63, vgg11=32, vgg16=32, vgg16_bn=32, googlenet=15, inception_v3=75).get(name, 1)
    assert predict(model, images(smallest)).shape == (1, 1000)
    if smallest > 1:
        with pytest.raises(ShapeError, match="in layer "):
            predict(model, images(smallest - 1))


def test_logits_of_torchvision(name_and_network):
    torch = pytest.importorskip("torch")
    name, ours = name_and_network
    theirs = in_torchvision(name, ours, **RECORDED[name][0])
    x = images(RECORDED[name][1] + 16, count=2)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x)).numpy()
    assert relative_error(predict(ours, x), expected) < RTOL


@pytest.mark.parametrize(("name", "side"), [("googlenet", 64), ("inception_v3", 299)])
def test_outputs_in_training_are_those_of_torchvision(name, side):
    """All heads, from statistics of the batch; the input transformed."""
    torch = pytest.importorskip("torch")
    settings = {"num_classes": 7, "transform_input": True, "dropout": 0.0, **WITHOUT_INIT}
    settings |= {"dropout_aux": 0.0} if name == "googlenet" else {}
    ours = getattr(models, name)(**settings)
    fill({key: value.data for key, value in ours.state_dict().items()})
    before = {key: value.numpy().copy() for key, value in ours.state_dict().items() if "running" in key}
    x = images(side, count=2)
    with ml.no_grad():
        outputs = ours(ml.tensor(x))
    moved = {key: value.numpy().copy() for key, value in ours.state_dict().items() if key in before}
    for key, value in before.items():
        ours.state_dict()[key].data[...] = value
    theirs = in_torchvision(name, ours, **settings)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x))
    assert outputs._fields == expected._fields
    for output, other in zip(outputs, expected, strict=True):
        assert relative_error(output.numpy(), other.numpy()) < 10 * RTOL  # two images normalize each other
    for key, value in theirs.state_dict().items():
        if key in moved:
            np.testing.assert_allclose(moved[key], value.numpy(), rtol=1e-3, atol=1e-4, err_msg=key)


def test_a_dilated_resnet_is_that_of_torchvision():
    torch = pytest.importorskip("torch")
    settings = {"replace_stride_with_dilation": [False, True, True], "num_classes": 5}
    ours = models.resnet50(**settings).eval()
    fill({key: value.data for key, value in ours.state_dict().items()})
    maps = []
    ours.layer4.register_forward_hook(lambda layer, args, output: maps.append(output.shape))
    y = predict(ours, images(64))
    assert maps == [(1, 2048, 8, 8)]  # 32 / 4, where the usual network has 2 × 2
    with torch.no_grad():
        expected = in_torchvision("resnet50", ours, **settings)(torch.from_numpy(images(64))).numpy()
    assert relative_error(y, expected) < RTOL


@pytest.mark.parametrize("width_mult", [0.35, 0.75, 1.4])
def test_widths_of_mobilenet_are_those_of_torchvision(width_mult):
    torch = pytest.importorskip("torch")
    ours = models.mobilenet_v2(width_mult=width_mult, num_classes=5).eval()
    theirs = in_torchvision("mobilenet_v2", ours, width_mult=width_mult, num_classes=5)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(images(64))).numpy()
    assert relative_error(predict(ours, images(64)), expected) < RTOL


def test_a_checkpoint_of_pytorch_loads(tmp_path):
    torch = pytest.importorskip("torch")
    ours = network("mobilenet_v2")
    torch.save({k: torch.from_numpy(v.data) for k, v in ours.state_dict().items()}, tmp_path / "mobilenet_v2.pth")
    fresh = models.mobilenet_v2().eval()
    fresh.load_state_dict(ml.load(tmp_path / "mobilenet_v2.pth"))
    x = images(64)
    np.testing.assert_array_equal(predict(fresh, x), predict(ours, x))


def test_a_safetensors_file_loads(tmp_path):
    pytest.importorskip("safetensors")
    ours = network("mobilenet_v2")
    ml.save(ours.state_dict(), tmp_path / "mobilenet_v2.safetensors")
    fresh = models.mobilenet_v2().eval()
    fresh.load_state_dict(ml.load(tmp_path / "mobilenet_v2.safetensors"))
    x = images(64)
    np.testing.assert_array_equal(predict(fresh, x), predict(ours, x))


def test_a_checkpoint_of_another_network_names_keys_and_shapes():
    state = models.resnet18().state_dict()
    with pytest.raises(StateDictError, match=r"does not fit ResNet(?s:.*)missing keys: 'layer1.2.conv1.weight'"):
        models.resnet34().load_state_dict(state)
    message = r"'fc.weight' is \(7, 512\) in the model but \(1000, 512\) in the state dict"
    with pytest.raises(StateDictError, match=message):
        models.resnet18(num_classes=7).load_state_dict(state)


def test_auxiliary_classifiers_only_in_training_and_only_if_wanted():
    x = ml.tensor(images(64, count=2))
    model = models.googlenet(num_classes=5)
    with ml.no_grad():
        outputs = model(x)
        assert isinstance(outputs, models.GoogLeNetOutputs) and [y.shape for y in outputs] == [(2, 5)] * 3
        assert model.eval()(x).shape == (2, 5)
        bare = models.googlenet(num_classes=5, aux_logits=False)
        assert bare(x).shape == (2, 5)
    assert not any(key.startswith("aux") for key in bare.state_dict())
    assert sum(p.numel() for p in models.googlenet(aux_logits=False, **WITHOUT_INIT).parameters()) == 6_624_904
    assert sum(p.numel() for p in models.inception_v3(aux_logits=False, **WITHOUT_INIT).parameters()) == 23_834_568


def test_the_auxiliary_classifier_of_inception_v3():
    model = models.inception_v3(num_classes=5, **WITHOUT_INIT)
    with ml.no_grad():
        assert model.AuxLogits(ml.zeros(2, 768, 17, 17)).shape == (2, 5)
        with pytest.raises(ShapeError, match="conv1"):
            model.AuxLogits(ml.zeros(2, 768, 16, 16))


def test_the_input_is_transformed():
    """What was normalized by ImageNet's mean and std is then normalized by ½ and ½."""
    pixels = (images(75) + 1) / 2
    mean = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
    std = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
    model = network("googlenet")
    expected = predict(model, (pixels - 0.5) / 0.5)
    model.transform_input = True
    try:
        assert relative_error(predict(model, (pixels - mean) / std), expected) < RTOL
    finally:
        model.transform_input = False


def test_how_weights_begin():
    def spread(layer, std):
        return abs(layer.weight.data.std() / std - 1)

    model = models.resnet18(zero_init_residual=True)
    assert spread(model.layer2[0].conv1, np.sqrt(2 / (128 * 9))) < 0.02  # fan_out = 128 · 9
    blocks = [block for layer in (model.layer1, model.layer2, model.layer3, model.layer4) for block in layer]
    assert all((block.bn2.weight.data == 0).all() and (block.bn1.weight.data == 1).all() for block in blocks)
    bottleneck = models.resnet50(zero_init_residual=True).layer3[1]
    assert (bottleneck.bn3.weight.data == 0).all() and (bottleneck.bn2.weight.data == 1).all()
    dense = models.mobilenet_v2().classifier[1]
    assert spread(dense, 0.01) < 0.02 and (dense.bias.data == 0).all()
    vgg = models.vgg.make_layers((64, "M", 512))
    models.vgg.he_convolutions(vgg)
    assert spread(vgg[3], np.sqrt(2 / (512 * 9))) < 0.02 and (vgg[3].bias.data == 0).all()
    assert spread(models.googlenet().inception4a.branch2[1].conv, 0.01) < 0.02
    inception = models.inception_v3()
    assert spread(inception.Mixed_6b.branch7x7_2.conv, 0.1) < 0.02
    assert spread(inception.AuxLogits.conv1.conv, 0.01) < 0.02
    assert spread(inception.AuxLogits.fc, 0.001) < 0.02


def test_another_norm():
    model = models.resnet18(num_classes=3, norm_layer=lambda channels: nn.GroupNorm(8, channels))
    assert not any("running" in key for key in model.state_dict())
    assert predict(model, images(64)).shape == (1, 3)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ArgumentError, match=r"4 layers.*layers=\(1, 1, 1\)"):
        models.ResNet(models.resnet.BasicBlock, (1, 1, 1))
    with pytest.raises(ArgumentError, match="BasicBlock: dilation 2 is for Bottleneck only"):
        models.resnet18(replace_stride_with_dilation=(False, False, True))
    with pytest.raises(ArgumentError, match="width_mult must be positive, got -1"):
        models.mobilenet_v2(width_mult=-1)
    with pytest.raises(ArgumentError, match=r"2"):
        models.mobilenet_v2(dropout=2)
    with pytest.raises(ShapeError, match=r"channels.*\[in layer conv1\]"):
        predict(network("resnet18"), images(64)[:, :1])
