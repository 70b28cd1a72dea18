"""Cases of affine_grid and grid_sample."""

import itertools
import math

import numpy as np

import minidl.functional as F

from ._case import OpCase, normal


def affine_reference(theta, size, align_corners):
    """One matrix product for each pixel center."""
    spatial = size[2:]
    grid = np.empty((size[0], *spatial, len(spatial)), theta.dtype)
    for n, *pixel in itertools.product(range(size[0]), *map(range, spatial)):
        point = []
        for j, length in zip(reversed(pixel), reversed(spatial), strict=True):
            if align_corners:
                point.append(2 * j / (length - 1) - 1 if length > 1 else 0.0)
            else:
                point.append((2 * j + 1) / length - 1)
        grid[(n, *pixel)] = theta[n] @ np.array([*point, 1.0], theta.dtype)
    return grid


def affine_case(size, align_corners, oracle=True):
    dims = len(size) - 2
    return OpCase(
        name=f"affine_grid-{size}-align_corners={align_corners}",
        fn=lambda theta: F.affine_grid(theta, (len(theta.data), *size[1:]), align_corners),
        inputs=normal((size[0], dims, dims + 1)),
        reference=lambda theta: affine_reference(theta, (len(theta), *size[1:]), align_corners),
        torch=(lambda torch, theta: torch.nn.functional.affine_grid(theta, (len(theta), *size[1:]), align_corners))
        if oracle
        else None,
        batch_axis=0,
    )


def reflected(s, low, high):
    """s, mirrored at low and high until it lies between them."""
    while high > low and not low <= s <= high:
        s = 2 * low - s if s < low else 2 * high - s
    return s if high > low else low


def moved_inside(s, size, padding_mode, align_corners):
    if padding_mode == "reflection":
        s = reflected(s, 0.0, size - 1.0) if align_corners else reflected(s, -0.5, size - 0.5)
    return s if padding_mode == "zeros" else min(max(s, 0.0), size - 1.0)


def cubic(d, a=-0.75):
    d = abs(d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * (d**3 - 5 * d**2 + 8 * d - 4)


def sample_reference(x, grid, mode, padding_mode, align_corners):
    """Point by point: its position, the pixels around, their weights."""
    size = x.shape[2:]
    y = np.zeros((*x.shape[:2], *grid.shape[1:-1]), x.dtype)
    for place in np.ndindex(grid.shape[:-1]):
        axes = []
        for g, length in zip(reversed(grid[place]), size, strict=True):
            s = (float(g) + 1) / 2 * (length - 1) if align_corners else (float(g) + 1) / 2 * length - 0.5
            if mode != "bicubic":
                s = moved_inside(s, length, padding_mode, align_corners)
            base = math.floor(s)
            if mode == "nearest":
                axes.append([(round(s), 1.0)])
            elif mode == "bilinear":
                axes.append([(base, 1 - (s - base)), (base + 1, s - base)])
            else:
                taps = [(base + k, cubic(s - base - k)) for k in (-1, 0, 1, 2)]
                axes.append([(round(moved_inside(i, length, padding_mode, align_corners)), w) for i, w in taps])
        n, *point = place
        for taps in itertools.product(*axes):
            pixel, weights = zip(*taps, strict=True)
            if all(0 <= i < length for i, length in zip(pixel, size, strict=True)):
                y[(n, slice(None), *point)] += math.prod(weights) * x[(n, slice(None), *pixel)]
    return y


def image_and_points(x_shape, out_size, align_corners):
    """An image, and points whose positions in pixels, inside and outside, stay off integers and halves."""

    def draw(rng):
        x = rng.standard_normal(x_shape)
        points = []
        for length in reversed(x_shape[2:]):
            s = rng.integers(-2, length + 1, (x_shape[0], *out_size)) + rng.uniform(0.1, 0.4, (x_shape[0], *out_size))
            points.append(2 * s / max(length - 1, 1) - 1 if align_corners else (2 * s + 1) / length - 1)
        return [x, np.stack(points, axis=-1)]

    return draw


def sample_case(mode, padding_mode, align_corners, x_shape=(2, 2, 3, 4), out_size=(2, 2)):
    settings = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    return OpCase(
        name=f"grid_sample-{mode}-{padding_mode}-align_corners={align_corners}-{len(out_size)}d-{x_shape[2:]}",
        fn=lambda x, grid: F.grid_sample(x, grid, **settings),
        inputs=image_and_points(x_shape, out_size, align_corners),
        reference=lambda x, grid: sample_reference(x, grid, **settings),
        torch=lambda torch, x, grid: torch.nn.functional.grid_sample(x, grid, **settings),
        batch_axis=0,
        batched=(0, 1),
    )


CASES = [
    affine_case((2, 3, 3, 4), False),
    affine_case((2, 3, 3, 4), True),
    affine_case((1, 1, 1, 3), True, oracle=False),  # PyTorch warns about a single row
    affine_case((2, 1, 2, 3, 2), False),
    affine_case((2, 1, 2, 3, 2), True),
    *(
        sample_case(mode, padding_mode, align_corners)
        for mode in ("bilinear", "nearest", "bicubic")
        for padding_mode in ("zeros", "border", "reflection")
        for align_corners in (False, True)
    ),
    sample_case("bilinear", "zeros", False, (2, 2, 2, 3, 3), (2, 2, 1)),
    sample_case("bilinear", "reflection", True, (2, 2, 2, 3, 3), (2, 1, 2)),
    sample_case("nearest", "border", False, (2, 2, 2, 3, 3), (1, 2, 2)),
    sample_case("bilinear", "reflection", True, (2, 2, 1, 3), (2, 2)),
    sample_case("bicubic", "reflection", True, (2, 2, 1, 3), (2, 2)),
]
