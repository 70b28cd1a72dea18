"""The NumPy resizing and padding kernels against their definitions."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.kernels import cpu, reference
from tests.tolerances import assert_close

DTYPES = (np.float32, np.float64)
MODES = ("nearest", "nearest-exact", "linear", "cubic", "area")


def layouts(x):
    """The same values in other memory layouts: channels last, reversed, every second of a larger array, read-only."""
    yield np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    yield np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    yield np.repeat(x, 2, axis=1)[:, ::2]
    frozen = x.copy()
    frozen.flags.writeable = False
    yield frozen


@pytest.mark.parametrize("name", ["resize", "resize_adjoint", "pad", "pad_adjoint"])
def test_signatures_agree(name):
    assert inspect.signature(getattr(cpu, name)) == inspect.signature(getattr(reference, name))


@settings(max_examples=120, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 7)), min_size=1, max_size=3),
    lead=st.tuples(st.integers(0, 2), st.integers(1, 3)),
    mode=st.sampled_from(MODES),
    align_corners=st.booleans(),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 99),
)
def test_resize(sizes, lead, mode, align_corners, dtype, seed):
    rng = np.random.default_rng(seed)
    in_size, out_size = zip(*sizes, strict=True)
    options = {"mode": mode, "align_corners": align_corners, "scales": (None,) * len(sizes)}
    x = rng.standard_normal((*lead, *in_size)).astype(dtype)
    gy = rng.standard_normal((*lead, *out_size)).astype(dtype)
    y, gx = reference.resize(x, out_size, **options), reference.resize_adjoint(gy, in_size, **options)
    for layout in (x, *layouts(x)):
        result = cpu.resize(layout, out_size, **options)
        assert result.dtype == dtype
        assert_close(result, y)
    for layout in (gy, *layouts(gy)):
        result = cpu.resize_adjoint(layout, in_size, **options)
        assert result.dtype == dtype
        assert_close(result, gx)


@settings(max_examples=80, deadline=None)
@given(
    in_size=st.integers(1, 40),
    scale=st.floats(0.2, 5.0),
    mode=st.sampled_from(MODES),
    align_corners=st.booleans(),
)
def test_scale_gives_the_positions(in_size, scale, mode, align_corners):
    out_size = max(int(in_size * scale), 1)
    options = {"mode": mode, "align_corners": align_corners, "scales": (scale,)}
    x, gy = np.arange(in_size, dtype=float)[None, None], np.sin(np.arange(out_size))[None, None]
    assert_close(cpu.resize(x, (out_size,), **options), reference.resize(x, (out_size,), **options))
    assert_close(cpu.resize_adjoint(gy, (in_size,), **options), reference.resize_adjoint(gy, (in_size,), **options))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sizes", [(150, 300), (300, 130), (200, 200), (70, 210)])
def test_long_axes_are_cut_into_blocks(mode, sizes):
    in_size, out_size = sizes
    rng = np.random.default_rng(0)
    x, gy = rng.standard_normal((2, 1, in_size)), rng.standard_normal((2, 1, out_size))
    options = {"mode": mode, "align_corners": False, "scales": (None,)}
    assert_close(cpu.resize(x, (out_size,), **options), reference.resize(x, (out_size,), **options))
    assert_close(cpu.resize_adjoint(gy, (in_size,), **options), reference.resize_adjoint(gy, (in_size,), **options))
    column = {**options, "scales": (None, None)}
    assert_close(
        cpu.resize(np.stack([x, -x], -1), (out_size, 2), **column)[..., 1],
        cpu.resize(-x, (out_size,), **options),
    )


@pytest.mark.parametrize("mode", ["linear", "cubic", "area"])
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_an_infinite_pixel_stays_in_its_neighborhood(mode, bad):
    x = np.ones((1, 1, 9, 9), np.float32)
    x[0, 0, 4, 4] = bad
    y = cpu.resize(x, (18, 18), mode=mode, align_corners=False, scales=(None, None))
    assert y.dtype == np.float32
    assert not np.isfinite(y[0, 0, 8:10, 8:10]).any()
    y[0, 0, 5:13, 5:13] = 1
    assert_close(y, np.ones_like(y))


def test_a_sum_that_overflows_changes_nothing():
    x = np.full((1, 1, 4, 4), 3e38, np.float32)
    y = cpu.resize(x, (8, 8), mode="linear", align_corners=False, scales=(None, None))
    assert_close(y / np.float32(3e38), np.ones_like(y))


def test_nearest_keeps_integers_and_booleans():
    for dtype in (np.int64, np.uint8, bool):
        x = np.arange(4).reshape(1, 1, 2, 2).astype(dtype)
        y = cpu.resize(x, (4, 6), mode="nearest", align_corners=False, scales=(None, None))
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, x.repeat(2, 2).repeat(3, 3))


@st.composite
def paddings(draw):
    mode = draw(st.sampled_from(["constant", "reflect", "replicate", "circular"]))
    sizes, widths = [], []
    for _ in range(draw(st.integers(1, 3))):
        size = draw(st.integers(1, 5))
        crop = draw(st.integers(0, size - 1))
        most = {"reflect": size - crop - 1, "circular": size - crop}.get(mode, 4)
        width = (draw(st.integers(0, most)), -crop if crop else draw(st.integers(0, most)))
        widths.append(draw(st.permutations(width)))
        sizes.append(size)
    return mode, tuple(sizes), tuple(map(tuple, widths))


@settings(max_examples=200, deadline=None)
@given(paddings(), st.sampled_from(DTYPES), st.integers(0, 2), st.integers(0, 99))
def test_pad(padding, dtype, batch, seed):
    mode, sizes, widths = padding
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, 2, *sizes)).astype(dtype)
    y = reference.pad(x, widths, mode=mode, value=1.5)
    gy = rng.standard_normal(y.shape).astype(dtype)
    for layout in (x, *layouts(x)):
        result = cpu.pad(layout, widths, mode=mode, value=1.5)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, y)
        assert not np.shares_memory(result, layout)
    for layout in (gy, *layouts(gy)):
        result = cpu.pad_adjoint(layout, widths, mode=mode)
        assert result.dtype == dtype
        assert_close(result, reference.pad_adjoint(gy, widths, mode=mode))


def test_replicate_may_be_wider_than_the_image():
    x = np.array([[1.0, 2.0]])
    np.testing.assert_array_equal(cpu.pad(x, ((3, 4),), mode="replicate"), [[1, 1, 1, 1, 2, 2, 2, 2, 2]])
