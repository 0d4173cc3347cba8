"""The two ends of a training step, each in one pass: the squared error, and Adam's update."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.kernels.compiled.arguments import arguments
from minicnn.kernels.compiled.compiling import parallel, serial
from minicnn.runtime import memory

__all__ = ["adam", "squared_error"]

Array = NDArray[Any]

#: Numbers that are added up before their sum enters the total: for precision, see `sums.py`.
BLOCK = 4096


@parallel(fastmath={"contract", "reassoc"})
def _squared_error(block, given):
    prediction, truth, factors, difference, sums = arguments(given)
    factor, total = factors[0], prediction.dtype.type(0)
    for i in range(block * BLOCK, min((block + 1) * BLOCK, prediction.size)):
        d = prediction[i] - truth[i]
        total += d * d
        difference[i] = factor * d
    sums[block] = total


def squared_error(prediction: Array, truth: Array) -> tuple[Array, Array]:
    """Return the mean of (prediction - truth)**2 and its gradient by the prediction."""
    p, t = np.ascontiguousarray(prediction), np.ascontiguousarray(truth)
    gradient = memory.empty(p.shape, p.dtype)
    sums = np.empty(-(-p.size // BLOCK))
    factor = np.array([2 / p.size], p.dtype)
    _squared_error(len(sums), p.reshape(-1), t.reshape(-1), factor, gradient.reshape(-1), sums)
    return np.asarray(sums.sum() / p.size, p.dtype), gradient


@serial(fastmath={"contract"})
def _adam(weight, gradient, mean, square, rest_1, rest_2, rate, epsilon, new):
    for i in range(weight.size):
        g = gradient[i]
        mean[i] += (g - mean[i]) * rest_1
        square[i] += (g * g - square[i]) * rest_2
        new[i] = weight[i] - rate * mean[i] / (np.sqrt(square[i]) + epsilon)


def adam(
    weight: Array, gradient: Array, mean: Array, square: Array, rest_1: float, rest_2: float,
    rate: float, epsilon: float,
) -> Array:  # fmt: skip
    """Return the new weights, and bring the running means of gradient and square up to date.

    m += rest_1 * (g - m);  v += rest_2 * (g**2 - v);  w - rate * m / (sqrt(v) + epsilon)
    """
    new = np.empty(weight.shape, weight.dtype)
    number = weight.dtype.type
    kept = np.ascontiguousarray(mean), np.ascontiguousarray(square)
    _adam(
        np.ascontiguousarray(weight).reshape(-1), np.ascontiguousarray(gradient).reshape(-1),
        kept[0].reshape(-1), kept[1].reshape(-1), number(rest_1), number(rest_2), number(rate),
        number(epsilon), new.reshape(-1),
    )  # fmt: skip
    for array, result in zip((mean, square), kept, strict=True):
        if array is not result:  # it lay in another order, so a copy was changed
            array[...] = result
    return new
