"""U-Net: a network that says for each pixel what it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicnn.errors import ArgumentError
from minicnn.layers import (
    BatchNormalization,
    Concatenate,
    Conv2D,
    Conv2DTranspose,
    Input,
    MaxPooling2D,
    ReLU,
)
from minicnn.models import Model

__all__ = ["unet"]


def unet(
    input_shape: Sequence[int | None],
    classes: int = 1,
    *,
    filters: Sequence[int] = (8, 16, 32, 64),
    convolutions: int = 1,
    name: str = "unet",
) -> Model:
    """Return a U-Net (N,H,W,C) -> (N,H,W,classes).

    Each stage on the way down is convolution 3x3 + batch normalization + ReLU, as often as
    `convolutions` says, and a max-pool 2. Each stage on the way up doubles the size by a transposed
    convolution 2x2 with stride 2, sets beside it what the stage of this size on the way down saw
    before its pool, and convolves both. The skips carry the edges, the way through the bottom what
    is around them.

    Args:
        input_shape: (height, width, channels); the sizes are multiples of 2**(len(filters) - 1).
        classes: 1 ends in a sigmoid, the probability of the foreground; more end in a softmax.
        filters: channels of the stages, from the top to the bottom.
        convolutions: convolutions in each stage.
        name: the model's name.

    Raises:
        ArgumentError: an argument is outside its rule.

    Source: O. Ronneberger, P. Fischer and T. Brox, U-Net, 2015, with "same" padding, so that the
    result has the size of the image, and with batch normalization.

    >>> model = unet((32, 48, 1), filters=(4, 8, 16))
    >>> model.output_shape, model.get_layer("bottom_relu1").output.shape
    ((None, 32, 48, 1), (None, 8, 12, 16))
    """
    _check(input_shape, classes, filters, convolutions)
    x = image = Input(tuple(input_shape), name="image")
    ends = []
    for number, count in enumerate(filters[:-1], 1):
        x = _stage(x, count, convolutions, f"down{number}")
        ends.append(x)
        x = MaxPooling2D(2, name=f"down{number}_pool")(x)
    x = _stage(x, filters[-1], convolutions, "bottom")
    for number in range(len(filters) - 1, 0, -1):
        count = filters[number - 1]
        x = Conv2DTranspose(count, 2, strides=2, name=f"up{number}")(x)
        x = Concatenate(name=f"up{number}_skip")([ends[number - 1], x])
        x = _stage(x, count, convolutions, f"up{number}")
    activation = "sigmoid" if classes == 1 else "softmax"
    return Model(image, Conv2D(classes, 1, activation=activation, name="mask")(x), name=name)


def _stage(x: Any, filters: int, convolutions: int, name: str) -> Any:
    for number in range(1, convolutions + 1):
        # The normalization takes off any bias and adds its own, beta.
        x = Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv{number}")(x)
        # With 0.99, Keras' default, the statistics would lag behind for several epochs.
        x = BatchNormalization(momentum=0.9, name=f"{name}_norm{number}")(x)
        x = ReLU(name=f"{name}_relu{number}")(x)
    return x


def _check(
    input_shape: Sequence[int | None], classes: int, filters: Sequence[int], convolutions: int
) -> None:
    if len(input_shape) != 3:
        raise ArgumentError(
            f"unet: input_shape={input_shape!r}, but it must be (height, width, channels)."
        )
    if not filters or min(*filters, classes, convolutions, 1) < 1:
        raise ArgumentError(
            f"unet: classes={classes!r}, filters={filters!r} and convolutions={convolutions!r} "
            f"must be at least 1, and there must be one stage at least."
        )
    step = 2 ** (len(filters) - 1)
    for axis, size in zip(("height", "width"), input_shape[:2], strict=True):
        if size is not None and size % step:
            raise ArgumentError(
                f"unet: {axis} {size} is no multiple of {step}, but with {len(filters)} stages "
                f"the size is halved {len(filters) - 1} times; use {size // step * step} or "
                f"{-(-size // step) * step}, by cropping or padding."
            )
