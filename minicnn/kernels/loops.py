"""The definitions: every map as plain Python loops over numbers, as on the slide.

Slow on purpose, and the oracle for the other backends. Images are (N,H,W,C), kernels are
(KH,KW,C/groups,F), and all sizes come from the geometry.

The three maps of convolution are one walk of seven loops, in which one line is exchanged. With x
the image, k the kernel and y the result, each product joins one element of each:

    conv2d                   y[n,oh,ow,f]  += x[n,h,w,c] * k[i,j,c,f]
    conv2d_input_gradient    dx[n,h,w,c]   += dy[n,oh,ow,f] * k[i,j,c,f]
    conv2d_kernel_gradient   dk[i,j,c,f]   += x[n,h,w,c] * dy[n,oh,ow,f]

where h = oh*S - P + i*D, and the same for w. Elements that fall on the padding are left out: they
would add zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.geometry import Geometry, Resize, resize_taps

Array = NDArray[Any]
#: Two rows (or columns) and the share of the second, as `resize_taps` gives them.
Taps = tuple[int, int, float]


def conv2d(x: Array, kernel: Array, g: Geometry) -> Array:
    """Return y (N,OH,OW,F): each output is the sum of the window times the kernel."""
    batch, filters = x.shape[0], kernel.shape[3]
    group_channels, group_filters = kernel.shape[2], filters // g.groups
    y = np.zeros((batch, g.out_height, g.out_width, filters), x.dtype)
    for n in range(batch):
        for oh in range(g.out_height):
            for ow in range(g.out_width):
                for f in range(filters):
                    first = f // group_filters * group_channels  # of the channels that f sees
                    for i in range(g.kernel_height):
                        h = oh * g.stride_height - g.pad_top + i * g.dilation_height
                        for j in range(g.kernel_width):
                            w = ow * g.stride_width - g.pad_left + j * g.dilation_width
                            if 0 <= h < g.in_height and 0 <= w < g.in_width:
                                for c in range(group_channels):
                                    y[n, oh, ow, f] += x[n, h, w, first + c] * kernel[i, j, c, f]
    return y


def conv2d_input_gradient(dy: Array, kernel: Array, g: Geometry) -> Array:
    """Return dx (N,H,W,C): each output sends its gradient back through the kernel.

    This is the transposed convolution of `dy`.
    """
    batch, filters = dy.shape[0], dy.shape[3]
    group_channels, group_filters = kernel.shape[2], filters // g.groups
    dx = np.zeros((batch, g.in_height, g.in_width, group_channels * g.groups), dy.dtype)
    for n in range(batch):
        for oh in range(g.out_height):
            for ow in range(g.out_width):
                for f in range(filters):
                    first = f // group_filters * group_channels  # of the channels that f sees
                    for i in range(g.kernel_height):
                        h = oh * g.stride_height - g.pad_top + i * g.dilation_height
                        for j in range(g.kernel_width):
                            w = ow * g.stride_width - g.pad_left + j * g.dilation_width
                            if 0 <= h < g.in_height and 0 <= w < g.in_width:
                                for c in range(group_channels):
                                    dx[n, h, w, first + c] += dy[n, oh, ow, f] * kernel[i, j, c, f]
    return dx


def conv2d_kernel_gradient(x: Array, dy: Array, g: Geometry) -> Array:
    """Return dk (KH,KW,C/groups,F): each kernel element meets every output that used it."""
    batch, filters = dy.shape[0], dy.shape[3]
    group_channels, group_filters = x.shape[3] // g.groups, filters // g.groups
    dk = np.zeros((g.kernel_height, g.kernel_width, group_channels, filters), x.dtype)
    for n in range(batch):
        for oh in range(g.out_height):
            for ow in range(g.out_width):
                for f in range(filters):
                    first = f // group_filters * group_channels  # of the channels that f sees
                    for i in range(g.kernel_height):
                        h = oh * g.stride_height - g.pad_top + i * g.dilation_height
                        for j in range(g.kernel_width):
                            w = ow * g.stride_width - g.pad_left + j * g.dilation_width
                            if 0 <= h < g.in_height and 0 <= w < g.in_width:
                                for c in range(group_channels):
                                    dk[i, j, c, f] += x[n, h, w, first + c] * dy[n, oh, ow, f]
    return dk


def window(g: Geometry, oh: int, ow: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (i, j, h, w) for every window element (i,j) of output (oh,ow) inside the image."""
    for i in range(g.kernel_height):
        h = oh * g.stride_height - g.pad_top + i * g.dilation_height
        for j in range(g.kernel_width):
            w = ow * g.stride_width - g.pad_left + j * g.dilation_width
            if 0 <= h < g.in_height and 0 <= w < g.in_width:
                yield i, j, h, w


def max_pool2d(x: Array, g: Geometry) -> tuple[Array, Array]:
    """Return the largest value of each window (N,OH,OW,C), and where it stands.

    `indices` holds h*W + w of the first maximum in row-major order. Padding counts as minus
    infinity: a window that lies wholly on it gives minus infinity and `indices` = -1. A NaN is
    larger than every number, as in NumPy.
    """
    batch, _, _, channels = x.shape
    shape = (batch, g.out_height, g.out_width, channels)
    values = np.full(shape, -np.inf, x.dtype)
    indices = np.full(shape, -1, np.int32)
    for n, oh, ow, c in np.ndindex(shape):
        for _, _, h, w in window(g, oh, ow):
            largest, value = values[n, oh, ow, c], x[n, h, w, c]
            if (
                indices[n, oh, ow, c] < 0
                or value > largest
                or (value != value and largest == largest)
            ):
                values[n, oh, ow, c] = value
                indices[n, oh, ow, c] = h * g.in_width + w
    return values, indices


def scatter(dy: Array, indices: Array, g: Geometry) -> Array:
    """Return dx (N,H,W,C): each value added at the place that `indices` names; -1 is nowhere."""
    batch, _, _, channels = dy.shape
    dx = np.zeros((batch, g.in_height, g.in_width, channels), dy.dtype)
    for n, oh, ow, c in np.ndindex(dy.shape):
        place = indices[n, oh, ow, c]
        if place >= 0:
            dx[n, place // g.in_width, place % g.in_width, c] += dy[n, oh, ow, c]
    return dx


def gather(x: Array, indices: Array, g: Geometry) -> Array:
    """Return y (N,OH,OW,C): the values of x at the places that `indices` names; -1 gives zero."""
    y = np.zeros(indices.shape, x.dtype)
    for n, oh, ow, c in np.ndindex(indices.shape):
        place = indices[n, oh, ow, c]
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
