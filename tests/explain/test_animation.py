"""Animations: as many pictures as steps, each lit as the record says, for as long as asked."""

import itertools

import numpy as np
import pytest
from PIL import Image, ImageSequence
from scipy import ndimage

import minicnn as mc
from minicnn.errors import ArgumentError, OutputError
from minicnn.explain.readings.animation import write_gif
from minicnn.explain.readings.colours import LIGHT
from minicnn.explain.readings.layout import MARGIN, NOTE
from minicnn.explain.readings.marks import summands
from tests.explain.records import lit_of, numbers, records
from tests.helpers import run_python

RECORDS = records()


def pictures(path):
    """The pictures of a GIF as arrays (H,W,3), and how long each stays."""
    with Image.open(path) as image:
        found = [
            (np.asarray(f.convert("RGB")), f.info["duration"])
            for f in ImageSequence.Iterator(image)
        ]
    return [p for p, _ in found], [d for _, d in found]


def is_colour(picture, colour):
    return (picture == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).all(axis=-1)


def lit_cells(picture, role):
    """Whether each cell of a role inside its array is lit, in the order of reading.

    The insides of cells are regions of one colour: those of the holes in digits are small.
    """
    shades, found = LIGHT.role(role), []
    for colour, lit in ((shades.pale, False), (shades.fill, True)):
        regions, count = ndimage.label(is_colour(picture, colour))
        sizes = ndimage.sum_labels(np.ones_like(regions), regions, range(1, count + 1))
        centres = ndimage.center_of_mass(np.ones_like(regions), regions, range(1, count + 1))
        found += [
            (round(y / 20), round(x / 20), lit)
            for (y, x), size in zip(centres, sizes, strict=True)
            if size > 600
        ]
    return [lit for *_, lit in sorted(found)]


def test_every_picture_is_lit_as_the_record_says(tmp_path):
    record = RECORDS["plain"]
    frames, durations = pictures(write_gif(record, tmp_path / "a.gif", milliseconds=250))
    assert len(frames) == len(record.steps) == 6
    assert durations == [250] * 5 + [1000]
    for number, (frame, cell) in enumerate(zip(frames, record.steps, strict=True)):
        expected = lit_of(record, cell)
        for operand, role in ((0, "input"), (1, "kernel")):
            size = record.operands[operand].values.size
            assert lit_cells(frame, role) == [i in expected[operand] for i in range(size)]
        assert lit_cells(frame, "output") == [i == number for i in range(6)]


def test_the_element_in_question_is_outlined_and_moves(tmp_path):
    frames, _ = pictures(write_gif(RECORDS["plain"], tmp_path / "a.gif"))
    places = []
    for frame in frames:
        rows, columns = np.nonzero(is_colour(frame, LIGHT.accent))
        places.append((rows.min(), columns.min()))
        assert rows.max() - rows.min() == 44  # 40 and its line
        width = columns.max() - columns.min() - 4
    steps = np.diff(places, axis=0) / [40, width]
    expected = [[0, 1], [0, 1], [1, -2], [0, 1], [0, 1]]  # three columns, two rows
    np.testing.assert_allclose(steps, expected, atol=0.08)


def test_numbers_appear_one_by_one(tmp_path):
    def ink(frame):
        # Only in the result: text on its pale colour, right of everything else.
        rows, columns = np.nonzero(
            is_colour(frame, LIGHT.output.pale) | is_colour(frame, LIGHT.output.fill)
        )
        part = frame[rows.min() : rows.max(), columns.min() : columns.max()]
        return int(is_colour(part, LIGHT.text).sum())

    frames, _ = pictures(write_gif(RECORDS["plain"], tmp_path / "a.gif"))
    amounts = [ink(frame) for frame in frames]
    assert all(b > a > 0 for a, b in itertools.pairwise(amounts))


def test_scattering_has_a_picture_for_each_element_and_one_for_all(tmp_path):
    record = RECORDS["slide"]
    frames, _ = pictures(write_gif(record, tmp_path / "a.gif", reading="scatter"))
    parts = summands(record)
    assert len(frames) == len(parts) + 1 == 5
    for number, (frame, part) in enumerate(zip(frames, parts, strict=False)):
        assert lit_cells(frame, "input") == [i == number for i in range(4)]
        assert lit_cells(frame, "kernel") == [True] * 4
        assert lit_cells(frame, "output") == np.isfinite(part.values).ravel().tolist()
    assert lit_cells(frames[-1], "output") == [True] * 9


