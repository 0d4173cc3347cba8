"""Optimizers and learning-rate schedules under Keras' names and defaults."""

from __future__ import annotations

from typing import Any

from minicnn import configs
from minicnn.errors import ArgumentError, check_choice
from minicnn.optimizers import schedules
from minicnn.optimizers.adam import Adam, Adamax, AdamW, Nadam
from minicnn.optimizers.adaptive import Adadelta, Adagrad, Ftrl, RMSprop
from minicnn.optimizers.base import Optimizer
from minicnn.optimizers.schedules import CosineDecay, ExponentialDecay, LearningRateSchedule
from minicnn.optimizers.sgd import SGD, Lion

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "CosineDecay",
           "ExponentialDecay", "Ftrl", "LearningRateSchedule", "Lion", "Nadam",
           "Optimizer", "RMSprop", "deserialize", "get", "schedules", "serialize"]  # fmt: skip

CLASSES: dict[str, type[Optimizer]] = {
    cls.__name__: cls
    for cls in (SGD, RMSprop, Adam, AdamW, Adadelta, Adagrad, Adamax, Nadam, Ftrl, Lion)
}
NAMES: dict[str, type[Optimizer]] = {name.lower(): cls for name, cls in CLASSES.items()}


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Return an optimizer's name and arguments."""
    return configs.described(optimizer, "keras.optimizers")


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the optimizer that `serialize` gave, as it was made, before its first step."""
    return configs.made("optimizers.deserialize", "optimizer", config, CLASSES, custom_objects)


def get(identifier: Any) -> Any:
    """Return the optimizer of a name with its defaults; optimizers pass through.

    Args:
        identifier: a name in any case, what `serialize` gave, an optimizer, or None.

    Raises:
        ArgumentError: it is none of these.

    >>> float(get("RMSprop").learning_rate)
    0.001
    """
    if identifier is None or isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, type):
        name = identifier.__name__
        raise ArgumentError(f"optimizers.get: got the class {name}; give {name}(...), or its name.")
    if not isinstance(identifier, str):
        raise ArgumentError(
            f"optimizers.get: got {identifier!r}, but a name or an optimizer is needed."
        )
    return NAMES[check_choice("optimizers.get", "optimizer", identifier, NAMES)]()
