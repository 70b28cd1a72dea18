"""Detectors on regions: torchvision's arithmetic, what they learn, what they refuse."""

import sys

import numpy as np
import pytest

import minidl as ml
from minidl import models, nn, optim
from minidl.data.scenes import shape_scenes
from minidl.errors import (
    ArgumentError,
    DtypeError,
    MissingAttributeError,
    MissingMethodError,
    OutOfRangeError,
    ShapeError,
    StateDictError,
)
from minidl.metrics import DetectionMetrics
from minidl.vision import AnchorGenerator, ops
from minidl.vision.ops import MultiScaleRoIAlign

from ._torchvision import fill


def backbone():
    layers = []
    for before, width in ((3, 12), (12, 24), (24, 24)):
        layers += [nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    result = nn.Sequential(*layers)
    result.out_channels = 24
    return result


def small(build=models.FasterRCNN, **settings):
    """A detector with one map of stride 8, for images of about 48 pixels."""
    ml.manual_seed(0)
    defaults = {"min_size": None, "box_roi_pool": MultiScaleRoIAlign(["0"], 4, 2), "representation_size": 32}
    if build is not models.FastRCNN:
        defaults["rpn_anchor_generator"] = AnchorGenerator(((12, 24),), ((1.0,),))
    if build is models.MaskRCNN:
        defaults |= {"mask_roi_pool": MultiScaleRoIAlign(["0"], 7, 2), "mask_layers": (16,), "mask_dim_reduced": 16}
    return build(backbone(), 5, **{**defaults, **settings})


@pytest.fixture(scope="module")
def scenes():
    train, _ = shape_scenes(8, 1, size=48, scale=(0.4, 0.6))
    samples = [train[i] for i in range(8)]
    return [sample["image"] for sample in samples], samples


# ---------------------------------------------------------------------- as torchvision


@pytest.mark.parametrize(
    ("build", "parameters"),
    [(models.fasterrcnn_resnet50_fpn, 41_755_286), (models.maskrcnn_resnet50_fpn, 44_401_393)],
)
def test_parameters(build, parameters):
    model = build()
    assert sum(p.numel() for p in model.parameters()) == parameters
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert {name.split(".")[2] for name in frozen} == {"conv1", "layer1"}
    assert not any("bn" in name for name, _ in model.named_parameters())


def torchvision_detection(monkeypatch):
    """torchvision with our NMS, and its own RoIAlign in Python where its compiled operations do not fit PyTorch."""
    torch = pytest.importorskip("torch")
    torchvision = pytest.importorskip("torchvision", exc_type=ImportError)
    if not torchvision.extension._has_ops():
        slow = sys.modules["torchvision.ops.roi_align"]._roi_align.__wrapped__

        def roi_align(input, boxes, output_size, spatial_scale=1.0, sampling_ratio=-1, aligned=False):
            rois = boxes
            if not isinstance(boxes, torch.Tensor):
                rois = torchvision.ops._utils.convert_boxes_to_roi_format(boxes)
            h, w = (output_size, output_size) if isinstance(output_size, int) else output_size
            return slow(input, rois, spatial_scale, h, w, sampling_ratio, aligned)

        def nms(boxes, scores, threshold):
            return torch.from_numpy(ops.nms(boxes.detach().numpy(), scores.detach().numpy(), threshold).numpy())

        monkeypatch.setattr(sys.modules["torchvision.ops.boxes"], "nms", nms)
        for name in ("torchvision.ops.poolers", "torchvision.models.detection.roi_heads"):
            monkeypatch.setattr(sys.modules[name], "roi_align", roi_align)
    return torch, torchvision.models.detection


SETTINGS = {
    "num_classes": 5, "min_size": 64, "max_size": 96, "box_score_thresh": 0.0, "box_detections_per_img": 12,
    "rpn_pre_nms_top_n_test": 60, "rpn_post_nms_top_n_test": 30, "rpn_pre_nms_top_n_train": 60,
    "rpn_post_nms_top_n_train": 30, "rpn_batch_size_per_image": 10**6, "rpn_positive_fraction": 1.0,
    "box_batch_size_per_image": 10**6, "box_positive_fraction": 1.0,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_torchvision_agrees(monkeypatch, rng):
    """Names, detections and losses of the one that has all parts; samplers draw everything, so nothing is random."""
    torch, detection = torchvision_detection(monkeypatch)
    theirs = detection.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, **SETTINGS)
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    fill(state)
    for name, values in state.items():  # as gentle as trained ones, so that no score is 1 and no order is by chance
        if "bbox_pred" in name or "cls_" in name:
            values *= np.float32(0.05)
        if "bn3.weight" in name:
            values *= np.float32(0.2)
    ours = models.maskrcnn_resnet50_fpn(**SETTINGS)
    assert set(ours.state_dict()) == {name for name in state if not name.endswith("num_batches_tracked")}
    ours.load_state_dict(state)

    images = [rng.random(shape).astype(np.float32) for shape in ((3, 60, 80), (3, 90, 50))]
    theirs.eval()
    with torch.no_grad():
        expected = theirs([torch.from_numpy(image) for image in images])
    with ml.no_grad():
        found = ours.eval()([ml.tensor(image) for image in images])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one["labels"].numpy(), other["labels"].numpy())
        for key, tolerance in (("boxes", 2e-3), ("scores", 1e-4), ("masks", 1e-3)):
            np.testing.assert_allclose(one[key].numpy(), other[key].numpy(), atol=tolerance)

    targets = [
        {"boxes": np.array([[5, 6, 40, 50], [20, 10, 70, 58]], np.float32), "labels": np.array([1, 3])},
        {"boxes": np.array([[3, 30, 44, 80]], np.float32), "labels": np.array([4])},
    ]
    for image, target in zip(images, targets, strict=True):
        target["masks"] = rng.random((len(target["labels"]), *image.shape[1:])) > 0.5
    for name, module in theirs.named_modules():  # the same batch norm in both: that of evaluation
        if name.startswith("backbone.body") and isinstance(module, torch.nn.BatchNorm2d):
            module.train(False).train = lambda mode=True, module=module: module
    theirs.train()
    expected = theirs(
        [torch.from_numpy(image) for image in images],
        [{key: torch.from_numpy(value) for key, value in target.items()} for target in targets],
    )
    found = ours.train()([ml.tensor(image) for image in images], targets)
    assert set(found) == set(expected)
    for name, loss in found.items():
        assert loss.item() == pytest.approx(expected[name].item(), rel=2e-4), name


