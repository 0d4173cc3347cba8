"""An image written as another one is: its format, its bits, its range."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minicnn.errors import DataError
from minicnn.files import replacing
from minicnn.images.picture import Picture, Range

__all__ = ["ending_of", "write_picture"]

#: The endings of the formats that are written; pictures of others are written as PNG.
_ENDINGS = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "BMP": ".bmp", "WEBP": ".webp"}
_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
}


def ending_of(like: Picture) -> str:
    """Return the ending of the file that `write_picture` writes, such as `".tif"`.

    It is the picture's own format, but PNG for GIF files, which hold 256 colours, and rare formats.
    """
    return _ENDINGS.get(like.form, ".png")


def write_picture(
    path: str | Path,
    array: ArrayLike,
    like: Picture,
    value_range: Range | None = None,
    where: str = "write_picture",
) -> None:
    """Write an array between 0 and 1 as a file like another one, whole or not at all.

    The format is that of `ending_of(like)`, whatever `path` ends in. Numbers have the type of
    `like`, from its black to its white: 12-bit data stay so in their 16 bits, floats stay floats;
    fewer than 8 bits become 8. Grey stays grey, the mean of three channels. Opacity is lost.

    Args:
        path: the file; a file of this name is replaced.
        array: (H,W,3), (H,W,1) or (H,W), cut off at 0 and 1.
        like: the picture, from `read_picture`.
        value_range: the numbers of black and white, by default `like.value_range`.
        where: the caller's name, for messages.

    Raises:
        DataError: another shape, no pixels, or values that are not numbers.
        OutputError: the file cannot be written.

    >>> import tempfile
    >>> from minicnn.images import read_picture
    >>> deep = Picture(np.array([[[0], [300], [4095]]], np.uint16), 16, "grey", form="PNG")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_picture(Path(folder, "a.png"), deep.scaled(), deep)
    ...     read_picture("here", Path(folder, "a.png")).numbers.tolist()
    [[0, 300, 4095]]
    """
    target = Path(path).expanduser()
    values = np.asarray(array, np.float64)
    values = values[..., None] if values.ndim == 2 else values
    if values.ndim != 3 or values.shape[2] not in (1, 3) or values.size == 0:
        raise DataError(
            f"{where}: an array of shape {np.shape(array)} came for {target.name}; an image "
            "has the shape (H,W,3), (H,W,1) or (H,W) and at least one pixel."
        )
    if np.isnan(values).any():
        raise DataError(
            f"{where}: {np.isnan(values).sum()} of the {values.size} values for "
            f"{target.name} are not numbers (NaN)."
        )
    values = np.clip(values, 0, 1)
    if like.colours == "grey":
        values = values.mean(axis=2, keepdims=True)
    kind = like.pixels.dtype
    if like.palette is not None or kind.kind == "b" or like.bits < 8:
        kind, black, white = np.dtype(np.uint8), 0.0, 255.0
    else:
        black, white = like.value_range if value_range is None else value_range
    values = black + values * (white - black)
    pixels = (values if kind.kind == "f" else np.rint(values)).astype(kind)
    with replacing(target) as temporary:
        _write(temporary, pixels[..., 0] if pixels.shape[2] == 1 else pixels, like.form)


def _write(path: Path, pixels: NDArray[Any], form: str) -> None:
    from PIL import Image

    if form == "TIFF":
        import tifffile

        kind = "minisblack" if pixels.ndim == 2 else "rgb"
        tifffile.imwrite(path, pixels, photometric=kind, compression="zlib", metadata=None)
    elif pixels.dtype == np.uint16:
        path.write_bytes(_png(pixels))
    else:
        Image.fromarray(pixels).save(
            path, form if form in _ENDINGS else "PNG", **_OPTIONS.get(form, {})
        )


def _png(pixels: NDArray[np.uint16]) -> bytes:
    """Return 16-bit grey (H,W) or colours (H,W,3) as a PNG file; Pillow writes 8-bit colours alone.

    Source: the PNG specification, 3rd edition, W3C 2025.
    """
    height, width = pixels.shape[:2]
    rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    # Filter 2: of each byte what it is more than the one above it, which is mostly little.
    rows = np.concatenate([rows[:1], rows[1:] - rows[:-1]])
    filtered = np.concatenate([np.full((height, 1), 2, np.uint8), rows], axis=1)
    colours = 0 if pixels.ndim == 2 else 2
    header = struct.pack(">IIBBBBB", width, height, 16, colours, 0, 0, 0)
    text = b"\x89PNG\r\n\x1a\n"
    for name, data in (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(filtered.tobytes())),
        (b"IEND", b""),
    ):
        check = struct.pack(">I", zlib.crc32(name + data))
        text += struct.pack(">I", len(data)) + name + data + check
    return text
