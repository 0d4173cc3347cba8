"""Sums by place."""

from __future__ import annotations

import numpy as np

from minicnn.kernels.cuda.device import Array, checked, cupy, empty, program

__all__ = ["add_at"]


def add_at(places: Array, values: Array, length: int) -> Array:
    """Return (length,C), the sums of the rows of `values` (M,C) that go to each place.

    result[p] = sum of values[m] over all m with places[m] = p

    Args:
        places: integers from 0 to length - 1, (M,).
        values: floats (M,C).
        length: rows of the result.
    """
    (values,) = checked("add_at", values=(values, (places.size, values.shape[1])))
    result = empty("add_at", (length, values.shape[1]), values.dtype)
    order = cupy().argsort(places)  # stable, as all of CuPy's sorting
    sorted_places = places[order].astype(np.int64, copy=False)
    kernels = program("indexing", values, result)
    kernels.over(
        "add_at", result.size, values, order, sorted_places, result, kernels.offset(result.size),
        kernels.offset(places.size), result.shape[1],
    )  # fmt: skip
    return result
