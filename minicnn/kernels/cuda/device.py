"""The card: its limits and memory, and how kernels come to it.

CuPy is imported by the first call that needs it, and nowhere else in minicnn.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import re
import threading
from collections.abc import Iterator, Sequence
from importlib import resources
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minicnn.errors import ArgumentError, BackendError, DeviceMemoryError, ShapeError
from minicnn.geometry import Geometry, Resize

__all__ = ["THREADS", "Array", "Card", "Program", "card", "checked", "cupy", "empty",
           "keeping", "kept", "program", "room_for", "source", "zeros"]  # fmt: skip

T = TypeVar("T")

#: A CuPy array. CuPy need not be installed where types are checked.
Array = Any

#: Threads of a block in kernels where each thread owns one output.
THREADS = 256
#: Arrays with fewer numbers than this are counted by 32-bit integers, whose divisions are faster;
#: the last block's threads count beyond the end.
NARROW = 2**31 - 2**20


class Card(NamedTuple):
    """What a kernel has to know of the GPU that it runs on."""

    name: str
    capability: int  # 90 is compute capability 9.0
    shared_bytes: int  # of one block
    multiprocessors: int
    cache_bytes: int  # of the second level


class _Thread(threading.local):
    #: What the graph that this thread records must keep.
    kept: list[Any] | None = None


_thread = _Thread()


@functools.cache
def cupy() -> ModuleType:
    """Return CuPy."""
    return importlib.import_module("cupy")


@functools.cache
def _card(device: int) -> Card:
    found = cupy().cuda.Device(device)
    limits = found.attributes
    name = cupy().cuda.runtime.getDeviceProperties(device)["name"]
    return Card(
        name.decode(),
        int(found.compute_capability),
        limits["MaxSharedMemoryPerBlock"],
        limits["MultiProcessorCount"],
        limits["L2CacheSize"],
    )


def card() -> Card:
    """Return the GPU that CuPy works on now."""
    return _card(cupy().cuda.runtime.getDevice())


def source(*files: str) -> str:
    """Return the text of some kernel files, one behind the other, for the compiler.

    >>> source("common", "resize").splitlines()[0]
    '#line 1 "common.cu"'
    """
    folder = resources.files(__package__)
    return "\n".join(
        f'#line 1 "{name}.cu"\n{(folder / f"{name}.cu").read_text(encoding="utf-8")}'
        for name in files
    )


@functools.lru_cache(maxsize=512)
def _by_value(sizes: Geometry | Resize) -> Any:
    """Return sizes as the array without axes that CuPy passes to a kernel by value."""
    return np.array(tuple(sizes), np.dtype([(name, np.int32) for name in sizes._fields]))


@functools.cache
def _function(files: tuple[str, ...], options: tuple[str, ...], name: str) -> Any:
    return _module(files, options).get_function(name)


@functools.cache
def _module(files: tuple[str, ...], options: tuple[str, ...]) -> Any:
    module = cupy().RawModule(code=source(*files), options=options)
    try:
        module.compile()
    except cupy().cuda.compiler.CompileException as error:
        raise BackendError(_compile_message(files[-1], str(error))) from error
    return module


def _compile_message(name: str, log: str) -> str:
    """Return one sentence about a kernel that the compiler refused.

    >>> _compile_message("tile", "common.cu(12): error: h is undefined")
    'the CUDA kernels of tile.cu cannot be compiled: common.cu, line 12: h is undefined.'
    """
    found = re.search(r"([\w.]+)\((\d+)\): (?:catastrophic )?error:? (.*)", log)
    lines = [line for line in log.splitlines() if line.strip()] or ["the compiler gave no reason"]
    told = f"{found[1]}, line {found[2]}: {found[3].strip()}" if found else lines[0]
    return f"the CUDA kernels of {name}.cu cannot be compiled: {told}."


class Program(NamedTuple):
    """The kernels of some files, for one type of numbers.

    Args:
        files: names of `.cu` files, in the order in which the compiler is to read them.
        options: what the compiler is told.
        real: the type of the arrays' numbers.
        place: the type that counts them.
    """

    files: tuple[str, ...]
    options: tuple[str, ...]
    real: np.dtype[Any]
    place: type[np.integer[Any]]

    def number(self, value: float) -> Any:
        """Return a number as a kernel's `real`."""
        return self.real.type(value)

    def offset(self, value: int) -> Any:
        """Return a number as a kernel's `offset`."""
        return self.place(value)

    def launch(self, name: str, grid: Sequence[int], block: Sequence[int], *given: Any) -> None:
        """Start a kernel; integers become `int`, and geometries are passed by value."""
        arguments = tuple(
            np.int32(a)
            if isinstance(a, int)
            else _by_value(a)
            if isinstance(a, Geometry | Resize)
            else a
            for a in given
        )
        _function(self.files, self.options, name)(tuple(grid), tuple(block), arguments)

    def over(self, name: str, count: int, *given: Any) -> None:
        """Start a kernel with one thread for each of `count` outputs."""
        if count:
            self.launch(name, (-(-count // THREADS),), (THREADS,), *given)


@functools.lru_cache(maxsize=512)
def _program(
    files: tuple[str, ...], dtype: np.dtype[Any], wide: bool, macros: tuple[tuple[str, int], ...]
) -> Program:
    real = {4: "float", 8: "double"}[dtype.itemsize]
    place, counted = (np.int64, "long long") if wide else (np.int32, "int")
    given = (f"-D{name}={value}" for name, value in macros)
    options = ("--std=c++17", f"-DREAL={real}", f"-DOFFSET={counted}", *given)
    return Program(files, options, dtype, place)


def program(files: str | tuple[str, ...], *arrays: Array | None, **macros: int) -> Program:
    """Return the kernels of some files for the type and the sizes of the arrays.

    Args:
        files: names of the files that follow `common.cu`.
        arrays: what the kernels will work on; the first one says the type.
        macros: further options of the compiler.
    """
    names = (files,) if isinstance(files, str) else files
    given = [a for a in arrays if a is not None]
    wide = max(a.size for a in given) >= NARROW
    return _program(("common", *names), given[0].dtype, wide, tuple(macros.items()))


def checked(where: str, /, **operands: tuple[Array | None, Sequence[int]]) -> list[Any]:
    """Return arrays that a kernel may read, without gaps; None stays None.

    A kernel trusts its arguments: a wrong size would let it read other memory.

    Args:
        where: the caller's name, for messages.
        operands: each array with its shape; `indices` hold int32, the others one type of floats.

    Raises:
        ArgumentError: an array is not CuPy's, or its type does not fit.
        ShapeError: an array has another shape.
    """
    kinds: dict[str, np.dtype[Any]] = {}
    found: list[Any] = []
    for name, (array, shape) in operands.items():
        if array is None:
            found.append(None)
            continue
        if not isinstance(array, cupy().ndarray):
            raise ArgumentError(
                f"{where}: {name} is a {type(array).__module__}.{type(array).__name__}, but the "
                f"CUDA kernels take CuPy arrays; cupy.asarray({name}) moves it to the GPU."
            )
        _check_type(where, name, array, kinds)
        if tuple(array.shape) != tuple(shape):
            raise ShapeError(
                f"{where}: {name} has shape {tuple(array.shape)}, but it must be {tuple(shape)}."
            )
        # What has no gaps is taken as it is: made contiguous, an array without axes gets one.
        whole = array.flags.c_contiguous
        found.append(array if whole else cupy().ascontiguousarray(array))
    return found


def _check_type(where: str, name: str, array: Array, kinds: dict[str, np.dtype[Any]]) -> None:
    if name == "indices":
        if array.dtype != np.int32:
            raise ArgumentError(f"{where}: {name} has dtype {array.dtype}, but it must be int32.")
        return
    if array.dtype not in (np.float32, np.float64):
        raise ArgumentError(
            f"{where}: {name} has dtype {array.dtype}; the CUDA kernels take float32 and float64: "
            f"cast it to one of them."
        )
    for other, kind in kinds.items():
        if kind != array.dtype:
            raise ArgumentError(
                f"{where}: {name} has dtype {array.dtype}, but {other} has {kind}; they must be "
                f"alike."
            )
    kinds[name] = array.dtype


def empty(where: str, shape: Sequence[int], dtype: Any) -> Array:
    """Return an array with any numbers in it.

    Raises:
        DeviceMemoryError: the card has no room for it; the message says how much is needed and how
            much is free. Nothing is lost, so a smaller batch can follow.
    """
    with room_for(where, shape, dtype):
        return cupy().empty(tuple(shape), dtype)


@contextlib.contextmanager
def room_for(where: str, shape: Sequence[int], dtype: Any) -> Iterator[None]:
    """Tell of a card without room as `empty` does, when an array is made in a `with` block."""
    try:
        yield
    except cupy().cuda.memory.OutOfMemoryError as error:
        free, total = cupy().cuda.Device().mem_info
        free += cupy().get_default_memory_pool().free_bytes()
        needed = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
        raise DeviceMemoryError(
            f"{where}: an array {tuple(shape)} of {np.dtype(dtype)} needs {needed:,} bytes, but "
            f"{free:,} of the GPU's {total:,} bytes are free. Use fewer images at a time."
        ) from error


def zeros(where: str, shape: Sequence[int], dtype: Any) -> Array:
    """Return an array of zeros; raises as `empty` does."""
    array = empty(where, shape, dtype)
    array.fill(0)
    return array


@contextlib.contextmanager
def keeping() -> Iterator[list[Any]]:
    """Collect in a `with` block what a graph reads and nobody else may hold for as long."""
    before = _thread.kept
    found: list[Any] = []
    _thread.kept = found
    try:
        yield found
    finally:
        _thread.kept = before


def kept(value: T) -> T:
    """Return what comes from a cache, kept as long as the graph that is being recorded."""
    if _thread.kept is not None:
        _thread.kept.append(value)
    return value
