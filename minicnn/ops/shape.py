"""Operations that move numbers without changing them, each beside its adjoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.autograd.operators import operation
from minicnn.autograd.tensor import Tensor, alongside, as_tensor, in_one_type, plain, record
from minicnn.errors import ArgumentError, ShapeError, missing_axes
from minicnn.kernels.arrays import add_at, column_sums
from minicnn.runtime.devices import check_same_device, on_gpu

__all__ = ["broadcast_to", "concatenate", "crop2d", "getitem", "pad2d", "put",
           "reshape", "squeeze", "stack", "sum_to", "transpose"]  # fmt: skip


@operation("reshape")
def reshape(x: Any, shape: Sequence[int]) -> Tensor:
    """Return the same numbers in row-major order under another shape; -1 stands for the rest.

    >>> reshape([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], (3, -1)).shape
    (3, 2)
    """
    x = as_tensor(x)
    try:
        value = x.data.reshape(tuple(shape))
    except ValueError:
        raise ShapeError(
            f"reshape: {x.size} elements of shape {x.shape} do not fill shape {tuple(shape)}."
        ) from None
    return record("reshape", value, (x, lambda dy, y: reshape(dy, x.shape)))


@operation
def transpose(x: Any, axes: Sequence[int] | None = None) -> Tensor:
    """Return x with its axes in another order, default reversed."""
    x = as_tensor(x)
    order = tuple(range(x.ndim)[::-1] if axes is None else [a % x.ndim for a in axes])
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(
            f"transpose: axes={axes!r} must name each of the {x.ndim} axes of shape {x.shape} once."
        )
    back = tuple(np.argsort(order).tolist())
    return record("transpose", x.data.transpose(order), (x, lambda dy, y: transpose(dy, back)))


@operation
def broadcast_to(x: Any, shape: Sequence[int]) -> Tensor:
    """Return x repeated along new axes and axes of length 1; the adjoint of `sum_to`."""
    x = as_tensor(x)
    if x.shape == tuple(shape):
        return x
    try:
        value = np.broadcast_to(x.data, tuple(shape))
    except ValueError:
        raise ShapeError(
            f"broadcast_to: shape {x.shape} does not broadcast to {tuple(shape)}; counted from the "
            f"last axis, lengths must be equal or the first one's 1."
        ) from None
    return record("broadcast_to", value, (x, lambda dy, y: sum_to(dy, x.shape)))


def sum_to(x: Any, shape: Sequence[int]) -> Tensor:
    """Return x summed down to a shape that broadcasts to its own; the adjoint of `broadcast_to`.

    >>> sum_to([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], (3,)).numpy().tolist()
    [5.0, 7.0, 9.0]
    """
    x = x if type(x) is Tensor else as_tensor(x)
    shape = tuple(shape)
    if x.data.shape == shape:
        return x
    lead = x.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(
        lead + i for i, n in enumerate(shape) if n == 1 and x.shape[lead + i] != 1
    )
    if axes == tuple(range(x.ndim - 1)) and len(shape) == 1:
        value = column_sums(x.data.reshape(-1, shape[0]))
    else:
        value = x.data.sum(axis=axes, keepdims=True).reshape(shape)
    return record("sum_to", value, (x, lambda dy, y: broadcast_to(dy, x.shape)))


@operation
def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Tensor:
    """Return x without its axes of length 1."""
    x = as_tensor(x)
    axes = None if axis is None else axis if isinstance(axis, int) else tuple(axis)
    try:
        shape = x.data.squeeze(axes).shape
    except ValueError:
        raise ShapeError(
            f"squeeze: axis={axis!r} of shape {x.shape} is missing or longer than 1."
        ) from None
    return reshape(x, shape)


def _index(key: Any, x: Tensor) -> Any:
    """Return a key whose arrays lie beside x."""
    if isinstance(key, tuple):
        return tuple(_index(k, x) for k in key)
    if isinstance(key, list):
        key = np.asarray(key, None if key else int)
    if isinstance(key, np.integer):
        return int(key)
    if not hasattr(plain(key), "dtype"):
        return key
    if isinstance(key, Tensor) or on_gpu(key):
        check_same_device("getitem", x=x.data, key=plain(key))
    return alongside(key, x).data


def _is_basic(index: Any) -> bool:
    """Return whether a key names no element twice: slices, integers, new axes and dots do not."""
    keys = index if isinstance(index, tuple) else (index,)
    return not any(hasattr(key, "dtype") for key in keys)


@operation("[]")
def getitem(x: Any, key: Any) -> Tensor:
    """Return x[key]; the adjoint of `put`."""
    x = as_tensor(x)
    index = _index(key, x)
    return record("getitem", x.data[index], (x, lambda dy, y: put(dy, index, x.shape)))


def put(x: Any, key: Any, shape: Sequence[int]) -> Tensor:
    """Return zeros of `shape` with x added at [key]; the adjoint of `getitem`."""
    x = as_tensor(x)
    index = _index(key, x)
    if _is_basic(index):
        value = np.zeros(tuple(shape), x.dtype, like=x.data)
        value[index] = x.data
    else:
        places = np.arange(math.prod(shape), like=x.data).reshape(tuple(shape))[index]
        value = add_at(places.reshape(-1), x.data.reshape(-1, 1), math.prod(shape))
        value = value.reshape(tuple(shape))
    return record("put", value, (x, lambda dy, y: getitem(dy, key)))


def _parts(where: str, tensors: Sequence[Any]) -> list[Tensor]:
    """Return what is to be joined as tensors, which lie in one place."""
    parts = [as_tensor(t) for t in tensors]
    if not parts:
        raise ArgumentError(f"{where}: tensors is empty, but at least one is needed.")
    parts = list(in_one_type(*parts))
    check_same_device(where, **{f"tensors[{i}]": p.data for i, p in enumerate(parts)})
    return parts


@operation
def concatenate(tensors: Sequence[Any], axis: int = -1) -> Tensor:
    """Return tensors joined along an axis; the other axes must have equal lengths.

    >>> concatenate([[[1.0, 2.0]], [[3.0, 4.0]]], axis=0).shape
    (2, 2)
    """
    parts = _parts("concatenate", tensors)
    try:
        value = np.concatenate([p.data for p in parts], axis=axis)
    except ValueError:
        shapes = ", ".join(str(p.shape) for p in parts)
        raise ShapeError(
            f"concatenate: shapes {shapes} cannot be joined along axis {axis}; their other axes "
            f"must be equal."
        ) from None
    axis %= value.ndim
    ends = np.cumsum([p.shape[axis] for p in parts])
    inputs = []
    for part, end in zip(parts, ends, strict=True):
        key = (slice(None),) * axis + (slice(int(end) - part.shape[axis], int(end)),)
        inputs.append((part, lambda dy, y, key=key: getitem(dy, key)))
    return record("concatenate", value, *inputs)


@operation("stack")
def stack(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """Return tensors of one shape joined along a new axis."""
    parts = _parts("stack", tensors)
    if len({p.shape for p in parts}) > 1:
        shapes_text = ", ".join(str(p.shape) for p in parts)
        raise ShapeError(f"stack: tensors have shapes {shapes_text}, but all must be equal.")
    places = axis % (parts[0].ndim + 1)
    shapes = [(*p.shape[:places], 1, *p.shape[places:]) for p in parts]
    return concatenate([reshape(p, s) for p, s in zip(parts, shapes, strict=True)], axis=places)


def _images(where: str, x: Any) -> Tensor:
    tensor = as_tensor(x)
    if tensor.ndim != 4:
        raise ShapeError(
            f"{where}: x has shape {tensor.shape}, but must have axes (N,H,W,C)"
            f"{missing_axes('x', tensor.shape)}"
        )
    return tensor


@operation
def pad2d(x: Any, sides: Sequence[Sequence[int]]) -> Tensor:
    """Return images (N,H,W,C) with ((top, bottom), (left, right)) zeros around them."""
    x = _images("pad2d", x)
    (top, bottom), (left, right) = sides
    value = np.pad(x.data, ((0, 0), (top, bottom), (left, right), (0, 0)))
    return record("pad2d", value, (x, lambda dy, y: crop2d(dy, sides)))


@operation
def crop2d(x: Any, sides: Sequence[Sequence[int]]) -> Tensor:
    """Return images (N,H,W,C) without ((top, bottom), (left, right)) of their pixels."""
    x = _images("crop2d", x)
    (top, bottom), (left, right) = sides
    _, height, width, _ = x.shape
    if top + bottom >= height or left + right >= width:
        raise ShapeError(
            f"crop2d: cropping {top} + {bottom} rows and {left} + {right} columns leaves nothing "
            f"of an image of {height} x {width}."
        )
    value = x.data[:, top : height - bottom, left : width - right]
    return record("crop2d", value, (x, lambda dy, y: pad2d(dy, sides)))
