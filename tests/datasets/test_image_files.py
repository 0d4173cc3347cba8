"""Single images: every kind of file read beside known pixels, and files written whole or not."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from minicnn.datasets import read_image, write_image
from minicnn.errors import ArgumentError, DataError, ImageWarning, OutputError

ROOT = Path(__file__).resolve().parents[2]


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def save(path, image, **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, **options)
    return path


def test_grey_and_palette_images_become_rgb(tmp_path):
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    expected = np.repeat(grey[..., None], 3, axis=2) / np.float32(255)
    assert np.allclose(read_image(save(tmp_path / "grey.png", grey)), expected)
    palette = Image.fromarray(grey).convert("P")
    assert np.allclose(read_image(save(tmp_path / "palette.png", palette)), expected)
    bits = Image.fromarray(grey > 100)
    black_white = np.repeat((grey > 100)[..., None], 3, axis=2).astype(np.float32)
    assert np.allclose(read_image(save(tmp_path / "bits.png", bits)), black_white)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "palette"])
def test_transparent_parts_become_black(tmp_path, mode):
    if mode == "palette":
        image = Image.fromarray(np.array([[0, 1, 1], [1, 1, 0]], np.uint8)).convert("P")
        image.putpalette([200, 100, 50, 10, 20, 30])
        path = save(tmp_path / "clear.png", image, transparency=0)
        expected = np.array([[[0, 0, 0], [10, 20, 30]], [[10, 20, 30], [10, 20, 30]]])
        assert np.rint(read_image(path)[:, :2] * 255).tolist() == expected.tolist()
        return
    colour = (200, 100, 50) if mode == "RGBA" else (200,)
    image = Image.new(mode, (3, 2), (*colour, 255))
    image.putpixel((1, 0), (*colour, 0))
    image.putpixel((2, 1), (*colour, 102))  # 40 %
    pixels = read_image(save(tmp_path / "clear.png", image)) * 255
    full = np.array(colour if mode == "RGBA" else colour * 3)
    assert np.allclose(pixels[0, 0], full)
    assert np.allclose(pixels[0, 1], 0)
    assert np.allclose(pixels[1, 2], 0.4 * full, atol=1)


def test_16_bit_grey_keeps_its_whole_range(tmp_path):
    values = np.array([[0, 257, 51400], [65535, 12850, 300]], np.uint16)
    pixels = read_image(save(tmp_path / "deep.png", values)) * 255
    assert np.rint(pixels[..., 0]).tolist() == [[0, 1, 200], [255, 50, 1]]
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


def test_cmyk_becomes_rgb(tmp_path):
    image = Image.new("CMYK", (16, 8), (0, 255, 255, 0))  # no cyan: red
    red, green, blue = read_image(save(tmp_path / "print.jpg", image)).mean((0, 1))
    assert red > 0.9
    assert green < 0.1
    assert blue < 0.1


def test_the_cameras_orientation_is_followed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    stored = picture(5, 8)
    upright = read_image(save(tmp_path / "turned.png", stored, exif=exif))
    assert np.allclose(upright * 255, np.rot90(stored, -1), atol=1e-4)


def test_an_image_is_written_and_read_back(tmp_path):
    values = np.random.default_rng(0).random((5, 9, 3))
    values[0, 0] = (-3, 7, 0.5)
    write_image(tmp_path / "image.png", values)
    back = read_image(tmp_path / "image.png")
    assert back.dtype == np.float32
    assert np.abs(back - values.clip(0, 1)).max() <= 0.5 / 255 + 1e-6
    assert back[0, 0, 1] == 1
    raw = picture(4, 6)
    write_image(str(tmp_path / "raw.PNG"), raw)
    assert np.array_equal(np.rint(read_image(tmp_path / "raw.PNG") * 255), raw)
    for grey in (values[..., 0], values[..., :1]):
        write_image(tmp_path / "grey.png", grey)
        with Image.open(tmp_path / "grey.png") as image:
            assert (image.mode, image.size) == ("L", (9, 5))
    assert read_image(tmp_path / "image.png", (3, 4)).shape == (3, 4, 3)


def test_writing_leaves_no_other_file_and_the_usual_permissions(tmp_path):
    write_image(tmp_path / "image.png", np.zeros((2, 3, 3)))
    (tmp_path / "plain").write_text("x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.png", "plain"]
    assert (tmp_path / "image.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_failed_write_keeps_the_former_file(tmp_path, monkeypatch):
    write_image(tmp_path / "image.png", np.zeros((2, 3, 3)))
    before = (tmp_path / "image.png").read_bytes()

    def fail(self, path, *args, **kwargs):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OutputError, match=r"cannot write .*image\.png: No space left on device\."):
        write_image(tmp_path / "image.png", np.ones((2, 3, 3)))
    assert (tmp_path / "image.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["image.png"]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 4)), "an array of shape (2, 3, 4) came for image.png"),
        (np.zeros((1, 2, 3, 3)), "an array of shape (1, 2, 3, 3) came for image.png"),
        (np.zeros((0, 3, 3)), "an array of shape (0, 3, 3) came for image.png"),
        (np.zeros((2, 3, 3), np.int64), "an array of int64 came for image.png"),
        (np.full((2, 3), np.nan), "6 of the 6 values for image.png are not numbers"),
    ],
)
def test_arrays_that_are_no_images_are_named(tmp_path, array, message):
    with pytest.raises(DataError, match=re.escape(message)):
        write_image(tmp_path / "image.png", array)
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_named(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*no.image\.png: No such file or dir"):
        write_image(tmp_path / "no" / "image.png", np.zeros((2, 3)))
    with pytest.raises(ArgumentError, match=r"image\.jpg must end in \.png"):
        write_image(tmp_path / "image.jpg", np.zeros((2, 3)))


def test_reading_names_the_file_and_the_reason(tmp_path):
    with pytest.raises(DataError, match=r"read_image: cannot read .*gone\.png: no such file\."):
        read_image(tmp_path / "gone.png")
    with pytest.raises(DataError, match="a folder"):
        read_image(tmp_path)
    with pytest.raises(ArgumentError, match=r"read_image: size=\(0, 3\) must be"):
        read_image(tmp_path, (0, 3))


def test_a_cameras_bits_are_told_and_a_value_range_decides(tmp_path):
    values = np.array([[0, 1000, 3000], [4095, 7, 8]], np.uint16)
    path = save(tmp_path / "camera.png", values)
    told = r"camera\.png: 16-bit integers from 0 to 4095 were taken for 12 bits .*; "
    with pytest.warns(ImageWarning, match=told + r"value_range=\(0, 65535\) takes the whole type"):
        pixels = read_image(path)
    np.testing.assert_allclose(pixels[..., 1], values / 4095, rtol=1e-6)
    np.testing.assert_allclose(read_image(path, None, (0, 65535))[..., 1], values / 65535, 1e-6)
    np.testing.assert_allclose(read_image(path, value_range=(4095, 0))[..., 2], 1 - values / 4095,
                               atol=1e-6)  # fmt: skip
    with pytest.raises(ArgumentError, match=r"value_range=\(1, 2, 3\) must be two numbers"):
        read_image(path, value_range=(1, 2, 3))
    tifffile.imwrite(tmp_path / "nan.tif", np.full((2, 3), np.inf, np.float32))
    with pytest.raises(DataError, match=r"nan\.tif: 6 of its 6 numbers are NaN or infinite\."):
        read_image(tmp_path / "nan.tif")


def test_pillow_is_not_imported_before_it_is_needed():
    code = "import sys, minicnn.datasets; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
