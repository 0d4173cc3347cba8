"""Every kind of image file beside the numbers that were put into it."""

import importlib.util
import io
import re
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from minicnn.errors import DataError
from minicnn.images import read_picture, try_picture

EIGHT = np.array([[0, 1, 2, 10], [50, 100, 127, 128], [200, 250, 254, 255]], np.uint8)
DEEP = np.array([[0, 1, 255, 256], [1000, 4095, 4096, 32767], [32768, 40000, 65534, 65535]], "u2")
TWELVE = np.array([[0, 1, 15, 16], [255, 256, 1000, 2047], [2048, 4000, 4094, 4095]], "u2")
COLOURS = np.random.default_rng(0).integers(0, 65536, (5, 7, 4), np.uint16)


def png(pixels, kind, bits=None, extra=b"", up=False):
    """The bytes of a PNG file, put together by hand: kind 0 grey, 2 colours, 4 and 6 with alpha."""
    height, width, _ = pixels.shape
    bits = bits or pixels.dtype.itemsize * 8
    if bits < 8:
        places = pixels[..., 0][..., None] >> np.arange(bits - 1, -1, -1) & 1
        rows = np.packbits(places.reshape(height, -1).astype(np.uint8), axis=1)
    else:
        rows = pixels.astype(f">u{bits // 8}").reshape(height, -1).view(np.uint8)
    if up:  # filter 2: what a row has more than the one above it
        rows = np.concatenate([rows[:1], rows[1:] - rows[:-1]])
    raw = np.concatenate([np.full((height, 1), 2 * up, np.uint8), rows], axis=1).tobytes()

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )  # fmt: skip


def by_pillow(image, form="PNG", **options):
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, form, **options)
    return file.getvalue()


def tiff(pixels, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def packed(pixels, order):
    """The bytes of a TIFF file of 12-bit grey without gaps, put together by hand."""
    height, width = pixels.shape
    places = pixels[..., None] >> np.arange(11, -1, -1) & 1
    data = np.packbits(places.reshape(height, -1).astype(np.uint8), axis=1).tobytes()
    tags = [(256, width), (257, height), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1),
            (278, height), (279, len(data))]  # fmt: skip
    start = 8 + len(data)
    text = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", start) + data
    text += struct.pack(f"{order}H", len(tags))
    for tag, value in tags:
        text += struct.pack(f"{order}HHII", tag, 4, 1, value)
    return text + struct.pack(f"{order}I", 0)


def numbers(source, dtype, colours="grey", bits=None):
    picture = read_picture("test", source)
    assert picture.pixels.dtype == dtype
    assert picture.colours == colours
    assert picture.bits == (bits or np.dtype(dtype).itemsize * 8)
    return picture.numbers


@pytest.mark.parametrize("order", ["<", ">"])
def test_grey_of_8_and_16_bits(order):
    np.testing.assert_array_equal(numbers(by_pillow(EIGHT), "u1"), EIGHT)
    np.testing.assert_array_equal(numbers(by_pillow(DEEP), "u2"), DEEP)
    np.testing.assert_array_equal(numbers(tiff(EIGHT), "u1"), EIGHT)
    np.testing.assert_array_equal(numbers(tiff(DEEP, byteorder=order), "u2"), DEEP)
    options = {"tile": (16, 16), "bigtiff": True, "byteorder": order}
    wide = np.arange(20 * 35, dtype="u2").reshape(20, 35) * 93
    np.testing.assert_array_equal(numbers(tiff(wide, **options), "u2"), wide)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_png_files_of_16_bit_colours_keep_both_bytes(kind, channels, up):
    pixels = COLOURS[..., :channels]
    picture = read_picture("test", png(pixels, kind, up=up))
    assert (picture.bits, picture.alpha) == (16, None if kind == 2 else "straight")
    np.testing.assert_array_equal(picture.pixels, pixels)


