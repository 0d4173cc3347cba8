"""Arrays from what a person types or has in a file."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from minicnn.errors import ArgumentError, DataError, ImageWarning
from minicnn.explain.numbers import as_images, as_kernels, read_numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 1 2; 3 4 5", [[0, 1, 2], [3, 4, 5]]),
        ("0,1,2\n3,4,5\n", [[0, 1, 2], [3, 4, 5]]),
        ("  1\t-2.5e0 ", [[1, -2.5]]),
        ("[[0, 1], [2, 3], [4, 5]]", [[0, 1], [2, 3], [4, 5]]),
        ("1.5", [[1.5]]),
        ("7", [[7]]),
        ("9007199254740992 1", [[2**53, 1]]),
    ],
)
def test_typed_numbers(text, expected):
    found = read_numbers(text)
    assert found.tolist() == expected
    assert (found.dtype.kind == "i") == (np.asarray(expected) == np.round(expected)).all()


def test_files(tmp_path):
    array = np.arange(24.0).reshape(2, 3, 4)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "b.npz", array=array)
    (tmp_path / "c.csv").write_text("\ufeff1,2,3\n4,5,6.5\n", encoding="utf-8")
    (tmp_path / "d.txt").write_text("1 2\n\n3 4\n", encoding="utf-8")
    assert read_numbers(str(tmp_path / "a.npy")).tolist() == array.tolist()
    assert read_numbers(str(tmp_path / "b.npz")).tolist() == array.tolist()
    assert read_numbers(str(tmp_path / "c.csv")).tolist() == [[1, 2, 3], [4, 5, 6.5]]
    assert read_numbers(str(tmp_path / "d.txt")).tolist() == [[1, 2], [3, 4]]


def test_images(tmp_path):
    grey = np.array([[0, 50, 100], [150, 200, 250]], np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    colour = np.stack([grey, grey // 2, grey // 5], axis=-1)
    Image.fromarray(colour).save(tmp_path / "colour.png")
    assert read_numbers(str(tmp_path / "grey.png")).tolist() == grey.tolist()
    assert read_numbers(str(tmp_path / "colour.png")).tolist() == colour.tolist()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("1 2; 3", "rows have 1, 2 numbers"),
        ("1 x; 3 4", "row 1 has 'x'"),
        ("[[1, 2], [3]]", "different lengths"),
        ("[[1, 2", "do not close"),
        ("", "no numbers"),
        ("missing.csv", "no file missing.csv"),
        ("[['a']]", "no array of numbers"),
    ],
)
def test_what_cannot_be_read_is_told(source, told):
    with pytest.raises(DataError, match=told):
        read_numbers(source)


def test_files_that_cannot_be_read_are_told(tmp_path):
    np.savez(tmp_path / "two.npz", a=[1], b=[2])
    with pytest.raises(DataError, match=r"holds 2 arrays \(a, b\)"):
        read_numbers(str(tmp_path / "two.npz"))
    (tmp_path / "broken.npy").write_bytes(b"no")
    with pytest.raises(DataError, match="cannot be read"):
        read_numbers(str(tmp_path / "broken.npy"))
    (tmp_path / "a.doc").write_text("1 2")
    with pytest.raises(DataError, match=r"ends in '\.doc'"):
        read_numbers(str(tmp_path / "a.doc"))
    (tmp_path / "broken.png").write_bytes(b"no")
    with pytest.raises(DataError, match="cannot be read"):
        read_numbers(str(tmp_path / "broken.png"))


def test_axes_are_added():
    assert as_images(np.ones((2, 3))).shape == (1, 2, 3, 1)
    assert as_images(np.ones((2, 3, 4))).shape == (1, 2, 3, 4)
    assert as_kernels(np.ones((2, 3))).shape == (2, 3, 1, 1)
    assert as_kernels(np.ones((2, 3, 4))).shape == (2, 3, 4, 1)
    for change in (as_images, as_kernels):
        assert change(np.ones((2, 3, 4, 5))).shape == (2, 3, 4, 5)
        with pytest.raises(ArgumentError, match=r"\(6,\)"):
            change(np.ones(6))


@pytest.mark.parametrize("text", ["99999999999999999999 1", "1e300 1", "-1e19 0"])
def test_numbers_too_large_for_integers_stay_what_they_are(text):
    assert read_numbers(text).tolist() == [[float(word) for word in text.split()]]


def test_a_file_may_have_any_name(tmp_path):
    for name in ("numbers (1).csv", "a, b; c.csv", "numbers.v2.csv"):
        (tmp_path / name).write_text("1,2\n3,4\n")
        assert read_numbers(str(tmp_path / name)).tolist() == [[1, 2], [3, 4]]


def test_semicolons_between_the_columns_of_a_table(tmp_path):
    (tmp_path / "a.csv").write_text("1;2;3\n4;5;6\n")
    assert read_numbers(str(tmp_path / "a.csv")).tolist() == [[1, 2, 3], [4, 5, 6]]
    (tmp_path / "b.csv").write_text("1,5;-2\n3;4,25\n")
    assert read_numbers(str(tmp_path / "b.csv")).tolist() == [[1.5, -2], [3, 4.25]]


def test_folders_and_files_that_are_no_text_are_told(tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as text"):
        read_numbers(str(tmp_path / "bad.txt"))
    with pytest.raises(DataError, match="is a folder, not a file"):
        read_numbers(str(tmp_path))
    with pytest.raises(DataError, match="there is no file"):
        read_numbers(str(tmp_path / "nothing"))
    with pytest.raises(DataError, match="do not close"):
        read_numbers("[" * 100_000)


def test_images_keep_their_numbers(tmp_path):
    deep = np.array([[0, 300, 65535], [7, 40000, 1]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    tifffile.imwrite(tmp_path / "deep.tif", deep)
    tifffile.imwrite(tmp_path / "float.TIF", deep.astype(np.float32) / 8)
    Image.fromarray(deep > 5).save(tmp_path / "mask.png")
    for name in ("deep.png", "deep.tif"):
        assert read_numbers(str(tmp_path / name)).tolist() == deep.tolist()
    assert read_numbers(str(tmp_path / "float.TIF")).tolist() == (deep / 8).tolist()
    assert read_numbers(str(tmp_path / "mask.png")).tolist() == [[0, 1, 1], [1, 1, 0]]
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([200, 100, 50, 0, 20, 30])
    image.save(tmp_path / "palette.png")
    assert read_numbers(str(tmp_path / "palette.png")).tolist() == [[[200, 100, 50], [0, 20, 30]]]
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([deep] * 3), photometric="minisblack")
    with pytest.warns(ImageWarning, match=r"stack\.tif: of 3 pages the first was read\."):
        assert read_numbers(str(tmp_path / "stack.tif")).tolist() == deep.tolist()
