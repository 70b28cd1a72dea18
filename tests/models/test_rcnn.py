"""R-CNN: crops against a direct sum, SVM and regression against what defines their solutions, the parts together."""

import numpy as np
import pytest

import minidl as ml
from minidl import nn
from minidl.data.scenes import shape_scenes
from minidl.errors import ArgumentError, MissingAttributeError, NonFiniteError, OutOfRangeError, ShapeError
from minidl.metrics import DetectionMetrics
from minidl.models import RCNN
from minidl.models.rcnn import ridge_regression, squared_hinge_svm
from minidl.vision.ops import box_iou

K = 5  # background and four shapes


class Colours(nn.Module):
    """Untrained features that keep where the colours of a crop are, so that what is fitted on them can work."""

    def __init__(self, num_classes=K):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(8 * 8 * 8, 128), nn.ReLU(), nn.Linear(128, num_classes))

    def forward(self, x):
        return self.classifier(self.features(x))


def make(**settings):
    ml.manual_seed(0)
    return RCNN(Colours(), K, **{"size": 16, "svm_layer": "features", "pool": 8, **settings})


@pytest.fixture(scope="module")
def scenes():
    """Images, targets and, as proposals, the true boxes moved about, and boxes anywhere."""
    made = shape_scenes(12, 0, size=48, objects=(1, 2), scale=(0.4, 0.6), min_visible=1.0, seed=1)[0]
    data, rng = [made[i] for i in range(12)], np.random.default_rng(0)
    proposals = []
    for sample in data:
        true = sample["boxes"].numpy()
        moved = (true[None] + rng.uniform(-4, 4, (6, *true.shape))).reshape(-1, 4)
        corners = np.sort(rng.uniform(0, 48, (20, 2, 2)), axis=1) + [[[-1, -1], [1, 1]]]
        proposals.append(ml.tensor(np.concatenate([moved, corners.reshape(-1, 4)]).astype(np.float32)))
    return [sample["image"] for sample in data], data, proposals


@pytest.fixture(scope="module")
def fitted(scenes):
    model = make()
    model.kept = model.fit_svms(*scenes, cost=0.01, batch=4)
    model.pairs = model.fit_boxes(*scenes, ridge=1.0)
    return model.eval()


# Crops


def test_a_crop_is_the_box_and_its_context(rng):
    """A plane is its own bilinear interpolation, so each pixel of the crop has the value of the plane at its center."""
    rows, columns = np.mgrid[:40, :60].astype(np.float32) + 0.5
    image = ml.tensor(np.stack([rows, columns, 0 * rows]))
    x1, y1, x2, y2 = box = (20.0, 10.0, 44.0, 25.0)
    crop = make(mean=(1.0, 2.0, 3.0), context=2).regions(image, [box]).numpy()[0]
    steps = (np.arange(16) + 0.5 - 2) / 12
    assert np.allclose(crop[0], (y1 + (y2 - y1) * steps - 1)[:, None], atol=1e-4)
    assert np.allclose(crop[1], (x1 + (x2 - x1) * steps - 2)[None], atol=1e-4)
    assert np.allclose(crop[2], -3)


def test_outside_of_the_image_is_the_mean():
    crop = make(mean=0.25, context=4).regions(ml.ones(3, 20, 20), [[0.0, 0.0, 20.0, 20.0]]).numpy()[0]
    assert np.allclose(crop[:, 4:12, 4:12], 0.75) and np.allclose(crop[:, [0, 1, 14, 15]], 0)


# What is fitted


def test_svm_is_at_the_minimum(rng):
    """The gradient of the objective vanishes; no other oracle is needed, for it is strictly convex."""
    y = np.where(rng.random(80) < 0.3, 1.0, -1.0)
    x = rng.standard_normal((80, 7)) + 0.7 * y[:, None]
    cost = np.where(y > 0, 0.4, 0.1)
    w = squared_hinge_svm(x, y, cost, rng.standard_normal(8))
    with_ones = np.concatenate([x, np.ones((80, 1))], axis=1)
    gap = np.maximum(0, 1 - y * (with_ones @ w))
    assert abs(w - 2 * with_ones.T @ (cost * gap * y)).max() < 1e-9
    assert 0 < (gap > 0).sum() < 80