@pytest.mark.parametrize("order", ["<", ">"])
def test_twelve_bits_without_gaps(order):
    np.testing.assert_array_equal(numbers(packed(TWELVE, order), "u2", bits=12), TWELVE)
    picture = read_picture("test", packed(TWELVE, order))
    np.testing.assert_allclose(picture.scaled()[..., 1], TWELVE / 4095, rtol=1e-6)
    assert (picture.notes, picture.extent.note) == ((), None)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_keep_their_numbers(bits):
    small = np.arange(15).reshape(3, 5) % 2**bits
    picture = read_picture("test", png(small[..., None], 0, bits))
    np.testing.assert_array_equal(picture.numbers, small)
    np.testing.assert_array_equal(picture.rgb()[..., 2], small * 255 // (2**bits - 1))
    np.testing.assert_allclose(picture.scaled()[..., 0], small / (2**bits - 1), rtol=1e-6)
    np.testing.assert_array_equal(picture.eight_bits()[..., 0], picture.rgb()[..., 0])


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_white_is_zero_is_turned_and_told(dtype):
    pixels = EIGHT if dtype == "u1" else DEEP
    picture = read_picture("test", tiff(pixels, photometric="miniswhite"))
    np.testing.assert_array_equal(picture.numbers, np.iinfo(dtype).max - pixels)
    assert "says that white is zero, so 0 became" in picture.notes[0]
    twelve = read_picture("test", tiff(TWELVE, photometric="miniswhite"))
    np.testing.assert_array_equal(twelve.numbers, 4095 - TWELVE)


def test_masks_of_booleans_are_told():
    mask = EIGHT > 100
    written = read_picture("test", tiff(mask))  # tagged "white is zero" by tifffile
    np.testing.assert_array_equal(written.numbers, mask)
    assert "True was taken for white" in written.notes[0]
    scanned = read_picture("test", tiff(mask, photometric="miniswhite", software="a scanner"))
    np.testing.assert_array_equal(scanned.numbers, ~mask)
    assert "so 0 became 1 and 1 became 0" in scanned.notes[0]
    plain = read_picture("test", by_pillow(mask))
    np.testing.assert_array_equal(plain.numbers, mask)
    assert (plain.bits, plain.notes) == (1, ())


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_floats(dtype):
    values = np.linspace(0, 1, 12).reshape(3, 4).astype(dtype)
    picture = read_picture("test", tiff(values))
    np.testing.assert_array_equal(picture.numbers, values)
    np.testing.assert_allclose(picture.scaled()[..., 0], values, rtol=1e-6)
    assert picture.extent.note is None
    bright = values.astype("f4") * 60000
    large = read_picture("test", tiff(bright))
    np.testing.assert_allclose(large.scaled()[..., 0], bright / 65535, rtol=1e-6)
    assert "floats from 0 to 60000 were scaled from 0 (black) to 65535" in large.extent.note


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "u4", "f4"])
def test_signed_numbers_and_labels(dtype):
    values = np.array([[-3, 0, 7], [100, 90, 4]], "i4") + (3 if dtype[0] == "u" else 0)
    picture = read_picture("test", tiff(values.astype(dtype)))
    np.testing.assert_array_equal(picture.numbers, values)
    if dtype == "u4":
        assert picture.value_range == (0, 255)
    elif dtype != "f4":
        assert picture.value_range == (-3, 100)
        assert "scaled from -3 (black) to 100 (white)" in picture.extent.note


def test_pages_are_told():
    stack = np.arange(3 * 3 * 5, dtype="u2").reshape(3, 3, 5) * 1000
    for options in ({}, {"imagej": True}, {"metadata": None}):
        picture = read_picture("test", tiff(stack, photometric="minisblack", **options))
        np.testing.assert_array_equal(picture.numbers, stack[0])
        assert picture.notes == ("of 3 pages the first was read",)
    six = np.arange(3 * 2 * 4 * 5, dtype="u2").reshape(3, 2, 4, 5)
    picture = read_picture("test", tiff(six, imagej=True, metadata={"axes": "ZCYX"}))
    np.testing.assert_array_equal(picture.numbers, six[0, 0])
    assert "of 6 pages" in picture.notes[0]
    two = read_picture("test", tiff(six[0], ome=True, photometric="minisblack"))
    np.testing.assert_array_equal(two.numbers, six[0, 0])
    first, second = Image.fromarray(EIGHT), Image.fromarray(255 - EIGHT)
    gif = read_picture("test", by_pillow(first, "GIF", save_all=True, append_images=[second]))
    np.testing.assert_array_equal(gif.rgb()[..., 0], EIGHT)
    assert gif.notes == ("of 2 pictures the first was read",)


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("channels", [2, 3, 4, 5])
def test_channels_side_by_side_and_in_planes(dtype, compression, planes, channels):
    pixels = np.random.default_rng(channels).integers(0, 256, (5, 9, channels)).astype(dtype)
    pixels *= dtype == "u1" or 257
    stored = pixels if planes == "contig" else np.moveaxis(pixels, 2, 0).copy()
    kind = "rgb" if channels == 3 else "minisblack"
    source = tiff(stored, planarconfig=planes, photometric=kind, compression=compression)
    picture = read_picture("test", source)
    np.testing.assert_array_equal(picture.pixels, pixels)
    if channels == 3:
        assert (picture.colours, picture.notes) == ("rgb", ())
        return
    assert picture.colours == "channels"
    assert f"{channels} channels are no colours" in picture.notes[0]
    shown = picture.rgb()
    np.testing.assert_array_equal(shown[..., :2], pixels[..., :2])
    np.testing.assert_array_equal(shown[..., 2], pixels[..., 2] if channels > 2 else 0)


