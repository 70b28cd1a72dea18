"""affine_grid and grid_sample: bad input, and what a spatial transformer relies on."""

import numpy as np
import pytest

import minidl.functional as F
from minidl.autograd import Tensor, grad
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from tests.tolerances import assert_close

IDENTITY = np.array([[[1.0, 0, 0], [0, 1, 0]]])


@pytest.mark.parametrize("align_corners", [False, True, None])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_the_identity_map_gives_the_image_back(mode, align_corners, rng):
    x = rng.standard_normal((1, 2, 5, 4))
    grid = F.affine_grid(Tensor(IDENTITY), x.shape, align_corners)
    assert_close(F.grid_sample(Tensor(x), grid, mode, align_corners=align_corners).data, x)


def test_a_mirror_and_a_shift():
    x = Tensor(np.arange(6.0).reshape(1, 1, 2, 3))
    mirror = F.affine_grid(Tensor(IDENTITY * [-1.0, 1, 1]), (1, 1, 2, 3), False)
    assert_close(F.grid_sample(x, mirror).data, x.data[..., ::-1])
    shift = Tensor(IDENTITY + [[0, 0, 2 / 3], [0, 0, 0]])  # one pixel to the right
    grid = F.affine_grid(shift, (1, 1, 2, 3), False)
    assert_close(F.grid_sample(x, grid).data, np.array([[[[1.0, 2, 0], [4, 5, 0]]]]))
    assert_close(F.grid_sample(x, grid, padding_mode="border").data, np.array([[[[1.0, 2, 2], [4, 5, 5]]]]))


def test_the_map_learns_through_the_sampling(rng):
    theta = Tensor(IDENTITY * 0.8 + 0.01, requires_grad=True)
    x = Tensor(rng.standard_normal((1, 1, 6, 6)))
    y = F.grid_sample(x, F.affine_grid(theta, (1, 1, 4, 4)))
    (gtheta,) = grad((y * y).sum(), theta)
    assert gtheta.shape == (1, 2, 3) and np.abs(gtheta.data).min() > 0


def test_nearest_gives_the_grid_a_gradient_of_zero():
    x, grid = Tensor(np.ones((1, 1, 3, 3))), Tensor(np.full((1, 2, 2, 2), 0.3), requires_grad=True)
    y = F.grid_sample(x, grid, "nearest")
    (ggrid,) = grad(y.sum(), grid)
    np.testing.assert_array_equal(ggrid.data, np.zeros((1, 2, 2, 2)))


def test_points_far_outside_and_points_that_are_no_numbers():
    x = Tensor(np.arange(1.0, 10.0).reshape(1, 1, 3, 3))
    grid = Tensor(np.array([[[[1e30, 0], [-np.inf, np.inf], [np.nan, 0]]]]))
    for mode in ("bilinear", "nearest", "bicubic"):
        y = F.grid_sample(x, grid, mode).data.ravel()
        np.testing.assert_array_equal(y[:2], [0, 0])
        assert np.isnan(y[2])
        y = F.grid_sample(x, grid, mode, "border").data.ravel()
        np.testing.assert_allclose(y[:2], [6, 7])
        assert np.isnan(y[2])


def test_a_pixel_that_is_not_read_does_not_matter():
    x = np.ones((1, 1, 3, 3), np.float32)
    x[0, 0, 2, 2] = np.inf
    y = F.grid_sample(Tensor(x), Tensor(np.full((1, 1, 1, 2), -0.5, np.float32)))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.data, [[[[1.0]]]])


def test_no_points():
    x, grid = Tensor(np.ones((2, 3, 4, 4)), requires_grad=True), Tensor(np.ones((2, 0, 5, 2)), requires_grad=True)
    y = F.grid_sample(x, grid)
    assert y.shape == (2, 3, 0, 5)
    gx, ggrid = grad(y.sum(), (x, grid))
    assert not gx.data.any() and ggrid.shape == (2, 0, 5, 2)


