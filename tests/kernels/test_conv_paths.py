"""Convolution: which path is taken, and that all of them agree with the textbook."""

import importlib
import inspect
import re
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.errors import ArgumentTypeError
from minidl.kernels import cpu, reference
from minidl.kernels.cpu import conv_columns, conv_general, winograd
from tests.kernels._workers import LAYOUTS, workers

conv = importlib.import_module("minidl.kernels.cpu.conv")  # the name in the package is that of the function

NAMES = ("conv", "conv_input_grad", "conv_weight_grad")
TOLERANCE = {"float32": 2e-6, "float64": 1e-13}
WINOGRAD = 2e-5
"""Errors that are allowed, beside the largest number of the result."""


@pytest.fixture(autouse=True)
def _winograd_as_before():
    before = conv.get_winograd()
    yield
    conv.set_winograd(before)


class Case(NamedTuple):
    """Shapes, settings, and the path that each of the three kernels takes (a stride-1 input gradient is a conv)."""

    x: tuple
    w: tuple
    paths: str  # of conv, input gradient, weight gradient
    padding: tuple | int = 0
    stride: tuple | int = 1
    dilation: tuple | int = 1
    groups: int = 1

    @property
    def settings(self):
        dims = len(self.x) - 2
        padding = (self.padding,) * dims if isinstance(self.padding, int) else self.padding
        pairs = tuple((p, p) if isinstance(p, int) else p for p in padding)
        stride, dilation = ((v,) * dims if isinstance(v, int) else v for v in (self.stride, self.dilation))
        return {"stride": stride, "padding": pairs, "dilation": dilation, "groups": self.groups}

    def expected_paths(self, dtype="float32"):
        """The full name of the path of each kernel. Without Winograd's algorithm, columns take its place."""
        names = dict(zip(NAMES, self.paths.split(), strict=True))
        if dtype == "float64":
            names = {kernel: name.replace("winograd", "columns") for kernel, name in names.items()}
        suits = {"winograd", "columns"} if self.groups == 1 else {"columns"}
        return {
            kernel: f"{name} conv" if kernel == "conv_input_grad" and name in suits else f"{name} {kernel}"
            for kernel, name in names.items()
        }


