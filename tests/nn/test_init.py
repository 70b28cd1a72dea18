"""Initial values: distributions, formulas, structure."""

import math

import numpy as np
import pytest

import minidl as ml
from minidl.autograd import Tensor
from minidl.backend import Generator
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from minidl.nn import init

RANDOM = [
    init.uniform_,
    init.normal_,
    init.trunc_normal_,
    init.xavier_uniform_,
    init.xavier_normal_,
    init.kaiming_uniform_,
    init.kaiming_normal_,
    init.orthogonal_,
    lambda tensor, generator=None: init.sparse_(tensor, 0.3, generator=generator),
]


def empty(*shape, dtype=np.float64):
    return Tensor(np.full(shape, np.nan, dtype))


class TestAllOfThem:
    @pytest.mark.parametrize("fill", RANDOM)
    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_fill_in_place_and_return_the_tensor(self, fill, dtype):
        tensor = empty(7, 5, dtype=dtype)
        data = tensor.data
        assert fill(tensor) is tensor and tensor.data is data
        assert tensor.dtype == dtype and np.isfinite(data).all()

    @pytest.mark.parametrize("fill", RANDOM)
    def test_are_reproducible(self, fill):
        ml.manual_seed(1)
        first = fill(empty(4, 3)).tolist()
        ml.manual_seed(1)
        assert fill(empty(4, 3)).tolist() == first
        assert fill(empty(4, 3)).tolist() != first

    @pytest.mark.parametrize("fill", RANDOM)
    def test_take_a_generator(self, fill):
        first = fill(empty(4, 3), generator=Generator(3)).tolist()
        ml.manual_seed(5)
        assert fill(empty(4, 3), generator=Generator(3)).tolist() == first

    @pytest.mark.parametrize("fill", RANDOM)
    def test_write_into_views(self, fill):
        whole = np.zeros((6, 4))
        fill(Tensor(whole[::2].T))
        assert np.count_nonzero(whole[::2]) and not whole[1::2].any()

    def test_refuse_arrays(self):
        with pytest.raises(ArgumentTypeError, match="ones_: tensor must be a Tensor, got ndarray"):
            init.ones_(np.zeros(3))

    @pytest.mark.parametrize(
        "fill", [lambda t: init.uniform_(t), init.normal_, init.trunc_normal_, init.eye_, init.dirac_, init.bilinear_]
    )
    def test_refuse_what_is_no_tensor(self, fill):
        with pytest.raises(ArgumentTypeError, match="_: tensor must be a Tensor, got list"):
            fill([1.0])

    @pytest.mark.parametrize("fill", [init.uniform_, init.normal_, init.trunc_normal_, init.kaiming_normal_])
    def test_random_numbers_need_floats(self, fill):
        """In an integer tensor nearly all of them would become 0."""
        with pytest.raises(DtypeError, match="tensor must be a floating-point tensor, got int64"):
            fill(Tensor(np.zeros((2, 2), np.int64)))

    def test_refuse_other_generators(self):
        with pytest.raises(ArgumentTypeError, match="generator must be a minidl.Generator or None, got Generator"):
            init.normal_(Tensor(np.zeros(3)), generator=np.random.default_rng())

    def test_are_seen_by_a_graph_that_saved_the_parameter(self):
        x = Tensor(np.ones(2), requires_grad=True)
        y = (x * x).sum()
        init.zeros_(x)
        with pytest.raises(RuntimeError, match="changed in place"):
            y.backward()


class TestConstants:
    def test_values(self):
        assert init.constant_(empty(2), 3).tolist() == [3, 3]
        assert init.zeros_(empty(2)).tolist() == [0, 0]
        assert init.ones_(empty(2)).tolist() == [1, 1]
        assert init.eye_(empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]

    def test_dirac_passes_the_input_on(self):
        w = init.dirac_(empty(3, 2, 3, 3)).data
        expected = np.zeros((3, 2, 3, 3))
        expected[0, 0, 1, 1] = expected[1, 1, 1, 1] = 1
        np.testing.assert_array_equal(w, expected)

    def test_dirac_in_groups(self):
        w = init.dirac_(empty(4, 2, 3), groups=2).data
        assert np.argwhere(w).tolist() == [[0, 0, 1], [1, 1, 1], [2, 0, 1], [3, 1, 1]]

    @pytest.mark.parametrize("size, line", [(4, [0.25, 0.75, 0.75, 0.25]), (3, [0.5, 1, 0.5]), (1, [1])])
    def test_bilinear(self, size, line):
        w = init.bilinear_(empty(2, 2, size, 4)).data
        np.testing.assert_allclose(w[0, 0], np.outer(line, [0.25, 0.75, 0.75, 0.25]))
        np.testing.assert_array_equal(w[0, 0], w[1, 1])
        assert not w[0, 1].any() and not w[1, 0].any()

    def test_bilinear_in_groups(self):
        w = init.bilinear_(empty(3, 1, 4, 4)).data
        np.testing.assert_array_equal(w[0], w[2])
        assert w.any(axis=(1, 2, 3)).all()


