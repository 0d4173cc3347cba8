"""The convolutional autoencoder of the course: a digit as two numbers, drawn again from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from minicnn.errors import ArgumentError
from minicnn.layers import Conv2D, Conv2DTranspose
from minicnn.models import Model, Sequential

__all__ = ["Autoencoder", "check_image_shape", "digit_autoencoder"]


class Autoencoder(NamedTuple):
    """A model that gives back its images, and its halves, which share their weights with it."""

    model: Model
    encoder: Any
    decoder: Any


def check_image_shape(where: str, input_shape: Sequence[int], code_size: int, step: int) -> None:
    """Refuse an image whose sides are no multiples of `step`, and a code without numbers."""
    if len(input_shape) != 3:
        raise ArgumentError(
            f"{where}: input_shape={input_shape!r}, but it must be (height, width, channels)."
        )
    for axis, size in zip(("height", "width"), input_shape[:2], strict=True):
        if size < step or size % step:
            fits = max(size // step, 1) * step
            raise ArgumentError(
                f"{where}: {axis} {size} is no multiple of {step}, but the size is divided by 2 "
                f"{step.bit_length() - 1} times; use {fits} or {fits + step}."
            )
    if code_size < 1:
        raise ArgumentError(f"{where}: code_size={code_size!r}, but it must be at least 1.")


def digit_autoencoder(
    input_shape: Sequence[int] = (28, 28, 1), code_size: int = 2, filters: Sequence[int] = (32, 64)
) -> Autoencoder:
    """Return an autoencoder (N,H,W,C) -> (N,H,W,C) through a code (N,1,1,code_size).

    Two convolutions 3x3 with stride 2 make the sides a quarter as long; a convolution whose kernel
    is as large as what is left makes the code. Transposed convolutions of the same sizes go back.
    Neither the code nor the image has an activation.

    Args:
        input_shape: (height, width, channels); height and width are multiples of 4.
        code_size: numbers in the code of an image.
        filters: channels of the first and the second convolution.

    Returns:
        The autoencoder, its encoder (N,H,W,C) -> (N,1,1,code_size) and its decoder back.

    Raises:
        ArgumentError: an argument is outside its rule.

    Source: S. Lee, Convolutional Autoencoder (notebook), Industrial AI Lab at KAIST.

    >>> model, encoder, decoder = digit_autoencoder((28, 36, 1))
    >>> encoder.output_shape, decoder.output_shape
    ((None, 1, 1, 2), (None, 28, 36, 1))
    """
    check_image_shape("digit_autoencoder", input_shape, code_size, 4)
    if len(filters) != 2:
        raise ArgumentError(
            f"digit_autoencoder: filters={filters!r}, but there are two convolutions before the "
            f"code; give two numbers."
        )
    height, width, channels = input_shape
    left = (height // 4, width // 4)  # what two strides of 2 leave
    first, second = filters
    encoder = Sequential(
        [
            Conv2D(first, 3, 2, padding="same", activation="relu", input_shape=tuple(input_shape)),
            Conv2D(second, 3, 2, padding="same", activation="relu"),
            Conv2D(code_size, left),  # (N,1,1,code_size)
        ],
        name="encoder",
    )
    decoder = Sequential(
        [
            Conv2DTranspose(second, left, activation="relu", input_shape=(1, 1, code_size)),
            Conv2DTranspose(first, 3, 2, padding="same", activation="relu"),
            Conv2DTranspose(channels, 7, 2, padding="same"),
        ],
        name="decoder",
    )
    model = Model(encoder.input, decoder(encoder.output), name="digit_autoencoder")
    return Autoencoder(model, encoder, decoder)
