"""The numbers of one operation of a call."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

__all__ = ["Step"]


class Step(NamedTuple):
    """What went in and came out of an operation, and the gradients with respect to both."""

    x: NDArray[Any]
    y: NDArray[Any]
    dy: NDArray[Any]
    dx: NDArray[Any]
