"""Gradient clipping, parameters as one vector, spectral norm."""

import copy
import math

import numpy as np
import pytest

from minidl import functional as F
from minidl import nn
from minidl.autograd import Tensor, gradcheck, gradgradcheck
from minidl.errors import ArgumentError, ArgumentTypeError, GradientError, ShapeError
from minidl.nn import utils
from tests.nn._layers import Affine, array


def with_gradients(*gradients):
    parameters = []
    for gradient in gradients:
        parameters.append(nn.Parameter(np.zeros_like(gradient)))
        parameters[-1].grad = Tensor(gradient.copy())
    return parameters


class TestClipNorm:
    gradients = (np.array([[3.0, 0.0]]), np.array([0.0, 4.0]))

    def test_scales_to_the_norm(self):
        parameters = with_gradients(*self.gradients)
        data = parameters[0].grad.data
        norm = utils.clip_grad_norm_(iter(parameters), 1.0)
        assert norm.item() == 5 and norm.shape == ()
        np.testing.assert_allclose(parameters[0].grad.data, [[0.6, 0]], rtol=1e-6)
        np.testing.assert_allclose(parameters[1].grad.data, [0, 0.8], rtol=1e-6)
        assert parameters[0].grad.data is data

    def test_leaves_small_gradients_alone(self):
        parameters = with_gradients(*self.gradients)
        utils.clip_grad_norm_(parameters, 5.1)
        np.testing.assert_array_equal(parameters[1].grad.data, [0, 4])

    def test_skips_parameters_without_gradient(self):
        parameter = nn.Parameter(array(2))
        assert utils.clip_grad_norm_(parameter, 1.0).item() == 0
        assert utils.clip_grad_norm_([parameter, *with_gradients(self.gradients[0])], 1.0).item() == 3

    def test_float32_stays_float32(self):
        (parameter,) = with_gradients(10 * array(3))
        norm = utils.clip_grad_norm_(parameter, 1)
        assert parameter.grad.dtype == np.float32 and norm.dtype == np.float32

    def test_not_finite(self):
        parameters = with_gradients(np.array([1.0]), np.array([np.nan]))
        with pytest.raises(GradientError, match="the norm of the gradients is nan; lower the learning rate"):
            utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
        assert parameters[0].grad.tolist() == [1]
        assert math.isnan(utils.clip_grad_norm_(parameters, 1.0).item())

    def test_leaves_alone_what_a_graph_has_saved(self):
        layer = Affine(bias=False)
        x = Tensor(array(3), requires_grad=True)
        (layer(x) ** 2).sum().backward(create_graph=True)
        gradient, x.grad = layer.weight.grad, None
        penalty = (gradient**2).sum()
        utils.clip_grad_norm_(layer.parameters(), 0.1)
        penalty.backward()
        np.testing.assert_allclose(x.grad.data, 16 * array(3) ** 5, rtol=1e-6)  # gradient = 2 x² w, with w = x
        assert layer.weight.grad is not gradient and layer.weight.grad.grad_fn is None

    @pytest.mark.parametrize("p", [1, 2, 3.5, math.inf, "inf"])
    def test_against_pytorch(self, p, rng):
        torch = pytest.importorskip("torch")
        gradients = [rng.standard_normal(shape) for shape in ((3, 4), (5,), (2, 2, 2))]
        parameters = with_gradients(*gradients)
        others = [torch.zeros(gradient.shape, dtype=torch.float64) for gradient in gradients]
        for other, gradient in zip(others, gradients, strict=True):
            other.grad = torch.from_numpy(gradient.copy())
        norm = utils.clip_grad_norm_(parameters, 0.7, norm_type=p)
        expected = torch.nn.utils.clip_grad_norm_(others, 0.7, norm_type=float(p))
        assert norm.item() == pytest.approx(expected.item(), rel=1e-13)
        for parameter, other in zip(parameters, others, strict=True):
            np.testing.assert_allclose(parameter.grad.data, other.grad.numpy(), rtol=1e-12)


