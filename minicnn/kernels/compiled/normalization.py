"""Batch normalization with its ReLU: each way in two passes over memory instead of ten.

A batch lies as rows of one pixel each, (M,C). A few channels would leave vector registers half
empty, so several pixels stand side by side as one wide row, and what they sum up is added last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.kernels.compiled.arguments import arguments
from minicnn.kernels.compiled.compiling import parallel
from minicnn.kernels.compiled.tile import pointer
from minicnn.runtime import memory

__all__ = ["batch_normalization", "batch_normalization_gradient"]

Array = NDArray[Any]

#: Numbers of a wide row at most, unless there are more channels than that.
WIDTH = 256
#: Numbers of a block of rows: it stays in the first cache, and sums of its columns are short
#: enough for float32; blocks are added in float64.
BLOCK = 1 << 13

_compile = parallel(fastmath={"contract"})


@_compile
def _moments(block, given):
    """The mean of each column of a block of rows, and its sum of squared differences from it.

    Both are taken of what the numbers differ from the block's first row, and so is the mean that
    is returned: far from zero, sums of the numbers themselves would round away what they differ.
    """
    x, rows, means, squares = arguments(given)
    width = means.shape[1]
    pixels, mean, square = pointer(x), means[block], squares[block]
    first, last = block * rows * width, min((block + 1) * rows * width, x.size)
    mean[:] = 0
    square[:] = 0
    for start in range(first, last, width):
        for c in range(width):
            mean[c] += pixels[start + c] - pixels[first + c]
    mean /= (last - first) // width
    for start in range(first, last, width):
        for c in range(width):
            difference = (pixels[start + c] - pixels[first + c]) - mean[c]
            square[c] += difference * difference


@_compile
def _scaled(block, given):
    """(x - mean) * factor + shift, and zero instead of what is negative if there is a ReLU."""
    x, rows, mean, factor, shift, relu, y = arguments(given)
    width = len(mean)
    pixels, results = pointer(x), pointer(y)
    first, last = block * rows * width, min((block + 1) * rows * width, x.size)
    for start in range(first, last, width):
        for c in range(width):
            value = (pixels[start + c] - mean[c]) * factor[c] + shift[c]
            results[start + c] = 0 if relu and value < 0 else value


@_compile
def _slopes(block, given):
    """The sum of each column of dy in a block of rows, and that of dy * (x - mean)."""
    dy, y, x, rows, mean, relu, totals, products = arguments(given)
    width = len(mean)
    slopes, results, pixels = pointer(dy), pointer(y), pointer(x)
    total, product = totals[block], products[block]
    first, last = block * rows * width, min((block + 1) * rows * width, x.size)
    total[:] = 0
    product[:] = 0
    for start in range(first, last, width):
        for c in range(width):
            slope = slopes[start + c]
            slope = slope if not relu or results[start + c] > 0 else 0
            total[c] += slope
            product[c] += slope * (pixels[start + c] - mean[c])


@_compile
def _gradient(block, given):
    """Factor * dy + tilt * (x - mean) + shift."""
    dy, y, x, rows, mean, factor, tilt, shift, relu, dx = arguments(given)
    width = len(mean)
    slopes, results, pixels, changes = pointer(dy), pointer(y), pointer(x), pointer(dx)
    first, last = block * rows * width, min((block + 1) * rows * width, x.size)
    for start in range(first, last, width):
        for c in range(width):
            slope = slopes[start + c]
            slope = slope if not relu or results[start + c] > 0 else 0
            centred = pixels[start + c] - mean[c]
            changes[start + c] = factor[c] * slope + tilt[c] * centred + shift[c]


def _side_by_side(pixels: int, channels: int) -> int:
    """Return how many pixels stand in one wide row: a power of two that divides their number."""
    count = 1
    while 2 * count * channels <= WIDTH and pixels % (2 * count) == 0:
        count *= 2
    return count


def _blocks(x: Array, copies: int) -> tuple[int, tuple[int, int]]:
    """Return the wide rows of a block, and the shape of one number for each block and column."""
    width = copies * x.shape[-1]
    rows = max(BLOCK // width, 1)
    return rows, (-(-(x.size // width) // rows), width)


def batch_normalization(
    x: Array, gamma: Array | None, beta: Array | None, epsilon: float, relu: bool
) -> tuple[Array, Array, Array]:
    """Return y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, the mean and the variance.

    Args:
        x: (...,C).
        gamma: (C,), or None for ones.
        beta: (C,), or None for zeros.
        epsilon: added to the variance.
        relu: whether negative results become zero.
    """
    x, channels = np.ascontiguousarray(x), x.shape[-1]
    pixels = x.size // channels
    copies = _side_by_side(pixels, channels)
    rows, shape = _blocks(x, copies)
    means, squares = np.empty(shape, x.dtype), np.empty(shape, x.dtype)  # (K,W)
    _moments(len(means), x.reshape(-1), rows, means, squares)
    counts = np.full((shape[0], 1, 1), rows, np.float64)  # rows of a block; the last may be short
    counts[-1] = pixels // copies - rows * (shape[0] - 1)
    parts = x.reshape(-1, shape[1])[::rows] + means.astype(np.float64)  # (K,W)
    parts = parts.reshape(shape[0], copies, channels)  # (K,copies,C)
    mean = (parts * counts).sum((0, 1)) / pixels  # (C,)
    within = squares.reshape(-1, channels).sum(0, dtype=np.float64)
    variance = (within + ((parts - mean) ** 2 * counts).sum((0, 1))) / pixels  # (C,)
    factor = 1 / np.sqrt(variance + epsilon)
    if gamma is not None:
        factor *= gamma
    shift = np.zeros(channels) if beta is None else beta
    y = memory.empty(x.shape, x.dtype)
    columns = [np.tile(a.astype(x.dtype), copies) for a in (mean, factor, shift)]  # (W,)
    _scaled(len(means), x.reshape(-1), rows, *columns, relu, y.reshape(-1))
    return y, mean.astype(x.dtype), variance.astype(x.dtype)


def batch_normalization_gradient(
    dy: Array,
    y: Array | None,
    x: Array,
    gamma: Array | None,
    mean: Array,
    variance: Array,
    epsilon: float,
) -> tuple[Array, Array, Array]:
    """Return the gradients by x (...,C), gamma (C,) and beta (C,).

    dx = gamma * scale * (dy - mean(dy) - n * mean(dy * n)), with n = (x - mean) * scale and
    scale = 1 / sqrt(variance + epsilon)

    Args:
        dy: gradient of the result (...,C).
        y: the result, if it went through a ReLU, else None.
        x: (...,C).
        gamma: (C,), or None for ones.
        mean: of x, (C,).
        variance: of x, (C,).
        epsilon: added to the variance.
    """
    x, dy, channels = np.ascontiguousarray(x), np.ascontiguousarray(dy), x.shape[-1]
    relu = y is not None
    result = dy if y is None else np.ascontiguousarray(y)
    pixels = x.size // channels
    copies = _side_by_side(pixels, channels)
    rows, shape = _blocks(x, copies)
    totals, products = np.empty(shape, x.dtype), np.empty(shape, x.dtype)  # (K,W)
    flat = dy.reshape(-1), result.reshape(-1), x.reshape(-1)
    centre = np.tile(mean, copies)  # (W,)
    _slopes(len(totals), *flat, rows, centre, relu, totals, products)
    scale = 1 / np.sqrt(variance.astype(np.float64) + epsilon)  # (C,)
    by_beta = totals.reshape(-1, channels).sum(0, dtype=np.float64)
    by_gamma = products.reshape(-1, channels).sum(0, dtype=np.float64) * scale
    factor = scale if gamma is None else scale * gamma
    tilt, shift = -factor * by_gamma * scale / pixels, -factor * by_beta / pixels
    dx = memory.empty(x.shape, x.dtype)
    columns = [np.tile(a.astype(x.dtype), copies) for a in (factor, tilt, shift)]
    _gradient(len(totals), *flat, rows, centre, *columns, relu, dx.reshape(-1))
    return dx, by_gamma.astype(x.dtype), by_beta.astype(x.dtype)
