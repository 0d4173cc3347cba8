"""The names of `tf.image`, for one image (H,W,C) or several (N,H,W,C)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd.tensor import Tensor, alongside, as_numpy, convert_to_tensor
from minicnn.errors import ArgumentError, check_choice, suggest_attributes
from minicnn.ops.sampling import whole_in
from minicnn.tensorflow.image_files import decode_image as decode_image
from minicnn.tensorflow.image_files import decode_jpeg as decode_jpeg
from minicnn.tensorflow.image_files import decode_png as decode_png
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


def _in_its_range(function: Callable[[Tensor], Tensor], image: Any) -> Tensor:
    """Return a function of float images, of integers from 0 to 1 and back in their own type."""
    x = convert_to_tensor(image)
    if x.dtype.kind == "f":
        return function(x)
    y = function(convert_image_dtype(x, "float32"))
    return convert_image_dtype(y, x.dtype, saturate=True)


def adjust_brightness(image: Any, delta: float) -> Tensor:
    """Return images with `delta` added, which is a share of the range: of uint8 0.1 is 25.5.

    Integers keep their type, and are cut off at its ends.
    """
    return _in_its_range(lambda x: ops.add(x, x.dtype.type(as_numpy(delta))), image)


def random_brightness(image: Any, max_delta: float, seed: int | None = None) -> Tensor:
    """Return images with one number from -max_delta to max_delta added; see `adjust_brightness`."""
    if not max_delta >= 0:
        raise ArgumentError(f"random_brightness: max_delta={max_delta!r}, but it must be >= 0.")
    return adjust_brightness(image, generator(seed).uniform(-max_delta, max_delta))


def adjust_contrast(images: Any, contrast_factor: float) -> Tensor:
    """Return images with the distances from each channel's mean multiplied by a factor.

    Integers keep their type, and are cut off at its ends.
    """

    def stretched(x: Tensor) -> Tensor:
        mean = ops.mean(x, (-3, -2), keepdims=True)
        return (x - mean) * x.dtype.type(as_numpy(contrast_factor)) + mean

    return _in_its_range(stretched, images)


def random_contrast(image: Any, lower: float, upper: float, seed: int | None = None) -> Tensor:
    """Return images with one factor from lower to upper of contrast; see `adjust_contrast`."""
    if not 0 <= lower < upper:
        raise ArgumentError(
            f"random_contrast: lower={lower!r} must be >= 0 and below upper={upper!r}."
        )
    return adjust_contrast(image, generator(seed).uniform(lower, upper))


def rgb_to_grayscale(images: Any) -> Tensor:
    """Return 0.2989 red + 0.587 green + 0.114 blue in the images' type: (...,3) to (...,1)."""
    x = convert_to_tensor(images)
    floats = x if x.dtype.kind == "f" else convert_image_dtype(x, "float32")
    weights = alongside([[0.2989], [0.587], [0.114]], floats, floats.dtype)
    return convert_image_dtype(ops.matmul(floats, weights), x.dtype)


def grayscale_to_rgb(images: Any) -> Tensor:
    """Return grey images three times: (...,1) to (...,3)."""
    x = convert_to_tensor(images)
    return ops.concatenate([x, x, x], -1)


def per_image_standardization(image: Any) -> Tensor:
    """Return images less their mean, divided by their standard deviation, as floats.

    The deviation of an image of n numbers is taken to be at least 1 / sqrt(n), so that an even one
    becomes zeros.
    """
    x = convert_to_tensor(image)
    x = x if x.dtype.kind == "f" else ops.cast(x, "float32")
    axes = (-3, -2, -1)
    spread = ops.sqrt(ops.variance(x, axes, keepdims=True))
    least = x.dtype.type(np.prod(x.shape[-3:]) ** -0.5)
    return (x - ops.mean(x, axes, keepdims=True)) / ops.maximum(spread, least)


def rot90(image: Any, k: int = 1) -> Tensor:
    """Return images turned k quarters to the left."""

    def turned(x: Tensor) -> Tensor:
        if k % 2:
            x = ops.transpose(x, (0, 2, 1, 3))
        down, across = (-1 if k % 4 in (1, 2) else 1), (-1 if k % 4 in (2, 3) else 1)
        return x[:, ::down, ::across]

    return _on_images(turned, image)