class TestDistributions:
    size = 40_000

    def test_uniform(self):
        x = init.uniform_(empty(self.size), -2, 5).data
        assert x.min() >= -2 and x.max() < 5
        assert abs(x.mean() - 1.5) < 0.05 and abs(x.std() - 7 / math.sqrt(12)) < 0.05

    def test_normal(self):
        x = init.normal_(empty(self.size), 3, 0.5).data
        assert abs(x.mean() - 3) < 0.02 and abs(x.std() - 0.5) < 0.02

    @pytest.mark.parametrize(
        "mean, std, low, high",
        [(0, 1, -2, 2), (0, 0.02, -2, 2), (1, 1, -0.5, 1.5), (0, 1, 2, 9), (0, 1, -math.inf, -3), (0, 1, -1e-3, 2e-3)],
    )
    def test_trunc_normal(self, mean, std, low, high):
        x = init.trunc_normal_(empty(self.size), mean, std, low, high).data
        assert x.min() >= low and x.max() <= high
        # against the exact distribution function, at its deciles (Kolmogorov–Smirnov at about 1e-6)
        phi = np.vectorize(lambda value: (1 + math.erf((value - mean) / std / math.sqrt(2))) / 2)
        exact = (phi(np.sort(x)) - phi(low)) / (phi(high) - phi(low))
        assert np.abs(exact - np.linspace(0, 1, self.size)).max() < 2.6 / math.sqrt(self.size)

    @pytest.mark.parametrize(
        "fill, std",
        [
            (init.xavier_uniform_, math.sqrt(2 / (80 * 9 + 120 * 9))),
            (init.xavier_normal_, math.sqrt(2 / (80 * 9 + 120 * 9))),
            (init.kaiming_uniform_, math.sqrt(2 / (80 * 9))),
            (init.kaiming_normal_, math.sqrt(2 / (80 * 9))),
        ],
    )
    def test_variance_of_weights(self, fill, std):
        x = fill(empty(120, 80, 3, 3)).data
        assert abs(x.mean()) < 0.02 * std and abs(x.std() / std - 1) < 0.01
        if "uniform" in fill.__name__:
            assert np.abs(x).max() <= math.sqrt(3) * std

    def test_kaiming_settings(self):
        std = init.kaiming_normal_(empty(200, 100), a=1, mode="fan_out").data.std()
        assert abs(std - math.sqrt(1 / 200)) < 0.002
        std = init.kaiming_normal_(empty(200, 100), nonlinearity="tanh").data.std()
        assert abs(std - 5 / 3 / math.sqrt(100)) < 0.005
        assert abs(init.xavier_normal_(empty(200, 100), gain=3).data.std() - 3 * math.sqrt(2 / 300)) < 0.005

    @pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (4, 2, 3), (20, 2, 3)])
    def test_orthogonal(self, shape):
        w = init.orthogonal_(empty(*shape), gain=2).data.reshape(shape[0], -1)
        gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
        np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)

    def test_orthogonal_is_uniform(self):
        ml.manual_seed(0)
        draws = np.array([init.orthogonal_(empty(2, 2)).data for _ in range(400)])
        assert np.abs(draws.mean(axis=0)).max() < 0.15
        assert 0.35 < (np.linalg.det(draws) > 0).mean() < 0.65

    def test_sparse(self):
        w = init.sparse_(empty(10, 6), 0.25, std=1).data
        assert ((w == 0).sum(axis=0) == 3).all() and w.std() > 0.3


class TestGain:
    def test_values(self):
        assert init.calculate_gain("linear") == init.calculate_gain("conv_transpose2d") == 1
        assert init.calculate_gain("tanh") == 5 / 3
        assert init.calculate_gain("relu") == math.sqrt(2)
        assert init.calculate_gain("leaky_relu") == math.sqrt(2 / (1 + 1e-4))
        assert init.calculate_gain("leaky_relu", 0) == math.sqrt(2)

    def test_as_pytorch(self):
        torch = pytest.importorskip("torch")
        names = ["linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]
        for name in [*names, "sigmoid", "tanh", "relu", "leaky_relu", "selu"]:
            assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)

    def test_unknown(self):
        with pytest.raises(ArgumentError, match="unknown nonlinearity 'swish'; known: linear"):
            init.calculate_gain("swish")


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: init.uniform_(empty(2), 1, 0), ArgumentError, r"the interval \[1, 0\) is empty"),
        (lambda: init.normal_(empty(2), 0, -1), ArgumentError, "std must not be negative, got -1"),
        (lambda: init.trunc_normal_(empty(2), a=2, b=1), ArgumentError, "needs std > 0 and a < b"),
        (
            lambda: init.xavier_uniform_(empty(3)),
            ShapeError,
            "xavier_uniform_: needs a tensor of at least 2 dimensions",
        ),
        (
            lambda: init.kaiming_normal_(empty(3, 3), mode="fan"),
            ArgumentError,
            "mode is 'fan_in' or 'fan_out', got 'fan'",
        ),
        (lambda: init.orthogonal_(empty(3)), ShapeError, r"at least 2 dimensions, got shape \(3,\)"),
        (lambda: init.sparse_(empty(3), 0.1), ShapeError, "sparse_: needs a matrix"),
        (lambda: init.sparse_(empty(3, 3), 2), ArgumentError, "sparsity is a fraction between 0 and 1, got 2"),
        (lambda: init.eye_(empty(3)), ShapeError, "eye_: needs a matrix"),
        (lambda: init.dirac_(empty(3, 3)), ShapeError, "dirac_: needs a convolution weight"),
        (
            lambda: init.dirac_(empty(3, 3, 3), groups=2),
            ArgumentError,
            "groups 2 does not divide the 3 output channels",
        ),
        (lambda: init.bilinear_(empty(3, 2, 4, 4)), ShapeError, r"bilinear_: needs a weight of shape \(C, C, kh, kw\)"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
