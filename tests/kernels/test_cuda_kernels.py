"""Every kernel of every device against the textbook loops. Without a GPU, cuda is CUDA C run on the CPU."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import kernels
from minidl.backend import to_device, to_numpy
from minidl.kernels import cpu, reference
from tests.kernels._devices import check, on, run, values
from tests.kernels.test_conv import convolutions
from tests.kernels.test_grid_sample import samplings
from tests.kernels.test_indexing import indices
from tests.kernels.test_pooling import leads, seeds, sizes, windows
from tests.kernels.test_resize import MODES, paddings

DTYPES = ("float32", "float64")
dtypes = st.sampled_from(DTYPES)


# Convolution and columns ---------------------------------------------------------------------------------------------


@given(convolutions(), dtypes)
@settings(max_examples=60)
def test_convolution(device, case, dtype):
    x_shape, w_shape, options = case
    x, w, bias = values(x_shape, dtype), values(w_shape, dtype, 1), values(w_shape[:1], dtype, 2)
    (y,) = check(device, "conv", x, w, bias, **options)
    check(device, "conv", x, w, **options)
    check(device, "conv", x, w, bias, values(y.shape, dtype, 5), True, **options)
    gy = values(y.shape, dtype, 3)
    check(device, "conv_input_grad", gy, w, size=x_shape[2:], **options)
    check(device, "conv_weight_grad", x, gy, kernel_size=w_shape[2:], **options)
    del options["groups"]
    (columns,) = check(device, "unfold", x, kernel_size=w_shape[2:], **options)
    grads = values(columns.shape, dtype, 4)
    check(device, "fold", grads, size=x_shape[2:], kernel_size=w_shape[2:], **options)


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("options", [(1, 1, 1), (2, 1, 2), (3, 0, 1)], ids=lambda o: f"stride {o[0]}, dilation {o[2]}")
def test_depthwise_convolution(device, multiplier, options):
    stride, padding, dilation = ((option,) * 2 for option in options)
    options = {"stride": stride, "padding": tuple((p, p) for p in padding), "dilation": dilation, "groups": 3}
    x, w = values((2, 3, 8, 9)), values((3 * multiplier, 1, 3, 2))
    (y,) = check(device, "conv", x, w, values((3 * multiplier,)), **options)
    check(device, "conv", x, w, None, values(y.shape), **options)
    gy = values(y.shape)
    check(device, "conv_input_grad", gy, w, size=(8, 9), **options)
    check(device, "conv_weight_grad", x, gy, kernel_size=(3, 2), **options)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (0, 4, 5, 6), (2, 4, 7)])
def test_pointwise_convolution(device, groups, shape):
    dims = len(shape) - 2
    options = {"stride": (1,) * dims, "padding": ((0, 0),) * dims, "dilation": (2,) * dims, "groups": groups}
    x, w = values(shape), values((6, 4 // groups, *(1,) * dims))
    (y,) = check(device, "conv", x, w, values((6,)), **options)
    check(device, "conv", x, w, None, None, True, **options)
    check(device, "conv_input_grad", values(y.shape), w, size=shape[2:], **options)
    check(device, "conv_weight_grad", x, values(y.shape), kernel_size=(1,) * dims, **options)
    longer = (shape[2] + 1, *shape[3:])  # a transposed convolution with output_padding
    check(device, "conv_input_grad", values(y.shape), w, size=longer, **options)


@pytest.mark.parametrize("column_bytes", [1, 700, 3000])
def test_convolution_in_blocks_of_samples_and_of_positions(device, column_bytes, monkeypatch):
    if device == "cuda":
        kernels.of(to_device(np.ones(1), device))
        monkeypatch.setattr(sys.modules["minidl.kernels.cuda.conv"], "COLUMN_BYTES", column_bytes)
    options = {"stride": (1, 2), "padding": ((1, 1), (0, 1)), "dilation": (1, 1), "groups": 1}
    x, w = values((3, 2, 5, 6)), values((4, 2, 3, 2))
    (y,) = check(device, "conv", x, w, values((4,)), **options)
    check(device, "conv_input_grad", values(y.shape), w, size=(5, 6), **options)
    check(device, "conv_weight_grad", x, values(y.shape), kernel_size=(3, 2), **options)


# Pooling -------------------------------------------------------------------------------------------------------------


def recorded(device, x, gy, size, overlap, **window):
    """Values and indices of a recorded pooling, and its gradient."""
    x, gy = on(device, (x, gy))
    module = kernels.of(x)
    y, record = module.max_pool_recorded(x, **window)
    gx = module.recorded_input_grad(gy, record, size=size, accumulate=overlap)
    return tuple(map(to_numpy, (y, module.recorded_indices(record, size=size), gx)))


@given(windows(), leads, seeds, dtypes, st.booleans())
@settings(max_examples=60)
def test_max_pool(device, window, lead, seed, dtype, ties):
    size, options = window
    x = values((*lead, *size), dtype, seed)
    x = np.round(x) if ties else x
    y, indices = check(device, "max_pool", x, **options)
    gy = values(y.shape, dtype)
    found = recorded(device, x, gy, size, True, **options)
    expected = y, indices, reference.plane_scatter(gy, indices, size=size, accumulate=True)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_max_pool_of_what_is_no_number(device, value):
    x = np.where(values((2, 5, 5)) > 0.3, value, values((2, 5, 5)))
    options = {"stride": (2, 1), "padding": (1, 1), "dilation": (1, 1), "out_size": (3, 5)}
    check(device, "max_pool", x, kernel=(3, 3), **options)
    check(device, "adaptive_max_pool", x, out_size=(2, 3))


@pytest.mark.parametrize("dtype", ["int64", "int32", "int16", "int8", "uint8", "bool"])
def test_max_pool_of_integers(device, dtype):
    x = np.arange(30).reshape(1, 5, 6) * 7 % 5
    options = {"kernel": (2, 2), "stride": (1, 2), "padding": (0, 0), "dilation": (1, 1), "out_size": (4, 3)}
    if dtype != "bool" or device == "cuda":
        (y, _), wanted = run(device, "max_pool", x.astype(dtype), **options), reference.max_pool(x, **options)
        np.testing.assert_array_equal(y, wanted[0].astype(dtype))


@given(sizes, st.data(), leads, dtypes, st.booleans())
def test_adaptive_pooling(device, size, data, lead, dtype, ties):
    out_size = tuple(data.draw(st.integers(1, n + 2)) for n in size)
    x = values((*lead, *size), dtype)
    check(device, "adaptive_max_pool", np.round(x) if ties else x, out_size=out_size)
    (y,) = check(device, "adaptive_avg_pool", x, out_size=out_size)
    check(device, "adaptive_avg_pool_input_grad", values(y.shape, dtype), in_size=size)
    check(device, "adaptive_avg_pool", x, out_size=(1,) * len(size))


@given(windows(dilated=False), leads, dtypes, st.booleans(), st.sampled_from([None, 3, -2]))
@settings(max_examples=60)
def test_avg_pool(device, window, lead, dtype, include_pad, override):
    size, options = window
    options |= {"count_include_pad": include_pad, "divisor_override": override}
    (y,) = check(device, "avg_pool", values((*lead, *size), dtype), **options)
    del options["out_size"]
    check(device, "avg_pool_input_grad", values(y.shape, dtype), in_size=size, **options)


@given(sizes, st.data(), leads, seeds, dtypes)
def test_plane_gather_and_scatter(device, size, data, lead, seed, dtype):
    out_size = tuple(data.draw(st.integers(1, n + 2)) for n in size)
    positions = np.random.default_rng(seed).integers(0, np.prod(size), (*lead, *out_size))
    check(device, "plane_gather", values((*lead, *size), dtype), positions, dims=len(size))
    for accumulate in (True, False):
        grads = values(positions.shape, dtype)
        check(device, "plane_scatter", grads, positions, size=size, accumulate=accumulate)
    check(device, "last_of_equal_indices", positions, dims=len(size))


# Indexing ------------------------------------------------------------------------------------------------------------


@given(st.data(), st.lists(st.integers(0, 4), min_size=1, max_size=3), dtypes)
def test_index_put_add(device, data, shape, dtype):
    index = data.draw(indices(tuple(shape)))
    grads = np.asarray(np.random.default_rng(0).standard_normal(np.zeros(shape)[index].shape).astype(dtype))
    masks = any(isinstance(entry, np.ndarray) and entry.dtype == bool for entry in index)
    check(device, "index_put_add", tuple(shape), index, grads, waits=masks)


def test_an_index_on_the_host_is_moved(device):
    index, grads = (np.array([2, 0, 2, 2]), slice(None, None, 2)), values((4, 2))
    y = kernels.of(to_device(grads, device)).index_put_add((3, 4), index, to_device(grads, device))
    np.testing.assert_allclose(to_numpy(y), reference.index_put_add((3, 4), index, grads))


@given(st.data(), st.lists(st.integers(1, 4), min_size=1, max_size=3), st.sampled_from([*DTYPES, "int64", "int8"]))
def test_scatter_add(device, data, shape, dtype):
    dim = data.draw(st.integers(0, len(shape) - 1))
    size = tuple(data.draw(st.integers(0, n if d != dim else 5)) for d, n in enumerate(shape))
    index = np.random.default_rng(0).integers(0, shape[dim], size)
    grads = (np.random.default_rng(1).standard_normal(size[::-1]) * 5).astype(dtype).T
    check(device, "scatter_add", tuple(shape), dim, index, grads)


# Resizing, padding, sampling -----------------------------------------------------------------------------------------


@given(
    sizes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 7)), min_size=1, max_size=3),
    lead=st.tuples(st.integers(0, 2), st.integers(1, 3)),
    mode=st.sampled_from(MODES),
    align_corners=st.booleans(),
    dtype=dtypes,
)
@settings(max_examples=60)
def test_resize(device, sizes, lead, mode, align_corners, dtype):
    in_size, out_size = zip(*sizes, strict=True)
    options = {"mode": mode, "align_corners": align_corners, "scales": (None,) * len(sizes)}
    check(device, "resize", values((*lead, *in_size), dtype), out_size, **options)
    check(device, "resize_adjoint", values((*lead, *out_size), dtype), in_size, **options)


@given(st.integers(1, 40), st.floats(0.2, 5.0), st.sampled_from(MODES), st.booleans())
@settings(max_examples=60)
def test_resize_by_a_scale(device, in_size, scale, mode, align_corners):
    out_size = max(int(in_size * scale), 1)
    options = {"mode": mode, "align_corners": align_corners, "scales": (scale,)}
    check(device, "resize", np.arange(float(in_size))[None, None], (out_size,), **options)
    check(device, "resize_adjoint", np.sin(np.arange(out_size))[None, None], (in_size,), **options)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_nearest_takes_any_type(device, dtype):
    x = np.arange(6).reshape(1, 1, 2, 3).astype(dtype)
    for size in [(4, 5), (2, 3), (1, 7)]:
        options = {"mode": "nearest", "align_corners": False, "scales": (None, None)}
        (y,), wanted = run(device, "resize", x, size, **options), reference.resize(x.astype(float), size, **options)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, wanted)


@given(paddings(), dtypes, st.integers(0, 2))
def test_pad(device, padding, dtype, batch):
    mode, size, widths = padding
    x = values((batch, *size), dtype)
    (y,) = check(device, "pad", x, widths, mode=mode, value=1.5 if mode == "constant" else 0.0)
    check(device, "pad_adjoint", values(y.shape, dtype), widths, mode=mode)


@given(samplings(), st.integers(0, 2), st.integers(0, 4), dtypes, st.integers(0, 99))
@settings(max_examples=80)
def test_grid_coordinates_and_taps(device, sampling, batch, points, dtype, seed):
    size, options = sampling
    grid = (np.random.default_rng(seed).standard_normal((batch, points, len(size))) * 2).astype(dtype)
    positions, _ = check(device, "grid_coordinates", grid.transpose(0, 2, 1), size, **options)
    away = positions + positions.dtype.type(0.0123)  # from halves and integers, where rounding decides
    check(device, "grid_taps", away, size, **options)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
def test_points_that_are_no_points(device, mode, padding_mode):
    grid = np.array([[[np.nan, np.inf], [-np.inf, 1e30]]])
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": True}
    for name, points in [("grid_coordinates", grid), ("grid_taps", cpu.grid_coordinates(grid, (3, 4), **options)[0])]:
        for y, wanted in zip(
            run(device, name, points, (3, 4), **options), getattr(cpu, name)(points, (3, 4), **options), strict=True
        ):
            np.testing.assert_array_equal(y, wanted)


@given(st.integers(0, 3), st.integers(1, 3), st.integers(1, 8), st.integers(1, 4), st.integers(0, 6), dtypes)
def test_the_trilinear_form(device, batch, channels, length, taps, points, dtype):
    x = values((length, batch, channels), dtype).transpose(1, 2, 0)
    gy, weight = np.zeros((batch, channels, points), dtype), np.zeros((batch, taps, points), dtype)
    gy += np.random.default_rng(0).standard_normal(gy.shape)
    weight += np.random.default_rng(1).standard_normal(weight.shape)
    index = np.random.default_rng(2).integers(0, length + 1, weight.shape)
    check(device, "weighted_gather", x, index, weight)
    check(device, "weighted_scatter", gy, index, weight, length)
    check(device, "gather_dot", x, gy, index)


# Elementwise and products --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 4), (), (0, 2)])
def test_elementwise(device, dtype, shape):
    x, gy, plus = (np.asarray(np.random.default_rng(i).standard_normal(shape), dtype) for i in range(3))
    if shape:
        x = np.where(x > 1, np.nan, x).astype(dtype)[::-1]
    y = np.maximum(x, 0)
    check(device, "relu", x)
    check(device, "relu_backward", gy, y)
    check(device, "relu_backward", gy, y, plus)
    check(device, "leaky_relu", x, 0.2)
    check(device, "leaky_relu_backward", gy, x, 0.2)
    check(device, "tanh_backward", gy, np.tanh(x))
    check(device, "erf", x)
    check(device, "unary", "tanh", x)
    check(device, "binary", "maximum", x, gy)
    check(device, "add", x, gy)
    check(device, "choose", np.asarray(x > 0), x, gy)
    check(device, "contiguous", x)


@pytest.mark.parametrize("dtype", [*DTYPES, "int64"])
def test_matmul(device, dtype):
    for a, b in [((3, 4), (4, 5)), ((2, 1, 3, 4), (3, 4, 2)), ((2, 3, 0), (2, 0, 4)), ((0, 3), (3, 2))]:
        rng = np.random.default_rng(0)
        check(device, "matmul", *((rng.standard_normal(shape) * 5).astype(dtype) for shape in (a, b)))


def test_relu_and_choice_of_integers(device):
    x = np.array([[3, -1], [0, 2]])
    np.testing.assert_array_equal(run(device, "relu", x)[0], np.maximum(x, 0))
    check(device, "choose", x > 0, x, np.array(7))
