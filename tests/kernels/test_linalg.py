"""Matrix products: cpu against reference."""

import importlib

import pytest

from minidl import backend
from minidl.kernels import cpu, reference
from tests.tolerances import assert_close


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("a", "b"), [((2, 3), (3, 4)), ((2, 1, 2, 3), (3, 3, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((2, 3), (2, 3, 1))]
)
def test_products_of_stacks(rng, a, b, dtype):
    x, y = rng.standard_normal(a).astype(dtype), rng.standard_normal(b).astype(dtype)
    product = cpu.matmul(x, y)
    assert product.dtype == dtype
    assert_close(product, reference.matmul(x, y))


@pytest.mark.parametrize("shape", [(300, 40, 50), (50, 40, 300)])
def test_a_large_product_is_shared(rng, monkeypatch, shape):
    module = importlib.import_module("minidl.kernels.cpu.linalg")
    monkeypatch.setattr(module, "SHARED_WORK", 1000)
    shared = []
    monkeypatch.setattr(module, "share", lambda *arguments: shared.append(1) or backend.share(*arguments))
    threads = backend.get_num_threads()
    backend.set_num_threads(3)
    try:
        x, y = rng.standard_normal(shape[:2]), rng.standard_normal(shape[1:])
        assert_close(module.matmul(x, y), reference.matmul(x, y))
    finally:
        backend.set_num_threads(threads)
    assert shared
