"""Work that is recorded once, as a CUDA graph, and started again as a whole.

Starting a kernel takes the computer some microseconds; small networks have kernels that are shorter
than that. A graph starts hundreds of kernels by one call.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from minicnn.errors import MinicnnError, RecordingError
from minicnn.kernels.cuda.device import cupy, keeping
from minicnn.kernels.cuda.tiles import own_products

__all__ = ["Recorded"]


class Recorded:
    """A function that launches the same kernels on the same memory at every call.

    The first call runs it, which compiles its kernels and fills the pool of its memory. The second
    call records it and starts what was recorded, and the following ones only do the latter: no line
    of the function is run then. All calls have the same results to the last bit, in memory that the
    next call writes to again.

    A graph knows addresses. The pool lives as long as the graph and gives memory to nobody else.
    What the function takes from outside must stay where it is; whoever calls writes new numbers
    into it. Inside, matrix products are computed by minicnn's own kernels, because CuPy lets none
    of cuBLAS be recorded.

    Args:
        function: takes nothing and returns arrays on the GPU, in tuples or lists or on their own;
            what it returns must not be changed.

    >>> from minicnn.kernels import backends
    >>> if backends()["cupy"].usable:
    ...     from minicnn.kernels.cuda.device import cupy
    ...     x = cupy().asarray([[1.0, 2.0, 3.0]])
    ...     doubled = Recorded(lambda: x * 2)
    ...     for _ in range(3):
    ...         x += doubled()
    ...     assert x.tolist() == [[27.0, 54.0, 81.0]]
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function: Callable[[], Any] | None = function
        self._pool = cupy().cuda.MemoryPool()
        self._stream = cupy().cuda.Stream(non_blocking=True)
        self._graph: Any = None
        self._warm = False
        self._results: Any = None
        self._kept: list[Any] = []

    def __call__(self) -> Any:
        """Do the work on the current stream, and return the results.

        Raises:
            RecordingError: the function does what a graph cannot hold: it waits for the GPU, or
                sends numbers to it. It was not done then, though its lines were run.
        """
        if self._function is not None and not self._warm:
            self._warm = True
            with self._aside():
                return self._function()
        if self._function is not None:
            self._results = self._record(self._function)
            self._function = None  # with all that it holds
        self._graph.launch()
        return self._results

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        """Work on the graph's stream and in its memory, between what comes before and after."""
        outside = cupy().cuda.get_current_stream()
        self._stream.wait_event(outside.record())
        try:
            with cupy().cuda.using_allocator(self._pool.malloc), own_products(), self._stream:
                yield
        finally:
            outside.wait_event(self._stream.record())

    def _record(self, function: Callable[[], Any]) -> Any:
        with self._aside(), keeping() as self._kept:
            self._stream.begin_capture()
            try:
                results = function()
                self._graph = self._stream.end_capture()
            except BaseException as error:
                with contextlib.suppress(RuntimeError):
                    self._stream.end_capture()  # which says that the recording is spoilt
                # CUDA's errors are RuntimeErrors, and so is what CuPy says of copies and of cuBLAS
                # before CUDA hears of them. One that has nothing to do with recording comes back
                # when the work is done without it.
                if isinstance(error, RuntimeError) and not isinstance(error, MinicnnError):
                    raise RecordingError(str(error)) from error
                raise
        return results