@pytest.mark.parametrize("name", RECORDS)
def test_every_kind_of_record_becomes_an_animation(tmp_path, name):
    record = RECORDS[name]
    path = write_gif(record, tmp_path / "a.gif", milliseconds=100, max_frames=1000)
    with Image.open(path) as image:
        assert image.n_frames == len(record.steps)
        assert max(image.size) < 2500


def test_no_sentence_reaches_beyond_the_picture(tmp_path):
    # Two filters over many channels: the longest equations, and a scattered text with many parts.
    e = mc.explain(mc.conv2d, numbers(0, 1, 3, 2, 4), numbers(1, 3, 2, 4, 2), [1.0, 2.0])
    for reading in ("gather", "scatter"):
        for frame in pictures(write_gif(e.record(), tmp_path / "a.gif", reading, max_frames=1000))[
            0
        ]:
            for edge in (frame[:4], frame[-4:], frame[:, :4], frame[:, -4:]):
                assert is_colour(edge, LIGHT.paper).all()


def test_the_longest_equation_leaves_the_notes_alone(tmp_path):
    # A corner of x met one place of the kernel, its middle six: the first equation is the shortest.
    e = mc.explain(mc.conv2d, numbers(0, 1, 4, 5, 1), numbers(1, 3, 3, 1, 6))
    record = e.record(direction="gradient of x")
    frames, _ = pictures(write_gif(record, tmp_path / "a.gif"))
    notes = round((len(record.notes) * 1.5 * NOTE + MARGIN) * 40)
    for frame in frames[1:]:
        assert (frame[-notes:] == frames[0][-notes:]).all()
    assert is_colour(frames[0][-notes:], LIGHT.muted).any()


def test_pictures_are_the_same_each_time(tmp_path):
    first = write_gif(RECORDS["flipped"], tmp_path / "a.gif").read_bytes()
    assert write_gif(RECORDS["flipped"], tmp_path / "b.gif").read_bytes() == first


def test_limits_and_wrong_values_are_refused(tmp_path):
    record, path = RECORDS["plain"], tmp_path / "a.gif"
    with pytest.raises(
        ArgumentError, match=r"cross_correlate2d would have 6 pictures, more than max_frames=5"
    ):
        write_gif(record, path, max_frames=5)
    for wrong in (0, 19, 60_001, True):
        with pytest.raises(ArgumentError, match=r"must be between 20 and 60000"):
            write_gif(record, path, milliseconds=wrong)
    with pytest.raises(ArgumentError, match=r"an animation of .* would show 27 numbers"):
        write_gif(record, path, max_numbers=26)
    with pytest.raises(ArgumentError, match=r"must be a sum of products of two operands"):
        write_gif(RECORDS["max"], path, reading="scatter")
    with pytest.raises(ArgumentError, match=r"reading='x' is not known"):
        write_gif(record, path, reading="x")
    with pytest.raises(OutputError, match=r"cannot write"):
        write_gif(record, tmp_path / "nowhere" / "a.gif")
    assert list(tmp_path.iterdir()) == []


def test_an_explanation_saves_its_animation(tmp_path):
    e = mc.explain(mc.cross_correlate2d, numbers(0, 3, 4), numbers(1, 2, 2))
    path = tmp_path / "steps.gif"
    e.save(path, direction="gradient of kernel", milliseconds=40, max_frames=4)
    frames, durations = pictures(path)
    assert (len(frames), durations[0]) == (4, 40)
    with pytest.raises(ArgumentError, match=r"a \.html file holds the whole .* takes no reading"):
        e.save(tmp_path / "a.html", reading="scatter")


def test_an_animation_needs_no_matplotlib(tmp_path):
    code = (
        "import sys, minicnn as mc\n"
        "e = mc.explain(mc.cross_correlate2d, [[1, 2, 3]], [[1, 0]])\n"
        f"e.save({str(tmp_path / 'a.gif')!r})\n"
        "print('matplotlib' in sys.modules)"
    )
    done = run_python(code)
    assert (done.stdout, done.stderr) == ("False\n", "")
