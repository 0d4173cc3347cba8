"""Gradients that are too large, shortened; weights outside their bounds, brought back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minicnn.kernels.placement import on_gpu, to_cpu

if TYPE_CHECKING:
    from minicnn.autograd.tensor import Variable
    from minicnn.optimizers.base import Optimizer

__all__ = ["bound", "clipped"]

Array = NDArray[Any]


def bound(variables: Iterable[Variable]) -> None:
    """Bring variables that have a constraint back to where it lets them be."""
    for variable in variables:
        if variable.constraint is not None:
            variable.assign(variable.constraint(variable.value))


def clipped(optimizer: Optimizer, gradients: list[Array]) -> list[Array]:
    """Return gradients within the optimizer's limits; limits of 0 or less are none."""
    value, norm, all_norms = optimizer.clipvalue, optimizer.clipnorm, optimizer.global_clipnorm
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
