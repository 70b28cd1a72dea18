"""Cases of convolution, transposed convolution, unfold and fold."""

import warnings

import minidl.functional as F
from minidl.kernels import reference

from ._case import OpCase, normal


def each(value, dims):
    """One entry for each dimension."""
    return (value,) * dims if isinstance(value, int) else tuple(value)


def add_bias(y, bias):
    """One number for each channel of a batch, if there is a bias."""
    return y + bias[0].reshape(1, -1, *(1,) * (y.ndim - 2)) if bias else y


def conv_case(name, x, w, *, bias=False, pairs=None, stride=1, padding=0, dilation=1, groups=1):
    """`pairs`: what the padding means, where it is a string."""
    dims = len(w) - 2
    op = f"conv{dims}d"
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}

    def textbook(x, w, *b):
        unbatched = x.ndim == dims + 1
        y = reference.conv(
            x[None] if unbatched else x,
            w,
            stride=each(stride, dims),
            padding=pairs or tuple((p, p) for p in each(padding, dims)),
            dilation=each(dilation, dims),
            groups=groups,
        )
        y = add_bias(y, b)
        return y[0] if unbatched else y

    def theirs(torch, *inputs):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Using padding='same' with even kernel lengths")
            return getattr(torch.nn.functional, op)(*inputs, **settings)

    return OpCase(
        name=f"{op}-{name}",
        fn=lambda *inputs: getattr(F, op)(*inputs, **settings),
        inputs=normal(x, w, w[0]) if bias else normal(x, w),
        reference=textbook,
        torch=theirs,
        batch_axis=0 if len(x) == dims + 2 else None,
    )


