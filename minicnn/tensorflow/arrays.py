"""TensorFlow's names that repeat, pad and take apart tensors, and limit gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd.tensor import Tensor, alongside, as_numpy, convert_to_tensor
from minicnn.errors import ArgumentError, ShapeError, check_choice

__all__ = ["clip_by_global_norm", "pad", "tile", "unstack"]

_MODES = ["constant", "reflect", "symmetric"]


def tile(input: Any, multiples: Any) -> Tensor:  # noqa: A002 - TensorFlow's name
    """Return a tensor repeated along each axis as often as `multiples` says.

    >>> tile([[1.0, 2.0, 3.0]], [2, 2]).numpy().tolist()
    [[1.0, 2.0, 3.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]]
    """
    x, times = convert_to_tensor(input), as_numpy(multiples).reshape(-1).tolist()
    if len(times) != x.ndim or min(times, default=0) < 0:
        raise ShapeError(
            f"tile: multiples={times}, but a tensor of shape {x.shape} needs {x.ndim} numbers >= 0."
        )
    for axis, many in enumerate(times):
        places = np.tile(np.arange(x.shape[axis]), many)
        x = x if many == 1 else x[(*(slice(None),) * axis, places)]
    return x


def pad(tensor: Any, paddings: Any, mode: str = "constant", constant_values: Any = 0) -> Tensor:
    """Return a tensor with more elements before and after each axis.

    Args:
        tensor: what is padded.
        paddings: (before, after) for each axis, or one pair or number for all.
        mode: `"constant"`; `"reflect"` or `"symmetric"`, mirrored without or with the edge.
        constant_values: what is added in the first mode, default 0.

    >>> pad([[1.0, 2.0, 3.0]], [[0, 0], [2, 1]], "reflect").numpy().tolist()
    [[3.0, 2.0, 1.0, 2.0, 3.0, 2.0]]
    """
    x, kind = convert_to_tensor(tensor), check_choice("pad", "mode", mode, _MODES)
    try:
        sides = np.broadcast_to(as_numpy(paddings), (x.ndim, 2)).tolist()
    except ValueError:
        sides = [[-1, -1]]
    if min(map(min, sides), default=0) < 0:
        raise ShapeError(
            f"pad: paddings={paddings!r}, but a tensor of shape {x.shape} needs {x.ndim} pairs "
            f"(before, after) of numbers >= 0."
        )
    value = 0 if constant_values is None else constant_values
    for axis, side in enumerate(sides):
        if kind == "constant":
            shapes = [(*x.shape[:axis], n, *x.shape[axis + 1 :]) for n in side]
            before, after = (alongside(np.full(shape, value, x.dtype), x) for shape in shapes)
            x = ops.concatenate([before, x, after], axis) if any(side) else x
        else:
            places = np.pad(np.arange(x.shape[axis]), side, kind)  # type: ignore[call-overload]
            x = x[(*(slice(None),) * axis, places)]
    return x


def unstack(value: Any, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """Return the parts of a tensor along an axis, without that axis; the reverse of `stack`.

    >>> [part.numpy().tolist() for part in unstack([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], axis=1)]
    [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]
    """
    x = convert_to_tensor(value)
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"unstack: axis {axis} does not exist in a tensor of shape {x.shape}.")
    length = x.shape[axis]
    if num not in (None, length):
        raise ArgumentError(f"unstack: num={num}, but axis {axis} of {x.shape} has {length} parts.")
    lead = (slice(None),) * (axis % x.ndim)
    return [x[(*lead, i)] for i in range(length)]


def clip_by_global_norm(
    t_list: Sequence[Any], clip_norm: Any, use_norm: Any = None
) -> tuple[list[Any], Tensor]:
    """Return tensors made shorter by one factor so that all together have at most a norm.

    t * clip_norm / max(norm, clip_norm)

    Args:
        t_list: tensors, as gradients of several variables; None stays None.
        clip_norm: the largest norm of all numbers together. Where the norm is not finite, all
            become NaN.
        use_norm: the norm if it is known, default that of the tensors.

    Returns:
        The list, and the norm that it had.

    Raises:
        ArgumentError: there is no tensor at all.

    >>> clipped, norm = clip_by_global_norm([[3.0, 0.0], [[4.0], [12.0]]], 6.5)
    >>> norm.item(), clipped[1].numpy().tolist()
    (13.0, [[2.0], [6.0]])
    """
    given = [t for t in t_list if t is not None]
    if not given:
        raise ArgumentError("clip_by_global_norm: t_list holds no tensor; every gradient is None.")
    squares = ops.stack([ops.sum(ops.square(t)) for t in given])
    norm = ops.sqrt(ops.sum(squares)) if use_norm is None else convert_to_tensor(use_norm)
    factor = clip_norm / ops.maximum(norm, clip_norm)
    factor = ops.where(
        np.isfinite(norm.data), factor, np.nan
    )  # 0 would hide that a step went wrong
    return [None if t is None else convert_to_tensor(t) * factor for t in t_list], norm
