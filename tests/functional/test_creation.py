"""Making tensors: dtypes of Python and NumPy data, shapes, ranges, random numbers."""

import numpy as np
import pytest

import minidl as ml
from minidl.autograd import Tensor
from minidl.errors import ArgumentError, ArgumentTypeError, DeviceError, DtypeError, MinidlError, OutOfRangeError
from tests.cupy_stand_in import counting


@pytest.mark.parametrize(
    "data, dtype",
    [
        (1, "int64"),
        (1.0, "float32"),
        (True, "bool"),
        ([1, 2.5], "float32"),
        ([[1, 2], [3, 4]], "int64"),
        ([True, False], "bool"),
        ([True, 2], "int64"),
        ([], "float32"),
        ([[], []], "float32"),
        ((1.0, 2.0), "float32"),
        (range(3), "int64"),
        (np.float64(1), "float64"),
        (np.float32(1), "float32"),
        (np.int32(1), "int32"),
        (np.arange(3.0), "float64"),
        (np.arange(3, dtype=np.uint8), "uint8"),
        ([np.arange(3.0), np.arange(3.0)], "float64"),
        ([np.float32(1), 2.0], "float32"),
    ],
    ids=str,
)
def test_dtypes(data, dtype):
    x = ml.tensor(data)
    assert x.dtype == dtype and x.is_leaf and not x.requires_grad
    np.testing.assert_array_equal(x.data, np.array(data))


def test_tensors_among_the_data():
    a, b = ml.tensor(1.0), ml.tensor(2.0)
    assert ml.tensor([a, b]).tolist() == [1, 2] and ml.tensor([a, b]).dtype == np.float32
    assert ml.tensor([a, 2.0]).dtype == np.float32
    assert ml.tensor([[a, b], [b, a]]).shape == (2, 2)
    x = ml.ones(2, requires_grad=True)
    y = ml.tensor(x)
    assert not y.requires_grad and not np.shares_memory(x.data, y.data)


def test_tensor_copies_and_from_numpy_shares():
    array = np.zeros(3)
    copied, shared = ml.tensor(array), ml.from_numpy(array)
    array[0] = 5
    assert copied.tolist() == [0, 0, 0] and shared.tolist() == [5, 0, 0]
    with pytest.raises(ArgumentTypeError, match=r"from_numpy: expected a NumPy array, got list; use minidl.tensor"):
        ml.from_numpy([1.0])


def test_dtype_and_requires_grad():
    assert ml.tensor([1, 2], dtype=ml.float64, requires_grad=True).requires_grad
    assert ml.tensor([1.7], dtype="int64").tolist() == [1] and ml.tensor(1e39).item() == np.inf
    assert ml.tensor(np.ones(2, ">f4"), dtype="float32").dtype == np.float32
    with pytest.raises(DtypeError, match="only floating-point tensors can require gradients"):
        ml.tensor([1], requires_grad=True)


@pytest.mark.parametrize(
    "data, error, message",
    [
        ([[1, 2], [3]], ArgumentError, "the lists are ragged"),
        ("abc", DtypeError, "elements must be numbers, got <U3 from abc"),
        (None, DtypeError, "elements must be numbers, got object"),
        ([1, None], DtypeError, "elements must be numbers"),
        (1j, DtypeError, "elements must be numbers, got complex128"),
        (2**63, OutOfRangeError, "9223372036854775808 does not fit into int64"),
        ({"a": 1}, DtypeError, "elements must be numbers"),
        (np.ones(2, complex), DtypeError, "complex128 is not supported"),
    ],
    ids=str,
)
def test_what_is_no_data(data, error, message):
    with pytest.raises(error, match=message):
        ml.tensor(data)


MAKERS = {"zeros": 0, "ones": 1, "empty": None, "rand": None, "randn": None}


@pytest.mark.parametrize("name", MAKERS)
def test_makers(name):
    make = getattr(ml, name)
    for x in (make(2, 3), make((2, 3)), make([2, 3]), make(np.int64(2), 3)):
        assert x.shape == (2, 3) and x.dtype == np.float32 and not x.requires_grad
        assert MAKERS[name] is None or (x.data == MAKERS[name]).all()
    assert make(()).shape == () and make(0, 2).shape == (0, 2) and make(3).shape == (3,)
    x = make(2, dtype=ml.float64, device="cpu", requires_grad=True)
    assert x.dtype == np.float64 and x.requires_grad
    with pytest.raises(ArgumentError, match=f"{name}: sizes must not be negative, got"):
        make(-1)
    for bad in (1.5, "2", None, True):
        with pytest.raises(ArgumentTypeError, match=f"{name}: sizes must be integers, got"):
            make(2, bad)


@pytest.mark.parametrize("name", ["zeros", "ones", "empty", "rand", "randn"])
def test_likes(name):
    x = ml.ones(2, 3, dtype="float64", requires_grad=True)
    y = getattr(ml, f"{name}_like")(x)
    assert y.shape == (2, 3) and y.dtype == np.float64 and not y.requires_grad
    assert getattr(ml, f"{name}_like")(x, dtype="float32").dtype == np.float32
    with pytest.raises(ArgumentTypeError, match=f"{name}_like: x must be a Tensor, got list"):
        getattr(ml, f"{name}_like")([1.0])


