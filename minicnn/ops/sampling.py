"""Images read at other places: affine transforms, and middle parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.autograd.operators import operation
from minicnn.autograd.tensor import Tensor, alongside, as_tensor, plain, record
from minicnn.errors import ArgumentError, ShapeError, check_choice
from minicnn.kernels.sampling import Places, gather, places, scatter
from minicnn.ops.elementwise import add
from minicnn.ops.shape import reshape
from minicnn.runtime.devices import check_same_device, on_gpu

__all__ = ["affine_transform", "middle_of", "whole_in"]

FILL_MODES = ("constant", "nearest", "reflect", "wrap")


@operation
def affine_transform(
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
) -> Tensor:
    """Return images whose pixel (x, y) is read at another place: (N,H,W,C), or one (H,W,C).

    The place is ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k) with k = c0 x + c1 y + 1.

    Args:
        images: (N,H,W,C) or (H,W,C), floats.
        transform: a0, a1, a2, b0, b1, b2, c0, c1 for each image, (N,8), or for all, (8,). No
            gradient flows into it.
        interpolation: `"bilinear"` (default) or `"nearest"`.
        fill_mode: what lies outside: `"constant"` (default) the fill value, `"nearest"` the edge's
            pixel, `"reflect"` the mirrored image, `"wrap"` the image once more.
        fill_value: default 0.

    Raises:
        ShapeError: images or transforms of other shapes.
        ArgumentError: integer images, or a mode that is not known.

    Source: TensorFlow's ImageProjectiveTransformV3, on which Keras' layers rest.

    >>> image = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])[..., None]
    >>> affine_transform(image, [1, 0, 0.5, 0, 1, 0, 0, 0]).numpy()[..., 0].tolist()
    [[1.5, 2.5, 1.5], [4.5, 5.5, 3.0]]
    """
    x = as_tensor(images)
    exact = isinstance(transform, Tensor) or on_gpu(transform)
    if exact:
        check_same_device("affine_transform", images=x.data, transform=plain(transform))
    given = transform if exact else np.asarray(transform)
    matrix = alongside(given, x).data
    method = check_choice(
        "affine_transform", "interpolation", interpolation, ["nearest", "bilinear"]
    )
    mode = check_choice("affine_transform", "fill_mode", fill_mode, FILL_MODES)
    if x.dtype.kind != "f":
        raise ArgumentError(f"affine_transform: images are {x.dtype}, but must be floats.")
    if x.ndim not in (3, 4):
        raise ShapeError(
            f"affine_transform: images have shape {x.shape}, but must have axes (N,H,W,C) or "
            f"(H,W,C)."
        )
    batch = (1, *x.shape) if x.ndim == 3 else x.shape
    if matrix.shape not in ((8,), (batch[0], 8)):
        raise ShapeError(
            f"affine_transform: transform has shape {matrix.shape}, but must be (8,) or "
            f"({batch[0]}, 8) for images of shape {x.shape}."
        )
    matrix = np.broadcast_to(matrix, (batch[0], 8))
    where = places(matrix, (batch[1], batch[2]), method, mode, x.dtype)
    result = _gather(reshape(x, (batch[0], batch[1] * batch[2], batch[3])), where)
    if fill_value:
        result = add(result, where.outside[..., None] * x.dtype.type(fill_value))
    return reshape(result, x.shape)


def _gather(x: Tensor, where: Places) -> Tensor:
    return record("affine_transform", gather(x.data, where), (x, lambda dy, y: _scatter(dy, where)))


def _scatter(dy: Tensor, where: Places) -> Tensor:
    return record(
        "affine_transform_gradient", scatter(dy.data, where), (dy, lambda dz, z: _gather(dz, where))
    )


def middle_of(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return (top, left, height, width) of the largest middle part with wanted proportions.

    >>> middle_of((10, 30), (4, 6))
    (0, 7, 10, 15)
    """
    (rows, columns), (height, width) = size, wanted
    tall = min(rows, max(1, int(columns * height / width)))
    wide = min(columns, max(1, int(rows * width / height)))
    return (rows - tall) // 2, (columns - wide) // 2, tall, wide


def whole_in(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return (top, left, height, width) of a whole image that was resized to fit into a frame.

    It keeps its proportions and lies in the middle; heights and widths are rounded down.

    >>> whole_in((8, 10), (6, 6))
    (0, 0, 4, 6)
    """
    rows, columns = map(np.float32, size)
    ratio = max(columns / np.float32(wanted[1]), rows / np.float32(wanted[0]))
    (top, height), (left, width) = (
        (max(0, int((room - n / ratio) // 2)), max(1, int(n / ratio)))
        for n, room in ((rows, wanted[0]), (columns, wanted[1]))
    )
    return top, left, height, width
