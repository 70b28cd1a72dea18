"""Anchors over feature pyramids, and boxes in the code of their offsets from anchors."""

import math

import numpy as np
import pytest

import minidl as ml
from minidl.autograd import gradcheck, gradgradcheck
from minidl.errors import ArgumentError, ShapeError
from minidl.vision import AnchorGenerator, BoxCoder
from tests.tolerances import assert_close

from ._torchvision import torchvision


def test_anchors_of_one_place():
    generator = AnchorGenerator(((16, 32),), ((0.5, 1.0, 2.0),))
    expected = []
    for ratio in (0.5, 1.0, 2.0):
        for size in (16, 32):
            w, h = size / math.sqrt(ratio), size * math.sqrt(ratio)
            expected.append([-round(w / 2), -round(h / 2), round(w / 2), round(h / 2)])
    assert generator.cell_anchors[0].tolist() == expected
    assert generator.num_anchors_per_location() == [6]


def test_anchors_stand_row_by_row_on_the_stride():
    (anchors,) = AnchorGenerator(((8,),), ((1.0,),))((20, 30), [ml.ones(1, 1, 2, 3)])
    assert anchors.tolist() == [[10 * j - 4, 10 * i - 4, 10 * j + 4, 10 * i + 4] for i in range(2) for j in range(3)]


def test_every_image_has_all_levels():
    generator = AnchorGenerator((8, 16), (0.5, 1.0))
    maps = [ml.ones(3, 5, 8, 8, dtype=ml.float64), ml.ones(3, 5, 4, 4, dtype=ml.float64)]
    anchors = generator((32, 32), maps)
    assert len(anchors) == 3 and all(a.shape == (2 * (64 + 16), 4) and a.dtype == ml.float64 for a in anchors)
    assert len(generator((32, 32), maps, images=2)) == 2


@pytest.mark.parametrize(
    "sizes, ratios",
    [
        (((32,), (64,), (128,)), ((0.5, 1.0, 2.0),) * 3),
        (((16, 48),), ((0.3, 1.7),)),
        ((20, 50, 90), (0.5, 1.0)),
    ],
)
def test_torchvision_agrees(sizes, ratios):
    torch, _ = torchvision()
    detection = pytest.importorskip("torchvision.models.detection")
    anchor_utils, image_list = detection.anchor_utils, detection.image_list
    shapes = [(25, 34), (13, 17), (7, 9)][: len(sizes)]
    theirs = anchor_utils.AnchorGenerator(sizes, ratios)
    images = image_list.ImageList(torch.zeros(2, 3, 200, 272), [(200, 272), (180, 200)])
    expected = theirs(images, [torch.zeros(2, 1, *shape) for shape in shapes])
    ours = AnchorGenerator(sizes, ratios)
    anchors = ours((200, 272), [ml.zeros(2, 1, *shape) for shape in shapes])
    assert ours.num_anchors_per_location() == theirs.num_anchors_per_location()
    for a, b in zip(anchors, expected, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_bad_anchors():
    for call, error, message in [
        (lambda: AnchorGenerator(((8,), (16,)), ((1.0,),)), ArgumentError, "sizes of 2 levels but aspect_ratios of 1"),
        (lambda: AnchorGenerator(((0,),), ((1.0,),)), ArgumentError, "sizes must be positive"),
        (lambda: AnchorGenerator(((8,),), ((),)), ArgumentError, "aspect_ratios must be positive, with one at least"),
        (
            lambda: AnchorGenerator((8, 16), (1.0,))((8, 8), [ml.ones(1, 1, 4, 4)]),
            ShapeError,
            "1 feature maps .* 2 lev",
        ),
        (
            lambda: AnchorGenerator((8,), (1.0,))((8, 8), [ml.ones(1, 1, 9, 4)]),
            ShapeError,
            "do not fit an image of 8 × 8",
        ),
    ]:
        with pytest.raises(error, match=message):
            call()


# Offsets --------------------------------------------------------------------------------------------------------------


def random_boxes(rng, count, dtype=np.float64):
    corners = rng.uniform(0, 50, (count, 2))
    return np.concatenate([corners, corners + rng.uniform(1, 40, (count, 2))], 1).astype(dtype)


def test_the_code_by_hand():
    coder = BoxCoder((10, 10, 5, 5))
    code = coder.encode_single([[10.0, 20, 30, 60]], [[0.0, 0, 10, 40]])  # centers (20, 40) and (5, 20)
    np.testing.assert_allclose(code.numpy(), [[15.0, 5.0, 5 * math.log(2), 0.0]], rtol=1e-6)


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (10, 10, 5, 5)])
def test_decoding_undoes_encoding(weights, rng):
    coder = BoxCoder(weights)
    boxes, around = random_boxes(rng, 9), random_boxes(rng, 9)
    codes = coder.encode([boxes[:4], boxes[4:]], [around[:4], around[4:]])
    assert [code.shape for code in codes] == [(4, 4), (5, 4)]
    decoded = coder.decode(ml.functional.cat(codes), [around[:4], around[4:]])
    assert decoded.shape == (9, 1, 4)
    assert_close(decoded.numpy()[:, 0], boxes)


