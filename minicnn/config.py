"""Settings that hold for the whole process: backend, float type and random numbers.

`MINICNN_BACKEND` in the environment chooses the backend at the start.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from minicnn.errors import ArgumentError, check_choice, check_whole
from minicnn.tracebacks import (
    disable_traceback_filtering,
    enable_traceback_filtering,
    is_traceback_filtering_enabled,
)

__all__ = ["BACKENDS", "PhysicalDevice", "RandomStream", "SeededGenerator", "backend",
           "device", "disable_traceback_filtering", "element_type",
           "enable_traceback_filtering", "floatx", "is_traceback_filtering_enabled",
           "list_physical_devices", "note_draw", "random_draws", "random_generator",
           "random_state", "restore_random_state", "set_backend", "set_floatx",
           "set_random_seed", "use_backend", "use_cpu", "use_floatx",
           "use_random_stream"]  # fmt: skip

#: `auto` takes NumPy for small work and Numba, where it is usable, for the rest.
BACKENDS = ("auto", "loops", "numpy", "numba", "cupy")

#: What the backends are called elsewhere.
_MEANT = {"cpu": "auto", "cuda": "cupy", "gpu": "cupy", "nvidia": "cupy", "python": "loops"}

_settings: dict[str, Any] = {"backend": None, "floatx": "float32", "generator": None}


class _Thread(threading.local):
    #: The random numbers of the piece of work that this thread does, if it has its own.
    stream: RandomStream | None = None
    #: Whether this thread works for another one, beside it.
    beside = False
    #: Whether what this thread makes stays off the GPU, whatever the backend.
    on_cpu = False
    #: How often this thread asked for random numbers.
    draws = 0


_thread = _Thread()


def backend() -> str:
    """Return the name of the chosen backend: `auto` unless somebody chose another.

    >>> with use_backend("loops"):
    ...     backend()
    'loops'
    """
    if _settings["backend"] is None:
        _settings["backend"] = check_choice(
            "MINICNN_BACKEND", "value", os.environ.get("MINICNN_BACKEND", "auto"), BACKENDS, _MEANT
        )
    if _thread.beside and _settings["backend"] != "loops":
        # Numba's parallel loops must not be entered by two threads at once: some of its ways to
        # share work among the cores end the process then. The GPU is the main thread's.
        return "numpy"
    return str(_settings["backend"])


def set_backend(name: str) -> None:
    """Choose the backend of every operation that follows.

    Args:
        name: `auto`, `loops` (the definitions), `numpy`, `numba`, or `cupy`, which puts new
            variables, tensors and batches on the GPU. What exists stays where it is, and is
            computed with there.

    Raises:
        ArgumentError: the name is not one of these. Whether the backend is usable here is found
            when the first operation needs it; `minicnn.backends()` tells beforehand.
    """
    _settings["backend"] = check_choice("set_backend", "name", name, BACKENDS, _MEANT)


@contextlib.contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Choose a backend for the length of a `with` block."""
    before = backend()
    set_backend(name)
    try:
        yield
    finally:
        _settings["backend"] = before


def device() -> str:
    """Return where new variables, tensors and batches are put: `gpu` or `cpu`.

    >>> with use_backend("numpy"):
    ...     device()
    'cpu'
    """
    chosen = _settings["backend"] or backend()
    return "gpu" if chosen == "cupy" and not (_thread.on_cpu or _thread.beside) else "cpu"


@contextlib.contextmanager
def use_cpu() -> Iterator[None]:
    """Put what this thread makes in a `with` block in the computer's memory, as pipelines do.

    >>> with use_backend("cupy"), use_cpu():
    ...     device()
    'cpu'
    """
    before = _thread.on_cpu
    _thread.on_cpu = True
    try:
        yield
    finally:
        _thread.on_cpu = before


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


def element_type(where: str, dtype: Any) -> np.dtype[Any]:
    """Return the element type of a name, or of a type of NumPy's.

    Raises:
        ArgumentError: NumPy has no such type; the message says what to do without it.
    """
    try:
        return np.dtype(dtype)
    except TypeError:
        pass
    if "mixed" in str(dtype) or "bfloat16" in str(dtype):
        why = "mixed precision and bfloat16 are not part of minicnn; leave dtype out for 'float32'."
    else:
        why = "it must be a type of NumPy's such as 'float32' (default), 'float64' or 'uint8'."
    raise ArgumentError(f"{where}: dtype={dtype!r} is not known; {why}")


