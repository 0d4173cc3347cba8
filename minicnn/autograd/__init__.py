"""Differentiation: tensors that remember, and the engine that goes back through the memory."""

from minicnn.autograd.recording import no_recording, recording
from minicnn.autograd.tape import GradientTape
from minicnn.autograd.tensor import Tensor, Variable, constant, convert_to_tensor

__all__ = ["GradientTape", "Tensor", "Variable", "constant", "convert_to_tensor", "no_recording",
           "recording"]  # fmt: skip
