"""Pictures: colours lie where the classes and masks say, boxes where the pixels are."""

import importlib
import sys

import numpy as np
import pytest

import minidl as ml
from minidl.errors import ArgumentError, DtypeError, MissingPackageError, OutOfRangeError, ShapeError
from minidl.vision import draw


@pytest.fixture
def figures():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    yield pyplot
    pyplot.close("all")


def gray(height=4, width=6, value=0.25):
    return np.full((height, width), value, np.float32)


SEMANTIC = np.array([[0, 1, 2], [255, 0, 1]])

# Colours


def test_colours_are_apart_and_do_not_depend_on_their_number():
    colors = draw.palette(21)
    assert colors.shape == (21, 3) and colors.dtype == np.float32 and colors.min() >= 0 and colors.max() <= 1
    assert not colors[0].any() and colors[1:].max(axis=1).min() >= 0.9 - 1e-6
    apart = abs(colors[:, None] - colors).max(axis=2) + np.eye(21)
    assert apart.min() > 0.1
    assert np.diag(apart, 1).min() > 0.5  # neighbours
    np.testing.assert_array_equal(draw.palette(5), colors[:5])


def test_the_hues_are_those_of_the_colour_circle():
    colorsys = importlib.import_module("colorsys")
    for k, color in enumerate(draw.palette(40)):
        if k:
            expected = k * 0.6180339887498949 % 1, (0.6, 0.95)[k % 2], (0.9, 1.0)[k % 2]
            np.testing.assert_allclose(color, colorsys.hsv_to_rgb(*expected), atol=1e-6)


def test_colorize():
    result = draw.colorize(SEMANTIC)
    assert result.shape == (3, 2, 3) and result.dtype == np.float32
    colors = draw.palette(3)
    for (row, column), label in np.ndenumerate(SEMANTIC):
        np.testing.assert_allclose(result[:, row, column], draw.IGNORED if label == 255 else colors[label], rtol=1e-6)
    own = np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(draw.colorize(SEMANTIC, colors=own)[:, 0].T, own)
    np.testing.assert_array_equal(
        draw.colorize(np.full((2, 2), -1), ignore_index=-1)[:, 0, 0], np.float32(draw.IGNORED)
    )
    assert draw.colorize(ml.tensor(SEMANTIC)).tobytes() == result.tobytes()


@pytest.mark.parametrize("kind", [np.asarray, ml.tensor, lambda x: x[None], lambda x: np.stack([x] * 3)])
def test_overlay_tints_what_is_not_background(kind):
    image = gray(2, 3)
    result = draw.overlay(kind(image), SEMANTIC, opacity=0.25)
    expected = np.where(SEMANTIC == 0, image, 0.75 * image + 0.25 * draw.colorize(SEMANTIC))
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    assert result.dtype == np.float32 and (image == 0.25).all()


def test_bytes_are_scaled_and_floats_clipped():
    nothing = np.zeros((2, 3), np.int64)
    np.testing.assert_allclose(draw.overlay(np.full((2, 3), 51, np.uint8), nothing), 0.2, rtol=1e-6)
    np.testing.assert_array_equal(draw.overlay(gray(2, 3, 1.5), nothing), 1)


def test_masks_in_their_own_colours_later_over_earlier():
    masks = np.zeros((2, 4, 6), np.float32)
    masks[0, :3, :3], masks[1, 2:, 2:] = 0.6, 0.9
    result = draw.overlay_masks(gray(), masks, opacity=1)
    colors = draw.palette(3)
    np.testing.assert_array_equal(result[:, 0, 0], colors[1])
    np.testing.assert_array_equal(result[:, 2, 2], colors[2])
    np.testing.assert_array_equal(result[:, 0, 5], 0.25)
    np.testing.assert_array_equal(draw.overlay_masks(gray(), masks < 0, opacity=1), 0.25)
    np.testing.assert_array_equal(draw.overlay_masks(gray(), masks[:0]), 0.25)
    red = draw.overlay_masks(gray(), masks[:1] > 0, opacity=0.5, colors=np.array([[1, 0, 0]]))
    np.testing.assert_allclose(red[:, 0, 0], [0.625, 0.125, 0.125])


