"""One record of an operation's arithmetic: which numbers meet in each number of the result.

Text, figure, animation and page are readings of it. A backward explanation is the same record with
its indices exchanged.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.errors import ArgumentError
from minicnn.explain.records.panel import Panel

__all__ = ["Product", "Record", "make_record"]

#: What a record's products are made from: index in the result, indices in the operands, share.
Product = tuple[tuple[int, ...], tuple[tuple[int, ...], ...], float]
Index = tuple[int, ...]

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Record:
    """What an operation does, number by number.

    Each number of the result is made of terms, each term of one element of some operands:

        "sum"        term + term + ..., a term being the product of its elements (and its share)
        "max"        the largest element; those outside the array do not count
        "mean"       the sum of the elements divided by their number, those outside not counted
        "formula"    `template` with {0}, {1}, ... standing for the elements of the one term

    Args:
        title: what is done, e.g. `"conv2d"`.
        formula: the definition in letters.
        notes: sentences with the numbers of this call.
        operands: the arrays that go in.
        result: the array that comes out.
        form: `"sum"`, `"max"`, `"mean"` or `"formula"`.
        factors: which operand each element of a term comes from.
        terms: for each element of the result's block, flat indices (terms, factors) of elements.
        shares: for each element of the result's block, the share of each term; None for ones.
        bias: the operand that is added last, and for each element of the block its flat index.
        template: for the form `"formula"`.
        choice: how this record differs from the others of its explanation, e.g.
            `{"direction": "forward"}`.
    """

    title: str
    formula: str
    notes: tuple[str, ...]
    operands: tuple[Panel, ...]
    result: Panel
    form: str
    factors: tuple[int, ...]
    terms: tuple[Integers, ...]
    shares: tuple[NDArray[Any], ...] | None = None
    bias: tuple[int, Integers] | None = None
    template: str = ""
    choice: dict[str, str] = field(default_factory=dict)

    @property
    def steps(self) -> list[int]:
        """The elements of the result in the order in which they are shown, matrix by matrix."""
        flat = self.result.planes().ravel()
        return [int(cell) for cell in flat[~self.result.outside_all[flat]]]

    def cell(self, index: Sequence[int] | None) -> int:
        """Return the flat index of an element of the result, the first one for None.

        Raises:
            ArgumentError: it is not shown.
        """
        if index is None:
            return self.steps[0]
        try:
            flat = self.result.flat([operator.index(i) for i in index])
        except TypeError:
            raise ArgumentError(
                f"explain: cell={index!r} must be an index of {self.result.name}, e.g. "
                f"{self.result.index(self.steps[0])}."
            ) from None
        if flat is None or self.result.is_outside(flat):
            first, last = self.result.label(self.steps[0]), self.result.label(self.steps[-1])
            raise ArgumentError(
                f"explain: {self.result.name}{list(index)} is not shown; shown are {first} to "
                f"{last}{_as_many(index, self.result.shape)}."
            )
        return flat

    def elements(self, cell: int) -> list[list[tuple[Panel, int]]]:
        """Return the terms of an element: lists of (operand, flat index)."""
        return [
            [(self.operands[o], int(i)) for o, i in zip(self.factors, term, strict=True)]
            for term in self.terms[cell]
        ]

    def counted(self, cell: int) -> list[int]:
        """Return which terms of an element lie inside their arrays."""
        terms = self.terms[cell]
        outside = np.zeros(len(terms), bool)
        for factor, o in enumerate(self.factors):
            outside |= self.operands[o].outside_all[terms[:, factor]]
        return [int(t) for t in np.flatnonzero(~outside)]

    def share(self, cell: int, term: int) -> float:
        """Return with which share a term is counted."""
        return 1.0 if self.shares is None else float(self.shares[cell][term])

    def filled(self) -> Record:
        """Return a record of the form `"sum"` with the numbers that its sums come to."""
        panel = self.result
        values = np.zeros(panel.values.size, panel.values.dtype)
        flat = [operand.values.ravel() for operand in self.operands]
        with np.errstate(over="ignore", invalid="ignore"):
            for cell, terms in enumerate(self.terms):
                numbers = np.ones(len(terms)) if self.shares is None else self.shares[cell]
                for factor, o in enumerate(self.factors):
                    numbers = numbers * flat[o][terms[:, factor]]
                values[cell] = _total(numbers) + (self.bias_value(cell) if self.bias else 0.0)
        return replace(self, result=replace(panel, values=values.reshape(panel.values.shape)))

    def bias_value(self, cell: int) -> float:
        """Return the bias of an element of the result."""
        assert self.bias is not None
        operand, cells = self.bias
        return float(self.operands[operand].values.flat[cells[cell]])

    def uses(self, operand: int, flat: int) -> list[tuple[int, int]]:
        """Return where an element of an operand is used: (element of the result, term)."""
        factors = [f for f, o in enumerate(self.factors) if o == operand]
        found = [
            (cell, number)
            for cell, terms in enumerate(self.terms)
            for number, term in enumerate(terms)
            if any(term[f] == flat for f in factors)
        ]
        if self.bias is not None and self.bias[0] == operand:
            found += [(cell, -1) for cell, i in enumerate(self.bias[1]) if i == flat]
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the record as the page reads it."""
        return {
            "title": self.title,
            "formula": self.formula,
            "notes": list(self.notes),
            "operands": [panel.to_json() for panel in self.operands],
            "result": self.result.to_json(),
            "form": self.form,
            "template": self.template,
            "factors": list(self.factors),
            "terms": [term.ravel().tolist() for term in self.terms],
            "shares": None if self.shares is None else [s.tolist() for s in self.shares],
            "bias": None
            if self.bias is None
            else {"operand": self.bias[0], "cells": self.bias[1].tolist()},
            "steps": self.steps,
            "choice": dict(self.choice),
        }


