"""Operations that bring numbers onto a common scale: standardization and softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.autograd.tensor import Tensor, convert_to_tensor, is_recording, record
from minicnn.kernels import memory
from minicnn.kernels.sums import column_sums
from minicnn.ops.elementwise import add, exp, multiply, power, subtract
from minicnn.ops.reduction import mean, sum, variance

__all__ = ["log_softmax", "softmax", "standardize"]


def standardize(x: Any, epsilon: float = 1e-3) -> tuple[Tensor, NDArray[Any], NDArray[Any]]:
    """Return x with mean 0 and variance 1 in each channel, and the mean and variance it had.

    y = (x - mean) / sqrt(variance + epsilon), over all axes but the last

    Args:
        x: (...,C) of floats.
        epsilon: added to the variance, default 0.001.

    Returns:
        y (...,C), mean (C,), variance (C,); no gradient flows into the last two.

    Source: S. Ioffe and C. Szegedy, Batch Normalization, 2015, section 3.

    >>> y, mean, variance = standardize(np.array([[1.0, 10.0], [3.0, 10.0], [5.0, 10.0]]))
    >>> mean.tolist(), variance.round(3).tolist(), y.numpy()[:, 0].round(2).tolist()
    ([3.0, 10.0], [2.667, 0.0], [-1.22, 0.0, 1.22])
    """
    x = convert_to_tensor(x)
    rows = x.data.reshape(-1, x.shape[-1])  # (M,C)
    average = column_sums(rows) / x.dtype.type(len(rows))  # (C,)
    centred = np.subtract(rows, average, out=memory.empty(rows.shape, rows.dtype))  # (M,C)
    spread = column_sums(centred, centred) / x.dtype.type(len(rows))  # (C,)
    scale = 1 / np.sqrt(spread + epsilon)  # (C,)
    centred *= scale.astype(x.dtype)

    def gradient(dy: Tensor, y: Tensor) -> Tensor:
        if is_recording():
            return _standardize_gradient(dy, y, x, epsilon)
        return Tensor(_standardize_gradient_arrays(dy.data, y.data, scale))

    y = record("standardize", centred.reshape(x.shape), (x, gradient))
    return y, average, spread


def _standardize_gradient(dy: Tensor, y: Tensor, x: Tensor, epsilon: float) -> Tensor:
    """Return scale * (dy - mean(dy) - y * mean(dy*y)), in operations that differentiate again."""
    axes = tuple(range(x.ndim - 1))
    scale = power(add(variance(x, axes), epsilon), -0.5)  # (C,)
    inner = subtract(
        subtract(dy, mean(dy, axes)), multiply(y, mean(multiply(dy, y), axes))
    )  # (...,C)
    return multiply(scale, inner)


def _standardize_gradient_arrays(
    dy: NDArray[Any], y: NDArray[Any], scale: NDArray[Any]
) -> NDArray[Any]:
    """The same on arrays, in few passes: it is the slowest part of training a small network."""
    rows, ys = dy.reshape(-1, dy.shape[-1]), y.reshape(-1, y.shape[-1])  # (M,C)
    share = column_sums(rows) / rows.dtype.type(len(rows))  # (C,)
    slope = column_sums(rows, ys) / rows.dtype.type(len(rows))  # (C,)
    dx = ys * -slope  # (M,C)
    dx += rows
    dx -= share
    dx *= scale
    return dx.reshape(dy.shape)


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """Return x - log(sum of e ** x) along an axis, without overflow."""
    x = convert_to_tensor(x)
    shifted = x.data - x.data.max(axis=axis, keepdims=True)
    value = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return record(
        "log_softmax",
        value,
        (x, lambda dy, y: subtract(dy, multiply(exp(y), sum(dy, axis, keepdims=True)))),
    )


def softmax(x: Any, axis: int = -1) -> Tensor:
    """Return e ** x divided by its sum along an axis, without overflow.

    >>> softmax([[0.0, 1.0986123]]).numpy().round(2).tolist()
    [[0.25, 0.75]]
    """
    x = convert_to_tensor(x)
    powers = np.exp(x.data - x.data.max(axis=axis, keepdims=True))
    powers /= powers.sum(axis=axis, keepdims=True)
    return record(
        "softmax",
        powers,
        (x, lambda dy, y: multiply(y, subtract(dy, sum(multiply(dy, y), axis, keepdims=True)))),
    )
