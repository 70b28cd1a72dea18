"""Products in pieces: the same as in one piece, whatever the shapes and the order in memory."""

import numpy as np
import pytest

from minidl.kernels.cpu import products
from tests.tolerances import assert_close

SHAPES = [
    (100, 7, 5),
    (5, 7, 100),
    (64, 16, 64),
    (1, 3, 1),
    (33, 200, 2),
    (2, 200, 33),
    (0, 3, 4),
    (4, 3, 0),
    (9, 1, 9),
]


def layouts(array):
    yield np.ascontiguousarray(array)
    yield np.asfortranarray(array)
    yield np.repeat(array, 2, axis=0)[::2]


@pytest.mark.parametrize("small", [1, 400, 3000, 10**6])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_in_pieces_is_the_product(monkeypatch, small, shape, dtype):
    monkeypatch.setattr(products, "SMALL", small)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(shape[:2]).astype(dtype), rng.standard_normal(shape[1:]).astype(dtype)
    for left in layouts(a):
        for right in layouts(b):
            wide = np.full((shape[0], shape[2] + 3), np.nan, dtype)
            products.product(left, right, wide[:, : shape[2]])
            assert_close(wide[:, : shape[2]], a @ b)
            assert np.isnan(wide[:, shape[2] :]).all()  # nothing beside the result is written to


@pytest.mark.parametrize("small", [1, 4000, 10**6])
@pytest.mark.parametrize("shape", [(3, 1000, 4), (4, 96, 3), (4, 97, 3), (7, 500, 7), (2, 0, 2), (1, 1, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_with_a_long_inner_dimension_is_the_product(monkeypatch, small, shape, dtype):
    monkeypatch.setattr(products, "SMALL", small)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(shape[:2]).astype(dtype), rng.standard_normal(shape[1:]).astype(dtype)
    for left in layouts(a):
        for right in layouts(b):
            out = np.empty((shape[0], shape[2]), dtype)
            products.long_product(left, right, out)
            assert_close(out, (a.astype(np.float64) @ b.astype(np.float64)).astype(dtype))


def test_stacks_are_cut_only_where_pieces_become_small_and_equal():
    assert products.stack_pieces(64, products.SMALL) == 1
    assert products.stack_pieces(64, products.SMALL + 1) == 2
    assert products.stack_pieces(64, 4 * products.SMALL) == 4
    assert products.stack_pieces(66, 4 * products.SMALL) == 1  # cannot be quartered
    assert products.stack_pieces(64, 100 * products.SMALL) == 1  # no piece would be small
    assert products.stack_pieces(8, 2 * products.SMALL) == 1  # too thin
