"""Gradients that are too large, shortened; weights outside their bounds, brought back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

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
        return [_limited(g, norm, _norm([g])) for g in gradients]
    if all_norms is not None and all_norms > 0:
        length = _norm(gradients)
        return [_limited(g, all_norms, length) for g in gradients]
    return gradients


def _norm(arrays: list[Array]) -> float:
    return math.sqrt(sum(float(np.vdot(a, a)) for a in arrays))


def _limited(gradient: Array, limit: float, norm: float) -> Array:
    """Return a gradient shortened to the limit; a norm that is no number makes all NaN."""
    scale = limit / norm if norm > limit else 1.0
    scale = scale if math.isfinite(norm) else math.nan
    return gradient * np.asarray(scale, gradient.dtype)
