"""A record as an animation: one picture for each step, in which only what changed is drawn anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minicnn.errors import ArgumentError
from minicnn.explain.readings.canvas import Canvas
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
    text_block,
)
from minicnn.explain.readings.lettering import cell_texts, text_width
from minicnn.explain.readings.marks import Marks, Where, check_reading, gathered, summands
from minicnn.explain.readings.text import line
from minicnn.explain.records.limits import MAX_FRAMES, MAX_NUMBERS
from minicnn.explain.records.record import Record
from minicnn.files import replacing

__all__ = ["write_gif"]

#: Height of a cell in pixels.
CELL = 40
#: The last picture stays for so many times as long as the others.
LAST = 4


@dataclass(frozen=True)
class _Step:
    """One picture: its sentence, what is lit, and what stands in the result's cells."""

    text: str
    marks: Marks
    result: Sequence[str]


def write_gif(
    record: Record,
    path: str | Path,
    reading: str = "gather",
    milliseconds: int = 700,
    max_frames: int = MAX_FRAMES,
    max_numbers: int = MAX_NUMBERS,
) -> Path:
    """Write an animation that walks through a record, and return its path.

    Args:
        record: what is shown.
        path: of the GIF; an old one is replaced as a whole.
        reading: `"gather"` steps over the elements of the result, which appear one by one;
            `"scatter"` over those of the first operand, each of which lays a scaled copy of the
            second into the result.
        milliseconds: how long a picture stays, at least 20.
        max_frames: how many pictures there may be.
        max_numbers: how many numbers a picture may show.

    Raises:
        ArgumentError: the reading does not exist for this record, or a limit is passed.
        OutputError: the file cannot be written.

    >>> import minicnn as mc, tempfile
    >>> e = mc.explain(mc.cross_correlate2d, [[0, 1, 2], [3, 4, 5]], [[0, 1], [2, 3]])
    >>> write_gif(e.record(), Path(tempfile.mkdtemp()) / "steps.gif").name
    'steps.gif'
    """
    check_reading(reading)
    is_number = isinstance(milliseconds, int | float) and not isinstance(milliseconds, bool)
    if not is_number or not 20 <= milliseconds <= 60_000:
        raise ArgumentError(
            f"explain: milliseconds={milliseconds!r} must be between 20 and 60000, the time for "
            f"which each picture stays."
        )
    check_size(record, shown_numbers(record), max_numbers, "an animation")
    steps = _scatter_steps(record) if reading == "scatter" else _gather_steps(record)
    if len(steps) > max_frames:
        raise ArgumentError(
            f"explain: the animation of {record.title} would have {len(steps):,} pictures, more "
            f"than max_frames={max_frames:,}. Show a part by explain(..., window=(rows, columns)), "
            f"or raise max_frames."
        )
    images = [canvas.image() for canvas in _pictures(record, steps)]
    durations = [milliseconds] * (len(images) - 1) + [min(LAST * milliseconds, 60_000)]
    with replacing(path) as temporary:
        images[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=durations,
            loop=0,
            optimize=True,
        )
    return Path(path)


def _gather_steps(record: Record) -> list[_Step]:
    """Return a step for each element of the result; its numbers appear one by one."""
    texts = cell_texts(record.result.values)
    shown = [t if record.result.is_outside(i) else "" for i, t in enumerate(texts)]
    steps = []
    for cell in record.steps:
        shown = [*shown]
        shown[cell] = texts[cell]
        steps.append(_Step(line(record, cell), gathered(record, cell), shown))
    return steps


def _scatter_steps(record: Record) -> list[_Step]:
    """Return a step for each element of the first operand, and one for the whole result."""
    parts = summands(record)
    sums = [np.full(record.result.values.shape, np.nan)]
    for part in parts:
        laid = np.isfinite(part.values)
        before = np.nan_to_num(sums[-1])
        sums.append(np.where(laid, before + np.nan_to_num(part.values), sums[-1]))
    # All at once, so that each number keeps its decimals while it grows.
    texts = cell_texts(np.stack([*sums[1:], np.asarray(record.result.values, float)]))
    size = record.result.values.size
    steps = []
    for number, part in enumerate(parts):
        shown = texts[number * size : (number + 1) * size]
        blank = np.isnan(sums[number + 1]).ravel()
        shown = ["" if b else t for t, b in zip(shown, blank, strict=True)]
        steps.append(_Step(part.text, part.marks, shown))
    first, second = (record.operands[o].name for o in record.factors)
    bias = f", plus {record.operands[record.bias[0]].name}" if record.bias else ""
    told = f"{record.result.name}: all copies of {second}, each scaled by its {first}{bias}."
    everything: dict[Where, frozenset[int]] = {None: frozenset(record.steps)}
    if record.bias is not None:
        everything[record.bias[0]] = frozenset(record.bias[1].tolist())
    steps.append(_Step(told, Marks(everything, frozenset()), texts[len(parts) * size :]))
    return steps


