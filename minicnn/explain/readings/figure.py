"""A record as a figure for print: what meets in one element, or the summands of a whole result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minicnn.errors import ArgumentError
from minicnn.explain.readings.colours import LIGHT
from minicnn.explain.readings.layout import (
    EQUATION,
    GAP,
    INDEX,
    INDEX_HEIGHT,
    LABEL,
    MARGIN,
    NOTE,
    NUMBER,
    TEXT,
    TITLE,
    Layout,
    Line,
    Matrix,
    check_size,
    gather_layout,
    shown_numbers,
    strip_layout,
    text_block,
)
from minicnn.explain.readings.lettering import text_width
from minicnn.explain.readings.marks import Marks, check_reading, default_cell, gathered, summands
from minicnn.explain.readings.text import line, part_lines
from minicnn.explain.records.limits import MAX_NUMBERS
from minicnn.explain.records.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

#: Height of a cell in inches.
CELL = 0.36


def draw(
    record: Record, cell: int | None = None, reading: str = "gather", max_numbers: int = MAX_NUMBERS
) -> Figure:
    """Return a figure of what meets in an element of the result, or of all summands.

    Args:
        record: what is drawn.
        cell: flat index in the result's block of the element in question; default the one that
            shows most, see `default_cell`. It has no meaning for a strip of summands.
        reading: `"gather"` shows one element and its terms; `"scatter"` what each element of the
            first operand lays into the result, as the slides show the transposed convolution.
        max_numbers: how many numbers the figure may show.

    Raises:
        ArgumentError: the reading does not exist for this record, a cell is given for a strip, or
            there are too many numbers.

    >>> import minicnn as mc
    >>> e = mc.explain(mc.cross_correlate2d, [[0, 1, 2], [3, 4, 5]], [[0, 1], [2, 3]])
    >>> figure = draw(e.record(), cell=1)
    >>> [t.get_text() for t in figure.axes[0].texts if t.get_text().startswith("y[0,1]")]
    ['y[0,1] = 1*0 + 2*1 + 4*2 + 5*3 = 25']
    """
    if check_reading(reading) == "scatter":
        return _draw_strip(record, cell, max_numbers)
    check_size(record, shown_numbers(record), max_numbers, "a figure")
    cell = default_cell(record) if cell is None else cell
    marks = gathered(record, cell)
    below = [(line(record, cell), EQUATION, "text")]
    below += [(text, NOTE, "note") for text in part_lines(record, cell)]
    figure, axes, matrices = _page(record, gather_layout(record), below)
    for matrix in matrices:
        lit = marks.lit.get(matrix.where, frozenset())
        _draw_matrix(axes, matrix, lit)
        _draw_outlines(axes, matrix, lit, marks)
    return figure


def _draw_strip(record: Record, cell: int | None, max_numbers: int) -> Figure:
    """Return the operands and, below them, the summands joined to the result."""
    if cell is not None:
        raise ArgumentError(
            f"explain: cell={cell} has no place in reading='scatter', whose strip shows the whole "
            f"{record.result.name}; leave it out, or take reading='gather'."
        )
    parts = summands(record)
    pictures = len(parts) + (record.bias is not None)
    count = shown_numbers(record) + pictures * record.result.values.size
    check_size(record, count, max_numbers, f"the strip of {pictures} summands")
    figure, axes, matrices = _page(record, strip_layout(record, parts), [_told(record)])
    for matrix in matrices:
        there = {i for i, text in enumerate(matrix.texts) if text and matrix.part is not None}
        _draw_matrix(axes, matrix, frozenset(there))
    return figure


def _told(record: Record) -> tuple[str, float, str]:
    """Return the sentence below a strip."""
    first, second = (record.operands[o].name for o in record.factors)
    text = (
        f"Each element of {first} multiplies {second} and lays the copy into {record.result.name}; "
        f"where copies lie on each other, they add up."
    )
    return text, EQUATION, "text"


def _page(
    record: Record, layout: Layout, below: Sequence[tuple[str, float, str]]
) -> tuple[Figure, Axes, tuple[Matrix, ...]]:
    """Return a figure with all text, its axes in heights of a cell, and the placed matrices."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = max(layout.width, TEXT)
    header = [(record.title, TITLE, "title"), (record.formula, NOTE, "note")]
    lines, y = text_block(header, width, MARGIN, MARGIN)
    placed = layout.moved(MARGIN, y + GAP / 3)
    y += GAP / 3 + layout.height + GAP
    notes = [(note, NOTE, "note") for note in record.notes]
    texts, y = text_block(below, width, MARGIN, y)
    told, y = text_block(notes, width, MARGIN, y + GAP / 3)
    wide, high = width + 2 * MARGIN, y + MARGIN
    figure = Figure((wide * CELL, high * CELL), dpi=110, facecolor=LIGHT.paper)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set(xlim=(0, wide), ylim=(high, 0))
    for text in (*lines, *texts, *told, *placed.signs):
        _write(axes, text)
    return figure, axes, placed.matrices


