"""Where things stand: nothing on top of anything else, no text lost, numbers short and aligned."""

import itertools

import numpy as np
import pytest
from PIL import ImageFont

from minicnn.explain.readings.layout import (
    INDEX_HEIGHT,
    LABEL_HEIGHT,
    gather_layout,
    plane_grid,
    strip_layout,
)
from minicnn.explain.readings.lettering import cell_texts, font_path, text_width, wrap
from minicnn.explain.readings.marks import default_cell, summands
from minicnn.explain.records.panel import Panel
from minicnn.explain.records.record import make_record
from tests.explain.records import records

RECORDS = records()


def box(matrix):
    rows, columns = matrix.cells.shape
    above = INDEX_HEIGHT + (LABEL_HEIGHT if matrix.label else 0)
    return matrix.x, matrix.y - above, matrix.x + columns * matrix.cell, matrix.y + rows


def apart(layout):
    for a, b in itertools.combinations(map(box, layout.matrices), 2):
        assert (
            a[2] <= b[0] + 1e-9 or b[2] <= a[0] + 1e-9 or a[3] <= b[1] + 1e-9 or b[3] <= a[1] + 1e-9
        ), (a, b)
    for x, y, right, bottom in map(box, layout.matrices):
        assert x >= 0
        assert y >= -1e-9
        assert right <= layout.width + 1e-9
        assert bottom <= layout.height + 1e-9


@pytest.mark.parametrize("name", RECORDS)
def test_matrices_stand_apart_and_hold_every_element_once(name):
    record = RECORDS[name]
    layout = gather_layout(record)
    apart(layout)
    for where, panel in [*enumerate(record.operands), (None, record.result)]:
        cells = [m.cells.ravel() for m in layout.matrices if m.where == where]
        assert sorted(np.concatenate(cells).tolist()) == list(range(panel.values.size))


def test_the_strip_is_broken_where_it_becomes_too_wide():
    record = RECORDS["transposed"]
    layout = strip_layout(record, summands(record))
    apart(layout)
    assert layout.width < 40
    assert len({m.y for m in layout.matrices if m.part is not None}) > 2


def test_rows_and_columns_carry_the_indices_of_the_array():
    padded = gather_layout(RECORDS["strided"]).matrices[0]
    assert padded.rows == ("-1", "0", "1", "2", "3", "4", "5")
    assert padded.columns == ("0", "1", "2", "3", "4")
    shown = gather_layout(RECORDS["window"]).matrices
    assert (shown[0].rows[0], shown[0].columns[-1]) == ("7", "34")
    assert (shown[-1].rows, shown[-1].columns) == (("7", "8", "9"), ("30", "31", "32", "33"))


def test_channels_stand_below_each_other_and_filters_beside():
    images = Panel.of("x", "input", np.zeros((2, 4, 5, 3)))  # two images of three channels
    assert plane_grid(images) == [[0, 3], [1, 4], [2, 5]]
    kernel = Panel.of("kernel", "kernel", np.zeros((4, 5, 3, 2)), axes=(0, 1))
    assert plane_grid(kernel) == [[0, 3], [1, 4], [2, 5]]
    for panel, grid in ((images, plane_grid(images)), (kernel, plane_grid(kernel))):
        for row, line in enumerate(grid):
            for plane in line:
                index = panel.index(int(panel.planes()[plane][0, 0]))
                channel = index[3] if panel is images else index[2]
                assert channel == row


def test_many_matrices_are_folded():
    for shape in ((20, 3, 4, 2), (1, 3, 4, 20)):  # many images, many channels
        x = Panel.of("x", "input", np.zeros(shape))
        products = [(at, (at,), 1.0) for at in np.ndindex(*shape)]
        layout = gather_layout(make_record("copy", "y = x", (), [x], x, products))
        apart(layout)
        assert layout.width < 70
        assert layout.height < 70
        cells = [m.cells.ravel() for m in layout.matrices if m.where == 0]
        assert sorted(np.concatenate(cells).tolist()) == list(range(x.values.size))


def test_a_long_row_is_broken_into_lines():
    matrices = [m for m in gather_layout(RECORDS["one row"]).matrices if m.where is None]
    assert [m.cells.shape for m in matrices] == [(1, 16), (1, 16), (1, 5)]
    assert [m.columns[0] for m in matrices] == ["0", "16", "32"]
    assert [m.label for m in matrices] == ["y", "", ""]


def test_no_text_is_wider_than_thought():
    font = ImageFont.truetype(font_path(), 1000)
    characters = [*map(chr, range(32, 127)), *"≈∞→°·\u00a0"]
    for character in characters:
        assert font.getlength(character) / 1000 <= text_width(character), character
    assert text_width("12.5", 2.0) == pytest.approx(2 * text_width("12.5"))


@pytest.mark.parametrize("width", [3.0, 8.0, 20.0])
def test_broken_lines_fit_and_lose_nothing(width):
    text = "y[0,1] = 2*1 + (-13)*0.25 + max(1, 2) [+ 4 products with padding, 0] = -1.25"
    text += " averyveryverylongwordthatfitsnowhere a+=b"
    lines = wrap(text, width, 1.0)
    assert all(text_width(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    if width == 20.0:  # words are kept whole, and signs begin a line
        assert " ".join(lines[:2]) in text
        assert not any(line.endswith(("+", "=")) for line in lines)


def test_numbers_of_a_panel_have_the_same_decimals():
    assert cell_texts(np.array([1.5, -0.25, 3.0])) == ["1.50", "-0.25", "3.00"]
    assert cell_texts(np.array([1 / 3, -0.0001])) == ["0.333", "0.000"]
    assert cell_texts(np.array([123.456, 1.0])) == ["123.5", "1.0"]
    assert cell_texts(np.array([-np.inf, np.nan, -0.0])) == ["-∞", "NaN", "0"]
    assert cell_texts(np.array([3e-4, 0.0])) == ["3.0e-4", "0"]
    assert max(map(len, cell_texts(np.array([1e30, -2.5e-9])))) <= 7


def test_the_default_element_shows_something():
    strided = RECORDS["strided"]
    cell = default_cell(strided)
    assert len(strided.counted(cell)) == 12  # no corner, where padding takes part
    slide = RECORDS["slide"]
    assert slide.result.index(default_cell(slide)) == (0, 1, 1, 0)
