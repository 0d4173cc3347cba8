"""A record as text: each number of the result as the sum that it is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from minicnn.explain.records.record import Record

__all__ = ["expression", "factor", "line", "number", "part_lines", "parts",
           "record_text", "source", "terms"]  # fmt: skip

#: How many lines of numbers a whole text shows before it says how to get the others.
LINES = 40


def number(value: Any) -> str:
    """Return a number with up to six digits; whole ones without a point.

    >>> number(2.0), number(-0.1234567), number(np.float32(0.1)), number(-np.inf)
    ('2', '-0.123457', '0.1', '-inf')
    """
    value = float(value)
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.6g}"


def factor(value: Any) -> str:
    """Return a number as a factor: a negative one in brackets."""
    text = number(value)
    return f"({text})" if text.startswith("-") else text


def _is_rounded(record: Record, cell: int) -> bool:
    """Return whether a number that the sum shows has more digits than are shown."""
    shown: list[Any] = [record.result.values.flat[cell]]
    shown += [panel.values.flat[i] for term in record.elements(cell) for panel, i in term]
    shown += [] if record.shares is None else list(record.shares[cell])
    if record.bias is not None:
        operand, cells = record.bias
        shown.append(record.operands[operand].values.flat[cells[cell]])
    return _any_rounded(shown)


def _any_rounded(shown: Iterable[Any]) -> bool:
    return any(np.isfinite(v) and type(v)(float(number(v))) != v for v in shown)


def terms(record: Record, cell: int) -> list[str]:
    """Return each term of an element as a product, e.g. `2*(-1)`."""
    texts = []
    for t, elements in enumerate(record.elements(cell)):
        factors = [factor(panel.values.flat[i]) for panel, i in elements]
        share = record.share(cell, t)
        texts.append("*".join([*factors, *([number(share)] if share != 1 else [])]))
    return texts


#: A negative number in brackets that is an argument of its own: max((-2), 0).
_ONLY_ARGUMENT = re.compile(r"(\b[a-z]+\()\((-[^()]*)\)([,)])")


def _bare(text: str) -> str:
    """Return a number without the brackets that it has between other signs."""
    return text[1:-1] if text.startswith("(") else text


def _padding_products(record: Record, cell: int, inside: list[int]) -> str:
    """Return what the products with padding come to: 0, unless they meet inf or nan."""
    elements = record.elements(cell)
    others = (elements[t] for t in range(len(elements)) if t not in set(inside))
    finite = all(np.isfinite(p.values.flat[i]) for term in others for p, i in term)
    return "0" if finite else "nan"


def expression(record: Record, cell: int) -> str:
    """Return the right side of an element's equation, without what it comes to."""
    if record.form == "formula":
        elements = record.elements(cell)[0]
        text = record.template.format(*(factor(panel.values.flat[i]) for panel, i in elements))
        return _ONLY_ARGUMENT.sub(r"\1\2\3", text)
    inside, texts = record.counted(cell), terms(record, cell)
    left_out = len(texts) - len(inside)
    summands = [texts[t] for t in inside]
    if record.form == "max":
        summands = [_bare(s) for s in summands]
    if record.form in ("max", "mean"):
        padding = f" [{left_out} on the padding do not count]" if left_out else ""
        if record.form == "max":
            return (f"max({', '.join(summands)})" if summands else "-inf") + padding
        return (f"({' + '.join(summands)}) / {len(summands)}" if summands else "0") + padding
    text = " + ".join(summands) or "0"
    if left_out:
        what = "product" if left_out == 1 else "products"
        text += f" [+ {left_out} {what} with padding, {_padding_products(record, cell, inside)}]"
    if record.bias is not None:
        text += f" + bias {factor(record.bias_value(cell))}"
    return text


def line(record: Record, cell: int) -> str:
    """Return an element of the result as an equation, e.g. `y[0,1,2,0] = 2*1 + 0*(-1) = 2`."""
    equal = "≈" if _is_rounded(record, cell) else "="
    value = number(record.result.values.flat[cell])
    right = expression(record, cell) if (moved := source(record, cell)) is None else moved
    if right == value:  # a sum of nothing
        return f"{record.result.label(cell)} {equal} {value}"
    return f"{record.result.label(cell)} = {right} {equal} {value}"


def source(record: Record, cell: int) -> str | None:
    """Return the name of the one element that an element of the result is, if it is a copy."""
    is_copy = record.form == "sum" and len(record.factors) == 1 and record.bias is None
    if not is_copy or len(record.terms[cell]) != 1 or record.share(cell, 0) != 1:
        return None
    panel, flat = record.elements(cell)[0][0]
    return panel.label(flat)


def parts(record: Record, cell: int) -> list[tuple[str, list[int], float]]:
    """Return the sum of each matrix of the first operand: (its name, terms, what they come to).

    For an image of three channels these are the three partial sums of the slides.
    """
    if record.form != "sum":
        return []
    elements = record.elements(cell)
    found: dict[str, list[int]] = {}
    for t in record.counted(cell):
        panel, flat = elements[t][0]
        found.setdefault(panel.plane_label(flat), []).append(t)
    return [
        (
            name,
            terms,
            sum(
                math.prod(float(p.values.flat[i]) for p, i in elements[t]) * record.share(cell, t)
                for t in terms
            ),
        )
        for name, terms in found.items()
    ]


def part_lines(record: Record, cell: int) -> list[str]:
    """Return the partial sums as equations, none if there is only one."""
    sums, texts, elements = parts(record, cell), terms(record, cell), record.elements(cell)
    lines = []
    for name, inside, value in sums if len(sums) > 1 else []:
        shown = [value, *(p.values.flat[i] for t in inside for p, i in elements[t])]
        shown += [record.share(cell, t) for t in inside]
        equal = "≈" if _any_rounded(shown) else "="
        lines.append(f"{name}: {' + '.join(texts[t] for t in inside)} {equal} {number(value)}")
    return lines


def record_text(record: Record, cells: Iterable[int] | None = None) -> str:
    """Return title, definition, sentences and equations of a record.

    Args:
        record: what to tell.
        cells: flat indices in the result's block, default all up to a limit, which is said.
    """
    lines = [record.title, f"  {record.formula}", *(f"  {note}" for note in record.notes), ""]
    chosen = record.steps if cells is None else list(cells)
    for cell in chosen[: LINES if cells is None else None]:
        lines.append(line(record, cell))
        lines += [f"    {part}" for part in part_lines(record, cell)]
    if len(chosen) > LINES and cells is None:
        lines.append(
            f"... and {len(chosen) - LINES} more; .text((...)) of an index tells one of them."
        )
    return "\n".join(lines)
