"""Average precision of detections: by hand, against pycocotools where it is installed, and what bad input says."""

import contextlib
import io

import numpy as np
import pytest

import minidl as ml
from minidl.errors import (
    ArgumentError,
    ArgumentTypeError,
    MissingAttributeError,
    OutOfRangeError,
    ShapeError,
)
from minidl.metrics import COCO_THRESHOLDS, DetectionMetrics, average_precision
from minidl.metrics._matching import interpolated, mask_overlaps

A, B, C, FAR = [0, 0, 10, 10], [20, 20, 30, 30], [40, 0, 60, 20], [90, 90, 99, 99]


def found(*entries):
    """Detections (box, score, label) of one image."""
    boxes, scores, labels = zip(*entries, strict=True) if entries else ((), (), ())
    return {"boxes": np.array(boxes, float).reshape(-1, 4), "scores": list(scores), "labels": list(labels)}


def true(*entries, **flags):
    """Objects (box, label) of one image."""
    boxes, labels = zip(*entries, strict=True) if entries else ((), ())
    return {"boxes": np.array(boxes, float).reshape(-1, 4), "labels": list(labels), **flags}


def gathered(predictions, targets, *settings, **more):
    metrics = DetectionMetrics(*settings, **more)
    metrics.update(predictions, targets)
    return metrics


# By hand -------------------------------------------------------------------------------------------------------------


def test_each_interpolation_of_one_curve():
    """Right, wrong, right, of two objects: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1."""
    predictions = [found((A, 0.9, 1), (FAR, 0.8, 1), (B, 0.7, 1))]
    targets = [true((A, 1), (B, 1))]
    assert average_precision(predictions, targets) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert average_precision(predictions, targets, method="11point") == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    assert average_precision(predictions, targets, method="coco") == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_a_second_detection_of_an_object_is_a_false_alarm():
    predictions, targets = [found((A, 0.9, 1), (A, 0.8, 1), (B, 0.7, 1))], [true((A, 1), (B, 1))]
    assert average_precision(predictions, targets) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert average_precision(predictions, targets, method="coco") == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_voc_looks_at_one_object_only_where_coco_takes_another_that_is_free():
    near = [0, 0, 10, 11]
    predictions = [found((A, 0.9, 1), (A, 0.8, 1))]
    targets = [true((A, 1), (near, 1))]
    assert average_precision(predictions, targets) == pytest.approx(0.5)
    assert average_precision(predictions, targets, method="coco") == pytest.approx(1.0)


def test_scores_are_ranked_over_all_images():
    predictions = [found((A, 0.5, 1)), found((FAR, 0.9, 1))]
    targets = [true((A, 1)), true()]
    assert average_precision(predictions, targets) == pytest.approx(0.5)


def test_classes_are_apart_and_one_without_objects_has_no_value():
    predictions = [found((A, 0.9, 1), (B, 0.9, 2), (C, 0.9, 3))]
    targets = [true((A, 1), (B, 1), (C, 5))]
    values = average_precision(predictions, targets, average=None)
    assert values == pytest.approx({1: 0.5, 2: np.nan, 3: np.nan, 5: 0.0}, nan_ok=True)
    assert average_precision(predictions, targets) == pytest.approx(0.25)


@pytest.mark.parametrize("method", ["area", "11point", "coco"])
@pytest.mark.parametrize("flag", ["difficult", "iscrowd"])
def test_what_is_found_at_a_difficult_object_or_in_a_crowd_does_not_count(method, flag):
    predictions = [found((B, 0.9, 1), (B, 0.8, 1), (A, 0.7, 1))]
    targets = [true((A, 1), (B, 1), **{flag: [0, 1]})]
    assert average_precision(predictions, targets, method=method) == pytest.approx(1.0)
    targets = [true((A, 1), (B, 1))]
    assert average_precision(predictions, targets, method=method) < 1


def test_a_crowd_excuses_what_lies_inside_it_however_small():
    predictions = [found(([2, 2, 4, 4], 0.9, 1), (B, 0.8, 1))]
    crowd = [true((A, 1), (B, 1), iscrowd=[1, 0])]
    assert average_precision(predictions, crowd, method="coco") == pytest.approx(1.0)
    difficult = [true((A, 1), (B, 1), difficult=[1, 0])]
    assert average_precision(predictions, difficult, method="coco") == pytest.approx(0.5)


def test_the_mean_over_thresholds():
    """IoU = 8/10: right at 0.5, 0.55, …, 0.8, which are 7 of 10 thresholds."""
    metrics = gathered([found(([0, 0, 10, 8], 0.9, 1))], [true((A, 1))])
    figures = metrics.compute()
    assert figures["AP"] == pytest.approx(0.7) and figures["AR1"] == pytest.approx(0.7)
    assert figures["AP50"] == figures["AP75"] == pytest.approx(1.0)
    assert metrics.average_precision(0.81) == {1: 0.0}


