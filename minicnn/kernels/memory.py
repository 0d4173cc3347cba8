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

__all__ = ["empty", "zeros"]

Array = NDArray[Any]

#: Smaller arrays are left to NumPy, whose own allocator keeps such memory.
SMALLEST = 1 << 16
#: Vector loads are fastest from addresses that are multiples of a cache line.
ALIGNMENT = 64

_blocks: dict[int, list[Array]] = {}
_lock = threading.Lock()

# References to a block that nobody uses: the list's, the loop variable's, and getrefcount's own.
_UNUSED = 3


def _size_class(size: int) -> int:
    """Return the size rounded up to an eighth of its power of two, so that few sizes occur."""
    step = 1 << max(size.bit_length() - 4, 0)
    return -(-size // step) * step


def _block(size: int) -> Array:
    with _lock:
        blocks = _blocks.setdefault(size, [])
        for block in blocks:
            if sys.getrefcount(block) == _UNUSED:
                return block
        _release_unused()
        block = np.empty(size + ALIGNMENT, np.uint8)
        blocks.append(block)
        return block


def _release_unused() -> None:
    """Give back what nobody uses, before memory grows: other sizes are wanted now."""
    for size, blocks in _blocks.items():
        kept = []
        while blocks:
            block = blocks.pop()
            if sys.getrefcount(block) >= _UNUSED:  # one less: it is in no list now
                kept.append(block)
        _blocks[size] = kept


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return an array with arbitrary contents, like `numpy.empty`.

    >>> empty((2, 3), "float32").shape
    (2, 3)
    """
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    if size < SMALLEST:
        return np.empty(shape, kind)
    block = _block(_size_class(size))
    first = -block.ctypes.data % ALIGNMENT
    return block[first : first + size].view(kind).reshape(shape)


def zeros(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return an array of zeros."""
    array = empty(shape, dtype)
    array.fill(0)
    return array
