"""The names under which listings look for Keras: `from minicnn.keras.layers import Conv2D`.

Tables: each name leads to the module that holds the thing, which is imported when
somebody asks for it. `import minicnn.keras.layers` gives `minicnn.layers` itself.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import Any

import numpy as np

from minicnn.autograd.tensor import Tensor, plain
from minicnn.errors import attribute_error, check_choice
from minicnn.layers.base import clear_names
from minicnn.losses.base import EPSILON

__all__ = ["Namespace", "clear_session", "epsilon", "image_data_format", "set_image_data_format"]

#: Keras' modules that are modules here, and where they are.
MODULES = {
    name: f"minicnn.{name}"
    for name in (
        *("activations", "applications", "callbacks", "constraints", "datasets", "initializers"),
        *("layers", "losses", "metrics", "models", "optimizers", "regularizers"),
    )
}

#: Keras' names for single things, "module:name".
NAMES = {
    "Initializer": "minicnn.initializers:Initializer",
    "Input": "minicnn.layers:Input",
    "KerasTensor": "minicnn.layers.symbolic:SymbolicTensor",
    "Layer": "minicnn.layers:Layer",
    "Loss": "minicnn.losses:Loss",
    "Metric": "minicnn.metrics:Metric",
    "Model": "minicnn.models:Model",
    "Optimizer": "minicnn.optimizers:Optimizer",
    "Regularizer": "minicnn.regularizers:Regularizer",
    "Sequential": "minicnn.models:Sequential",
    "Variable": "minicnn.autograd:Variable",
}

_STORING = dict.fromkeys(
    ("custom_object_scope", "deserialize_keras_object", "get_custom_objects", "get_registered_name",
     "get_registered_object", "register_keras_serializable", "serialize_keras_object"),
    "minicnn.saving.objects:*",
)  # fmt: skip
_SETTINGS = {
    "epsilon": "minicnn.keras:epsilon",
    "floatx": "minicnn.config:floatx",
    "image_data_format": "minicnn.keras:image_data_format",
    "set_floatx": "minicnn.config:set_floatx",
    "set_image_data_format": "minicnn.keras:set_image_data_format",
}
_TRACEBACKS = {
    f"{verb}_traceback_filtering{ending}": f"minicnn.tracebacks:{verb}_traceback_filtering{ending}"
    for verb, ending in (("enable", ""), ("disable", ""), ("is", "_enabled"))
}
_IMAGES = dict.fromkeys(("array_to_img", "img_to_array", "load_img", "save_img"), "minicnn.utils:*")

#: Operations whose names are the same in TensorFlow.
_SAME = ("equal", "expand_dims", "eye", "greater", "greater_equal", "is_tensor", "less",
         "less_equal", "logical_and", "logical_not", "logical_or", "not_equal", "ones",
         "ones_like", "shape", "stop_gradient", "zeros", "zeros_like")  # fmt: skip

#: Keras' modules that are put together of several here: what they hold, and where the rest is.
TABLES: dict[str, tuple[dict[str, str], str | None]] = {
    "ops": (
        {
            **dict.fromkeys(("argmax", "argmin", "one_hot"), "minicnn.keras:*"),
            **dict.fromkeys(("elu", "gelu", "leaky_relu", "silu"), "minicnn.activations:*"),
            **dict.fromkeys(("pad", "tile", "unstack"), "minicnn.tensorflow.arrays:*"),
            **dict.fromkeys(_SAME, "minicnn.tensorflow:*"),
            "all": "minicnn.tensorflow:reduce_all",
            "any": "minicnn.tensorflow:reduce_any",
            "convert_to_numpy": "minicnn.autograd.tensor:as_numpy",
            "convert_to_tensor": "minicnn.autograd:convert_to_tensor",
            "isfinite": "minicnn.tensorflow:is_finite",
            "isinf": "minicnn.tensorflow:is_inf",
            "isnan": "minicnn.tensorflow:is_nan",
            "std": "minicnn.tensorflow:reduce_std",
            "var": "minicnn.tensorflow:reduce_variance",
        },
        "minicnn.ops",
    ),
    "random": (
        {
            "SeedGenerator": "minicnn.config:SeededGenerator",
            "normal": "minicnn.tensorflow.random:normal",
            "uniform": "minicnn.tensorflow.random:uniform",
        },
        None,
    ),
    "backend": ({**_SETTINGS, "clear_session": "minicnn.keras:clear_session"}, "minicnn.ops"),
    "config": ({**_SETTINGS, **_TRACEBACKS}, None),
    "preprocessing": (
        {
            "image": "minicnn.keras.preprocessing.image:",
            "image_dataset_from_directory": "minicnn.utils:image_dataset_from_directory",
        },
        None,
    ),
    "preprocessing.image": (_IMAGES, None),
    "saving": (
        {
            **_STORING,
            "CustomObjectScope": "minicnn.saving.objects:custom_object_scope",
            "load_model": "minicnn.models:load_model",
            "save_model": "minicnn.models:save_model",
        },
        None,
    ),
    "utils": (
        {
            **_STORING,
            "CustomObjectScope": "minicnn.saving.objects:custom_object_scope",
            "clear_session": "minicnn.keras:clear_session",
            "unpack_x_y_sample_weight": "minicnn.training.batches:unpack",
        },
        "minicnn.utils",
    ),
}


def look_up(place: str) -> Any:
    """Return what "module:name" says, or the module itself of "module:"."""
    module, _, name = place.partition(":")
    found = importlib.import_module(module)
    return getattr(found, name) if name else found


class Namespace(ModuleType):
    """A module whose names stand elsewhere.

    Args:
        name: the module's full name.
        table: "module:name" of each name, or "module:*" if it is the same one.
        rest: a module in which all other names are looked up, default none.
    """

    def __init__(self, name: str, table: dict[str, str], rest: str | None = None) -> None:
        super().__init__(name, "Names that stand elsewhere; see minicnn.keras.")
        self.__path__: list[str] = []
        self._table, self._rest = table, rest

    def __getattr__(self, name: str) -> Any:
        if name in self._table:
            return look_up(self._table[name].replace("*", name))
        if self._rest is not None and not name.startswith("__"):
            return getattr(importlib.import_module(self._rest), name)
        raise attribute_error(self.__name__, name, () if name.startswith("_") else self._table)

    def __dir__(self) -> list[str]:
        rest = dir(importlib.import_module(self._rest)) if self._rest else []
        return sorted({*self._table, *(n for n in rest if not n.startswith("_"))})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers `import minicnn.keras.layers`, and whatever lies deeper, by the tables above."""

    prefix = f"{__name__}."

    def find_spec(
        self, fullname: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(self.prefix):
            return None
        name = fullname.removeprefix(self.prefix)
        if name in TABLES or name.split(".")[0] in MODULES:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        name = spec.name.removeprefix(self.prefix)
        return Namespace(spec.name, *TABLES[name]) if name in TABLES else None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__.removeprefix(self.prefix)
        if name in TABLES:
            return
        first, *deeper = name.split(".")
        # The import machinery takes what stands here when this returns.
        sys.modules[module.__name__] = importlib.import_module(".".join([MODULES[first], *deeper]))


__path__: list[str] = []
sys.meta_path.insert(0, _Finder())  # before the finder of files, which would load a second copy


def __getattr__(name: str) -> Any:
    if name in NAMES:
        return look_up(NAMES[name])
    if name in MODULES or name in TABLES:
        return importlib.import_module(f"{__name__}.{name}")
    raise attribute_error(__name__, name, () if name.startswith("_") else __dir__())


def __dir__() -> list[str]:
    return sorted({*NAMES, *MODULES, *(name for name in TABLES if "." not in name)})


def clear_session(free_memory: bool = True) -> None:
    """Count the names of layers from the beginning again; memory is freed by itself.

    Args:
        free_memory: no difference here.
    """
    clear_names()


def epsilon() -> float:
    """Return how far losses keep probabilities from 0 and 1, 1e-7."""
    return EPSILON


def image_data_format() -> str:
    """Return "channels_last", the only order of axes here."""
    return "channels_last"


def set_image_data_format(data_format: str) -> None:
    """Accept "channels_last", and refuse any other order of axes."""
    check_choice("set_image_data_format", "data_format", data_format, [image_data_format()])


def one_hot(x: Any, num_classes: int, dtype: Any = None) -> Any:
    """Return class numbers (...) as rows with a single one: (...,num_classes)."""
    return look_up("minicnn.tensorflow:one_hot")(x, num_classes, dtype or "float32")


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Return the place of the largest element, along an axis or of all, as int32."""
    return Tensor(np.argmax(plain(x), axis, keepdims=keepdims).astype("int32"))


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Return the place of the smallest element, along an axis or of all, as int32."""
    return Tensor(np.argmin(plain(x), axis, keepdims=keepdims).astype("int32"))


def version() -> str:
    """Return the version of Keras whose names these are."""
    return "3.15.1"
