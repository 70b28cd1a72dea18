"""Transforms of pixel values, mixing, composition, and where their random numbers come from."""

import colorsys

import numpy as np
import pytest

from minidl.autograd import Tensor
from minidl.backend import STREAM_NAMES, Generator, manual_seed, stream
from minidl.data import transforms as T
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, OutOfRangeError, ShapeError


def photo(seed=0, channels=3, size=8):
    return np.random.default_rng(seed).random((channels, size, size), dtype=np.float32)


def test_to_tensor():
    pixels = np.array([[[0, 51, 255], [255, 0, 0]]], np.uint8)  # (1, 2, 3)
    tensor = T.ToTensor()(pixels)
    assert isinstance(tensor, Tensor) and tensor.shape == (3, 1, 2) and tensor.dtype == np.float32
    np.testing.assert_allclose(tensor.data[:, 0, 0], [0, 0.2, 1])
    assert T.ToTensor()(np.full((2, 5), 3.0)).data.max() == 3 and T.ToTensor()(np.zeros((2, 5))).shape == (1, 2, 5)
    sample = T.ToTensor()({"image": pixels, "boxes": "kept"})
    assert sample["image"].shape == (3, 1, 2) and sample["boxes"] == "kept"
    with pytest.raises(ShapeError, match=r"expected \(H, W\) or \(H, W, C\), got \(2,\)"):
        T.ToTensor()(np.zeros(2))
    with pytest.raises(ArgumentTypeError, match="expected an array or a Pillow image, got str"):
        T.ToTensor()("cat.png")


def test_convert_dtype_there_and_back():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    floats = T.ConvertImageDtype()(pixels)
    assert floats.dtype == np.float32 and floats.max() == 1
    np.testing.assert_array_equal(T.ConvertImageDtype(np.uint8)(floats), pixels)
    assert T.ConvertImageDtype(np.float64)(floats).dtype == np.float64
    assert T.ConvertImageDtype(np.uint8)(np.full((1, 1, 1), 1.5)).item() == 255, "clipped, not wrapped"
    with pytest.raises(DtypeError, match="from int64 to float32"):
        T.ConvertImageDtype()(pixels.astype(np.int64))


def test_normalize():
    image = photo()
    result = T.Normalize([0.5, 0.4, 0.3], [0.2, 0.1, 0.5])(image)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result[1], (image[1] - 0.4) / 0.1, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(T.Normalize(0.5, 0.5)(np.stack([image] * 2)), np.stack([image * 2 - 1] * 2), atol=1e-6)
    for bad, error, match in (
        (lambda: T.Normalize(0, 0), ArgumentError, "std=0 must be positive"),
        (lambda: T.Normalize([0, 0], 1)(image), ShapeError, "2 values of mean for 3 channels"),
        (lambda: T.Normalize(0, 1)(np.zeros((1, 2, 2), np.uint8)), DtypeError, "use ConvertImageDtype"),
    ):
        with pytest.raises(error, match=match):
            bad()


def test_photometric_transforms_leave_boxes_alone():
    sample = {"image": photo(), "boxes": np.ones((1, 4)), "semantic": np.ones((8, 8))}
    after = T.GaussianNoise()(sample)
    assert after["boxes"] is sample["boxes"] and after["semantic"] is sample["semantic"]
    assert not np.array_equal(after["image"], sample["image"])


def test_color_jitter_by_hand():
    image = photo()
    gray = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
    np.testing.assert_allclose(T.ColorJitter(brightness=(2, 2))(image), (2 * image).clip(0, 1))
    np.testing.assert_allclose(T.ColorJitter(saturation=(0, 0))(image), np.stack([gray] * 3), rtol=1e-5)
    np.testing.assert_allclose(T.ColorJitter(contrast=(0, 0))(image), np.full_like(image, gray.mean()), rtol=1e-5)
    assert T.ColorJitter(0.2, 0.2, 0.2, 0.1)(image).dtype == np.float32
    np.testing.assert_array_equal(T.ColorJitter()(image), image)


@pytest.mark.parametrize("turns", [-0.5, -0.3, 0.1, 1 / 3, 0.5])
def test_hue_agrees_with_colorsys(turns):
    image = photo().astype(np.float64)
    image[:, 0, 0] = 0.4  # gray has no hue
    turned = T.ColorJitter(hue=(turns, turns))(image)
    for row, column in np.ndindex(8, 8):
        h, s, v = colorsys.rgb_to_hsv(*image[:, row, column])
        np.testing.assert_allclose(turned[:, row, column], colorsys.hsv_to_rgb((h + turns) % 1, s, v), atol=1e-9)


