"""Non-maximum suppression against the definition, and torchvision where its compiled operations run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl as ml
from minidl.backend import to_device
from minidl.errors import ArgumentError, DtypeError, ShapeError
from minidl.kernels import cpu, reference
from minidl.vision import ops
from tests.kernels._devices import check

from ._torchvision import has_compiled_operations, torchvision


def on_grid(rng, count, side):
    """Boxes with whole coordinates: many are equal, touch, or have no area."""
    corners = rng.integers(0, side, (count, 2))
    return np.concatenate([corners, corners + rng.integers(0, side, (count, 2))], 1).astype(np.float32)


@given(st.integers(0, 150), st.integers(1, 40), st.sampled_from([0, 0.1, 0.3, 0.5, 2 / 3, 0.9, 1]), st.integers(0, 99))
@settings(max_examples=40)
def test_the_kernel(device, count, side, threshold, seed):
    check(device, "nms", on_grid(np.random.default_rng(seed), count, side), threshold)


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("scene", ["apart", "heaps", "one place", "apart, then one place"])
def test_many_boxes(scene, threshold, rng):
    """Enough for several chunks, of which some are halved."""
    apart = np.stack(np.divmod(rng.permutation(400), 20), 1) * 12.0
    heaps = apart[rng.integers(0, 8, 500)] + rng.normal(0, 1.5, (500, 2))
    corners = {
        "apart": apart,
        "heaps": heaps,
        "one place": np.full((600, 2), 5.0) + rng.normal(0, 0.5, (600, 2)),
        "apart, then one place": np.concatenate([apart[:150], np.full((300, 2), 7.0)]),
    }[scene]
    boxes = np.concatenate([corners, corners + rng.uniform(8, 14, corners.shape)], 1).astype(np.float32)
    np.testing.assert_array_equal(cpu.nms(boxes, threshold), reference.nms(boxes, threshold))


def test_by_hand():
    boxes = [[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 8], [50, 50, 60, 60]]
    scores = [0.6, 0.9, 0.7, 0.8]
    assert ops.nms(boxes, scores, 0.85).tolist() == [1, 3]
    assert ops.nms(boxes, scores, 0.88).tolist() == [1, 3]  # 8/9 and 9/10
    assert ops.nms(boxes, scores, 0.89).tolist() == [1, 3, 2]
    assert ops.nms(boxes, scores, 1.0).tolist() == [1, 3, 2, 0]


def test_an_overlap_of_just_the_threshold_is_not_too_much():
    boxes = [[0, 0, 10, 10], [0, 0, 10, 5]]  # IoU = ½
    assert ops.nms(boxes, [0.9, 0.8], 0.5).tolist() == [0, 1]
    assert ops.nms(boxes, [0.9, 0.8], 0.499).tolist() == [0]


def test_of_equal_scores_the_first_is_the_best():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [30, 0, 40, 10], [30, 0, 40, 10]], np.float32)
    assert ops.nms(boxes, [0.5, 0.5, 0.5, 0.5], 0.5).tolist() == [0, 2]
    assert ops.nms(boxes, [0.5, 0.5, 0.5, 0.9], 0.5).tolist() == [3, 0]


def test_a_box_that_is_removed_removes_nothing():
    boxes = [[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]]
    assert ops.nms(boxes, [0.9, 0.8, 0.7], 0.4).tolist() == [0, 2]


def test_no_boxes():
    assert ops.nms(np.zeros((0, 4)), [], 0.5).tolist() == []
    assert ops.batched_nms(np.zeros((0, 4)), [], np.zeros(0, int), 0.5).tolist() == []


def test_classes_do_not_remove_each_other(rng, device):
    boxes, scores, classes = on_grid(rng, 80, 20), rng.random(80).astype(np.float32), rng.integers(0, 4, 80)
    expected = np.concatenate(
        [
            np.flatnonzero(classes == c)[ops.nms(boxes[classes == c], scores[classes == c], 0.4).numpy()]
            for c in range(4)
        ]
    )
    arrays = (ml.Tensor(to_device(array, device)) for array in (boxes, scores, classes))
    kept = ops.batched_nms(*arrays, 0.4)
    assert kept.dtype == np.int64 and kept.device.type == device
    assert kept.cpu().tolist() == expected[np.argsort(-scores[expected], kind="stable")].tolist()


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_torchvision_agrees(threshold, rng):
    torch, tv = torchvision()
    if not has_compiled_operations():
        pytest.skip("torchvision's compiled operations do not fit this PyTorch")
    boxes, scores, classes = on_grid(rng, 500, 50), rng.integers(0, 9, 500) / 8, rng.integers(0, 3, 500)
    theirs = torch.tensor(boxes), torch.tensor(scores, dtype=torch.float32)
    assert ops.nms(boxes, scores, threshold).tolist() == tv.ops.nms(*theirs, threshold).tolist()
    expected = tv.ops.batched_nms(*theirs, torch.tensor(classes), threshold).tolist()
    assert sorted(ops.batched_nms(boxes, scores, classes, threshold).tolist()) == sorted(expected)


@pytest.mark.parametrize(
    "boxes, scores, threshold, error, message",
    [
        ([[0, 0, 1, 1]], [0.5], 1.5, ArgumentError, r"iou_threshold=1.5 must lie in \[0, 1\]"),
        ([[0, 0, 1, 1]], [0.5, 0.4], 0.5, ShapeError, r"scores \(2,\) must have one entry for each of the 1 boxes"),
        ([[0, 0, 1, 1]], [np.nan], 0.5, ArgumentError, "1 of 1 scores are NaN, which have no rank"),
        ([[0, 0, 1, 1]], [True], 0.5, DtypeError, "scores must be numbers, got bool"),
        ([[9, 9, 1, 1]], [0.5], 0.5, ArgumentError, "x2 = 1 < x1 = 9"),
    ],
)
def test_bad_input(boxes, scores, threshold, error, message):
    with pytest.raises(error, match=message):
        ops.nms(boxes, scores, threshold)
    with pytest.raises(error, match=message):
        ops.batched_nms(boxes, scores, [0], threshold)


def test_a_class_for_each_box():
    with pytest.raises(ShapeError, match=r"idxs \(2,\) must have one entry for each of 1 boxes"):
        ops.batched_nms([[0, 0, 1, 1]], [0.5], [0, 1], 0.5)
