"""The compiled convolutions under watch: their memory, the sizes of their bands, their threads."""

import contextlib
import math
import sys

import numba
import numpy as np
import pytest

from minicnn.kernels import compiled
from minicnn.kernels.compiled import kernel_gradient, plans
from minicnn.runtime import memory

BORDER = 1 << 13
MARK = 0xA5

needs_two_threads = pytest.mark.skipif(
    numba.config.NUMBA_NUM_THREADS < 2, reason="Numba has only one thread here"
)


@contextlib.contextmanager
def watched_memory():
    """Let new arrays be full of NaN, and see that nobody writes within 8 KiB of them.

    Yields the list of the arrays given out, each with its borders.
    """
    given = []

    def empty(shape, dtype):
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        room = np.full(size + 2 * BORDER, MARK, np.uint8)
        given.append((room, size))
        array = room[BORDER : BORDER + size].view(kind).reshape(shape)
        array.fill(np.nan if kind.kind == "f" else -7777)
        return array

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "empty", empty)
        yield given
    for room, size in given:
        for border, side in ((room[:BORDER], "before"), (room[BORDER + size :], "after")):
            assert (border == MARK).all(), f"somebody wrote {side} an array of {size} bytes"


def forget_plans():
    """Let every plan be made anew, with the sizes that hold now."""
    for name, module in list(sys.modules.items()):
        if name.startswith(f"{compiled.__name__}."):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


@contextlib.contextmanager
def planned_anew(**changed):
    """Make plans with other `plans.BAND_BYTES` or `kernel_gradient.BLOCK`, and forget them."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changed.items():
            patch.setattr(plans if name == "BAND_BYTES" else kernel_gradient, name, value)
        forget_plans()
        yield
    forget_plans()


@contextlib.contextmanager
def threads(count):
    """Let compiled code use so many threads."""
    before = numba.get_num_threads()
    numba.set_num_threads(count)
    try:
        yield
    finally:
        numba.set_num_threads(before)
