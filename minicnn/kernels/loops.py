"""The definitions: every map as plain Python loops over numbers, as on the slide.

Slow on purpose, and the oracle for the other backends. Images are (N,H,W,C), kernels are
(KH,KW,C/groups,F), and all sizes come from the geometry.

The three maps of convolution walk over the same products. With x the image, k the kernel and y the
result, each product joins one element of each:

    conv2d                   y[n,oh,ow,f]  += x[n,h,w,c] * k[i,j,c,f]
    conv2d_input_gradient    dx[n,h,w,c]   += dy[n,oh,ow,f] * k[i,j,c,f]
    conv2d_kernel_gradient   dk[i,j,c,f]   += x[n,h,w,c] * dy[n,oh,ow,f]

where h = oh*S - P + i*D, and the same for w.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.geometry import Geometry, Resize, resize_taps

Array = NDArray[Any]
Index = tuple[int, ...]
#: Two rows (or columns) and the share of the second, as `resize_taps` gives them.
Taps = tuple[int, int, float]


def window(g: Geometry, oh: int, ow: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (i, j, h, w) for every window element (i,j) of output (oh,ow) inside the image.

    Elements that fall on the padding are left out: they would add zero to a sum.
    """
    for i in range(g.kernel_height):
        h = oh * g.stride_height - g.pad_top + i * g.dilation_height
        for j in range(g.kernel_width):
            w = ow * g.stride_width - g.pad_left + j * g.dilation_width
            if 0 <= h < g.in_height and 0 <= w < g.in_width:
                yield i, j, h, w


def products_of(
    channels: int, filters: int, g: Geometry, y: Index
) -> Iterator[tuple[Index, Index]]:
    """Yield the indices (of x, of the kernel) of every product in one output y[n,oh,ow,f]."""
    n, oh, ow, f = y
    group_channels = channels // g.groups
    first = f // (filters // g.groups) * group_channels
    for i, j, h, w in window(g, oh, ow):
        for c in range(group_channels):
            yield (n, h, w, first + c), (i, j, c, f)


def products(
    batch: int, channels: int, filters: int, g: Geometry
) -> Iterator[tuple[Index, Index, Index]]:
    """Yield the indices (of x, of the kernel, of y) of every product of a convolution."""
    for y in np.ndindex(batch, g.out_height, g.out_width, filters):
        for at_x, at_kernel in products_of(channels, filters, g, y):
            yield at_x, at_kernel, y


def conv2d(x: Array, kernel: Array, g: Geometry) -> Array:
    """Return y (N,OH,OW,F): each output is the sum of the window times the kernel."""
    batch, _, _, channels = x.shape
    filters = kernel.shape[3]
    y = np.zeros((batch, g.out_height, g.out_width, filters), x.dtype)
    for at_x, at_kernel, at_y in products(batch, channels, filters, g):
        y[at_y] += x[at_x] * kernel[at_kernel]
    return y


def conv2d_input_gradient(dy: Array, kernel: Array, g: Geometry) -> Array:
    """Return dx (N,H,W,C): each output sends its gradient back through the kernel.

    This is the transposed convolution of `dy`.
    """
    batch, _, _, filters = dy.shape
    channels = kernel.shape[2] * g.groups
    dx = np.zeros((batch, g.in_height, g.in_width, channels), dy.dtype)
    for at_x, at_kernel, at_y in products(batch, channels, filters, g):
        dx[at_x] += dy[at_y] * kernel[at_kernel]
    return dx