def test_clip_value():
    parameters = with_gradients(np.array([-3.0, 0.5]), np.array([7.0]))
    data = parameters[0].grad.data
    utils.clip_grad_value_([*parameters, nn.Parameter(array(1))], 1.0)
    assert parameters[0].grad.data is data and data.tolist() == [-1, 0.5] and parameters[1].grad.tolist() == [1]


@pytest.mark.parametrize("clip", [utils.clip_grad_norm_, utils.clip_grad_value_])
def test_clipping_something_else(clip):
    with pytest.raises(ArgumentTypeError, match="_: parameters is a Affine; give model.parameters()"):
        clip(Affine(), 1.0)
    with pytest.raises(ArgumentTypeError, match="_: a parameter must be a Tensor, got int"):
        clip([1], 1.0)
    with pytest.raises(ArgumentError, match="must not be negative, got -1"):
        clip(Affine().parameters(), -1)


class TestVector:
    def test_round_trip(self):
        layer, other = Affine(), Affine()
        vector = utils.parameters_to_vector(layer.parameters())
        assert vector.tolist() == [1, 2, 3, 0, 0, 0]
        data = other.weight.data
        utils.vector_to_parameters(Tensor(10 * array(6)), other.parameters())
        assert other.weight.data is data
        assert other.weight.tolist() == [10, 20, 30] and other.bias.tolist() == [40, 50, 60]

    def test_gradients_flow(self):
        layer = Affine()
        (utils.parameters_to_vector(layer.parameters()) ** 2).sum().backward()
        assert layer.weight.grad.tolist() == [2, 4, 6]

    def test_wrong_length(self):
        layer = Affine()
        with pytest.raises(ShapeError, match=r"needs shape \(6,\) for these parameters, got \(5,\)"):
            utils.vector_to_parameters(Tensor(array(5)), layer.parameters())
        assert layer.weight.tolist() == [1, 2, 3]
        with pytest.raises(ArgumentTypeError, match="vector_to_parameters: vec must be a Tensor, got list"):
            utils.vector_to_parameters([1.0], layer.parameters())


class Conv(nn.Module):
    """A layer with a weight of four dimensions, by einsum."""

    def __init__(self, rng, shape=(3, 2, 2, 2)):
        super().__init__()
        self.weight = nn.Parameter(rng.standard_normal(shape))

    def forward(self, x):
        return F.einsum("oihw,bihw->bo", self.weight, x)