def test_full():
    assert ml.full((2, 2), 7).dtype == np.int64 and ml.full((2,), 7.0).dtype == np.float32
    assert ml.full(3, True).dtype == np.bool_ and ml.full((2,), 1, dtype="float64").tolist() == [1, 1]
    assert ml.full_like(ml.ones(2, dtype="float64"), 3).tolist() == [3, 3]
    assert ml.full_like(ml.ones(2, dtype="float64"), 3).dtype == np.float64
    assert ml.full((2,), ml.tensor(5.0)).tolist() == [5, 5]
    with pytest.raises(ArgumentError, match=r"full: fill_value must be one number, got shape \(2,\)"):
        ml.full((2,), [1.0, 2.0])


def test_eye():
    assert ml.eye(2).tolist() == [[1, 0], [0, 1]] and ml.eye(2, 3).shape == (2, 3) and ml.eye(2).dtype == np.float32
    assert ml.eye(2, dtype="int64").dtype == np.int64
    with pytest.raises(ArgumentError, match="eye: sizes must not be negative"):
        ml.eye(-1)


def test_ranges():
    assert ml.arange(4).tolist() == [0, 1, 2, 3] and ml.arange(4).dtype == np.int64
    assert ml.arange(1, 4).tolist() == [1, 2, 3] and ml.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert ml.arange(0, 1, 0.25).tolist() == [0, 0.25, 0.5, 0.75] and ml.arange(3.0).dtype == np.float32
    assert ml.arange(3, dtype="float64").dtype == np.float64 and ml.arange(2, 2).shape == (0,)
    assert ml.arange(np.int64(3)).dtype == np.int64 and ml.arange(3.0, requires_grad=True).requires_grad
    for bad in ((3, 1), (0, 3, -1), (0, 3, 0)):
        with pytest.raises(ArgumentError, match="arange: step .* never reaches"):
            ml.arange(*bad)
    with pytest.raises(ArgumentTypeError, match="arange: expected numbers, got 'a'"):
        ml.arange("a")
    assert ml.linspace(0, 1, 5).tolist() == [0, 0.25, 0.5, 0.75, 1] and ml.linspace(0, 1, 5).dtype == np.float32
    assert ml.linspace(3, 4, 1).tolist() == [3] and ml.linspace(0, 1, 0).shape == (0,)
    with pytest.raises(MinidlError, match="linspace: sizes must"):
        ml.linspace(0, 1, -1)


def test_random_numbers_take_generators():
    for draw in (
        lambda g: ml.rand(3, generator=g),
        lambda g: ml.randn(3, generator=g),
        lambda g: ml.randint(100, (3,), generator=g),
        lambda g: ml.randperm(10, generator=g),
        lambda g: ml.normal(0.0, 1.0, (3,), generator=g),
        lambda g: ml.rand_like(ml.ones(3), generator=g),
        lambda g: ml.randn_like(ml.ones(3), generator=g),
    ):
        before = ml.get_random_state()
        a, b = draw(ml.Generator(7)), draw(ml.Generator(7))
        assert a.tolist() == b.tolist()
        assert ml.get_random_state() == before  # the common stream is left alone
        assert draw(None).shape == a.shape
        assert ml.get_random_state() != before
        with pytest.raises(ArgumentTypeError, match="generator must be a minidl.Generator or None, got"):
            draw(5)


RANDOM = [
    lambda **where: ml.rand(50, **where),
    lambda **where: ml.randn(50, **where),
    lambda **where: ml.randint(-1000, 1000, (50,), **where),
    lambda **where: ml.randperm(50, **where),
    lambda **where: ml.normal(1.0, 2.0, (50,), **where),
]


@pytest.mark.parametrize("draw", RANDOM)
def test_random_numbers_for_a_gpu_are_drawn_there(on_cuda, draw):
    """By any generator, which on the CPU goes on as if nothing had happened."""
    generator = ml.Generator(3)
    with counting() as seen:
        there = draw(device="cuda", generator=generator)
    assert there.device == "cuda" and not seen.places
    host = draw(generator=generator)
    assert host.device == "cpu" and host.tolist() == draw(generator=ml.Generator(3)).tolist()
    assert there.dtype == host.dtype and there.tolist() != host.tolist()
    assert draw(device="cuda", generator=ml.Generator(3)).tolist() == there.tolist()
    assert draw(generator=ml.Generator(3, device="cuda")).device == "cuda"
    assert draw(device="cpu", generator=ml.Generator(3, device="cuda")).tolist() == host.tolist()
    ml.manual_seed(4)
    first = draw(device="cuda").tolist()
    ml.manual_seed(4)
    assert draw(device="cuda").tolist() == first


