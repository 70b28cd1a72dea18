"""Areas, overlaps and formats of boxes."""

import numpy as np
import pytest

import minidl as ml
from minidl.autograd import gradcheck, gradgradcheck
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from minidl.vision import ops
from tests.tolerances import assert_close

from ._torchvision import torchvision

PAIRS = ["box_iou", "generalized_box_iou"]


def random_boxes(rng, count, dtype=np.float64, side=20.0):
    corners = rng.uniform(0, side, (count, 2))
    return np.concatenate([corners, corners + rng.uniform(0.5, side / 2, (count, 2))], 1).astype(dtype)


def area(box):
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def by_definition(a, b, generalized):
    shared = area([max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])])
    union = area(a) + area(b) - shared
    around = area([min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])])
    return shared / union - ((around - union) / around if generalized else 0)


def test_areas():
    boxes = [[0, 0, 3, 4], [2, 2, 2, 5]]
    assert ops.box_area(boxes).tolist() == [12, 0]
    assert ops.box_area(ml.tensor([boxes, boxes])).tolist() == [[12, 0], [12, 0]]
    assert ops.box_area([]).shape == (0,)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_overlaps_pair_by_pair(name, dtype, rng):
    a, b = random_boxes(rng, 6, dtype), random_boxes(rng, 4, dtype)
    expected = [[by_definition(x, y, name != "box_iou") for y in b.astype(float)] for x in a.astype(float)]
    overlaps = getattr(ops, name)(a, ml.tensor(b))
    assert overlaps.dtype == dtype
    assert_close(overlaps.numpy(), np.array(expected, dtype))
    assert getattr(ops, name)(a[:0], b).shape == (0, 4) and getattr(ops, name)(a, b[:0]).shape == (6, 0)


def test_overlaps_by_hand():
    a, b = [[0, 0, 10, 10]], [[5, 5, 15, 15], [0, 0, 10, 10], [20, 0, 30, 10]]
    np.testing.assert_allclose(ops.box_iou(a, b).numpy(), [[25 / 175, 1, 0]], rtol=1e-6)
    expected = [[25 / 175 - 50 / 225, 1, -1 / 3]]
    np.testing.assert_allclose(ops.generalized_box_iou(a, b).numpy(), expected, rtol=1e-6)


def test_two_boxes_without_area_have_no_overlap():
    assert np.isnan(ops.box_iou([[1.0, 1, 1, 1]], [[1.0, 1, 1, 1]]).item())


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_the_loss_and_its_gradients(reduction, rng):
    a, b = random_boxes(rng, 5), random_boxes(rng, 5)
    b[0] += 60  # apart
    loss = ops.generalized_box_iou_loss(a, b, reduction)
    each = np.array([1 - by_definition(x, y, True) for x, y in zip(a, b, strict=True)])
    assert_close(
        loss.numpy(), {"none": each, "mean": each.mean(), "sum": each.sum()}[reduction], {"float64": (1e-6,) * 2}
    )
    inputs = [ml.tensor(x, requires_grad=True) for x in (a, b)]
    assert gradcheck(lambda x, y: ops.generalized_box_iou_loss(x, y, reduction), inputs)
    assert gradgradcheck(lambda x, y: ops.generalized_box_iou_loss(x, y, reduction), inputs)


def test_the_loss_pulls_boxes_that_are_apart():
    box, goal = ml.tensor([[0.0, 0, 10, 10]], requires_grad=True), [[50.0, 40, 70, 60]]
    assert ops.box_iou(box, goal).item() == 0
    for _ in range(300):
        (gradient,) = ml.grad(ops.generalized_box_iou_loss(box, goal, "sum"), box)
        box = (box - 50 * gradient).detach().requires_grad_()
    assert ops.box_iou(box, goal).item() > 0.05


def test_the_loss_of_no_boxes():
    nothing = np.zeros((0, 4), np.float32)
    assert ops.generalized_box_iou_loss(nothing, nothing, "mean").item() == 0
    assert ops.generalized_box_iou_loss(nothing, nothing).shape == (0,)


@pytest.mark.parametrize("in_fmt", ["xyxy", "xywh", "cxcywh"])
@pytest.mark.parametrize("out_fmt", ["xyxy", "xywh", "cxcywh"])
def test_formats(in_fmt, out_fmt):
    forms = {"xyxy": [10, 20, 40, 30], "xywh": [10, 20, 30, 10], "cxcywh": [25, 25, 30, 10]}
    boxes = ml.tensor([forms[in_fmt]], dtype=ml.float32)
    assert ops.box_convert(boxes, in_fmt, out_fmt).tolist() == [forms[out_fmt]]