class TestSpectralNorm:
    def test_names_as_pytorch(self, rng):
        torch = pytest.importorskip("torch")
        theirs = torch.nn.utils.spectral_norm(torch.nn.Conv2d(2, 3, 2, bias=False))
        ours = utils.spectral_norm(Conv(rng))
        assert {k: v.shape for k, v in ours.state_dict().items()} == {
            k: tuple(v.shape) for k, v in theirs.state_dict().items()
        }

    def test_largest_singular_value_becomes_one(self, rng):
        layer = Conv(rng)
        expected = layer.weight.data / np.linalg.svd(layer.weight.data.reshape(3, -1), compute_uv=False)[0]
        assert utils.spectral_norm(layer, n_power_iterations=200) is layer
        layer(Tensor(array(1, 2, 2, 2, dtype=np.float64)))
        np.testing.assert_allclose(layer.weight.data, expected, rtol=1e-9)
        assert [name for name, _ in layer.named_parameters()] == ["weight_orig"]

    def test_transposed_convolutions_count_outputs_in_dimension_1(self, rng):
        class Enlarge(nn.ConvTranspose2d):
            """Counts as one under any name."""

        layer = utils.spectral_norm(Enlarge(3, 2, 2))
        assert layer.weight_u.shape == (2,) and layer.weight_v.shape == (12,)
        assert utils.spectral_norm(Conv(rng), dim=2).weight_u.shape == (2,)

    def test_training_improves_the_estimate_and_evaluation_does_not(self, rng):
        layer = utils.spectral_norm(Conv(rng))
        x = Tensor(array(1, 2, 2, 2, dtype=np.float64))
        before = layer.weight_u.data.copy()
        layer.eval()(x)
        np.testing.assert_array_equal(layer.weight_u.data, before)
        layer.train()(x)
        assert np.abs(layer.weight_u.data - before).max() > 1e-6

    def test_two_forwards_before_one_backward(self, rng):
        layer = utils.spectral_norm(Conv(rng))
        x = Tensor(array(1, 2, 2, 2, dtype=np.float64))
        (layer(x).sum() - 2 * layer(-x).sum()).backward()
        assert np.isfinite(layer.weight_orig.grad.data).all()

    @pytest.mark.parametrize("dim", [0, 1, 3])
    def test_first_and_second_derivatives(self, rng, dim):
        layer = utils.spectral_norm(Conv(rng), dim=dim).eval()
        x = Tensor(rng.standard_normal((2, 2, 2, 2)), requires_grad=True)
        assert gradcheck(layer, [x])
        weight = layer.weight_orig
        assert gradgradcheck(lambda x, w: layer(x), [x, weight])

    def test_against_pytorch(self, rng):
        torch = pytest.importorskip("torch")
        ours = utils.spectral_norm(nn.Linear(4, 3).double(), n_power_iterations=2)
        theirs = torch.nn.utils.spectral_norm(torch.nn.Linear(4, 3, dtype=torch.float64), n_power_iterations=2)
        theirs.load_state_dict({name: torch.from_numpy(t.data.copy()) for name, t in ours.state_dict().items()})
        for _ in range(3):
            x = rng.standard_normal((5, 4))
            y, z = ours(Tensor(x)), theirs(torch.from_numpy(x))
            np.testing.assert_allclose(y.detach().data, z.detach().numpy(), rtol=1e-12)
            (y**2).sum().backward()
            (z**2).sum().backward()
            np.testing.assert_allclose(ours.weight_orig.grad.data, theirs.weight_orig.grad.numpy(), rtol=1e-10)
            np.testing.assert_allclose(ours.weight_u.data, theirs.weight_u.numpy(), rtol=1e-10)

    def test_remove(self, rng):
        layer = utils.spectral_norm(Conv(rng))
        x = Tensor(array(1, 2, 2, 2, dtype=np.float64))
        expected = layer.eval()(x).data
        assert utils.remove_spectral_norm(layer) is layer
        np.testing.assert_allclose(layer(x).data, expected)
        assert list(layer.state_dict()) == ["weight"] and isinstance(layer.weight, nn.Parameter)
        assert layer.weight.requires_grad and not layer._forward_pre_hooks

    def test_deepcopy_before_the_first_forward(self, rng):
        layer = utils.spectral_norm(Conv(rng))
        twin = copy.deepcopy(layer)
        x = Tensor(array(1, 2, 2, 2, dtype=np.float64))
        np.testing.assert_array_equal(twin(x).data, layer(x).data)
        assert utils.remove_spectral_norm(twin).weight is not layer.weight and "weight_orig" in layer.state_dict()

    def test_errors(self, rng):
        layer = utils.spectral_norm(Conv(rng))
        with pytest.raises(ArgumentError, match="'weight' of Conv is normalized already"):
            utils.spectral_norm(layer)
        with pytest.raises(ArgumentError, match=r"Conv has no parameter 'bias', only \['weight_orig'\]"):
            utils.spectral_norm(layer, "bias")
        with pytest.raises(ArgumentError, match="n_power_iterations must be at least 1, got 0"):
            utils.spectral_norm(Conv(rng), n_power_iterations=0)
        with pytest.raises(ArgumentError, match="'weight' of Conv is not normalized"):
            utils.remove_spectral_norm(Conv(rng))