# Figures


def test_panels_show_the_images_in_their_places(figures):
    images = [gray(4, 6, value / 10) for value in range(5)]
    figure = draw.panels(images, ["a", "b"], columns=2, side=2)
    assert len(figure.axes) == 5
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "", "", ""]
    for value, axes in enumerate(figure.axes):
        (shown,) = axes.get_images()
        assert shown.get_array().shape == (4, 6, 3)
        np.testing.assert_allclose(shown.get_array(), value / 10, atol=1e-6)
        assert shown.get_extent() == [0, 6, 4, 0] and not axes.axison
    assert figure.get_size_inches().tolist() == [4, pytest.approx(2 * 3 * 4 / 6)]
    titles = [axes.get_title() for axes in draw.panels(images, list("vwxyz")).axes]
    assert titles == list("vwxyz") and len(figures.get_fignums()) == 2


def test_a_box_is_drawn_around_its_pixels(figures):
    image = np.zeros((3, 30, 40), np.float32)
    image[:, 10:20, 5:25] = 1
    figure = draw.panels([image], side=4)
    draw.draw_boxes(figure.axes[0], np.array([[5, 10, 25, 20]]), colors=np.array([[0, 0, 0], [1, 0, 0]]))
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
    red = (pixels[..., 0] > 200) & (pixels[..., 1] < 80)
    white = (pixels > 250).all(axis=2)
    rows, columns = np.nonzero(red)
    middle = (rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2
    assert white[middle] and red.sum() > 100
    assert (columns.max() - columns.min()) / (rows.max() - rows.min()) == pytest.approx(2, rel=0.05)
    inside = white[rows.min() + 4 : rows.max() - 3, columns.min() + 4 : columns.max() - 3]
    assert inside.all()
    frame = pixels[rows.min() - 4, columns.min() : columns.max()]
    assert (frame < 60).all()  # outside the box the image is black


def test_boxes_say_what_is_known_of_them(figures):
    axes = draw.panels([gray(20, 20)]).axes[0]
    boxes = ml.tensor([[1.0, 2, 5, 9], [4, 4, 18, 15]])
    draw.draw_boxes(axes, boxes, labels=ml.tensor([2, 1]), scores=[0.875, 0.5], classes=["background", "cat", "dog"])
    first, second = axes.patches
    assert (first.get_xy(), first.get_width(), first.get_height()) == ((1, 2), 4, 7)
    colors = draw.palette(3)
    np.testing.assert_allclose(first.get_edgecolor()[:3], colors[2], rtol=1e-6)
    np.testing.assert_allclose(second.get_edgecolor()[:3], colors[1], rtol=1e-6)
    assert [text.get_text() for text in axes.texts] == ["dog 0.88", "cat 0.50"]
    draw.draw_boxes(axes, boxes, labels=[1, 2])
    draw.draw_boxes(axes, boxes, scores=[0.1, 0.2], classes=["background"])
    draw.draw_boxes(axes, boxes)
    draw.draw_boxes(axes, np.zeros((0, 4)))
    assert [text.get_text() for text in axes.texts[2:]] == ["1", "2", "0.10", "0.20"] and len(axes.patches) == 8


def test_a_legend_lists_names_and_colours(figures):
    figure = draw.panels([gray()])
    made = draw.legend(figure, ["background", "cat", "dog"], labels=[0, 2])
    assert [text.get_text() for text in made.get_texts()] == ["background", "dog"]
    shown = [patch.get_facecolor()[:3] for patch in made.get_patches()]
    np.testing.assert_allclose(shown, draw.palette(3)[[0, 2]], rtol=1e-6)
    assert len(draw.legend(figure, ["a", "b"]).get_texts()) == 2
    figure.canvas.draw()


def test_vision_is_loaded_when_asked_for_and_matplotlib_when_called(monkeypatch):
    assert ml.vision.draw is draw and "vision" in ml.__all__
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for call in (
        lambda: draw.panels([gray()]),
        lambda: draw.legend(None, ["a"]),
        lambda: draw.draw_boxes(None, np.zeros((0, 4))),
    ):
        with pytest.raises(MissingPackageError, match="pip install matplotlib"):
            call()
    assert draw.overlay(gray(2, 3), SEMANTIC).shape == (3, 2, 3)


# Mistakes


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: draw.palette(0), ArgumentError, "count=0"),
        (lambda: draw.colorize(SEMANTIC[0]), ShapeError, r"\(H, W\), got \(3,\)"),
        (lambda: draw.colorize(SEMANTIC * 1.0), DtypeError, "float64; take the argmax"),
        (lambda: draw.colorize(SEMANTIC - 1), OutOfRangeError, "class -1 has no colour"),
        (
            lambda: draw.colorize(SEMANTIC, colors=draw.palette(2)),
            OutOfRangeError,
            "class 2 has no colour, there are 2",
        ),
        (lambda: draw.overlay(gray(3, 2), SEMANTIC), ShapeError, r"a map of \(2, 3\) pixels .* of \(3, 2\)"),
        (lambda: draw.overlay(gray(2, 3), SEMANTIC, opacity=2), ArgumentError, "opacity=2"),
        (lambda: draw.overlay(np.zeros((2, 2, 3)), SEMANTIC), ShapeError, r"\(3, H, W\), got \(2, 2, 3\)"),
        (lambda: draw.overlay(np.zeros((2, 3), np.int64), SEMANTIC), DtypeError, "uint8 or float, got int64"),
        (lambda: draw.overlay_masks(gray(), np.zeros((4, 6))), ShapeError, r"masks \(K, H, W\) .* got \(4, 6\)"),
        (lambda: draw.overlay_masks(gray(), np.zeros((1, 6, 4))), ShapeError, r"got \(1, 6, 4\)"),
        (
            lambda: draw.overlay_masks(gray(), np.zeros((2, 4, 6)), colors=draw.palette(1)),
            ShapeError,
            "2 masks but 1 colors",
        ),
    ],
)
def test_mistakes_with_images(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda ax: draw.panels([]), ArgumentError, "at least one image .* got 0"),
        (lambda ax: draw.panels([gray()], columns=0), ArgumentError, "got 1 and 0"),
        (lambda ax: draw.panels([gray()] * 4, ["a"], columns=2), ArgumentError, "1 titles for 4 images in 2 columns"),
        (lambda ax: draw.panels([np.zeros((2, 3, 4))]), ShapeError, r"got \(2, 3, 4\)"),
        (lambda ax: draw.legend(ax.figure, ["a"], labels=[1]), OutOfRangeError, "no label 1: 1 classes"),
        (lambda ax: draw.draw_boxes(ax, np.zeros(4)), ShapeError, r"\(K, 4\), got \(4,\)"),
        (lambda ax: draw.draw_boxes(ax, [[0, 0, 1, 1], [3, 0, 2, 1]]), ArgumentError, r"box 1 is \[3, 0, 2, 1\]"),
        (lambda ax: draw.draw_boxes(ax, [[0, 0, 1, np.nan]]), ArgumentError, "box 0 is .*nan"),
        (lambda ax: draw.draw_boxes(ax, [[0, 0, 1, 1]], labels=[1, 2]), ShapeError, r"1 boxes but labels of .*\(2,\)"),
        (lambda ax: draw.draw_boxes(ax, [[0, 0, 1, 1]], scores=[]), ShapeError, "1 boxes but scores"),
        (lambda ax: draw.draw_boxes(ax, [[0, 0, 1, 1]], labels=[-1]), OutOfRangeError, "box 0 has the label -1"),
        (
            lambda ax: draw.draw_boxes(ax, [[0, 0, 1, 1]], labels=[2], classes=["a", "b"]),
            OutOfRangeError,
            "box 0 has the label 2",
        ),
    ],
)
def test_mistakes_with_figures(figures, call, error, match):
    axes = draw.panels([gray()]).axes[0]
    with pytest.raises(error, match=match):
        call(axes)
