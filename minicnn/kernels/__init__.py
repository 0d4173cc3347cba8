"""The arithmetic on plain arrays, once for each backend.

Every backend module offers the same functions, `(arrays, geometry) -> new arrays`:

    convolution    conv2d, conv2d_input_gradient, conv2d_kernel_gradient
    max-pool       max_pool2d, scatter, gather
    average-pool   average_pool2d, average_pool2d_gradient
    resize         resize2d, resize2d_gradient

`backend(work, array)` returns the backend that is to work on an array.
"""

from __future__ import annotations

import functools
from typing import Any

from minicnn import config
from minicnn.kernels.composed import Composed
from minicnn.runtime.backends import MODULES, Availability, backend_module, backends, compiles
from minicnn.runtime.devices import on_gpu

__all__ = ["JOINED", "MAPS", "MODULES", "Availability", "backend", "backend_module", "backends"]

MAPS = (
    "conv2d",
    "conv2d_input_gradient",
    "conv2d_kernel_gradient",
    "max_pool2d",
    "scatter",
    "gather",
    "average_pool2d",
    "average_pool2d_gradient",
    "resize2d",
    "resize2d_gradient",
)

#: What only the compiled and the CUDA backend do: several operations in one pass over memory.
JOINED = (
    "conv2d_max_pool2d",
    "kernel_and_bias_gradient",
    "batch_normalization",
    "batch_normalization_gradient",
    "squared_error",
    "adam",
)

#: Under `auto`, work (products, or elements touched) from which compiled code pays for its call and
#: its start: examples from a slide stay with NumPy and never wait for a compiler.
COMPILED_FROM = 100_000


def _chosen(work: int, array: Any) -> str:
    """Return the backend that is to work on an array; `auto` is Numba for large work."""
    if on_gpu(array):
        return "cupy"
    choice = config.backend()
    if choice in ("auto", "cupy"):  # an array that was left in the computer's memory
        return "numba" if work >= COMPILED_FROM and compiles() else "numpy"
    return choice


@functools.cache
def _whole(name: str) -> Any:
    module = backend_module(name)
    return module if name in ("numba", "cupy") else Composed(module)


def backend(work: int, array: Any) -> Any:
    """Return the backend that is to do this work: the one door to all arithmetic on arrays.

    Where the arrays live decides, and the settings choose among the backends there. It offers
    `MAPS`, those of convolution with a bias and a ReLU; and `JOINED` for the types of numbers of
    which its `has_tile` says so.

    Args:
        work: number of products or elements of the call; under `auto` it decides whether compiled
            code is worth its start.
        array: one of the arrays.

    Raises:
        BackendError: the chosen backend is not usable here. `auto` falls back to NumPy instead.

    >>> import numpy as np
    >>> from minicnn.geometry import conv2d_geometry
    >>> x, kernel = np.ones((1, 3, 4, 1)), np.ones((2, 3, 1, 1))
    >>> backend(24, x).conv2d(x, kernel, conv2d_geometry((3, 4), (2, 3))).shape
    (1, 2, 2, 1)
    """
    return _whole(_chosen(work, array))
