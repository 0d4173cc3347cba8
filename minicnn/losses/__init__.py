"""Losses under Keras' names: one number that says how far predictions are from the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minicnn import configs
from minicnn.autograd.tensor import plain
from minicnn.errors import ArgumentError, check_choice
from minicnn.losses import crossentropy, overlap, probabilistic, regression
from minicnn.losses.base import Loss, LossFunctionWrapper, kind_by_shape
from minicnn.losses.crossentropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)
from minicnn.losses.overlap import Dice, Tversky, dice, tversky
from minicnn.losses.probabilistic import (
    BinaryFocalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    KLDivergence,
    Poisson,
    binary_focal_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    kl_divergence,
    poisson,
)
from minicnn.losses.regression import (
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    SquaredHinge,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    squared_hinge,
)
from minicnn.registry import snake_case

__all__ = ["BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy",
           "CategoricalFocalCrossentropy", "CategoricalGeneralizedCrossEntropy",
           "CategoricalHinge", "CosineSimilarity", "Dice", "Hinge", "Huber",
           "KLDivergence", "LogCosh", "Loss", "LossFunctionWrapper",
           "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError",
           "MeanSquaredLogarithmicError", "Poisson", "SparseCategoricalCrossentropy",
           "SquaredHinge", "Tversky", "as_loss", "binary_crossentropy",
           "binary_focal_crossentropy", "categorical_crossentropy",
           "categorical_focal_crossentropy", "categorical_generalized_cross_entropy",
           "categorical_hinge", "cosine_similarity", "crossentropy_by_shape",
           "deserialize", "dice", "get", "hinge", "huber", "kl_divergence",
           "log_cosh", "mae", "mape", "mean_absolute_error",
           "mean_absolute_percentage_error", "mean_squared_error",
           "mean_squared_logarithmic_error", "mse", "msle", "poisson", "serialize",
           "sparse_categorical_crossentropy", "squared_hinge", "tversky"]  # fmt: skip

mse, mae = mean_squared_error, mean_absolute_error
mape, msle = mean_absolute_percentage_error, mean_squared_logarithmic_error

CLASSES: dict[str, type[Loss]] = {
    name: value
    for module in (regression, crossentropy, probabilistic, overlap)
    for name, value in vars(module).items()
    if name in module.__all__ and isinstance(value, type)
}
#: The function form of each loss, by its name.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: value
    for module in (regression, crossentropy, probabilistic, overlap)
    for name, value in vars(module).items()
    if name in module.__all__ and not isinstance(value, type) and name != "unit"
}
ALIASES: dict[str, Callable[..., Any]] = {
    "bce": binary_crossentropy,
    "kld": kl_divergence,
    "kullback_leibler_divergence": kl_divergence,
    "logcosh": log_cosh,
    "mae": mae,
    "mape": mape,
    "mse": mse,
    "msle": msle,
}
NAMES: dict[str, Callable[..., Any]] = {
    **{name.lower(): cls for name, cls in CLASSES.items()},
    **FUNCTIONS,
    **ALIASES,
}


def get(identifier: Any) -> Any:
    """Return the loss function or loss of a name, as Keras does.

    Args:
        identifier: the name of a function or of a class, in any case; what `serialize` gave; a
            class, which is made; a loss or another function, which pass through; or None.

    Raises:
        ArgumentError: it is none of these.

    >>> get("mse") is mean_squared_error, get("MeanSquaredError").name
    (True, 'mean_squared_error')
    """
    if identifier is None:
        return None
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, str):
        found = CLASSES.get(identifier)
        identifier = found or NAMES[check_choice("losses.get", "loss", identifier, NAMES)]
    if isinstance(identifier, type):
        return identifier()
    if callable(identifier):
        return identifier
    raise ArgumentError(f"losses.get: got {identifier!r}, but a name or a function is needed.")


def crossentropy_by_shape(y_true: Any, y_pred: Any) -> Any:
    """Return the crossentropy of the kind that fits the shapes of truth and predictions."""
    kind = kind_by_shape(np.shape(plain(y_true)), np.shape(plain(y_pred)))
    return FUNCTIONS[f"{kind}_crossentropy"](y_true, y_pred)


def as_loss(identifier: Any) -> Loss | None:
    """Return the loss that `compile` makes of a name or function; see `get`.

    "crossentropy" and "ce" are of the kind that fits the shapes of truth and predictions.

    >>> as_loss("mse").name
    'mse'
    """
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        return LossFunctionWrapper(crossentropy_by_shape, name=identifier)
    found = get(identifier)
    if found is None or isinstance(found, Loss):
        return found
    name = identifier if isinstance(identifier, str) else getattr(found, "__name__", "loss")
    # The classes know ways to compute their mean in one pass.
    for cls in CLASSES.values():
        if found is FUNCTIONS.get(snake_case(cls.__name__)):
            return cls(name=name)
    return LossFunctionWrapper(found, name=name)


def serialize(loss: Any) -> Any:
    """Return a loss's name and arguments, or a function's name."""
    if isinstance(loss, Loss):
        return configs.described(loss, "keras.losses")
    return loss.__name__


def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the loss or function that `serialize` gave."""
    if isinstance(name, str):
        return (custom_objects or {}).get(name) or get(name)
    return configs.made("losses.deserialize", "loss", name, CLASSES, custom_objects)
