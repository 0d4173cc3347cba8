"""TIFF files read by tifffile; by Pillow where tifffile would need imagecodecs and Pillow is right.

Pillow 13 alone will not do: it reads uncompressed 16-bit colours in planes wrongly, keeps the upper
half of other 16-bit colours, and scrambles turned files that are opened by their path.
"""

from __future__ import annotations

import logging
import os
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from minicnn.errors import DataError
from minicnn.images.orientation import upright
from minicnn.images.picture import Extent, Picture

__all__ = ["STARTS", "read"]

#: The first four bytes of TIFF and BigTIFF files, in both byte orders.
STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
#: What Pillow reads whole: its mode, the bits of one number, whether these are signed integers.
_WHOLE = {
    ("1", 1, False),
    *((mode, 8, False) for mode in ("L", "LA", "P", "RGB", "RGBA", "CMYK")),
    *(("I;16", 16, False), ("I;16B", 16, False), ("I", 32, True), ("F", 32, False)),
}
#: The compressions that it knows: Huffman, fax, LZW, JPEG, deflate, PackBits.
_BY_PILLOW = (2, 3, 4, 5, 6, 7, 8, 32773, 32946)


def read(file: IO[bytes]) -> Picture:
    """Return the first page of a TIFF file that was opened for reading bytes."""
    from PIL import Image
    from tifffile import TiffFile

    logger = logging.getLogger("tifffile")
    if not logger.handlers:  # what is damaged is told by errors; no lines on the terminal beside
        logger.addHandler(logging.NullHandler())
    with TiffFile(file) as opened:
        if not len(opened.pages):  # their list often stands behind the numbers
            raise DataError("the file is truncated")
        page: Any = opened.pages[0]
        if page.imagelength < 1 or page.imagewidth < 1 or not page.dataoffsets:
            raise DataError("it has no pixels")
        ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=True))
        if max(ends) > file.seek(0, os.SEEK_END):  # tifffile would fill up with zeros
            raise DataError("the file is truncated")
        if Image.MAX_IMAGE_PIXELS and page.imagelength * page.imagewidth > Image.MAX_IMAGE_PIXELS:
            raise Image.DecompressionBombError
        photometric = int(page.photometric)
        pixels = _numbers(page, file)
        if pixels is None:
            pixels, photometric = _by_pillow(page, file)
        bits = 1 if pixels.dtype == bool else _first(page.bitspersample)
        notes = _count_note(opened, page)
        turned = page.tags.valueof(274, default=1)
    pixels = np.asarray(pixels.astype(pixels.dtype.newbyteorder("="), copy=False))
    if pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32)
    pixels, alpha = _split_alpha(pixels, page, photometric)
    count = pixels.shape[2] - (alpha is not None)
    palette = None
    if photometric == _WHITE_IS_ZERO:
        pixels, more = _black_is_zero(pixels, bits, str(page.software or ""))
        notes += more
    if photometric == _PALETTE and page.colormap is not None:
        colours, palette = "palette", _palette(page.colormap)
    elif photometric == _SEPARATED and count == 4 and pixels.dtype.kind == "u":
        # CMYK: what is not printed is white.
        ink = pixels[..., :4].astype(np.float64) / (2**bits - 1)
        light = (1 - ink[..., :3]) * (1 - ink[..., 3:])
        pixels = np.rint(light * (2**bits - 1)).astype(pixels.dtype)
        colours, alpha = "rgb", None
    elif count == 1:
        colours = "grey"
    elif count == 3 and photometric in (_RGB, _YCBCR):
        colours = "rgb"
    else:
        colours = "channels"
        taken = "red, green and blue" if count > 2 else "red and green"
        notes.append(
            f"{count} channels are no colours; the first {min(count, 3)} were taken for {taken}"
        )
    return Picture(
        upright(pixels, turned), bits, colours, alpha, palette, form="TIFF", notes=tuple(notes)
    )


def _first(bits: Any) -> int:
    return int(bits[0] if isinstance(bits, tuple) else bits)


def _numbers(page: Any, file: IO[bytes]) -> NDArray[Any] | None:
    """Return the numbers (H,W,C); None where tifffile would need imagecodecs."""
    bits = _first(page.bitspersample)
    if page.compression == 1 and bits not in (1, 8, 16, 32, 64) and page.sampleformat == 1:
        pixels = _unpacked(page, file, bits)
    else:
        try:
            pixels = page.asarray()
        except (ImportError, ValueError, NotImplementedError) as error:
            # Python itself has zstd from 3.14 on, elsewhere the module is missing.
            if isinstance(error, ImportError) or "imagecodecs" in str(error):
                return None
            raise
    if page.planarconfig == 2 and page.samplesperpixel > 1:
        pixels = np.moveaxis(pixels.reshape(page.samplesperpixel, *pixels.shape[-2:]), 0, 2)
    height, width = page.imagelength, page.imagewidth
    if pixels.size != height * width * page.samplesperpixel:
        raise DataError(f"a volume of shape {pixels.shape} in one page")
    return pixels.reshape(height, width, page.samplesperpixel)