@pytest.mark.parametrize("count", [5, 40], ids=["dual", "primal"])
def test_ridge_regression_is_at_the_minimum(rng, count):
    x, t, ridge = rng.standard_normal((count, 9)) + 3, rng.standard_normal((count, 4)), 0.7
    weights, bias = ridge_regression(x, t, ridge)
    rest = x @ weights.T + bias - t
    assert abs(rest.T @ x + ridge * weights).max() < 1e-10 and abs(rest.sum(axis=0)).max() < 1e-10


def test_samples_are_labelled_by_overlap(scenes):
    images, targets, proposals = scenes
    model, whole = make(), slice(0, 3)
    ml.manual_seed(3)
    crops, labels = model.sample(images[whole], targets[whole], proposals[whole], per_image=16, positive_fraction=0.5)
    assert crops.shape == (48, 3, 16, 16) and labels.dtype == ml.int64
    for number in range(3):
        part = slice(16 * number, 16 * number + 16)
        every = ml.cat([proposals[number], targets[number]["boxes"]])
        candidates = model.regions(images[number], every).numpy()
        overlaps = box_iou(every, targets[number]["boxes"]).numpy()
        for crop, label in zip(crops.numpy()[part], labels.numpy()[part], strict=True):
            which = abs(candidates - crop).max(axis=(1, 2, 3)).argmin()
            best = overlaps[which].argmax()
            assert label == (targets[number]["labels"].numpy()[best] if overlaps[which, best] >= 0.5 else 0)
        assert (labels.numpy()[part] > 0).sum() == 8


def test_the_parts_find_and_refine(scenes, fitted):
    """On the images that they were fitted to: nearly all is found, and regressed boxes lie closer."""
    images, targets, proposals = scenes
    found = {}
    for refine in (False, True):
        metrics = DetectionMetrics()
        metrics.update(fitted(images, proposals, refine=refine), targets)
        found[refine] = metrics.compute()
    assert found[False]["AP50"] > 0.8 and found[True]["AP75"] > found[False]["AP75"] + 0.1
    assert all(0 < kept < sum(map(len, proposals)) for kept in fitted.kept) and min(fitted.pairs) > 0


def test_detections_are_what_the_formulas_say(scenes, fitted):
    """Scores and boxes of one image, from the stored weights, without NMS."""
    image, boxes = scenes[0][0], scenes[2][0][:5]
    vectors = fitted.network.features(fitted.regions(image, boxes)).flatten(1).detach().numpy()
    scores = vectors @ fitted.svm_weight.numpy().T + fitted.svm_bias.numpy()
    loose = make(score_thresh=-1e9, nms_thresh=1.0)
    loose.load_state_dict(fitted.state_dict())
    found = {key: value.numpy() for key, value in loose([image], [boxes])[0].items()}
    assert len(found["scores"]) == 5 * (K - 1) and (np.diff(found["scores"]) <= 0).all()
    assert np.allclose(found["scores"], np.sort(scores.ravel())[::-1], atol=1e-4)
    region, k = np.unravel_index(scores.argmax(), scores.shape)
    code = fitted.box_weight.numpy()[k] @ vectors[region] + fitted.box_bias.numpy()[k]
    low, high = np.split(boxes.numpy()[region], 2)
    center, size = (low + high) / 2 + code[:2] * (high - low), np.exp(code[2:]) * (high - low)
    expected = np.clip(np.concatenate([center - size / 2, center + size / 2]), 0, 48)
    assert found["labels"][0] == k + 1 and np.allclose(found["boxes"][0], expected, atol=1e-3)


