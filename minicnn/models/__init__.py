"""Models: networks of layers that learn, measure, predict and save."""

from minicnn.models.model import Model
from minicnn.models.sequential import Sequential

__all__ = ["Model", "Sequential"]