def test_areas():
    small, large = [0, 0, 20, 20], [100, 100, 300, 300]
    figures = gathered([found((small, 0.9, 1))], [true((small, 1), (large, 1))]).compute()
    assert figures["APs"] == figures["ARs"] == pytest.approx(1.0) and figures["APl"] == figures["ARl"] == 0
    assert np.isnan(figures["APm"])
    figures = gathered([found((small, 0.9, 1))], [true((small, 1), area=[40.0**2])]).compute()
    assert np.isnan(figures["APs"]) and figures["APm"] == pytest.approx(1.0)


def test_at_most_so_many_detections_count():
    wrong = [([10.0 * k, 50, 10.0 * k + 5, 55], 0.9 - 0.01 * k, 1) for k in range(3)]
    metrics = gathered([found(*wrong, (A, 0.1, 1))], [true((A, 1))], max_detections=3)
    assert metrics.average_precision() == {1: 0.0}
    assert gathered([found(*wrong, (A, 0.1, 1))], [true((A, 1))]).average_precision(0.5)[1] == pytest.approx(0.25)
    assert metrics.recall(max_detections=4) == {1: 1.0}


def test_masks_overlap_where_boxes_do_not_tell():
    lower, upper = np.tri(8, dtype=bool), ~np.tri(8, dtype=bool)
    truth = {"labels": [1], "masks": lower[None]}
    right = {"labels": [1], "scores": [0.9], "masks": lower[None, None] * 0.7}
    wrong = {"labels": [1], "scores": [0.9], "masks": upper[None]}
    assert average_precision([right], [truth], iou_type="mask") == 1.0
    assert average_precision([wrong], [truth], iou_type="mask") == 0.0


def test_mask_overlaps_by_definition(rng):
    a, b = rng.random((3, 5, 6)) < 0.5, rng.random((2, 5, 6)) < 0.5
    ious = mask_overlaps(a, b, np.array([False, True]))
    for i in range(3):
        assert ious[i, 0] == pytest.approx((a[i] & b[0]).sum() / (a[i] | b[0]).sum())
        assert ious[i, 1] == pytest.approx((a[i] & b[1]).sum() / a[i].sum())


def test_batches_tensors_and_reset():
    predictions = [found((A, 0.9, 1)), found((FAR, 0.95, 1))]
    targets = [true((A, 1)), true((B, 1))]
    whole = gathered(predictions, targets)
    parts = DetectionMetrics()
    for p, t in zip(predictions, targets, strict=True):
        parts.update(
            [{name: ml.tensor(np.asarray(value)) for name, value in p.items()}],
            [{name: ml.tensor(np.asarray(value)) for name, value in t.items()}],
        )
    assert parts.compute() == pytest.approx(whole.compute(), nan_ok=True)
    parts.reset()
    assert parts.classes == [] and parts.images == 0


def test_nothing_at_all():
    figures = gathered([found()], [true()]).compute()
    assert all(np.isnan(value) for value in figures.values())
    assert gathered([found()], [true((A, 1))]).compute()["AP"] == 0
    assert np.isnan(average_precision([found((A, 0.9, 1))], [true()]))


def test_interpolation_takes_the_best_precision_that_is_left():
    precision, recall = np.array([0.5, 2 / 3, 0.75]), np.array([1 / 4, 2 / 4, 3 / 4])
    assert interpolated(precision, recall, "area") == pytest.approx(0.75 * 0.75)
    assert interpolated(precision, recall, "11point") == pytest.approx(8 * 0.75 / 11)


# Against pycocotools -------------------------------------------------------------------------------------------------


