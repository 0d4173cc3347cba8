"""What is lit in a picture: gathered, the terms of a result; scattered, the copy of the kernel.

Both are the same record. Scattering inverts its terms: instead of asking from which products an
element of the result comes, it asks where the products of an element go.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minicnn.errors import ArgumentError, check_choice
from minicnn.explain.readings.text import factor, number
from minicnn.explain.records.record import Record

__all__ = ["READINGS", "Marks", "Summand", "check_reading", "default_cell", "gathered", "summands"]

READINGS = ("gather", "scatter")

#: An operand's number, or None for the result.
Where = int | None


@dataclass(frozen=True)
class Marks:
    """The cells that take part in one step.

    Args:
        lit: for each operand, and for the result under None, flat indices of what takes part.
        chosen: (operand or None, flat index) of the cells that the step is about.
    """

    lit: dict[Where, frozenset[int]]
    chosen: frozenset[tuple[Where, int]]


@dataclass(frozen=True)
class Summand:
    """What one element of the first operand gives to the result.

    Args:
        element: its flat index in the first operand.
        values: the result's block; NaN where it gives nothing.
        text: the products as one line.
        marks: what is lit.
    """

    element: int
    values: NDArray[np.float64]
    text: str
    marks: Marks


def check_reading(reading: str) -> str:
    """Return a reading if there is such a one.

    Raises:
        ArgumentError: it is neither "gather" nor "scatter".
    """
    return check_choice("explain", "reading", reading, READINGS)


def default_cell(record: Record) -> int:
    """Return the element of the result that shows most.

    It is the first one in which the most terms count, and of these the most are not zero.
    """

    def shown(cell: int) -> tuple[int, int]:
        counted = record.counted(cell)
        elements = record.elements(cell)
        return len(counted), sum(
            all(panel.values.flat[i] for panel, i in elements[t]) for t in counted
        )

    return max(record.steps, key=shown)


def gathered(record: Record, cell: int) -> Marks:
    """Return what meets in an element of the result."""
    lit: dict[Where, set[int]] = {None: {cell}}
    for operand, elements in zip(record.factors, record.terms[cell].T, strict=True):
        lit.setdefault(operand, set()).update(int(i) for i in elements)
    if record.bias is not None:
        lit[record.bias[0]] = {int(record.bias[1][cell])}
    chosen: set[tuple[Where, int]] = {(None, cell)}
    if record.form == "max":
        chosen |= _largest(record, cell)
    return Marks(_with_mirrors(record, lit), frozenset(chosen))


def _largest(record: Record, cell: int) -> set[tuple[Where, int]]:
    """Return the element that a maximum takes: the first of the largest."""
    elements, operand = record.elements(cell), record.factors[0]
    counted = [elements[t][0] for t in record.counted(cell)]
    if not counted:
        return set()
    return {(operand, max(counted, key=lambda e: float(e[0].values.flat[e[1]]))[1])}


def _with_mirrors(record: Record, lit: dict[Where, set[int]]) -> dict[Where, frozenset[int]]:
    """Return what is lit, the second views of operands included."""
    found = {where: frozenset(cells) for where, cells in lit.items()}
    for operand, panel in enumerate(record.operands):
        if panel.mirror is not None:
            twins = panel.mirror[1].ravel()
            light = found.get(panel.mirror[0], frozenset())
            found[operand] = frozenset(i for i, twin in enumerate(twins) if int(twin) in light)
    return found


def summands(record: Record) -> list[Summand]:
    """Return what each element of the first operand lays into the result, in their order.

    Raises:
        ArgumentError: the record is not a sum of products of two operands.
    """
    if record.form != "sum" or len(record.factors) != 2:
        raise ArgumentError(
            f"explain: {record.title} cannot be read as reading='scatter': that lays scaled copies "
            f"of one operand into the result, for which it must be a sum of products of two "
            f"operands. Fitting: reading='gather'."
        )
    uses: dict[int, list[tuple[int, int, float]]] = {}
    for cell, terms in enumerate(record.terms):
        for t, (element, other) in enumerate(terms.tolist()):
            uses.setdefault(element, []).append((cell, other, record.share(cell, t)))
    panel = record.operands[record.factors[0]]
    order = [i for i in panel.planes().ravel().tolist() if not panel.is_outside(i)]
    return [_summand(record, element, uses.get(element, [])) for element in order]


def _summand(record: Record, element: int, uses: list[tuple[int, int, float]]) -> Summand:
    first, second = record.factors
    panel, copied = record.operands[first], record.operands[second]
    own = float(panel.values.flat[element])
    values = np.full(record.result.values.shape, np.nan)
    given: dict[int, list[str]] = {}
    for cell, other, share in uses:
        product = own * float(copied.values.flat[other]) * share
        values.flat[cell] = product if np.isnan(values.flat[cell]) else values.flat[cell] + product
        shares = f"*{number(share)}" if share != 1 else ""
        text = f"{factor(own)}*{factor(float(copied.values.flat[other]))}{shares}"
        given.setdefault(cell, []).append(text)
    parts = [
        f"{record.result.label(cell)}\u00a0+=\u00a0{' + '.join(texts)}"
        for cell, texts in given.items()
        if not record.result.is_outside(cell)
    ]
    name = f"{panel.label(element)} = {number(own)}"
    text = f"{name}: {'; '.join(parts)}" if parts else f"{name} enters nothing that is shown."
    lit: dict[Where, set[int]] = {
        first: {element},
        second: {other for _, other, _ in uses},
        None: set(given),
    }
    marks = Marks(_with_mirrors(record, lit), frozenset({(first, element)}))
    return Summand(element, values, text, marks)
