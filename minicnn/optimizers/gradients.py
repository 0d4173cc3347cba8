"""Gradients as an optimizer takes them, shortened where they are too large."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.autograd.tensor import Tensor, Variable, plain
from minicnn.errors import DeviceError
from minicnn.runtime.devices import NAMES, device_of, on_gpu, to_cpu, to_device

__all__ = ["beside_variable", "clipped", "no_gradients"]

Array = NDArray[Any]


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


def beside_variable(where: str, gradient: Any, variable: Variable) -> Array:
    """Return a gradient as an array beside its variable; plain numbers are taken there.

    Raises:
        DeviceError: it is a tensor on the other device.
    """
    if isinstance(gradient, Tensor) and type(gradient.data) is type(variable.data):
        return gradient.data
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


def clipped(
    gradients: list[Array], value: float | None, norm: float | None, all_norms: float | None
) -> list[Array]:
    """Return gradients within an optimizer's limits; limits of 0 or less are none."""
    if value is not None and value > 0:
        return [np.clip(g, -value, value) for g in gradients]
    if norm is not None and norm > 0:
        squares = _squares(gradients)
        return [_limited(g, norm, math.sqrt(s)) for g, s in zip(gradients, squares, strict=True)]
    if all_norms is not None and all_norms > 0:
        length = math.sqrt(sum(_squares(gradients)))
        return [_limited(g, all_norms, length) for g in gradients]
    return gradients


def _squares(arrays: list[Array]) -> list[float]:
    """Return the sum of the squares of each array; the GPU is waited for once."""
    found: Any = [np.vdot(a, a) for a in arrays]
    if all(map(on_gpu, found)):
        found = to_cpu(np.stack(found))
    return [float(x) for x in found]


def _limited(gradient: Array, limit: float, norm: float) -> Array:
    """Return a gradient shortened to the limit; a norm that is no number makes all NaN."""
    scale = limit / norm if norm > limit else 1.0
    scale = scale if math.isfinite(norm) else math.nan
    return gradient * gradient.dtype.type(scale)
