"""The arithmetic on plain arrays, once for each backend.

Every backend module offers the same functions, `(arrays, geometry) -> new arrays`:

    convolution    conv2d, conv2d_input_gradient, conv2d_kernel_gradient
    max-pool       max_pool2d, scatter, gather
    average-pool   average_pool2d, average_pool2d_gradient
    resize         resize2d, resize2d_gradient

`kernel(name, work, array)` returns the function of the backend that is to work on an array.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from minicnn import config
from minicnn.kernels.placement import on_gpu
from minicnn.kernels.probing import MODULES, Availability, backend_module, backends, compiles

__all__ = [
    "FUSED", "MAPS", "MODULES", "Availability", "backend_module", "backends", "fused", "kernel",
]  # fmt: skip

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
FUSED = (
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


@functools.cache
def _function(backend: str, name: str) -> Callable[..., Any]:
    return getattr(backend_module(backend), name)


def _chosen(work: int, array: Any) -> str:
    """Return the backend that is to work on an array; `auto` is Numba for large work."""
    if on_gpu(array):
        return "cupy"
    choice = config.backend()
    if choice in ("auto", "cupy"):  # an array that was left in the computer's memory
        return "numba" if work >= COMPILED_FROM and compiles() else "numpy"
    return choice


def kernel(name: str, work: int, array: Any) -> Callable[..., Any]:
    """Return the function of one map in the backend that is to do this work.

    Where the arrays live decides, and the settings choose among the backends there.

    Args:
        name: one of `MAPS`.
        work: number of products or elements of the call; under `auto` it decides whether compiled
            code is worth its start.
        array: one of the arrays.

    Raises:
        BackendError: the chosen backend is not usable here. `auto` falls back to NumPy instead.
    """
    return _function(_chosen(work, array), name)


def fused(work: int, array: Any) -> ModuleType | None:
    """Return the backend that joins several operations in one pass, if it is to do this work.

    It offers, beyond `MAPS`, `FUSED`; its maps of convolution take `Slopes`, and a bias and a ReLU.

    Args:
        work: as for `kernel`.
        array: one of the arrays.
    """
    chosen = _chosen(work, array)
    return backend_module(chosen) if chosen in ("numba", "cupy") else None