def _write(axes: Axes, text: Line) -> None:
    """Write a line; what stands in it is never read as a formula."""
    sign = text.kind == "sign"
    axes.text(
        text.x,
        text.y,
        text.text,
        fontsize=text.size * CELL * 72,
        color=LIGHT.muted if text.kind in ("note", "index", "outside") else LIGHT.text,
        weight="bold" if text.kind == "title" else "normal",
        ha="center" if sign else "right" if text.kind in ("index", "outside", "number") else "left",
        va="center_baseline" if text.kind in ("number", "outside", "index", "sign") else "top",
        family="DejaVu Sans",
        parse_math=False,
    )


def _draw_matrix(axes: Axes, matrix: Matrix, lit: frozenset[int]) -> None:
    """Draw a matrix with its name, its indices and its cells."""
    longest = max((text_width(t, NUMBER) for t in matrix.texts), default=0.0)
    for row, column in np.ndindex(*matrix.cells.shape):
        flat = int(matrix.cells[row, column])
        _draw_cell(axes, matrix, row, column, flat, flat in lit)
        text = matrix.texts[flat]
        if text:
            x, y = matrix.corner(row, column)
            kind = "outside" if matrix.panel.is_outside(flat) else "number"
            _write(axes, Line(text, x + (matrix.cell + longest) / 2, y + 0.5, NUMBER, kind))
    if matrix.inside is not None:
        _frame(axes, matrix.inside, LIGHT.muted, 0.9, "array")
    for column, name in enumerate(matrix.columns):
        x = matrix.x + (column + 0.5) * matrix.cell + text_width(name, INDEX) / 2
        _write(axes, Line(name, x, matrix.y - INDEX_HEIGHT / 2, INDEX, "index"))
    for row, name in enumerate(matrix.rows):
        _write(axes, Line(name, matrix.x - 0.1, matrix.y + row + 0.5, INDEX, "index"))
    y = matrix.y - INDEX_HEIGHT - 1.4 * LABEL
    axes.text(
        matrix.x,
        y,
        matrix.label,
        fontsize=LABEL * CELL * 72,
        color=LIGHT.role(matrix.named or matrix.panel.role).strong,
        weight="bold",
        va="top",
        family="DejaVu Sans",
        parse_math=False,
    )


def _draw_cell(axes: Axes, matrix: Matrix, row: int, column: int, flat: int, is_lit: bool) -> None:
    from matplotlib.patches import Rectangle

    shades = LIGHT.role(matrix.panel.role)
    outside = matrix.panel.is_outside(flat)
    blank = matrix.part is not None and not matrix.texts[flat]
    face = shades.fill if is_lit else LIGHT.paper if blank else shades.pale
    if outside:
        face = shades.pale if is_lit else LIGHT.padding
        strokes = shades.fill if is_lit else LIGHT.hatch
        axes.add_artist(
            Rectangle(
                matrix.corner(row, column),
                matrix.cell,
                1.0,
                facecolor=face,
                edgecolor=strokes,
                hatch="////",
                linewidth=0,
                zorder=1,
            )
        )
    name = "result" if matrix.where is None else f"operand{matrix.where}"
    name = name if matrix.part is None else f"summand{matrix.part}"
    axes.add_artist(
        Rectangle(
            matrix.corner(row, column),
            matrix.cell,
            1.0,
            facecolor="none" if outside else face,
            edgecolor=LIGHT.line,
            linestyle=(0, (2, 2)) if outside else "solid",
            linewidth=0.6,
            zorder=1.1,
            gid=f"{name}-{flat}{'-lit' if is_lit else ''}",
        )
    )


def _draw_outlines(axes: Axes, matrix: Matrix, lit: frozenset[int], marks: Marks) -> None:
    """Outline what takes part in a matrix, and the element that all is about."""
    bounds = matrix.bounds(lit)
    if bounds is not None and matrix.where is not None:
        _frame(axes, bounds, LIGHT.role(matrix.panel.role).strong, 1.8, "field")
    for where, flat in marks.chosen:
        around = matrix.bounds(frozenset({flat})) if where == matrix.where else None
        if around is not None:
            _frame(axes, around, LIGHT.accent, 2.4, "chosen")


def _frame(
    axes: Axes, bounds: tuple[float, float, float, float], colour: str, width: float, name: str
) -> None:
    from matplotlib.patches import Rectangle

    x, y, wide, high = bounds
    axes.add_artist(
        Rectangle(
            (x, y), wide, high, facecolor="none", edgecolor=colour, lw=width, zorder=2, gid=name
        )
    )