def _as_many(index: Sequence[int], shape: Sequence[int]) -> str:
    if len(index) == len(shape):
        return ""
    return f", an index of {len(shape)} numbers, {len(index)} came"


def _total(numbers: NDArray[Any]) -> float:
    """Return a sum rounded once; as floating point has it where that is infinite or NaN."""
    try:
        return math.fsum(numbers)
    except (OverflowError, ValueError):
        return float(np.sum(numbers))


def make_record(
    title: str,
    formula: str,
    notes: Iterable[str],
    operands: Sequence[Panel],
    result: Panel,
    products: Iterable[Product],
    *,
    form: str = "sum",
    factors: Sequence[int] | None = None,
    bias: tuple[int, int] | None = None,
    template: str = "",
    window: Sequence[slice] | None = None,
    choice: dict[str, str] | None = None,
) -> Record:
    """Return the record of an operation whose products are given one by one.

    Args:
        title: see `Record`; likewise `formula`, `notes`, `form`, `template`, `choice`.
        formula: the definition in letters.
        notes: sentences with the numbers of this call.
        operands: whole arrays.
        result: whole array.
        products: (index in the result's block, indices in the operands' blocks, share).
        form: how the products become a number.
        factors: the operands that `products` has indices of, default all but the bias.
        bias: number of the operand that is added, and the axis of the result that it runs along.
        template: the formula of the form `"formula"`.
        window: the block of the result that is shown, of each operand only what takes part in it;
            default all of them.
        choice: how this record differs from the others of its explanation.
    """
    kept = [o for o in range(len(operands)) if bias is None or o != bias[0]]
    used = kept if factors is None else list(factors)
    terms: dict[Index, list[tuple[Index, ...]]] = {}
    shares: dict[Index, list[float]] = {}
    for at, elements, share in products:
        terms.setdefault(at, []).append(elements)
        shares.setdefault(at, []).append(share)
    panels, shown = list(operands), result
    first = np.zeros(result.values.ndim, np.int64)
    shifts = {o: np.zeros(p.values.ndim, np.int64) for o, p in enumerate(panels)}
    if window is not None:
        first = np.array([s.start for s in window], np.int64)
        shown = result.cut(first.tolist(), [s.stop - 1 for s in window])
        for o, (low, high) in _taking_part(used, terms).items():
            shifts[o], panels[o] = low, operands[o].cut(low.tolist(), high.tolist())
        if bias is not None:
            axis = bias[1] % result.values.ndim
            end = first[axis] + shown.values.shape[axis] - 1
            panels[bias[0]] = operands[bias[0]].cut([first[axis]], [end])
    cells = [tuple(int(i) for i in c + first) for c in np.ndindex(*shown.values.shape)]
    all_one = all(s == 1.0 for each in shares.values() for s in each)
    return Record(
        title,
        formula,
        tuple(notes),
        tuple(panels),
        shown,
        form,
        tuple(used),
        tuple(_flat_terms(terms.get(c, []), used, panels, shifts) for c in cells),
        None if all_one else tuple(np.array(shares.get(c, [])) for c in cells),
        None if bias is None else (bias[0], _bias_cells(shown, bias[1])),
        template,
        dict(choice or {}),
    )


def _taking_part(
    used: Sequence[int], terms: dict[Index, list[tuple[Index, ...]]]
) -> dict[int, tuple[Integers, Integers]]:
    """Return for each operand the first and the last index, axis by axis, that any term has."""
    found = {}
    for o in set(used):
        places = [p for p, operand in enumerate(used) if operand == o]
        every = np.array([e[p] for each in terms.values() for e in each for p in places], np.int64)
        if every.size:
            found[o] = (every.min(axis=0), every.max(axis=0))
    return found


def _flat_terms(
    terms: list[tuple[Index, ...]],
    used: Sequence[int],
    panels: Sequence[Panel],
    shifts: dict[int, Integers],
) -> Integers:
    """Return the terms of one element as flat indices in the operands' blocks (terms, factors)."""
    if not terms:
        return np.zeros((0, len(used)), np.int64)
    columns = [
        (np.array([term[place] for term in terms], np.int64) - shifts[o]) @ _strides(panels[o])
        for place, o in enumerate(used)
    ]
    return np.stack(columns, axis=1)


def _strides(panel: Panel) -> Integers:
    """Return by how much the flat index grows along each axis."""
    shape = panel.values.shape
    return np.array([math.prod(shape[a + 1 :]) for a in range(len(shape))], np.int64)


def _bias_cells(result: Panel, axis: int) -> Integers:
    """Return for each element of the result its place along an axis."""
    shape = result.values.shape
    return np.indices(shape)[axis].ravel().astype(np.int64)