def conv_transpose_case(name, x, w, *, bias=False, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    dims = len(w) - 2
    op = f"conv_transpose{dims}d"
    settings = {
        "stride": stride,
        "padding": padding,
        "output_padding": output_padding,
        "groups": groups,
        "dilation": dilation,
    }

    def textbook(x, w, *b):
        """Every pixel of x spreads its kernel over a canvas, whose edges are then cut off."""
        unbatched = x.ndim == dims + 1
        x = x[None] if unbatched else x
        s, p, e, d = (each(value, dims) for value in (stride, padding, output_padding, dilation))
        full = [(n - 1) * s[i] + d[i] * (w.shape[2 + i] - 1) + 1 for i, n in enumerate(x.shape[2:])]
        y = reference.conv_input_grad(
            x,
            w,
            size=tuple(n + e[i] for i, n in enumerate(full)),
            stride=s,
            padding=((0, 0),) * dims,
            dilation=d,
            groups=groups,
        )
        y = y[(..., *(slice(p[i], n + e[i] - p[i]) for i, n in enumerate(full)))]
        y = add_bias(y, b)
        return y[0] if unbatched else y

    return OpCase(
        name=f"{op}-{name}",
        fn=lambda *inputs: getattr(F, op)(*inputs, **settings),
        inputs=normal(x, w, w[1] * groups) if bias else normal(x, w),
        reference=textbook,
        torch=lambda torch, *inputs: getattr(torch.nn.functional, op)(*inputs, **settings),
        batch_axis=0 if len(x) == dims + 2 else None,
    )


def in_words(kernel_size, stride, padding, dilation):
    """The settings of windows over an image as the kernels take them."""
    return {
        "kernel_size": each(kernel_size, 2),
        "stride": each(stride, 2),
        "padding": tuple((p, p) for p in each(padding, 2)),
        "dilation": each(dilation, 2),
    }


def unfold_case(name, x, kernel_size, *, dilation=1, padding=0, stride=1):
    settings = {"kernel_size": kernel_size, "dilation": dilation, "padding": padding, "stride": stride}

    def textbook(x):
        y = reference.unfold(x if x.ndim == 4 else x[None], **in_words(**settings))
        return y if x.ndim == 4 else y[0]

    return OpCase(
        name=f"unfold-{name}",
        fn=lambda x: F.unfold(x, **settings),
        inputs=normal(x),
        reference=textbook,
        torch=lambda torch, x: torch.nn.functional.unfold(x, **settings),
        batch_axis=0 if len(x) == 4 else None,
    )


def fold_case(name, x, output_size, kernel_size, *, dilation=1, padding=0, stride=1):
    settings = {"kernel_size": kernel_size, "dilation": dilation, "padding": padding, "stride": stride}

    def textbook(x):
        y = reference.fold(x if x.ndim == 3 else x[None], size=each(output_size, 2), **in_words(**settings))
        return y if x.ndim == 3 else y[0]

    return OpCase(
        name=f"fold-{name}",
        fn=lambda x: F.fold(x, output_size, **settings),
        inputs=normal(x),
        reference=textbook,
        torch=lambda torch, x: torch.nn.functional.fold(x, output_size, **settings),
        batch_axis=0 if len(x) == 3 else None,
    )


CASES = [
    conv_case("plain", (2, 2, 6), (3, 2, 3)),
    conv_case("stride2-padding1-bias", (2, 2, 7), (2, 2, 3), bias=True, stride=2, padding=1),
    conv_case("dilation2-groups2", (2, 4, 7), (4, 2, 3), dilation=2, groups=2, padding=2),
    conv_case("same-even-kernel", (2, 1, 5), (2, 1, 4), padding="same", pairs=((1, 2),)),
    conv_case("unbatched-bias", (2, 5), (3, 2, 2), bias=True),
    conv_case("padding-wider-than-kernel", (1, 1, 3), (1, 1, 2), padding=3),
    conv_case("plain", (2, 2, 4, 4), (3, 2, 3, 3)),
    conv_case("bias", (2, 2, 4, 3), (3, 2, 2, 2), bias=True),
    conv_case("padding1-bias", (2, 2, 4, 4), (3, 2, 3, 3), bias=True, padding=1),
    conv_case("rectangular", (2, 2, 5, 4), (2, 2, 3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
    conv_case("stride2-last-row-unseen", (1, 2, 6, 5), (2, 2, 3, 2), stride=2),
    conv_case("stride3-beyond-kernel", (1, 2, 7, 7), (2, 2, 2, 2), stride=3),
    conv_case("dilation2", (1, 2, 5, 5), (2, 2, 2, 3), dilation=2, padding=1),
    conv_case("stride2-dilation3", (1, 1, 8, 7), (2, 1, 2, 3), stride=2, dilation=3, padding=1),
    conv_case("groups2-bias", (2, 4, 4, 3), (2, 2, 2, 2), bias=True, groups=2),
    conv_case("depthwise", (2, 3, 4, 4), (3, 1, 3, 3), groups=3, padding=1),
    conv_case("depthwise-multiplier2-stride2", (1, 2, 5, 5), (4, 1, 3, 3), groups=2, stride=2, padding=1),
    conv_case("1x1-bias", (2, 3, 3, 2), (2, 3, 1, 1), bias=True),
    conv_case("1x1-stride2-groups2", (2, 4, 4, 3), (2, 2, 1, 1), stride=2, groups=2),
    conv_case("1x1-padding1", (1, 2, 2, 3), (2, 2, 1, 1), padding=1),
    conv_case("same", (2, 2, 4, 3), (2, 2, 3, 3), padding="same", pairs=((1, 1), (1, 1))),
    conv_case("same-even-dilated", (1, 1, 4, 5), (2, 1, 2, 4), padding="same", dilation=(3, 1), pairs=((1, 2), (1, 2))),
    conv_case("valid", (1, 2, 4, 3), (2, 2, 3, 2), padding="valid", pairs=((0, 0), (0, 0))),
    conv_case("unbatched", (2, 4, 4), (3, 2, 3, 3), padding=1),
    conv_case("many-filters", (1, 1, 4, 4), (9, 1, 2, 2), stride=2),
    conv_case("plain-bias", (1, 2, 3, 3, 3), (2, 2, 2, 2, 2), bias=True),
    conv_case(
        "stride-padding-dilation",
        (1, 1, 4, 3, 5),
        (2, 1, 2, 3, 2),
        stride=(2, 1, 2),
        padding=(0, 1, 1),
        dilation=(1, 1, 2),
    ),
    conv_case("groups2-unbatched", (2, 3, 3, 2), (2, 1, 2, 2, 1), groups=2),
    conv_transpose_case("plain-bias", (2, 2, 4), (2, 3, 3), bias=True),
    conv_transpose_case("stride2-output_padding1", (2, 2, 3), (2, 1, 3), stride=2, padding=1, output_padding=1),
    conv_transpose_case("dilation3-output_padding2", (1, 1, 4), (1, 2, 2), dilation=3, output_padding=2),
    conv_transpose_case("plain", (2, 2, 3, 3), (2, 3, 2, 2)),
    conv_transpose_case("stride2-kernel4-bias", (2, 2, 3, 2), (2, 2, 4, 4), bias=True, stride=2, padding=1),
    conv_transpose_case("stride3-kernel2", (1, 2, 2, 3), (2, 2, 2, 2), stride=3),
    conv_transpose_case(
        "rectangular", (1, 2, 3, 2), (2, 2, 3, 2), stride=(2, 3), padding=(1, 0), output_padding=(1, 2), dilation=(2, 1)
    ),
    conv_transpose_case("groups2-bias", (2, 4, 2, 3), (4, 1, 2, 3), bias=True, groups=2, stride=2),
    conv_transpose_case("depthwise-upsampling", (1, 2, 2, 3), (2, 1, 4, 4), groups=2, stride=2, padding=1),
    conv_transpose_case("1x1-stride2", (1, 2, 2, 2), (2, 3, 1, 1), stride=2, output_padding=1),
    conv_transpose_case("unbatched", (2, 3, 3), (2, 2, 3, 3), padding=1),
    conv_transpose_case("few-filters", (1, 9, 3, 3), (9, 1, 3, 3), stride=2),
    conv_transpose_case("plain-bias", (1, 2, 2, 2, 2), (2, 1, 2, 2, 3), bias=True),
    conv_transpose_case(
        "stride2-output_padding1",
        (1, 1, 2, 2, 1),
        (1, 2, 3, 2, 2),
        stride=2,
        padding=(1, 0, 0),
        output_padding=(1, 0, 1),
    ),
    unfold_case("plain", (2, 2, 4, 3), 2),
    unfold_case("all-settings", (2, 1, 5, 6), (2, 3), dilation=(2, 1), padding=(1, 2), stride=(1, 2)),
    unfold_case("unbatched", (2, 3, 4), (3, 1), padding=1),
    fold_case("plain", (2, 8, 6), (4, 3), 2),
    fold_case("all-settings", (2, 6, 20), (5, 6), (2, 3), dilation=(2, 1), padding=(1, 2), stride=(1, 2)),
    fold_case("windows-apart-unbatched", (4, 4), 5, 2, stride=3),
]
