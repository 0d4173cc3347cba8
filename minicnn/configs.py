"""Objects as plain dictionaries and back, for `serialize`, `deserialize` and `get_config`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from minicnn.errors import ArgumentError, check_choice

__all__ = ["arguments_of", "described", "made", "own_arguments"]


def arguments_of(obj: Any, *left_out: str) -> dict[str, Any]:
    """Return the arguments that make another object like this one.

    Each is read from the attribute of its name.

    Args:
        obj: an object whose class takes named arguments.
        left_out: arguments that do not matter.
    """
    parameters = inspect.signature(type(obj)).parameters.values()
    return {
        p.name: getattr(obj, p.name)
        for p in parameters
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in left_out
    }


def own_arguments(init: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a layer's arguments that its config holds, in the order of `__init__`."""
    elsewhere = ("self", "data_format", "activity_regularizer", "name", "kwargs")
    return tuple(name for name in inspect.signature(init).parameters if name not in elsewhere)


def described(obj: Any, module: str) -> dict[str, Any]:
    """Return the name and the arguments of an object, in the arrangement of Keras.

    >>> class Box:
    ...     def get_config(self):
    ...         return {"height": 2, "width": 3}
    >>> described(Box(), "shapes")["config"]
    {'height': 2, 'width': 3}
    """
    return {
        "module": module,
        "class_name": type(obj).__name__,
        "config": obj.get_config(),
        "registered_name": None,
    }


def made(
    where: str,
    argument: str,
    config: Mapping[str, Any],
    choices: Mapping[str, Callable[..., Any]],
    custom_objects: Mapping[str, Any] | None = None,
) -> Any:
    """Return the object that `described` gave.

    Args:
        where: the caller's name, for messages.
        argument: what is made, for messages.
        config: a dictionary with `class_name` and, where there are arguments, `config`.
        choices: classes by name.
        custom_objects: further classes by name, which come first.

    Raises:
        ArgumentError: there is no `class_name`, or no such class.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("class_name"), str):
        raise ArgumentError(
            f"{where}: got {config!r}, but a dictionary with 'class_name' and 'config' is needed."
        )
    name, arguments = config["class_name"], dict(config.get("config") or {})
    known = {**choices, **(custom_objects or {})}
    if name not in known:
        lower = {key.lower(): value for key, value in known.items()}
        name, known = check_choice(where, argument, name, lower), lower
    cls = known[name]
    make = getattr(cls, "from_config", None)
    return make(arguments) if make is not None else cls(**arguments)
