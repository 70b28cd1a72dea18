"""Operation cases of the pooling family: the public functions against the textbook kernels and PyTorch."""

from math import prod

import numpy as np

import minidl.functional as F
from minidl.kernels import reference
from tests.op_cases._case import OpCase, distinct, normal, uniform


def windows_along(size, kernel, stride, padding, dilation, ceil_mode):
    """The number of windows along one dimension, counted: as long as they fit, or (ceil_mode) until all is covered."""
    span, count = dilation * (kernel - 1) + 1, 0
    covered = -padding
    while True:
        start = count * stride - padding
        fits = start + span <= size + padding
        sticks_out = ceil_mode and covered < size + padding and start < size
        if not (fits or sticks_out):
            return count
        covered, count = start + span, count + 1


def window(x, kernel, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The settings as tuples, and the output size, for a reference kernel."""
    kernel = kernel if isinstance(kernel, tuple) else (kernel,)
    dims = len(kernel)

    def spread(value):
        return value if isinstance(value, tuple) else (value,) * dims

    stride = kernel if stride is None else spread(stride)
    axes = zip(x.shape[-dims:], kernel, stride, spread(padding), spread(dilation), strict=True)
    return dict(
        kernel=kernel,
        stride=stride,
        padding=spread(padding),
        dilation=spread(dilation),
        out_size=tuple(windows_along(*axis, ceil_mode) for axis in axes),
    )


def textbook_avg(x, kernel, count_include_pad=True, divisor_override=None, **settings):
    found = window(x, kernel, **settings)
    del found["dilation"]
    return reference.avg_pool(x, **found, count_include_pad=count_include_pad, divisor_override=divisor_override)


def textbook_lp(x, p, kernel, **settings):
    return (textbook_avg(x**p, kernel, **settings) * prod(kernel)) ** (1 / p)


def functions(name, dims):
    """minidl's function and, to be called with the module, PyTorch's."""
    name = f"{name}{dims}d"
    return getattr(F, name), lambda torch: getattr(torch.nn.functional, name)


def max_case(name, shape, kernel, **settings):
    ours, theirs = functions("max_pool", len(kernel))
    return OpCase(
        name=f"max_pool{len(kernel)}d-{name}",
        fn=lambda x: ours(x, kernel, return_indices=True, **settings),
        inputs=distinct(shape),
        reference=lambda x: reference.max_pool(x, **window(x, kernel, **settings)),
        torch=lambda torch, x: theirs(torch)(x, kernel, return_indices=True, **settings),
        batch_axis=0 if len(shape) == len(kernel) + 2 else None,
    )


def avg_case(name, shape, kernel, **settings):
    ours, theirs = functions("avg_pool", len(kernel))
    return OpCase(
        name=f"avg_pool{len(kernel)}d-{name}",
        fn=lambda x: ours(x, kernel, **settings),
        inputs=normal(shape),
        reference=lambda x: textbook_avg(x, kernel, **settings),
        torch=lambda torch, x: theirs(torch)(x, kernel, **settings),
        batch_axis=0 if len(shape) == len(kernel) + 2 else None,
    )


def lp_case(name, shape, p, kernel, inputs, **settings):
    ours, theirs = functions("lp_pool", len(kernel))
    return OpCase(
        name=f"lp_pool{len(kernel)}d-{name}",
        fn=lambda x: ours(x, p, kernel, **settings),
        inputs=inputs(shape),
        reference=lambda x: textbook_lp(x, p, kernel, **settings),
        torch=lambda torch, x: theirs(torch)(x, p, kernel if len(kernel) > 1 else kernel[0], **settings),
        batch_axis=0,
    )


def adaptive_cases(name, shape, out_size, output_size=None):
    """The average and the maximum over the same windows; `output_size` is the argument where it is not `out_size`."""
    dims, argument = len(out_size), output_size or out_size
    avg, torch_avg = functions("adaptive_avg_pool", dims)
    largest, torch_largest = functions("adaptive_max_pool", dims)
    batch_axis = 0 if len(shape) == dims + 2 else None
    return [
        OpCase(
            name=f"adaptive_avg_pool{dims}d-{name}",
            fn=lambda x: avg(x, argument),
            inputs=normal(shape),
            reference=lambda x: reference.adaptive_avg_pool(x, out_size=out_size),
            torch=lambda torch, x: torch_avg(torch)(x, argument),
            batch_axis=batch_axis,
        ),
        OpCase(
            name=f"adaptive_max_pool{dims}d-{name}",
            fn=lambda x: largest(x, argument, return_indices=True),
            inputs=distinct(shape),
            reference=lambda x: reference.adaptive_max_pool(x, out_size=out_size),
            torch=lambda torch, x: torch_largest(torch)(x, argument, return_indices=True),
            batch_axis=batch_axis,
        ),
    ]


def unpool_case(name, shape, kernel, size, repeat=False, **settings):
    """`repeat` draws indices that occur several times, for which PyTorch has another gradient and so is no oracle."""
    ours, theirs = functions("max_unpool", len(kernel))

    def inputs(rng):
        planes = [rng.choice(prod(size), prod(shape[2:]), replace=repeat) for _ in range(prod(shape[:2]))]
        return [rng.standard_normal(shape), np.reshape(planes, shape)]

    return OpCase(
        name=f"max_unpool{len(kernel)}d-{name}",
        fn=lambda x, indices: ours(x, indices, kernel, **settings),
        inputs=inputs,
        reference=lambda x, indices: reference.plane_scatter(x, indices, size=size, accumulate=False),
        torch=None if repeat else lambda torch, x, indices: theirs(torch)(x, indices, kernel, **settings),
        batch_axis=0,
        batched=(0, 1),
    )


def positive(*shapes):
    return uniform(0.5, 1.5, *shapes)


CASES = [
    max_case("plain", (2, 2, 6), (2,)),
    max_case("overlap-pad", (2, 2, 7), (3,), stride=2, padding=1),
    max_case("dilation-unbatched", (2, 8), (3,), stride=1, dilation=2),
    max_case("plain", (2, 2, 4, 6), (2, 2)),
    max_case("overlap-pad", (1, 2, 5, 4), (3, 3), stride=2, padding=1),
    max_case("rectangular", (2, 1, 5, 6), (2, 3), stride=(1, 2), padding=(0, 1)),
    max_case("dilation", (1, 2, 6, 5), (2, 2), stride=(2, 1), dilation=(3, 2)),
    max_case("ceil", (1, 2, 5, 6), (2, 3), stride=(2, 2), padding=(1, 0), ceil_mode=True),
    max_case("ceil-drops-last", (1, 1, 5, 5), (3, 3), stride=3, padding=1, ceil_mode=True),
    max_case("gaps", (1, 1, 7, 7), (2, 1), stride=(3, 4)),
    max_case("global", (2, 3, 3, 4), (3, 4)),
    max_case("unbatched", (2, 4, 4), (2, 2)),
    max_case("plain", (1, 2, 4, 2, 4), (2, 2, 2)),
    max_case("overlap-pad", (1, 1, 3, 4, 3), (2, 3, 2), stride=(1, 2, 2), padding=(1, 1, 0)),
    avg_case("plain", (2, 2, 6), (2,)),
    avg_case("overlap-pad", (2, 2, 7), (3,), stride=2, padding=1),
    avg_case("ceil-exclude-pad", (2, 6), (3,), stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    avg_case("plain", (2, 2, 4, 6), (2, 2)),
    avg_case("rectangular", (2, 1, 5, 6), (2, 3), stride=(1, 2)),
    avg_case("include-pad", (1, 2, 5, 4), (3, 2), stride=2, padding=1),
    avg_case("exclude-pad", (1, 2, 5, 4), (3, 2), stride=(2, 1), padding=1, count_include_pad=False),
    avg_case("ceil", (1, 1, 5, 6), (3, 4), stride=(3, 3), padding=(1, 2), ceil_mode=True),
    avg_case("divisor", (1, 2, 4, 5), (2, 2), stride=1, padding=1, divisor_override=3),
    avg_case("unbatched", (2, 4, 4), (2, 2)),
    avg_case("plain", (1, 2, 4, 2, 4), (2, 2, 2)),
    avg_case("exclude-pad", (1, 1, 3, 4, 3), (2, 3, 2), stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    *adaptive_cases("uneven", (2, 2, 7), (3,)),
    *adaptive_cases("even-unbatched", (2, 6), (3,)),
    *adaptive_cases("global", (2, 3, 3, 4), (1, 1), output_size=1),
    *adaptive_cases("uneven", (1, 2, 5, 7), (3, 2)),
    *adaptive_cases("larger-than-input", (1, 2, 2, 3), (3, 5)),
    *adaptive_cases("none-keeps-size", (2, 1, 3, 4), (3, 2), output_size=(None, 2)),
    *adaptive_cases("uneven", (1, 1, 3, 2, 4), (2, 2, 3)),
    lp_case("p2", (2, 2, 6), 2, (3,), normal),
    lp_case("p3-overlap", (1, 2, 4, 5), 3, (2, 3), positive, stride=1),
    lp_case("p1.5-ceil", (1, 1, 5, 5), 1.5, (2, 2), positive, ceil_mode=True),
    lp_case("p2", (1, 1, 2, 4, 2), 2, (2, 2, 2), normal),
    unpool_case("plain", (2, 2, 3), (2,), (6,)),
    unpool_case("plain", (2, 2, 2, 3), (2, 2), (4, 6)),
    unpool_case("output-size", (1, 2, 2, 2), (2, 3), (5, 7), output_size=(5, 7)),
    unpool_case("overlap-pad", (1, 2, 3, 2), (3, 3), (5, 3), stride=2, padding=1),
    unpool_case("repeated-indices", (2, 2, 3, 3), (2, 2), (4, 4), repeat=True, stride=1),
    unpool_case("plain", (1, 2, 1, 2, 2), (2, 2, 2), (2, 4, 4)),
]
