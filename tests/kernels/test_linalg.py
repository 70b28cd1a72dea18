"""Matrix products: cpu against reference."""

import importlib

import pytest

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


def test_a_large_product_is_left_to_blas(rng, monkeypatch):
    module = importlib.import_module("minidl.kernels.cpu.linalg")
    x = rng.standard_normal((5, 6))
    expected = reference.matmul(x, x.T)
    monkeypatch.setattr(module, "SPLIT_WORK", 10)
    monkeypatch.setattr(module, "one_blas_thread", None)  # must not be asked for
    assert_close(module.matmul(x, x.T), expected)
