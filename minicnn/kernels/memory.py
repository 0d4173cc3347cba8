"""Arrays in recycled memory: those of the last training step serve the next one.

The operating system hands out fresh memory page by page, on the first touch of each; for large
arrays that takes longer than to fill them. So large blocks are kept here when their arrays are
gone, and given out again.
"""

from __future__ import annotations

import math
import sys
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["empty"]

Array = NDArray[Any]

#: Smaller arrays are left to NumPy, whose own allocator keeps such memory.
SMALLEST = 1 << 16
#: Vector loads are fastest from addresses that are multiples of a cache line.
ALIGNMENT = 64

#: For each size the blocks of it, with the place of their first aligned byte.
_blocks: dict[int, list[tuple[Array, int]]] = {}
_lock = threading.Lock()


def _references_to_an_unused_block() -> int:
    """Return what getrefcount says of a block that only the list holds; Pythons differ."""
    blocks = [(np.empty(1), 0)]
    return next(sys.getrefcount(block) for block, _ in blocks)


_UNUSED = _references_to_an_unused_block()


def _size_class(size: int) -> int:
    """Return the size rounded up to an eighth of its power of two, so that few sizes occur."""
    step = 1 << max(size.bit_length() - 4, 0)
    return -(-size // step) * step


def _block(size: int) -> tuple[Array, int]:
    with _lock:
        blocks = _blocks.setdefault(size, [])
        for block, first in blocks:
            if sys.getrefcount(block) == _UNUSED:
                return block, first
        _release_unused()
        block = np.empty(size + ALIGNMENT, np.uint8)
        first = -block.ctypes.data % ALIGNMENT
        blocks.append((block, first))
        return block, first


def _release_unused() -> None:
    """Give back what nobody uses, before memory grows: other sizes are wanted now."""
    for blocks in _blocks.values():
        blocks[:] = [(block, first) for block, first in blocks if sys.getrefcount(block) > _UNUSED]


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return an array with arbitrary contents, like `numpy.empty`.

    >>> empty((2, 3), "float32").shape
    (2, 3)
    """
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    if size < SMALLEST:
        return np.empty(shape, kind)
    block, first = _block(_size_class(size))
    return np.ndarray(shape, kind, block, first)
