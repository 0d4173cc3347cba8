"""The names of `tf.io` that read image files: their bytes, and the pixels in these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.autograd.tensor import Tensor, constant
from minicnn.errors import ArgumentError, ImageWarning, warn_user
from minicnn.images import Picture, read_picture, scale

__all__ = ["decode_image", "decode_jpeg", "decode_png", "read_file"]


def read_file(filename: Any) -> bytes:
    """Return the bytes of a file."""
    return Path(str(filename)).read_bytes()


def decode_image(contents: bytes, channels: int | None = 0, dtype: Any = "uint8") -> Tensor:
    """Return an encoded image (PNG, JPEG, TIFF, BMP, WebP, GIF) as an array (H,W,channels).

    Of 16 bits uint8 keeps the upper eight, and uint16 all; of files of several pictures the first
    is read, and a camera's orientation mark is followed.

    Args:
        contents: the bytes of a file, from `read_file`.
        channels: 1 grey, 3 colours, 4 with opacity, or 0 (default) or None as the file has it,
            which are 2 for grey with opacity.
        dtype: `uint8` (default), `uint16`, or `float32` from 0 to 1.

    Raises:
        ArgumentError: another number of channels or type.
        DataError: bytes of no image, or of a damaged one.
    """
    return _decoded("decode_image", contents, channels, dtype, ("uint8", "uint16", "float32"))


def decode_png(contents: bytes, channels: int = 0, dtype: Any = "uint8") -> Tensor:
    """Return an encoded image as uint8 (the upper eight bits of 16) or uint16: `decode_image`."""
    return _decoded("decode_png", contents, channels, dtype, ("uint8", "uint16"))


def decode_jpeg(contents: bytes, channels: int = 0) -> Tensor:
    """Return an encoded image as uint8 (H,W,channels); see `decode_image`."""
    return _decoded("decode_jpeg", contents, channels, "uint8", ("uint8",))


def _decoded(
    where: str, contents: bytes, channels: int | None, dtype: Any, kinds: tuple[str, ...]
) -> Tensor:
    if channels not in (None, 0, 1, 3, 4):
        raise ArgumentError(f"{where}: channels={channels!r}, but it must be 0, 1, 3 or 4.")
    kind = np.dtype(dtype)
    if kind.name not in kinds:
        raise ArgumentError(f"{where}: dtype={kind.name}, but it must be {' or '.join(kinds)}.")
    picture = read_picture(where, contents)
    pixels = _with_channels(_whole(picture), channels or 0, picture.form)
    notes = list(picture.notes)
    extent = picture.extent
    if extent.kind == "u" and kind == np.uint8 and extent.bits == 16 and 0 < extent.high < 4096:
        notes.append(
            f"its 16-bit numbers reach {extent.high:.0f} of 65535, so their upper eight bits are "
            f"nearly black; decode_png(contents, dtype=tf.uint16) keeps the numbers"
        )
    if notes:
        warn_user(f"{where}: {'; '.join(notes)}.", ImageWarning)
    if kind == np.uint8:
        pixels = pixels >> 8 if pixels.dtype == np.uint16 else pixels
    elif kind == np.uint16:
        pixels = pixels if pixels.dtype == np.uint16 else pixels.astype(np.uint16) * np.uint16(257)
    else:
        pixels = pixels / np.float32(np.iinfo(pixels.dtype).max)
    return constant(pixels.astype(kind))


def _whole(picture: Picture) -> NDArray[Any]:
    """Return all channels as uint8 or uint16 over the whole range of these."""
    pixels = picture.pixels
    if picture.palette is not None or (picture.bits <= 8 and pixels.dtype.kind in "ub"):
        return picture.eight_bits()
    if pixels.dtype == np.uint16 and picture.bits == 16:
        return pixels
    return np.rint(scale(pixels, picture.value_range) * 65535).astype(np.uint16)


def _with_channels(pixels: NDArray[Any], channels: int, form: str) -> NDArray[Any]:
    if channels in (0, pixels.shape[2]):
        return pixels
    opaque = np.full((*pixels.shape[:2], 1), np.iinfo(pixels.dtype).max, pixels.dtype)
    colours, opacity = pixels, opaque
    if pixels.shape[2] in (2, 4):
        colours, opacity = pixels[..., :-1], pixels[..., -1:]
    if channels == 1:
        return colours if colours.shape[2] == 1 else _grey(colours[..., :3], form)
    if colours.shape[2] == 1:
        colours = np.repeat(colours, 3, axis=2)
    return np.concatenate([colours[..., :3], opacity], axis=2)[..., :channels]


def _grey(colours: NDArray[Any], form: str) -> NDArray[Any]:
    """Return 0.299 red + 0.587 green + 0.114 blue, in the whole numbers of the decoders.

    libpng rounds 8 bits down and 16 bits to the nearest; the brightness of JPEG is the nearest.
    """
    weights = (19595, 38470, 7471) if form == "JPEG" else (9797 * 2, 19234 * 2, 3737 * 2)
    half = 0 if form != "JPEG" and colours.dtype == np.uint8 else 1 << 15
    grey = (colours.astype(np.int64) @ np.array(weights) + half) >> 16
    return grey.astype(colours.dtype)[..., None]
