"""What happens while operations run: whether they are remembered, and by which names they go.

Python's operators (`a + b`, `a @ b`, `a[1:]`) are operations of the floor above, and `backward` is
the engine beside; they enter themselves here by `operator`, so a tensor needs to know none of them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from minicnn.errors import SymbolicError

if TYPE_CHECKING:
    from minicnn.autograd.tensor import Tensor

__all__ = [
    "OPERATORS",
    "Node",
    "Vjp",
    "drawable",
    "is_recording",
    "no_recording",
    "operator",
    "recording",
    "state",
]

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
        return OPERATORS["draw"](operation, args, kwargs)

    return operation  # type: ignore[return-value]


class Node(NamedTuple):
    """The memory of one operation: its name, its inputs, and how gradients reach each."""

    name: str
    inputs: tuple[tuple[Tensor, Vjp], ...]
    tapes: tuple[Any, ...]


class _State(threading.local):
    recording = True
    tapes: tuple[Any, ...] = ()


state = _State()


def is_recording() -> bool:
    """Return whether operations remember their inputs at this moment."""
    return state.recording


@contextmanager
def recording(on: bool) -> Iterator[None]:
    """Switch the memory of operations on or off for the length of a `with` block."""
    before = state.recording
    state.recording = on
    try:
        yield
    finally:
        state.recording = before


def no_recording() -> Any:
    """Return a `with` block in which operations keep no memory; `predict` runs in one."""
    return recording(False)
