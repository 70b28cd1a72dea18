"""Special functions in NumPy."""

from __future__ import annotations

import numpy as np

from ...backend import parallel_for

# Cody 1969: coefficients of p and q, the highest power first.
_SMALL_P = (
    1.85777706184603153e-1,
    3.16112374387056560,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
_SMALL_Q = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
_LARGE_P = (
    2.15311535474403846e-8,
    5.64188496988670089e-1,
    8.88314979438837594,
    6.61191906371416295e1,
    2.98635138197400131e2,
    8.81952221241769090e2,
    1.71204761263407058e3,
    2.05107837782607147e3,
    1.23033935479799725e3,
)
_LARGE_Q = (
    1.0,
    1.57449261107098347e1,
    1.17693950891312499e2,
    5.37181101862009858e2,
    1.62138957456669019e3,
    3.29079923573345963e3,
    4.36261909014324716e3,
    3.43936767414372164e3,
    1.23033935480374942e3,
)
_BLOCK = 1 << 14  # elements whose temporaries fit into the L2 cache


def erf(x: np.ndarray) -> np.ndarray:
    """The error function 2/√π ∫₀ˣ e^(−t²) dt, to about 2e-16 in float64.

    Math:      |x| ≤ 0.46875: erf x = x · p(x²)/q(x²);  beyond: erf |x| = 1 − e^(−x²) · p(|x|)/q(|x|), other p and q
    Source:    Cody 1969, "Rational Chebyshev approximations for the error function". He has a third form for |x| > 4;
               there erf is so close to 1 that the second one serves
    """
    flat = x.reshape(-1)
    y = np.empty_like(flat)

    def part(start: int, stop: int) -> None:
        for low in range(start, stop, _BLOCK):
            block = slice(low, min(low + _BLOCK, stop))
            y[block] = _erf(flat[block])

    parallel_for(part, flat.size, 4 * _BLOCK)
    return y.reshape(x.shape)


def _erf(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, -6, 6)  # from 6 on, erf is 1 in double precision
    a = abs(x)
    y = np.copysign(1 - np.exp(-a * a) * _polynomial(_LARGE_P, a) / _polynomial(_LARGE_Q, a), x)
    small = a <= 0.46875
    x = x[small]
    square = x * x
    y[small] = x * _polynomial(_SMALL_P, square) / _polynomial(_SMALL_Q, square)
    return y


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """Horner's scheme."""
    y = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        y *= x
        y += coefficient
    return y