def test_gray_images_have_no_saturation_or_hue():
    image = photo(channels=1)
    np.testing.assert_array_equal(T.ColorJitter(saturation=0.5, hue=0.5)(image), image)
    assert not np.array_equal(T.ColorJitter(contrast=(2, 2))(image), image)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: T.ColorJitter(brightness=-1), ArgumentError, "brightness=-1 must not be negative"),
        (lambda: T.ColorJitter(hue=0.6), ArgumentError, r"hue=.* must lie in -0.5 … 0.5"),
        (lambda: T.ColorJitter(contrast=(2, 1)), ArgumentError, "must be two numbers"),
        (lambda: T.ColorJitter(0.1)(photo(channels=4)), ShapeError, "1 or 3 channels, got"),
        (lambda: T.ColorJitter(0.1)(np.zeros((3, 2, 2), np.uint8)), DtypeError, "the image is uint8"),
        (lambda: T.GaussianNoise(sigma=-1), ArgumentError, "sigma=-1 must be finite and not negative"),
        (lambda: T.GaussianNoise(sigma=float("nan")), ArgumentError, "sigma=nan must be finite"),
        (lambda: T.Cutout(0), ArgumentError, "size=0 and holes=1 must be integers, at least 1"),
        (lambda: T.Cutout(3.5), ArgumentError, "size=3.5 and holes=1 must be integers"),
        (lambda: T.Cutout(3, holes="2"), ArgumentError, "size=3 and holes='2' must be integers"),
        (lambda: T.RandomErasing(value="noise"), ArgumentError, "value='noise'; choose a number"),
        (lambda: T.RandomErasing(scale=(0.5, 2)), ArgumentError, "must lie in 0 … 1"),
        (lambda: T.RandomErasing(1, value=[1, 2])(photo()), ShapeError, "2 values for 3 channels"),
        (lambda: T.Compose([1]), ArgumentTypeError, "Compose: a transform is a callable, got int"),
        (lambda: T.Lambda(3), ArgumentTypeError, "Lambda: a transform is a callable, got int"),
    ],
)
def test_bad_input(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_erasing_overwrites_one_rectangle():
    image = np.ones((2, 20, 20), np.float32)
    erased = T.RandomErasing(1, value=[5, 6], generator=Generator(0))(image)
    rows, columns = np.nonzero(erased[0] == 5)
    block = erased[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert (block[0] == 5).all() and (block[1] == 6).all() and 0.01 * 400 <= block[0].size <= 0.4 * 400
    assert (image == 1).all() and (erased == 1).sum() == 2 * (400 - block[0].size)
    noise = T.RandomErasing(1, value="random", generator=Generator(0))(image)
    assert np.array_equal(noise != 1, erased != 1) and noise.dtype == np.float32
    assert T.RandomErasing(0)(image) is image
    assert T.RandomErasing(1, scale=(1, 1), ratio=(9, 9))(image) is image, "no such rectangle fits"


def test_cutout():
    image = np.ones((1, 9, 9))
    sizes = {int((T.Cutout(3)(image) == 0).sum()) for _ in range(200)}
    assert sizes == {4, 6, 9}, "whole, over an edge, over a corner"
    assert (T.Cutout(40, value=2)(image) == 2).all()


def test_noise():
    image = np.full((1, 50, 50), 0.5)
    noise = T.GaussianNoise(0.1, 0.2, clip=False, generator=Generator(0))(image) - image
    assert noise.mean() == pytest.approx(0.1, abs=0.02) and noise.std() == pytest.approx(0.2, abs=0.02)
    assert T.GaussianNoise(sigma=5)(image).max() == 1


def test_composition():
    double = T.Lambda(lambda x: x * 2)
    assert T.Compose([double, lambda x: x + 1])(3) == 7
    assert T.RandomApply([double], p=1)(3) == 6 and T.RandomApply([double], p=0)(3) == 3
    text = repr(T.Compose([T.Pad(1), T.RandomApply([T.ToTensor()]), T.Lambda(abs), T.Normalize(0, 1)]))
    assert "Pad(padding=(1, 1, 1, 1)" in text and "RandomApply([ToTensor()], p=0.5)" in text and "Lambda(abs)" in text


def test_random_numbers_come_from_the_augment_stream_or_the_given_generator():
    image = photo()
    pipeline = T.Compose([T.RandomCrop(5, padding=2), T.ColorJitter(0.5, 0.5, 0.5, 0.5), T.RandomErasing(0.5)])
    manual_seed(4)
    first = [pipeline(image) for _ in range(5)]
    manual_seed(4)
    for a, b in zip(first, [pipeline(image) for _ in range(5)], strict=True):
        np.testing.assert_array_equal(a, b)
    own = [T.GaussianNoise(generator=Generator(1))(image) for _ in range(2)]
    np.testing.assert_array_equal(own[0], own[1])


RANDOM = [
    T.RandomHorizontalFlip(),
    T.RandomVerticalFlip(),
    T.RandomCrop(8, padding=3),
    T.RandomResizedCrop(8),
    T.RandomRotation(40, "bilinear"),
    T.RandomAffine(20, (0.2, 0.2), (0.8, 1.2), 10),
    T.ColorJitter(0.5, 0.5, 0.5, 0.2),
    T.RandomErasing(),
    T.Cutout(4),
    T.GaussianNoise(),
    T.RandomApply([T.Pad(1), T.RandomCrop(8)]),
]


@pytest.mark.parametrize("transform", RANDOM, ids=lambda transform: type(transform).__name__)
def test_every_random_transform_follows_the_augment_stream_and_no_other(transform):
    image = photo()
    manual_seed(11)
    before = {name: stream(name).get_state() for name in STREAM_NAMES if name != "augment"}
    drawn = [transform(image) for _ in range(20)]
    assert {name: stream(name).get_state() for name in before} == before
    assert len({one.tobytes() for one in drawn}) > 1, "each call draws anew"
    manual_seed(11)
    np.testing.assert_array_equal(drawn, [transform(image) for _ in range(20)])
    manual_seed(12)
    assert not np.array_equal(drawn, [transform(image) for _ in range(20)])


def test_the_choice_does_not_depend_on_what_moves_with_the_image():
    image = photo(size=12)
    sample = {"image": image, "boxes": np.array([[2, 3, 7, 9]], np.float32), "masks": image[:1] > 0.5}
    for transform in RANDOM[:6]:
        manual_seed(3)
        alone = transform(image)
        manual_seed(3)
        np.testing.assert_array_equal(transform(sample)["image"], alone)


# Mixing


@pytest.mark.parametrize("mix", [T.MixUp(0.4, 5), T.CutMix(1.0, 5)], ids=lambda mix: type(mix).__name__)
def test_mixing_follows_the_augment_stream(mix):
    images, labels = np.stack([photo(seed) for seed in range(5)]), np.arange(5)

    def batches():
        return [np.concatenate([array.ravel() for array in mix(images, labels)]) for _ in range(4)]

    manual_seed(5)
    first, order = batches(), stream("data").get_state()
    manual_seed(5)
    assert stream("data").get_state() == order
    np.testing.assert_array_equal(first, batches())
    assert not np.array_equal(first, batches())


def test_mixup_by_hand():
    images, labels = np.stack([np.zeros((1, 2, 2)), np.ones((1, 2, 2))]), np.array([0, 2])
    mixed, target = T.MixUp(num_classes=3, generator=Generator(3))(images, labels)
    assert target.shape == (2, 3)
    np.testing.assert_allclose(target.sum(axis=1), 1)
    np.testing.assert_allclose(mixed[:, 0, 0, 0], target[:, 2], err_msg="pixels and labels share one λ")


def test_cutmix_pastes_a_rectangle_and_weighs_labels_by_area():
    images = np.arange(6.0)[:, None, None, None] * np.ones((1, 2, 10, 12))
    for seed in range(20):
        mixed, target = T.CutMix(num_classes=6, generator=Generator(seed))(Tensor(images), Tensor(np.arange(6)))
        assert isinstance(mixed, Tensor) and isinstance(target, Tensor)
        for one, weights in zip(mixed.data, target.data, strict=True):
            shares = np.bincount(one[0].astype(int).ravel(), minlength=6) / 120
            np.testing.assert_allclose(weights, shares, atol=1e-12)


def test_mixing_takes_probabilities_and_keeps_float32():
    images, labels = np.zeros((4, 1, 2, 2), np.float32), np.eye(4, dtype=np.float64)
    mixed, target = T.MixUp(0.4)(images, labels)
    assert mixed.dtype == target.dtype == np.float32


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: T.MixUp(0), ArgumentError, "MixUp: alpha=0 must be positive"),
        (lambda: T.CutMix(float("inf")), ArgumentError, "CutMix: alpha=inf must be positive and finite"),
        (
            lambda: T.CutMix(1, 3)(np.zeros((2, 1, 2, 2)), np.eye(2)),
            ShapeError,
            r"CutMix: labels \(2, 2\) for num_classes=3",
        ),
        (lambda: T.CutMix()(np.zeros((2, 1, 2, 2)), np.array([0, 1])), ArgumentError, "with num_classes given"),
        (
            lambda: T.MixUp(1, 2)(np.zeros((2, 1, 2, 2)), np.array([0, 2])),
            OutOfRangeError,
            "labels 0 … 2 for num_class",
        ),
        (
            lambda: T.MixUp(1, 2)(np.zeros((2, 2)), np.array([0, 1])),
            ShapeError,
            r"expected float images \(N, C, H, W\)",
        ),
    ],
)
def test_mixing_bad_input(call, error, match):
    with pytest.raises(error, match=match):
        call()
