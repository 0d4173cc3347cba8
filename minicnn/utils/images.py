"""Single images: files, Pillow's images, and arrays."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config
from minicnn.autograd.tensor import as_numpy
from minicnn.errors import ArgumentError, DataError, ShapeError, check_choice, worded
from minicnn.files import replacing
from minicnn.images import read_picture, warn_of
from minicnn.ops.sampling import middle_of

# Pillow is imported inside the functions that need it, so that `import minicnn` stays light.
if TYPE_CHECKING:
    from PIL import Image

__all__ = ["MODES", "array_to_img", "img_to_array", "load_img", "save_img"]

#: Pillow's names for Keras' colour modes.
MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}

_RESAMPLING = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def check_channels_last(where: str, data_format: str | None) -> None:
    """Refuse any axis order but channels last."""
    if data_format not in (None, "channels_last"):
        raise ArgumentError(
            f"{where}: data_format={data_format!r}, but images are channels last here."
        )


@worded
def load_img(
    path: str | Path | io.BytesIO,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Image.Image:
    """Return an image file as Pillow's image.

    PNG, JPEG, TIFF, BMP, WebP and GIF files (the first page) of 1 to 32 bits or floats, turned as
    a camera's orientation mark says. Colours have 8 bits: deeper numbers are scaled, so that their
    type's white is 255, or that of fewer bits where these hold all numbers, which a warning says.
    Grey of more than 8 bits keeps its numbers, 0 to 65535 or floats.

    Args:
        path: the file, or an open one.
        color_mode: `"rgb"` (default), `"rgba"` or `"grayscale"`.
        target_size: (height, width) to resize to; the file's own size when None.
        interpolation: `"nearest"` (default), `"bilinear"`, `"bicubic"`, `"hamming"`, `"box"` or
            `"lanczos"`.
        keep_aspect_ratio: cut out the middle in the target's proportions before resizing.

    Raises:
        DataError: the file is missing, damaged or no image.
        ArgumentError: another colour mode or interpolation.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_img(Path(folder, "a.png"), np.ones((4, 6, 3)))
    ...     load_img(Path(folder, "a.png"), target_size=(2, 5)).size  # Pillow's (width, height)
    (5, 2)
    """
    from PIL import Image

    mode = MODES[check_choice("load_img", "color_mode", color_mode, MODES)]
    method = check_choice("load_img", "interpolation", interpolation, _RESAMPLING)
    source = path.getvalue() if isinstance(path, io.BytesIO) else path
    name = "these bytes" if isinstance(path, io.BytesIO) else path
    picture = read_picture("load_img", source)
    if mode == "L" and picture.colours == "grey" and picture.bits > 8:
        image = _deep_grey(picture.numbers)
    else:
        try:
            image = picture.pillow(mode)
        except DataError as error:
            raise DataError(f"load_img: cannot read {name}: {error}.") from None
    keeping = (
        'datasets.read_image takes a value_range, and color_mode="grayscale" keeps the numbers'
    )
    warn_of(name, picture, keeping if image.mode == mode else "")
    if target_size is None:
        return image
    height, width = target_size
    if keep_aspect_ratio:
        top, left, tall, wide = middle_of((image.height, image.width), (height, width))
        image = image.crop((left, top, left + wide, top + tall))
    if (image.width, image.height) == (width, height):
        return image
    return image.resize((width, height), Image.Resampling[method.upper()])


def _deep_grey(numbers: NDArray[Any]) -> Image.Image:
    """Return grey (H,W) as Pillow's image of 16-bit or 32-bit integers, or of floats."""
    from PIL import Image

    if numbers.dtype.kind == "f" or numbers.max() >= 2**31:
        return Image.fromarray(numbers.astype(np.float32))
    deep = numbers.min() >= 0 and numbers.max() < 2**16  # which PNG files can hold
    return Image.fromarray(numbers.astype(np.uint16 if deep else np.int32))


@worded
def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> NDArray[Any]:
    """Return an image as an array (H,W,C) of `config.floatx()`; grey gets a channel axis.

    Args:
        img: Pillow's image, or an array (H,W) or (H,W,C).
        data_format: `"channels_last"`, the only one.
        dtype: element type.

    Raises:
        ShapeError: another number of axes.

    >>> img_to_array(np.zeros((2, 3))).shape
    (2, 3, 1)
    """
    check_channels_last("img_to_array", data_format)
    array = as_numpy(img, dtype or config.floatx())
    if array.ndim not in (2, 3):
        raise ShapeError(
            f"img_to_array: img has shape {array.shape}, but must be (H,W) or (H,W,C)."
        )
    return array[..., None] if array.ndim == 2 else array


@worded
def array_to_img(
    x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None
) -> Image.Image:
    """Return an array (H,W,C) of 1, 3 or 4 channels as Pillow's image.

    Args:
        x: the array.
        data_format: `"channels_last"`, the only one.
        scale: stretch the values to 0 to 255, default True; else they are cut to whole numbers from
            0 to 255; grey whole numbers above 255, such as those of objects, stay.
        dtype: type in which this is computed, default `config.floatx()`.

    Raises:
        ShapeError: another number of axes or channels.
        DataError: some values are no numbers.

    >>> array_to_img(np.ones((2, 3, 1)), scale=False).size  # Pillow's (width, height)
    (3, 2)
    """
    from PIL import Image

    check_channels_last("array_to_img", data_format)
    array = np.array(as_numpy(x), dtype=dtype or config.floatx())
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ShapeError(
            f"array_to_img: x has shape {array.shape}, but must be (H,W,C) with 1, 3 or 4 channels."
        )
    if not np.isfinite(array).all():
        raise DataError(
            f"array_to_img: x holds NaN or infinity in {(~np.isfinite(array)).sum()} of "
            f"{array.size} values; replace these, as by numpy.nan_to_num."
        )
    if scale:
        array -= array.min()
        largest = array.max()
        array *= 255 / largest if largest else 1
    elif array.shape[2] == 1 and array.max() > 255 and (array % 1 == 0).all():
        return _deep_grey(array[..., 0].astype(np.int64))
    pixels = array.clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


@worded
def save_img(
    path: str | Path,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array (H,W,C) as an image file, whole or not at all.

    Args:
        path: the file; a file of this name is replaced.
        x: the array.
        data_format: `"channels_last"`, the only one.
        file_format: such as `"png"`; by the file's ending when None.
        scale: stretch the values to 0 to 255, default True.
        kwargs: more for Pillow's `save`.

    Raises:
        ShapeError: another number of axes or channels than `array_to_img` takes.
        OutputError: the file cannot be written.
    """
    image = array_to_img(x, data_format, scale)
    if image.mode == "RGBA" and (file_format or Path(path).suffix[1:]).lower() in ("jpg", "jpeg"):
        image = image.convert("RGB")  # JPEG has no transparency
    kind = "jpeg" if (file_format or "").lower() == "jpg" else file_format
    with replacing(Path(path).expanduser()) as temporary:
        image.save(temporary, format=kind, **kwargs)
