"""What a training tells its user: of y, of pixels up to 255, of a loss that is no number."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn.autograd.tensor import plain
from minicnn.errors import ArgumentError, warn_user
from minicnn.layers import augmentation, cropping, noise, pooling, reshaping, resizing
from minicnn.layers.core import InputLayer
from minicnn.layers.weights import all_layers
from minicnn.nested import flatten

__all__ = ["check_no_texts", "told_as_y", "warn_of_loss", "warn_of_pixels"]

#: The rooms of layers that leave pixels from 0 to 255 what they are.
_LEAVE_RANGE = {m.__name__ for m in (augmentation, cropping, noise, pooling, reshaping, resizing)}


@contextlib.contextmanager
def told_as_y(where: str) -> Iterator[None]:
    """Let a loss or metric speak of y, as `fit` calls the truth, and of the model's results."""
    try:
        yield
    except ArgumentError as error:
        said = str(error).replace("y_true", "y").replace("y_pred", "the model's result")
        error.args = (f"{where}: {said}",)
        raise


def check_no_texts(where: str, truths: list[Any]) -> None:
    """Refuse a truth of texts, which no loss can compare.

    Raises:
        ArgumentError: there are some.
    """
    for y in truths:
        if getattr(getattr(y, "dtype", None), "kind", "f") in "OUS":
            raise ArgumentError(
                f"{where}: y holds no numbers but {str(y.ravel()[0])!r}, for one; "
                f"np.unique(y, return_inverse=True)[1] makes class numbers of texts."
            )


def warn_of_pixels(model: Any, x: Any) -> None:
    """Warn of images whose pixels go up to 255 where nothing makes them small."""
    for part in map(plain, flatten(x)):
        kind = getattr(part, "dtype", np.dtype(bool))
        image = part.ndim > 1 if kind == np.uint8 else part.ndim == 4 and kind.kind in "fiu"
        high = float(part.max()) if image and part.size else 0.0
        if 50 < high <= 255 and part.min() >= 0 and _takes_pixels_as_they_are(model):
            warn_user(
                f"fit: x holds values up to {high:g}, and weights learn from numbers of about 1: "
                f"give x / 255, or let the model begin with layers.Rescaling(1 / 255)."
            )


def _takes_pixels_as_they_are(model: Any) -> bool:
    """Return whether the first layer that computes with pixels has a kernel."""
    for layer in all_layers(model):
        leaves = isinstance(layer, InputLayer) or type(layer).__module__ in _LEAVE_RANGE
        if isinstance(layer, resizing.Rescaling) or not (leaves or layer.sublayers):
            return hasattr(layer, "kernel_initializer")
    return False


def warn_of_loss(model: Any, loss: float) -> bool:
    """Warn of a loss that is no number any more; return whether it is none."""
    if np.isfinite(loss):
        return False
    rate = float(np.max(model.optimizer.learning_rate))
    warn_user(
        f"{model.name}: the loss became {loss}, and nothing is learned from here on: the "
        f"learning_rate {rate:g} is too large (try a tenth, or clipnorm=1.0 in the optimizer), the "
        f"data hold NaN or infinity, or, on a GPU, y holds a class number that is none; make the "
        f"model anew."
    )
    return True
