"""Matrix products by cuBLAS."""

from __future__ import annotations

from typing import Any

import cupy


def matmul(a: Any, b: Any) -> Any:
    """The products of stacks of matrices (…, I, K) and (…, K, J), with broadcasting over the stack.

    TF32, which multiplies float32 with ten bits of fraction, is off unless :func:`minidl.set_tf32` has turned it on.
    """
    return cupy.matmul(a, b)
