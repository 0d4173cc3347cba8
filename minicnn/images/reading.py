"""Image files read as pictures: by Pillow, and TIFF files by tifffile.

Formats are told by the files' first bytes, not by their endings.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from minicnn.errors import DataError, ImageWarning, warn_user
from minicnn.images import tiff
from minicnn.images.orientation import upright
from minicnn.images.picture import Picture

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["FORMATS", "read_picture", "try_picture", "warn_of"]

#: Pillow's names of the formats that are read, beside TIFF.
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "WEBP", "PPM", "JPEG2000", "TGA", "ICO", "AVIF")
_ORIENTATION = 0x0112  # a camera's mark, how the picture has to be turned


def read_picture(where: str, source: str | Path | bytes | bytearray | memoryview) -> Picture:
    """Return a file, or the bytes of one, as a picture: the first one, if it holds several.

    Args:
        where: the caller's name, for messages.
        source: the file, or its bytes.

    Raises:
        DataError: it is missing, damaged, no image, or of a kind that cannot be read.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     deep = Image.fromarray(np.array([[1, 300, 40000]], np.uint16))
    ...     deep.save(Path(folder, "deep.png"))
    ...     picture = read_picture("here", Path(folder, "deep.png"))
    >>> picture.pixels.dtype, picture.numbers.tolist(), picture.bits, picture.form
    (dtype('uint16'), [[1, 300, 40000]], 16, 'PNG')
    """
    result = try_picture(source)
    if isinstance(result, str):
        name = f"these {len(source)} bytes" if not isinstance(source, str | Path) else source
        raise DataError(f"{where}: cannot read {name}: {result}.")
    return result


def try_picture(source: str | Path | bytes | bytearray | memoryview) -> Picture | str:
    """Return the picture, or the reason why there is none, in a few words.

    One of many thousand files must not end the reading of the others.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        if isinstance(source, bytes | bytearray | memoryview):
            return _read(io.BytesIO(source), len(source))
        path = Path(source).expanduser()
        if not path.is_file():
            return "a folder" if path.is_dir() else "no such file"
        # By file object: a path is mapped into memory, which scrambles turned TIFF files.
        with path.open("rb") as file:
            return _read(file, path.stat().st_size)
    except UnidentifiedImageError:
        return "neither a PNG, JPEG, TIFF, BMP, WebP nor GIF image"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return "too many pixels"
    except MemoryError:
        return "too large for the memory"
    # A damaged file makes the decoders raise nearly anything (SyntaxError, struct.error, ...).
    except Exception as error:
        said = error.strerror if isinstance(error, OSError) else None
        text = str(said or str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        if "truncated" in text.lower() or "buffer of" in text:  # struct: fewer bytes than a number
            return "the file is truncated"
        worded = said or isinstance(error, DataError)
        return text if worded else f"the file is damaged or of an unknown kind ({text[:45]})"


def _read(file: IO[bytes], size: int) -> Picture:
    from PIL import Image

    if size == 0:
        raise DataError("the file is empty")
    start = file.read(32)
    file.seek(0)
    if start[:4] in tiff.STARTS:
        return tiff.read(file)
    with Image.open(file, formats=FORMATS) as image:
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and image.width * image.height > limit:
            raise Image.DecompressionBombError
        return _from_pillow(image, file, start)


def _from_pillow(image: Image.Image, file: IO[bytes], start: bytes) -> Picture:
    """Return the picture in an opened image; `start` are the file's first bytes."""
    form = "JPEG" if image.format == "MPO" else str(image.format)
    frames = getattr(image, "n_frames", 1)
    # A telephone's JPEG file has a second picture for its depth or preview.
    notes = (
        [f"of {frames} pictures the first was read"] if frames > 1 and image.format != "MPO" else []
    )
    turned = image.getexif().get(_ORIENTATION, 1)
    # A PNG file's header: bits of one number; 0 grey, 2 colours, 3 palette, 4 and 6 with opacity.
    bits, kind = (start[24], start[25]) if form == "PNG" else (8, -1)
    if form == "PNG" and bits == 16 and kind != 0:
        file.seek(0)
        pixels = _deep(file.read(), image.mode, kind)
        colours = "rgb" if pixels.shape[2] > 2 else "grey"
        alpha = "straight" if pixels.shape[2] in (2, 4) else None
        return Picture(upright(pixels, turned), 16, colours, alpha, form=form, notes=tuple(notes))
    image.load()
    palette = alpha = None
    colours = "grey"
    if image.mode == "P":
        palette, colours = _palette(image), "palette"
    elif image.mode in ("LA", "La", "RGBA", "RGBa"):
        alpha = "multiplied" if image.mode.endswith("a") else "straight"
        colours = "rgb" if image.mode.startswith("RGB") else "grey"
    elif image.mode == "CMYK" or (image.mode not in ("1", "L", "I", "F") and image.mode[0] != "I"):
        image, colours = image.convert("RGB"), "rgb"
    pixels = np.array(image)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.dtype == bool:
        bits = 1
    elif pixels.dtype != np.uint8:
        if pixels.dtype == np.int32 and pixels.min() >= 0 and pixels.max() < 2**16:
            pixels = pixels.astype(np.uint16)  # such as a PGM file of 16 bits
        bits = pixels.dtype.itemsize * 8
    elif kind == 0 and bits < 8:
        pixels //= 255 // (2**bits - 1)  # as they stand in the file; Pillow spreads them
    else:
        bits = 8
    pixels = pixels.reshape(*pixels.shape[:2], -1)  # (H,W,C)
    return Picture(
        upright(pixels, turned), bits, colours, alpha, palette, form=form, notes=tuple(notes)
    )


def _deep(data: bytes, mode: str, kind: int) -> NDArray[np.uint16]:
    """Return the numbers of a PNG file of 16-bit colours or 16-bit grey with opacity, (H,W,C).

    Of these Pillow keeps the upper eight bits alone. Unpacked as if the lower byte came first,
    its upper bytes are the file's lower ones.
    """
    if kind == 4:  # grey and opacity: four bytes for each pixel, as RGBA has
        four = _unpacked(data, "RGBA")
        pairs = four.reshape(*four.shape[:2], 2, 2)
        return np.asarray(pairs[..., 0].astype(np.uint16) << 8 | pairs[..., 1], np.uint16)
    upper, lower = _unpacked(data, f"{mode};16B"), _unpacked(data, f"{mode};16L")
    return np.asarray(upper.astype(np.uint16) << 8 | lower, np.uint16)


def _unpacked(data: bytes, raw: str) -> NDArray[np.uint8]:
    """Return a PNG file's pixels, their bytes unpacked as Pillow's raw mode says."""
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.tile = [tile._replace(args=raw) for tile in image.tile]
        return np.array(image)


def _palette(image: Image.Image) -> NDArray[np.uint8]:
    """Return the colours of a palette as uint8 (256,4); of numbers beyond it, opaque black."""
    colours = np.zeros((256, 4), np.uint8)
    colours[:, 3] = 255
    given = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    colours[: len(given), :3] = given
    clear = image.info.get("transparency")
    if isinstance(clear, bytes):
        colours[: len(clear), 3] = np.frombuffer(clear, np.uint8)
    elif isinstance(clear, int):
        colours[clear, 3] = 0
    return colours


def warn_of(path: str | Path, picture: Picture, otherwise: str = "") -> None:
    """Warn of what the reader decided about a file, in the name of the caller's caller.

    Args:
        path: the file.
        picture: what was read.
        otherwise: how to scale its numbers in another way, where they were scaled by its own
            `value_range`.
    """
    notes = list(picture.notes)
    if otherwise and picture.extent.note:
        notes.append(f"{picture.extent.note}; {otherwise}")
    if notes:
        warn_user(f"{path}: {'; '.join(notes)}.", ImageWarning)