def conv2d_kernel_gradient(x: Array, dy: Array, g: Geometry) -> Array:
    """Return dk (KH,KW,C/groups,F): each kernel element meets every output that used it."""
    batch, _, _, channels = x.shape
    filters = dy.shape[3]
    dk = np.zeros((g.kernel_height, g.kernel_width, channels // g.groups, filters), x.dtype)
    for at_x, at_kernel, at_y in products(batch, channels, filters, g):
        dk[at_kernel] += x[at_x] * dy[at_y]
    return dk


def max_pool2d(x: Array, g: Geometry) -> tuple[Array, Array]:
    """Return the largest value of each window (N,OH,OW,C), and where it stands.

    `where` holds h*W + w of the first maximum in row-major order. Padding counts as minus
    infinity: a window that lies wholly on it gives minus infinity and `where` = -1. A NaN is
    larger than every number, as in NumPy.
    """
    batch, _, _, channels = x.shape
    shape = (batch, g.out_height, g.out_width, channels)
    values = np.full(shape, -np.inf, x.dtype)
    where = np.full(shape, -1, np.int32)
    for n, oh, ow, c in np.ndindex(shape):
        for _, _, h, w in window(g, oh, ow):
            largest, value = values[n, oh, ow, c], x[n, h, w, c]
            if (
                where[n, oh, ow, c] < 0
                or value > largest
                or (value != value and largest == largest)
            ):
                values[n, oh, ow, c] = value
                where[n, oh, ow, c] = h * g.in_width + w
    return values, where


def scatter(dy: Array, where: Array, g: Geometry) -> Array:
    """Return dx (N,H,W,C): each value added at the place that `where` names; -1 is nowhere."""
    batch, _, _, channels = dy.shape
    dx = np.zeros((batch, g.in_height, g.in_width, channels), dy.dtype)
    for n, oh, ow, c in np.ndindex(dy.shape):
        place = where[n, oh, ow, c]
        if place >= 0:
            dx[n, place // g.in_width, place % g.in_width, c] += dy[n, oh, ow, c]
    return dx


def gather(x: Array, where: Array, g: Geometry) -> Array:
    """Return y (N,OH,OW,C): the values of x at the places that `where` names; -1 gives zero."""
    y = np.zeros(where.shape, x.dtype)
    for n, oh, ow, c in np.ndindex(where.shape):
        place = where[n, oh, ow, c]
        if place >= 0:
            y[n, oh, ow, c] = x[n, place // g.in_width, place % g.in_width, c]
    return y


def average_pool2d(x: Array, g: Geometry) -> Array:
    """Return the mean of each window (N,OH,OW,C); padding is not counted."""
    batch, _, _, channels = x.shape
    y = np.zeros((batch, g.out_height, g.out_width, channels), x.dtype)
    for n, oh, ow, c in np.ndindex(y.shape):
        inside = list(window(g, oh, ow))
        for _, _, h, w in inside:
            y[n, oh, ow, c] += x[n, h, w, c] / len(inside)
    return y


def average_pool2d_gradient(dy: Array, g: Geometry) -> Array:
    """Return dx (N,H,W,C): each output's gradient shared among the pixels of its window."""
    batch, _, _, channels = dy.shape
    dx = np.zeros((batch, g.in_height, g.in_width, channels), dy.dtype)
    for n, oh, ow, c in np.ndindex(dy.shape):
        inside = list(window(g, oh, ow))
        for _, _, h, w in inside:
            dx[n, h, w, c] += dy[n, oh, ow, c] / len(inside)
    return dx


def mixture(row: Taps, column: Taps) -> Iterator[tuple[int, int, float]]:
    """Yield (h, w, share) for every input pixel that enters the pixel with these taps."""
    (top, bottom, down), (left, right, across) = row, column
    for h, row_share in ((top, 1 - down), (bottom, down)):
        for w, column_share in ((left, 1 - across), (right, across)):
            if row_share * column_share > 0:
                yield h, w, row_share * column_share


def mixtures(size: Resize, interpolation: str) -> Iterator[tuple[int, int, int, int, float]]:
    """Yield (oh, ow, h, w, share) for every input pixel that enters a resized pixel."""
    rows = resize_taps(size.in_height, size.out_height, interpolation)
    columns = resize_taps(size.in_width, size.out_width, interpolation)
    for oh, row in enumerate(rows):
        for ow, column in enumerate(columns):
            for h, w, share in mixture(row, column):
                yield oh, ow, h, w, share


def resize2d(x: Array, size: Resize, interpolation: str) -> Array:
    """Return y (N,OH,OW,C): each pixel mixed from its nearest one, or two by two, in x."""
    batch, _, _, channels = x.shape
    y = np.zeros((batch, size.out_height, size.out_width, channels), x.dtype)
    for n in range(batch):
        for oh, ow, h, w, share in mixtures(size, interpolation):
            for c in range(channels):
                y[n, oh, ow, c] += share * x[n, h, w, c]
    return y


def resize2d_gradient(dy: Array, size: Resize, interpolation: str) -> Array:
    """Return dx (N,H,W,C): each pixel's gradient given back to those it was mixed from."""
    batch, _, _, channels = dy.shape
    dx = np.zeros((batch, size.in_height, size.in_width, channels), dy.dtype)
    for n in range(batch):
        for oh, ow, h, w, share in mixtures(size, interpolation):
            for c in range(channels):
                dx[n, h, w, c] += share * dy[n, oh, ow, c]
    return dx
