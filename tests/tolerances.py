"""The one tolerance table: (rtol, atol) by what is compared and in which dtype."""

import numpy as np

FORWARD = {"float64": (1e-10, 1e-12), "float32": (2e-5, 2e-5)}
"""An operation against its reference, or against its composite."""

BACKWARD = {"float64": (1e-9, 1e-11), "float32": (1e-4, 1e-4)}
"""A hand-written gradient against the composite's, or against PyTorch's."""


def assert_close(actual, expected, kind=FORWARD, err_msg=""):
    """Compare arrays at the tolerance of the coarser of their two dtypes; shapes must be equal."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{err_msg} shapes differ: {actual.shape} and {expected.shape}"
    coarse = "float32" if np.float32 in (actual.dtype, expected.dtype) else "float64"
    rtol, atol = kind[coarse]
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol, err_msg=err_msg)
