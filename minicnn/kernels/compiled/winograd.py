"""Winograd's minimal filtering: 3 x 3 kernels with 2.25 times fewer products.

Two results in a row of a kernel of three numbers take six products; four are enough. Along one
axis, for pixels d and kernel g:

    y0 = m0 + m1 + m2    m0 = (d0 - d2) * g0    m1 = (d1 + d2) * (g0 + g1 + g2)/2
    y1 = m1 - m2 - m3    m3 = (d1 - d3) * g2    m2 = (d2 - d1) * (g0 - g1 + g2)/2

and in two dimensions the same along each axis: 2 x 2 results from 4 x 4 pixels with 16 products in
place of 36. With many channels, each of the 16 is a matrix product of pixels by channels, which the
register tile does; what is added here are sums and differences. These round, too, but sums of C
products round less than the direct way's of 9*C: with 64 channels the largest error is 3.6e-7 of
the largest result, directly 1.4e-6.

Source: A. Lavin and S. Gray, Fast algorithms for convolutional neural networks, 2016, section 4.1.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from minicnn.kernels.compiled.bands import pool
from minicnn.kernels.compiled.tile import add, ahead, load, relu, store_rows, subtract

__all__ = ["from_winograd", "to_winograd", "winograd_kernel"]

Array = NDArray[Any]

_serial = numba.njit(error_model="numpy", fastmath={"contract"})

#: What a kernel (g0, g1, g2) is multiplied by, along each axis.
KERNEL_SIDE = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))


def winograd_kernel(kernel: Array) -> Array:
    """Return a kernel (3,3,C,F) as the 16 matrices (16,C,F) of its tile."""
    channels, filters = kernel.shape[2:]
    side = np.array(KERNEL_SIDE, kernel.dtype)  # (4,3)
    rows = side @ kernel.reshape(3, -1)  # (4,3*C*F)
    columns = side @ rows.reshape(4, 3, -1)  # (4,4,C*F)
    return columns.reshape(16, channels, filters)


@_serial
def _four_differences(a, b, c, d):
    return subtract(a, c), add(b, c), subtract(c, b), subtract(b, d)


@_serial
def _two_sums(a, b, c, d):
    return add(add(a, b), c), subtract(subtract(b, c), d)


@_serial
def to_winograd(f, padded, line, out):
    """Write the 16 numbers of each tile of a row, as 16 images of one pixel a tile (16,T,C)."""
    apart = f.tiles * f.taken
    for t in range(f.tiles):
        for c in range(0, f.taken, f.lanes):
            a0, b0, c0, d0 = _column(padded, 2 * t * f.taken + c, line)
            a1, b1, c1, d1 = _column(padded, (2 * t + 1) * f.taken + c, line)
            a2, b2, c2, d2 = _column(padded, (2 * t + 2) * f.taken + c, line)
            a3, b3, c3, d3 = _column(padded, (2 * t + 3) * f.taken + c, line)
            o = t * f.taken + c
            _store_four(f, a0, a1, a2, a3, out, o, apart)
            _store_four(f, b0, b1, b2, b3, out, o + 4 * apart, apart)
            _store_four(f, c0, c1, c2, c3, out, o + 8 * apart, apart)
            _store_four(f, d0, d1, d2, d3, out, o + 12 * apart, apart)


@_serial
def _column(padded, first, line):
    return _four_differences(
        load(padded, first), load(padded, first + line), load(padded, first + 2 * line),
        load(padded, first + 3 * line),
    )  # fmt: skip


@_serial
def _store_four(f, a, b, c, d, out, o, apart):
    v0, v1, v2, v3 = _four_differences(a, b, c, d)
    store_rows(v0, out, o, 0, f.lanes)
    store_rows(v1, out, o + apart, 0, f.lanes)
    store_rows(v2, out, o + 2 * apart, 0, f.lanes)
    store_rows(v3, out, o + 3 * apart, 0, f.lanes)


@_serial
def _from_winograd(f, products, bias, rows, columns, out):
    """Write the 2 x 2 results of each tile of a row, with bias and ReLU."""
    apart, line = f.tiles * f.channels, columns * f.channels
    for t in range(f.tiles):
        for c in range(0, f.channels, f.lanes):
            m = t * f.channels + c
            a0, b0 = _row_sums(products, m, apart)
            a1, b1 = _row_sums(products, m + 4 * apart, apart)
            a2, b2 = _row_sums(products, m + 8 * apart, apart)
            a3, b3 = _row_sums(products, m + 12 * apart, apart)
            y00, y10 = _two_sums(a0, a1, a2, a3)
            y01, y11 = _two_sums(b0, b1, b2, b3)
            o = 2 * t * f.channels + c
            _store_pixel(f, y00, bias, c, out, o)
            if 2 * t + 1 < columns:
                _store_pixel(f, y01, bias, c, out, o + f.channels)
            if rows > 1:
                _store_pixel(f, y10, bias, c, out, o + line)
                if 2 * t + 1 < columns:
                    _store_pixel(f, y11, bias, c, out, o + line + f.channels)


@_serial
def _row_sums(products, m, apart):
    return _two_sums(
        load(products, m), load(products, m + apart), load(products, m + 2 * apart),
        load(products, m + 3 * apart),
    )  # fmt: skip


@_serial
def _store_pixel(f, value, bias, c, out, o):
    if f.biased:
        value = add(value, load(bias, c))
    if f.clip:
        value = relu(value)
    store_rows(value, out, o, 0, f.lanes)


@_serial
def from_winograd(f, q, n, products, bias, out, where):
    """Compute two rows of the result from a row of tiles, and pool them if that is wanted."""
    if f.pooled:
        # Behind the products there is room for two rows.
        pair = ahead(products, 16 * f.tiles * f.channels)
        rows = min(2, f.above - 2 * q)
        _from_winograd(f, products, bias, rows, f.line, pair)
        if rows == 2:
            pool(f, rows, 2 * q, n, pair, out, where)
    else:
        rows = min(2, f.height - 2 * q)
        first = (n * f.height + 2 * q) * f.width * f.channels
        _from_winograd(f, products, bias, rows, f.width, ahead(out, first))
