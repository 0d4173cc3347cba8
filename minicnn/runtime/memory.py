"""Arrays in recycled memory: those of the last training step serve the next one.

The operating system hands out fresh memory page by page, on the first touch of each; for large
arrays that takes longer than to fill them. So large blocks are kept here when their arrays are
gone, and given out again.
"""

from __future__ import annotations

import itertools
import math
import sys
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.runtime.devices import on_gpu

__all__ = ["empty", "empty_like"]

Array = NDArray[Any]

#: Smaller arrays are left to NumPy, whose own allocator keeps such memory.
SMALLEST = 1 << 16
#: Vector loads are fastest from addresses that are multiples of a cache line.
ALIGNMENT = 64

#: Before memory grows, what nobody uses is given back: blocks that nobody asked for in so many
#: calls, more than a training step makes, ...
RECENT = 1000
#: ... and the oldest ones while all blocks together take more than this many times what was in use
#: at once. Giving back more would fetch the same pages anew in every step: at its end a step has
#: other sizes than at its beginning.
SPARE = 2.0
#: Share of that largest use which is remembered from one growth to the next.
MEMORY = 0.98


class _Block:
    """Memory, the place of its first aligned byte, and the number of the call that used it last."""

    __slots__ = ("array", "first", "used")

    def __init__(self, size: int) -> None:
        self.array = np.empty(size + ALIGNMENT, np.uint8)
        self.first = -self.array.ctypes.data % ALIGNMENT
        self.used = 0

    @property
    def references(self) -> int:
        return sys.getrefcount(self.array)


#: What `references` says of a block that no array uses; Pythons differ.
_UNUSED = _Block(1).references

_blocks: dict[int, list[_Block]] = {}
_lock = threading.Lock()
_calls = itertools.count(1)
#: The most bytes that were in use at once, of late.
_most = 0.0


def _size_class(size: int) -> int:
    """Return the size rounded up to an eighth of its power of two, so that few sizes occur."""
    step = 1 << max(size.bit_length() - 4, 0)
    return -(-size // step) * step


def _block(size: int) -> tuple[Array, int]:
    with _lock:
        now = next(_calls)
        blocks = _blocks.setdefault(size, [])
        for block in blocks:
            if block.references == _UNUSED:
                break
        else:
            _make_room(size, now - RECENT)
            block = _Block(size)
            blocks.append(block)
        block.used = now
        return block.array, block.first


def _make_room(size: int, before: int) -> None:
    """Give back what nobody uses and is old, or too much, before memory grows by `size`."""
    global _most
    unused = [(b.used, s) for s, bs in _blocks.items() for b in bs if b.references == _UNUSED]
    held = sum(s * len(blocks) for s, blocks in _blocks.items()) + size
    _most = max(MEMORY * _most, held - sum(s for _, s in unused))
    for used, s in sorted(unused):  # the oldest first
        if used >= before and held <= SPARE * _most:
            break
        _blocks[s] = [block for block in _blocks[s] if block.used != used]
        held -= s


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


def empty_like(array: Any) -> Any:
    """Return one of an array's shape and type beside it; CuPy recycles the GPU's memory itself.

    >>> empty_like(np.zeros((2, 3), "float32")).dtype
    dtype('float32')
    """
    if on_gpu(array):
        return np.empty_like(array, order="C")
    return empty(array.shape, array.dtype)