def _pictures(record: Record, steps: Sequence[_Step]) -> Iterator[Canvas]:
    """Yield a canvas for each step."""
    layout = gather_layout(record, [step.result for step in (steps[0], steps[-1])])
    width = max(layout.width, TEXT)
    header = [(record.title, TITLE, "title"), (record.formula, NOTE, "note")]
    above, y = text_block(header, width, MARGIN, MARGIN)
    placed = layout.moved(MARGIN, y + GAP / 3)
    y += GAP / 3 + layout.height + GAP
    equations = [
        text_block(
            [(f"Step {n} of {len(steps)}", NOTE, "note"), (step.text, EQUATION, "text")],
            width,
            MARGIN,
            y,
        )
        for n, step in enumerate(steps, 1)
    ]
    y = max(end for _, end in equations)
    notes = [(note, NOTE, "note") for note in record.notes]
    told, y = text_block(notes, width, MARGIN, y + GAP / 3)
    base = Canvas(round((width + 2 * MARGIN) * CELL), round((y + MARGIN) * CELL))
    for text in (*above, *told, *placed.signs):
        _write(base, text)
    for matrix in placed.matrices:
        _draw_names(base, matrix)
        for row, column in np.ndindex(*matrix.cells.shape):
            texts = steps[0].result if matrix.where is None else matrix.texts
            _draw_cell(base, matrix, row, column, texts, False)
        _draw_array(base, matrix)
    for step, (lines, _) in zip(steps, equations, strict=True):
        yield _picture(base, placed, step, lines)


def _picture(base: Canvas, placed: Layout, step: _Step, lines: Sequence[Line]) -> Canvas:
    """Return the base with what belongs to one step."""
    canvas = base.copy()
    for text in lines:
        _write(canvas, text)
    for matrix in placed.matrices:
        lit = step.marks.lit.get(matrix.where, frozenset())
        texts = step.result if matrix.where is None else matrix.texts
        for row, column in np.ndindex(*matrix.cells.shape):
            flat = int(matrix.cells[row, column])
            if flat in lit or matrix.where is None:
                _draw_cell(canvas, matrix, row, column, texts, flat in lit)
        _draw_array(canvas, matrix)
        bounds = matrix.bounds(lit)
        if bounds is not None and (matrix.where is not None or len(lit) > 1):
            canvas.frame(_pixels(*bounds), matrix.panel.role, 3)
        for where, flat in step.marks.chosen:
            around = matrix.bounds(frozenset({flat})) if where == matrix.where else None
            if around is not None:
                canvas.frame(_pixels(*around), "accent", 5)
    return canvas


def _pixels(x: float, y: float, width: float, height: float) -> tuple[int, int, int, int]:
    """Return a box in pixels; boxes that touch each other still do."""
    left, top = round(x * CELL), round(y * CELL)
    return left, top, round((x + width) * CELL) - left, round((y + height) * CELL) - top


def _write(canvas: Canvas, text: Line) -> None:
    anchor = {"sign": "middle", "title": "title"}.get(text.kind, "left")
    y = text.y + (0 if text.kind == "sign" else 0.6 * text.size)
    pair = "note" if text.kind == "note" else "text"
    canvas.write(text.text, text.x * CELL, y * CELL, text.size * CELL, pair, anchor)


def _draw_names(canvas: Canvas, matrix: Matrix) -> None:
    """Write a matrix's name and the numbers of its rows and columns."""
    y = (matrix.y - INDEX_HEIGHT - 0.8 * LABEL) * CELL
    canvas.write(matrix.label, matrix.x * CELL, y, LABEL * CELL, f"{matrix.panel.role} name")
    for column, name in enumerate(matrix.columns):
        x = (matrix.x + (column + 0.5) * matrix.cell) * CELL
        canvas.write(name, x, (matrix.y - INDEX_HEIGHT / 2) * CELL, INDEX * CELL, "note", "middle")
    for row, name in enumerate(matrix.rows):
        x, y = (matrix.x - 0.1) * CELL, (matrix.y + row + 0.5) * CELL
        canvas.write(name, x, y, INDEX * CELL, "note", "right")


def _draw_cell(
    canvas: Canvas, matrix: Matrix, row: int, column: int, texts: Sequence[str], is_lit: bool
) -> None:
    """Draw a cell with its number, to the right as in a column of numbers."""
    flat, role = int(matrix.cells[row, column]), matrix.panel.role
    x, y = matrix.corner(row, column)
    outside = matrix.panel.is_outside(flat)
    pair = f"{role} fill" if is_lit else f"{role} pale"
    if outside:
        pair = f"{role} outside" if is_lit else "outside"
    strokes = (f"{role} fill" if is_lit else "hatch") if outside else ""
    canvas.cell(_pixels(x, y, matrix.cell, 1.0), pair, strokes)
    if texts[flat]:
        longest = max(text_width(t, NUMBER) for t in matrix.texts)
        right = x + (matrix.cell + max(longest, text_width(texts[flat], NUMBER))) / 2
        canvas.write(texts[flat], right * CELL, (y + 0.5) * CELL, NUMBER * CELL, pair, "right")


def _draw_array(canvas: Canvas, matrix: Matrix) -> None:
    """Draw the border of the array, inside the padding."""
    if matrix.inside is not None:
        canvas.frame(_pixels(*matrix.inside), "line", 2)
