"""Figures: what is lit is what the record says, and all text can be read."""

import io
import itertools
import re

import matplotlib
import numpy as np
import pytest

import minicnn as mc
from minicnn.errors import ArgumentError
from minicnn.explain.course.worked import slide_example
from minicnn.explain.readings.colours import LIGHT
from minicnn.explain.readings.figure import draw
from minicnn.explain.readings.text import line
from tests.explain.records import lit_of, numbers, records

RECORDS = records()
CELL = re.compile(r"(operand(\d+)|result|summand(\d+))-(\d+)(-lit)?")


def cells_of(figure):
    """All cells as (owner, flat, whether it is lit, patch)."""
    found = []
    for patch in figure.axes[0].patches:
        match = CELL.fullmatch(patch.get_gid() or "")
        if match:
            found.append((match[1], int(match[4]), bool(match[5]), patch))
    return found


def extents(figure):
    renderer = figure.canvas.get_renderer()
    return [(t, t.get_window_extent(renderer)) for t in figure.axes[0].texts if t.get_text()]


def numbers_in(figure):
    """What is written in the cells: {(owner, flat): its text}."""
    found = extents(figure)
    middles = np.array([(e.min + e.max) / 2 for _, e in found])
    texts = {}
    for owner, flat, _, patch in cells_of(figure):
        low, high = patch.get_window_extent().min, patch.get_window_extent().max
        inside = np.nonzero((middles > low).all(axis=1) & (middles < high).all(axis=1))[0]
        assert len(inside) <= 1
        texts[owner, flat] = found[inside[0]][0].get_text() if inside.size else ""
    return texts


def written(figure):
    return " ".join(t.get_text() for t in figure.axes[0].texts)


@pytest.mark.parametrize("name", RECORDS)
def test_what_is_lit_is_what_the_record_says(name):
    record = RECORDS[name]
    for cell in (record.steps[0], record.steps[-1]):
        figure = draw(record, cell)
        expected = lit_of(record, cell)
        found = cells_of(figure)
        for operand, panel in enumerate(record.operands):
            mine = [(flat, lit) for owner, flat, lit, _ in found if owner == f"operand{operand}"]
            assert sorted(flat for flat, _ in mine) == list(range(panel.values.size))
            assert {flat for flat, lit in mine if lit} == expected[operand]
        assert [flat for owner, flat, lit, _ in found if owner == "result" and lit] == [cell]
        assert line(record, cell).replace(" ", "") in written(figure).replace(" ", "")
        for note in (record.title, record.formula, *record.notes):
            assert note.replace(" ", "") in written(figure).replace(" ", "")


@pytest.mark.parametrize("reading", ["gather", "scatter"])
@pytest.mark.parametrize("name", RECORDS)
def test_all_text_can_be_read(name, reading):
    record = RECORDS[name]
    if reading == "scatter" and name not in ("slide", "plain", "transposed", "flipped"):
        return
    figure = draw(record, reading=reading, max_numbers=5000)
    found = extents(figure)
    page = figure.bbox
    for text, e in found:
        assert page.x0 <= e.x0, text
        assert e.x1 <= page.x1, text
        assert page.y0 <= e.y0, text
        assert e.y1 <= page.y1, text
    # Measured without the air above and below the letters.
    boxes = np.array([[e.x0, e.y0 + e.height * 0.2, e.x1, e.y1 - e.height * 0.2] for _, e in found])
    for (i, a), (j, b) in itertools.combinations(enumerate(boxes), 2):
        across = min(a[2], b[2]) - max(a[0], b[0])
        assert across <= 0 or min(a[3], b[3]) - max(a[1], b[1]) <= 0, (found[i][0], found[j][0])
    cells = np.array([p.get_window_extent().extents for *_, p in cells_of(figure)])
    for text, (x0, y0, x1, y1) in zip((t for t, _ in found), boxes, strict=True):
        touched = cells[
            (cells[:, 0] < x1) & (cells[:, 2] > x0) & (cells[:, 1] < y1) & (cells[:, 3] > y0)
        ]
        assert len(touched) <= 1, text
        for left, bottom, right, top in touched:  # a number, and within its cell
            assert left <= x0, text
            assert x1 <= right, text
            assert bottom <= y0, text
            assert y1 <= top, text


def test_the_numbers_stand_in_their_cells_and_line_up():
    record = RECORDS["strided"]
    figure = draw(record)
    for (owner, flat), text in numbers_in(figure).items():
        panel = record.result if owner == "result" else record.operands[int(owner[7:])]
        assert text == str(int(panel.values.flat[flat]))
    lefts = {round(p.get_window_extent().x0) for *_, p in cells_of(figure)}
    numbers_only = [t for t, _ in extents(figure) if t.get_text().lstrip("-").isdigit()]
    rights = {round(t.get_position()[0], 6) for t in numbers_only if t.get_fontsize() > 9}
    assert len(rights) == len(lefts)  # one edge for each column of cells


def test_colours_and_outlines():
    figure = draw(RECORDS["max"], RECORDS["max"].steps[0])
    faces = {
        (owner, lit): matplotlib.colors.to_hex(patch.get_facecolor())
        for owner, _, lit, patch in cells_of(figure)
        if patch.get_linestyle() == "solid"
    }
    assert faces["operand0", True] == LIGHT.input.fill
    assert faces["operand0", False] == LIGHT.input.pale
    assert faces["result", True] == LIGHT.output.fill
    around = [p for p in figure.axes[0].patches if p.get_gid() == "field"]
    assert [p.get_width() * p.get_height() for p in around] == [6]  # the window of 2 x 3
    assert {matplotlib.colors.to_hex(p.get_edgecolor()) for p in around} == {LIGHT.input.strong}
    # The maximum itself, and the result.
    chosen = [p for p in figure.axes[0].patches if p.get_gid() == "chosen"]
    record, texts = RECORDS["max"], numbers_in(figure)
    at = [
        texts[owner, flat]
        for owner, flat, _, patch in cells_of(figure)
        if any(patch.get_xy() == p.get_xy() for p in chosen)
    ]
    assert at == [str(int(record.result.values.flat[record.steps[0]]))] * 2


