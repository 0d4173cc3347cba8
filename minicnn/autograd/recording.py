"""Whether operations are remembered while they run.

An operation that gradients can flow through is remembered

* while a `GradientTape` runs: for that tape, until its gradient was taken (a persistent tape's, as
  long as somebody holds the tape);
* without a tape: for `backward`, as long as somebody holds the result, if it was called on
  variables and outside of layers. What layers compute is remembered in `with recording():` alone;
* in `with no_recording():` never, unless a tape is opened inside it.

So what somebody keeps of a training loop, a loss or a code, does not keep all that led to it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

__all__ = ["Trace", "is_recording", "no_recording", "of_layers", "recording", "state"]


class Trace:
    """What one tape has recorded: the results, as long as somebody else holds them."""

    def __init__(self) -> None:
        self.results: list[weakref.ref[Any]] = []
        self.running = False

    def forget(self) -> None:
        """Take the memory from all results that no other tape remembers."""
        for reference in self.results:
            result = reference()
            node = None if result is None else result.node
            if result is not None and node is not None and self in node.tapes:
                if len(node.tapes) == 1:
                    result.node = None
                else:
                    others = tuple(tape for tape in node.tapes if tape is not self)
                    result.node = node._replace(tapes=others)
        self.results = []


class _State(threading.local):
    #: Without a tape: whether operations are remembered; None for those outside of layers.
    recording: bool | None = None
    tapes: tuple[Trace, ...] = ()


state = _State()


def is_recording() -> bool:
    """Return whether operations remember their inputs at this moment."""
    return bool(state.tapes) or state.recording is not False


@contextmanager
def recording(on: bool = True) -> Iterator[None]:
    """Remember operations without a tape, those of layers too, for the length of a `with` block.

    >>> from minicnn import layers, ops
    >>> layer = layers.Dense(2)
    >>> with recording():
    ...     loss = ops.sum(layer([[1.0, 2.0, 3.0]]))
    >>> loss.backward()
    >>> layer.kernel.grad.numpy().tolist()
    [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]

    Args:
        on: False remembers nothing, for no tape that runs either.
    """
    before, tapes = state.recording, state.tapes
    state.recording = on
    if not on:
        state.tapes = ()
    try:
        yield
    finally:
        state.recording = before
        if not on:
            state.tapes = tuple(tape for tape in tapes if tape.running)


def no_recording() -> Any:
    """Return a `with` block in which operations keep no memory; `predict` runs in one."""
    return recording(False)


_AS_IT_IS = nullcontext()


def of_layers() -> Any:
    """Return the `with` block in which a layer computes: without a tape nothing is remembered."""
    asked = state.tapes or state.recording is not None
    return _AS_IT_IS if asked else recording(False)
