"""The matrix product, where its operands live."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from minicnn.kernels.placement import on_gpu
from minicnn.kernels.probing import backend_module

__all__ = ["product"]

Array = NDArray[Any]


def product(a: Array, b: Array) -> Array:
    """Return the matrix product of a (...,M,K) and b (...,K,N).

    >>> import numpy as np
    >>> product(np.array([[1.0, 2.0, 3.0]]), np.ones((3, 2))).tolist()
    [[6.0, 6.0]]
    """
    if on_gpu(a):
        return backend_module("cupy").matmul(a, b)
    return a @ b
