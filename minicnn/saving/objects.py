"""Objects as plain dictionaries and back, in the arrangement of Keras 3's files.

A dictionary holds the object's class, the arguments that make another one like it, and under
`registered_name` the name that its author gave it by `register_keras_serializable`. Nothing but
classes and functions that are known by name are ever made of it: no code is stored.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

from minicnn.autograd.tensor import Tensor, plain
from minicnn.errors import ArgumentError
from minicnn.layers.base import Layer

__all__ = [
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "register_keras_serializable",
    "serialize_keras_object",
]

T = TypeVar("T")

#: Rooms whose classes and functions files may name; "models" holds what `layers` does not.
HOMES = (
    *("layers", "models", "activations", "initializers", "regularizers", "constraints"),
    *("losses", "metrics", "optimizers", "optimizers.schedules"),
)

#: Numbers in Keras' files that mean something only beside an option that is not here.
MOOT = ("renorm_momentum", "ema_momentum")

#: Arguments of every layer that its signature does not name.
SHAPES_OF_LAYERS = ("input_shape", "input_dim", "batch_input_shape")

#: Values that ask for nothing beyond what is done anyway.
NOTHING: tuple[Any, ...] = (None, False, "channels_last", "sum_over_batch_size", [], {})

_custom_objects: dict[str, Any] = {}

_met: ContextVar[dict[str, Any] | None] = ContextVar("met", default=None)


@contextlib.contextmanager
def keeping_classes() -> Iterator[dict[str, Any]]:
    """Yield a dictionary that collects, while objects are serialized, what is not minicnn's own.

    Classes and functions, lambdas too, are stored in the block by names that this dictionary knows.
    """
    met: dict[str, Any] = {}
    token = _met.set(met)
    try:
        yield met
    finally:
        _met.reset(token)


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[T], T]:
    """Return a decorator that makes a class or function known to `load_model`.

    Args:
        package: first part of the name, default `"Custom"`.
        name: second part, default the class's own name.

    >>> @register_keras_serializable(package="doc")
    ... def double(x):
    ...     return 2 * x
    >>> get_registered_name(double), get_registered_object("doc>double") is double
    ('doc>double', True)
    """

    def register(thing: T) -> T:
        own = name or thing.__name__  # type: ignore[attr-defined]
        if inspect.isclass(thing) and not hasattr(thing, "get_config"):
            raise ArgumentError(
                f"register_keras_serializable: the class {own!r} needs a method get_config, which "
                f"gives the arguments that make another object like it."
            )
        _custom_objects[f"{package}>{own}"] = thing
        return thing

    return register


def get_registered_name(thing: Any) -> str:
    """Return the name that a class or function was registered under, else its own."""
    return next((n for n, known in _custom_objects.items() if known is thing), thing.__name__)


def get_registered_object(
    name: str, custom_objects: Mapping[str, Any] | None = None, module_objects: Any = None
) -> Any:
    """Return the class or function registered under a name, or None."""
    places = (custom_objects, _custom_objects, module_objects)
    return next((known[name] for known in places if known and name in known), None)


def get_custom_objects() -> dict[str, Any]:
    """Return the dictionary of registered classes and functions; what is put in becomes known."""
    return _custom_objects


@contextlib.contextmanager
def custom_object_scope(custom_objects: Mapping[str, Any]) -> Iterator[None]:
    """Make classes and functions known for the length of a `with` block."""
    before = dict(_custom_objects)
    _custom_objects.update(custom_objects)
    try:
        yield
    finally:
        _custom_objects.clear()
        _custom_objects.update(before)


def arguments_of(thing: Any) -> dict[str, Any]:
    """Return what `get_config` gives, or without one the attributes named as the arguments.

    Raises:
        ArgumentError: an argument is not kept in an attribute of its name.
    """
    if hasattr(thing, "get_config"):
        config = thing.get_config()
        if _made_by_user(thing):
            # Written for the arguments of a base class; these are the ones that were given.
            return config_of_call(type(thing), thing.given_arguments, config)
        return config
    found: dict[str, Any] = {}
    for cls in type(thing).__mro__[:-1]:
        if "__init__" not in vars(cls):
            continue
        parameters = list(inspect.signature(vars(cls)["__init__"]).parameters.values())[1:]
        for p in parameters:
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and p.name not in found:
                if not hasattr(thing, p.name):
                    raise ArgumentError(
                        f"{type(thing).__name__}: cannot be stored, for it keeps no attribute "
                        f"{p.name!r} for the argument of that name; write a method get_config."
                    )
                found[p.name] = getattr(thing, p.name)
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return found


def _made_by_user(thing: Any) -> bool:
    """Return whether a user's class takes arguments that the `get_config` it has does not know."""
    mro = type(thing).__mro__
    maker, teller = (
        next(i for i, cls in enumerate(mro) if method in vars(cls))
        for method in ("__init__", "get_config")
    )
    return isinstance(thing, Layer) and maker < teller and _home(mro[maker]) is None


