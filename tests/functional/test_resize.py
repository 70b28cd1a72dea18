"""interpolate and the pixel shuffles: bad input, and the corners of PyTorch's semantics."""

import numpy as np
import pytest

import minidl.functional as F
from minidl.autograd import Tensor, grad
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from tests.tolerances import FORWARD, assert_close


def image(*shape, dtype=np.float32):
    return Tensor(np.arange(np.prod(shape)).reshape(shape).astype(dtype))


BAD = [
    ({}, ArgumentError, r"give size or scale_factor, got neither"),
    ({"size": 4, "scale_factor": 2}, ArgumentError, r"give size or scale_factor, got both \(size 4, scale_factor 2\)"),
    ({"size": 4, "mode": "cubic"}, ArgumentError, r"mode must be one of nearest, .*bicubic; got 'cubic'"),
    ({"size": 4, "mode": "linear"}, ShapeError, r"mode 'linear' takes x \(N, C, L\), got \(1, 2, 3, 4\)"),
    ({"size": 4, "mode": "trilinear"}, ShapeError, r"takes x \(N, C, D, H, W\), got"),
    ({"size": 4, "align_corners": False}, ArgumentError, r"align_corners=False has no meaning for mode 'nearest'"),
    ({"size": 4, "mode": "area", "align_corners": True}, ArgumentError, r"no meaning for mode 'area'"),
    ({"size": (4, 4, 4)}, ShapeError, r"size \(4, 4, 4\) has 3 entries for 2 spatial dimensions; give 2"),
    ({"size": 2.5}, ArgumentTypeError, r"size must be made of integers, got 2.5"),
    ({"size": "44"}, ArgumentTypeError, r"size must be made of integers, got '44'"),
    ({"size": True}, ArgumentTypeError, r"size must be made of integers, got True"),
    ({"size": (4, 0)}, ArgumentError, r"size must be positive, got \(4, 0\)"),
    ({"scale_factor": (2,)}, ShapeError, r"scale_factor \(2,\) has 1 entries for 2 spatial dimensions"),
    ({"scale_factor": "2"}, ArgumentTypeError, r"scale_factor must be made of numbers, got '2'"),
    ({"scale_factor": -1.0}, ArgumentError, r"scale_factor must be positive and finite, got -1.0"),
    ({"scale_factor": float("nan")}, ArgumentError, r"scale_factor must be positive and finite, got nan"),
    ({"scale_factor": 0.3}, ShapeError, r"scale_factor 0.3 makes \(3, 4\) into \(0, 1\)"),
    ({"size": 4, "recompute_scale_factor": True}, ArgumentError, r"recompute_scale_factor has no meaning with size 4"),
]


@pytest.mark.parametrize(("settings", "error", "message"), BAD)
def test_bad_settings(settings, error, message):
    with pytest.raises(error, match="interpolate: .*" + message):
        F.interpolate(image(1, 2, 3, 4), **settings)


def test_bad_inputs():
    with pytest.raises(ArgumentTypeError, match="interpolate: x must be a Tensor, got ndarray"):
        F.interpolate(np.zeros((1, 1, 2, 2)), 4)
    with pytest.raises(ShapeError, match=r"takes x \(N, C, L\) or \(N, C, H, W\) or \(N, C, D, H, W\), got \(3, 4\)"):
        F.interpolate(image(3, 4), 4)
    with pytest.raises(ShapeError, match=r"x \(1, 2, 0, 4\) has an empty dimension"):
        F.interpolate(image(1, 2, 0, 4), 4)
    with pytest.raises(DtypeError, match="mode 'bilinear' averages, so x must be floating, got int64"):
        F.interpolate(image(1, 1, 2, 2, dtype=np.int64), 4, mode="bilinear")


def test_sizes_and_scales_in_all_their_forms():
    x = image(1, 2, 3, 4)
    assert F.interpolate(x, 6).shape == (1, 2, 6, 6)
    assert F.interpolate(x, [6, 5]).shape == (1, 2, 6, 5)
    assert F.interpolate(x, (np.int64(6), 5)).shape == (1, 2, 6, 5)
    assert F.interpolate(x, scale_factor=1.5).shape == (1, 2, 4, 6)
    assert F.interpolate(x, scale_factor=[np.float32(2), 1]).shape == (1, 2, 6, 4)
    assert F.interpolate(x, None, 2).shape == (1, 2, 6, 8)


def test_nearest_resizes_masks():
    mask = Tensor(np.array([[[[True, False], [False, True]]]]))
    y = F.interpolate(mask, scale_factor=2)
    assert y.dtype == np.bool_ and not y.requires_grad
    np.testing.assert_array_equal(y.data, mask.data.repeat(2, 2).repeat(2, 3))


