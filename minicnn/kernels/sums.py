"""Sums over many rows: of each column with little rounding, and by place.

Adding a million float32 numbers one after the other loses three to four digits, because every
addition rounds a total that has become large. Adding blocks of a thousand, and then the blocks in
float64, loses hardly any and costs nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.kernels.placement import on_gpu
from minicnn.kernels.probing import backend_module

__all__ = ["add_at", "column_sums"]

Array = NDArray[Any]

BLOCK = 1024


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