def test_sizes_are_kept_finite():
    decoded = BoxCoder().decode_single(ml.tensor([[0.0, 0, 50, 1e9]]), [[0.0, 0, 16, 16]])
    np.testing.assert_allclose(decoded.numpy(), [[-492, -492, 508, 508]], rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_torchvision_has_the_same_code(dtype, rng):
    torch, _ = torchvision()
    theirs = pytest.importorskip("torchvision.models.detection")._utils.BoxCoder((10.0, 10.0, 5.0, 5.0))
    ours, boxes, around = BoxCoder((10, 10, 5, 5)), random_boxes(rng, 7, dtype), random_boxes(rng, 7, dtype)
    codes = rng.standard_normal((7, 12)).astype(dtype) * 3
    expected = theirs.encode([torch.tensor(boxes)], [torch.tensor(around)])[0]
    assert_close(ours.encode([boxes], [around])[0].numpy(), expected.numpy())
    expected = theirs.decode(torch.tensor(codes), [torch.tensor(around)])
    assert_close(ours.decode(ml.tensor(codes), [around]).numpy(), expected.numpy())


def test_gradients_of_decoding(rng):
    coder, around = BoxCoder((10, 10, 5, 5)), random_boxes(rng, 3)
    codes = ml.tensor(rng.standard_normal((3, 8)), requires_grad=True)
    assert gradcheck(lambda c: coder.decode_single(c, around), [codes])
    assert gradgradcheck(lambda c: coder.decode_single(c, around), [codes])


def test_no_boxes():
    assert BoxCoder().encode([[]], [[]])[0].shape == (0, 4)
    assert BoxCoder().decode(ml.zeros(0, 4), [np.zeros((0, 4))]).shape == (0, 1, 4)


def test_bad_codes():
    coder, box = BoxCoder(), [[0.0, 0, 4, 4]]
    for call, error, message in [
        (lambda: BoxCoder((1, 1, 1)), ArgumentError, "weights must be four numbers"),
        (lambda: BoxCoder((1, 1, 0, 1)), ArgumentError, "weights must be positive"),
        (
            lambda: coder.encode([box, [[3, 3, 3, 9]]], [box, box]),
            ArgumentError,
            r"box 0 of reference_boxes\[1\].*no area",
        ),
        (lambda: coder.encode([box], [[[9, 9, 3, 4]]]), ArgumentError, r"box 0 of proposals\[0\] .* x2 = 3 < x1 = 9"),
        (lambda: coder.encode([box], [box, box]), ShapeError, "reference_boxes of 1 images but proposals of 2"),
        (
            lambda: coder.encode([box * 2], [box]),
            ShapeError,
            r"\(2, 4\) and proposals \(1, 4\) of image 0 must pair up",
        ),
        (lambda: coder.decode_single(ml.zeros(1, 6), box), ShapeError, r"rel_codes must be \(1, 4·C\)"),
        (lambda: coder.decode(ml.zeros(0, 4), []), ShapeError, "boxes is empty"),
    ]:
        with pytest.raises(error, match=message):
            call()
