"""What the card says when it has no room or is gone, in sentences."""

from __future__ import annotations

import re

from minicnn.errors import DeviceMemoryError
from minicnn.kernels.cuda.device import cupy

__all__ = ["give_back_memory", "is_lost", "no_room"]

#: The number by which CUDA says that there is no memory.
NO_MEMORY = 2


def _cuda_errors() -> tuple[type[Exception], ...]:
    cuda = cupy().cuda
    return cuda.runtime.CUDARuntimeError, cuda.driver.CUDADriverError


def no_room(error: BaseException) -> str | None:
    """Return a sentence about an error that says that the card has no room, None for others."""
    if isinstance(error, DeviceMemoryError):
        return str(error)
    refused = isinstance(error, _cuda_errors()) and getattr(error, "status", None) == NO_MEMORY
    if not refused and not isinstance(error, cupy().cuda.memory.OutOfMemoryError):
        return None
    free, total = cupy().cuda.Device().mem_info
    free += cupy().get_default_memory_pool().free_bytes()
    asked = re.search(r"allocating ([\d,]+) bytes", str(error))
    needed = f"{asked[1]} bytes" if asked else "more memory"
    return (
        f"an array needs {needed}, but {free:,} of the GPU's {total:,} bytes are free. Use fewer "
        f"images at a time."
    )


def is_lost(error: BaseException) -> bool:
    """Return whether an error is CUDA's and the card answers no more."""
    if not isinstance(error, RuntimeError):  # as those of CUDA and of its libraries are
        return False
    try:
        cupy().cuda.Device().synchronize()
    except _cuda_errors():
        return True
    return False


def give_back_memory() -> None:
    """Give memory that is kept for later arrays back to the card."""
    cupy().get_default_memory_pool().free_all_blocks()
