"""The cell autoencoder: an image squeezed into a small code and drawn again from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicnn.errors import ArgumentError, check_choice
from minicnn.layers import (
    Activation,
    Add,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Conv2DTranspose,
    Cropping2D,
    Input,
    MaxPooling2D,
    UpSampling2D,
)
from minicnn.layers.base import spatial
from minicnn.models import Model

__all__ = ["cell_autoencoder", "encoder_of"]


def cell_autoencoder(
    input_shape: Sequence[int] = (64, 64, 3),
    filters: Sequence[int] = (16, 32),
    code_channels: int = 8,
    decoder: str = "transpose",
    *,
    skips: bool = False,
    residual: bool = False,
    name: str = "cell_autoencoder",
) -> Model:
    """Return an autoencoder of convolutions and max-pools, and of upward steps back.

    Each stage of the encoder is convolution 3x3 + batch normalization + ReLU + max-pool 2; the
    last one has `code_channels` and no ReLU, so that codes may be negative. Each stage of the
    decoder doubles the size. An odd size is rounded up by the pool and taken back by the matching
    stage, so the output always has the input's shape.

    Args:
        input_shape: (height, width, channels) of the images, any size from 1 x 1.
        filters: channels of the encoder's stages before the code; the decoder goes back through
            them. With S stages the code is ceil(H/2**(S+1)) x ceil(W/2**(S+1)).
        code_channels: channels of the code.
        decoder: `"transpose"` (transposed convolution 3x3, stride 2) or `"upsample"` (pixels
            copied, then convolution 3x3), which leaves no checkerboard.
        skips: hand each encoder stage's result to the decoder stage of its size (a U-Net). The
            code then no longer limits what the output can show: for denoising, not for codes.
        residual: let the network say what to add to its input, instead of drawing it anew. The
            same holds for it.
        name: the model's name.

    Returns:
        A model (N,H,W,C) -> (N,H,W,C); `encoder_of` gives its first half.

    Raises:
        ArgumentError: an argument is outside its rule.

    Source: O. Ronneberger et al., U-Net, 2015, for the skips; K. Zhang et al., Beyond a Gaussian
    Denoiser, 2017, for the residual output.

    >>> model = cell_autoencoder((45, 70, 3))
    >>> model.output_shape, encoder_of(model).output_shape
    ((None, 45, 70, 3), (None, 6, 9, 8))
    """
    where = "cell_autoencoder"
    decoder = check_choice(where, "decoder", decoder, ["transpose", "upsample"])
    if len(input_shape) != 3:
        raise ArgumentError(
            f"{where}: input_shape={input_shape!r}, but it must be (height, width, channels)."
        )
    channels = input_shape[2]
    x = image = Input(tuple(input_shape), name="image")
    sizes, ends = [], []
    for depth, count in enumerate((*filters, code_channels)):
        sizes.append(spatial(x.shape, where))
        stage = f"encoder{depth + 1}"
        is_code = depth == len(filters)
        x = _convolution(x, count, stage, activation=None if is_code else "relu")
        ends.append(x)
        x = MaxPooling2D(2, padding="same", name="code" if is_code else f"{stage}_pool")(x)
    for depth in range(len(filters), -1, -1):
        last = depth == 0
        count = channels if last and not skips else filters[max(depth - 1, 0)]
        stage = f"decoder{depth + 1}"
        plain = last and not skips
        x = _upward(x, count, sizes[depth], decoder, stage, plain)
        if skips:
            x = Concatenate(name=f"{stage}_skip")([x, ends[depth]])
            if last:
                x = Conv2D(channels, 3, padding="same", name="output")(x)
            else:
                x = _convolution(x, count, f"{stage}_merge", activation="relu")
    if residual:
        x = Add(name="added")([image, x])
    return Model(image, x, name=name)


def _convolution(x: Any, filters: int, name: str, activation: str | None) -> Any:
    """Return convolution 3x3 + batch normalization + activation of x."""
    # The normalization's beta makes a bias of the convolution needless.
    x = Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return x if activation is None else Activation(activation, name=f"{name}_{activation}")(x)


def _upward(
    x: Any, filters: int, size: tuple[int, int], decoder: str, name: str, plain: bool
) -> Any:
    """Return x at twice its size, or one less where `size` is odd; `plain` without activation."""
    _, height, width, _ = x.shape
    if decoder == "transpose":
        # A 3x3 kernel with stride 2 gives 2N - 1 pixels, and one more for each extra.
        extra = (size[0] - (2 * height - 1), size[1] - (2 * width - 1))
        layer = Conv2DTranspose(
            filters, 3, 2, "same", output_padding=extra, use_bias=plain, name=f"{name}_up"
        )
        x = layer(x)
    else:
        x = UpSampling2D(2, name=f"{name}_up")(x)
        surplus = ((0, 2 * height - size[0]), (0, 2 * width - size[1]))
        if surplus != ((0, 0), (0, 0)):
            x = Cropping2D(surplus, name=f"{name}_crop")(x)
        x = Conv2D(filters, 3, padding="same", use_bias=plain, name=f"{name}_conv")(x)
    if plain:
        return x
    x = BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return Activation("relu", name=f"{name}_relu")(x)


def encoder_of(model: Model) -> Model:
    """Return the part of a cell autoencoder from the image to the code."""
    return Model(model.input, model.get_layer("code").output, name=f"{model.name}_encoder")
