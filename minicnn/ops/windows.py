"""Window arithmetic, remembered: a layer asks the same at every step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from minicnn.geometry import Geometry

__all__ = ["remembered"]


def _kinds(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the types of values: 1, 1.0 and True are equal, but a stride must be the first."""
    return tuple([_kinds(v) if type(v) is tuple else type(v) for v in values])


@functools.lru_cache(maxsize=1024)
def _answer(
    function: Callable[..., Geometry], kinds: tuple[Any, ...], *arguments: Any, **named: Any
) -> Geometry:
    return function(*arguments, **named)


def remembered(function: Callable[..., Geometry], *arguments: Any, **named: Any) -> Geometry:
    """Return what a function of `geometry` says, from memory if it was asked before."""
    try:
        return _answer(function, _kinds(arguments), *arguments, **named)
    except TypeError:  # a list among the arguments cannot be looked up
        return function(*arguments, **named)
