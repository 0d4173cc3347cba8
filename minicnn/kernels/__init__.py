"""The arithmetic on plain arrays, once for each backend.

Every backend module offers the same functions, `(arrays, geometry) -> new arrays`:

    convolution    conv2d, conv2d_input_gradient, conv2d_kernel_gradient
    max-pool       max_pool2d, scatter, gather
    average-pool   average_pool2d, average_pool2d_gradient
    resize         resize2d, resize2d_gradient

`kernel(name, work)` returns the function of the backend that the settings ask for.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from minicnn import config
from minicnn.errors import BackendError
from minicnn.kernels.threads import wait_briefly

__all__ = ["FUSED", "MAPS", "Availability", "backend_module", "backends", "fused", "kernel"]

MODULES = {
    "loops": "minicnn.kernels.loops",
    "numpy": "minicnn.kernels.vectorized",
    "numba": "minicnn.kernels.compiled",
    "cupy": "minicnn.kernels.cuda",
}

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


class Availability(NamedTuple):
    """Whether a backend can be used here, and the reason if not or its version if so."""

    usable: bool
    detail: str


@functools.cache
def _probe(name: str) -> Availability:
    """Find out once whether a backend can be used; a broken package gives a sentence."""
    if name == "numba":
        wait_briefly()
    try:
        module = importlib.import_module(MODULES[name])
        if name == "cupy":
            return Availability(*module.usable())
        if name == "numba":
            numba = importlib.import_module("numba")
            if numba.config.DISABLE_JIT:
                return Availability(False, "NUMBA_DISABLE_JIT forbids compiling")
            return Availability(True, f"numba {numba.__version__}")
        numpy = importlib.import_module("numpy")
        return Availability(True, f"numpy {numpy.__version__}")
    except Exception as error:  # a broken package may raise anything at all
        first = (str(error).splitlines() or [""])[0]
        return Availability(False, f"{name} cannot be imported: {type(error).__name__}: {first}")


def backends() -> dict[str, Availability]:
    """Return for each backend whether it is usable here, and why not.

    >>> backends()["numpy"].usable
    True
    """
    return {name: _probe(name) for name in ("loops", "numpy", "numba", "cupy")}


def backend_module(name: str) -> ModuleType:
    """Return the module of a backend.

    Raises:
        BackendError: the backend is not usable here; the message says why.
    """
    found = _probe(name)
    if not found.usable:
        usable = ", ".join(repr(n) for n, a in backends().items() if a.usable)
        raise BackendError(
            f"backend {name!r} is not usable here: {found.detail}. Usable: {usable}."
        )
    return importlib.import_module(MODULES[name])


@functools.cache
def _function(backend: str, name: str) -> Callable[..., Any]:
    return getattr(backend_module(backend), name)


def _chosen(work: int) -> str:
    """Return the backend that the settings ask for; `auto` is Numba for large work."""
    choice = config.backend()
    if choice == "auto":
        return "numba" if work >= COMPILED_FROM and _probe("numba").usable else "numpy"
    return choice


def kernel(name: str, work: int) -> Callable[..., Any]:
    """Return the function of one map in the backend that the settings ask for.

    Args:
        name: one of `MAPS`.
        work: number of products or elements of the call; under `auto` it decides whether compiled
            code is worth its start.

    Raises:
        BackendError: the chosen backend is not usable here. `auto` falls back to NumPy instead.
    """
    return _function(_chosen(work), name)


def fused(work: int) -> ModuleType | None:
    """Return the backend that joins several operations in one pass, if it is to do this work.

    It offers, beyond `MAPS`, `FUSED`; its maps of convolution take `Slopes`, and a bias and a ReLU.
    """
    return backend_module("numba") if _chosen(work) == "numba" else None
