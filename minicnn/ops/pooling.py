"""Pooling and resizing: max and average over windows, nearest and bilinear interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from minicnn.autograd.operators import operation
from minicnn.autograd.tensor import Tensor, record
from minicnn.errors import check_choice
from minicnn.geometry import Geometry, Resize, conv2d_geometry, pair, remembered
from minicnn.kernels import backend
from minicnn.ops.arguments import images, on_matrices

__all__ = ["average_pool2d", "average_pool2d_gradient", "gather", "max_pool2d",
           "resize2d", "resize2d_gradient", "scatter", "upsample2d"]  # fmt: skip

#: How often NumPy goes over the images for a max-pool or its gradient: what decides under `auto`
#: whether compiled code is worth its call, as multiply-adds do for convolutions.
PASSES = 10


def _window(
    where: str, x: Tensor, pool_size: Any, strides: Any, padding: Any, strict: bool
) -> Geometry:
    size = pair(where, "pool_size", pool_size)
    return remembered(
        conv2d_geometry,
        x.shape[1:3],
        size,
        size if strides is None else strides,
        padding,
        strict=strict,
        where=where,
        window="pool_size=",
    )


@operation
@on_matrices
def max_pool2d(
    x: Any,
    pool_size: int | Sequence[int] = 2,
    strides: int | Sequence[int] | None = None,
    padding: Any = "valid",
    *,
    strict: bool = False,
    name: str = "max_pool2d",
) -> Tensor:
    """Return the largest value of each window of a batch of images, (N,OH,OW,C).

    y[n,oh,ow,c] = max over i,j of x[n, oh*S - P + i, ow*S - P + j, c]

    Padding counts as minus infinity; of equal values the first in row-major order gets the
    gradient.

    Args:
        x: images (N,H,W,C), or a matrix (H,W), then so is the result.
        pool_size: rows and columns of the window, default 2.
        strides: step of the window in pixels, default `pool_size`.
        padding: as in `conv2d`, default `"valid"`.
        strict: refuse a stride that leaves pixels over, default False.
        name: the caller's name, for messages.

    Raises:
        ShapeError: x has not four axes, or the window does not fit.

    Source: Human Data Analytics, Lab 2, "maxpool with a 2x2 filter and a stride of 2".

    >>> import numpy as np
    >>> x = np.array([[1.0, 3, 2, 9], [5, 4, 1, 1]]).reshape(1, 2, 4, 1)
    >>> max_pool2d(x).numpy().ravel().tolist()
    [5.0, 9.0]
    """
    x = images(name, x)
    g = _window(name, x, pool_size, strides, padding, strict)
    return max_pool_of(x, g)


def max_pool_of(x: Tensor, g: Geometry) -> Tensor:
    """Return the max-pool of images whose window arithmetic is known."""
    values, where = backend(PASSES * x.size, x.data).max_pool2d(x.data, g)
    return record("max_pool2d", values, (x, lambda dy, y: scatter(dy, where, g)))


def scatter(dy: Tensor, where: NDArray[Any], g: Geometry) -> Tensor:
    """Return images (N,H,W,C) with each value added at the place that `where` names."""
    value = backend(PASSES * dy.size, dy.data).scatter(dy.data, where, g)
    return record("scatter", value, (dy, lambda dz, z: gather(dz, where, g)))


def gather(x: Tensor, where: NDArray[Any], g: Geometry) -> Tensor:
    """Return the values (N,OH,OW,C) of images at the places that `where` names."""
    value = backend(PASSES * x.size, x.data).gather(x.data, where, g)
    return record("gather", value, (x, lambda dz, z: scatter(dz, where, g)))


@operation
@on_matrices
def average_pool2d(
    x: Any,
    pool_size: int | Sequence[int] = 2,
    strides: int | Sequence[int] | None = None,
    padding: Any = "valid",
    *,
    strict: bool = False,
    name: str = "average_pool2d",
) -> Tensor:
    """Return the mean of each window of a batch of images, (N,OH,OW,C); padding is not counted.

    y[n,oh,ow,c] = mean over the i,j inside the image of x[n, oh*S - P + i, ow*S - P + j, c]

    Args:
        x: images (N,H,W,C), or a matrix (H,W), then so is the result.
        pool_size: rows and columns of the window, default 2.
        strides: step of the window in pixels, default `pool_size`.
        padding: as in `conv2d`, default `"valid"`.
        strict: refuse a stride that leaves pixels over, default False.
        name: the caller's name, for messages.

    Raises:
        ShapeError: x has not four axes, or the window does not fit.

    >>> import numpy as np
    >>> x = np.array([[1.0, 3, 2, 9], [5, 4, 1, 1]]).reshape(1, 2, 4, 1)
    >>> average_pool2d(x).numpy().ravel().tolist()
    [3.25, 3.25]
    """
    x = images(name, x)
    g = _window(name, x, pool_size, strides, padding, strict)
    value = backend(x.size, x.data).average_pool2d(x.data, g)
    return record("average_pool2d", value, (x, lambda dy, y: average_pool2d_gradient(dy, g)))


def average_pool2d_gradient(dy: Tensor, g: Geometry) -> Tensor:
    """Return images (N,H,W,C): each value shared among its window; the adjoint of the mean."""
    value = backend(dy.size, dy.data).average_pool2d_gradient(dy.data, g)
    return record("average_pool2d_gradient", value, (dy, lambda dz, z: _average_again(dz, g)))


def _average_again(x: Tensor, g: Geometry) -> Tensor:
    value = backend(x.size, x.data).average_pool2d(x.data, g)
    return record("average_pool2d", value, (x, lambda dy, y: average_pool2d_gradient(dy, g)))


@operation
@on_matrices
def resize2d(x: Any, size: Sequence[int], interpolation: str = "nearest") -> Tensor:
    """Return a batch of images resized to (N,OH,OW,C), pixel centres at half positions.

    Args:
        x: images (N,H,W,C), or a matrix (H,W), then so is the result.
        size: the new (height, width) in pixels.
        interpolation: `"nearest"` (default) or `"bilinear"`.

    >>> import numpy as np
    >>> resize2d(np.array([[0.0, 4.0]]).reshape(1, 1, 2, 1), (1, 4), "bilinear").numpy().ravel()
    array([0., 1., 3., 4.])
    """
    x = images("resize2d", x)
    interpolation = check_choice(
        "resize2d", "interpolation", interpolation, ["nearest", "bilinear"]
    )
    height, width = pair("resize2d", "size", size)
    return _resize(x, Resize(x.shape[1], x.shape[2], height, width), interpolation)


def _resize(x: Tensor, size: Resize, interpolation: str) -> Tensor:
    work = x.shape[0] * size.out_height * size.out_width * x.shape[3]
    value = backend(work, x.data).resize2d(x.data, size, interpolation)
    return record("resize2d", value, (x, lambda dy, y: resize2d_gradient(dy, size, interpolation)))


def resize2d_gradient(dy: Tensor, size: Resize, interpolation: str) -> Tensor:
    """Return images of the old size: each pixel's gradient given back to those it came from."""
    value = backend(dy.size, dy.data).resize2d_gradient(dy.data, size, interpolation)
    return record("resize2d_gradient", value, (dy, lambda dz, z: _resize(dz, size, interpolation)))


@operation
@on_matrices
def upsample2d(x: Any, size: int | Sequence[int] = 2, interpolation: str = "nearest") -> Tensor:
    """Return images enlarged by whole factors: with "nearest", each pixel copied into a block.

    Source: Autoencoders lecture (A. H. Fagg), "copy one pixel in the input to k x k pixels".

    >>> import numpy as np
    >>> upsample2d(np.array([[1.0, 2.0]]).reshape(1, 1, 2, 1), (2, 1)).numpy()[0, :, :, 0].tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """
    x = images("upsample2d", x)
    rows, columns = pair("upsample2d", "size", size)
    return resize2d(x, (x.shape[1] * rows, x.shape[2] * columns), interpolation)
