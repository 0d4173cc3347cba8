"""Gradients as an optimizer takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.autograd.tensor import Tensor, Variable, plain
from minicnn.errors import DeviceError
from minicnn.kernels.placement import NAMES, device_of, on_gpu, to_device

__all__ = ["beside_variable", "no_gradients"]


def no_gradients(variables: Sequence[Variable]) -> str:
    """Return which variables have no gradient, and why.

    >>> no_gradients([Variable([[1.0, 2.0]], trainable=False, name="kernel")])[:80]
    "none of the variables has a gradient: 'kernel' (1, 2). They are not trainable, a"
    """
    names = ", ".join(f"{v.name!r} {v.shape}" for v in variables[:3])
    more = f" and {len(variables) - 3} more" if len(variables) > 3 else ""
    if not any(v.trainable for v in variables):
        why = "They are not trainable, and a tape watches such variables only by tape.watch."
    else:
        why = (
            "As far as the tape saw, the target does not depend on them: it must be computed from "
            "them in the tape's block, by operations on tensors. float(), .numpy() and NumPy's "
            "functions cut the way."
        )
    return f"none of the variables has a gradient: {names}{more}. {why}"


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
