"""The names of `tf.image`, for one image (H,W,C) or several (N,H,W,C); reading image files."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd.tensor import Tensor, alongside, as_numpy, constant, convert_to_tensor
from minicnn.errors import ArgumentError, check_choice
from minicnn.tensorflow.random import generator


def _on_images(function: Callable[[Tensor], Tensor], image: Any) -> Tensor:
    x = convert_to_tensor(image)
    if x.ndim == 4:
        return function(x)
    y = function(ops.reshape(x, (1, *x.shape)))
    return ops.reshape(y, y.shape[1:])


def resize(images: Any, size: Sequence[int], method: str = "bilinear") -> Tensor:
    """Return images at another (height, width), by `"bilinear"` or `"nearest"` interpolation."""
    method = check_choice("image.resize", "method", method, ["bilinear", "nearest"])
    # TensorFlow keeps the type of nearest pixels, and gives float32 for means of several.
    x = convert_to_tensor(images)
    y = _on_images(lambda i: ops.resize2d(i, tuple(as_numpy(size)), method), x)
    return ops.cast(y, x.dtype) if method == "nearest" else y


def flip_left_right(image: Any) -> Tensor:
    """Return images with their columns in reverse order."""
    return _on_images(lambda x: x[:, :, ::-1], image)


def flip_up_down(image: Any) -> Tensor:
    """Return images with their rows in reverse order."""
    return _on_images(lambda x: x[:, ::-1], image)


def _flipped_at_random(image: Any, flip: Callable[[Any], Tensor], seed: int | None) -> Tensor:
    def some(x: Tensor) -> Tensor:
        chosen = generator(seed).random((len(x), 1, 1, 1)) < 0.5
        return ops.where(alongside(chosen, x), flip(x), x)

    return _on_images(some, image)


def random_flip_left_right(image: Any, seed: int | None = None) -> Tensor:
    """Return images, each flipped left to right with probability 1/2."""
    return _flipped_at_random(image, flip_left_right, seed)


def random_flip_up_down(image: Any, seed: int | None = None) -> Tensor:
    """Return images, each turned upside down with probability 1/2."""
    return _flipped_at_random(image, flip_up_down, seed)


def adjust_brightness(image: Any, delta: float) -> Tensor:
    """Return float images with `delta` added to every number."""
    return ops.add(image, delta)


def adjust_contrast(images: Any, contrast_factor: float) -> Tensor:
    """Return images with the distances from each channel's mean multiplied by a factor."""

    def stretched(x: Tensor) -> Tensor:
        mean = ops.mean(x, (1, 2), keepdims=True)
        return (x - mean) * contrast_factor + mean

    return _on_images(stretched, images)


def rgb_to_grayscale(images: Any) -> Tensor:
    """Return 0.2989 red + 0.587 green + 0.114 blue: (...,3) to (...,1)."""
    x = convert_to_tensor(images)
    weights = [[0.2989], [0.587], [0.114]]
    if x.dtype.kind == "f":
        return ops.matmul(x, alongside(weights, x, x.dtype))
    return Tensor((x.data @ alongside(weights, x, "float64").data).astype(x.dtype))


def central_crop(image: Any, central_fraction: float) -> Tensor:
    """Return the middle of images, with this share of the height and of the width."""

    def middle(x: Tensor) -> Tensor:
        top, left = (int((n - n * central_fraction) / 2) for n in x.shape[1:3])
        return x[:, top : x.shape[1] - top, left : x.shape[2] - left]

    return _on_images(middle, image)


def convert_image_dtype(image: Any, dtype: Any) -> Tensor:
    """Return images in another type: integers span their whole range, floats 0 to 1."""
    x, kind = convert_to_tensor(image), np.dtype(dtype)
    if x.dtype.kind in "iu" and kind.kind == "f":
        return ops.cast(x, kind) * (1.0 / np.iinfo(x.dtype).max)
    if x.dtype.kind == "f" and kind.kind in "iu":
        top = np.iinfo(kind).max
        return Tensor(np.clip(x.data * (top + 0.5), np.iinfo(kind).min, top).astype(kind))
    return ops.cast(x, kind)


def read_file(filename: Any) -> bytes:
    """Return the bytes of a file."""
    return Path(str(filename)).read_bytes()


def decode_image(contents: bytes, channels: int = 0) -> Tensor:
    """Return an encoded image (PNG, JPEG, ...) as uint8 (H,W,channels).

    Args:
        contents: the bytes of a file, from `read_file`.
        channels: 1 grey, 3 colours, 4 with opacity, or 0 (default) as the file has it.
    """
    from PIL import Image

    modes = {0: None, 1: "L", 3: "RGB", 4: "RGBA"}
    if channels not in modes:
        raise ArgumentError(f"decode_image: channels={channels!r}, but it must be 0, 1, 3 or 4.")
    with Image.open(io.BytesIO(contents)) as file:
        mode = modes[channels] or (file.mode if file.mode in ("L", "RGB", "RGBA") else "RGB")
        pixels = np.array(file.convert(mode), "uint8")
    return constant(pixels if pixels.ndim == 3 else pixels[..., None])


def decode_png(contents: bytes, channels: int = 0) -> Tensor:
    """Return an encoded image as uint8 (H,W,channels); see `decode_image`."""
    return decode_image(contents, channels)


def decode_jpeg(contents: bytes, channels: int = 0) -> Tensor:
    """Return an encoded image as uint8 (H,W,channels); see `decode_image`."""
    return decode_image(contents, channels)