def test_clipping_and_small_boxes():
    boxes = [[-5.0, 2, 30, 8], [40, 40, 50, 50], [1, 1, 2, 9]]
    assert ops.clip_boxes_to_image(boxes, (10, 20)).tolist() == [[0, 2, 20, 8], [20, 10, 20, 10], [1, 1, 2, 9]]
    assert ops.remove_small_boxes(boxes, 1.5).tolist() == [0, 1]
    assert ops.remove_small_boxes(boxes, 1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_torchvision_agrees(dtype, rng):
    torch, tv = torchvision()
    a, b = random_boxes(rng, 30, dtype), random_boxes(rng, 30, dtype)
    ta, tb = torch.tensor(a), torch.tensor(b)
    for name in PAIRS:
        assert_close(getattr(ops, name)(a, b).numpy(), getattr(tv.ops, name)(ta, tb).numpy())
    for reduction in ("none", "mean", "sum"):
        expected = tv.ops.generalized_box_iou_loss(ta, tb, reduction)
        assert_close(ops.generalized_box_iou_loss(a, b, reduction).numpy(), expected.numpy())
    for out in ("xywh", "cxcywh"):
        converted = tv.ops.box_convert(ta, "xyxy", out)
        assert_close(ops.box_convert(a, "xyxy", out).numpy(), converted.numpy())
        assert_close(ops.box_convert(converted.numpy(), out, "xyxy").numpy(), ta.numpy())
    clipped = ops.clip_boxes_to_image(a, (15, 12))
    assert_close(clipped.numpy(), tv.ops.clip_boxes_to_image(ta, (15, 12)).numpy())
    assert ops.remove_small_boxes(a, 4).tolist() == tv.ops.remove_small_boxes(ta, 4).tolist()


@pytest.mark.parametrize(
    "boxes, error, message",
    [
        (
            [[0, 0, 5, 5], [30, 20, 8, 9]],
            ArgumentError,
            r"box 1 of boxes is \(30, 20, 8, 9\): x2 = 8 < x1 = 30.*height",
        ),
        ([[0, 0, 5, -5]], ArgumentError, "y2 = -5 < y1 = 0.* the corners are the wrong way round"),
        ([[0, 0, 5, np.nan]], ArgumentError, r"box 0 of boxes is \(0, 0, 5, nan\), which is not finite"),
        ([[0, 0, np.inf, 5]], ArgumentError, "not finite"),
        ([[1, 2, 3]], ShapeError, r"four numbers for each box, got \(1, 3\)"),
        ([[1, 2, 3, 4], [1, 2]], ShapeError, "not a rectangular array"),
        ("abcd", ArgumentTypeError, "array of numbers, got str"),
        (np.ones((2, 4), bool), DtypeError, "numbers, got bool"),
    ],
)
@pytest.mark.parametrize("name", ["box_area", "remove_small_boxes", "box_iou"])
def test_bad_boxes(name, boxes, error, message):
    more = {"box_area": (), "remove_small_boxes": (1,), "box_iou": ([[0, 0, 1, 1]],)}[name]
    with pytest.raises(error, match=message.replace("of boxes", "of boxes1?")):
        getattr(ops, name)(boxes, *more)


def test_other_bad_arguments():
    box = [[0.0, 0, 1, 1]]
    for call, error, message in [
        (lambda: ops.box_convert(box, "xyxy", "yxyx"), ArgumentError, "out_fmt must be one of xyxy, xywh, cxcywh"),
        (lambda: ops.box_convert([[9.0, 9, -3, 2]], "xywh", "xyxy"), ArgumentError, "a size in boxes is -3, below 0"),
        (lambda: ops.clip_boxes_to_image(box, (3, 4, 5)), ShapeError, r"size must be \(height, width\)"),
        (lambda: ops.clip_boxes_to_image(box, (3.5, 4)), DtypeError, "two integers"),
        (lambda: ops.generalized_box_iou_loss(box, box * 2), ShapeError, "the loss pairs them one by one"),
        (lambda: ops.generalized_box_iou_loss(box, box, "max"), ArgumentError, "reduction must be 'mean', 'sum' or"),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_the_error_of_a_gpu_comes_with_the_next_result(on_cuda):
    area = ops.box_area(ml.tensor([[0.0, 0, 5, 5], [30, 20, 8, 9]]).cuda())
    with pytest.raises(ArgumentError, match=r"box 1 of boxes is \(30, 20, 8, 9\)"):
        area.cpu()