def test_bad_sampling():
    x, grid = Tensor(np.zeros((2, 3, 4, 4))), Tensor(np.zeros((2, 5, 5, 2)))
    with pytest.raises(ArgumentTypeError, match="grid_sample: x must be a Tensor, got ndarray"):
        F.grid_sample(x.data, grid)
    with pytest.raises(ArgumentTypeError, match="grid_sample: grid must be a Tensor, got list"):
        F.grid_sample(x, [[0.0, 0.0]])
    with pytest.raises(DtypeError, match="grid_sample: grid must be a floating-point tensor, got int64"):
        F.grid_sample(x, Tensor(np.zeros((2, 5, 5, 2), int)))
    with pytest.raises(DtypeError, match="different float dtypes"):
        F.grid_sample(x, Tensor(np.zeros((2, 5, 5, 2), np.float32)))
    with pytest.raises(
        ArgumentError, match="grid_sample: mode must be one of bilinear, nearest, bicubic; got 'linear'"
    ):
        F.grid_sample(x, grid, "linear")
    with pytest.raises(ArgumentError, match="grid_sample: padding_mode must be one of zeros, .*; got 'reflect'"):
        F.grid_sample(x, grid, padding_mode="reflect")
    with pytest.raises(ShapeError, match=r"grid_sample: x must be \(N, C, H, W\) .*, got \(3, 4, 4\)"):
        F.grid_sample(Tensor(np.zeros((3, 4, 4))), grid)
    with pytest.raises(ShapeError, match=r"grid_sample: x must be .* with pixels, got \(2, 3, 0, 4\)"):
        F.grid_sample(Tensor(np.zeros((2, 3, 0, 4))), grid)
    with pytest.raises(ShapeError, match=r"mode 'bicubic' takes x \(N, C, H, W\), got \(2, 3, 4, 4, 4\)"):
        F.grid_sample(Tensor(np.zeros((2, 3, 4, 4, 4))), Tensor(np.zeros((2, 5, 5, 5, 3))), "bicubic")


@pytest.mark.parametrize("shape", [(2, 5, 5, 3), (1, 5, 5, 2), (2, 5, 2), (2, 5, 5, 5, 2)])
def test_a_grid_of_another_form(shape):
    with pytest.raises(ShapeError, match=r"grid must be \(2, H, W, 2\) for x \(2, 3, 4, 4\), got"):
        F.grid_sample(Tensor(np.zeros((2, 3, 4, 4))), Tensor(np.zeros(shape)))


def test_a_volume_needs_a_grid_of_volumes():
    with pytest.raises(ShapeError, match=r"grid must be \(2, D, H, W, 3\) for x \(2, 3, 4, 4, 4\), got"):
        F.grid_sample(Tensor(np.zeros((2, 3, 4, 4, 4))), Tensor(np.zeros((2, 5, 5, 2))))


def test_bad_affine_maps():
    with pytest.raises(ArgumentTypeError, match="affine_grid: theta must be a Tensor, got ndarray"):
        F.affine_grid(IDENTITY, (1, 1, 2, 2))
    with pytest.raises(DtypeError, match="affine_grid: theta must be a floating-point tensor"):
        F.affine_grid(Tensor(IDENTITY.astype(int)), (1, 1, 2, 2))
    with pytest.raises(ShapeError, match=r"affine_grid: size must be \(N, C, H, W\) .* positive, got \(1, 2, 2\)"):
        F.affine_grid(Tensor(IDENTITY), (1, 2, 2))
    with pytest.raises(ShapeError, match=r"affine_grid: size must be .* positive, got \(1, 1, 0, 2\)"):
        F.affine_grid(Tensor(IDENTITY), (1, 1, 0, 2))
    with pytest.raises(ShapeError, match=r"theta has shape \(1, 2, 3\) but size \(2, 1, 3, 3\) needs \(2, 2, 3\)"):
        F.affine_grid(Tensor(IDENTITY), (2, 1, 3, 3))
    with pytest.raises(ShapeError, match=r"theta has shape \(1, 2, 3\) but size \(1, 1, 2, 3, 3\) needs \(1, 3, 4\)"):
        F.affine_grid(Tensor(IDENTITY), (1, 1, 2, 3, 3))
