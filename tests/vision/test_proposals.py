"""Selective search: its regions by hand, its order, and how many objects of a scene it finds."""

import numpy as np
import pytest

import minidl as ml
from minidl.data.scenes import shape_scenes
from minidl.errors import ArgumentError, ShapeError
from minidl.vision import ops, selective_search
from minidl.vision.proposals import Region, _merge, _regions

pytest.importorskip("skimage")


def three_stripes():
    """Dark, nearly as dark, bright: the first two should be merged first."""
    image, segments = np.zeros((4, 9, 3)), np.zeros((4, 9), int)
    for k, value in enumerate((0.1, 0.11, 0.9)):
        image[:, 3 * k : 3 * k + 3], segments[:, 3 * k : 3 * k + 3] = value, k
    return image, segments


def test_regions_and_the_order_in_which_they_are_merged():
    image, segments = three_stripes()
    regions, neighbours = _regions(image, segments)
    assert [region.box for region in regions] == [(0, 0, 3, 4), (3, 0, 6, 4), (6, 0, 9, 4)]
    assert [region.size for region in regions] == [12, 12, 12] and neighbours == {(0, 1), (1, 2)}
    for region in regions:
        assert region.color.sum() == pytest.approx(1) and region.texture.sum() == pytest.approx(1)
    hierarchy = _merge(regions, neighbours, 36, True)
    assert [region.box for region in hierarchy[3:]] == [(0, 0, 6, 4), (0, 0, 9, 4)]
    assert hierarchy[-1].size == 36


def test_a_histogram_of_what_is_merged_need_not_be_counted_again(rng):
    image = rng.random((6, 8, 3))
    segments = np.zeros((6, 8), int)
    segments[:, 5:] = 1
    parts, _ = _regions(image, segments)
    whole, _ = _regions(image, np.zeros((6, 8), int))
    merged = parts[0].merged(parts[1])
    assert merged.box == whole[0].box and merged.size == whole[0].size
    np.testing.assert_allclose(merged.color, whole[0].color)
    np.testing.assert_allclose(merged.texture, whole[0].texture)


def test_similarity_by_hand():
    a = Region(10, (0, 0, 5, 2), np.array([0.5, 0.5]), np.array([1.0, 0.0]))
    b = Region(6, (5, 0, 8, 4), np.array([0.25, 0.75]), np.array([0.5, 0.5]))
    # colour ¼ + ½, texture ½, size 1 − 16/100, fill 1 − (8·4 − 16)/100
    assert a.similarity(b, 100, True) == pytest.approx(0.75 + 0.5 + 0.84 + 0.84)
    assert a.similarity(b, 100, False) == pytest.approx(0.5 + 0.84 + 0.84)


def test_objects_of_scenes_are_found():
    scenes, total, found = shape_scenes(1, 5)[1], 0, 0
    for number in range(5):
        sample = scenes[number]
        boxes = selective_search(sample["image"], generator=ml.Generator(number))
        best = ops.box_iou(sample["boxes"], boxes).numpy().max(1)
        total, found = total + len(best), found + (best >= 0.5).sum()
    assert total >= 10 and found / total >= 0.95


def test_boxes_lie_in_the_image_once_each_and_follow_the_generator():
    image = shape_scenes(1, 1)[1][0]["image"]
    boxes = selective_search(image, generator=ml.Generator(3))
    assert boxes.dtype == ml.float32 and len(np.unique(boxes.numpy(), axis=0)) == len(boxes)
    x1, y1, x2, y2 = boxes.numpy().T
    assert (x1 >= 0).all() and (y1 >= 0).all() and (x2 <= 96).all() and (y2 <= 96).all()
    assert (x2 > x1).all() and (y2 > y1).all()
    assert [0.0, 0.0, 96.0, 96.0] in boxes[:20].tolist()  # the whole has rank 1 in every hierarchy
    assert selective_search(image, generator=ml.Generator(3)).tolist() == boxes.tolist()
    assert selective_search(image, generator=ml.Generator(4)).tolist() != boxes.tolist()
    assert selective_search(image, most=7, generator=ml.Generator(3)).tolist() == boxes[:7].tolist()


def test_other_images():
    gray = np.zeros((40, 50), np.uint8)
    gray[10:30, 15:35] = 200
    for image in (gray, gray[None], ml.tensor(gray[None] / np.float32(255))):
        boxes = selective_search(image, sigma=0.1)
        assert ops.box_iou([[15.0, 10, 35, 30]], boxes).numpy().max() > 0.8
    assert selective_search(np.zeros((3, 8, 8))).tolist() == [[0, 0, 8, 8]]


def test_bad_input():
    image = np.zeros((3, 8, 8))
    for call, error, message in [
        (lambda: selective_search(np.zeros((8, 8, 3))), ShapeError, r"image must be .* got \(8, 8, 3\)"),
        (lambda: selective_search(image + 7), ArgumentError, r"values in \[0, 1\], got 7 to 7"),
        (lambda: selective_search(image, color_spaces=("cmyk",)), ArgumentError, "must be of rgb, hsv, lab"),
        (lambda: selective_search(image, scales=()), ArgumentError, "must not be empty"),
    ]:
        with pytest.raises(error, match=message):
            call()
