"""The cell autoencoder: an image squeezed into a small code and drawn again from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.errors import ArgumentError, check_choice
from minicnn.layers import (
    Activation,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Conv2DTranspose,
    Cropping2D,
    Input,
    MaxPooling2D,
    UpSampling2D,
)
from minicnn.layers.spatial import spatial
from minicnn.models import Model

__all__ = ["cell_autoencoder", "displaced_by", "encoder_of"]

Array = NDArray[Any]

#: A mean of 3x3 pixels, in which a checkerboard cancels, and little is left of what is near it.
SOFTENING = np.outer([1, 2, 1], [1, 2, 1])[:, :, None, None] / 16

#: Brightness, red against blue and green against both, from red, green and blue: one a column.
OPPONENT = np.array([[1 / 3, 4, -2], [1 / 3, 0, 4], [1 / 3, -4, -2]])


def cell_autoencoder(
    input_shape: Sequence[int] = (64, 64, 3),
    filters: Sequence[int] = (8, 16, 32),
    code_channels: int = 8,
    decoder: str = "transpose",
    *,
    skips: bool = False,
    opponent: bool = False,
    displaced: Sequence[tuple[int, int]] = (),
    name: str = "cell_autoencoder",
) -> Model:
    """Return an autoencoder of convolutions and max-pools, and of upward steps back.

    With S stages, each stage of the encoder is convolution 3x3 + batch normalization + ReLU +
    max-pool 2, and a last convolution without activation makes the code, of
    ceil(H/2**S) x ceil(W/2**S) x code_channels numbers. Each stage of the decoder doubles the
    size; the last one ends in a sigmoid, so that pixels lie in [0, 1]. A size that is no multiple
    of 2**S is filled up to one by repeating the last row and column, and what was drawn of these is
    cropped at the end: the output has the input's shape, and everything stays in its place.

    Args:
        input_shape: (height, width, channels) of the images, any size from 1 x 1.
        filters: channels of the encoder's stages; the decoder goes back through them.
        code_channels: channels of the code.
        decoder: `"transpose"` (transposed convolution 3x3, stride 2), `"smooth"` (the same, and
            at the end a mean of each 3x3 pixels, in which a checkerboard cancels) or
            `"upsample"` (pixels copied, then convolution 3x3, which leaves none).
        skips: hand each encoder stage's result, before its pool, to the decoder stage of its size
            (a U-Net). The code then no longer limits what the output can show: for denoising,
            not for search.
        opponent: mix red, green and blue into brightness and two differences of colours before the
            first stage. Cells differ from the background twenty times as much as from each other in
            tint; on these axes the tint is as large as the rest and is learned as early.
        displaced: for weights that were learned before the sizes were filled up: the rows and
            columns (0 or 1) by which each stage's transposed convolution was displaced, from the
            first stage on; `displaced_by` counts them. Default nowhere.
        name: the model's name.

    Returns:
        A model (N,H,W,C) -> (N,H,W,C); `encoder_of` gives its first half.

    Raises:
        ArgumentError: an argument is outside its rule.

    Source: O. Ronneberger et al., U-Net, 2015, for the skips.

    >>> model = cell_autoencoder((45, 70, 3))
    >>> model.output_shape, encoder_of(model).output_shape
    ((None, 45, 70, 3), (None, 6, 9, 8))
    """
    where = "cell_autoencoder"
    decoder = check_choice(where, "decoder", decoder, ["transpose", "smooth", "upsample"])
    if len(input_shape) != 3:
        raise ArgumentError(
            f"{where}: input_shape={input_shape!r}, but it must be (height, width, channels)."
        )
    if not filters:
        raise ArgumentError(f"{where}: filters is empty, but at least one stage is needed.")
    channels = input_shape[2]
    if opponent and channels != 3:
        raise ArgumentError(
            f"{where}: opponent=True, but the images have {channels} channels; it mixes three, "
            "red, green and blue."
        )
    image = Input(tuple(input_shape), name="image")
    size = spatial(image.shape, where)
    surplus = [-n % 2 ** len(filters) for n in size]
    x = image
    for axis, name_of_axis in enumerate(("rows", "columns")):
        if surplus[axis]:
            x = _with_last_repeated(x, axis, surplus[axis], name_of_axis)
    ends = []
    if opponent:
        x = _fixed(OPPONENT[None, None], "opponent_colours")(x)
    for number, count in enumerate(filters, 1):
        stage = f"encoder{number}"
        # The normalization takes off any bias and adds its own, beta.
        x = Conv2D(count, 3, padding="same", use_bias=False, name=f"{stage}_conv")(x)
        x = _normalized_relu(x, stage)
        ends.append(x)
        x = MaxPooling2D(2, padding="same", name=f"{stage}_pool")(x)
    x = Conv2D(code_channels, 3, padding="same", name="code")(x)
    for number in range(len(filters), 0, -1):
        stage = f"decoder{number}"
        last = number == 1
        drawn = channels if last and not skips else filters[number - 1]
        normalized = skips or not last
        moved = displaced[number - 1] if displaced else (0, 0)
        x = _upward(x, drawn, decoder, stage, moved, use_bias=not normalized)
        if last and decoder == "smooth":
            x = _fixed(SOFTENING * np.eye(drawn), f"{stage}_mean")(x)
        if normalized:
            x = _normalized_relu(x, stage)
        if skips:
            x = Concatenate(name=f"{stage}_skip")([x, ends[number - 1]])
    if skips:
        x = Conv2D(channels, 3, padding="same", name="output_conv")(x)
    if any(surplus):
        x = Cropping2D(((0, surplus[0]), (0, surplus[1])), name="output_crop")(x)
    x = Activation("sigmoid", name="output")(x)
    return Model(image, x, name=name)


def _fixed(kernel: Array, name: str) -> Conv2D:
    """Return a convolution by a kernel (KH,KW,C,F) that is not learned."""
    kernel_size, channels, filters = kernel.shape[:2], *kernel.shape[2:]
    layer = Conv2D(filters, kernel_size, padding="same", use_bias=False, trainable=False, name=name)
    layer.build((None, *kernel_size, channels))
    layer.kernel.assign(kernel)
    return layer


def _normalized_relu(x: Any, stage: str) -> Any:
    """Return batch normalization + ReLU of x."""
    # With 0.99, Keras' default, the statistics would lag behind for several epochs.
    x = BatchNormalization(momentum=0.9, name=f"{stage}_norm")(x)
    return Activation("relu", name=f"{stage}_relu")(x)


def _with_last_repeated(x: Any, axis: int, times: int, name: str) -> Any:
    """Return x with its last row (axis 0) or column (axis 1) repeated so many times."""
    before = [(0, 0), (0, 0)]
    before[axis] = (x.shape[1 + axis] - 1, 0)
    last = Cropping2D(before, name=f"last_of_{name}")(x)
    repeats = (times, 1) if axis == 0 else (1, times)
    return Concatenate(axis=1 + axis, name=f"{name}_filled")(
        [x, UpSampling2D(repeats, name=f"last_of_{name}_repeated")(last)]
    )


def _upward(
    x: Any, filters: int, decoder: str, stage: str, moved: tuple[int, int], *, use_bias: bool
) -> Any:
    """Return x at twice its size."""
    if decoder == "upsample":
        x = UpSampling2D(2, name=f"{stage}_up")(x)
        return Conv2D(filters, 3, padding="same", use_bias=use_bias, name=f"{stage}_conv")(x)
    # A 3x3 kernel with stride 2 gives 2N + 1 rows, of which one is left out: the last one, always.
    # Keras leaves out the first one, too, where 2N - 1 are wanted; the picture would move by it.
    if moved == (0, 0):
        return Conv2DTranspose(
            filters, 3, 2, "same", output_padding=1, use_bias=use_bias, name=f"{stage}_up"
        )(x)
    x = Conv2DTranspose(filters, 3, 2, "valid", use_bias=use_bias, name=f"{stage}_up")(x)
    return Cropping2D([(n, 1 - n) for n in moved], name=f"{stage}_moved")(x)


def displaced_by(size: Sequence[int], stages: int) -> list[tuple[int, int]]:
    """Return by how many rows and columns the stages were displaced in older trainings at a size.

    A stage of an odd number of rows or columns was displaced by one; its weights expect that.

    >>> displaced_by((50, 64), 3)  # 50, 25 and 13 rows, 64, 32 and 16 columns
    [(0, 0), (1, 0), (1, 0)]
    """
    found, (height, width) = [], size
    for _ in range(stages):
        found.append((height % 2, width % 2))
        height, width = -(-height // 2), -(-width // 2)
    return found


def encoder_of(model: Model) -> Model:
    """Return the part of a cell autoencoder from the image to the code."""
    return Model(model.input, model.get_layer("code").output, name=f"{model.name}_encoder")
