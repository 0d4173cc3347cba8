"""Single images: files read as RGB between 0 and 1, and arrays written as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minicnn.errors import ArgumentError, DataError, worded
from minicnn.images import Picture, Range, read_picture, warn_of, write_picture

__all__ = ["Size", "check_value_range", "height_and_width", "read_image", "write_image"]

#: Height and width in pixels: one number for both, or a pair (height, width).
Size = int | tuple[int, int]


@worded
def read_image(
    path: str | Path, size: Size | None = None, value_range: Range | None = None
) -> NDArray[np.float32]:
    """Read one image file as RGB, float32 (H,W,3) between 0 and 1.

    PNG, JPEG, TIFF, BMP, WebP and GIF files (the first page) of 1 to 32 bits or floats; grey comes
    three times, transparent parts become black, and a camera's orientation mark is followed. What
    has to be decided, such as which number of a 12-bit camera is white, is told by a warning.

    Args:
        path: the file.
        size: height and width to resize to, bilinearly; the file's own size when None.
        value_range: the numbers in the file that are black and white, such as `(0, 4095)`; the
            reversed pair turns light and dark. By default that of the numbers' type, or of fewer
            bits where these hold all numbers.

    Raises:
        DataError: the file is missing or cannot be read.
        ArgumentError: a size below 1, or a value range of two equal numbers.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_image(Path(folder, "grey.png"), np.full((9, 7, 3), 0.4))
    ...     image = read_image(Path(folder, "grey.png"), (2, 3))
    ...     dark = read_image(Path(folder, "grey.png"), value_range=(255, 0))
    >>> image.shape, round(float(image[0, 0, 0]), 6), round(float(dark[0, 0, 0]), 6)
    ((2, 3, 3), 0.4, 0.6)
    """
    wanted = None if size is None else height_and_width("read_image", size)
    value_range = check_value_range("read_image", value_range)
    picture = read_picture("read_image", path)
    try:
        pixels = picture.scaled(value_range, wanted)
    except DataError as error:
        raise DataError(f"read_image: cannot read {path}: {error}.") from None
    keeping = f"value_range={picture.extent.whole} takes the whole type"
    warn_of(path, picture, keeping if value_range is None else "")
    return pixels


def check_value_range(where: str, value_range: Any) -> Range | None:
    """Return None, or the numbers for black and white as a pair of floats that differ."""
    if value_range is None:
        return None
    try:
        black, white = map(float, value_range)
        fits = black != white and np.isfinite([black, white]).all()
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ArgumentError(
            f"{where}: value_range={value_range!r} must be two numbers that differ, those of black "
            "and white, such as (0, 4095)."
        )
    return black, white


def write_image(path: str | Path, array: ArrayLike) -> None:
    """Write an array as a PNG file, whole or not at all.

    Floats are clipped to 0..1 and rounded to the nearest of 256 steps; uint8 is written as it is.

    Args:
        path: the file, ending in `.png`; a file of this name is replaced.
        array: (H,W,3) for colour, (H,W,1) or (H,W) for grey.

    Raises:
        ArgumentError: another ending than `.png`.
        DataError: another shape or type, no pixels, or values that are not numbers.
        OutputError: the file cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_image(Path(folder, "wide.png"), [[[0.0, 0.5, 1.5]] * 4])
    ...     (read_image(Path(folder, "wide.png"))[0, 0] * 255).tolist()
    [0.0, 128.0, 255.0]
    """
    if Path(path).suffix.lower() != ".png":
        raise ArgumentError(f"write_image: {path} must end in .png, the only format written.")
    values = np.asarray(array)
    if values.dtype == np.uint8:
        values = values / 255
    elif values.dtype.kind != "f":
        raise DataError(
            f"write_image: an array of {values.dtype} came for {Path(path).name}; give floats "
            "between 0 and 1, or uint8 between 0 and 255."
        )
    like = Picture(np.zeros((1, 1, 3), np.uint8), 8, "rgb", form="PNG")
    write_picture(path, values, like, where="write_image")


def height_and_width(where: str, size: Any) -> tuple[int, int]:
    """Return `size`, a number or a pair (height, width), as a pair of positive integers.

    >>> height_and_width("load_cell_images", 64), height_and_width("load_cell_images", (32, 48))
    ((64, 64), (32, 48))
    """
    pair = (size, size) if isinstance(size, int | np.integer) else size
    try:
        height, width = pair
        fits = int(height) == height >= 1 and int(width) == width >= 1
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ArgumentError(
            f"{where}: size={size!r} must be a number of pixels or a pair (height, width), "
            "each 1 or more, such as 64 or (48, 64)."
        )
    return int(height), int(width)