def test_opacity_of_tiff_files():
    pixels = (COLOURS >> 4 << 4).copy()
    straight = read_picture("test", tiff(pixels, photometric="rgb", extrasamples="unassalpha"))
    assert straight.alpha == "straight"
    faded = pixels[..., :3] * (pixels[..., 3:] / 65535)
    np.testing.assert_allclose(straight.rgb(), faded, atol=0.5001)
    done = read_picture("test", tiff(pixels, photometric="rgb", extrasamples="assocalpha"))
    np.testing.assert_array_equal(done.rgb(), pixels[..., :3])
    other = read_picture("test", tiff(pixels, photometric="rgb", extrasamples="unspecified"))
    np.testing.assert_array_equal(other.rgb(), pixels[..., :3])
    assert other.alpha is None


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "GIF"])
def test_palettes_have_numbers_and_colours(form):
    image = Image.fromarray(np.array([[0, 1, 2], [2, 1, 0]], np.uint8), "P")
    colours = [200, 100, 50, 0, 20, 30, 7, 8, 9]
    image.putpalette(colours)
    picture = read_picture("test", by_pillow(image, form))
    table = np.array(colours).reshape(3, 3)
    np.testing.assert_array_equal(picture.rgb(), table[[[0, 1, 2], [2, 1, 0]]])
    assert picture.colours == "palette"
    if form in ("PNG", "TIFF"):
        np.testing.assert_array_equal(picture.numbers, [[0, 1, 2], [2, 1, 0]])


def test_a_grey_that_means_transparent_stays():
    name = struct.pack(">I", 2) + b"tRNS" + struct.pack(">H", 255)
    extra = name + struct.pack(">I", zlib.crc32(name[4:]))
    picture = read_picture("test", png(EIGHT[..., None], 0, extra=extra))
    np.testing.assert_array_equal(picture.rgb()[..., 0], EIGHT)


@pytest.mark.parametrize("mark", range(1, 9))
@pytest.mark.parametrize("form", ["TIFF", "deflated", "deep", "JPEG", "PNG", "WEBP", "deep PNG"])
def test_the_cameras_mark_is_followed(tmp_path, form, mark):
    stored = np.kron(EIGHT, np.ones((8, 8), np.uint8))  # blocks, as JPEG has
    turns = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1], 5: stored.T,
        6: np.rot90(stored, -1), 7: np.rot90(stored, 2).T, 8: np.rot90(stored),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = mark
    if form == "deep PNG":
        raw = exif.tobytes()[6:]
        chunk = b"eXIf" + raw
        extra = struct.pack(">I", len(raw)) + chunk + struct.pack(">I", zlib.crc32(chunk))
        deep = np.repeat(stored[..., None].astype("u2") * 257, 3, axis=2)
        source = png(deep, 2, extra=extra)
    elif form in ("JPEG", "PNG", "WEBP"):
        options = (
            {"quality": 100} if form == "JPEG" else {"lossless": True} if form == "WEBP" else {}
        )
        source = by_pillow(stored, form, exif=exif, **options)
    else:
        deep = stored.astype("u2") * 257 if form == "deep" else stored
        source = tiff(
            deep,
            extratags=[(274, "H", 1, mark, True)],
            compression="zlib" if form == "deflated" else None,
        )
    path = tmp_path / "turned"
    path.write_bytes(source)
    shown = read_picture("test", path).scaled()[..., 0] * 255
    np.testing.assert_allclose(shown, turns[mark], atol=2 if form == "JPEG" else 1e-4)


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_printers_colours_become_light(form):
    image = Image.new("CMYK", (16, 8), (0, 255, 255, 0))  # no cyan: red
    picture = read_picture("test", by_pillow(image, form))
    assert picture.colours == "rgb"
    red, green, blue = picture.scaled().mean((0, 1))
    assert red > 0.9
    assert max(green, blue) < 0.1


# TIFF files compressed in ways for which tifffile asks for imagecodecs; Pillow reads some whole.


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
@pytest.mark.parametrize("kind", ["8 bits", "16 bits", "colours", "float", "palette", "bool"])
def test_compressed_tiff_files(kind, compression):
    image = {
        "8 bits": EIGHT, "16 bits": DEEP, "colours": (COLOURS[..., :3] >> 8).astype("u1"),
        "float": DEEP.astype("f4"), "palette": EIGHT, "bool": EIGHT > 100,
    }[kind]  # fmt: skip
    given = Image.fromarray(image)
    if kind == "palette":
        given = given.convert("P")
    picture = read_picture("test", by_pillow(given, "TIFF", compression=compression))
    np.testing.assert_array_equal(picture.numbers, image)


