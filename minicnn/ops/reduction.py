"""Operations that sum, average or pick along axes, and the matrix product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.autograd.operators import operation
from minicnn.autograd.tensor import Tensor, as_tensor, in_one_type, record
from minicnn.errors import ShapeError
from minicnn.kernels import arrays
from minicnn.ops.elementwise import divide, multiply, square, subtract, whole
from minicnn.ops.shape import broadcast_to, reshape, sum_to, transpose
from minicnn.runtime.devices import check_same_device, on_gpu

__all__ = ["matmul", "max", "mean", "min", "sum", "variance"]

Axis = int | Sequence[int] | None


def _axes(x: Tensor, axis: Axis) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    count = x.data.ndim
    for a in axes:
        if not -count <= a < count:
            raise ShapeError(f"axis {a} does not exist in a tensor of shape {x.shape}.")
    return tuple([a % count for a in axes])


def _kept(x: Tensor, axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return x's shape with the reduced axes of length 1."""
    return tuple([1 if i in axes else n for i, n in enumerate(x.shape)])


@operation
def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the sum over all elements, or over some axes.

    >>> sum([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], axis=0).numpy().tolist()
    [5.0, 7.0, 9.0]
    """
    x = as_tensor(x)
    axes = _axes(x, axis)
    kept = _kept(x, axes)
    return record(
        "sum",
        whole(x.data).sum(axis=axes, keepdims=keepdims),
        (x, lambda dy, y: broadcast_to(reshape(dy, kept), x.shape)),
    )


@operation
def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the mean over all elements, or over some axes."""
    x = as_tensor(x)
    axes = _axes(x, axis)
    count = math.prod(x.shape[a] for a in axes)
    if x.dtype != np.float16 and (not on_gpu(x.data) or x.dtype.kind != "f" or not x.size):
        return divide(sum(x, axis, keepdims), count)
    kept = _kept(x, axes)  # CuPy has it in one kernel; the sum of float16 may be beyond it
    return record(
        "mean",
        x.data.mean(axis=axes, keepdims=keepdims),
        (x, lambda dy, y: broadcast_to(reshape(divide(dy, count), kept), x.shape)),
    )


@operation
def variance(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the mean squared distance from the mean (divided by the count, not count - 1)."""
    x = as_tensor(x)
    return mean(square(subtract(x, mean(x, axis, keepdims=True))), axis, keepdims)


@operation
def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the largest element, over all or some axes; equal ones share the gradient."""
    return _extreme("max", np.max, x, axis, keepdims)


@operation
def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the smallest element, over all or some axes; equal ones share the gradient."""
    return _extreme("min", np.min, x, axis, keepdims)


def _extreme(name: str, function: Any, x: Any, axis: Axis, keepdims: bool) -> Tensor:
    x = as_tensor(x)
    axes = _axes(x, axis)
    kept = _kept(x, axes)
    value = function(x.data, axis=axes, keepdims=True)
    hits = (x.data == value) | np.isnan(x.data)  # a NaN is the extreme, and equals nothing
    hits = hits.astype(x.dtype if x.dtype.kind == "f" else float)
    shares = Tensor(hits / hits.sum(axis=axes, keepdims=True))
    return record(
        name,
        value if keepdims else value.squeeze(axes),
        (x, lambda dy, y: multiply(broadcast_to(reshape(dy, kept), x.shape), shares)),
    )


@operation("@")
def matmul(a: Any, b: Any) -> Tensor:
    """Return the matrix product of a (...,M,K) and b (K,N) or (...,K,N).

    >>> matmul([[1.0, 2.0, 3.0]], [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]).numpy().tolist()
    [[4.0, 5.0]]
    """
    if not (type(a) is type(b) is Tensor):
        a, b = as_tensor(a), as_tensor(b)
    first, second = a.data.shape, b.data.shape
    if len(first) < 2 or len(second) < 2 or first[-1] != second[-2]:
        raise ShapeError(
            f"matmul: shapes {a.shape} and {b.shape} do not fit; both need at least two axes, and "
            f"the last of the first must equal the last but one of the second."
        )
    check_same_device("matmul", a=a.data, b=b.data)
    a, b = in_one_type(a, b)
    try:
        whole_ones = a.dtype.kind in "bui" and b.dtype.kind in "bui"
        value = arrays.matmul(*(map(whole, (a.data, b.data)) if whole_ones else (a.data, b.data)))
    except ValueError:
        raise ShapeError(
            f"matmul: the leading axes of shapes {a.shape} and {b.shape} do not fit; counted from "
            f"the right, lengths must be equal or one of them 1."
        ) from None
    return record(
        "matmul",
        value,
        (a, lambda dy, y: sum_to(matmul(dy, _turned(b)), a.shape)),
        (b, lambda dy, y: _right_gradient(a, dy, b.shape)),
    )


def _turned(x: Tensor) -> Tensor:
    """Return x with its last two axes exchanged."""
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _right_gradient(a: Tensor, dy: Tensor, shape: tuple[int, ...]) -> Tensor:
    if len(shape) == 2 and a.ndim > 2:  # one product over all leading axes instead of a sum of many
        rows = reshape(a, (-1, a.shape[-1]))
        return matmul(_turned(rows), reshape(dy, (-1, dy.shape[-1])))
    return sum_to(matmul(_turned(a), dy), shape)