def test_known_values():
    x = Tensor(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]))
    rows = F.interpolate(x, scale_factor=2, mode="bilinear").data[0, 0]
    np.testing.assert_allclose(rows[0], [1, 1.25, 1.75, 2])
    np.testing.assert_allclose(rows[:, 0], [1, 1.5, 2.5, 3])
    aligned = F.interpolate(x, (3, 3), mode="bilinear", align_corners=True).data[0, 0]
    np.testing.assert_allclose(aligned, [[1, 1.5, 2], [2, 2.5, 3], [3, 3.5, 4]])


def test_interpolation_keeps_constants_and_passes_the_whole_gradient():
    for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area"):
        x = Tensor(np.full((1, 1, 5, 7), 3.0), requires_grad=True)
        y = F.interpolate(x, (9, 4), mode=mode)
        np.testing.assert_allclose(y.data, 3.0)
        (gx,) = grad(y.sum(), x)
        np.testing.assert_allclose(gx.data.sum(), y.data.size)


def test_scale_and_size_place_pixels_differently():
    """5 × 1.3 = 6.5 is rounded down to 6: by scale the pixels lie 1/1.3 apart, by size (and recomputed) 5/6."""
    x = image(1, 1, 5)
    by_scale = F.interpolate(x, scale_factor=1.3, mode="linear")
    by_size = F.interpolate(x, 6, mode="linear")
    recomputed = F.interpolate(x, scale_factor=1.3, mode="linear", recompute_scale_factor=True)
    np.testing.assert_array_equal(by_size.data, recomputed.data)
    assert np.abs(by_scale.data - by_size.data).max() > 0.05


def test_float32_stays_and_the_result_is_new_memory():
    x = image(2, 3, 4, 4)
    for mode in ("nearest", "bilinear", "bicubic", "area"):
        y = F.interpolate(x, 4, mode=mode)
        assert y.dtype == np.float32
        assert not np.shares_memory(y.data, x.data)
        np.testing.assert_allclose(y.data, x.data, rtol=1e-6)


def test_channels_last_memory_stays_channels_last():
    x = Tensor(np.ones((2, 4, 5, 3), np.float32).transpose(0, 3, 1, 2))
    y = F.interpolate(x, scale_factor=2, mode="bilinear")
    assert y.data.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
def test_every_small_size_and_scale_agrees_with_torch(mode):
    torch = pytest.importorskip("torch")
    for n in range(1, 13):
        x = np.sin(np.arange(n * 2.0)).reshape(1, 1, n, 2)
        for target in [{"size": (m, 3)} for m in range(1, 15)] + [
            {"scale_factor": (s, 1.0)} for s in (0.4, 0.7, 1.1, 1.5, 2.0, 2.3, 3.0) if n * s >= 1
        ]:
            expected = torch.nn.functional.interpolate(torch.from_numpy(x), mode=mode, **target)
            y = F.interpolate(Tensor(x), mode=mode, **target)
            assert_close(y.data, expected.numpy(), FORWARD, f"{n} {target}")


def test_pixel_shuffle_known_values():
    x = image(1, 4, 1, 2)
    np.testing.assert_array_equal(F.pixel_shuffle(x, 2).data, [[[[0, 2, 1, 3], [4, 6, 5, 7]]]])
    np.testing.assert_array_equal(F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2).data, x.data)


@pytest.mark.parametrize("shuffle", [F.pixel_shuffle, F.pixel_unshuffle])
def test_bad_shuffles(shuffle):
    name = shuffle.__name__
    with pytest.raises(ArgumentTypeError, match=f"{name}: x must be a Tensor, got list"):
        shuffle([1.0], 2)
    with pytest.raises(ShapeError, match=rf"{name}: x needs dimensions \(…, C, H, W\), got \(4, 4\)"):
        shuffle(image(4, 4), 2)
    with pytest.raises(ArgumentTypeError, match=f"{name}: the factor must be an integer, got 2.0"):
        shuffle(image(4, 4, 4), 2.0)
    with pytest.raises(ArgumentTypeError, match=f"{name}: the factor must be an integer, got True"):
        shuffle(image(4, 4, 4), True)
    with pytest.raises(ArgumentError, match=f"{name}: the factor must be at least 1, got 0"):
        shuffle(image(4, 4, 4), 0)


def test_shuffles_that_do_not_divide():
    with pytest.raises(ShapeError, match=r"6 channels are not a multiple of r² = 4 \(x \(1, 6, 2, 2\)\)"):
        F.pixel_shuffle(image(1, 6, 2, 2), 2)
    with pytest.raises(ShapeError, match=r"height 5 and width 4 are not multiples of r = 2 \(x \(1, 1, 5, 4\)\)"):
        F.pixel_unshuffle(image(1, 1, 5, 4), 2)