def test_images_without_objects_or_proposals(scenes, fitted):
    images, targets, proposals = scenes
    empty = {"boxes": ml.zeros(0, 4), "labels": ml.zeros(0, dtype=ml.int64)}
    model = make()
    with_empty = [*images, images[0]], [*targets, empty], [*proposals, proposals[0]]
    kept = model.fit_svms(*with_empty)
    model.fit_boxes(*with_empty)
    assert len(kept) == K - 1 and np.isfinite(model.svm_weight.numpy()).all()
    labels = model.sample([images[0]], [empty], [proposals[0]])[1]
    assert len(labels) and (labels.numpy() == 0).all()
    found = fitted([images[0]], [ml.zeros(0, 4)])[0]
    assert found["boxes"].shape == (0, 4) and found["labels"].shape == found["scores"].shape == (0,)


def test_proposals_are_made_where_none_are_given(scenes, fitted):
    images, _, proposals = scenes
    model = make(proposer=lambda image: proposals[0] if image is images[0] else ml.zeros(0, 4))
    model.load_state_dict(fitted.state_dict())
    first, second = model(images[:2])
    assert np.array_equal(first["boxes"].numpy(), fitted(images[:1], proposals[:1])[0]["boxes"].numpy())
    assert len(second["boxes"]) == 0


# Bad input


def test_bad_input_is_named(scenes):
    images, targets, proposals = (part[:1] for part in scenes)
    model = make()
    with pytest.raises(MissingAttributeError, match="call fit_svms first"):
        model(images, proposals)
    with pytest.raises(ShapeError, match=r"RCNN.fit_svms: 1 images, 1 targets and proposals of 0"):
        model.fit_svms(images, targets, [])
    with pytest.raises(ShapeError, match=r"an image is \(C, H, W\).*got \(1, 3, 48, 48\)"):
        model.regions(images[0][None], proposals[0])
    with pytest.raises(ArgumentError, match=r"box 0 of proposals\[0\].*'xywh'"):
        model.fit_boxes(images, targets, [[[30.0, 30.0, 10.0, 10.0]]])
    with pytest.raises(ArgumentError, match=r"box 0 of boxes of targets\[0\].*has no area"):
        model.fit_boxes(images, [{"boxes": [[3.0, 3.0, 3.0, 9.0]], "labels": [1]}], proposals)
    with pytest.raises(OutOfRangeError, match=r"box 1 of targets\[0\] has the label 5.*from 1 to 4"):
        model.sample(images, [{"boxes": [[0.0, 0.0, 9.0, 9.0]] * 2, "labels": [1, 5]}], proposals)
    with pytest.raises(MissingAttributeError, match=r"targets\[0\] has no 'labels'"):
        model.sample(images, [{"boxes": [[0.0, 0.0, 9.0, 9.0]]}], proposals)
    with pytest.raises(ShapeError, match=r"targets\[0\] has 1 boxes but labels \(2,\)"):
        model.sample(images, [{"boxes": [[0.0, 0.0, 9.0, 9.0]], "labels": [1, 2]}], proposals)
    only = [{"boxes": targets[0]["boxes"][:1], "labels": [1]}]
    with pytest.raises(ArgumentError, match="fit_svms: there is no object with the label 2"):
        model.fit_svms(images, only, proposals)
    with pytest.raises(ArgumentError, match=r"fit_boxes: no proposal overlaps an object of label 1 by 0.6"):
        model.fit_boxes(images, only, [[[0.0, 0.0, 1.0, 1.0]]])
    with pytest.raises(ArgumentError, match=r"got 1, 2 and 32"):
        RCNN(Colours(1), 1)
    with pytest.raises(MissingAttributeError, match="fc7"):
        make(svm_layer="fc7")
    with pytest.raises(ArgumentError, match="fit_svms: there is no object with the label 1"):
        model.fit_svms(images, [{"boxes": [], "labels": []}], proposals)
    model.network.features[0].bias.data[:] = np.nan
    with pytest.raises(NonFiniteError, match="the output of 'features' is not finite"):
        model.fit_svms(images, targets, proposals)
