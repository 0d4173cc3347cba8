"""Reading images at places between pixels: the numbers behind turning, shifting and zooming.

A place is mapped into the image by the fill mode, and its value is the weighted mean of the four
pixels around it, or the nearest pixel. So every output pixel is a short list of (pixel, weight),
and reading is a sparse linear map whose adjoint gives each pixel back what was read from it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minicnn.kernels.arrays import add_at

__all__ = ["Places", "gather", "inside", "places", "scatter"]

Array = NDArray[Any]


class Places(NamedTuple):
    """Which pixels are read for each output pixel, and with which weights.

    K is 4 for bilinear and 1 for nearest; P and Q are the numbers of pixels read and written.
    """

    source: Array  # (N,K,Q) row * W + column
    weight: Array  # (N,K,Q) 0 for pixels outside
    outside: Array  # (N,Q) the weight of what lies outside, which the fill value gets
    pixels: int  # P


def inside(at: Array, length: int, fill_mode: str) -> Array:
    """Return coordinates mapped into 0..length - 1 as a fill mode says; `constant` leaves them.

        reflect    d c b a | a b c d | d c b a
        wrap       a b c d | a b c d | a b c d
        nearest    a a a a | a b c d | d d d d

    A place between the last pixel and the first one of the next period is put on the nearer edge's
    pixel, as TensorFlow does.

    >>> inside(np.array([-1.5, 0.25, 4.0]), 4, "reflect").tolist()
    [0.5, 0.25, 3.0]
    """
    if fill_mode == "constant":
        return at
    if fill_mode == "reflect":
        at = np.mod(at + 0.5, 2 * length)
        at = np.minimum(at, 2 * length - at) - 0.5
    elif fill_mode == "wrap":
        period = max(length - 1, 1)
        below, above = np.trunc(-at / period) + 1, np.trunc(at / period)
        at = at + length * np.where(at < 0, below, np.where(at > length - 1, -above, 0))
    return np.clip(at, 0, length - 1)


def places(
    transform: Array, size: tuple[int, int], interpolation: str, fill_mode: str, dtype: Any
) -> Places:
    """Return where the pixels of transformed images of this size come from.

    The pixel at (x, y) of the result is read at

        ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k),  k = c0 x + c1 y + 1

    Args:
        transform: (N,8), the numbers a0, a1, a2, b0, b1, b2, c0, c1 of each image.
        size: (height, width) of the images.
        interpolation: `"bilinear"` or `"nearest"`.
        fill_mode: `"constant"`, `"nearest"`, `"reflect"` or `"wrap"`.
        dtype: type of the places and weights.
    """
    height, width = size
    pixels = np.arange(height * width, like=transform)
    grid_y, grid_x = (pixels // width).astype(dtype), (pixels % width).astype(dtype)  # (Q,)
    a0, a1, a2, b0, b1, b2, c0, c1 = transform.astype(dtype).T[:, :, None]  # (N,1) each
    k = c0 * grid_x + c1 * grid_y + 1  # (N,Q)
    x = inside((a0 * grid_x + a1 * grid_y + a2) / k, width, fill_mode)
    y = inside((b0 * grid_x + b1 * grid_y + b2) / k, height, fill_mode)
    if interpolation == "nearest":
        # Halves are rounded away from zero, as C does.
        corners = [(_rounded(y), _rounded(x), np.ones_like(x))]
    else:
        top, left = np.floor(y), np.floor(x)
        down, right = y - top, x - left
        corners = [
            (top, left, (1 - down) * (1 - right)),
            (top, left + 1, (1 - down) * right),
            (top + 1, left, down * (1 - right)),
            (top + 1, left + 1, down * right),
        ]
    source, weight, outside = [], [], np.zeros(x.shape, dtype, like=x)
    for row, column, share in corners:
        there = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        row, column = np.where(there, row, 0), np.where(there, column, 0)
        source.append((row * width + column).astype(np.intp))
        weight.append(np.where(there, share, 0))
        outside += np.where(there, 0, share)
    return Places(
        np.stack(source, 1),
        np.stack(weight, 1).astype(dtype),
        outside.astype(dtype),
        height * width,
    )


def _rounded(x: Array) -> Array:
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def gather(x: Array, where: Places) -> Array:
    """Return what is read from images x (N,P,C): y (N,Q,C).

    y[n,q] = sum over k of x[n, source[n,k,q]] * weight[n,k,q]
    """
    rows, source = x.reshape(-1, x.shape[2]), _in_batch(where)  # (N*P,C)
    y = rows[source[:, 0]] * where.weight[:, 0, :, None]  # (N,Q,C)
    for k in range(1, source.shape[1]):
        y += rows[source[:, k]] * where.weight[:, k, :, None]
    return y


def _in_batch(where: Places) -> Array:
    """Return the numbers of the pixels read, counted through all images: (N,K,Q)."""
    first = np.arange(len(where.source), like=where.source)[:, None, None] * where.pixels
    return where.source + first


def scatter(dy: Array, where: Places) -> Array:
    """Return what comes back to the images, x (N,P,C), from y (N,Q,C): the adjoint of `gather`."""
    values = dy[:, None] * where.weight[..., None]  # (N,K,Q,C)
    rows = values.reshape(-1, dy.shape[2])  # (N*K*Q,C)
    dx = add_at(_in_batch(where).reshape(-1), rows, len(dy) * where.pixels)
    return dx.reshape(len(dy), where.pixels, dy.shape[2])
