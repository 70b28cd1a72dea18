"""The names that the documentation promises exist, in every form that PyTorch has."""

import inspect
from pathlib import Path

import numpy as np
import pytest

import minidl as ml
from minidl import autograd, functional
from minidl.autograd import Tensor

MAKERS = """tensor from_numpy zeros ones full empty eye arange linspace zeros_like ones_like full_like empty_like
    rand_like randn_like rand randn randint randperm normal""".split()
FUNCTIONS_AND_METHODS = """add sub mul div pow neg abs exp log log1p sqrt rsqrt sin cos tanh sigmoid relu clamp clip
    maximum minimum sign erf masked_fill eq ne lt le gt ge
    sum mean var std max min argmax argmin amax amin logsumexp norm prod cumsum any all
    reshape flatten unflatten squeeze unsqueeze transpose permute flip roll split chunk unbind gather scatter_add
    index_select take_along_dim matmul mm bmm outer dot where isnan isinf isfinite allclose equal clone""".split()
FUNCTIONS = "cat stack einsum pad is_grad_enabled no_grad enable_grad grad manual_seed Generator".split()
METHODS = """item numpy tolist detach clone to cpu cuda backward register_hook retain_grad requires_grad_ size numel dim
    view expand repeat float double half long int bool contiguous type_as""".split()
ATTRIBUTES = "data grad shape ndim dtype device requires_grad is_leaf grad_fn T mT".split()
DTYPES = "float32 float64 float16 int64 int32 uint8 bool".split()
OPERATORS = """neg pos abs invert add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow
    matmul rmatmul and rand or ror xor rxor eq ne lt le gt ge getitem setitem len iter bool float int index
    contains""".split()
AUTOGRAD = "Function FusedFunction Tensor grad gradcheck gradgradcheck no_grad enable_grad is_grad_enabled".split()
FUNCTIONAL = """linear bilinear embedding one_hot
    conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d unfold fold
    max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d
    adaptive_max_pool2d max_unpool2d lp_pool2d
    batch_norm layer_norm group_norm instance_norm local_response_norm normalize dropout dropout2d alpha_dropout
    relu relu6 leaky_relu prelu elu selu celu gelu silu hardswish hardsigmoid hardtanh mish softplus softsign sigmoid
    tanh logsigmoid softmax log_softmax softmin
    cross_entropy nll_loss binary_cross_entropy binary_cross_entropy_with_logits mse_loss l1_loss smooth_l1_loss
    huber_loss kl_div hinge_embedding_loss multi_margin_loss triplet_margin_loss cosine_similarity sigmoid_focal_loss
    dice_loss interpolate pad pixel_shuffle pixel_unshuffle affine_grid grid_sample""".split()


@pytest.mark.parametrize("name", MAKERS + FUNCTIONS + FUNCTIONS_AND_METHODS)
def test_functions(name):
    assert callable(getattr(ml, name))


@pytest.mark.parametrize("name", METHODS + FUNCTIONS_AND_METHODS)
def test_methods(name):
    assert callable(getattr(Tensor, name))


@pytest.mark.parametrize("name", FUNCTIONAL)
def test_functional(name):
    assert inspect.isfunction(getattr(functional, name))
    assert getattr(functional, name).__doc__


@pytest.mark.parametrize("name", AUTOGRAD)
def test_autograd(name):
    assert name in autograd.__all__ and hasattr(ml.autograd, name)


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name):
    assert callable(getattr(Tensor, f"__{name}__"))


def test_attributes():
    x = ml.ones(2, 2)
    for name in ATTRIBUTES:
        getattr(x, name)


def test_dtypes():
    for name in DTYPES:
        assert getattr(ml, name) == np.dtype(name)


def test_functions_of_both_kinds_are_one():
    """ml.relu is F.relu is the method: one definition of each operation."""
    for name in vars(functional):
        value = getattr(functional, name)
        if inspect.isfunction(value) and hasattr(ml, name):
            assert getattr(ml, name) is value, name
        if inspect.isfunction(value) and inspect.isfunction(getattr(Tensor, name, None)) and name != "where":
            assert getattr(Tensor, name) is value, name


def test_every_public_function_says_what_it_does():
    for name, value in vars(functional).items():
        if inspect.isfunction(value) and not name.startswith("_"):
            assert value.__doc__, name
            assert all(
                p.annotation is not inspect.Parameter.empty for p in inspect.signature(value).parameters.values()
            ), f"{name} has an argument without a type"


def test_names_of_pytorch_are_in_the_same_places():
    torch = pytest.importorskip("torch")
    names = [n for n, v in vars(functional).items() if inspect.isfunction(v) and not n.startswith("_")]
    missing = [n for n in FUNCTIONS_AND_METHODS if hasattr(torch.Tensor, n) and not hasattr(Tensor, n)]
    tensor_functions = [n for n in names if hasattr(torch.Tensor, n) and not hasattr(torch.nn.functional, n)]
    missing += [f"ml.{n}" for n in tensor_functions if hasattr(torch, n) and not hasattr(ml, n)]
    missing += [f"Tensor.{n}" for n in tensor_functions if not hasattr(Tensor, n)]
    assert missing == []


def test_type_checkers_are_told_that_there_are_types():
    assert (Path(ml.__file__).parent / "py.typed").is_file()


def test_everything_listed_is_there():
    for name in ml.__all__:
        getattr(ml, name)


def test_the_example_of_the_front_page():
    x = ml.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    assert repr(x.grad) == "tensor([2., 4.])"
    assert ml.__version__.count(".") == 2


def test_the_dtype_of_a_gradient_check_survives():
    assert ml.tensor(np.ones(2)).dtype == ml.float64 and ml.tensor([1.0]).dtype == ml.float32
