"""Where everything stands in a picture, for figure and animation alike.

All lengths are in heights of a cell. x grows to the right, y downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.errors import ArgumentError, check_whole
from minicnn.explain.readings.lettering import cell_texts, text_width, wrap
from minicnn.explain.readings.marks import Summand, Where
from minicnn.explain.readings.text import number
from minicnn.explain.records.panel import Panel
from minicnn.explain.records.record import Record

__all__ = ["Layout", "Line", "Matrix", "check_size", "gather_layout", "text_block"]

#: Sizes of the fonts.
NUMBER, LABEL, INDEX = 0.46, 0.4, 0.3
TITLE, EQUATION, NOTE = 0.58, 0.44, 0.38
#: Height of the line of a matrix's name and of its column numbers; distance between matrices.
LABEL_HEIGHT, INDEX_HEIGHT, GAP = 0.7, 0.5, 0.9
#: A single row is broken into lines of this many cells.
ROW = 16
#: The matrices of a panel are stacked to this height before the next ones stand beside them, and
#: stand beside each other to this width before the next ones stand below.
STACK = 30.0
#: A strip of summands is broken into lines of this width.
STRIP = 30.0
MARGIN = 0.5
#: Text has at least this width.
TEXT = 19.0


@dataclass(frozen=True)
class Matrix:
    """One matrix of a panel and its place.

    Args:
        where: the operand's number, or None for the result.
        panel: the panel.
        cells: flat indices in the panel's block (rows, columns).
        texts: what stands in the cells, by flat index.
        label: its name.
        rows: names of the rows; none if there is only one.
        columns: names of the columns.
        x: left edge of the cells.
        y: upper edge of the cells.
        cell: width of a cell.
        part: for a summand of a strip, its number.
        named: the role of which its name speaks; default the panel's.
    """

    where: Where
    panel: Panel
    cells: NDArray[np.int64]
    texts: Sequence[str]
    label: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    x: float
    y: float
    cell: float
    part: int | None = None
    named: str = ""

    def corner(self, row: int, column: int) -> tuple[float, float]:
        """Return the upper left corner of a cell."""
        return self.x + column * self.cell, self.y + row

    def bounds(self, cells: frozenset[int]) -> tuple[float, float, float, float] | None:
        """Return (x, y, width, height) around some cells, None if they stand elsewhere."""
        rows, columns = np.nonzero(np.isin(self.cells, list(cells)))
        if not rows.size:
            return None
        x, y = self.corner(int(rows.min()), int(columns.min()))
        right, bottom = self.corner(int(rows.max()) + 1, int(columns.max()) + 1)
        return x, y, right - x, bottom - y

    @property
    def inside(self) -> tuple[float, float, float, float] | None:
        """(x, y, width, height) around the cells that belong to the array."""
        return self.bounds(
            frozenset(i for i in self.cells.ravel().tolist() if not self.panel.is_outside(i))
        )


@dataclass(frozen=True)
class Line:
    """A line of text: its upper left corner (for signs: their centre), size and kind."""

    text: str
    x: float
    y: float
    size: float
    kind: str


@dataclass(frozen=True)
class Layout:
    """Matrices and signs in their places, and the size that they need."""

    matrices: tuple[Matrix, ...]
    signs: tuple[Line, ...]
    width: float
    height: float

    def moved(self, x: float, y: float) -> Layout:
        """Return the layout with everything shifted."""
        return Layout(
            tuple(replace(m, x=m.x + x, y=m.y + y) for m in self.matrices),
            tuple(replace(s, x=s.x + x, y=s.y + y) for s in self.signs),
            self.width,
            self.height,
        )


def text_block(
    texts: Sequence[tuple[str, float, str]], width: float, x: float = 0.0, y: float = 0.0
) -> tuple[list[Line], float]:
    """Return texts (text, size, kind) as broken lines below each other, and where they end."""
    lines = []
    for text, size, kind in texts:
        for part in wrap(text, max(width, TEXT), size):
            lines.append(Line(part, x, y, size, kind))
            y += 1.5 * size
    return lines, y


def check_size(record: Record, count: int, limit: int, what: str) -> None:
    """Raise an error if a picture would show too many numbers.

    Raises:
        ArgumentError: it shows more numbers than the limit.
    """
    if count > check_whole("explain", "max_numbers", limit):
        raise ArgumentError(
            f"explain: {what} of {record.title} would show {count:,} numbers, more than "
            f"max_numbers={limit:,}. Show a part by explain(..., window=(rows, columns)), give a "
            f"smaller input, or raise max_numbers."
        )


def shown_numbers(record: Record) -> int:
    """Return how many numbers the matrices of a record hold."""
    return sum(p.values.size for p in (*record.operands, record.result))


def plane_grid(panel: Panel) -> list[list[int]]:
    """Return the numbers of a panel's matrices as they stand: channels below each other.

    Images of a batch and the filters of a kernel stand beside each other.
    """
    counts = [n for axis, n in enumerate(panel.values.shape) if axis not in panel.axes]
    if len(counts) < 2:
        numbers = np.arange(int(np.prod(counts, dtype=int)))[:, None]
    elif panel.is_kernel:
        numbers = np.arange(int(np.prod(counts))).reshape(counts[-1], -1).T
    else:
        numbers = np.arange(int(np.prod(counts))).reshape(counts[0], -1).T
    return [[int(i) for i in row] for row in numbers]


def _names(panel: Panel, axis: int | None, count: int) -> tuple[str, ...]:
    if axis is None:
        return ()
    return tuple(str(panel.origin[axis] + i) for i in range(count))


def _plane(where: Where, panel: Panel, plane: int, texts: Sequence[str], cell: float) -> Layout:
    """Return one matrix with its name and indices, its box beginning at (0, 0)."""
    cells = panel.planes()[plane]
    height, width = cells.shape
    rows = _names(panel, panel.axes[0], height)
    columns = _names(panel, panel.axes[1], width)
    label = panel.plane_label(int(cells[0, 0]))
    left = text_width(max(rows, key=len), INDEX) + 0.1 if rows else 0.1
    pieces = [slice(0, width)]
    if height == 1:
        pieces = [slice(i, min(i + ROW, width)) for i in range(0, width, ROW)]
    matrices = [
        Matrix(
            where,
            panel,
            cells[:, piece],
            texts,
            label if number == 0 else "",
            rows,
            columns[piece],
            left,
            LABEL_HEIGHT + INDEX_HEIGHT + number * (1 + INDEX_HEIGHT),
            cell,
        )
        for number, piece in enumerate(pieces)
    ]
    last = matrices[-1]
    wide = max(min(width, ROW if height == 1 else width) * cell, text_width(label, LABEL))
    return Layout(tuple(matrices), (), left + wide, last.y + height)


@dataclass(frozen=True)
class _Block:
    """The matrices of one panel, row by row."""

    rows: tuple[tuple[Layout, ...], ...]

    @property
    def widths(self) -> list[float]:
        return [max(r[c].width for r in self.rows if c < len(r)) for c in range(len(self.rows[0]))]

    @property
    def heights(self) -> list[float]:
        return [max(box.height for box in row) for row in self.rows]

    def placed(self, heights: Sequence[float]) -> Layout:
        """Return the matrices, each row as high as said and its matrices in the middle of it."""
        matrices: list[Matrix] = []
        y = 0.0
        for row, height in zip(self.rows, heights, strict=True):
            x = 0.0
            for box, width in zip(row, self.widths, strict=False):
                matrices += box.moved(x, y + (height - box.height) / 2).matrices
                x += width + GAP / 2
            y += height + GAP / 2
        width = sum(self.widths) + GAP / 2 * (len(self.widths) - 1)
        return Layout(tuple(matrices), (), width, y - GAP / 2)


def _block(where: Where, panel: Panel, texts: Sequence[str], cell: float) -> _Block:
    rows = [[_plane(where, panel, p, texts, cell) for p in row] for row in plane_grid(panel)]
    if len(rows[0]) == 1:  # one tall stack: fold it
        fitting = max(1, int(STACK // (rows[0][0].height + GAP / 2)))
        columns = -(-len(rows) // fitting)
        deep = -(-len(rows) // columns)
        rows = [[row[0] for row in rows[i::deep]] for i in range(deep)]
    fitting = max(1, int(STACK // (max(box.width for row in rows for box in row) + GAP / 2)))
    if len(rows[0]) > fitting:  # many images or filters: the next ones below
        starts = range(0, len(rows[0]), fitting)
        rows = [row[i : i + fitting] for i in starts for row in rows if row[i:]]
    return _Block(tuple(tuple(row) for row in rows))


def _cell_width(texts: Sequence[Sequence[str]]) -> float:
    longest = max((text_width(t, NUMBER) for each in texts for t in each), default=0.0)
    return max(1.0, round(longest + 0.2, 2))


def panel_texts(panel: Panel, values: NDArray[Any] | None = None) -> list[str]:
    """Return what stands in a panel's cells; what pads a maximum does not lengthen the others."""
    return cell_texts(panel.values if values is None else values)


