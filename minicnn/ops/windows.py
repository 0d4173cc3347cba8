"""Window arithmetic, remembered: a layer asks the same at every step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from minicnn.geometry import Geometry

__all__ = ["remembered"]


@functools.lru_cache(maxsize=1024)
def _answer(function: Callable[..., Geometry], *arguments: Any, **named: Any) -> Geometry:
    return function(*arguments, **named)


def remembered(function: Callable[..., Geometry], *arguments: Any, **named: Any) -> Geometry:
    """Return what a function of `geometry` says, from memory if it was asked before."""
    try:
        return _answer(function, *arguments, **named)
    except TypeError:  # a list among the arguments cannot be looked up
        return function(*arguments, **named)
