"""FCN: a classifier's convolutions, made to say for each pixel what it belongs to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.applications.vgg16 import VGG16
from minicnn.errors import ArgumentError, ShapeError
from minicnn.layers import Activation, Add, Conv2D, Conv2DTranspose
from minicnn.models import Model

__all__ = ["fcn", "segment"]

#: The base's layers whose results are scored, from the coarsest, and by how much each is smaller.
STAGES = (("block5_pool", 32), ("block4_pool", 16), ("block3_pool", 8))


def fcn(
    classes: int = 1, *, base: Model | None = None, frozen: bool | None = None, name: str = "fcn"
) -> Model:
    """Return a fully convolutional network, FCN-8s: (N,H,W,3) -> (N,H,W,classes).

    A 1x1 convolution gives each place of the base's last pool a score for each class. The scores
    are doubled in size by a transposed convolution and added to those of the pool before, which
    sees finer, once more with the pool before that, and at last enlarged eight times. Without
    dense layers there is no fixed size: images of any multiple of 32 go through, and `segment`
    takes any other.

    Args:
        classes: 1 ends in a sigmoid, the probability of the foreground; more end in a softmax.
        base: a VGG16 without its dense layers; by default a thin one with random weights.
        frozen: whether the base keeps its weights in training; by default if it was given.
        name: the model's name.

    Raises:
        ArgumentError: an argument is outside its rule.

    Source: J. Long, E. Shelhamer and T. Darrell, Fully Convolutional Networks for Semantic
    Segmentation, 2015.

    >>> model = fcn(classes=3)
    >>> model.predict(np.zeros((1, 64, 96, 3)), verbose=0).shape
    (1, 64, 96, 3)
    """
    if classes < 1:
        raise ArgumentError(f"fcn: classes={classes!r}, but there must be at least 1.")
    frozen = base is not None if frozen is None else frozen
    if base is None:
        base = VGG16(include_top=False, weights=None, width=1 / 8, name="vgg16_thin")
    base.trainable = not frozen
    x: Any = None
    for pool, step in STAGES:
        score = Conv2D(classes, 1, name=f"score{step}")(base.get_layer(pool).output)
        if x is not None:
            # A kernel of twice the stride, so that each pixel is made of equally many.
            x = Conv2DTranspose(classes, 4, 2, "same", name=f"up{2 * step}")(x)
            score = Add(name=f"sum{step}")([x, score])
        x = score
    x = Conv2DTranspose(classes, 16, 8, "same", name="up8")(x)
    x = Activation("sigmoid" if classes == 1 else "softmax", name="mask")(x)
    return Model(base.input, x, name=name)


def segment(model: Model, images: NDArray[Any], step: int = 32) -> NDArray[Any]:
    """Return what a network says of images (N,H,W,C) of any size: (N,H,W,classes).

    The images are continued by their mirror image to a multiple of `step`, and the result is cut
    to their size.

    Args:
        model: (N,H,W,C) -> (N,H,W,classes) for sizes that are multiples of `step`.
        images: floats, prepared as in training.
        step: by how much the network's smallest images are smaller, default 32.

    Raises:
        ShapeError: the images have not four axes.

    >>> segment(fcn(), np.zeros((1, 50, 77, 3))).shape
    (1, 50, 77, 1)
    """
    if images.ndim != 4:
        raise ShapeError(f"segment: images has shape {images.shape}, but must be (N,H,W,C).")
    height, width = images.shape[1:3]
    more = [(0, -size % step) for size in (height, width)]
    padded = np.pad(images, ((0, 0), *more, (0, 0)), mode="symmetric")
    return model.predict(padded, batch_size=8, verbose=0)[:, :height, :width]