CASES = {
    "padding-1": Case((2, 8, 7, 9), (8, 8, 3, 3), "winograd winograd winograd", padding=1),
    "padding-0": Case((2, 8, 7, 6), (9, 8, 3, 3), "winograd winograd winograd"),
    "padding-2": Case((1, 10, 5, 6), (8, 10, 3, 3), "winograd winograd winograd", padding=2),
    "padding-5": Case((1, 8, 3, 2), (8, 8, 3, 3), "winograd winograd winograd", padding=5),
    "more-above-and-left": Case((2, 9, 6, 5), (8, 9, 3, 3), "winograd winograd winograd", padding=((2, 0), (3, 1))),
    "more-below-and-right": Case((2, 8, 5, 6), (8, 8, 3, 3), "winograd winograd winograd", padding=((0, 3), (1, 2))),
    "batch-1": Case((1, 12, 8, 9), (20, 12, 3, 3), "winograd winograd winograd", padding=1),
    "batch-5-of-one-tile": Case((5, 8, 4, 4), (8, 8, 3, 3), "winograd winograd winograd", padding=1),
    "one-pixel": Case((3, 8, 1, 1), (8, 8, 3, 3), "winograd pixel winograd", padding=1),
    "one-output": Case((3, 20, 3, 3), (8, 20, 3, 3), "winograd pixel winograd"),
    "one-output-of-some": Case(
        (3, 20, 4, 5), (8, 20, 3, 2), "columns pixel columns", stride=3, padding=((1, 0), (0, 0)), dilation=2
    ),
    "one-row": Case((2, 8, 1, 11), (8, 8, 3, 3), "winograd winograd winograd", padding=1),
    "cropped": Case((1, 8, 7, 8), (8, 8, 3, 3), "winograd general winograd", padding=((-1, 1), (0, -2))),
    "to-many-channels": Case((1, 8, 6, 5), (16, 8, 3, 3), "winograd spread winograd", padding=1),
    "7-channels": Case((2, 7, 6, 5), (8, 7, 3, 3), "columns columns columns", padding=1),
    "to-7-channels": Case((1, 16, 6, 5), (7, 16, 3, 3), "columns columns columns", padding=1),
    "few-to-few": Case((2, 3, 7, 6), (4, 3, 3, 3), "columns columns columns", padding=1),
    "few-to-many": Case((2, 3, 6, 7), (20, 3, 3, 3), "columns spread columns", padding=1),
    "many-to-few": Case((1, 20, 6, 5), (3, 20, 3, 3), "columns columns columns", padding=((0, 1), (2, 0))),
    "many-to-many-5x5": Case((1, 16, 6, 7), (17, 16, 5, 5), "columns columns columns", padding=2),
    "even-kernel": Case((2, 16, 5, 6), (16, 16, 2, 4), "columns columns columns", padding=((0, 1), (1, 2))),
    "dilated": Case((1, 16, 8, 9), (16, 16, 3, 3), "columns columns columns", padding=2, dilation=2),
    "one-axis-strided": Case((1, 16, 7, 7), (16, 16, 3, 3), "columns phases columns", padding=1, stride=(1, 2)),
    "1x1": Case((2, 16, 5, 6), (17, 16, 1, 1), "columns columns columns"),
    "1x1-of-few": Case((2, 3, 5, 6), (4, 3, 1, 1), "columns columns columns"),
    "1x1-padded": Case((2, 16, 4, 5), (16, 16, 1, 1), "columns columns columns", padding=((1, 0), (0, 2))),
    "1x1-strided": Case((2, 17, 7, 6), (16, 17, 1, 1), "columns phases columns", stride=2),
    "1x1-strided-few-to-many": Case((2, 3, 7, 6), (8, 3, 1, 1), "columns spread columns", stride=(2, 3)),
    "strided": Case((2, 16, 7, 8), (16, 16, 3, 3), "columns phases columns", padding=1, stride=2),
    "strided-of-few": Case((2, 4, 9, 8), (5, 4, 3, 3), "columns phases columns", padding=1, stride=2),
    "strided-7x7-of-few-to-many": Case((1, 3, 13, 12), (8, 3, 7, 7), "columns spread columns", padding=3, stride=2),
    "stride-beyond-the-kernel": Case((2, 16, 9, 8), (16, 16, 2, 2), "columns phases columns", stride=3),
    "last-rows-unseen": Case((2, 16, 8, 8), (16, 16, 3, 3), "columns phases columns", stride=(3, 2)),
    "dilated-few-to-many": Case((1, 4, 9, 8), (8, 4, 3, 2), "columns spread columns", padding=1, dilation=(2, 3)),
    "strided-and-dilated": Case((1, 16, 9, 8), (16, 16, 3, 3), "columns general columns", 1, 2, 2),
    "strided-and-dilated-few-to-many": Case((1, 4, 9, 8), (8, 4, 3, 3), "columns spread columns", 1, 2, 2),
    "cropped-columns": Case((2, 3, 7, 8), (4, 3, 3, 3), "columns general columns", padding=((1, -1), (-2, 0))),
    "sequence": Case((2, 16, 13), (16, 16, 3), "columns columns columns", padding=((2, 1),)),
    "strided-sequence": Case((2, 16, 13), (16, 16, 4), "columns phases columns", padding=1, stride=2),
    "sequence-few-to-many": Case((2, 2, 13), (9, 2, 3), "columns spread columns", padding=1, stride=2),
    "depthwise": Case((2, 9, 7, 6), (9, 1, 3, 3), "depthwise depthwise depthwise", padding=1, groups=9),
    "depthwise-asymmetric": Case(
        (1, 3, 7, 6), (3, 1, 3, 5), "depthwise depthwise depthwise", padding=((0, 2), (3, 1)), groups=3
    ),
    "depthwise-strided": Case((2, 4, 8, 7), (4, 1, 3, 3), "depthwise depthwise depthwise", 1, 2, groups=4),
    "depthwise-dilated": Case((2, 4, 8, 9), (4, 1, 3, 3), "depthwise depthwise depthwise", 2, 1, 2, groups=4),
    "depthwise-strided-and-dilated": Case((2, 4, 9, 8), (4, 1, 3, 3), "depthwise general depthwise", 1, 2, 2, groups=4),
    "depthwise-sequence": Case((2, 8, 13), (8, 1, 4), "depthwise depthwise depthwise", padding=2, groups=8),
    "depthwise-cropped": Case((2, 4, 8, 9), (4, 1, 3, 3), "depthwise general depthwise", ((-1, 0), (1, -1)), groups=4),
    "depthwise-multiplied": Case((2, 4, 5, 6), (8, 1, 3, 3), "general general general", padding=1, groups=4),
    "groups": Case((2, 6, 5, 6), (4, 3, 3, 3), "general general general", padding=1, stride=2, groups=2),
    "volume": Case((1, 2, 4, 3, 5), (3, 2, 2, 3, 2), "general general general", padding=1),
    "empty-batch": Case((0, 8, 5, 5), (8, 8, 3, 3), "general general general", padding=1),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def normal(shape, dtype, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@cache
def arguments(case, library=reference):
    """For each kernel its two arrays and its settings, and the result in float64."""
    x, w = normal(case.x, "float32", 0), normal(case.w, "float32", 1)
    exact = [array.astype(np.float64) for array in (x, w)]
    y = library.conv(*exact, **case.settings)
    gy = normal(y.shape, "float32", 2)
    exact.append(gy.astype(np.float64))
    of_input, of_weight = {"size": x.shape[2:]} | case.settings, {"kernel_size": w.shape[2:]} | case.settings
    for array in (x, w, gy):
        array.flags.writeable = False
    return {
        "conv": (x, w, case.settings, y),
        "conv_input_grad": (gy, w, of_input, library.conv_input_grad(exact[2], exact[1], **of_input)),
        "conv_weight_grad": (x, gy, of_weight, library.conv_weight_grad(exact[0], exact[2], **of_weight)),
    }


def run(name, a, b, settings, *bias):
    """The kernel's result, and the paths that were taken."""
    before = conv.paths.copy()
    y = getattr(cpu, name)(a, b, *bias, **settings)
    return y, conv.paths - before


def assert_near(actual, expected, tolerance, what=""):
    """Equal but for an error of so much of the largest number."""
    assert actual.shape == expected.shape and actual.flags.writeable, what
    if actual.size:
        error = np.abs(actual - expected).max() / max(np.abs(expected).max(), 1e-30)
        assert error <= tolerance, f"{what}: error {error:.2e} of the largest number"


def tolerance_of(path, dtype="float32"):
    return WINOGRAD if "winograd" in path else TOLERANCE[dtype]


# The table ------------------------------------------------------------------------------------------------------------


@cases
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_path_taken_is_the_right_one_and_gives_the_right_result(case, dtype):
    for name, (a, b, found, expected) in arguments(case).items():
        a, b, path = a.astype(dtype), b.astype(dtype), case.expected_paths(dtype)[name]
        kept = a.copy(), b.copy()
        for layout in LAYOUTS if a.ndim == 4 else ["NCHW", "gaps"]:
            y, taken = run(name, LAYOUTS[layout](a), b, found)
            assert taken == {path: 1}, name
            assert y.dtype == dtype
            assert_near(y, expected, tolerance_of(path, dtype), f"{name}, {layout}")
            if name == "conv_weight_grad" and b.ndim == 4:
                y, taken = run(name, a, LAYOUTS[layout](b), found)
                assert taken == {path: 1}, name
                assert_near(y, expected, tolerance_of(path, dtype), f"{name}, gy {layout}")
        np.testing.assert_array_equal(a, kept[0])
        np.testing.assert_array_equal(b, kept[1])


@cases
@pytest.mark.parametrize("layout", ["NCHW", "HWNC", "CHWN"])
def test_a_bias_is_added_to_every_output(case, layout):
    x, w, found, expected = arguments(case)["conv"]
    bias = normal(len(w), "float32", 3)
    y, taken = run("conv", LAYOUTS[layout](x) if x.ndim == 4 else x, w, found, bias)
    path = case.expected_paths()["conv"]
    assert taken == {path: 1}
    assert_near(y, expected + bias.astype(np.float64).reshape(-1, *(1,) * (y.ndim - 2)), tolerance_of(path))


@cases
def test_kernels_may_lie_in_memory_in_any_way(case):
    for name in ("conv", "conv_input_grad"):
        a, w, found, expected = arguments(case)[name]
        path = case.expected_paths()[name]
        turned = np.ascontiguousarray(np.flip(w, range(2, w.ndim)).swapaxes(0, 1))
        turned = np.flip(turned.swapaxes(0, 1), range(2, w.ndim))
        for seen in (np.asfortranarray(w), turned, np.repeat(w, 2, -1)[..., ::2]):
            y, taken = run(name, a, seen, found)
            assert taken == {path: 1}
            assert_near(y, expected, tolerance_of(path), name)


def test_every_path_is_in_the_table():
    known = set(re.findall(r'paths\["([^"]+)"\]', inspect.getsource(conv)))
    assert known == {path for case in CASES.values() for path in case.expected_paths().values()}


@cases
def test_a_gradient_repeated_over_all_outputs(case):
    """What the backward of a sum gives: strides of 0."""
    for name, position in (("conv_input_grad", 0), ("conv_weight_grad", 1)):
        a, b, found, _ = arguments(case)[name]
        arrays = [a, b]
        arrays[position] = np.broadcast_to(np.float32(0.5), arrays[position].shape)
        y, taken = run(name, *arrays, found)
        arrays[position] = arrays[position].copy()
        expected = getattr(conv_general, name)(*[array.astype(np.float64) for array in arrays], **found)
        assert taken == {case.expected_paths()[name]: 1}
        assert_near(y, expected, tolerance_of(str(taken)), name)


# Winograd's algorithm -------------------------------------------------------------------------------------------------


@cases
def test_without_winograd_columns_take_its_place(case):
    conv.set_winograd(False)
    assert not conv.get_winograd()
    for name, (a, b, found, expected) in arguments(case).items():
        y, taken = run(name, a, b, found)
        assert taken == {case.expected_paths()[name].replace("winograd", "columns"): 1}
        assert_near(y, expected, TOLERANCE["float32"], name)
    conv.set_winograd(True)
    assert conv.get_winograd()


@pytest.mark.parametrize("enabled", [0, 1, None, "yes", np.bool_(True), [True]])
def test_other_than_true_and_false_is_refused(enabled):
    with pytest.raises(ArgumentTypeError, match="set_winograd: enabled must be True or False, got"):
        conv.set_winograd(enabled)
    assert conv.get_winograd() is True


WINOGRAD_PATHS = dict(zip(NAMES, ("winograd conv", "winograd conv", "winograd conv_weight_grad"), strict=True))


@pytest.mark.parametrize("channels", [8, 20])
def test_winograd_writes_pixels_with_all_samples_side_by_side(channels):
    """In (H, W, N, C) memory, which the next convolution takes as it is."""
    x, w = normal((2, channels, 9, 9), "float32", 0), normal((channels, channels, 3, 3), "float32", 1)
    y, taken = run("conv", x, w, Case(x.shape, w.shape, "", padding=1).settings)
    assert taken == {"winograd conv": 1} and y.transpose(2, 3, 0, 1).flags.c_contiguous


@given(
    st.tuples(st.integers(1, 3), st.integers(8, 11), st.integers(1, 6), st.integers(1, 6)),
    st.integers(8, 11),
    st.tuples(*[st.integers(0, 3)] * 4),
    st.sampled_from(["NCHW", "HWNC", "CHWN", "gaps"]),
    st.booleans(),
)
@settings(max_examples=15)
def test_winograd_of_any_shape(shape, out_channels, pads, layout, biased):
    top, bottom, left, right = pads
    bottom, right = max(bottom, 3 - shape[2] - top), max(right, 3 - shape[3] - left)
    case = Case(shape, (out_channels, shape[1], 3, 3), "", padding=((top, bottom), (left, right)))
    for name, (a, b, found, expected) in arguments(case).items():
        bias = [normal(out_channels, "float32", 5)] if biased and name == "conv" else []
        y, taken = run(name, LAYOUTS[layout](a), b, found, *bias)
        one_pixel = name == "conv_input_grad" and a.shape[2:] == (1, 1)
        assert set(taken) == {"pixel conv_input_grad" if one_pixel else WINOGRAD_PATHS[name]}
        expected = expected + bias[0].reshape(-1, 1, 1) if bias else expected
        assert_near(y, expected, WINOGRAD, name)


LARGE = {
    "more-samples-than-a-block-has-tiles": Case((600, 8, 5, 6), (8, 8, 3, 3), "winograd winograd winograd", padding=1),
    "many-blocks": Case((3, 20, 37, 50), (17, 20, 3, 3), "winograd winograd winograd", padding=1),
    "many-channels": Case((2, 130, 18, 19), (140, 130, 3, 3), "winograd winograd winograd", padding=((0, 1), (2, 1))),
    "one-wide-row": Case((2, 16, 3, 700), (20, 16, 3, 3), "winograd winograd winograd"),
    "one-high-column": Case((2, 16, 700, 3), (20, 16, 3, 3), "winograd winograd winograd"),
    "7-samples-of-one-tile": Case((7, 16, 4, 4), (16, 16, 3, 3), "winograd winograd winograd", padding=1),
    "columns": Case((8, 20, 33, 35), (18, 20, 5, 5), "columns columns columns", padding=2),
    "columns-of-few": Case((40, 3, 33, 35), (5, 3, 3, 3), "columns columns columns", padding=1),
    "columns-part-of-a-row": Case((300, 16, 5, 20), (16, 16, 5, 5), "columns columns columns", padding=2),
    "columns-few-part-of-a-row": Case((2500, 4, 4, 20), (4, 4, 3, 5), "columns columns columns", padding=((1, 1), 2)),
    "1x1": Case((8, 20, 33, 35), (40, 20, 1, 1), "columns columns columns"),
    "strided": Case((8, 20, 33, 35), (18, 20, 3, 3), "columns phases columns", padding=1, stride=2),
    "strided-of-few": Case((8, 8, 33, 35), (10, 8, 4, 4), "columns phases columns", padding=1, stride=2),
    "spread": Case((16, 3, 65, 65), (24, 3, 7, 7), "columns spread columns", padding=3, stride=2),
    "depthwise": Case((8, 40, 33, 35), (40, 1, 5, 5), "depthwise depthwise depthwise", padding=2, groups=40),
    "depthwise-strided": Case((8, 40, 33, 35), (40, 1, 3, 3), "depthwise depthwise depthwise", 1, 2, groups=40),
}
large = pytest.mark.parametrize("case", LARGE.values(), ids=LARGE.keys())


@large
@pytest.mark.parametrize("count", [1, 2, 3])
def test_many_blocks_and_workers(case, count):
    with workers("threads" if count > 1 else "alone", count):
        for name, (a, b, found, expected) in arguments(case, conv_general).items():
            path = case.expected_paths()[name]
            for layout in ("NCHW", "HWNC", "CHWN"):
                y, taken = run(name, LAYOUTS[layout](a), b, found)
                assert taken == {path: 1}
                assert_near(y, expected, tolerance_of(path), f"{name}, {layout}")


# The same bits --------------------------------------------------------------------------------------------------------


@large
@pytest.mark.parametrize("count", [2, 3])
def test_results_are_the_same_each_time_and_whoever_the_workers_are(case, count):
    for name, (a, b, found, _) in arguments(case, conv_general).items():
        results = []
        for kind in ("threads", "processes", "processes", "threads"):
            with workers(kind, count):
                results.append(run(name, a, b, found)[0])
        for result in results[1:]:
            np.testing.assert_array_equal(result, results[0], err_msg=name)


def blocks_of(case, name, threads):
    """How the work of a convolution or input gradient is cut up with so many threads."""
    size = reference.conv(np.zeros((0, *case.x[1:])), np.zeros(case.w), **case.settings).shape[2:]
    out = size if name == "conv" else case.x[2:]
    path = case.expected_paths()[name]
    if path == "winograd conv":
        return winograd._blocks(*out, case.x[0], max(case.w[:2]), threads)
    if path == "columns conv":
        rows = case.w[1 if name == "conv" else 0] * case.w[2] * case.w[3]
        return conv_columns._blocks(out, case.x[0], rows * 4, threads)
    return None


@large
def test_outputs_do_not_depend_on_the_number_of_workers_where_the_blocks_do_not(case):
    for name, (a, b, found, _) in list(arguments(case, conv_general).items())[:2]:
        one, two = (blocks_of(case, name, threads) for threads in (1, 2))
        if one is None or one != two or case.w[2:] == (1, 1):
            continue
        results = []
        for kind in ("alone", "threads", "processes"):
            with workers(kind, 2):
                results.append(run(name, a, b, found)[0])
        for result in results[1:]:
            np.testing.assert_array_equal(result, results[0], err_msg=name)


def test_several_cases_above_have_the_same_blocks_for_one_and_two_workers():
    same = [
        (case_name, name)
        for case_name, case in LARGE.items()
        for name in ("conv", "conv_input_grad")
        if (one := blocks_of(case, name, 1)) is not None and one == blocks_of(case, name, 2) and len(one) > 1
    ]
    assert len(same) >= 8
    assert ("many-blocks", "conv") in same and ("columns", "conv_input_grad") in same


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(
    ("shape", "weight", "settings"),
    [
        ((3, 8, 9, 11), (8, 8, 3, 3), {"padding": ((1, 1), (1, 1))}),  # Winograd, ragged
        ((64, 16, 16, 16), (16, 16, 3, 3), {"padding": ((1, 1), (1, 1))}),  # Winograd, whole tiles
        ((70, 32, 3, 3), (40, 32, 3, 3), {"padding": ((1, 1), (1, 1))}),  # Winograd, the samples shared
        ((3, 20, 9, 11), (24, 20, 3, 3), {"stride": (2, 2)}),  # columns by pixel
        ((3, 3, 9, 11), (5, 3, 3, 3), {"stride": (2, 2)}),  # columns by channel
        ((3, 20, 5, 7), (24, 20, 1, 1), {}),  # a plain product
        ((3, 20, 5, 7), (4, 20, 1, 1), {}),  # the same, to channels
        ((3, 20, 9, 11), (20, 1, 3, 3), {"groups": 20}),  # depthwise
        ((3, 6, 9, 11), (4, 3, 3, 3), {"groups": 2}),  # general
        ((3, 6, 9), (4, 6, 3), {}),  # a sequence
        ((2, 3, 5, 5, 6), (4, 3, 3, 3, 3), {}),  # a volume
    ],
)
def test_what_follows_a_convolution_is_done_in_it(rng, shape, weight, settings, bias, plus, relu):
    dims = len(shape) - 2
    settings = {"stride": (1,) * dims, "padding": ((0, 0),) * dims, "dilation": (1,) * dims, "groups": 1} | settings
    x, w = (rng.standard_normal(s).astype(np.float32) for s in (shape, weight))
    y = cpu.conv(x, w, **settings)
    b = rng.standard_normal(weight[0]).astype(np.float32) if bias else None
    other = rng.standard_normal(y.shape).astype(np.float32) if plus else None
    expected = y.copy()
    if bias:
        expected += b.reshape(-1, *(1,) * dims)
    if plus:
        expected += other
    if relu:
        expected = np.maximum(expected, 0)
    np.testing.assert_allclose(cpu.conv(x, w, b, other, relu, **settings), expected, rtol=1e-4, atol=1e-4)
