"""Cases of the normalizations."""

import numpy as np

import minidl.functional as F
from minidl.kernels import reference

from ._case import OpCase, normal


def with_statistics(x_shape):
    """x, a mean, a positive variance, weight and bias."""

    def draw(rng):
        channels = x_shape[1]
        x, mean, weight, bias = (rng.standard_normal(shape) for shape in (x_shape, channels, channels, channels))
        return [x, mean, rng.uniform(0.5, 2.0, channels), weight, bias]

    return draw


def zero_weight(x_shape):
    """x, a weight that is 0 for the first channel, and a bias."""

    def draw(rng):
        x, weight, bias = (rng.standard_normal(shape) for shape in (x_shape, x_shape[1], x_shape[1]))
        weight[0] = 0.0
        return [x, weight, bias]

    return draw


def batch_norm_case(name, inputs, *, eps=1e-5, use_weight=True, use_bias=True):
    """Batch norm in training; the inputs after x are the parameters that are used."""

    def parameters(rest):
        weight = rest[0] if use_weight else None
        return weight, (rest[-1] if use_bias else None)

    def fn(x, *rest):
        return F.batch_norm(x, None, None, *parameters(rest), training=True, eps=eps)

    return OpCase(
        name=f"batch_norm-{name}",
        fn=fn,
        inputs=inputs,
        reference=lambda x, *rest: reference.batch_norm(x, *parameters(rest), eps)[0],
        torch=lambda torch, x, *rest: torch.nn.functional.batch_norm(
            x, None, None, *parameters(rest), training=True, eps=eps
        ),
        batch_axis=0,
    )


def batch_norm_eval_case(name, x_shape, *, eps=1e-5, affine=True):
    """Batch norm by given statistics, which are not differentiated."""

    def parameters(weight, bias):
        return (weight, bias) if affine else (None, None)

    return OpCase(
        name=f"batch_norm-eval-{name}",
        fn=lambda x, mean, var, *rest: F.batch_norm(x, mean, var, *parameters(*rest), eps=eps),
        inputs=with_statistics(x_shape),
        reference=lambda x, mean, var, *rest: reference.batch_norm_eval(x, *parameters(*rest), mean, var, eps),
        torch=lambda torch, x, mean, var, *rest: torch.nn.functional.batch_norm(
            x, mean, var, *parameters(*rest), eps=eps
        ),
        diff=(0, 3, 4) if affine else (0,),
        batch_axis=0,
    )


def grouped(x, view, weight, bias, eps):
    """Group norm of x, seen as `view` (N, G, K, S), by the reference kernel."""
    weight, bias = (None if parameter is None else parameter.reshape(view[1:3]) for parameter in (weight, bias))
    return reference.group_norm(x.reshape(view), weight, bias, eps)[0].reshape(x.shape)


