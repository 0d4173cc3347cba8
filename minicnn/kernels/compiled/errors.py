"""The mean squared error and its gradient in one pass over both images."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import prange
from numpy.typing import NDArray

from minicnn.kernels import memory

__all__ = ["squared_error"]

Array = NDArray[Any]

#: Numbers that are added up before their sum enters the total: for precision, see `sums.py`.
BLOCK = 4096


@numba.njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _squared_error(prediction, truth, factor, difference, sums):
    for k in prange(len(sums)):
        total = prediction.dtype.type(0)
        for i in range(k * BLOCK, min((k + 1) * BLOCK, prediction.size)):
            d = prediction[i] - truth[i]
            total += d * d
            difference[i] = factor * d
        sums[k] = total


def squared_error(prediction: Array, truth: Array) -> tuple[Array, Array]:
    """Return the mean of (prediction - truth)**2 and its gradient by the prediction."""
    p, t = np.ascontiguousarray(prediction), np.ascontiguousarray(truth)
    gradient = memory.empty(p.shape, p.dtype)
    sums = np.empty(-(-p.size // BLOCK))
    factor = p.dtype.type(2 / p.size)
    _squared_error(p.reshape(-1), t.reshape(-1), factor, gradient.reshape(-1), sums)
    return np.asarray(sums.sum() / p.size, p.dtype), gradient
