"""TensorFlow's names that repeat and take apart tensors, and limit gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd.tensor import Tensor, as_numpy, convert_to_tensor
from minicnn.errors import ArgumentError, ShapeError

__all__ = ["clip_by_global_norm", "tile", "unstack"]


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