def test_files_with_names_of_before_2022_load():
    model = models.maskrcnn_resnet50_fpn(num_classes=2)
    old = {}
    for name, value in model.state_dict().items():
        for new, former in (
            ("rpn.head.conv.0.0.", "rpn.head.conv."),
            ("inner_blocks.2.0.", "inner_blocks.2."),
            ("layer_blocks.0.0.", "layer_blocks.0."),
            ("mask_head.3.0.", "mask_head.mask_fcn4."),
        ):
            name = name.replace(new, former)
        old[name] = value
    assert model.load_state_dict(old) == ([], [])
    old["rpn.head.convolution.weight"] = old.pop("rpn.head.conv.weight")
    with pytest.raises(StateDictError, match="rpn.head.convolution.weight"):
        model.load_state_dict(old)


def test_the_pyramid_adds_what_coarser_maps_know():
    pyramid = models.FeaturePyramidNetwork((2, 3), 4)
    fine, coarse = ml.randn(1, 2, 5, 6), ml.randn(1, 3, 3, 3)
    out = pyramid.requires_grad_(False)({"a": fine, "b": coarse})
    assert {name: tuple(y.shape) for name, y in out.items()} == {
        "a": (1, 4, 5, 6), "b": (1, 4, 3, 3), "pool": (1, 4, 2, 2)
    }  # fmt: skip
    rows, columns = np.arange(5) * 3 // 5, np.arange(6) * 3 // 6
    lateral = pyramid.inner_blocks[0](fine).numpy() + pyramid.inner_blocks[1](coarse).numpy()[:, :, rows][..., columns]
    np.testing.assert_allclose(out["a"].numpy(), pyramid.layer_blocks[0](ml.tensor(lateral)).numpy(), atol=1e-6)
    np.testing.assert_array_equal(out["pool"].numpy(), out["b"].numpy()[..., ::2, ::2])
    with pytest.raises(ShapeError, match="1 maps were given, but there are convolutions for 2"):
        pyramid({"a": fine})