@pytest.mark.skipif(
    importlib.util.find_spec("imagecodecs") is not None, reason="imagecodecs is here and reads them"
)
@pytest.mark.parametrize(
    ("code", "name"), [(5, "LZW"), (34712, "JPEG2000"), (50000, "ZSTD"), (50001, "WEBP")]
)
def test_a_missing_package_is_named(code, name):
    deep = bytearray(tiff(COLOURS[..., :3], photometric="rgb", metadata=None))
    place = deep.index(struct.pack("<HHI", 259, 3, 1)) + 8  # the tag of the compression
    deep[place : place + 2] = struct.pack("<H", code)
    expected = f"16-bit numbers compressed by {name} need the package imagecodecs"
    assert try_picture(bytes(deep)) == f"{expected} (pip install imagecodecs)"


# What white is.


@pytest.mark.parametrize(("bits", "high"), [(8, 255), (10, 1000), (12, 4000), (14, 16383)])
def test_cameras_bits_are_recognised_and_told(bits, high):
    pixels = np.array([[0, high // 2, high]], "u2")
    for source in (by_pillow(pixels), tiff(pixels)):
        picture = read_picture("test", source)
        assert picture.value_range == (0, 2**bits - 1)
        assert f"taken for {bits} bits and scaled from 0 (black)" in picture.extent.note
        expected = pixels / (2**bits - 1)
        np.testing.assert_allclose(picture.scaled()[..., 0], expected, rtol=1e-6)
        np.testing.assert_allclose(picture.scaled((0, 65535))[..., 0], pixels / 65535, rtol=1e-6)
        np.testing.assert_array_equal(picture.numbers, pixels)


def test_a_range_turned_round_turns_the_picture():
    picture = read_picture("test", by_pillow(EIGHT))
    np.testing.assert_allclose(picture.scaled((255, 0))[..., 0], 1 - EIGHT / 255, atol=1e-6)
    few = read_picture("test", png(EIGHT[..., None] % 4, 0, 2))
    np.testing.assert_allclose(few.scaled((3, 0))[..., 0], 1 - EIGHT % 4 / 3, atol=1e-6)


# What cannot be read.


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"", "the file is empty"),
        (b"<html>404 not found</html>", "neither a PNG, JPEG, TIFF, BMP, WebP nor GIF image"),
        (by_pillow(DEEP)[:60], "truncated"),
        (png(COLOURS[..., :3], 2)[:90], "truncated"),
        (tiff(DEEP)[:7], "the file is truncated"),
        (tiff(DEEP)[:40], "the file is damaged"),
        (
            by_pillow(np.tile(DEEP, (90, 9)), "TIFF", compression="tiff_lzw")[:90],
            "the file is truncated",
        ),
        (tiff(DEEP, compression="zlib")[:-9] + bytes(9), "the file is damaged"),
        (tiff(np.tile(DEEP, (90, 9)), rowsperstrip=7)[:3000], "the file is truncated"),
        (tiff(np.tile(DEEP, (90, 9)), rowsperstrip=7, compression="zlib")[:2000], "truncated"),
        (tiff(np.full((2, 3), np.nan, "f4")), ""),
    ],
)
def test_damaged_files_have_a_reason(source, reason):
    found = try_picture(source)
    if reason:
        assert isinstance(found, str)
        assert re.search(reason, found), found
        assert len(found) < 120
    else:
        for value_range in (None, (0, 1)):
            with pytest.raises(DataError, match="6 of its 6 numbers are NaN or infinite"):
                found.scaled(value_range)


@pytest.mark.parametrize("seed", range(40))
def test_damage_anywhere_never_ends_the_reading_of_the_others(seed, capfd):
    rng = np.random.default_rng(seed)
    for source in (tiff(DEEP, compression="zlib"), png(COLOURS, 6), packed(TWELVE, ">")):
        damaged = bytearray(source)
        for place in rng.integers(len(damaged), size=3):
            damaged[place] = rng.integers(256)
        picture = try_picture(bytes(damaged))
        if not isinstance(picture, str):
            assert picture.eight_bits().size > 0
    assert capfd.readouterr() == ("", "")


def test_where_and_what_is_named(tmp_path):
    with pytest.raises(DataError, match=r"^here: cannot read .*gone\.png: no such file\.$"):
        read_picture("here", tmp_path / "gone.png")
    with pytest.raises(DataError, match="cannot read these 4 bytes: neither a PNG"):
        read_picture("here", b"text")
    assert try_picture(tmp_path) == "a folder"


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_very_many_pixels_are_refused(monkeypatch, form):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert try_picture(by_pillow(EIGHT, form)) == "too many pixels"