def config_of_call(
    cls: Any, given: tuple[tuple[Any, ...], dict[str, Any]], base: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments that a user's layer was made with, and of `base` those that it takes."""
    signature = inspect.signature(cls)
    bound = signature.bind(*given[0], **given[1])
    config: dict[str, Any] = {}
    takes_all = False
    for name, p in signature.parameters.items():
        if p.kind is p.VAR_KEYWORD:
            takes_all = True
            config |= bound.arguments.get(name, {})
        elif p.kind is p.VAR_POSITIONAL:
            if bound.arguments.get(name):
                raise ArgumentError(
                    f"{cls.__name__}: cannot be stored, for its arguments *{name} have no names; "
                    f"write a method get_config."
                )
        elif name in bound.arguments:
            config[name] = bound.arguments[name]
    return {k: v for k, v in base.items() if takes_all or k in signature.parameters} | config


def _home(thing: Any) -> str | None:
    """Return the room of a built-in class or function, None for others."""
    for room in HOMES:
        if getattr(_module(room), thing.__name__, None) is thing:
            return room
    return None


def _module(room: str) -> Any:
    return importlib.import_module(f"minicnn.{room}")


def _entry(thing: Any, class_name: str, config: Any) -> dict[str, Any]:
    """Return the dictionary of a class (or function), with where it is found again."""
    home = _home(thing)
    known = thing in _custom_objects.values()
    name = thing.__name__ if class_name == "function" else None
    if known or home is None:
        name = get_registered_name(thing)
        if (met := _met.get()) is not None:
            name = f"{name}>{id(thing)}"  # two of one name may meet
            met[name] = thing
    module = "keras" if home == "models" else f"keras.{home}" if home else thing.__module__
    return {"module": module, "class_name": class_name, "config": config, "registered_name": name}


def serialize_keras_object(obj: Any) -> Any:
    """Return an object as numbers, texts, lists and dictionaries, fit for a JSON file.

    Args:
        obj: a layer, model, loss, ..., or numbers, texts, arrays, and lists of such.

    Raises:
        ArgumentError: an object cannot be stored, as a function without a name.

    >>> from minicnn import initializers
    >>> serialize_keras_object(initializers.HeNormal(seed=3))["config"]
    {'seed': 3}
    """
    if obj is None or isinstance(obj, bool | int | float | str):
        return obj
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, np.dtype):
        return obj.name
    if isinstance(obj, Tensor | np.ndarray):
        array = plain(obj)
        return {
            "class_name": "__numpy__",
            "config": {"value": array.tolist(), "dtype": array.dtype.name},
        }
    if isinstance(obj, list | tuple):
        return [serialize_keras_object(part) for part in obj]
    if isinstance(obj, dict):
        return {key: serialize_keras_object(part) for key, part in obj.items()}
    if inspect.isfunction(obj) or inspect.isbuiltin(obj):
        if obj.__name__ == "<lambda>" and _met.get() is None:
            raise ArgumentError(
                "serialize_keras_object: a lambda cannot be stored, for a file holds no code; "
                "define a function, and give it to load_model by custom_objects."
            )
        return _entry(obj, "function", obj.__name__)
    if inspect.isclass(obj):
        return _entry(obj, "__class__", obj.__name__)
    config = serialize_keras_object(arguments_of(obj))
    entry = _entry(type(obj), type(obj).__name__, config)
    if is_functional(obj):  # Keras finds this class at no other place
        entry |= {"class_name": "Functional", "module": "keras.src.models.functional"}
    shape = getattr(obj, "build_shape", None)
    if isinstance(obj, Layer) and shape is not None:
        entry["build_config"] = {"input_shape": serialize_keras_object(shape)}
    return entry


