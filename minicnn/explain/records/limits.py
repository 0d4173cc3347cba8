"""What part of an operation is shown: a window of its result, and how many products at most."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from minicnn.errors import ArgumentError, check_whole
from minicnn.explain.records.panel import Panel

__all__ = ["MAX_FRAMES", "MAX_NUMBERS", "MAX_TERMS", "Limits", "TooLargeError"]

T = TypeVar("T")

#: Products that one record shows unless asked otherwise: a page of about 300 kB, in which a reader
#: still finds her way.
MAX_TERMS = 20_000

#: Numbers that one picture shows unless asked otherwise: they still fit on a page.
MAX_NUMBERS = 1500

#: Pictures of an animation unless asked otherwise: more than two minutes nobody watches.
MAX_FRAMES = 200


class TooLargeError(ArgumentError):
    """An operation with more products than may be shown.

    Args:
        title: what is explained.
        name: what its result is called.
        shape: the shape of the result.
        count: how many products there are.
        limit: how many may be shown.
    """

    def __init__(self, title: str, name: str, shape: Sequence[int], count: int, limit: int) -> None:
        super().__init__(
            f"explain: {title} has {count:,} products here, more than max_terms={limit:,}. Show a "
            f"part of {name} {tuple(shape)} by window=(rows, columns), e.g. "
            f"window=((0, 3), (0, 4)), give fewer images, or raise max_terms."
        )
        self.left_out = (
            f"Not shown: {title}, with {count:,} products where max_terms allows {limit:,}."
        )


#: Which axes the window's rows, columns and channels are, by the number of axes: of images
#: (N,H,W,C), sequences (N,L,C) and matrices.
_AXES: dict[int, tuple[int | None, ...]] = {4: (1, 2, 3), 3: (None, 1, 2), 2: (0, 1, None)}
_KINDS = ("rows", "columns", "channels")


@dataclass
class Limits:
    """Which part of each result is shown.

    Args:
        window: (rows, columns) or (rows, columns, channels) of the result, each (first, last + 1),
            a slice, or None for all; default all of it.
        max_terms: how many products a record may show.
        unseen: the axes of length 1 that images and kernels have only inside, by role; messages
            leave them out.

    Raises:
        ArgumentError: the window is no such thing.

    >>> Limits(((0, 2), (1, 4))).ranges
    ((0, 2), (1, 4), None)
    """

    window: Any = None
    max_terms: int = MAX_TERMS
    #: What was not shown because it is too large, in sentences.
    left_out: list[str] = field(default_factory=list)
    unseen: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ranges = _ranges(self.window)
        check_whole("explain", "max_terms", self.max_terms)

    def block(
        self, title: str, result: Panel, terms_each: int, channels: Sequence[int] = ()
    ) -> tuple[slice, ...] | None:
        """Return the block of the result to show; None stands for all of it.

        Of images, sequences and matrices that go in or out, the window's rows, columns and
        channels are shown. Other results are shown whole, but for the axes that are said to be
        channels.

        Args:
            title: what is explained, for messages.
            result: the panel of the whole result.
            terms_each: how many terms each of its elements has.
            channels: axes of a result that is no image to which the window's channels belong.

        Raises:
            TooLargeError: there are too many terms, or the window lies outside.
        """
        wanted: dict[int, int] = {}
        if result.role in ("input", "output"):
            axes = _AXES.get(len(result.shape), ())
            wanted = {axis: kind for kind, axis in enumerate(axes) if axis is not None}
        else:
            wanted = dict.fromkeys(channels, 2)
        wanted = {axis: kind for axis, kind in wanted.items() if self.ranges[kind] is not None}
        block = None
        if wanted:
            block = tuple(
                self._along(title, result, axis, wanted.get(axis))
                for axis in range(len(result.shape))
            )
        sizes = result.values.shape if block is None else [s.stop - s.start for s in block]
        count = terms_each * math.prod(sizes)
        if count > self.max_terms:
            raise TooLargeError(title, result.name, self.shape(result), count, self.max_terms)
        return block

    def shape(self, result: Panel) -> tuple[int, ...]:
        """Return the shape of an array as the reader knows it."""
        unseen = self.unseen.get(result.role, ()) if len(result.shape) == 4 else ()
        return tuple(n for axis, n in enumerate(result.shape) if axis not in unseen)

    def _along(self, title: str, result: Panel, axis: int, kind: int | None) -> slice:
        size, shift = result.shape[axis], -result.origin[axis]
        wanted = None if kind is None else self.ranges[kind]
        if kind is None or wanted is None:
            # Without a border, that belongs to the edges which the window may not reach.
            return slice(shift, shift + size)
        first, last = wanted
        if result.name != "y":
            # The window is counted in y; another array may be smaller, then its end is shown.
            first = min(first, max(0, size - (last - first)))
        last = min(first + wanted[1] - wanted[0], size)
        if first >= last:
            raise ArgumentError(
                f"explain: {title}: the window's {_KINDS[kind]} {wanted[0]} to {wanted[1] - 1} lie "
                f"outside {result.name} {self.shape(result)}; fitting: 0 to {size - 1}."
            )
        return slice(first + shift, last + shift)

    def unless_too_large(self, make: Callable[[], T]) -> Iterator[T]:
        """Yield what a function makes; note it as left out if that has too many products."""
        try:
            yield make()
        except TooLargeError as error:
            self.left_out.append(error.left_out)

    def notes(self, result: Panel, block: Sequence[slice] | None) -> list[str]:
        """Return the sentence that says which part is shown."""
        if block is None:
            return []
        names = {2: ("row", "column"), 3: ("sample", "column", "channel")}.get(
            len(block), ("image", "row", "column", "channel")
        )
        if result.role == "kernel":
            names = ("row", "column", "channel", "filter")
        parts = [
            f"{name} {s.start + o}"
            if s.stop - s.start == 1
            else f"{name}s {s.start + o} to {s.stop + o - 1}"
            for name, s, o, n in zip(
                names[-len(block) :], block, result.origin, result.shape, strict=True
            )
            if s.stop - s.start < n
        ]
        if not parts:
            return []
        shape = " x ".join(map(str, self.shape(result)))
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