def test_frozen_batch_norm_is_never_trained(rng):
    layer = models.FrozenBatchNorm2d(3)
    layer.load_state_dict({name: rng.random(3) + 0.5 for name in ("weight", "bias", "running_mean", "running_var")})
    x = rng.standard_normal((2, 3, 4, 4)).astype(np.float32)
    w, b, mean, var = (value.numpy()[:, None, None] for value in layer.state_dict().values())
    np.testing.assert_allclose(layer.train()(ml.tensor(x)).numpy(), (x - mean) / np.sqrt(var + 1e-5) * w + b, rtol=1e-4)
    assert list(layer.parameters()) == []


# ---------------------------------------------------------------------- what they do


@pytest.mark.parametrize("build", [models.MaskRCNN, models.FastRCNN])
def test_they_learn_a_few_scenes(build, scenes):
    images, targets = scenes[0][:4], scenes[1][:4]
    model = small(build, box_batch_size_per_image=16)
    proposals = [ml.tensor([[x, y, x + 20, y + 20] for x in range(0, 32, 4) for y in range(0, 32, 4)]).float()] * 4
    more = {"proposals": proposals} if build is models.FastRCNN else {}
    optimizer = optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(80):
        losses = model(images, targets, **more)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    wanted = {"loss_classifier", "loss_box_reg"}
    wanted |= set() if more else {"loss_objectness", "loss_rpn_box_reg"}
    assert set(losses) == wanted | ({"loss_mask"} if build is models.MaskRCNN else set())
    metrics = DetectionMetrics()
    found = model.eval()(images, **more)
    metrics.update(found, targets)
    assert metrics.compute()["AP50"] > 0.5
    if build is models.MaskRCNN:
        masks = found[0]["masks"].numpy()
        assert masks.shape[1:] == (1, 48, 48) and masks.min() >= 0 and masks.max() <= 1


def test_detections_are_in_pixels_of_the_image_as_it_came(scenes):
    images, targets = scenes
    model = small(models.MaskRCNN, min_size=72, max_size=200, box_score_thresh=0.0).eval()
    found = model([images[0], images[1][:, :30]])
    assert all(0 <= each["boxes"].numpy().min() for each in found)
    assert found[0]["boxes"].numpy().max() <= 48 and found[1]["boxes"].numpy()[:, 3].max() <= 30
    assert found[1]["masks"].shape[1:] == (1, 30, 48)
    losses = model.train()(images[:2], targets[:2])
    assert all(np.isfinite(loss.item()) for loss in losses.values())


def test_proposals_give_no_gradient_but_both_parts_do(scenes):
    images, targets = scenes
    model = small()
    losses = model(images[:2], targets[:2])
    (losses["loss_classifier"] + losses["loss_box_reg"]).backward()
    assert all(parameter.grad is None for parameter in model.rpn.parameters())
    assert model.backbone[0].weight.grad is not None
    model.zero_grad()
    losses = model(images[:2], targets[:2])
    (losses["loss_objectness"] + losses["loss_rpn_box_reg"]).backward()
    assert all(parameter.grad is None for parameter in model.roi_heads.parameters())


@pytest.mark.parametrize("build", [models.FasterRCNN, models.MaskRCNN])
def test_images_without_objects_train_on_without_nan(build, scenes):
    images, targets = scenes
    nothing = {
        "boxes": np.zeros((0, 4), np.float32),
        "labels": np.zeros(0, np.int64),
        "masks": np.zeros((0, 48, 48), bool),
    }
    model = small(build)
    for mixed in ([nothing, nothing], [targets[0], nothing]):
        losses = model(images[:2], mixed)
        sum(losses.values()).backward()
        assert all(np.isfinite(loss.item()) for loss in losses.values())
        assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters() if p.grad is not None)
        assert (losses["loss_box_reg"].item() == 0) == (mixed[0] is nothing)