def is_functional(obj: Any) -> bool:
    """Return whether an object is a model of inputs and outputs, whose class Keras calls so."""
    return type(obj).__name__ == "Model" and _home(type(obj)) == "models"


def find(
    class_name: str, registered_name: str | None, module: str, custom: Mapping[str, Any] | None
) -> Any:
    """Return the class or function of an entry.

    Raises:
        ArgumentError: it is not known.
    """
    for name in (registered_name, class_name):
        if name is not None and (known := get_registered_object(name, custom)) is not None:
            return known
    # A class of the user's own module is never meant by a built-in one of the same name.
    if module.split(".")[0] in ("", "keras", "builtins") and ">" not in (registered_name or ""):
        room = module.removeprefix("keras.").removeprefix("src.").split(".")[0]
        for home in [room, *HOMES] if room in HOMES else HOMES:
            found = getattr(_module(home), class_name, None)
            if found is not None and not inspect.ismodule(found):
                return found
    raise ArgumentError(
        f"load_model: the class or function {registered_name or class_name!r} is not known here; "
        f"give it by custom_objects={{{class_name!r}: ...}}, or put "
        f"@keras.saving.register_keras_serializable() before its definition."
    )


def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, **_: Any
) -> Any:
    """Return the object that `serialize_keras_object` made a dictionary of.

    Args:
        config: what `serialize_keras_object` gave, read from JSON or not.
        custom_objects: classes and functions by name, beside the registered ones.

    Raises:
        ArgumentError: a class or function is not known, or refuses its arguments.

    >>> from minicnn import initializers
    >>> stored = serialize_keras_object(initializers.HeNormal(seed=3))
    >>> deserialize_keras_object(stored).seed
    3
    """
    if isinstance(config, list | tuple):
        return [deserialize_keras_object(part, custom_objects) for part in config]
    if not isinstance(config, dict):
        return config
    if "class_name" not in config:
        return {k: deserialize_keras_object(v, custom_objects) for k, v in config.items()}
    name, inner = config["class_name"], config.get("config") or {}
    if name == "DTypePolicy":
        return inner["name"]
    if name == "__numpy__":
        return np.asarray(inner["value"], inner["dtype"])
    if name in ("function", "__class__"):
        return find(
            str(inner), config.get("registered_name"), config.get("module", ""), custom_objects
        )
    cls = find(name, config.get("registered_name"), config.get("module") or "", custom_objects)
    return made(cls, inner, config.get("build_config"), custom_objects)


def made(cls: Any, config: dict[str, Any], build: Any, custom: Mapping[str, Any] | None) -> Any:
    """Return an object of a class by its arguments, built if its shape is known and it needs it."""
    if getattr(cls, "holds_layers", False):  # a model's layers are not its arguments
        obj = cls.from_config(config, custom)
    else:
        arguments = known_arguments(cls, deserialize_keras_object(config, custom))
        make = getattr(cls, "from_config", None)
        obj = cls(**arguments) if make is None else make(arguments)
    if build and build.get("input_shape") is not None and hasattr(obj, "build_by_shape"):
        obj.build_by_shape(build["input_shape"])
    return obj


def known_arguments(cls: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments without those that the class does not take and that ask for nothing.

    Keras stores arguments that have no counterpart here, such as `"sparse": False`.

    Raises:
        ArgumentError: the class does not take an argument that asks for something.
    """
    names = accepted(cls)
    if names is None:
        return arguments
    strange = {k: v for k, v in arguments.items() if k not in {*names, *MOOT}}
    asked = {k: v for k, v in strange.items() if v not in NOTHING}
    if asked:
        key, value = next(iter(asked.items()))
        raise ArgumentError(
            f"load_model: {cls.__name__} has no argument {key!r}, which the file gives as {value!r}"
        )
    return {k: v for k, v in arguments.items() if k in names}


def accepted(cls: Any) -> set[str] | None:
    """Return the names of the arguments that a built-in class takes, None for a user's class."""
    if _home(cls) is None:
        return None
    names: set[str] = set(SHAPES_OF_LAYERS if issubclass(cls, Layer) else ())
    for base in cls.__mro__[:-1]:
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]
        names |= {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return names
