"""Single images: PNG and JPEG files read as arrays, and arrays written as PNG files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minicnn.errors import ArgumentError, DataError
from minicnn.files import replacing

# Pillow is imported inside the functions that need it, so that `import minicnn` stays light.
if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "Size",
    "bombs_are_errors",
    "height_and_width",
    "read_image",
    "read_pixels",
    "try_to_read",
    "write_image",
]

#: Height and width in pixels: one number for both, or a pair (height, width).
Size = int | tuple[int, int]


def read_image(path: str | Path, size: Size | None = None) -> NDArray[np.float32]:
    """Read one PNG or JPEG file as RGB, float32 (H,W,3) between 0 and 1.

    Args:
        path: the file.
        size: height and width to resize to, bilinearly; the file's own size when None.

    Raises:
        DataError: the file is missing or cannot be read.
        ArgumentError: a size below 1.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_image(Path(folder, "grey.png"), np.full((9, 7, 3), 0.4))
    ...     image = read_image(Path(folder, "grey.png"), (2, 3))
    >>> image.shape, round(float(image[0, 0, 0]), 6)
    ((2, 3, 3), 0.4)
    """
    wanted = None if size is None else height_and_width("read_image", size)
    with bombs_are_errors():
        result = try_to_read(Path(path).expanduser(), wanted)
    if isinstance(result, str):
        raise DataError(f"read_image: cannot read {path}: {result}.")
    return result.astype(np.float32) / np.float32(255)


def read_pixels(where: str, path: Path, mode: str | None = None) -> NDArray[np.uint8]:
    """Return the numbers of a PNG file as they are: uint8 (H,W) of grey, (H,W,C) of colour.

    Class numbers and masks are read so, of which no colour conversion must make others.

    Args:
        where: the caller's name, for messages.
        path: the file.
        mode: Pillow's name of the mode to convert to, such as `"L"` for grey; as it is when None.

    Raises:
        DataError: the file is missing or cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as image:
            return np.array(image if mode in (None, image.mode) else image.convert(mode), np.uint8)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{where}: cannot read {path}: {error}.") from None


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
    from PIL import Image

    target = Path(path).expanduser()
    if target.suffix.lower() != ".png":
        raise ArgumentError(f"write_image: {path} must end in .png, the only format written.")
    pixels = _to_bytes(target, np.asarray(array))
    with replacing(target) as temporary:
        Image.fromarray(pixels).save(temporary, "PNG")


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


def _to_bytes(target: Path, array: NDArray[Any]) -> NDArray[np.uint8]:
    grey = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1)
    if not (grey or (array.ndim == 3 and array.shape[2] == 3)) or array.size == 0:
        raise DataError(
            f"write_image: an array of shape {array.shape} came for {target.name}; an image has "
            "the shape (H,W,3), (H,W,1) or (H,W) and at least one pixel."
        )
    if array.dtype != np.uint8:
        if array.dtype.kind != "f":
            raise DataError(
                f"write_image: an array of {array.dtype} came for {target.name}; give floats "
                "between 0 and 1, or uint8 between 0 and 255."
            )
        if np.isnan(array).any():
            raise DataError(
                f"write_image: {np.isnan(array).sum()} of the {array.size} values for "
                f"{target.name} are not numbers (NaN)."
            )
        array = np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(array.reshape(array.shape[:2]) if grey else array)


def bombs_are_errors() -> warnings.catch_warnings[None]:
    """Return a context in which Pillow refuses an image of very many pixels.

    By itself it warns, and refuses only at twice that size. To be entered by the calling thread:
    warning filters hold for all threads.
    """
    from PIL import Image

    return warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning)


def try_to_read(path: Path, size: tuple[int, int] | None) -> NDArray[np.uint8] | str:
    """Return the image, uint8 (H,W,3), or the reason why there is none, in a few words."""
    from PIL import Image, UnidentifiedImageError

    try:
        if not path.is_file():
            return "a folder" if path.is_dir() else "no such file"
        if path.stat().st_size == 0:
            return "the file is empty"
        with Image.open(path, formats=("PNG", "JPEG")) as opened:
            opened.load()
            image = _to_rgb(opened)
        if size is not None:
            height, width = size
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(image, np.uint8)
    except UnidentifiedImageError:
        return "neither a PNG nor a JPEG image"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return "too many pixels"
    except MemoryError:
        return "too large for the memory"
    # A damaged file makes the decoders raise nearly anything (SyntaxError, struct.error, ...), and
    # one of many thousand files must not end the reading of the others.
    except Exception as error:
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if "truncated" in text.lower():
            return "the file is truncated"
        return str(text).splitlines()[0].rstrip(".")


def _to_rgb(image: Image.Image) -> Image.Image:
    """Return an image of any mode as upright RGB, composited on black where it is transparent."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits of grey; Pillow would clip these at 255
        grey = np.asarray(image).astype(np.float64) / 257
        image = Image.fromarray(np.rint(grey).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        black = Image.new("RGBA", clear.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, clear)
    return image.convert("RGB")