def psnr(a: Any, b: Any, max_val: float) -> Tensor:
    """Return 10 log10(max_val**2 / mean((a - b)**2)) in decibels, of each image."""
    # The smallest of each pair's shape and the largest possible distance, in the type's range.
    x, y = (convert_to_tensor(image) for image in (a, b))
    top = convert_image_dtype(np.asarray(max_val).astype(x.dtype), "float32")
    x, y = (convert_image_dtype(image, "float32") for image in (x, y))
    error = ops.mean(ops.square(x - y), (-3, -2, -1))
    return (ops.log(ops.square(top)) - ops.log(error)) * np.float32(10 / np.log(10))


def random_crop(value: Any, size: Sequence[int], seed: int | None = None) -> Tensor:
    """Return a part of an array, of this size along each axis, from a place drawn at random."""
    x = convert_to_tensor(value)
    wanted = tuple(int(n) for n in as_numpy(size))
    if len(wanted) != x.ndim or any(not 0 <= n <= m for n, m in zip(wanted, x.shape, strict=True)):
        raise ArgumentError(
            f"random_crop: size={wanted} does not lie within an array of shape {x.shape}; give one "
            f"length for each of its {x.ndim} axes."
        )
    rng = generator(seed)
    starts = [int(rng.integers(m - n + 1)) for n, m in zip(wanted, x.shape, strict=True)]
    return x[tuple(slice(s, s + n) for s, n in zip(starts, wanted, strict=True))]


def resize_with_pad(
    image: Any, target_height: int, target_width: int, method: str = "bilinear"
) -> Tensor:
    """Return images resized to fit into a frame, in its middle, with zeros around them."""

    def fitted(x: Tensor) -> Tensor:
        wanted = (target_height, target_width)
        top, left, height, width = whole_in((x.shape[1], x.shape[2]), wanted)
        sides = ((top, target_height - height - top), (left, target_width - width - left))
        return ops.pad2d(resize(x, (height, width), method), sides)

    return _on_images(fitted, image)


def central_crop(image: Any, central_fraction: float) -> Tensor:
    """Return the middle of images, with this share of the height and of the width."""

    def middle(x: Tensor) -> Tensor:
        top, left = (int((n - n * central_fraction) / 2) for n in x.shape[1:3])
        return x[:, top : x.shape[1] - top, left : x.shape[2] - left]

    return _on_images(middle, image)


def convert_image_dtype(image: Any, dtype: Any, saturate: bool = False) -> Tensor:
    """Return images in another type: integers span their whole range, floats 0 to 1.

    Args:
        image: the images.
        dtype: the new type.
        saturate: cut off what lies outside the type's range instead of wrapping round.
    """
    x, kind = convert_to_tensor(image), np.dtype(dtype)
    if x.dtype == kind:
        return x
    if x.dtype.kind == "f":
        if kind.kind == "f":
            return ops.cast(x, kind)
        low, top = np.iinfo(kind).min, np.iinfo(kind).max
        # Half a step more, so that cutting off what follows the point comes out even.
        scaled = x.data * x.dtype.type(top + 0.5)
        if saturate or not scaled.size:
            return Tensor(_saturated(scaled, low, top, kind))
        return Tensor(scaled.astype(np.int64).astype(kind))
    top = np.iinfo(x.dtype).max
    if kind.kind == "f":
        return ops.cast(x, kind) * kind.type(1.0 / top)
    new = np.iinfo(kind).max
    if top > new:
        y = x.data // ((top + 1) // (new + 1))
        return Tensor((y.clip(np.iinfo(kind).min, new) if saturate else y).astype(kind))
    y = x.data.clip(0) if saturate and kind.kind == "u" else x.data
    return Tensor(y.astype(kind) * kind.type((new + 1) // (top + 1)))


def _saturated(numbers: Any, low: int, top: int, kind: Any) -> Any:
    """Return floats as integers, cut off at the type's ends, of which a float may be larger."""
    inside = numbers.clip(low, float(np.nextafter(np.float64(top) + 1, 0, dtype=numbers.dtype)))
    return inside.astype(kind)


suggest_attributes(__name__)
