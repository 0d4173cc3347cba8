"""What makes a function an operation: how it is called, drawn into a network, and its operator.

A function becomes an operation by one decorator where it is defined:

    @operation                     @operation("+")
    def relu(x): ...               def add(a, b): ...

It can then be called on numbers and on symbolic tensors, and Python's operator of that name is the
operation itself. What tensors and symbolic tensors must reach on floors above enters itself here,
so that a tensor need know neither operations nor layers nor the engine.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, overload

from minicnn.errors import MinicnnError, SymbolicError, check_call

__all__ = ["OPERATORS", "Operators", "above", "operation"]

F = TypeVar("F", bound=Callable[..., Any])

#: The operation behind each of Python's operators.
OPERATORS: dict[str, Callable[..., Any]] = {}


class _Above:
    """What stands on floors above: the engine that goes backwards, and what draws a network."""

    backward: Callable[..., None]
    draw: Callable[..., Any] | None = None


above = _Above()


@overload
def operation(function: F) -> F: ...
@overload
def operation(function: str) -> Callable[[F], F]: ...
def operation(function: Any) -> Any:
    """Make an operation of a function: called on symbolic tensors it becomes part of a network.

    A symbolic tensor refuses to become numbers, and nothing is asked before it does, so that
    operations on numbers do not pay for it. An operation must therefore make tensors of its
    operands before it calls another one.

    Args:
        function: of tensors or what becomes such; or the operator of Python's whose meaning the
            decorated function is.
    """
    if isinstance(function, str):

        def enter(named: F) -> F:
            OPERATORS[function] = entered = operation(named)
            return entered

        return enter

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except SymbolicError:
            if above.draw is None:
                raise
        except TypeError as error:
            if not isinstance(error, MinicnnError):
                check_call(function.__name__, function, args, kwargs)
            raise
        return above.draw(called, args, kwargs)

    return called


class Operators:
    """Python's operators of tensors and of symbolic tensors: each is the operation behind it."""

    def __add__(self, other: Any) -> Any:
        return OPERATORS["+"](self, other)

    def __radd__(self, other: Any) -> Any:
        return OPERATORS["+"](other, self)

    def __sub__(self, other: Any) -> Any:
        return OPERATORS["-"](self, other)

    def __rsub__(self, other: Any) -> Any:
        return OPERATORS["-"](other, self)

    def __mul__(self, other: Any) -> Any:
        return OPERATORS["*"](self, other)

    def __rmul__(self, other: Any) -> Any:
        return OPERATORS["*"](other, self)

    def __truediv__(self, other: Any) -> Any:
        return OPERATORS["/"](self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return OPERATORS["/"](other, self)

    def __floordiv__(self, other: Any) -> Any:
        return OPERATORS["//"](self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return OPERATORS["//"](other, self)

    def __mod__(self, other: Any) -> Any:
        return self - other * (self // other)

    def __rmod__(self, other: Any) -> Any:
        return other - self * (other // self)

    def __pow__(self, exponent: Any) -> Any:
        return OPERATORS["**"](self, exponent)

    def __rpow__(self, base: Any) -> Any:
        return OPERATORS["**"](base, self)

    def __matmul__(self, other: Any) -> Any:
        return OPERATORS["@"](self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return OPERATORS["@"](other, self)

    def __neg__(self) -> Any:
        return OPERATORS["neg"](self)

    def __abs__(self) -> Any:
        return OPERATORS["abs"](self)

    def __getitem__(self, key: Any) -> Any:
        return OPERATORS["[]"](self, key)