def test_no_anchor_in_the_sample_and_no_proposal():
    model = small(rpn_post_nms_top_n_train=0, rpn_post_nms_top_n_test=0)
    image = ml.rand(1, 3, 48, 48)
    losses = model(image, [{"boxes": np.zeros((0, 4), np.float32), "labels": np.zeros(0, np.int64)}])
    assert losses["loss_classifier"].item() == 0
    sum(losses.values()).backward()
    (found,) = model.eval()(image)
    assert found["boxes"].shape == (0, 4) and found["labels"].shape == found["scores"].shape == (0,)


def test_the_same_seed_gives_the_same_losses(scenes):
    images, targets = scenes
    runs = []
    for _ in range(2):
        model = small(rpn_batch_size_per_image=8, box_batch_size_per_image=8)
        runs.append([loss.item() for loss in model(images, targets).values()])
    assert runs[0] == runs[1]


# ---------------------------------------------------------------------- what they refuse


def target(**changes):
    good = {"boxes": np.array([[5, 5, 20, 20], [9, 9, 30, 40]], np.float32), "labels": np.array([1, 2])}
    return {**good, **changes}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"boxes": np.array([[5, 5, 20, 20], [9, 9, 9, 40]], np.float32)},
            ArgumentError,
            r"box 1 of targets\[1\].*no area",
        ),
        (
            {"boxes": np.array([[5, 5, 20, 20], [np.nan, 9, 9, 40]], np.float32)},
            ArgumentError,
            r"box 1 of targets\[1\]",
        ),
        ({"boxes": np.array([[30, 30, 10, 10], [9, 9, 20, 40]], np.float32)}, ArgumentError, r"box 0 .*xywh"),
        ({"labels": np.array([1, 5])}, OutOfRangeError, r"box 1 of targets\[1\] has the label 5; .* 1 to 4"),
        ({"labels": np.array([0, 1])}, OutOfRangeError, "label 0"),
        ({"labels": np.array([1.0, 2.0])}, DtypeError, "must be integers, got float64"),
        ({"labels": np.array([1])}, ShapeError, r"2 boxes but labels \(1,\)"),
        ({"masks": np.zeros((2, 9, 9), bool)}, ShapeError, r"masks of targets\[1\] must be \(2, 48, 48\)"),
    ],
)
def test_targets_that_do_not_fit(changes, error, message):
    model = small(models.MaskRCNN)
    masks = {"masks": np.zeros((2, 48, 48), bool)}
    with pytest.raises(error, match=message):
        model(ml.rand(2, 3, 48, 48), [target(**masks), target(**{**masks, **changes})])


def test_other_mistakes():
    model = small()
    image = ml.rand(1, 3, 48, 48)
    with pytest.raises(ArgumentError, match="needs targets; call eval"):
        model(image)
    with pytest.raises(ShapeError, match="1 images but 2 targets"):
        model(image, [target(), target()])
    with pytest.raises(ArgumentError, match=r"targets\[0\] has no 'labels', only 'boxes'"):
        model(image, [{"boxes": np.zeros((0, 4), np.float32)}])
    with pytest.raises(ShapeError, match=r"images must be \(N, C, H, W\) or a list"):
        model(image[0], [target()])
    with pytest.raises(ShapeError, match=r"images\[0\] must be \(3, H, W\)"):
        model(ml.rand(1, 1, 48, 48), [target()])
    with pytest.raises(DtypeError, match="float in"):
        model([np.zeros((3, 48, 48), np.uint8)], [target()])
    with pytest.raises(MissingAttributeError, match="out_channels"):
        models.FasterRCNN(nn.ReLU(), 5)
    with pytest.raises(ArgumentError, match="either num_classes"):
        models.FasterRCNN(backbone())
    with pytest.raises(MissingAttributeError, match="cls_score.*; ReLU has not"):
        models.FasterRCNN(backbone(), box_predictor=nn.ReLU())
    with pytest.raises(MissingMethodError, match="GeneralizedRCNN must define propose"):
        models.GeneralizedRCNN(backbone(), 5).eval()(image)
    with pytest.raises(ArgumentError, match="proposals are needed"):
        small(models.FastRCNN).eval()(image)
    with pytest.raises(ShapeError, match="1 images but proposals of 0"):
        small(models.FastRCNN).eval()(image, proposals=[])
    with pytest.raises(ArgumentError, match="xywh"):
        small(models.FastRCNN).eval()(image, proposals=[[[30.0, 30, 10, 10]]])
