"""VGG16: thirteen 3x3 convolutions in five blocks, and three dense layers, under Keras' names.

Source: K. Simonyan and A. Zisserman, Very Deep Convolutional Networks, 2014, configuration D.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import activations
from minicnn.autograd.tensor import Tensor, alongside, as_array
from minicnn.errors import ArgumentError, check_choice, warn_user
from minicnn.layers import (
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    Input,
    MaxPooling2D,
)
from minicnn.layers.symbolic import SymbolicTensor
from minicnn.models import Model

__all__ = ["VGG16", "preprocess_input", "weights_file"]

#: Number of convolutions and of their filters, block by block.
BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
#: Mean of blue, green and red over the images that the published weights were trained on.
MEANS = (103.939, 116.779, 123.68)
ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"


def weights_file(include_top: bool) -> Path | None:
    """Return where the published weights lie on this machine, None if they do not.

    Looked for in `MINICNN_DATA`, in its folder `vgg16`, and where Keras keeps them,
    `~/.keras/models` (or `models` in `KERAS_HOME`).
    """
    name = f"vgg16_weights_tf_dim_ordering_tf_kernels{'' if include_top else '_notop'}.h5"
    folders = [Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models"]
    if data := os.environ.get("MINICNN_DATA"):
        folders = [Path(data), Path(data) / "vgg16", *folders]
    return next((f / name for f in folders if (f / name).is_file()), None)


def VGG16(  # noqa: N802 - Keras' name
    include_top: bool = True,
    weights: str | Path | None = "imagenet",
    input_tensor: SymbolicTensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "vgg16",
    *,
    width: float = 1.0,
) -> Model:
    """Return the network: images (N,H,W,3), prepared by `preprocess_input`, to class shares.

    Args:
        include_top: with the dense layers; then images are 224 x 224 by default.
        weights: `"imagenet"` for the published ones if they lie on this machine (see
            `weights_file`), and with a warning random ones if not; None for random ones; or the
            path of a weights file.
        input_tensor: a symbolic tensor to begin at, instead of a new `Input`.
        input_shape: (height, width, channels); without the dense layers any size of 32 or more.
        pooling: without the dense layers: `"avg"` or `"max"` over the last images, default none.
        classes: number of classes, default 1000.
        classifier_activation: of the last layer, default `"softmax"`; None gives logits.
        name: the model's name.
        width: share of the filters and units that are kept, for a thin network that trains on a
            small machine; published weights fit 1 only.

    Raises:
        ArgumentError: an argument is outside its rule.
        WeightsError: the weights file is damaged or of another network.

    >>> base = VGG16(include_top=False, weights=None, input_shape=(64, 96, 3), width=1 / 16)
    >>> base.layers[14].name, base.output_shape
    ('block4_pool', (None, 2, 3, 32))
    """
    where = "VGG16"
    if pooling is not None:
        pooling = check_choice(where, "pooling", pooling, ["avg", "max"])
    if not 0 < width <= 1:
        raise ArgumentError(f"{where}: width={width!r}, but it must be above 0 and at most 1.")
    published = weights == "imagenet"
    if published and (width != 1 or (include_top and classes != 1000)):
        raise ArgumentError(
            f"{where}: weights='imagenet' are for classes=1000 and width=1, not classes={classes} "
            f"and width={width}; give weights=None, or include_top=False."
        )
    x = image = _entrance(where, include_top, input_tensor, input_shape)
    for number, (count, filters) in enumerate(BLOCKS, 1):
        for i in range(1, count + 1):
            layer = Conv2D(
                _share(filters, width),
                3,
                padding="same",
                activation="relu",
                name=f"block{number}_conv{i}",
            )
            x = layer(x)
        x = MaxPooling2D(2, name=f"block{number}_pool")(x)
    if include_top:
        x = Flatten(name="flatten")(x)
        x = Dense(_share(4096, width), activation="relu", name="fc1")(x)
        x = Dense(_share(4096, width), activation="relu", name="fc2")(x)
        _check_classifier(where, published, classifier_activation)
        x = Dense(classes, activation=classifier_activation, name="predictions")(x)
    elif pooling is not None:
        x = (GlobalAveragePooling2D if pooling == "avg" else GlobalMaxPooling2D)()(x)
    model = Model(image, x, name=name)
    if published:
        _load_published(model, include_top)
    elif weights is not None:
        model.load_weights(weights)
    return model


def _share(count: int, width: float) -> int:
    return max(1, round(count * width))


def _check_classifier(where: str, published: bool, activation: Any) -> None:
    known = (activations.softmax, activations.linear)
    if published and activations.get(activation) not in known:
        raise ArgumentError(
            f"{where}: classifier_activation={activation!r}, but the published weights are for "
            f"'softmax', or None for logits."
        )


def _entrance(
    where: str, include_top: bool, tensor: SymbolicTensor | None, shape: Any
) -> SymbolicTensor:
    """Return the symbolic tensor at which the network begins."""
    if tensor is not None:
        return tensor
    if shape is None:
        shape = (224, 224, 3) if include_top else (None, None, 3)
    shape = tuple(shape)
    small = [n for n in shape[:2] if n is not None and n < 32]
    if len(shape) != 3 or small or (include_top and None in shape):
        raise ArgumentError(
            f"{where}: input_shape={shape!r}, but it must be (height, width, channels) with at "
            f"least 32 x 32 pixels, which five poolings leave one of; with include_top=True all "
            f"three must be numbers."
        )
    return Input(shape)


def _load_published(model: Model, include_top: bool) -> None:
    path = weights_file(include_top)
    if path is not None:
        model.load_weights(path)
        return
    name = f"vgg16_weights_tf_dim_ordering_tf_kernels{'' if include_top else '_notop'}.h5"
    warn_user(
        f"VGG16: the published weights are not on this machine, so the network has random ones; "
        f"download {ADDRESS}{name} into ~/.keras/models or the folder of MINICNN_DATA."
    )


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Return RGB images of 0 to 255 as the published weights want them: BGR without the mean.

    Args:
        x: images (...,3), an array or a tensor.
        data_format: only `"channels_last"`.

    >>> preprocess_input(np.zeros((1, 2, 3, 3)))[0, 0, 0].tolist()
    [-103.939, -116.779, -123.68]
    """
    check_choice("preprocess_input", "data_format", data_format or "channels_last",
                 ["channels_last"])  # fmt: skip
    images = x if isinstance(x, Tensor) else Tensor(as_array(x))  # an array stays where it is
    if images.shape[-1:] != (3,):
        raise ArgumentError(f"preprocess_input: x has shape {images.shape}, but must be (...,3).")
    kind = images.dtype if images.dtype.kind == "f" else np.dtype("float32")
    shifted = images[..., ::-1] - alongside(MEANS, images, kind)
    return shifted if isinstance(x, Tensor) else shifted.data
