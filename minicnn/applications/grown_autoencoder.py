"""An autoencoder that grows: shallow first, and a more compressed one on top of what it learned."""

from __future__ import annotations

from collections.abc import Sequence

from minicnn.errors import ArgumentError
from minicnn.layers import (
    BatchNormalization,
    Conv2D,
    Conv2DTranspose,
    Input,
    Layer,
    MaxPooling2D,
    ReLU,
)
from minicnn.models import Model

__all__ = ["autoencoder_of", "encoder_stage"]

Stage = Sequence[Layer]


def encoder_stage(filters: int, number: int) -> list[Layer]:
    """Return the layers that halve an image: convolution 3x3, normalization, ReLU, max-pool 2.

    >>> [type(layer).__name__ for layer in encoder_stage(16, 1)]
    ['Conv2D', 'BatchNormalization', 'ReLU', 'MaxPooling2D']
    """
    name = f"encoder{number}"
    return [
        Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv"),
        BatchNormalization(momentum=0.9, name=f"{name}_norm"),
        ReLU(name=f"{name}_relu"),
        MaxPooling2D(2, name=f"{name}_pool"),
    ]


def autoencoder_of(
    input_shape: Sequence[int], stages: Sequence[Stage], *, name: str = "grown_autoencoder"
) -> Model:
    """Return an autoencoder (N,H,W,C) -> (N,H,W,C) of these encoder stages and a new decoder.

    The layers of the stages are used as they are, with what they learned; called with the same
    stages and one more, the new network begins where the last one ended. The decoder doubles the
    size as often as there are stages.

    Args:
        input_shape: (height, width, channels); the sizes are multiples of 2**len(stages).
        stages: lists of layers, from `encoder_stage`.
        name: the model's name.

    Raises:
        ArgumentError: there are no stages, or a size cannot be halved so often.

    Source: G. Hinton and R. Salakhutdinov, Reducing the Dimensionality of Data with Neural
    Networks, 2006, for networks that are trained stage by stage.

    >>> first = encoder_stage(8, 1)
    >>> autoencoder_of((32, 48, 3), [first]).get_layer("encoder1_pool").output.shape
    (None, 16, 24, 8)
    >>> deep = autoencoder_of((32, 48, 3), [first, encoder_stage(4, 2)])
    >>> deep.get_layer("encoder1_conv") is first[0], deep.output_shape
    (True, (None, 32, 48, 3))
    """
    step = 2 ** len(stages)
    if not stages or any(size % step for size in input_shape[:2]):
        raise ArgumentError(
            f"autoencoder_of: input_shape={tuple(input_shape)!r} with {len(stages)} stages, but "
            f"there must be one, and height and width multiples of {step}."
        )
    x = image = Input(tuple(input_shape), name="image")
    filters = []
    for stage in stages:
        filters.append(stage[0].filters)  # type: ignore[attr-defined]
        for layer in stage:
            x = layer(x)
    for number, count in zip(range(len(stages) - 1, 0, -1), filters[-2::-1], strict=True):
        x = Conv2DTranspose(count, 3, 2, "same", activation="relu", name=f"decoder{number + 1}_up")(
            x
        )
    x = Conv2DTranspose(input_shape[2], 3, 2, "same", activation="sigmoid", name="decoder1_up")(x)
    return Model(image, x, name=name)