@pytest.mark.parametrize(
    "make",
    [
        lambda **where: ml.zeros(2, 3, **where),
        lambda **where: ml.ones(2, dtype=ml.int64, **where),
        lambda **where: ml.empty(0, 3, **where),
        lambda **where: ml.full((2, 2), 7, **where),
        lambda **where: ml.full((), 0.5, dtype=ml.float64, **where),
        lambda **where: ml.eye(2, 3, **where),
        lambda **where: ml.arange(1, 8, 3, **where),
        lambda **where: ml.arange(0, 1, 0.25, **where),
        lambda **where: ml.linspace(0, 1, 5, **where),
    ],
)
def test_constants_on_a_gpu_are_made_there(on_cuda, make):
    host = make()
    with counting() as seen:
        there = make(device="cuda")
        again = make(device=there.device)
    assert not seen.places and there.device == again.device == "cuda"
    assert there.dtype == host.dtype and there.shape == host.shape and there.tolist() == host.tolist()


def test_normal_numbers_around_tensors_on_a_gpu(on_cuda):
    means, stds = ml.tensor([[1.0], [100.0]], device="cuda"), ml.tensor([0.0, 1e-3], device="cuda")
    with counting() as seen:
        x = ml.normal(means, stds)
    assert not seen.places and x.device == "cuda" and x.dtype == np.float32
    np.testing.assert_allclose(x.cpu().numpy(), [[1, 1], [100, 100]], rtol=0.01)
    assert x.cpu().numpy()[0, 0] == 1
    assert ml.normal(means, 1.0, device="cpu").device == "cpu"
    with pytest.raises(DeviceError, match="normal: mean is on cuda:0 and std on cpu; move one with"):
        ml.normal(means, ml.ones(2))
    y = ml.normal(means, -stds)
    with pytest.raises(ArgumentError, match="normal: std must not be negative, got -0.001"):
        y.cpu()


@pytest.mark.parametrize("make", [lambda: ml.zeros(1, device="cuda:7"), lambda: ml.rand(1, device="cuda:7")])
def test_making_on_a_gpu_that_is_not_there(stand_in, make):
    with pytest.raises(DeviceError, match=r"device 'cuda:7' does not exist: this machine has 2 CUDA device"):
        make()


def test_random_dtypes():
    for dtype in ("float16", "float32", "float64"):
        assert ml.rand(3, dtype=dtype).dtype == ml.randn(3, dtype=dtype).dtype == dtype
        assert ml.normal(0.0, 1.0, (3,), dtype=dtype).dtype == dtype
    assert ml.randn(()).shape == ()
    with pytest.raises(DtypeError, match="rand: draws floating-point numbers, not int64; see randint"):
        ml.rand(3, dtype="int64")


def test_randint():
    x = ml.randint(3, 5, (100,))
    assert x.dtype == np.int64 and set(x.tolist()) == {3, 4}
    assert set(ml.randint(2, (50,)).tolist()) == {0, 1} and ml.randint(high=2, size=(3,)).shape == (3,)
    assert ml.randint(0, 2, (3,), dtype="uint8").dtype == np.uint8 and ml.randint(-3, 0, (2,)).data.max() < 0
    with pytest.raises(ArgumentError, match=r"randint: no integer lies in \[5, 5\)"):
        ml.randint(5, 5, (2,))
    with pytest.raises(ArgumentTypeError, match=r"randint: call it as randint\(high, size\)"):
        ml.randint(5)


def test_randperm():
    assert ml.randperm(0).shape == (0,) and ml.randperm(5, dtype="int32").dtype == np.int32
    with pytest.raises(ArgumentError, match="randperm: sizes must not be negative"):
        ml.randperm(-1)


def test_normal():
    means = ml.tensor([0.0, 100.0, 200.0])
    x = ml.normal(means, 0.1)
    assert x.shape == (3,) and abs(x.data - means.data).max() < 1 and x.dtype == np.float32
    assert ml.normal(means.double(), ml.ones(2, 1, dtype="float64")).shape == (2, 3)
    assert ml.normal(means.double()).dtype == np.float64
    assert ml.normal(5.0, 0.0, (2, 2)).tolist() == [[5, 5], [5, 5]]
    assert abs(ml.normal(3, 2, (20000,)).data.std() - 2) < 0.05
    with pytest.raises(ArgumentError, match="normal: std must not be negative, got -1"):
        ml.normal(0.0, -1.0, (2,))
    with pytest.raises(ArgumentError, match="normal: give a size, or a tensor as mean or std"):
        ml.normal(0.0, 1.0)
    with pytest.raises(MinidlError, match=r"normal: shapes \(3,\) and \(2,\)"):
        ml.normal(means, ml.ones(2))
    with pytest.raises(MinidlError, match="normal: size"):
        ml.normal(means, 1.0, (2, 1))
    with pytest.raises(ArgumentTypeError, match="normal: std must be a number or a Tensor, got list"):
        ml.normal(0.0, [1.0], (2,))


def test_made_tensors_are_tensors():
    assert type(ml.zeros(2)) is Tensor and type(ml.arange(2)) is Tensor
