"""The maps in NumPy: strided windows and matrix products.

Two views of the same windows carry everything. `windows` looks at the padded image as
(N,OH,OW,KH,KW,C) without copying, which turns a convolution into one matrix product. `shifted`
looks at it from one kernel element: the input pixels that this element meets, and the outputs in
which it meets them, which turns pooling into KH*KW passes over whole images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from minicnn.geometry import Geometry, Resize, resize_taps, valid_outputs
from minicnn.runtime.threads import in_threads

Array = NDArray[Any]
T = TypeVar("T")

#: Images are taken in blocks whose windows fill about this many bytes, so that they stay in cache.
BLOCK_BYTES = 1 << 20


def windows(x: Array, g: Geometry) -> Array:
    """Return the window of every output, (N,OH,OW,KH,KW,C), as a view of the padded image."""
    sides = ((0, 0), (g.pad_top, g.pad_bottom), (g.pad_left, g.pad_right), (0, 0))
    padded = np.pad(x, sides) if any(map(any, sides)) else x  # (N,H+P,W+P,C)
    batch, _, _, channels = x.shape
    sn, sh, sw, sc = padded.strides
    return as_strided(
        padded,
        (batch, g.out_height, g.out_width, g.kernel_height, g.kernel_width, channels),
        (
            sn,
            sh * g.stride_height,
            sw * g.stride_width,
            sh * g.dilation_height,
            sw * g.dilation_width,
            sc,
        ),
        writeable=False,
    )


def shifted(g: Geometry) -> Iterator[tuple[int, int, tuple[slice, ...], tuple[slice, ...]]]:
    """Yield (i, j, inputs, outputs): the slices that meet at kernel element (i,j)."""
    for i in range(g.kernel_height):
        rows = _tap(g.in_height, g.out_height, g.stride_height, g.pad_top, i * g.dilation_height)
        for j in range(g.kernel_width):
            columns = _tap(
                g.in_width, g.out_width, g.stride_width, g.pad_left, j * g.dilation_width
            )
            every = slice(None)
            yield i, j, (every, rows[0], columns[0]), (every, rows[1], columns[1])


def _tap(n: int, out: int, stride: int, pad: int, offset: int) -> tuple[slice, slice]:
    first, end = valid_outputs(n, out, stride, pad, offset)
    start = first * stride - pad + offset
    return slice(start, start + (end - first) * stride, stride), slice(first, end)


def _in_blocks(batch: int, bytes_each: int, work: Callable[[slice], T]) -> list[T]:
    """Return what `work` makes of each slice of images, several slices at a time.

    Copying is shared out too, and no thread waits for another in the middle of a product. The
    blocks depend on the sizes alone, so the numbers do not depend on the machine's cores.
    """
    step = max(1, BLOCK_BYTES // max(1, bytes_each))
    blocks = [slice(first, first + step) for first in range(0, batch, step)]
    if len(blocks) == 1:
        return [work(blocks[0])]
    return in_threads(work, blocks)


def _groups(g: Geometry, channels: int, filters: int) -> Iterator[tuple[slice, slice]]:
    """Yield the channels and the filters of each group."""
    c, f = channels // g.groups, filters // g.groups
    for group in range(g.groups):
        yield slice(group * c, (group + 1) * c), slice(group * f, (group + 1) * f)


def conv2d(x: Array, kernel: Array, g: Geometry) -> Array:
    """Return y (N,OH,OW,F): windows times kernel, as a matrix product."""
    batch, _, _, channels = x.shape
    filters = kernel.shape[3]
    y = np.empty((batch, g.out_height, g.out_width, filters), x.dtype)
    taps = g.kernel_height * g.kernel_width * (channels // g.groups)

    def multiply(block: slice) -> None:
        for c, f in _groups(g, channels, filters):
            rows = windows(x[block, :, :, c], g).reshape(-1, taps)  # (N*OH*OW,KH*KW*C)
            product = rows @ kernel[..., f].reshape(taps, -1)  # (N*OH*OW,F)
            y[block, :, :, f] = product.reshape(-1, g.out_height, g.out_width, product.shape[1])

    _in_blocks(batch, g.out_height * g.out_width * taps * x.itemsize, multiply)
    return y


def conv2d_input_gradient(dy: Array, kernel: Array, g: Geometry) -> Array:
    """Return dx (N,H,W,C): a matrix product gives every window's share, added where it lies."""
    batch, _, _, filters = dy.shape
    height, width, group_channels, _ = kernel.shape
    channels = group_channels * g.groups
    taps = height * width * group_channels
    dx = np.zeros((batch, g.in_height, g.in_width, channels), dy.dtype)

    def spread(block: slice) -> None:
        for c, f in _groups(g, channels, filters):
            rows = dy[block, :, :, f].reshape(-1, filters // g.groups)  # (N*OH*OW,F)
            shares = rows @ kernel[..., f].reshape(taps, -1).T  # (N*OH*OW,KH*KW*C)
            shares = shares.reshape(
                -1, g.out_height, g.out_width, height, width, group_channels
            )  # (N,OH,OW,KH,KW,C)
            part = dx[block, :, :, c]
            for i, j, inputs, outputs in shifted(g):
                part[inputs] += shares[outputs][:, :, :, i, j]

    _in_blocks(batch, g.out_height * g.out_width * taps * dy.itemsize, spread)
    return dx


def conv2d_kernel_gradient(x: Array, dy: Array, g: Geometry) -> Array:
    """Return dk (KH,KW,C/groups,F): windows, transposed, times the gradient."""
    batch, _, _, channels = x.shape
    filters = dy.shape[3]
    group_channels = channels // g.groups
    taps = g.kernel_height * g.kernel_width * group_channels

    def correlate(block: slice) -> Array:
        part = np.empty((taps, filters), x.dtype)
        for c, f in _groups(g, channels, filters):
            rows = windows(x[block, :, :, c], g).reshape(-1, taps)  # (N*OH*OW,KH*KW*C)
            part[:, f] = rows.T @ dy[block, :, :, f].reshape(-1, filters // g.groups)
        return part

    parts = _in_blocks(batch, g.out_height * g.out_width * taps * x.itemsize, correlate)
    dk = np.zeros((taps, filters), x.dtype)
    for part in parts:
        dk += part
    return dk.reshape(g.kernel_height, g.kernel_width, group_channels, filters)


def max_pool2d(x: Array, g: Geometry) -> tuple[Array, Array]:
    """Return the largest value of each window (N,OH,OW,C), and h*W + w of the first such."""
    batch, _, _, channels = x.shape
    shape = (batch, g.out_height, g.out_width, channels)
    values = np.full(shape, -np.inf, x.dtype)
    indices = np.full(shape, -1, np.int32)
    places = np.arange(g.in_height * g.in_width, dtype=np.int32).reshape(
        1, g.in_height, g.in_width, 1
    )
    for _, _, inputs, outputs in shifted(g):
        candidate, largest = x[inputs], values[outputs]  # (N,OH',OW',C)
        better = (candidate > largest) | (indices[outputs] < 0)
        better |= np.isnan(candidate) & ~np.isnan(largest)
        np.copyto(largest, candidate, where=better)
        np.copyto(indices[outputs], places[inputs], where=better)
    return values, indices


def scatter(dy: Array, indices: Array, g: Geometry) -> Array:
    """Return dx (N,H,W,C): each value added at the place that `indices` names; -1 is nowhere."""
    batch, _, _, channels = dy.shape
    dx = np.zeros((batch, g.in_height * g.in_width, channels), dy.dtype)
    n, _, _, c = np.ogrid[tuple(map(slice, dy.shape))]
    # Chosen, not multiplied by zero: a NaN that belongs nowhere must not reach place 0.
    np.add.at(dx, (n, np.maximum(indices, 0), c), np.where(indices >= 0, dy, 0))
    return dx.reshape(batch, g.in_height, g.in_width, channels)


def gather(x: Array, indices: Array, g: Geometry) -> Array:
    """Return y (N,OH,OW,C): the values of x at the places that `indices` names; -1 gives zero."""
    batch, _, _, channels = x.shape
    flat = x.reshape(batch, g.in_height * g.in_width, channels)
    n, _, _, c = np.ogrid[tuple(map(slice, indices.shape))]
    zero = np.zeros((), x.dtype)
    return np.where(indices >= 0, flat[n, np.maximum(indices, 0), c], zero)


def _counts(g: Geometry, dtype: Any) -> Array:
    """Return how many pixels of each window lie inside the image, (OH,OW,1)."""
    counts = np.zeros((1, g.out_height, g.out_width, 1), dtype)
    for _, _, _, outputs in shifted(g):
        counts[outputs] += 1
    return np.maximum(counts[0], 1)


def average_pool2d(x: Array, g: Geometry) -> Array:
    """Return the mean of each window (N,OH,OW,C); padding is not counted."""
    batch, _, _, channels = x.shape
    y = np.zeros((batch, g.out_height, g.out_width, channels), x.dtype)
    for _, _, inputs, outputs in shifted(g):
        y[outputs] += x[inputs]
    return np.divide(y, _counts(g, x.dtype), out=y)


def average_pool2d_gradient(dy: Array, g: Geometry) -> Array:
    """Return dx (N,H,W,C): each output's gradient shared among the pixels of its window."""
    batch, _, _, channels = dy.shape
    shares = dy / _counts(g, dy.dtype)  # (N,OH,OW,C)
    dx = np.zeros((batch, g.in_height, g.in_width, channels), dy.dtype)
    for _, _, inputs, outputs in shifted(g):
        dx[inputs] += shares[outputs]
    return dx


def _mixing(n: int, out: int, interpolation: str, dtype: Any) -> Array:
    """Return the matrix (O,N) that resizes one axis."""
    matrix = np.zeros((out, n), dtype)
    for o, (i, j, share) in enumerate(resize_taps(n, out, interpolation)):
        matrix[o, i] += 1 - share
        matrix[o, j] += share
    return matrix


def _separable(x: Array, rows: Array, columns: Array) -> Array:
    """Multiply the rows axis and the columns axis of x (N,H,W,C) by a matrix each."""
    batch, height, width, channels = x.shape
    y = rows @ x.reshape(batch, height, width * channels)  # (N,OH,W*C)
    y = columns @ y.reshape(batch * len(rows), width, channels)  # (N*OH,OW,C)
    return y.reshape(batch, len(rows), len(columns), channels)


def resize2d(x: Array, size: Resize, interpolation: str) -> Array:
    """Return y (N,OH,OW,C): resizing is linear and separable, so it is two matrix products."""
    return _separable(
        x,
        _mixing(size.in_height, size.out_height, interpolation, x.dtype),
        _mixing(size.in_width, size.out_width, interpolation, x.dtype),
    )


def resize2d_gradient(dy: Array, size: Resize, interpolation: str) -> Array:
    """Return dx (N,H,W,C): the same products with the matrices transposed."""
    return _separable(
        dy,
        _mixing(size.in_height, size.out_height, interpolation, dy.dtype).T,
        _mixing(size.in_width, size.out_width, interpolation, dy.dtype).T,
    )
