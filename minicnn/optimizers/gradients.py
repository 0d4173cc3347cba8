"""Gradients as an optimizer takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.autograd.tensor import Tensor, Variable, plain
from minicnn.errors import DeviceError
from minicnn.kernels.placement import NAMES, device_of, on_gpu, to_device

__all__ = ["beside_variable"]


def beside_variable(where: str, gradient: Any, variable: Variable) -> NDArray[Any]:
    """Return a gradient as an array beside its variable; plain numbers are taken there.

    Raises:
        DeviceError: it is a tensor on the other device.
    """
    array: Any = plain(gradient)
    if not isinstance(gradient, Tensor) and not on_gpu(array):
        array = to_device(np.asarray(array), variable.device)
    elif (here := device_of(array)) != variable.device:
        raise DeviceError(
            f"{where}: the gradient {array.shape} for {variable.name!r} is {NAMES[here]}, but the "
            f"variable {variable.shape} is {NAMES[variable.device]}; both must be in one place. "
            f".gpu() of a layer or model moves its variables to the GPU, and .cpu() moves them "
            f"back."
        )
    return array
