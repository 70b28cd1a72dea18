"""Settings of every operation: a wrong kind is named, and NumPy's scalars promote nothing."""

import numpy as np
import pytest

import minidl as ml
from minidl import functional as F
from minidl.errors import ArgumentTypeError, MinidlError

x = ml.tensor([[0.5, -1.0, 2.0, 0.25], [1.5, 0.75, -2.0, 3.0]])
image = ml.tensor(np.linspace(-1, 1, 2 * 4 * 6 * 6, dtype=np.float32).reshape(2, 4, 6, 6))
labels = ml.tensor([1, 3])

NUMBERS = {  # one call for each number that an operation takes
    "leaky_relu": lambda v: F.leaky_relu(x, v),
    "elu": lambda v: F.elu(x, v),
    "celu": lambda v: F.celu(x, v),
    "hardtanh-min": lambda v: F.hardtanh(x, v, 5.0),
    "hardtanh-max": lambda v: F.hardtanh(x, -5.0, v),
    "softplus-beta": lambda v: F.softplus(x, v),
    "softplus-threshold": lambda v: F.softplus(x, 1.0, v),
    "threshold": lambda v: F.threshold(x, v, 1.0),
    "batch_norm-eps": lambda v: F.batch_norm(image, None, None, training=True, eps=v),
    "batch_norm-momentum": lambda v: F.batch_norm(image, ml.zeros(4), ml.ones(4), training=True, momentum=v),
    "layer_norm": lambda v: F.layer_norm(x, (4,), eps=v),
    "group_norm": lambda v: F.group_norm(image, 2, eps=v),
    "instance_norm": lambda v: F.instance_norm(image, eps=v),
    "rms_norm": lambda v: F.rms_norm(x, (4,), eps=v),
    "local_response_norm": lambda v: F.local_response_norm(image, 3, alpha=v),
    "normalize-p": lambda v: F.normalize(x, v),
    "norm": lambda v: F.norm(x, v),
    "std": lambda v: F.std(x, correction=v),
    "lp_pool2d": lambda v: F.lp_pool2d(image.abs(), v, 2),
    "avg_pool2d": lambda v: F.avg_pool2d(image, 2, divisor_override=v),
    "pad": lambda v: F.pad(x, (1, 1), value=v),
    "clamp": lambda v: x.clamp(min=v),
    "masked_fill": lambda v: x.masked_fill(x > 0, v),
    "cross_entropy": lambda v: F.cross_entropy(x, labels, label_smoothing=v),
    "smooth_l1_loss": lambda v: F.smooth_l1_loss(x, x * 2, beta=v),
    "huber_loss": lambda v: F.huber_loss(x, x * 2, delta=v),
    "triplet_margin_loss": lambda v: F.triplet_margin_loss(x, x * 2, x + 1, margin=v),
    "cosine_similarity": lambda v: F.cosine_similarity(x, x * 2, eps=v),
    "sigmoid_focal_loss": lambda v: F.sigmoid_focal_loss(x, (x > 0).float(), alpha=v),
}
numbers = pytest.mark.parametrize("call", NUMBERS.values(), ids=NUMBERS.keys())


@numbers
@pytest.mark.parametrize("wrong", [[1, 2], "x", {}, object()], ids=["list", "string", "dict", "object"])
def test_what_is_no_number_is_refused_by_name(call, wrong):
    with pytest.raises(MinidlError, match=r"number|Tensor|must"):
        call(wrong)


@numbers
def test_a_numpy_scalar_is_as_good_as_a_python_number(call):
    y, reference = call(np.float64(0.5)), call(0.5)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.data, reference.data)


@pytest.mark.parametrize(
    "call",
    [
        lambda v: F.one_hot(labels, v),
        lambda v: x.round(decimals=v),
        lambda v: F.cross_entropy(x, labels, ignore_index=v),
        lambda v: ml.randperm(v),
        lambda v: ml.linspace(0, 1, v),
        lambda v: x.split(v),
        lambda v: x.chunk(v),
        lambda v: x.narrow(0, v, 1),
        lambda v: x.roll(v, 0),
        lambda v: x.roll(1, v),
        lambda v: x.topk(v),
        lambda v: x.tril(v),
        lambda v: x.diagonal(v),
        lambda v: x.select(0, v),
        lambda v: ml.bincount(labels, minlength=v),
    ],
)
@pytest.mark.parametrize("wrong", [1.5, "x", True, {}])
def test_what_is_no_integer_is_refused_by_name(call, wrong):
    with pytest.raises(ArgumentTypeError, match="must be (an )?integer"):
        call(wrong)


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "max", "argmax", "prod", "logsumexp", "norm", "any", "all"])
def test_a_second_dim_is_not_taken_for_keepdim(name):
    with pytest.raises(ArgumentTypeError, match="keepdim must be True or False, got 1; give several dims as one tuple"):
        (getattr(x, name)(0, 1) if name != "norm" else x.norm(2, 0, 1))


@pytest.mark.parametrize("name", "relu relu6 elu selu celu leaky_relu hardtanh hardswish hardsigmoid silu mish".split())
def test_inplace_is_accepted_and_writes_nothing(name):
    before = x.data.copy()
    y = getattr(F, name)(x, inplace=True)
    np.testing.assert_array_equal(y.data, getattr(F, name)(x).data)
    np.testing.assert_array_equal(x.data, before)


@pytest.mark.parametrize("wrong", [None, [1.0], "x", 1.5, {}])
@pytest.mark.parametrize("name", ["hardsigmoid", "hardswish", "relu", "softplus", "sort", "tril", "hstack", "meshgrid"])
def test_what_is_no_tensor_is_refused(name, wrong):
    with pytest.raises(ArgumentTypeError, match=f"{name}|relu"):
        getattr(F, name)(wrong)


def test_modes_and_sizes_of_the_wrong_kind_are_refused():
    with pytest.raises(MinidlError, match=r"mode must be one of .* got \['nearest'\]"):
        F.interpolate(image, scale_factor=2, mode=["nearest"])
    with pytest.raises(ArgumentTypeError, match="affine_grid: sizes must be integers, got .*None"):
        F.affine_grid(ml.zeros(1, 2, 3), None)
    with pytest.raises(ArgumentTypeError, match="unflatten: sizes must be integers, got .*1.5"):
        x.unflatten(1, 1.5)
