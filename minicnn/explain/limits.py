"""What part of an operation is shown: a window of its result, and how many products at most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from minicnn.errors import ArgumentError
from minicnn.explain.panel import Panel

__all__ = ["MAX_TERMS", "Limits", "TooLargeError"]

T = TypeVar("T")

#: Products that one record shows unless asked otherwise: a page of about 300 kB, in which a reader
#: still finds her way.
MAX_TERMS = 20_000


class TooLargeError(ArgumentError):
    """An operation with more products than may be shown."""


@dataclass
class Limits:
    """Which part of each result is shown.

    Args:
        window: (rows, columns) or (rows, columns, channels) of the result, each (first, last + 1),
            a slice, or None for all; default all of it.
        max_terms: how many products a record may show.

    Raises:
        ArgumentError: the window is no such thing.

    >>> Limits(((0, 2), (1, 4))).ranges
    ((0, 2), (1, 4), None)
    """

    window: Any = None
    max_terms: int = MAX_TERMS
    #: What was not shown because it is too large, in sentences.
    left_out: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ranges = _ranges(self.window)
        if isinstance(self.max_terms, bool) or int(self.max_terms) < 1:
            raise ArgumentError(f"explain: max_terms={self.max_terms!r} must be an integer >= 1.")

    def block(self, title: str, result: Panel, terms_each: int) -> tuple[slice, ...] | None:
        """Return the block of the result to show; None stands for all of it.

        Args:
            title: what is explained, for messages.
            result: the panel of the whole result.
            terms_each: how many terms each of its elements has.

        Raises:
            TooLargeError: there are too many terms, or the window lies outside.
        """
        block = None
        if any(self.ranges) and len(result.shape) == 4 and result.role in ("input", "output"):
            rows, columns, channels = self.ranges
            # Which channels to show is said of the output; a gradient of x shows all of its own.
            wanted = (None, rows, columns, channels if result.role == "output" else None)
            block = tuple(self._along(title, result, axis, w) for axis, w in enumerate(wanted))
        count = terms_each
        for axis, n in enumerate(result.values.shape):
            count *= n if block is None else block[axis].stop - block[axis].start
        if count > self.max_terms:
            raise TooLargeError(
                f"explain: {title} has {count:,} products here, more than max_terms="
                f"{self.max_terms:,}. Show a part of {result.name} {result.shape} by "
                f"window=(rows, columns), e.g. window=((0, 3), (0, 4)), give fewer images, or "
                f"raise max_terms."
            )
        return block

    def _along(self, title: str, result: Panel, axis: int, wanted: tuple[int, int] | None) -> slice:
        size, shift = result.shape[axis], -result.origin[axis]
        if wanted is None:
            # Without a border, that belongs to the edges which the window may not reach.
            return slice(shift, shift + size)
        first, last = wanted[0], min(wanted[1], size)
        if first >= last:
            raise TooLargeError(
                f"explain: {title}: the window's {('', 'rows', 'columns', 'channels')[axis]} "
                f"{wanted[0]} to {wanted[1] - 1} lie outside {result.name} {result.shape}; "
                f"fitting: 0 to {size - 1}."
            )
        return slice(first + shift, last + shift)

    def unless_too_large(self, make: Callable[[], T]) -> Iterator[T]:
        """Yield what a function makes; note it as left out if that has too many products."""
        try:
            yield make()
        except TooLargeError as error:
            self.left_out.append(str(error))

    def notes(self, result: Panel, block: Sequence[slice] | None) -> list[str]:
        """Return the sentence that says which part is shown."""
        if block is None:
            return []
        parts = [
            f"{name} {s.start + o}"
            if s.stop - s.start == 1
            else f"{name}s {s.start + o} to {s.stop + o - 1}"
            for name, s, o, n in zip(
                ("image", "row", "column", "channel"),
                block,
                result.origin,
                result.shape,
                strict=True,
            )
            if s.stop - s.start < n
        ]
        if not parts:
            return []
        shape = " x ".join(map(str, result.shape))
        return [f"Shown: {', '.join(parts)} of {result.name} ({shape}), and what enters them."]


def _ranges(window: Any) -> tuple[tuple[int, int] | None, ...]:
    """Return (rows, columns, channels) as pairs (first, last + 1), None for all."""
    if window is None:
        return (None, None, None)
    try:
        given = [_pair(part) for part in window]
    except (TypeError, ValueError):
        given = []
    if len(given) not in (2, 3):
        raise ArgumentError(
            f"explain: window={window!r}, but it must be (rows, columns) or (rows, columns, "
            f"channels), each (first, last + 1) with 0 <= first <= last, a slice with both, or "
            f"None, e.g. ((0, 3), (2, 6))."
        )
    return (*given, *([None] if len(given) == 2 else []))


def _pair(part: Any) -> tuple[int, int] | None:
    if part is None:
        return None
    if isinstance(part, slice):
        part = (part.start or 0, part.stop)
    first, last = (int(i) for i in part)
    if not 0 <= first < last:
        raise ValueError
    return first, last
