"""Classifiers of small images: a chain of convolutions, and a deep network with skips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicnn.errors import ArgumentError
from minicnn.layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    Input,
    MaxPooling2D,
    ReLU,
)
from minicnn.models import Model, Sequential

__all__ = ["image_classifier", "residual_classifier"]

# With 0.99, Keras' default, the statistics of batch normalization would lag behind for several
# epochs, as few batches make an epoch here.
MOMENTUM = 0.9


def image_classifier(
    input_shape: Sequence[int],
    classes: int,
    *,
    filters: Sequence[int] = (16, 32, 64, 128),
    dropout: float = 0.3,
    name: str = "image_classifier",
) -> Sequential:
    """Return a chain of convolutions that tells the class of an image: (N,H,W,C) -> (N,classes).

    Each stage is convolution + batch normalization + ReLU + max-pool 2. The first convolution,
    5x5, has stride 2: the largest images are the dearest, and neighbouring pixels are much alike.
    The others are 3x3. What is left of the image, H/2**(S+1) x W/2**(S+1) x filters[-1] numbers
    after S stages, goes through dropout into a dense layer with softmax.

    Args:
        input_shape: (height, width, channels), sizes of at least 2**(len(filters) + 1).
        classes: number of classes, 2 or more.
        filters: channels of the stages.
        dropout: share of the numbers that are left out before the last layer in training.
        name: the model's name.

    Raises:
        ArgumentError: an argument is outside its rule.

    >>> model = image_classifier((64, 48, 3), 6)
    >>> model.output_shape, model.get_layer("stage4_pool").output.shape
    ((None, 6), (None, 2, 1, 128))
    """
    _check("image_classifier", input_shape, classes, filters, 2 ** (len(filters) + 1))
    model = Sequential([Input(tuple(input_shape), name="image")], name=name)
    for number, count in enumerate(filters, 1):
        stage = f"stage{number}"
        size, step = (5, 2) if number == 1 else (3, 1)
        # The normalization takes off any bias and adds its own, beta.
        model.add(Conv2D(count, size, step, padding="same", use_bias=False, name=f"{stage}_conv"))
        model.add(BatchNormalization(momentum=MOMENTUM, name=f"{stage}_norm"))
        model.add(ReLU(name=f"{stage}_relu"))
        model.add(MaxPooling2D(2, name=f"{stage}_pool"))
    model.add(Flatten(name="flat"))
    model.add(Dropout(dropout, name="dropout"))
    model.add(Dense(classes, activation="softmax", name="class"))
    return model


def residual_classifier(
    input_shape: Sequence[int],
    classes: int,
    *,
    filters: Sequence[int] = (16, 32, 64),
    blocks: int = 4,
    skips: bool = True,
    name: str = "residual_classifier",
) -> Model:
    """Return a deep classifier, (N,H,W,C) -> (N,classes), whose blocks are stepped over by skips.

    A block is two convolutions 3x3 with batch normalization and ReLU:

        y = relu(x + norm(conv(relu(norm(conv(x))))))    with the skip
        y = relu(    norm(conv(relu(norm(conv(x))))))    without, the plain twin

    After a first convolution of stride 2, each stage has `blocks` of them; the first block of each
    later stage halves the size by stride 2 and changes the channels. There, x is brought to the
    same shape by a convolution 1x1 of stride 2, the only weights that the plain twin has not.
    In all 1 + 2 * len(filters) * blocks convolutions lie on the long way, 25 by default.

    Args:
        input_shape: (height, width, channels), sizes of at least 2**len(filters).
        classes: number of classes, 2 or more.
        filters: channels of the stages.
        blocks: blocks in each stage.
        skips: whether x is added.
        name: the model's name.

    Raises:
        ArgumentError: an argument is outside its rule.

    Source: K. He, X. Zhang, S. Ren and J. Sun, Deep residual learning for image recognition, 2015.

    >>> model = residual_classifier((64, 48, 3), 6)
    >>> kernels = [layer.kernel_size for layer in model.layers if isinstance(layer, Conv2D)]
    >>> model.output_shape, kernels.count((3, 3)), kernels.count((1, 1))
    ((None, 6), 25, 2)
    """
    where = "residual_classifier"
    _check(where, input_shape, classes, filters, 2 ** len(filters))
    if blocks < 1:
        raise ArgumentError(f"{where}: blocks={blocks!r}, but there must be 1 in each stage.")
    image = Input(tuple(input_shape), name="image")
    x = ReLU(name="first_relu")(_normalized(image, filters[0], 3, 2, "first"))
    for number, count in enumerate(filters, 1):
        for block in range(1, blocks + 1):
            step = 2 if number > 1 and block == 1 else 1
            x = _block(x, count, step, skips, f"stage{number}_block{block}")
    x = GlobalAveragePooling2D(name="mean")(x)
    return Model(image, Dense(classes, activation="softmax", name="class")(x), name=name)


def _block(x: Any, filters: int, step: int, skips: bool, name: str) -> Any:
    y = ReLU(name=f"{name}_relu1")(_normalized(x, filters, 3, step, f"{name}_1"))
    y = _normalized(y, filters, 3, 1, f"{name}_2")
    if skips:
        if x.shape[-1] != filters or step != 1:
            x = _normalized(x, filters, 1, step, f"{name}_skip")
        y = x + y
    return ReLU(name=f"{name}_relu2")(y)


def _normalized(x: Any, filters: int, size: int, step: int, name: str) -> Any:
    x = Conv2D(filters, size, step, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(x)


def _check(
    where: str, input_shape: Sequence[int], classes: int, filters: Sequence[int], least: int
) -> None:
    if len(input_shape) != 3:
        raise ArgumentError(
            f"{where}: input_shape={input_shape!r}, but it must be (height, width, channels)."
        )
    if not filters or min(filters) < 1 or classes < 2:
        raise ArgumentError(
            f"{where}: filters={filters!r} must be one number at least, each of them at least 1, "
            f"and classes={classes!r} at least 2."
        )
    for axis, size in zip(("height", "width"), input_shape[:2], strict=True):
        if size < least:
            raise ArgumentError(
                f"{where}: {axis} {size} is too small: with {len(filters)} stages nothing would "
                f"be left of it; use {least} or more, or fewer stages."
            )
