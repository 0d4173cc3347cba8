"""minicnn: convolution from the formula to a trained network, to be read and seen."""

from __future__ import annotations

import importlib
from typing import Any

from minicnn import (
    activations,
    callbacks,
    config,
    constraints,
    data,
    geometry,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    regularizers,
    tracebacks,
    utils,
)
from minicnn.autograd import GradientTape, Tensor, Variable, constant, convert_to_tensor
from minicnn.autograd.check import check_gradients
from minicnn.errors import attribute_error, suggest_attributes, word_methods
from minicnn.explain import explain
from minicnn.kernels import backends
from minicnn.layers import Input
from minicnn.models import Model, Sequential
from minicnn.ops import (
    average_pool2d,
    conv2d,
    conv2d_transpose,
    convolve2d,
    cross_correlate2d,
    max_pool2d,
    upsample2d,
)

__version__ = "0.2.0"

__all__ = [
    "GradientTape", "Input", "Model", "Sequential", "Tensor", "Variable", "activations",
    "applications", "average_pool2d", "backends", "callbacks", "check_gradients", "config",
    "constant", "constraints", "conv2d", "conv2d_transpose", "convert_to_tensor", "convolve2d",
    "cross_correlate2d", "data", "datasets", "explain", "geometry", "initializers", "keras",
    "layers", "losses", "max_pool2d", "metrics", "models", "ops", "optimizers", "regularizers",
    "upsample2d", "utils",
]  # fmt: skip

#: Loaded when first asked for: they need Pillow, or few ask for them.
_LATER = ("applications", "datasets", "keras")
#: Where a name is looked for that somebody writes without its room, as `minicnn.Conv2D`.
_ROOMS = (
    *(layers, ops, losses, activations, optimizers, metrics, callbacks, models, initializers),
    *(regularizers, constraints, utils, data),
)
suggest_attributes(*(room.__name__ for room in (*_ROOMS, geometry, config)))
word_methods(*Model.__mro__[:2], *data.Dataset.__mro__[:-1], GradientTape, Variable)

tracebacks.install()


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return importlib.import_module(f"minicnn.{name}")
    if not name.startswith("_"):
        try:
            return getattr(importlib.import_module("minicnn.tensorflow"), name)
        except AttributeError:
            pass
    raise attribute_error("minicnn", name, [] if name.startswith("_") else _known())


def _known() -> list[str]:
    """Return the names among which one is looked for; those of the rooms with the room."""
    tensorflow = importlib.import_module("minicnn.tensorflow")
    found = [f"{r.__name__}.{n}" for r in _ROOMS[::-1] for n in getattr(r, "__all__", ())]
    return [*tensorflow.SAME, *dir(tensorflow), *__all__, *found]


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
