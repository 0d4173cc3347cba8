"""Models: networks of layers that learn, measure, predict and save."""

from minicnn.models.archive import clone_model, load_model, model_from_json, save_model
from minicnn.models.model import Model
from minicnn.models.sequential import Sequential

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
