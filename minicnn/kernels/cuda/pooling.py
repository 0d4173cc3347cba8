"""Pooling and resizing: a thread for each result."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minicnn.errors import check_choice
from minicnn.geometry import Geometry, Resize, resize_taps
from minicnn.kernels.cuda.device import Array, checked, cupy, empty, kept, program
from minicnn.kernels.cuda.transfer import to_gpu

__all__ = ["average_pool2d", "average_pool2d_gradient", "gather", "large", "max_pool2d",
           "relu_gradient", "resize2d", "resize2d_gradient", "scatter", "scatter_masked",
           "small"]  # fmt: skip

#: Tables for resizing, two for each pair of sizes, that are kept on the GPU.
KEPT = 256


def large(images: int, g: Geometry | Resize, channels: int) -> tuple[int, int, int, int]:
    """Return the shape of what windows slide over, or of what is resized."""
    return images, g.in_height, g.in_width, channels


def small(images: int, g: Geometry | Resize, channels: int) -> tuple[int, int, int, int]:
    """Return the shape of what has one number for each window, or of the resized."""
    return images, g.out_height, g.out_width, channels


def _ends(array: Array) -> tuple[int, int]:
    """Return the images and channels of an array (N,H,W,C)."""
    return array.shape[0], array.shape[3]


def max_pool2d(x: Array, g: Geometry) -> tuple[Array, Array]:
    """Return the largest value of each window (N,OH,OW,C), and h*W + w of the first such.

    Padding counts as minus infinity; a window that lies wholly on it gives that and -1.
    """
    images, channels = _ends(x)
    (x,) = checked("max_pool2d", x=(x, large(images, g, channels)))
    values = empty("max_pool2d", small(images, g, channels), x.dtype)
    indices = empty("max_pool2d", values.shape, np.int32)
    kernels = program("pooling", x, values)
    count, nothing = kernels.offset(values.size), kernels.number(-np.inf)
    kernels.over("max_pool2d", values.size, x, values, indices, count, channels, nothing, g)
    return values, indices


def scatter(dy: Array, indices: Array, g: Geometry) -> Array:
    """Return dx (N,H,W,C): each value added at the place that `indices` names; -1 is nowhere.

    Each input looks at the outputs whose windows contain it, so `indices` must hold places inside
    each output's own window, as `max_pool2d` of the same geometry finds them.
    """
    return scatter_masked(dy, None, indices, g)


def scatter_masked(dy: Array, relu_output: Array | None, indices: Array, g: Geometry) -> Array:
    """Return `scatter` of those values that came through a ReLU; without its output, of all."""
    images, channels = _ends(dy)
    shape = small(images, g, channels)
    dy, relu_output, indices = checked(
        "scatter", dy=(dy, shape), relu_output=(relu_output, shape), indices=(indices, shape)
    )
    dx = empty("scatter", large(images, g, channels), dy.dtype)
    kernels = program("pooling", dy, dx)
    count = kernels.offset(dx.size)
    kernels.over("scatter", dx.size, dy, relu_output, indices, dx, count, channels, g)
    return dx


def gather(x: Array, indices: Array, g: Geometry) -> Array:
    """Return y (N,OH,OW,C): the values of x at the places that `indices` names; -1 gives zero."""
    images, channels = _ends(x)
    x, indices = checked(
        "gather", x=(x, large(images, g, channels)), indices=(indices, small(images, g, channels))
    )
    y = empty("gather", indices.shape, x.dtype)
    kernels = program("pooling", x, y)
    kernels.over("gather", y.size, x, indices, y, kernels.offset(y.size), channels, g)
    return y


def average_pool2d(x: Array, g: Geometry) -> Array:
    """Return the mean of each window (N,OH,OW,C); padding is not counted."""
    images, channels = _ends(x)
    (x,) = checked("average_pool2d", x=(x, large(images, g, channels)))
    y = empty("average_pool2d", small(images, g, channels), x.dtype)
    kernels = program("pooling", x, y)
    kernels.over("average_pool2d", y.size, x, y, kernels.offset(y.size), channels, g)
    return y


def average_pool2d_gradient(dy: Array, g: Geometry) -> Array:
    """Return dx (N,H,W,C): each output's gradient shared among the pixels of its window."""
    images, channels = _ends(dy)
    (dy,) = checked("average_pool2d_gradient", dy=(dy, small(images, g, channels)))
    dx = empty("average_pool2d_gradient", large(images, g, channels), dy.dtype)
    kernels = program("pooling", dy, dx)
    count = kernels.offset(dx.size)
    kernels.over("average_pool2d_gradient", dx.size, dy, dx, count, channels, g)
    return dx


