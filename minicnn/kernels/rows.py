"""Arrays laid end to end, where they live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.kernels.placement import on_gpu
from minicnn.kernels.probing import backend_module

__all__ = ["joined"]

Array = NDArray[Any]


def joined(arrays: Sequence[Array], out: Array | None = None) -> Array:
    """Return the numbers of arrays of one type end to end, each in row-major order.

    Args:
        arrays: at least one.
        out: where they are to lie, default a new array.

    >>> joined([np.array([[1.0, 2.0, 3.0]]), np.array([[4.0], [5.0]])]).tolist()
    [1.0, 2.0, 3.0, 4.0, 5.0]
    """
    if on_gpu(arrays[0]) and arrays[0].dtype.kind == "f" and arrays[0].itemsize >= 4:
        joined_there: Array = backend_module("cupy").joined(arrays, out)
        return joined_there
    return np.concatenate([a.reshape(-1) for a in arrays], out=out)