def set_random_seed(seed: int) -> None:
    """Start the random numbers of initializers, shuffling, dropout and noise anew.

    >>> set_random_seed(7)
    >>> first = random_generator().integers(100, size=3)
    >>> set_random_seed(7)
    >>> bool((first == random_generator().integers(100, size=3)).all())
    True
    """
    seed = check_whole("set_random_seed", "seed", seed, 0)
    _settings["generator"] = np.random.default_rng(seed)


def random_draws() -> int:
    """Return how often this thread asked for a generator, by which layers tell that they draw."""
    return _thread.draws


def note_draw() -> None:
    """Count a draw from a generator that belongs to a layer."""
    _thread.draws += 1


def random_generator() -> np.random.Generator:
    """Return the generator that initializers, shuffling, dropout and noise draw from."""
    _thread.draws += 1
    if _thread.stream is not None:
        return _thread.stream.generator()
    if _settings["generator"] is None:
        _settings["generator"] = np.random.default_rng()
    return _settings["generator"]


def random_state() -> dict[str, Any]:
    """Return the generator's state as plain numbers and strings, fit for a JSON file."""
    return dict(random_generator().bit_generator.state)


def restore_random_state(state: dict[str, Any]) -> None:
    """Continue the random numbers where `random_state()` was called."""
    random_generator().bit_generator.state = state


class RandomStream:
    """The random numbers of one piece of work, the same in whichever thread and order it is done.

    Args:
        key: numbers that set this piece of work apart, drawn from the process's generator.
        place: numbers that do so for generators with a seed of their own, which are not to depend
            on the process's.
    """

    def __init__(self, key: tuple[int, ...], place: tuple[int, ...]) -> None:
        self._key, self._place = key, place
        self._generators: dict[int | None, np.random.Generator] = {}

    @property
    def drawn(self) -> bool:
        """Whether somebody drew a number."""
        return bool(self._generators)

    def generator(self, seed: int | None = None) -> np.random.Generator:
        """Return the stream's generator, or that for a seed."""
        if seed not in self._generators:  # made when first needed: most work draws nothing
            start, *way = (*self._key, *self._place) if seed is None else (seed, *self._place)
            sequence = np.random.SeedSequence(start, spawn_key=way)
            self._generators[seed] = np.random.default_rng(sequence)
        return self._generators[seed]


@contextlib.contextmanager
def use_random_stream(stream: RandomStream, beside: bool = False) -> Iterator[None]:
    """Let this thread draw from a stream for the length of a `with` block.

    Args:
        stream: what it draws from.
        beside: whether the thread works beside another one, which may be in a compiled loop.

    >>> with use_random_stream(RandomStream((7,), (0, 1))):
    ...     first = random_generator().random()
    >>> with use_random_stream(RandomStream((7,), (0, 1))):
    ...     first == random_generator().random()
    True
    """
    before = _thread.stream, _thread.beside
    _thread.stream, _thread.beside = stream, beside or _thread.beside
    try:
        yield
    finally:
        _thread.stream, _thread.beside = before


class SeededGenerator:
    """The random numbers of one layer: from its own seed, or from the process's generator.

    Args:
        seed: an integer >= 0, or None (default).
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        #: The generator that a seed started; None without one.
        self.own = None if seed is None else np.random.default_rng(seed)

    def __call__(self) -> np.random.Generator:
        """Return the generator to draw from now."""
        if self.own is None:
            return random_generator()
        note_draw()
        if _thread.stream is not None:
            return _thread.stream.generator(self._seed)
        return self.own


class PhysicalDevice(NamedTuple):
    """The processor, or the GPU that minicnn can compute with."""

    name: str
    device_type: str


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """Return the processor, and the GPU if minicnn can compute with it; of one type if it is given.

    >>> list_physical_devices("CPU")
    [PhysicalDevice(name='/physical_device:CPU:0', device_type='CPU')]
    """
    probing = importlib.import_module("minicnn.runtime.backends")  # of a floor above
    kinds = ["CPU", *(["GPU"] if probing.availability("cupy").usable else [])]
    if device_type is not None:
        wanted = check_choice("list_physical_devices", "device_type", device_type, ["cpu", "gpu"])
        kinds = [kind for kind in kinds if kind == wanted.upper()]
    return [PhysicalDevice(f"/physical_device:{kind}:0", kind) for kind in kinds]
