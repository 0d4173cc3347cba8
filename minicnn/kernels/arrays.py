"""Functions on whole arrays, where they live: NumPy's in the computer's memory, ours on the GPU.

Sums over many rows round little. Adding a million float32 numbers one after the other loses three
to four digits, because every addition rounds a total that has become large. Adding blocks of a
thousand, and then the blocks in float64, loses hardly any and costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.runtime.backends import backend_module
from minicnn.runtime.devices import on_gpu

__all__ = ["add_at", "column_sums", "erf", "joined", "matmul"]

Array = NDArray[Any]

#: Rows that are added up in their own type, before the sums of blocks are in float64.
BLOCK = 1024

_erf = np.frompyfunc(math.erf, 1, 1)


def matmul(a: Array, b: Array) -> Array:
    """Return the matrix product of a (...,M,K) and b (...,K,N).

    >>> matmul(np.array([[1.0, 2.0, 3.0]]), np.ones((3, 2))).tolist()
    [[6.0, 6.0]]
    """
    if type(a) is not np.ndarray and on_gpu(a):
        return backend_module("cupy").matmul(a, b)
    return a @ b


def erf(x: Array) -> Array:
    """Return 2/sqrt(pi) times the integral of e ** -t**2 from 0 to x, element by element.

    >>> erf(np.array([[0.0, 1.0, -1.0]])).round(4).tolist()
    [[0.0, 0.8427, -0.8427]]
    """
    if on_gpu(x):
        return backend_module("cupy").erf(x)
    return np.asarray(_erf(x)).astype(x.dtype)


def joined(arrays: Sequence[Array], out: Array | None = None) -> Array:
    """Return the numbers of arrays of one type end to end, each in row-major order.

    Args:
        arrays: at least one.
        out: where they are to lie, default a new array.

    >>> joined([np.array([[1.0, 2.0, 3.0]]), np.array([[4.0], [5.0]])]).tolist()
    [1.0, 2.0, 3.0, 4.0, 5.0]
    """
    if on_gpu(arrays[0]) and arrays[0].dtype.kind == "f" and arrays[0].itemsize >= 4:
        there: Array = backend_module("cupy").joined(arrays, out)
        return there
    return np.concatenate([a.reshape(-1) for a in arrays], out=out)


def column_sums(rows: Array, other: Array | None = None) -> Array:
    """Return the sum of each column of `rows` (M,C), or of `rows * other`: (C,).

    >>> column_sums(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])).tolist()
    [5.0, 7.0, 9.0]
    """
    if on_gpu(rows):
        return backend_module("cupy").column_sums(rows if other is None else rows * other)
    whole = len(rows) // BLOCK * BLOCK
    total = _block_sums(rows[whole:], other if other is None else other[whole:], 1)
    if whole:
        head = None if other is None else other[:whole]
        total += _block_sums(rows[:whole], head, whole // BLOCK)
    return total.astype(rows.dtype)


def _block_sums(rows: Array, other: Array | None, blocks: int) -> Array:
    """Return the column sums of equal blocks of rows, added up in float64."""
    a = rows.reshape(blocks, len(rows) // blocks, rows.shape[1])  # (K,M/K,C)
    if other is None:
        sums = (np.ones((1, a.shape[1]), a.dtype) @ a)[:, 0]  # (K,C)
    else:
        sums = np.einsum("kmc,kmc->kc", a, other.reshape(a.shape))  # (K,C)
    return np.asarray(sums.sum(axis=0, dtype=np.float64))


def add_at(places: Array, values: Array, length: int) -> Array:
    """Return (length,C), the sums of the rows of `values` (M,C) that go to each place.

    result[p] = sum of values[m] over all m with places[m] = p, in the order of m

    >>> add_at(np.array([2, 0, 2]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), 3).tolist()
    [[3.0, 4.0], [0.0, 0.0], [6.0, 8.0]]
    """
    if on_gpu(values):
        return backend_module("cupy").add_at(places, values, length)
    result = np.zeros((length, values.shape[1]), values.dtype)
    np.add.at(result, places, values)
    return result
