"""Models: networks of layers that learn, measure, predict and save."""

from sys import modules as _modules

from minicnn.layers import graph
from minicnn.models.model import Model
from minicnn.models.sequential import Sequential
from minicnn.saving.keras_archive import clone_model, load_model, model_from_json, save_model
from minicnn.training import cuda_graphs

#: Keras' name, in files, of a model of inputs and outputs.
Functional = Model

__all__ = [
    "Functional",
    "Model",
    "Sequential",
    "clone_model",
    "load_model",
    "model_from_json",
    "save_model",
]

# Pickles of version 0.1.0 name these rooms.
_modules[f"{__name__}.graph"] = graph
_modules[f"{__name__}.replay"] = cuda_graphs
