"""RoIAlign, RoIPool and their gradients; the levels of a pyramid; masks laid into images. See also tests/op_cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl as ml
from minidl.autograd import gradcheck, gradgradcheck
from minidl.errors import ArgumentError, DtypeError, MissingAttributeError, OutOfRangeError, ShapeError
from minidl.kernels import reference
from minidl.vision import ops
from tests.kernels._devices import check, run, values
from tests.tolerances import assert_close

from ._torchvision import has_compiled_operations, roi_align_in_python, torchvision


def random_rois(rng, count, images, low, high, longest, dtype):
    corners = rng.uniform(low, high, (count, 2))
    sizes = rng.uniform(0, longest, (count, 2))
    return np.concatenate([rng.integers(0, images, (count, 1)), corners, corners + sizes], 1).astype(dtype)


geometries = st.fixed_dictionaries(
    {
        "shape": st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
        "count": st.integers(0, 4),
        "out_size": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "spatial_scale": st.sampled_from([1.0, 0.5, 0.25]),
        "dtype": st.sampled_from(["float32", "float64"]),
        "seed": st.integers(0, 999),
    }
)


@given(geometries, st.sampled_from([-1, 0, 1, 2, 3]), st.booleans())
@settings(max_examples=40)
def test_the_kernels_of_roi_align(device, geometry, sampling_ratio, aligned):
    shape, dtype, rng = geometry["shape"], geometry["dtype"], np.random.default_rng(geometry["seed"])
    rois = random_rois(rng, geometry["count"], shape[0], -4, 14, 12, dtype)
    rule = {"spatial_scale": geometry["spatial_scale"], "sampling_ratio": sampling_ratio, "aligned": aligned}
    (y,) = check(device, "roi_align", values(shape, dtype), rois, out_size=geometry["out_size"], **rule)
    in_size = (shape[0], *shape[2:])
    check(device, "roi_align_input_grad", values(y.shape, dtype, 1), rois, in_size=in_size, **rule)


@given(geometries, st.sampled_from([None, np.nan, -np.inf]))
@settings(max_examples=40)
def test_the_kernel_of_roi_pool(device, geometry, special):
    """Values that are often equal, or no number: both kernels find the same pixel."""
    shape, dtype, rng = geometry["shape"], geometry["dtype"], np.random.default_rng(geometry["seed"])
    rois = random_rois(rng, geometry["count"], shape[0], -4, 14, 12, dtype)
    x = np.round(values(shape, dtype))
    x = x if special is None else np.where(x > 0, np.array(special, dtype), x)
    window = {"out_size": geometry["out_size"], "spatial_scale": geometry["spatial_scale"]}
    found, expected = run(device, "roi_pool", x, rois, **window), reference.roi_pool(x, rois, **window)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@given(st.integers(0, 99), st.sampled_from([-1, 1, 2]), st.booleans(), st.sampled_from([1.0, 0.5]))
@settings(max_examples=15)
def test_torchvision_agrees_inside_the_image(seed, sampling_ratio, aligned, scale):
    torch, rng = torchvision()[0], np.random.default_rng(seed)
    x, rois = rng.standard_normal((2, 3, 10, 9)), random_rois(rng, 4, 2, 1, 4, 4, np.float64)
    rois[:, 3:] += 1  # at least one pixel
    rois[:, 1:] /= scale
    y = ops.roi_align(ml.tensor(x), rois, (2, 3), scale, sampling_ratio, aligned)
    expected = roi_align_in_python()(torch.tensor(x), torch.tensor(rois), scale, 2, 3, sampling_ratio, aligned)
    assert_close(y.numpy(), expected.numpy(), {"float64": (1e-5, 1e-6)})


@pytest.mark.parametrize("sampling_ratio", [-1, 2])
@pytest.mark.parametrize("aligned", [False, True])
def test_torchvision_agrees_everywhere(sampling_ratio, aligned, rng):
    torch, tv = torchvision()
    if not has_compiled_operations():
        pytest.skip("torchvision's compiled operations do not fit this PyTorch")
    x, rois = rng.standard_normal((2, 3, 10, 9)), random_rois(rng, 20, 2, -9, 20, 20, np.float64)
    tx, tr = torch.tensor(x), torch.tensor(rois)
    y = ops.roi_align(ml.tensor(x), rois, (2, 3), 0.5, sampling_ratio, aligned)
    assert_close(y.numpy(), tv.ops.roi_align(tx, tr, (2, 3), 0.5, sampling_ratio, aligned).numpy())
    assert_close(ops.roi_pool(ml.tensor(x), rois, 3, 0.5).numpy(), tv.ops.roi_pool(tx, tr, 3, 0.5).numpy())


def test_roi_align_of_a_ramp_is_exact():
    """Bilinear interpolation keeps what is linear, so every bin holds the value of its center."""
    rows, columns = np.mgrid[:12, :16]
    x = ml.tensor((2.0 * rows + 3.0 * columns)[None, None])
    box = [[3.0, 2.0, 11.0, 10.0]]
    centers = np.arange(4) * 2 + 1.0
    for aligned in (False, True):
        shift = 0.5 * aligned
        expected = 2 * (2 + centers - shift)[:, None] + 3 * (3 + centers - shift)
        for ratio in (1, 2, -1):
            y = ops.roi_align(x, [box], 4, 1.0, ratio, aligned)
            np.testing.assert_allclose(y.numpy()[0, 0], expected)


def test_far_outside_there_is_nothing_and_near_outside_the_edge():
    x = ml.ones(1, 1, 4, 4)
    assert ops.roi_align(x, [[[-9.0, -9, -5, -5]]], 1, 1.0, 2).item() == 0
    assert ops.roi_align(x, [[[-1.0, 0, 0, 1]]], 1, 1.0, 1).item() == 1
    assert ops.roi_align(x, [[[-4.0, 0, 0, 2]]], (1, 2), 1.0, 1).tolist() == [[[[0.0, 1.0]]]]


def test_roi_pool_by_hand():
    x = ml.arange(36).float().reshape(1, 1, 6, 6)
    assert ops.roi_pool(x, [[[0.0, 0, 3, 3]]], 2).tolist() == [[[[7, 9], [19, 21]]]]
    assert ops.roi_pool(x, [[[0.0, 0, 2, 2]]], 2).tolist() == [[[[7, 8], [13, 14]]]]  # the middle is in both bins
    assert ops.roi_pool(x, [[[1.4, 1.4, 2.6, 2.6]]], 1).item() == 21  # rounded to 1 … 3
    assert ops.roi_pool(x, [[[40.0, 40, 50, 50]]], 1).item() == 0


def test_bins_of_roi_pool_that_share_a_pixel_add_their_gradients():
    x = ml.tensor(np.eye(3)[None, None] * [1, 5, 2], requires_grad=True)
    ops.roi_pool(x, [[[0.0, 0, 2, 2], [40, 40, 50, 50]]], 2).sum().backward()
    assert x.grad.tolist() == [[[[0, 0, 0], [0, 4, 0], [0, 0, 0]]]]


def test_gradients_of_every_order_and_none_by_the_boxes(rng):
    x = ml.tensor(rng.permutation(120).reshape(2, 3, 4, 5) * 0.1, requires_grad=True)
    boxes = [ml.tensor([[0.2, 0.3, 3.1, 2.2]], requires_grad=True), ml.tensor([[1.1, 0.4, 4.6, 3.7], [-2, -2, 1, 1.0]])]
    for call in (lambda x: ops.roi_align(x, boxes, 2, aligned=True), lambda x: ops.roi_pool(x, boxes, 2)):
        assert gradcheck(call, [x]) and gradgradcheck(call, [x])
        assert ml.grad(call(x).sum(), boxes[0], allow_unused=True) == (None,)


def test_boxes_in_every_form(rng):
    x = ml.tensor(rng.standard_normal((2, 1, 6, 6)).astype(np.float32))
    lists = [[[0, 0, 4, 4]], [[1.0, 1, 5, 3], [2, 2, 3, 5]]]
    rows = [[0, 0, 0, 4, 4], [1, 1, 1, 5, 3], [1, 2, 2, 3, 5]]
    for op in (ops.roi_align, ops.roi_pool):
        expected = op(x, np.array(rows, np.float32), 2)
        assert expected.shape == (3, 1, 2, 2)
        for boxes in (lists, [np.array(b) for b in lists], ml.tensor(rows)):
            np.testing.assert_array_equal(op(x, boxes, (2, 2)).numpy(), expected.numpy())
        assert op(x, [[], []], 2).shape == (0, 1, 2, 2)


def test_no_boxes_give_a_gradient_of_zeros():
    for op in (ops.roi_align, ops.roi_pool):
        x = ml.ones(2, 1, 4, 4, requires_grad=True)
        op(x, [[], []], 2).sum().backward()
        assert x.grad.shape == x.shape and not x.grad.numpy().any()


def test_layers():
    x, boxes = ml.rand(1, 2, 8, 8), [[[1.0, 2, 9, 13]]]
    align, pool = ops.RoIAlign(3, 0.5, 2, True), ops.RoIPool((2, 3), 0.5)
    np.testing.assert_array_equal(align(x, boxes).numpy(), ops.roi_align(x, boxes, 3, 0.5, 2, True).numpy())
    np.testing.assert_array_equal(pool(x, boxes).numpy(), ops.roi_pool(x, boxes, (2, 3), 0.5).numpy())
    assert repr(align) == "RoIAlign(output_size=3, spatial_scale=0.5, sampling_ratio=2, aligned=True)"


@pytest.mark.parametrize(
    "boxes, error, message",
    [
        ([[[0, 0, 1, 1]]], ShapeError, "boxes of 1 images were given for 2 images"),
        ([[], [[5, 5, 9, 9], [30, 20, 8, 9]]], ArgumentError, r"box 1 of boxes\[1\] is .*x2 = 8 < x1 = 30"),
        ([[], [[0, 0, np.nan, 9]]], ArgumentError, r"box 0 of boxes\[1\] .* not finite"),
        (np.ones((2, 4)), ShapeError, r"boxes must be \(K, 5\).*got \(2, 4\)"),
        (np.array([[2.0, 0, 0, 1, 1]]), OutOfRangeError, "boxes name the image 2, but input has 2 images"),
        (np.array([[0.0, 5, 5, 1, 1]]), ArgumentError, "x2 = 1 < x1 = 5"),
    ],
)
@pytest.mark.parametrize("op", [ops.roi_align, ops.roi_pool])
def test_bad_boxes(op, boxes, error, message):
    with pytest.raises(error, match=message):
        op(ml.ones(2, 1, 4, 4), boxes, 2)


def test_other_bad_arguments():
    x, boxes = ml.ones(1, 1, 4, 4), [[[0, 0, 1, 1]]]
    with pytest.raises(ShapeError, match=r"input must be \(N, C, H, W\) with pixels, got \(4, 4\)"):
        ops.roi_align(ml.ones(4, 4), boxes, 2)
    with pytest.raises(DtypeError, match="input must be a floating-point tensor, got int64"):
        ops.roi_pool(ml.ones(1, 1, 4, 4, dtype=ml.int64), boxes, 2)
    with pytest.raises(ArgumentError, match="spatial_scale must be positive and finite, got 0; it is 1/stride"):
        ops.roi_pool(x, boxes, 2, 0)
    with pytest.raises(ArgumentError, match="output_size must be at least 1, got 0"):
        ops.roi_align(x, boxes, 0)


# Pyramids ------------------------------------------------------------------------------------------------------------


def pyramid(rng):
    return {name: ml.tensor(rng.standard_normal((2, 3, 64 // s, 96 // s)), requires_grad=True) for name, s in
            (("0", 4), ("1", 8), ("2", 16), ("pool", 32))}  # fmt: skip


def some_boxes(rng):
    return [random_rois(rng, count, 1, 0, 30, 34, np.float64)[:, 1:] for count in (7, 5)]


def test_each_box_is_read_from_the_level_of_its_size(rng):
    x, boxes = pyramid(rng), some_boxes(rng)
    pooler = ops.MultiScaleRoIAlign(["0", "1", "2"], 2, 2, canonical_scale=10, canonical_level=3)
    y = pooler(x, boxes, [(64, 96), (60, 90)])
    rows = np.concatenate([np.insert(b, 0, n, axis=1) for n, b in enumerate(boxes)])
    seen = set()
    for k, row in enumerate(rows):
        side = np.sqrt((row[3] - row[1]) * (row[4] - row[2]))
        level = int(np.clip(np.floor(3 + np.log2(side / 10)), 2, 4)) - 2
        seen.add(level)
        alone = ops.roi_align(x[str(level)], row[None], 2, 1 / (4 << level), 2)
        np.testing.assert_allclose(y.detach().numpy()[k], alone.detach().numpy()[0])
    assert seen == {0, 1, 2}
    y.sum().backward()
    assert all(x[name].grad is not None for name in ("0", "1", "2")) and x["pool"].grad is None


def test_levels_and_scales_are_those_of_torchvision(rng):
    torch, tv = torchvision()
    poolers = tv.ops.poolers
    boxes = random_rois(rng, 200, 1, 0, 30, 900, np.float32)[:, 1:]
    boxes[:3] = [[0, 0, 224, 224], [0, 0, 112, 112], [5, 5, 5, 9]]
    scales = [1 / 4, 1 / 8, 1 / 16, 1 / 32]
    levels = ops.MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2).levels(ml.tensor(boxes), scales)
    assert levels.tolist() == poolers.LevelMapper(2, 5)([torch.tensor(boxes)]).tolist()


def test_one_level_and_no_boxes(rng):
    x = pyramid(rng)
    one = ops.MultiScaleRoIAlign(["1"], 3, 2)
    boxes = some_boxes(rng)
    y, expected = one(x, boxes, [(64, 96)] * 2), ops.roi_align(x["1"], boxes, 3, 1 / 8, 2)
    np.testing.assert_array_equal(y.detach().numpy(), expected.detach().numpy())
    assert ops.MultiScaleRoIAlign(["0", "1"], 3, 2)(x, [[], []], [(64, 96)] * 2).shape == (0, 3, 3, 3)


def test_bad_pyramids(rng):
    with pytest.raises(MissingAttributeError, match="there is no feature map 'p5', only '0', '1', '2', 'pool'"):
        ops.MultiScaleRoIAlign(["0", "p5"], 2, 2)(pyramid(rng), [[], []], [(64, 96)] * 2)
    with pytest.raises(ArgumentError, match="image_shapes is empty"):
        ops.MultiScaleRoIAlign(["0"], 2, 2)(pyramid(rng), [[], []], [])


# Masks ---------------------------------------------------------------------------------------------------------------


def test_a_mask_of_ones_fills_its_box():
    pasted = ops.paste_masks(ml.ones(1, 1, 8, 8), [[10.0, 20, 26, 36]], (50, 40))
    assert pasted.shape == (1, 1, 50, 40)
    inside = pasted.numpy()[0, 0] > 0.5
    assert inside[20:36, 18].all() and inside[28, 10:26].all()
    assert not inside[[18, 38], :].any() and not inside[:, [8, 28]].any()


def test_masks_at_the_edge_and_outside():
    boxes = [[-10.0, -10, 10, 10], [30, 30, 60, 60], [100, 100, 120, 120], [5, 5, 5, 5]]
    pasted = ops.paste_masks(ml.ones(4, 1, 6, 6), boxes, (40, 40)).numpy()[:, 0]
    assert pasted[0, :8, :8].min() == 1 and pasted[1, 34:, 34:].min() == 1 and not pasted[2].any()
    assert ops.paste_masks(ml.ones(0, 1, 6, 6), [], (40, 30)).shape == (0, 1, 40, 30)


def test_pasting_as_torchvision_does(rng):
    torch, _ = torchvision()
    heads = pytest.importorskip("torchvision.models.detection.roi_heads")
    masks = rng.random((12, 1, 14, 14)).astype(np.float32)
    boxes = random_rois(rng, 12, 1, 0, 40, 40, np.float32)[:, 1:]
    boxes[:4, :2] -= 20
    expected = heads.paste_masks_in_image(torch.tensor(masks), torch.tensor(boxes), (48, 64))
    assert_close(ops.paste_masks(masks, boxes, (48, 64)).numpy(), expected.numpy())


def test_bad_masks():
    for masks, boxes, message in [
        (ml.ones(1, 6, 6), [[0, 0, 1, 1]], r"masks must be \(K, 1, M, M\), got \(1, 6, 6\)"),
        (ml.ones(2, 1, 6, 6), [[0, 0, 1, 1]], "2 masks but 1 boxes"),
    ]:
        with pytest.raises(ShapeError, match=message):
            ops.paste_masks(masks, boxes, (9, 9))
