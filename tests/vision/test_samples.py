"""Grids of samples, walks through the latent space, and the animation of both."""

import importlib
import sys

import numpy as np
import pytest

import minidl as ml
from minidl.errors import ArgumentError, MissingPackageError, ShapeError
from minidl.vision.samples import animate, grid, latent_path

# Grids


@pytest.mark.parametrize("kind", [np.asarray, ml.tensor, lambda x: ml.tensor(x, requires_grad=True)])
def test_every_pixel_has_its_place(rng, kind):
    images = rng.random((5, 3, 2, 4), dtype=np.float32)
    result = grid(kind(images), columns=3, gap=2, background=0.25)
    assert result.shape == (3, 2 * 4 + 2, 3 * 6 + 2) and result.dtype == np.float32
    expected = np.full_like(result, 0.25)
    for n in range(5):
        row, column = n // 3, n % 3
        expected[:, 2 + 4 * row : 4 + 4 * row, 2 + 6 * column : 6 + 6 * column] = images[n]
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_gray_images_in_a_square_and_their_range():
    images = np.full((5, 2, 2), -1.0)
    images[1], images[2], images[3] = 0, 1, 7
    result = grid(images, value_range=(-1, 1), gap=0)
    assert result.shape == (3, 4, 6)
    np.testing.assert_array_equal(result[0, ::2, ::2], [[0, 0.5, 1], [1, 0, 0.5]])
    np.testing.assert_array_equal(grid(images[:, None], value_range=(-1, 1), gap=0), result)


@pytest.mark.parametrize(
    ("shape", "settings", "error", "match"),
    [
        (
            (2, 2, 4, 4),
            {},
            ShapeError,
            r"\(N, 1, H, W\), \(N, 3, H, W\) or \(N, H, W\), at least one; got \(2, 2, 4, 4\)",
        ),
        ((0, 1, 4, 4), {}, ShapeError, "got"),
        ((4, 4), {}, ShapeError, r"got \(4, 4\)"),
        ((2, 4, 4), {"columns": 0}, ArgumentError, "columns ≥ 1"),
        ((2, 4, 4), {"gap": -1}, ArgumentError, "gap ≥ 0"),
        ((2, 4, 4), {"value_range": (1, 1)}, ArgumentError, r"low < high, got 2, 1 and \(1, 1\)"),
    ],
)
def test_grid_refuses(shape, settings, error, match):
    with pytest.raises(error, match=match):
        grid(np.zeros(shape), **settings)


# Walks


def test_a_straight_path(rng):
    points = rng.standard_normal((3, 5)).astype(np.float32)
    path = latent_path(ml.tensor(points), 4, spherical=False)
    assert path.shape == (9, 5) and path.dtype == ml.float32
    np.testing.assert_array_equal(path.data[[0, 4, 8]], points)
    np.testing.assert_allclose(path.data[1], 0.75 * points[0] + 0.25 * points[1], rtol=1e-5)
    closed = latent_path(points, 4, spherical=False, closed=True)
    assert closed.shape == (12, 5)
    np.testing.assert_array_equal(closed.data[:9], path.data)
    np.testing.assert_allclose(closed.data[10], (points[2] + points[0]) / 2, rtol=1e-5)


def test_a_spherical_path_keeps_length_and_goes_at_an_even_pace():
    a, b = np.array([2.0, 0, 0]), np.array([0, 2.0, 0])
    path = latent_path(np.stack([a, b]), 3).data
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 2)
    angles = np.degrees(np.arctan2(path[:, 1], path[:, 0]))
    np.testing.assert_allclose(angles, [0, 30, 60, 90], atol=1e-12)


@pytest.mark.parametrize("other", [[2.0, 4.0], [-1.0, -2.0], [0.0, 0.0]])
def test_where_there_is_no_arc_the_path_is_straight(other):
    points = np.array([[1.0, 2.0], other])
    np.testing.assert_allclose(latent_path(points, 2).data[1], points.mean(0))


@pytest.mark.parametrize(
    ("shape", "steps", "error", "match"),
    [
        ((1, 4), 2, ShapeError, r"\(K, L\) with K ≥ 2, got \(1, 4\)"),
        ((4,), 2, ShapeError, r"got \(4,\)"),
        ((2, 4), 0, ArgumentError, "steps must be at least 1, got 0"),
    ],
)
def test_latent_path_refuses(shape, steps, error, match):
    with pytest.raises(error, match=match):
        latent_path(np.zeros(shape), steps)


# Animations


@pytest.fixture
def figures():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    yield pyplot
    assert not pyplot.get_fignums()  # what animate opens it closes


def test_the_frames_of_the_file_are_the_images(tmp_path, figures):
    image_module = pytest.importorskip("PIL.Image")
    frames = [np.zeros((3, 8, 16), np.float32) for _ in range(3)]
    for number, frame in enumerate(frames):
        frame[number, :, 8 * (number % 2) :] = 1
    path = animate([*frames, ml.zeros(8, 16)], tmp_path / "walk.gif", seconds=0.5, side=1.6)
    with image_module.open(path) as found:
        assert found.n_frames == 4 and found.size == (160, 80) and found.info["duration"] == 500
        assert found.info["loop"] == 0
        for number, frame in enumerate(frames):
            found.seek(number)
            pixels = np.asarray(found.convert("RGB"))[5::10, 5::10].transpose(2, 0, 1) / 255
            np.testing.assert_allclose(pixels, frame, atol=0.02)


def test_titles_stand_above_the_image(tmp_path, figures):
    image_module = pytest.importorskip("PIL.Image")
    path = animate([np.zeros((10, 10))] * 2, tmp_path / "a.gif", titles=["epoch 0", "epoch 1"], side=2)
    with image_module.open(path) as found:
        frames = []
        for number in range(2):
            found.seek(number)
            frames.append(np.asarray(found.convert("L")).astype(int))
    assert frames[0].shape == (235, 200)
    above, inside = frames[0][:33], frames[0][40:]
    assert above.min() < 100 < above.max() and inside.max() < 10
    assert abs(frames[0] - frames[1])[:33].max() > 100 and abs(frames[0] - frames[1])[40:].max() < 10


@pytest.mark.parametrize(
    ("frames", "name", "settings", "error", "match"),
    [
        ([], "a.gif", {}, ArgumentError, r"at least one frame, seconds > 0 and a path that ends in .gif, got 0"),
        ([np.zeros((4, 4))], "a.png", {}, ArgumentError, "got 1, 0.25 and 'a.png'"),
        ([np.zeros((4, 4))], "a.gif", {"seconds": 0}, ArgumentError, "got 1, 0 and"),
        ([np.zeros((4, 4))], "a.gif", {"titles": ["a", "b"]}, ArgumentError, "1 frames but 2 titles"),
        ([np.zeros((4, 4)), np.zeros((4, 5))], "a.gif", {}, ShapeError, r"one size, got \[\(4, 4, 3\), \(4, 5, 3\)\]"),
        ([np.zeros((2, 4, 4))], "a.gif", {}, ShapeError, r"\(3, H, W\) or \(H, W\), got \(2, 4, 4\)"),
    ],
)
def test_animate_refuses(tmp_path, figures, frames, name, settings, error, match):
    with pytest.raises(error, match=match):
        animate(frames, tmp_path / name, **settings)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match="animate needs Matplotlib and Pillow .*: pip install matplotlib"):
        animate([np.zeros((4, 4))], tmp_path / "a.gif")