def group_norm_case(name, x_shape, groups, *, affine=True, eps=1e-5):
    channels = x_shape[1]

    def expected(x, weight=None, bias=None):
        view = (x.shape[0], groups, channels // groups, int(np.prod(x.shape[2:])))
        return grouped(x, view, weight, bias, eps)

    return OpCase(
        name=f"group_norm-{name}",
        fn=lambda x, *rest: F.group_norm(x, groups, *rest, eps=eps),
        inputs=normal(x_shape, channels, channels) if affine else normal(x_shape),
        reference=expected,
        torch=lambda torch, x, *rest: torch.nn.functional.group_norm(x, groups, *rest, eps=eps),
        batch_axis=0,
    )


def layer_norm_case(name, x_shape, shape, *, parameters=2, eps=1e-5):
    def expected(x, weight=None, bias=None):
        size = int(np.prod(shape))
        return grouped(x, (x.size // size, 1, size, 1), weight, bias, eps)

    return OpCase(
        name=f"layer_norm-{name}",
        fn=lambda x, *rest: F.layer_norm(x, shape, *rest, eps=eps),
        inputs=normal(x_shape, *[shape] * parameters),
        reference=expected,
        torch=lambda torch, x, *rest: torch.nn.functional.layer_norm(x, shape, *rest, eps=eps),
        batch_axis=0 if len(x_shape) > len(shape) else None,
    )


def instance_norm_case(name, x_shape, *, affine=True):
    def expected(x, weight=None, bias=None):
        return grouped(x, (*x.shape[:2], 1, int(np.prod(x.shape[2:]))), weight, bias, 1e-5)

    return OpCase(
        name=f"instance_norm-{name}",
        fn=lambda x, *rest: F.instance_norm(x, None, None, *rest),
        inputs=normal(x_shape, x_shape[1], x_shape[1]) if affine else normal(x_shape),
        reference=expected,
        torch=lambda torch, x, *rest: torch.nn.functional.instance_norm(x, None, None, *rest),
        batch_axis=0,
    )


def local_response_norm_case(name, x_shape, size, *, alpha=0.5, beta=0.75, k=2.0):
    return OpCase(
        name=f"local_response_norm-{name}",
        fn=lambda x: F.local_response_norm(x, size, alpha, beta, k),
        inputs=normal(x_shape),
        reference=lambda x: reference.local_response_norm(x, size, alpha, beta, k)[0],
        torch=lambda torch, x: torch.nn.functional.local_response_norm(x, size, alpha, beta, k),
        batch_axis=0,
    )


def normalize_case(name, x_shape, *, p=2.0, dim=1):
    return OpCase(
        name=f"normalize-{name}",
        fn=lambda x: F.normalize(x, p, dim),
        inputs=normal(x_shape),
        reference=lambda x: x / (np.abs(x) ** p).sum(dim, keepdims=True) ** (1 / p),
        torch=lambda torch, x: torch.nn.functional.normalize(x, p, dim),
        batch_axis=0,
    )


def rms_norm_case(name, x_shape, shape, *, parameters=1, eps=1e-3):
    axes = tuple(range(len(x_shape) - len(shape), len(x_shape)))
    return OpCase(
        name=f"rms_norm-{name}",
        fn=lambda x, *rest: F.rms_norm(x, shape, *rest, eps=eps),
        inputs=normal(x_shape, *[shape] * parameters),
        reference=lambda x, weight=1: x / np.sqrt((x * x).mean(axes, keepdims=True) + eps) * weight,
        torch=lambda torch, x, *rest: torch.nn.functional.rms_norm(x, shape, *rest, eps=eps),
        batch_axis=0,
    )


CASES = [
    batch_norm_case("2d", normal((3, 2, 3, 4), 2, 2)),
    batch_norm_case("2d-no-affine", normal((3, 2, 3, 4)), use_weight=False, use_bias=False),
    batch_norm_case("2d-weight-only", normal((3, 2, 3, 2), 2), use_bias=False),
    batch_norm_case("2d-bias-only", normal((3, 2, 3, 2), 2), use_weight=False),
    batch_norm_case("2d-large-eps", normal((3, 2, 3, 2), 2, 2), eps=0.5),
    batch_norm_case("2d-zero-weight", zero_weight((3, 2, 3, 2))),
    batch_norm_case("2d-long-rows", normal((2, 2, 6, 6), 2, 2)),
    batch_norm_case("features", normal((6, 3), 3, 3)),
    batch_norm_case("1d", normal((3, 2, 5), 2, 2)),
    batch_norm_case("3d", normal((2, 2, 2, 3, 2), 2, 2)),
    batch_norm_case("one-sample", normal((1, 3, 2, 3), 3, 3)),
    batch_norm_eval_case("2d", (2, 3, 3, 2)),
    batch_norm_eval_case("2d-no-affine", (2, 3, 3, 2), affine=False),
    batch_norm_eval_case("features", (4, 3), eps=0.1),
    batch_norm_eval_case("one-value", (1, 3)),
    group_norm_case("2-groups", (2, 4, 3, 2), 2),
    group_norm_case("1-group", (2, 3, 2, 2), 1),
    group_norm_case("no-affine", (2, 6, 3), 3, affine=False),
    group_norm_case("a-group-per-channel", (2, 3, 4), 3, eps=0.1),
    group_norm_case("features", (3, 6), 2),
    group_norm_case("3d", (2, 4, 2, 2, 2), 2),
    layer_norm_case("last", (4, 5), (5,)),
    layer_norm_case("last-of-3", (2, 3, 5), (5,), eps=0.1),
    layer_norm_case("last-two", (3, 2, 3), (2, 3)),
    layer_norm_case("no-affine", (3, 2, 3), (2, 3), parameters=0),
    layer_norm_case("weight-only", (3, 4), (4,), parameters=1),
    layer_norm_case("whole", (2, 3), (2, 3)),
    instance_norm_case("2d", (2, 3, 3, 2)),
    instance_norm_case("2d-no-affine", (2, 3, 3, 2), affine=False),
    instance_norm_case("1d", (2, 3, 5)),
    instance_norm_case("3d", (2, 2, 2, 2, 3)),
    local_response_norm_case("odd", (2, 5, 2, 2), 3),
    local_response_norm_case("even", (2, 5, 3), 4),
    local_response_norm_case("one-channel-windows", (2, 3, 2), 1),
    local_response_norm_case("window-wider-than-channels", (2, 3, 2, 2), 9, beta=0.5),
    local_response_norm_case("3d", (2, 4, 2, 2, 1), 3, alpha=0.1, beta=1.5, k=1.0),
    normalize_case("default", (3, 4)),
    normalize_case("channels", (2, 3, 2, 2)),
    normalize_case("last", (2, 3, 4), dim=-1),
    normalize_case("p3", (3, 4), p=3.0),
    rms_norm_case("last", (3, 5), (5,)),
    rms_norm_case("last-two", (2, 2, 3), (2, 3)),
    rms_norm_case("no-weight", (3, 5), (5,), parameters=0),
]
