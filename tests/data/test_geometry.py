"""Geometric transforms: a marked pixel, the box around it and its mask move together."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.autograd import Tensor
from minidl.backend import Generator
from minidl.data import transforms as T
from minidl.errors import ArgumentError, ArgumentTypeError, DeviceError, MissingMethodError, ShapeError


def marked(height=6, width=8, row=1, column=2, h=1, w=1):
    """A black image with one bright block, and its box, mask and semantic class."""
    image = np.zeros((3, height, width), np.float32)
    image[:, row : row + h, column : column + w] = 1
    mask = image[0] > 0
    return {
        "image": image,
        "boxes": np.array([[column, row, column + w, row + h]], np.float32),
        "masks": mask[None],
        "semantic": mask.astype(np.int64) * 5,
        "labels": np.array([5]),
        "name": "marked",
    }


def assert_together(sample):
    """The box, the mask and the semantic map all lie where the bright pixels are."""
    bright = sample["image"][0] > 0.5
    np.testing.assert_array_equal(sample["masks"][0], bright)
    np.testing.assert_array_equal(sample["semantic"] == 5, bright)
    rows, columns = np.nonzero(bright)
    np.testing.assert_allclose(
        sample["boxes"][0], [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], atol=1e-4
    )


@pytest.mark.parametrize(
    ("transform", "row", "column"),
    [
        (T.RandomHorizontalFlip(p=1), 1, 5),
        (T.RandomHorizontalFlip(p=0), 1, 2),
        (T.RandomVerticalFlip(p=1), 4, 2),
        (T.RandomVerticalFlip(p=0), 1, 2),
        (T.Pad(2), 3, 4),
        (T.Pad((1, 2)), 3, 3),
        (T.Pad((3, 0, 1, 2)), 1, 5),
        (T.CenterCrop((4, 6)), 0, 1),
        (T.CenterCrop(10), 3, 3),
        (T.RandomAffine(0, scale=(1, 1)), 1, 2),
        (T.RandomRotation((180, 180)), 4, 5),
        (T.RandomAffine((180, 180)), 4, 5),
        (T.RandomAffine((180, 180), interpolation="bilinear"), 4, 5),
        (T.Compose([T.Pad(1), T.RandomHorizontalFlip(1)]), 2, 6),
    ],
)
def test_a_marked_pixel_moves_with_its_box_and_masks(transform, row, column):
    before = marked()
    untouched = {key: np.copy(value) for key, value in before.items()}
    after = transform(before)
    assert_together(after)
    assert after["image"][0, row, column] > 0.99 and after["image"][0].sum() == pytest.approx(1, abs=1e-5)
    assert after["name"] == "marked" and after["labels"].tolist() == [5]
    assert (after["image"].dtype, after["masks"].dtype, after["boxes"].dtype) == (np.float32, np.bool_, np.float32)
    for key, value in untouched.items():
        np.testing.assert_array_equal(before[key], value)


@pytest.mark.parametrize(
    "transform",
    [
        T.Resize((12, 16), interpolation="nearest"),
        T.Resize(12, interpolation="nearest"),
        T.Resize((24, 8), interpolation="nearest"),
        T.Resize((3, 4), interpolation="nearest"),
    ],
)
def test_resizing_moves_all_together(transform):
    assert_together(transform(marked(row=2, column=4, h=2, w=2)))


def test_a_quarter_turn_is_counter_clockwise():
    after = T.RandomRotation((90, 90))(marked(6, 6, row=0, column=5))
    assert_together(after)
    assert after["image"][0, 0, 0] == 1, "the upper right corner goes to the upper left"
    clockwise = T.RandomAffine((90, 90))(marked(6, 6, row=0, column=5))
    assert clockwise["image"][0, 5, 5] == 1
    ramp = np.arange(16.0).reshape(1, 4, 4)
    np.testing.assert_array_equal(T.RandomRotation((90, 90))(ramp)[0], np.rot90(ramp[0]))


def test_translation_by_whole_pixels():
    moved = [T.RandomAffine(0, translate=(0.25, 1 / 3))(marked(row=3, column=4)) for _ in range(200)]
    for sample in moved:
        assert_together(sample)
    assert {int(sample["boxes"][0, 0]) for sample in moved} == {2, 3, 4, 5, 6}
    assert {int(sample["boxes"][0, 1]) for sample in moved} == {1, 2, 3, 4, 5}


def test_shear_matrices():
    def matrix(shear):
        transform = T.RandomAffine(0, shear=shear)
        return transform.matrix(transform.draw(np.random.default_rng(0), (1, 4, 6)), 4, 6)

    np.testing.assert_allclose(matrix((45, 45)), [[1, -1, 2], [0, 1, 0]], err_msg="x' = x − (y − 2)")
    np.testing.assert_allclose(matrix((0, 0, 45, 45)), [[1, 0, 0], [-1, 1, 3]], err_msg="y' = y − (x − 3)")


def test_bilinear_turns_are_smooth_and_keep_the_mass():
    blob = np.zeros((1, 21, 21))
    blob[0, 7:14, 7:14] = 1
    turned = T.RandomRotation((30, 30), interpolation="bilinear")(blob)
    assert turned.sum() == pytest.approx(49, rel=0.02) and 0 < np.mean((turned > 0) & (turned < 1)) < 0.3
    half = T.RandomAffine(0, scale=(0.5, 0.5), interpolation="bilinear", fill=7.0)(np.ones((1, 8, 8)))
    assert half[0, 0, 0] == 7 and half[0, 3, 3] == 1


def warp_by_loops(image, matrix, fill):
    """Bilinear resampling as its definition has it: where does each new pixel come from, and what lies around it?"""
    _, height, width = image.shape
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    warped = np.empty_like(image)
    for i, j in np.ndindex(height, width):
        x, y, _ = back @ (j + 0.5, i + 0.5, 1) - 0.5
        left, top = int(np.floor(x)), int(np.floor(y))
        value = np.zeros(len(image))
        for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            inside = 0 <= row < height and 0 <= column < width
            weight = (1 - abs(y - row)) * (1 - abs(x - column))
            value += weight * (image[:, row, column] if inside else fill)
        warped[:, i, j] = value
    return warped


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 9))
def test_an_affine_map_resamples_as_loops_do(seed, height, width):
    image = np.random.default_rng(seed).random((2, height, width))
    transform = T.RandomAffine(180, (0.5, 0.5), (0.5, 2), 30, "bilinear", fill=0.25)
    choice = transform.draw(np.random.default_rng(seed), image.shape)
    np.testing.assert_allclose(transform.image(image, choice), warp_by_loops(image, choice, 0.25), atol=1e-9)


def test_a_turned_box_encloses_its_object():
    sample = marked(20, 20, row=8, column=4, h=3, w=9)
    after = T.RandomRotation((33, 33))(sample)
    rows, columns = np.nonzero(after["masks"][0])
    x1, y1, x2, y2 = after["boxes"][0]
    assert x1 <= columns.min() and y1 <= rows.min() and x2 >= columns.max() + 1 and y2 >= rows.max() + 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 5), st.integers(0, 7), st.integers(0, 3))
def test_random_crops_move_all_together_or_drop_the_object(seed, row, column, padding):
    sample = marked(row=row, column=column)
    after = T.RandomCrop((4, 5), padding=padding, generator=Generator(seed))(sample)
    assert after["image"].shape == (3, 4, 5) and after["masks"].shape[1:] == (4, 5)
    if after["image"].any():
        assert_together(after)
    else:
        assert after["boxes"].shape == (0, 4) and after["masks"].shape == (0, 4, 5) and after["labels"].shape == (0,)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_random_resized_crops_move_all_together(seed):
    sample = marked(20, 30, row=3, column=4, h=14, w=20)
    after = T.RandomResizedCrop((10, 12), interpolation="nearest", generator=Generator(seed))(sample)
    assert after["image"].shape == (3, 10, 12)
    bright = after["masks"][0] if len(after["masks"]) else np.zeros((10, 12), bool)
    np.testing.assert_array_equal(bright, after["semantic"] == 5)
    if bright.any():
        rows, columns = np.nonzero(bright)
        np.testing.assert_allclose(
            after["boxes"][0], [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], atol=2.1
        )


def test_random_resized_crop_falls_back_to_the_middle():
    tall = T.RandomResizedCrop(4, scale=(1, 1), ratio=(1, 1))
    assert tall.draw(np.random.default_rng(0), (3, 40, 10)) == (15, 0, 10, 10)
    assert tall.draw(np.random.default_rng(0), (3, 10, 40)) == (0, 15, 10, 10)


def test_crop_reaches_every_place():
    places = {T.RandomCrop(2)(np.arange(12).reshape(1, 3, 4)).ravel()[0] for _ in range(300)}
    assert places == {0, 1, 2, 4, 5, 6}


def test_crop_pads_if_needed():
    assert T.RandomCrop(9, pad_if_needed=True)(marked())["image"].shape == (3, 9, 9)
    with pytest.raises(ShapeError, match=r"6×8 pixels with padding \(0, 0, 0, 0\) is smaller than the crop \(9, 9\)"):
        T.RandomCrop(9)(marked())


def test_a_cut_box_is_clipped_and_a_lost_object_takes_its_entries_along():
    sample = {
        "image": np.zeros((1, 10, 10)),
        "boxes": np.array([[0, 0, 2, 2], [1, 4, 6, 5]]),
        "labels": Tensor(np.array([1, 2])),
        "masks": np.zeros((2, 10, 10), bool),
        "mean": np.zeros(2),
    }
    after = T.CenterCrop(4)(sample)
    assert after["boxes"].tolist() == [[0, 1, 3, 2]] and after["boxes"].dtype == np.float32
    assert after["labels"].data.tolist() == [2] and after["masks"].shape == (1, 4, 4) and len(after["mean"]) == 2
    sample["labels"] = np.array([1, 2, 3])
    with pytest.raises(ShapeError, match="2 boxes but 3 labels"):
        T.CenterCrop(4)(sample)


def test_samples_without_objects_pass():
    sample = {"image": np.zeros((1, 4, 4)), "boxes": np.zeros((0, 4)), "masks": np.zeros((0, 4, 4), bool)}
    for transform in (T.RandomHorizontalFlip(1), T.Resize(2), T.RandomRotation(9), T.RandomCrop(2), T.Pad(1)):
        after = transform(sample)
        assert after["boxes"].shape == (0, 4) and after["masks"].shape == (0, *after["image"].shape[1:])


def test_fill_of_image_and_semantic_map():
    after = T.Pad(1, fill=0.5, semantic_fill=255)(marked())
    assert after["image"][0, 0, 0] == 0.5 and after["semantic"][0, 0] == 255 and not after["masks"][0, 0, 0]
    edge = T.Pad(1, padding_mode="edge")(np.arange(4.0).reshape(1, 2, 2))
    assert edge[0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    with pytest.raises(ShapeError, match="needs pixels to repeat"):
        T.Pad(1, padding_mode="edge")(np.zeros((1, 0, 4)))


def test_resize_size_rules():
    assert T.Resize(3)(np.zeros((1, 6, 8))).shape == (1, 3, 4)
    assert T.Resize(3)(np.zeros((1, 9, 6))).shape == (1, 4, 3)
    assert T.Resize((2, 9))(np.zeros((1, 6, 8))).shape == (1, 2, 9)


def test_resize_by_hand():
    np.testing.assert_allclose(T.Resize((1, 4))(np.array([[[0.0, 4.0]]])), [[[0, 1, 3, 4]]])
    np.testing.assert_allclose(T.Resize((1, 2))(np.array([[[1.0, 3.0, 5.0, 7.0]]])), [[[17 / 7, 39 / 7]]])
    np.testing.assert_allclose(T.Resize((1, 2), antialias=False)(np.array([[[1.0, 3.0, 5.0, 7.0]]])), [[[2, 6]]])
    assert T.Resize((1, 4))(np.array([[[0, 255]]], np.uint8)).tolist() == [[[0, 64, 191, 255]]]
    assert T.Resize((1, 2))(np.array([[[True, True, False, False]]])).tolist() == [[[True, False]]]


@pytest.mark.parametrize("size", [(5, 7), (23, 40), (11, 64)])
@pytest.mark.parametrize("antialias", [True, False])
def test_resize_agrees_with_pytorch(size, antialias):
    torch = pytest.importorskip("torch")
    image = np.random.default_rng(0).random((2, 3, 17, 29), dtype=np.float32)
    expected = torch.nn.functional.interpolate(torch.from_numpy(image), size, mode="bilinear", antialias=antialias)
    np.testing.assert_allclose(T.Resize(size, antialias=antialias)(image), expected.numpy(), atol=1e-5)


def test_what_comes_as_a_tensor_leaves_as_a_tensor():
    sample = {"image": Tensor(np.zeros((1, 4, 4))), "boxes": Tensor(np.ones((1, 4))), "semantic": np.zeros((4, 4), int)}
    after = T.RandomHorizontalFlip(1)(sample)
    assert isinstance(after["image"], Tensor) and isinstance(after["boxes"], Tensor)
    assert isinstance(after["semantic"], np.ndarray)


def test_each_image_of_a_batch_is_drawn_for():
    batch = np.tile(np.arange(4.0), (64, 1, 2, 1))
    flipped = T.RandomHorizontalFlip(generator=Generator(0))(batch)[:, 0, 0, 0] == 3
    assert 10 < flipped.sum() < 54
    one_by_one = T.RandomHorizontalFlip(generator=Generator(0))
    np.testing.assert_array_equal(T.RandomHorizontalFlip(generator=Generator(0))(batch), [one_by_one(x) for x in batch])
    assert T.Resize(1)(batch).shape == (64, 1, 1, 2) and T.Pad(1)(Tensor(batch)).shape == (64, 1, 4, 6)


def test_a_tensor_on_a_gpu_is_not_fetched_behind_the_users_back():
    image = Tensor(np.zeros((1, 2, 2)))
    image.data = SimpleNamespace(device=SimpleNamespace(id=0))  # as a CuPy array would look
    with pytest.raises(DeviceError, match=r"image is on cuda:0; transforms work on the host, so call .cpu\(\) first"):
        T.Pad(1)(image)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: T.Pad(1)([1, 2]), ArgumentTypeError, "Pad: image must be a Tensor or a NumPy array, got list"),
        (lambda: T.Pad(1)(np.zeros((4, 4))), ShapeError, r"an image must be \(C, H, W\).*got \(4, 4\)"),
        (lambda: T.Pad(1)({"boxes": np.zeros((1, 4))}), ArgumentError, r"needs an 'image', this one has \['boxes'\]"),
        (lambda: T.Pad(1)({"image": np.zeros((2, 1, 4, 4))}), ShapeError, r"must be \(C, H, W\), got \(2, 1, 4, 4\)"),
        (lambda: T.RandomRotation(5)(np.zeros((0, 1, 4, 4))), ShapeError, "holds no images"),
        (
            lambda: T.Pad(1)({"image": np.zeros((1, 4, 4)), "boxes": np.zeros(4)}),
            ShapeError,
            r"boxes must have shape \(K, 4\), got \(4,\)",
        ),
        (
            lambda: T.Pad(1)({"image": np.zeros((1, 4, 4)), "masks": np.zeros((2, 3, 4))}),
            ShapeError,
            r"masks \(2, 3, 4\) does not fit the image of 4×4",
        ),
        (lambda: T.Pad(-1), ArgumentError, "padding=-1 must be 1, 2 or 4 integers ≥ 0"),
        (lambda: T.Pad((1, 2, 3)), ArgumentError, "must be 1, 2 or 4 integers"),
        (lambda: T.Pad(0.5), ArgumentError, "must be 1, 2 or 4 integers"),
        (lambda: T.Pad(1, padding_mode="wrap"), ArgumentError, "padding_mode='wrap'; choose 'constant'"),
        (lambda: T.CenterCrop(0), ArgumentError, "size=0 must be a positive integer"),
        (lambda: T.CenterCrop(1.5), ArgumentError, "size=1.5 must be a positive integer"),
        (lambda: T.Resize(4, "cubic"), ArgumentError, "interpolation='cubic'; choose 'nearest', 'bilinear'"),
        (lambda: T.RandomHorizontalFlip(1.5), ArgumentError, "p=1.5 must lie in 0 … 1"),
        (lambda: T.RandomRotation(-3), ArgumentError, "degrees=-3 must not be negative"),
        (lambda: T.RandomRotation((3, 1)), ArgumentError, r"degrees=\(3, 1\) must be two numbers, \(low, high\)"),
        (lambda: T.RandomAffine(1, translate=(2, 0)), ArgumentError, "must be two fractions in 0 … 1"),
        (lambda: T.RandomAffine(1, scale=(0, 1)), ArgumentError, "must be positive"),
        (lambda: T.RandomResizedCrop(4, ratio=(0, 1)), ArgumentError, "must be positive"),
        (lambda: T.RandomResizedCrop(4, scale=0.5), ArgumentError, "scale=0.5 must be two numbers"),
        (lambda: T.GeometricTransform()(np.zeros((1, 2, 2))), MissingMethodError, "must define move"),
        (lambda: T.GeometricTransform().matrix(None, 2, 2), MissingMethodError, "must define matrix"),
        (lambda: T.Transform()(np.zeros((1, 2, 2))), MissingMethodError, "must define image"),
        (lambda: T.RandomVerticalFlip(generator=1), ArgumentTypeError, "generator must be a minidl.Generator"),
    ],
)
def test_bad_input(call, error, match):
    with pytest.raises(error, match=match):
        call()
