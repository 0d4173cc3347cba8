"""Images written like others: what is written back unchanged is what was read."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from minicnn.errors import DataError, OutputError
from minicnn.images import ending_of, read_picture, write_picture
from tests.images.test_reading import COLOURS, DEEP, EIGHT, TWELVE, by_pillow, packed, png, tiff

RGB8 = (COLOURS[..., :3] >> 8).astype("u1")


@pytest.mark.parametrize(
    ("source", "ending"),
    [
        (by_pillow(EIGHT), ".png"),
        (by_pillow(RGB8), ".png"),
        (by_pillow(DEEP), ".png"),
        (png(COLOURS[..., :3], 2), ".png"),
        (tiff(EIGHT), ".tif"),
        (tiff(RGB8), ".tif"),
        (tiff(DEEP, byteorder=">"), ".tif"),
        (tiff(TWELVE), ".tif"),
        (packed(TWELVE, "<"), ".tif"),
        (tiff(COLOURS[..., :3], photometric="rgb"), ".tif"),
        (tiff(np.moveaxis(COLOURS[..., :3], 2, 0).copy(), photometric="rgb"), ".tif"),
        (tiff(DEEP.astype("f4") / 65535), ".tif"),
        (tiff(DEEP.astype("f4")), ".tif"),
        (tiff(DEEP.astype("i4") - 300), ".tif"),
        (by_pillow(RGB8, "BMP"), ".bmp"),
        (by_pillow(RGB8, "WEBP", lossless=True), ".webp"),
    ],
)
def test_what_was_read_is_written_with_its_type_and_numbers(tmp_path, source, ending):
    picture = read_picture("test", source)
    assert ending_of(picture) == ending
    path = tmp_path / f"a{ending}"
    write_picture(path, picture.scaled(), picture)
    back = read_picture("test", path)
    assert (back.form, back.pixels.dtype) == (picture.form, picture.pixels.dtype)
    if picture.pixels.dtype == "f4":
        np.testing.assert_allclose(back.pixels, picture.pixels, rtol=1e-6)
    else:
        np.testing.assert_array_equal(back.pixels, picture.pixels)


def test_others_read_what_is_written(tmp_path):
    picture = read_picture("test", png(COLOURS[..., :3], 2))
    write_picture(tmp_path / "a.png", picture.scaled(), picture)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), COLOURS[..., :3] >> 8)  # its upper bytes
    grey = read_picture("test", tiff(DEEP))
    write_picture(tmp_path / "a.tif", grey.scaled(), grey)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), DEEP)
    with Image.open(tmp_path / "a.tif") as image:
        np.testing.assert_array_equal(np.asarray(image), DEEP)


def test_few_bits_palettes_and_lossy_files(tmp_path):
    smooth = np.tile(np.linspace(40, 200, 24).astype("u1"), (16, 1))
    jpeg = read_picture("test", by_pillow(smooth, "JPEG"))
    write_picture(tmp_path / "a.jpg", jpeg.scaled(), jpeg)
    back = read_picture("test", tmp_path / "a.jpg")
    assert (back.form, back.colours) == ("JPEG", "grey")
    assert np.abs(back.numbers.astype(int) - smooth).max() <= 4
    for source in (by_pillow(EIGHT > 100), by_pillow(Image.fromarray(EIGHT).convert("P"), "GIF")):
        picture = read_picture("test", source)
        write_picture(tmp_path / "b.png", np.full((2, 3, 3), 0.4), picture)
        assert read_picture("test", tmp_path / "b.png").rgb()[0, 0, 0] == 102


def test_values_outside_and_wrong_arrays(tmp_path):
    picture = read_picture("test", io.BytesIO(by_pillow(DEEP)).getvalue())
    write_picture(tmp_path / "a.png", [[-1.0, 0.5, 7.0]], picture, value_range=(0, 1000))
    assert read_picture("test", tmp_path / "a.png").numbers.tolist() == [[0, 500, 1000]]
    with pytest.raises(DataError, match=r"an array of shape \(2, 3, 4\) came for b\.png"):
        write_picture(tmp_path / "b.png", np.zeros((2, 3, 4)), picture)
    with pytest.raises(DataError, match=r"6 of the 6 values for b\.png are not numbers"):
        write_picture(tmp_path / "b.png", np.full((2, 3), np.nan), picture)
    with pytest.raises(OutputError, match="choose a folder that exists"):
        write_picture(tmp_path / "no" / "b.png", np.zeros((2, 3)), picture)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