def _unpacked(page: Any, file: IO[bytes], bits: int) -> NDArray[Any]:
    """Return integers that are packed without gaps but at the end of rows, as 12-bit cameras do."""
    if page.is_tiled or page.planarconfig == 2:
        raise DataError(
            f"packed integers of {bits} bits in tiles or planes need the package imagecodecs "
            f"(pip install imagecodecs)"
        )
    numbers = page.imagewidth * page.samplesperpixel
    row = (numbers * bits + 7) // 8
    data = []
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        file.seek(offset)
        data.append(file.read(count))
    stored = np.frombuffer(b"".join(data), np.uint8)
    if stored.size < row * page.imagelength:
        raise DataError("the file is truncated")
    rows = np.unpackbits(stored[: row * page.imagelength].reshape(page.imagelength, row), axis=1)
    powers = 1 << np.arange(bits - 1, -1, -1)
    integers = rows[:, : numbers * bits].reshape(-1, numbers, bits) @ powers
    kind = np.uint8 if bits < 8 else np.uint16 if bits < 16 else np.uint32
    return integers.astype(kind).reshape(page.imagelength, page.imagewidth, -1)


def _by_pillow(page: Any, file: IO[bytes]) -> tuple[NDArray[Any], int]:
    """Return what Pillow reads of a compressed file, if that is all of its numbers."""
    from PIL import Image, UnidentifiedImageError

    bits, name = _first(page.bitspersample), getattr(page.compression, "name", page.compression)
    missing = DataError(
        f"{bits}-bit numbers compressed by {name} need the package imagecodecs "
        f"(pip install imagecodecs)"
    )
    file.seek(0)
    try:
        image = Image.open(file, formats=("TIFF",))
    except UnidentifiedImageError:
        raise missing from None
    with image:
        whole = (image.mode, bits, page.sampleformat == 2) in _WHOLE
        if not whole or page.compression not in _BY_PILLOW:
            raise missing
        # Pillow turns the page when it loads it; here this comes later, for all pages alike.
        image.tag_v2[274] = 1  # type: ignore[attr-defined]
        pixels = np.array(image)
    # Of 1 and 8 bits Pillow has turned "white is zero", and it has made RGB of YCbCr.
    photometric = int(page.photometric)
    if photometric == _WHITE_IS_ZERO and bits <= 8:
        photometric = _BLACK_IS_ZERO
    return pixels.reshape(*pixels.shape[:2], -1), photometric


def _count_note(opened: Any, page: Any) -> list[str]:
    pages = len(opened.pages)
    if opened.series and opened.series[0].size and page.size:
        pages = max(pages, opened.series[0].size // page.size)
    return [f"of {pages} pages the first was read"] if pages > 1 else []


def _split_alpha(
    pixels: NDArray[Any], page: Any, photometric: int
) -> tuple[NDArray[Any], str | None]:
    """Return pixels with at most one channel of opacity, the last one, and what it is."""
    extra = tuple(int(e) for e in page.extrasamples)
    colours = {_RGB: 3, _YCBCR: 3, _SEPARATED: 4}.get(photometric, 1)
    if extra and extra[0] in (1, 2) and pixels.shape[2] > colours:
        return pixels[..., : colours + 1], "multiplied" if extra[0] == 1 else "straight"
    if extra and photometric in (_RGB, _YCBCR):
        return pixels[..., :colours], None  # unspecified, such as near infrared
    return pixels, None


def _black_is_zero(
    pixels: NDArray[Any], bits: int, software: str
) -> tuple[NDArray[Any], list[str]]:
    """Return numbers that grow with the light, where the file says that white is zero."""
    if pixels.dtype == bool and software.startswith("tifffile"):
        # So tifffile and imageio mark what they write of booleans, whose True means white.
        return pixels, [
            "this mask of booleans says that white is zero, as tifffile writes them; True was "
            "taken for white, and a value range from 1 to 0 turns this"
        ]
    if pixels.dtype.kind not in "ub":
        return pixels, ["the file says that white is zero, but its numbers were not turned"]
    top = 2**bits - 1
    if pixels.dtype != bool:
        top = int(Extent("u", bits, int(pixels.min()), int(pixels.max())).value_range[1])
    turned = ~pixels if pixels.dtype == bool else pixels.dtype.type(top) - pixels
    return turned, [
        f"the file says that white is zero, so 0 became {top} and {top} became 0; a value range "
        f"from {top} to 0 turns this"
    ]


def _palette(colormap: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return 16-bit colours (3,K) as uint8 (K,4), opaque."""
    colours = (colormap >> 8).astype(np.uint8).T
    return np.concatenate([colours, np.full((len(colours), 1), 255, np.uint8)], axis=1)
