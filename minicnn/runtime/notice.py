"""How long kernels are being compiled, and a word to who waits for it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from minicnn.workers import started

__all__ = ["begin", "end", "not_kept", "seconds", "slower", "told_to", "while_compiling"]

#: Seconds of work after which it is plain that nothing was found on disk. Work, not waiting: where
#: other programs take the cores, reading from disk may take long too.
PATIENCE = 1.0

TEXT = (
    "minicnn: compiling kernels for this processor; this takes some seconds, once, and is kept on "
    "disk."
)
NOT_KEPT = (
    "minicnn: compiling kernels for this processor; this takes some seconds in every process: no "
    "folder for them can be written; set NUMBA_CACHE_DIR to one."
)


def _to_standard_error(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class _Compiling:
    """What this process compiled so far. One thread compiles at a time: Numba holds a lock."""

    depth = 0
    began = 0.0
    spent = 0.0
    done = threading.Event()
    said = False
    kept = True
    listener: Callable[[str], None] = staticmethod(_to_standard_error)


def begin() -> None:
    """Be told that the compiler starts; within another compilation that is part of it."""
    _Compiling.depth += 1
    if _Compiling.depth > 1:
        return
    _Compiling.began = time.perf_counter()
    _Compiling.done = done = threading.Event()
    work = time.process_time()
    if _Compiling.said:
        return

    def watch() -> None:
        while not done.wait(PATIENCE / 10):
            if time.process_time() - work >= PATIENCE:
                _Compiling.said = True
                _Compiling.listener(TEXT if _Compiling.kept else NOT_KEPT)
                return

    started(watch, "minicnn-notice")


def end() -> None:
    """Be told that the compiler is done."""
    _Compiling.depth -= 1
    if _Compiling.depth == 0:
        _Compiling.done.set()
        _Compiling.spent += time.perf_counter() - _Compiling.began


def not_kept() -> None:
    """Be told that no folder for machine code can be written."""
    _Compiling.kept = False


def slower(reason: str) -> None:
    """Say on the standard error stream that large work is done without compiled kernels."""
    print(f"minicnn: NumPy does what compiled kernels would do faster: {reason}.", file=sys.stderr)


def seconds() -> float:
    """Return how long this process has been compiling kernels so far."""
    running = time.perf_counter() - _Compiling.began if _Compiling.depth else 0.0
    return _Compiling.spent + running


@contextmanager
def while_compiling() -> Iterator[None]:
    """Count a block as compilation, and say that kernels are compiled if it works for long."""
    begin()
    try:
        yield
    finally:
        end()


@contextmanager
def told_to(listener: Callable[[str], None]) -> Iterator[None]:
    """Let somebody else than the standard error stream be told in a block, a display for one."""
    before = _Compiling.listener
    _Compiling.listener = staticmethod(listener)
    try:
        yield
    finally:
        _Compiling.listener = before