def test_padding_is_told_from_the_array():
    record = RECORDS["strided"]
    figure = draw(record)
    for owner, flat, _, patch in cells_of(figure):
        if owner == "operand0":
            assert (patch.get_linestyle() != "solid") == record.operands[0].is_outside(flat)


def test_the_strip_is_that_of_the_slide():
    example, figure = slide_example("convT_2x2_k2_terms"), draw(RECORDS["slide"], reading="scatter")
    found, shown = cells_of(figure), numbers_in(figure)
    for term, expected in enumerate(example["terms"]):
        texts = [shown[f"summand{term}", flat] for flat in range(9)]
        assert [int(t or 0) for t in texts] == np.ravel(expected).tolist()
        assert texts.count("") == 5  # blank where nothing is laid, a 2 x 2 copy elsewhere
        assert {
            flat for _, flat, lit, _ in (f for f in found if f[0] == f"summand{term}") if lit
        } == {flat for flat, text in enumerate(texts) if text}
    assert not any(owner == "summand4" for owner, *_ in found)
    total = [int(shown["result", flat]) for flat in range(9)]
    assert total == np.ravel(example["expected"]).tolist()
    signs = [t for t in figure.axes[0].texts if t.get_text() in ("+", "=")]
    ordered = sorted(signs, key=lambda t: t.get_position()[0])
    assert [t.get_text() for t in ordered] == ["=", "+", "+", "+", "="]
    assert len({t.get_position()[1] for t in signs}) == 1  # one line, as on the slide


@pytest.mark.parametrize("name", ["transposed", "flipped", "gradient of x", "gradient of kernel"])
def test_the_summands_of_any_strip_add_up(name):
    from minicnn.explain.readings.marks import summands

    record = RECORDS[name]
    total = sum(np.nan_to_num(part.values) for part in summands(record))
    if record.bias is not None:
        total = total + record.operands[record.bias[0]].values
    np.testing.assert_allclose(total, record.result.values, rtol=1e-5, atol=1e-5)


def test_a_bias_is_the_last_summand():
    record = RECORDS["transposed"]
    figure = draw(record, reading="scatter", max_numbers=5000)
    texts = {t for (owner, _), t in numbers_in(figure).items() if owner == "summand6"}
    assert {float(t) for t in texts} == {0.5, -1.0}


def test_one_dimension_and_several_images_can_be_drawn():
    e = mc.explain("dense", numbers(0, 2, 5), numbers(1, 5, 3), [1.0, 2.0, 3.0])
    figure = e.figure((1, 2))
    assert "y[1,2]" in written(figure)
    assert sum(lit for owner, _, lit, _ in cells_of(figure) if owner == "operand1") == 5


def test_what_cannot_be_drawn_is_refused():
    record = RECORDS["plain"]
    with pytest.raises(ArgumentError, match=r"reading='spread' is not known; choose one of"):
        draw(record, reading="spread")
    for name in ("max", "mean", "formula", "gradient of bias", "shares"):
        with pytest.raises(ArgumentError, match=r"must be a sum of products of two operands"):
            draw(RECORDS[name], reading="scatter")
    with pytest.raises(ArgumentError, match=r"cell=3 has no place in reading='scatter'"):
        draw(record, cell=3, reading="scatter")
    with pytest.raises(
        ArgumentError, match=r"the strip of 15 summands of cross_correlate2d would show 117 numbers"
    ):
        draw(record, reading="scatter", max_numbers=116)
    with pytest.raises(ArgumentError, match=r"a figure of .* would show 27 numbers, more than"):
        draw(record, max_numbers=26)
    with pytest.raises(ArgumentError, match=r"max_numbers=0, but it must be an integer >= 1"):
        draw(record, max_numbers=0)
    assert draw(record, max_numbers=27).axes


def test_text_is_never_read_as_a_formula():
    from minicnn.explain.records.panel import Panel
    from minicnn.explain.records.record import make_record

    x = Panel.of("$x$", "input", numbers(0, 1, 2))
    y = Panel.of("y_{1}$", "output", x.values)
    products = [((0, i), ((0, i),), 1.0) for i in range(2)]
    record = make_record("$\\frac$", "$", ("$a$ & <b>",), [x], y, products)
    figure = draw(record)
    assert "$\\frac$" in written(figure)
    figure.savefig(io.BytesIO())  # as a formula it would be refused here


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_an_explanation_saves_its_figure(tmp_path, suffix, start):
    e = mc.explain(mc.cross_correlate2d, numbers(0, 3, 4), numbers(1, 2, 2))
    path = tmp_path / f"sum.{suffix}"
    e.save(path, cell=(1, 2), direction="gradient of x")
    assert path.read_bytes().startswith(start)
    strip = tmp_path / f"strip.{suffix}"
    e.save(strip, reading="scatter")
    assert strip.stat().st_size != path.stat().st_size
    with pytest.raises(ArgumentError, match=r"must end in one of .*\.png, \.svg, \.pdf, \.gif"):
        e.save(tmp_path / "sum.jpg")
    with pytest.raises(ArgumentError, match=r"y\[5, 5\] is not shown"):
        e.figure((5, 5))
