"""Objects by their names: what a layer's argument may be, and how it is spelled in a config.

An argument such as `kernel_regularizer` may be the object itself, its name, or the dictionary
{"class_name": ..., "config": ...} that `spelled` made of it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Container, Mapping
from typing import Any

from minicnn.errors import check_choice

__all__ = ["by_names", "free_name", "look_up", "snake_case", "spelled"]


def snake_case(name: str) -> str:
    """Return a class name as Keras writes it in layer names.

    >>> snake_case("Conv2DTranspose"), snake_case("BatchNormalization"), snake_case("VGG16")
    ('conv2d_transpose', 'batch_normalization', 'vgg16')
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def free_name(base: str, used: Container[str]) -> str:
    """Return `base`, or where it is used already the first of base_1, base_2, ... that is not."""
    if base not in used:
        return base
    return next(n for i in itertools.count(1) if (n := f"{base}_{i}") not in used)


def by_names(*classes: type, **aliases: type) -> dict[str, type]:
    """Return classes by the names under which Keras finds them, in lower case, and by aliases.

    >>> sorted(by_names(dict, text=str))
    ['dict', 'text']
    """
    found: dict[str, type] = {}
    for cls in classes:
        found[snake_case(cls.__name__)] = cls
    for cls in classes:
        found.setdefault(cls.__name__.lower(), cls)
    return {**found, **aliases}


def look_up(where: str, argument: str, identifier: Any, names: Mapping[str, type]) -> Any:
    """Return a new object of a name or of a dictionary that `spelled` made.

    Raises:
        ArgumentError: the name is not known.
    """
    if isinstance(identifier, dict):
        name, config = identifier.get("class_name"), identifier.get("config", {})
    else:
        name, config = identifier, {}
    cls: Any = names[check_choice(where, argument, name, names)]
    return cls.from_config(config)


def spelled(item: Any, names: Mapping[str, type]) -> Any:
    """Return how a config says an object: its name if all is default, else a dictionary.

    What is not among the known classes comes back as it is.
    """
    name = next((name for name, cls in names.items() if cls is type(item)), None)
    if name is None:
        return item
    config = item.get_config()
    if config == type(item)().get_config():
        return name
    return {"class_name": type(item).__name__, "config": config}
