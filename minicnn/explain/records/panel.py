"""One array in the picture: its numbers, what they are called, and which lie outside the array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ROLES", "Panel", "matrix_axes"]

#: What an array is in its operation, or the gradient of: each has one colour in every figure,
#: animation and page, forwards and backwards.
ROLES = ("input", "kernel", "output", "other")


def matrix_axes(dimensions: int) -> tuple[int | None, int]:
    """Return which axes are drawn as rows and columns: of images (N,H,W,C), H and W.

    >>> matrix_axes(4), matrix_axes(2), matrix_axes(1)
    ((1, 2), (0, 1), (None, 0))
    """
    if dimensions >= 4:
        return dimensions - 3, dimensions - 2
    if dimensions == 3:
        return None, 1
    return (0, 1) if dimensions == 2 else (None, 0)


@dataclass(frozen=True)
class Panel:
    """An array as it is shown: a block of it, with what lies around it if that takes part.

    The block is cut into matrices, one for each index of the axes that are neither rows nor
    columns. Elements whose index falls outside the array are padding, or cropped.

    Args:
        name: what formulas call it, e.g. `"x"`.
        role: one of `ROLES`.
        values: the numbers of the block, in the library's order of axes.
        shape: the shape of the array itself.
        origin: index in the array of the block's first element; negative before its beginning.
        axes: the axes drawn as rows and columns; None for rows draws one row.
        outside: what elements outside the array are called: `"padding"` or `"cropped"`.
        mirror: for a second view of an operand (the turned kernel): the operand's number and, for
            each element here, the flat index of its twin there.
    """

    name: str
    role: str
    values: NDArray[Any]
    shape: tuple[int, ...]
    origin: tuple[int, ...]
    axes: tuple[int | None, int]
    outside: str = ""
    mirror: tuple[int, NDArray[Any]] | None = None

    @classmethod
    def of(
        cls,
        name: str,
        role: str,
        array: Any,
        axes: tuple[int | None, int] | None = None,
        padding: Sequence[tuple[int, int]] = (),
        outside: str = "",
        fill: float = 0.0,
    ) -> Panel:
        """Return the panel of a whole array, with so many elements around it on each axis.

        >>> p = Panel.of("x", "input", np.ones((2, 3)), padding=((1, 0), (0, 2)), outside="padding")
        >>> p.values.shape, p.origin, p.label(0), p.is_outside(0)
        ((3, 5), (-1, 0), 'x[-1,0]', True)
        """
        array = np.asarray(array)
        values, origin = array, (0,) * array.ndim
        if padding:
            values = np.pad(array, padding, constant_values=fill)
            origin = tuple(-before for before, _ in padding)
        shown = matrix_axes(array.ndim) if axes is None else axes
        return cls(name, role, values, array.shape, origin, shown, outside)

    @property
    def is_kernel(self) -> bool:
        """Whether rows and columns are the first axes, before channels and filters."""
        return self.axes == (0, 1) and self.values.ndim == 4

    def index(self, flat: int) -> tuple[int, ...]:
        """Return the index in the array of an element of the block."""
        inside = np.unravel_index(flat, self.values.shape)
        return tuple(int(i) + o for i, o in zip(inside, self.origin, strict=True))

    def flat(self, index: Sequence[int]) -> int | None:
        """Return where an element of the array stands in the block; None if it is not shown."""
        if len(index) != self.values.ndim:
            return None
        at = [i - o for i, o in zip(index, self.origin, strict=True)]
        if any(not 0 <= i < n for i, n in zip(at, self.values.shape, strict=True)):
            return None
        return int(np.ravel_multi_index(at, self.values.shape))

    def label(self, flat: int) -> str:
        """Return the name of an element, e.g. `x[0,1,2,0]`."""
        return f"{self.name}[{','.join(map(str, self.index(flat)))}]"

    @cached_property
    def outside_all(self) -> NDArray[np.bool_]:
        """Which elements of the block lie outside the array, flat."""
        found = np.zeros(self.values.shape, bool)
        places: tuple[NDArray[Any], ...] = np.indices(self.values.shape, sparse=True)
        for place, first, n in zip(places, self.origin, self.shape, strict=True):
            found |= (place + first < 0) | (place + first >= n)
        return found.ravel()

    def is_outside(self, flat: int) -> bool:
        """Return whether an element of the block lies outside the array."""
        return bool(self.outside_all[flat])

    def plane(self, flat: int) -> tuple[int, ...]:
        """Return in which of the matrices an element stands: its index without row and column."""
        return tuple(i for axis, i in enumerate(self.index(flat)) if axis not in self.axes)

    def plane_label(self, flat: int) -> str:
        """Return the name of the matrix in which an element stands, e.g. `x[0,:,:,2]`."""
        index = self.index(flat)
        parts = [":" if axis in self.axes else str(i) for axis, i in enumerate(index)]
        return f"{self.name}[{','.join(parts)}]" if parts.count(":") < len(parts) else self.name

    def planes(self) -> NDArray[Any]:
        """Return the flat indices of the block as matrices: (planes, rows, columns).

        Images come one after the other with their channels, kernels filter by filter.
        """
        numbers = np.arange(self.values.size).reshape(self.values.shape)
        rows, columns = self.axes
        if rows is None:
            return np.moveaxis(numbers, columns, -1).reshape(-1, 1, self.values.shape[columns])
        others = [a for a in range(numbers.ndim) if a not in self.axes]
        order = [*(others[::-1] if self.is_kernel else others), rows, columns]
        moved = numbers.transpose(order)
        return moved.reshape(-1, *moved.shape[-2:])

    def cut(self, first: Sequence[int], last: Sequence[int]) -> Panel:
        """Return the panel of a smaller block: from `first` to `last`, counted in this block."""
        where = tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))
        origin = tuple(o + int(a) for o, a in zip(self.origin, first, strict=True))
        return replace(self, values=self.values[where], origin=origin)

    def without(self, dropped: Sequence[int], axes: tuple[int | None, int] | None = None) -> Panel:
        """Return the same panel with some axes of length 1 left out.

        Args:
            dropped: the axes; element for element the order stays.
            axes: what are rows and columns then, default by `matrix_axes`.
        """
        kept = [a for a in range(self.values.ndim) if a not in dropped]
        return replace(
            self,
            values=self.values.reshape([self.values.shape[a] for a in kept]),
            shape=tuple(self.shape[a] for a in kept),
            origin=tuple(self.origin[a] for a in kept),
            axes=matrix_axes(len(kept)) if axes is None else axes,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the panel as the page reads it."""
        return {
            "name": self.name,
            "role": self.role,
            "shape": list(self.shape),
            "block": list(self.values.shape),
            "origin": list(self.origin),
            "axes": list(self.axes),
            "outside": self.outside,
            "values": [_json_number(v) for v in self.values.ravel().tolist()],
            "mirror": None
            if self.mirror is None
            else {"operand": self.mirror[0], "cells": self.mirror[1].ravel().tolist()},
        }


def _json_number(value: float) -> float | str:
    """Return a number as JSON can hold it: infinities and NaN as words."""
    if isinstance(value, bool | int):
        return int(value)
    if np.isfinite(value):
        return int(value) if value == int(value) and abs(value) < 1e15 else value
    return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
