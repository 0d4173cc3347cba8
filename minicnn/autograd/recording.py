"""What happens while operations run: whether they are remembered, and by which names they go.

An operation that gradients can flow through is remembered

* while a `GradientTape` runs: for that tape, until its gradient was taken (a persistent tape's, as
  long as somebody holds the tape);
* without a tape: for `backward`, as long as somebody holds the result, if it was called on
  variables and outside of layers. What layers compute is remembered in `with recording():` alone;
* in `with no_recording():` never, unless a tape is opened inside it.

So what somebody keeps of a training loop, a loss or a code, does not keep all that led to it.

Python's operators (`a + b`, `a @ b`, `a[1:]`) are operations of the floor above, and `backward` is
the engine beside; they enter themselves here by `operator`, so a tensor needs to know none of them.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from minicnn.errors import MinicnnError, SymbolicError, check_call

if TYPE_CHECKING:
    from minicnn.autograd.tensor import Tensor

__all__ = ["OPERATORS", "Node", "Trace", "Vjp", "drawable", "is_recording",
           "no_recording", "of_layers", "operator", "recording", "state"]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])

#: A vector-Jacobian product: (gradient of the output, the output) -> gradient of one input.
Vjp = Callable[["Tensor", "Tensor"], "Tensor"]

OPERATORS: dict[str, Callable[..., Any]] = {}


def operator(name: str) -> Callable[[F], F]:
    """Enter an operation as the one behind a Python operator of `Tensor`."""

    def enter(function: F) -> F:
        plainly = name in ("backward", "draw")  # which are no operations on numbers
        OPERATORS[name] = function if plainly else drawable(function)
        return function

    return enter


def drawable(function: F) -> F:
    """Let an operation be called on symbolic tensors, too: it then becomes part of a network.

    A symbolic tensor refuses to become numbers, and nothing is asked before it does, so that
    operations on numbers do not pay for it. What draws the network is entered as "draw".
    """

    @functools.wraps(function)
    def operation(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except SymbolicError:
            if "draw" not in OPERATORS:
                raise
        except TypeError as error:
            if not isinstance(error, MinicnnError):
                check_call(function.__name__, function, args, kwargs)
            raise
        return OPERATORS["draw"](operation, args, kwargs)

    return operation  # type: ignore[return-value]


class Node(NamedTuple):
    """The memory of one operation: its name, its inputs, how gradients reach each, and for whom."""

    name: str
    inputs: tuple[tuple[Tensor, Vjp], ...]
    tapes: tuple[Trace, ...]


class Trace:
    """What one tape has recorded: the results, as long as somebody else holds them."""

    def __init__(self) -> None:
        self.results: list[weakref.ref[Tensor]] = []
        self.running = False

    def forget(self) -> None:
        """Take the memory from all results that no other tape remembers."""
        for reference in self.results:
            result = reference()
            node = None if result is None else result.node
            if result is not None and node is not None and self in node.tapes:
                others = tuple(tape for tape in node.tapes if tape is not self)
                result.node = node._replace(tapes=others) if others else None
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