def _order(record: Record) -> list[int]:
    """Return the operands in the order of the picture: a second view beside the first."""
    views = [o for o, p in enumerate(record.operands) if p.mirror is not None]
    order = [o for o in range(len(record.operands)) if o not in views]
    for view in views:
        mirror = record.operands[view].mirror
        assert mirror is not None
        order.insert(order.index(mirror[0]) + 1, view)
    return order


def gather_layout(record: Record, result_texts: Sequence[Sequence[str]] = ()) -> Layout:
    """Return the operands beside each other and the result behind an arrow.

    Args:
        record: what is drawn.
        result_texts: further texts that must fit into the result's cells.
    """
    panels: list[tuple[Where, Panel]] = [(o, record.operands[o]) for o in _order(record)]
    panels.append((None, record.result))
    texts = [panel_texts(panel) for _, panel in panels]
    cell = _cell_width([*texts, *result_texts])
    blocks = [_block(w, p, t, cell) for (w, p), t in zip(panels, texts, strict=True)]
    deepest = max(len(block.rows) for block in blocks)
    # Channel by channel, what belongs together stands in one line.
    together = [b.heights for b in blocks if len(b.rows) == deepest > 1]
    shared = [max(column) for column in zip(*together, strict=True)]
    placed = [b.placed(shared if len(b.rows) == deepest > 1 else b.heights) for b in blocks]
    signs = [""] * (len(placed) - 1) + ["→"]
    return _in_line(placed, signs)


