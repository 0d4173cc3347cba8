"""How loops are compiled, where their machine code is kept, and when they run in parallel."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import threading
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba import types
from numba.core.caching import FunctionCache
from numba.core.ccallback import CFunc

from minicnn.kernels.compiled.arguments import Table, call_at, table_of
from minicnn.runtime import notice

__all__ = ["Compiled", "kept_in", "parallel", "revision", "serial"]

#: Files of this package whose text may become machine code: imported by name, as the rule is here.
_IMPORTS = re.compile(r"^from (minicnn\.(?:geometry|kernels\.compiled\.\w+)) import", re.MULTILINE)


@functools.cache
def revision(module: str) -> str:
    """Return a digest of a file and of those that it imports, from which its machine code is made.

    Numba's cache by itself looks at the file of the outer function alone.
    """
    texts: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in texts:
            file = Path(__file__).parents[2].joinpath(*name.split(".")[1:]).with_suffix(".py")
            texts[name] = file.read_text(encoding="utf-8")
            waiting += _IMPORTS.findall(texts[name])
    return hashlib.sha256("".join(texts[name] for name in sorted(texts)).encode()).hexdigest()[:16]


class _Cache(FunctionCache):
    """Numba's machine code on disk, found by the text of all files that it is made of, too."""

    def __init__(self, function: Callable[..., Any], kind: str) -> None:
        super().__init__(function)
        self._more = kind, revision(function.__module__)

    def _index_key(self, *asked: Any) -> Any:
        return (*super()._index_key(*asked), *self._more)

    def save_overload(self, *given: Any) -> None:
        with contextlib.suppress(OSError):  # as when the disk is full: it is compiled again then
            super().save_overload(*given)


def _cache(function: Callable[..., Any], kind: str) -> _Cache | None:
    try:
        return _Cache(function, kind)
    except RuntimeError:  # Numba found no folder that may be written
        notice.not_kept()
        return None


@functools.cache
def kept_in() -> Path | None:
    """Return the folder for machine code, or None where none can be written."""
    cache = _cache(kept_in.__wrapped__, "")
    return None if cache is None else Path(cache.cache_path)


#: Locked while a loop runs, where Numba's threads must not be asked by two at once.
_turn: Any = None
#: Whether this process was forked from one that had Numba's threads, which do not come along.
_forked = False


def _start() -> Any:
    """Let Numba start its threads, and return what to enter for each loop."""
    global _turn
    if _turn is None:
        numba.get_num_threads()
        simple = numba.threading_layer() == "workqueue"
        _turn = threading.Lock() if simple else contextlib.nullcontext()
    return _turn


def _after_fork() -> None:
    global _turn, _forked
    _turn = None
    # GNU's OpenMP would end this process at its first parallel loop.
    with contextlib.suppress(ValueError):  # raised where no thread was started yet
        numba.threading_layer()
        _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def machine_code(function: Callable[..., Any], taken: tuple[Any, ...], options: Any) -> Any:
    """Return the machine code, which has an `address`, of a function that takes such types."""
    with notice.while_compiling():
        found: Any = CFunc(function, (taken, types.void), locals={}, options=options)
        found._cache = _cache(function, "address") or found._cache
        found.compile()
    return found


class Compiled:
    """A loop whose turns are shared among all cores, compiled when first called.

    A forked process computes on one core: its parent's threads did not come along. What a turn
    computes does not depend on who else computes, so the bits are the same.

    Args:
        function: does one turn, from its number and the table of the loop's `arguments`.
        options: Numba's.
    """

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self.py_func, self.options = function, {"error_model": "numpy", **options}
        self.compiled: dict[tuple[Any, ...], Any] = {}

    def __call__(self, turns: int, *arguments: Any) -> None:
        """Run so many turns with these arguments: arrays, integers, and named tuples of these."""
        address, table = self.prepared(arguments)
        place, _ = table.buffer_info()
        if _forked:
            _launch_serial(address, turns, place)
            return
        with _turn or _start():
            _launch(address, turns, place)

    def prepared(self, arguments: tuple[Any, ...]) -> tuple[int, array[int]]:
        """Return where the machine code for these arguments is, and their table."""
        kinds, table = table_of(arguments)
        if kinds not in self.compiled:
            taken = types.int64, Table(kinds)
            self.compiled[kinds] = machine_code(self.py_func, taken, self.options)
        return self.compiled[kinds].address, table


def parallel(**options: Any) -> Callable[[Callable[..., Any]], Compiled]:
    """Return a decorator for the turns of loops, with Numba's options."""
    return lambda function: Compiled(function, options)


def serial(kind: str = "serial", **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator for functions that Python calls as they are, with Numba's options."""

    def compiled(function: Callable[..., Any]) -> Any:
        dispatcher: Any = numba.njit(error_model="numpy", **options)(function)
        dispatcher._cache = _cache(function, kind) or dispatcher._cache
        return dispatcher

    return compiled


def _run(address, turns, table):
    for turn in numba.prange(turns):
        call_at(address, (turn, table))


_launch, _launch_serial = serial("parallel", parallel=True)(_run), serial()(_run)
