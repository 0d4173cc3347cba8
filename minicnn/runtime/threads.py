"""Sharing work among the cores.

Large work is cut into blocks that run in as many threads as there are cores, and the matrix
product of a block runs in one BLAS thread. BLAS threads of its own would fight with these for the
cores: they wait by spinning, which took half of the processor in training before.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from minicnn import workers

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from threadpoolctl import ThreadpoolController

__all__ = ["cores", "in_threads", "one_blas_thread", "wait_briefly"]

#: How often a thread of OpenMP looks for the end of a parallel loop before it sleeps.
SPINS = 3000

A = TypeVar("A")
B = TypeVar("B")


def cores() -> int:
    """Return the number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def wait_briefly() -> None:
    """Let threads that wait for others give their core back after a moment.

    GNU's OpenMP, in which Numba's parallel loops run, waits by spinning for some milliseconds.
    With all cores free that saves a few percent; where another program, or the reading of the next
    images, needs a core, a training step took up to ten times as long. Must be called before the
    first parallel loop; a choice of the user's stays.
    """
    if not os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)


@functools.cache
def _workers() -> ThreadPoolExecutor | None:
    return workers.pool(cores(), "minicnn")


@functools.lru_cache(maxsize=1)
def _controller(modules: int) -> ThreadpoolController:
    """Return what knows all BLAS libraries; more of them may come with newly loaded modules."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _forget() -> None:
    """Begin anew in a forked process: its parent's threads are not in it, its locks may be held."""
    global _lock
    _workers.cache_clear()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

_lock = threading.Lock()
_depth = 0
_restore: Callable[[], None] | None = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread for the length of a `with` block; blocks may be nested.

    Changing the number of threads takes BLAS some work, so only the outermost block does it:
    `fit` and its like enter one around all their steps.
    """
    global _depth, _restore
    with _lock:
        if _depth == 0:
            controller = _controller(len(sys.modules))
            _restore = controller.limit(limits=1, user_api="blas").restore_original_limits
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0 and _restore is not None:
                _restore()


def in_threads(function: Callable[[A], B], items: Sequence[A]) -> list[B]:
    """Return the function's result for each item, in order, several items at a time.

    Each thread gets its share of the items at once: to hand them over singly would cost more than
    many a small block's work.
    """
    count = max(1, min(cores(), len(items)))
    threads = _workers() if count > 1 else None
    with one_blas_thread():
        if threads is None:
            return [function(item) for item in items]

        def share(first: int) -> list[B]:
            return [function(item) for item in items[first::count]]

        # The calling thread takes a share too, instead of waiting.
        others = [threads.submit(share, first) for first in range(1, count)]
        shares = [share(0), *(other.result() for other in others)]
    return [shares[i % count][i // count] for i in range(len(items))]