def _in_line(parts: Sequence[Layout], signs: Sequence[str]) -> Layout:
    """Return parts beside each other, a sign (or none) before each, in the middle of its cells."""
    height = max(part.height for part in parts)
    matrices: list[Matrix] = []
    lines: list[Line] = []
    x = 0.0
    for part, sign in zip(parts, signs, strict=True):
        if sign:
            x += GAP if not matrices else GAP * 0.6
            middle = height / 2 + (LABEL_HEIGHT + INDEX_HEIGHT) / 2
            lines.append(Line(sign, x, middle, TITLE, "sign"))
            x += GAP * 0.6
        elif matrices:
            x += GAP
        matrices += part.moved(x, (height - part.height) / 2).matrices
        x += part.width
    return Layout(tuple(matrices), tuple(lines), x, height)


def strip_layout(record: Record, parts: Sequence[Summand]) -> Layout:
    """Return the operands, and below them what each element lays, summed: a + b + ... = result.

    Args:
        record: what is drawn.
        parts: what `summands` returned for it.
    """
    result, panel = record.result, record.operands[record.factors[0]]
    named = [
        (f"{panel.label(p.element)} = {number(panel.values.flat[p.element])}", panel.role, p.values)
        for p in parts
    ]
    if record.bias is not None:
        cells = range(result.values.size)
        biases = np.array([record.bias_value(c) for c in cells]).reshape(result.values.shape)
        bias = record.operands[record.bias[0]]
        named.append((bias.name, bias.role, biases))
    everything = np.concatenate([v[np.isfinite(v)].ravel() for _, _, v in named])
    written, texts = iter(cell_texts(everything)), []
    for _, _, values in named:
        texts.append([next(written) if np.isfinite(v) else "" for v in values.flat])
    operands = [(o, record.operands[o], panel_texts(record.operands[o])) for o in _order(record)]
    total = panel_texts(result)
    cell = _cell_width([*texts, total, *(t for _, _, t in operands)])
    first = [_block(o, p, t, cell) for o, p, t in operands]
    above = _in_line([b.placed(b.heights) for b in first], [""] * len(first))
    boxes = []
    for i, ((name, role, _), each) in enumerate(zip(named, texts, strict=True)):
        block = _block(None, result, each, cell)
        placed = block.placed(block.heights)
        matrices = [replace(m, part=i, label="") for m in placed.matrices]
        matrices[0] = replace(matrices[0], label=name, named=role)
        width = max(placed.width, matrices[0].x + text_width(name, LABEL))
        boxes.append(Layout(tuple(matrices), (), width, placed.height))
    block = _block(None, result, total, cell)
    boxes.append(block.placed(block.heights))
    signs = ["=", *["+"] * (len(boxes) - 2), "="]
    below = _broken(boxes, signs)
    shifted = below.moved(0, above.height + GAP)
    return Layout(
        above.matrices + shifted.matrices,
        above.signs + shifted.signs,
        max(above.width, below.width),
        above.height + GAP + below.height,
    )


def _broken(boxes: Sequence[Layout], signs: Sequence[str]) -> Layout:
    """Return a strip broken into lines."""
    step = GAP * 1.2
    lines: list[list[int]] = [[]]
    used = 0.0
    for i, box in enumerate(boxes):
        if lines[-1] and used + step + box.width > STRIP:
            lines.append([])
            used = 0.0
        lines[-1].append(i)
        used += step + box.width
    parts = [_in_line([boxes[i] for i in line], [signs[i] for i in line]) for line in lines]
    matrices: list[Matrix] = []
    all_signs: list[Line] = []
    y = 0.0
    for part in parts:
        moved = part.moved(0, y)
        matrices += moved.matrices
        all_signs += moved.signs
        y += part.height + GAP
    return Layout(tuple(matrices), tuple(all_signs), max(p.width for p in parts), y - GAP)