def users(taps: list[tuple[int, int, float]], n: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Return for each of n inputs the first output that it enters, and the one after the last.

    >>> users([(0, 1, 0.0), (0, 1, 0.25), (0, 1, 0.75), (1, 1, 0.0)], 3).tolist()
    [[0, 3], [0, 4], [0, 0]]
    """
    found = np.zeros((n, 2), np.int32)
    for out, tap in enumerate(taps):
        for at in set(tap[:2]):
            if found[at, 1] == 0:
                found[at, 0] = out
            found[at, 1] = out + 1
    return found


@functools.lru_cache(maxsize=KEPT)
def _tables(
    n: int, out: int, interpolation: str, dtype: np.dtype[Any], device: int
) -> tuple[Array, Array, Array]:
    """Return the taps of one axis on a GPU: pixels (O,2), shares (O,), users (N,2)."""
    taps = resize_taps(n, out, interpolation)
    pixels = np.array([tap[:2] for tap in taps], np.int32)
    shares = np.array([tap[2] for tap in taps], dtype)
    return tuple(map(to_gpu, (pixels, shares, users(taps, n))))


def _axes(
    size: Resize, interpolation: str, dtype: Any
) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array]]:
    """Return the tables of rows and of columns."""
    check_choice("resize2d", "interpolation", interpolation, ["nearest", "bilinear"])
    device = cupy().cuda.runtime.getDevice()
    return (
        kept(_tables(size.in_height, size.out_height, interpolation, dtype, device)),
        kept(_tables(size.in_width, size.out_width, interpolation, dtype, device)),
    )


def resize2d(x: Array, size: Resize, interpolation: str) -> Array:
    """Return y (N,OH,OW,C): each pixel mixed from its nearest one, or two by two, in x."""
    images, channels = _ends(x)
    (x,) = checked("resize2d", x=(x, large(images, size, channels)))
    rows, columns = _axes(size, interpolation, x.dtype)
    y = empty("resize2d", small(images, size, channels), x.dtype)
    kernels = program("resize", x, y)
    count = kernels.offset(y.size)
    kernels.over("resize2d", y.size, x, *rows[:2], *columns[:2], y, count, channels, size)
    return y


def resize2d_gradient(dy: Array, size: Resize, interpolation: str) -> Array:
    """Return dx (N,H,W,C): each pixel's gradient given back to those it was mixed from."""
    images, channels = _ends(dy)
    (dy,) = checked("resize2d_gradient", dy=(dy, small(images, size, channels)))
    rows, columns = _axes(size, interpolation, dy.dtype)
    dx = empty("resize2d_gradient", large(images, size, channels), dy.dtype)
    kernels = program("resize", dy, dx)
    count = kernels.offset(dx.size)
    kernels.over("resize2d_gradient", dx.size, dy, *rows, *columns, dx, count, channels, size)
    return dx


def relu_gradient(dy: Array, y: Array) -> Array:
    """Return dy where the result y of a ReLU is positive, else 0."""
    dy, y = checked("relu_gradient", dy=(dy, dy.shape), y=(y, dy.shape))
    dx = empty("relu_gradient", dy.shape, dy.dtype)
    kernels = program("pooling", dy)
    kernels.over("relu_gradient", dx.size, dy, y, dx, kernels.offset(dx.size))
    return dx