def random_scene(rng, classes=3, side=200, masks=False):
    """Objects, and detections near them and elsewhere, with equal scores, crowds and all sizes."""

    def boxes(count, low, high):
        size, corner = rng.uniform(low, high, (count, 2)), rng.uniform(0, side / 2, (count, 2))
        return np.round(np.concatenate([corner, np.minimum(corner + size, side)], 1), 1)

    objects = boxes(rng.integers(0, 6), 5, 150)
    near = objects[rng.integers(0, max(len(objects), 1), 12 if len(objects) else 0)]
    moved = near + rng.normal(0, 4, near.shape)
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    detections = np.concatenate([moved.clip(0, side), boxes(rng.integers(0, 6), 5, 150)])
    truth = {
        "boxes": objects,
        "labels": rng.integers(1, classes + 1, len(objects)),
        "iscrowd": rng.random(len(objects)) < 0.25,
    }
    guess = {
        "boxes": detections,
        "labels": rng.integers(1, classes + 1, len(detections)),
        "scores": np.round(rng.random(len(detections)), 1),
    }
    if masks:
        y, x = np.mgrid[:side, :side]
        for entries in (truth, guess):
            x1, y1, x2, y2 = entries["boxes"].T[..., None, None]
            inside = ((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2
            entries["masks"] = inside < 1
    return guess, truth


def coco_stats(predictions, targets, kind):
    """The twelve figures of pycocotools."""
    coco = pytest.importorskip("pycocotools.coco")
    evaluation, masks = pytest.importorskip("pycocotools.cocoeval"), pytest.importorskip("pycocotools.mask")

    def entries(image, each, scored):
        for k, (x1, y1, x2, y2) in enumerate(each["boxes"]):
            entry = {"image_id": image, "category_id": int(each["labels"][k]), "bbox": [x1, y1, x2 - x1, y2 - y1]}
            entry |= {"score": float(each["scores"][k])} if scored else {"iscrowd": int(each["iscrowd"][k])}
            if kind == "mask":
                entry["segmentation"] = masks.encode(np.asfortranarray(each["masks"][k].astype(np.uint8)))
                entry["area"] = float(each["masks"][k].sum())
                if scored:
                    del entry["bbox"]
            else:
                entry["area"] = (x2 - x1) * (y2 - y1)
            yield entry

    truth = [entry for image, each in enumerate(targets) for entry in entries(image, each, False)]
    guess = [entry for image, each in enumerate(predictions) for entry in entries(image, each, True)]
    data = coco.COCO()
    data.dataset = {
        "info": {},
        "images": [{"id": image, "height": 200, "width": 200} for image in range(len(targets))],
        "categories": [{"id": k} for k in (1, 2, 3)],
        "annotations": [entry | {"id": k + 1} for k, entry in enumerate(truth)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        data.createIndex()
        evaluator = evaluation.COCOeval(data, data.loadRes(guess), "bbox" if kind == "box" else "segm")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator.stats


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["box", "mask"])
def test_the_figures_are_those_of_pycocotools(kind, seed):
    rng = np.random.default_rng(seed)
    predictions, targets = zip(*(random_scene(rng, masks=kind == "mask") for _ in range(8)), strict=True)
    expected = coco_stats(predictions, targets, kind)
    figures = gathered(predictions, targets, kind).compute()
    expected = np.where(expected < 0, np.nan, expected)  # −1 stands for no value
    np.testing.assert_allclose(list(figures.values()), expected, rtol=0, atol=1e-12)
    assert 0.01 < figures["AP"] < 0.9


# Bad input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prediction, target, error, message",
    [
        ({"boxes": [A]}, true((A, 1)), MissingAttributeError, "image 0: predictions have no 'labels', only 'boxes'"),
        ([A], true((A, 1)), ArgumentTypeError, "predictions must be a dictionary for each image, got list"),
        (found(([50, 60, 20, 10], 0.9, 1)), true(), ArgumentError, "box 0 of boxes of predictions .* width, height"),
        (found(), true(([5, 5, np.nan, 9], 1)), ArgumentError, "image 0: box 0 of boxes of targets .* not finite"),
        (found((A, 0.9, 7)), true(), OutOfRangeError, "predictions hold the label 7, but there are the classes 0 to 3"),
        (found((A, np.nan, 1)), true(), ArgumentError, "scores hold 1 NaN of 1"),
        (found((A, 0.9, 1)) | {"scores": [0.9, 0.8]}, true(), ShapeError, r"scores \(2,\) and labels \(1,\)"),
        (found((A, 0.9, 1)) | {"boxes": [A, B]}, true(), ShapeError, "predictions have 2 boxes but 1 labels"),
        (found(), true((A, 1), iscrowd=[0, 1]), ShapeError, r"iscrowd \(2,\) must have one entry for each of 1"),
        (found(), true((A, 1), area=[1.0, 2.0]), ShapeError, r"area \(2,\) must have one entry"),
    ],
)
def test_bad_input(prediction, target, error, message):
    with pytest.raises(error, match=message):
        gathered([prediction], [target], num_classes=4)


def test_bad_settings():
    metrics = gathered([found()], [true()])
    for call, message in [
        (lambda: DetectionMetrics("bbox"), "iou_type must be 'box' or 'mask', got 'bbox'"),
        (lambda: DetectionMetrics(max_detections=0), "max_detections must be a positive integer, got 0"),
        (lambda: metrics.average_precision(1.5), r"iou_threshold must lie in \(0, 1\], got 1.5"),
        (lambda: metrics.average_precision(method="voc"), "method must be one of coco, area, 11point; got 'voc'"),
        (lambda: metrics.average_precision(area="tiny"), "area must be one of all, small, medium, large"),
        (lambda: metrics.average_precision(method="area", area="small"), "VOC has no ranges of areas"),
        (lambda: average_precision([], [], average="micro"), "average='micro'; choose 'macro' or None"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            call()
    with pytest.raises(ShapeError, match="predictions of 1 images, 2 targets"):
        metrics.update([found()], [true(), true()])
    with pytest.raises(ShapeError, match="masks of predictions .*4, 4.*, of targets .*5, 5"):
        guess = {"labels": [1], "scores": [1.0], "masks": np.ones((1, 4, 4), bool)}
        gathered([guess], [{"labels": [1], "masks": np.ones((1, 5, 5), bool)}], "mask")


def test_the_thresholds_of_coco():
    np.testing.assert_allclose(COCO_THRESHOLDS, np.arange(10, 20) / 20, atol=1e-15)
