"""What is said where CuPy refuses: no memory left, or an array that is not on the current device."""

from __future__ import annotations

import re
import sys
from typing import Any

from ..errors import DeviceError, OutOfMemoryError


def explain(error: MemoryError | ValueError, op: str) -> None:
    """Raise an error that says what to do, if `error` is one of CuPy's; if not, return.

    Raises:    OutOfMemoryError: with what `op` asked for, what this process holds and what the device has.
               DeviceError: `op` on tensors of another device than the current one
    """
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return
    if isinstance(error, cupy.cuda.memory.OutOfMemoryError):
        raise OutOfMemoryError(f"{op}: {_memory(error, cupy)}") from error
    if "is different from the current device" in str(error):
        raise DeviceError(
            f"{op}: its tensors are on another device than the current one, cuda:{cupy.cuda.runtime.getDevice()}; put "
            f"'with minidl.cuda.device(x.device):' around it"
        ) from error


def _memory(error: MemoryError | ValueError, cupy: Any) -> str:
    asked = re.search(r"[\d,]+ bytes", str(error))
    pool = cupy.get_default_memory_pool()
    free, total = cupy.cuda.runtime.memGetInfo()
    limit = f", and CuPy's pool is limited to {pool.get_limit():,} bytes" if pool.get_limit() else ""
    return (
        f"no memory left on cuda:{cupy.cuda.runtime.getDevice()}: {asked[0] if asked else error} were asked for. This "
        f"process holds {pool.total_bytes():,} bytes, of which arrays use {pool.used_bytes():,}; the device has "
        f"{free:,} of {total:,} bytes free{limit}. Use a smaller batch, no_grad() where no gradient is needed, or "
        "minidl.cuda.empty_cache() to give back what no array uses"
    )
