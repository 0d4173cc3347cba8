"""A program that compares the compiled kernels with NumPy's, between pages that nobody may touch.

Run in a process of its own: a read or a write outside an array ends it at once.
"""

import ctypes
import itertools
import math
import mmap
import sys

import numpy as np

from minicnn.geometry import conv2d_geometry
from minicnn.kernels import compiled, vectorized
from minicnn.kernels.compiled import tile
from minicnn.kernels.masked_gradient import MaskedGradient
from minicnn.runtime import memory
from tests.strategies import Case

#: Geometries for the ways that a convolution is computed, and channels that fill vectors or not.
GEOMETRIES = {
    "usual": conv2d_geometry((9, 23), (3, 2), padding="same"),
    "valid": conv2d_geometry((9, 23), (2, 4)),
    "strides": conv2d_geometry((11, 21), (4, 3), (2, 3), ((2, 1), (0, 2))),
    "dilation": conv2d_geometry((11, 21), (2, 3), (1, 2), ((2, 1), (0, 2)), (3, 2)),
    "groups": conv2d_geometry((7, 13), (3, 2), (2, 1), ((2, 1), (0, 2)), groups=2),
    "filtered": conv2d_geometry((9, 14), (3, 3), padding="same"),
    "much padding": conv2d_geometry((2, 1), (3, 1), (2, 3), ((4, 0), (5, 0))),
    "one pixel": conv2d_geometry((1, 1), (2, 3), padding="same"),
}
CHANNELS = [(1, 3), (3, 16), (16, 32), (33, 17), (40, 1)]

_turn = itertools.cycle([True, True, False])
_pages = []


def fenced(shape, dtype):
    """Return an array that ends, or in every third call begins, where its process may not go."""
    kind, page = np.dtype(dtype), mmap.PAGESIZE
    size = math.prod(shape) * kind.itemsize
    room = -(-max(size, 1) // page) * page
    pages = mmap.mmap(-1, room + 2 * page)
    _pages.append(pages)  # while the program runs, for arrays hold no reference to it
    first = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    for border in (first, first + page + room):
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(border), ctypes.c_size_t(page), 0) == 0
    place = page + (room - size) * next(_turn)
    array = np.frombuffer(pages, np.uint8, size, place).view(kind).reshape(shape)
    array.fill(np.nan if kind.kind == "f" else -7777)
    return array


def fence(array):
    """Return a fenced copy; where pages cannot be fenced, the array itself."""
    if sys.platform != "linux":
        return array
    copy = fenced(array.shape, array.dtype)
    copy[...] = array
    return copy


def same(result, expected):
    """Sums of small whole numbers are exact, so results must be equal."""
    np.testing.assert_array_equal(result, expected)


def compare(case, dtype):
    """Compare the maps, plain and fused, with the same in float64 by NumPy."""
    g = case.geometry
    x, kernel, dy = case.image(), case.kernel(), case.output()
    x_, kernel_, dy_ = (fence(a.astype(dtype)) for a in (x, kernel, dy))
    bias = np.arange(case.filters) % 5 - 2.0
    bias_ = fence(bias.astype(dtype))
    y, dx = vectorized.conv2d(x, kernel, g), vectorized.conv2d_input_gradient(dy, kernel, g)
    same(compiled.conv2d(x_, kernel_, g), y)
    same(compiled.conv2d(x_, kernel_, g, bias_, True), np.maximum(y + bias, 0))
    same(compiled.conv2d_input_gradient(dy_, kernel_, g), dx)
    shift = np.arange(case.channels) % 3 - 1.0
    shift_ = fence(shift.astype(dtype))
    same(compiled.conv2d_input_gradient(dy_, kernel_, g, shift_, True), np.maximum(dx + shift, 0))
    truth = fence(np.roll(dy, 1, axis=1).astype(dtype))
    shown = np.where(truth > 0, dy, 0)
    for side, given, written in (("x", dy_, dy), ("dy", MaskedGradient(dy_, truth), shown)):
        dk, db = compiled.kernel_and_bias_gradient(x_, given, g, side)
        same(dk, vectorized.conv2d_kernel_gradient(x, written, g))
        same(db, (x if side == "x" else written).sum(axis=(0, 1, 2)))
    if min(g.out_height, g.out_width) >= 2:
        compare_pooled(x_, kernel_, bias_, np.maximum(y + bias, 0), x, kernel, g)


def compare_pooled(x_, kernel_, bias_, y, x, kernel, g):
    """Compare a convolution with its pool, and the gradients that come back through both."""
    pool = conv2d_geometry((g.out_height, g.out_width), 2, 2)
    values, where = vectorized.max_pool2d(y, pool)
    found = compiled.conv2d_max_pool2d(x_, kernel_, g, bias_, True, pool)
    same(found[0], values)
    same(found[1], where)
    data = np.roll(values, 1, axis=3)
    slopes = MaskedGradient(fence(data.astype(x_.dtype)), found[0], fence(where), pool)
    written = vectorized.scatter(np.where(values > 0, data, 0), where, pool)
    same(
        compiled.conv2d_input_gradient(slopes, kernel_, g),
        vectorized.conv2d_input_gradient(written, kernel, g),
    )
    same(
        compiled.conv2d_kernel_gradient(x_, slopes, g),
        vectorized.conv2d_kernel_gradient(x, written, g),
    )


def main(dtypes=("float32", "float64")):
    """Compare every geometry with every number of channels, and print the size of the tile."""
    if sys.platform == "linux":
        memory.empty = fenced
    for dtype in dtypes:
        for g in GEOMETRIES.values():
            for channels, filters in CHANNELS:
                compare(Case(g, 3, channels * g.groups, filters * g.groups, seed=7), dtype)
                _pages.clear()
    print(tile.LANE_BYTES, tile.ROWS)
