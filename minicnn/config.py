"""Settings that hold for the whole process: backend, float type and random numbers.

`MINICNN_BACKEND` in the environment chooses the backend at the start.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn.errors import ArgumentError, check_choice

__all__ = [
    "BACKENDS",
    "backend",
    "floatx",
    "random_generator",
    "random_state",
    "restore_random_state",
    "set_backend",
    "set_floatx",
    "set_random_seed",
    "use_backend",
    "use_floatx",
]

#: `auto` takes NumPy for small work and Numba, where it is usable, for the rest.
BACKENDS = ("auto", "loops", "numpy", "numba", "cupy")

_settings: dict[str, Any] = {"backend": None, "floatx": "float32", "generator": None}


def backend() -> str:
    """Return the name of the chosen backend: `auto` unless somebody chose another.

    >>> with use_backend("loops"):
    ...     backend()
    'loops'
    """
    if _settings["backend"] is None:
        _settings["backend"] = check_choice(
            "MINICNN_BACKEND", "value", os.environ.get("MINICNN_BACKEND", "auto"), BACKENDS
        )
    return str(_settings["backend"])


def set_backend(name: str) -> None:
    """Choose the backend of every operation that follows.

    Args:
        name: `auto`, `loops` (the definitions), `numpy`, `numba` or `cupy`.

    Raises:
        ArgumentError: the name is not one of these. Whether the backend is usable here is found
            when the first operation needs it; `minicnn.backends()` tells beforehand.
    """
    _settings["backend"] = check_choice("set_backend", "name", name, BACKENDS)


@contextlib.contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Choose a backend for the length of a `with` block."""
    before = backend()
    set_backend(name)
    try:
        yield
    finally:
        _settings["backend"] = before


def floatx() -> str:
    """Return the float type of new weights and converted inputs, `float32` unless changed."""
    return str(_settings["floatx"])


def set_floatx(dtype: str) -> None:
    """Choose the float type of new weights: `float32`, or `float64` for checking gradients."""
    _settings["floatx"] = check_choice("set_floatx", "dtype", dtype, ["float32", "float64"])


@contextlib.contextmanager
def use_floatx(dtype: str) -> Iterator[None]:
    """Choose a float type for the length of a `with` block."""
    before = floatx()
    set_floatx(dtype)
    try:
        yield
    finally:
        _settings["floatx"] = before


def set_random_seed(seed: int) -> None:
    """Start the random numbers of initializers, shuffling, dropout and noise anew.

    >>> set_random_seed(7)
    >>> first = random_generator().integers(100, size=3)
    >>> set_random_seed(7)
    >>> bool((first == random_generator().integers(100, size=3)).all())
    True
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ArgumentError(f"set_random_seed: seed={seed!r}, but it must be an integer >= 0.")
    _settings["generator"] = np.random.default_rng(int(seed))


def random_generator() -> np.random.Generator:
    """Return the generator that initializers, shuffling, dropout and noise draw from."""
    if _settings["generator"] is None:
        _settings["generator"] = np.random.default_rng()
    return _settings["generator"]


def random_state() -> dict[str, Any]:
    """Return the generator's state as plain numbers and strings, fit for a JSON file."""
    return dict(random_generator().bit_generator.state)


def restore_random_state(state: dict[str, Any]) -> None:
    """Continue the random numbers where `random_state()` was called."""
    random_generator().bit_generator.state = state
