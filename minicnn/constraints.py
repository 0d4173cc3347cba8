"""Bounds that a weight is brought back to after every update of an optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicnn import ops
from minicnn.autograd.tensor import Tensor, as_tensor
from minicnn.errors import Worded
from minicnn.registry import by_names, look_up, spelled

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "get",
           "max_norm", "min_max_norm", "non_neg", "serialize", "unit_norm"]  # fmt: skip

#: Keras' epsilon(), added to norms before something is divided by them.
EPSILON = 1e-7

Axis = int | Sequence[int]


class Constraint(Worded):
    """The base of all constraints: called on a weight, it returns the weight within bounds."""

    def __call__(self, w: Any) -> Tensor:
        """Return the weight within bounds, in the same shape."""
        raise TypeError(f"{type(self).__name__} does not define __call__")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make another constraint like this one."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constraint:
        """Return a new constraint with these arguments."""
        return cls(**config)


def _norm(w: Tensor, axis: Axis) -> Tensor:
    return ops.sqrt(ops.sum(ops.square(w), axis, keepdims=True))


class MaxNorm(Constraint):
    """Scales weights down whose length is above a limit.

    Args:
        max_value: the largest length, default 2.
        axis: axes over which a length is taken, default 0: the inputs of each unit of `Dense`. For
            the kernel (KH,KW,C,F) of `Conv2D` it is (0, 1, 2).

    >>> MaxNorm(1.0)([[3.0, 0.0, 0.6], [4.0, 0.5, 0.8]]).numpy().round(2)
    array([[0.6, 0. , 0.6],
           [0.8, 0.5, 0.8]], dtype=float32)
    """

    def __init__(self, max_value: float = 2, axis: Axis = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Any) -> Tensor:
        w = as_tensor(w)
        norms = _norm(w, self.axis)
        return w * (ops.clip(norms, 0.0, self.max_value) / (norms + EPSILON))

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


class NonNeg(Constraint):
    """Sets negative weights to 0.

    >>> NonNeg()([-1.0, 0.0, 2.0]).numpy().tolist()
    [0.0, 0.0, 2.0]
    """

    def __call__(self, w: Any) -> Tensor:
        return ops.relu(w)


class UnitNorm(Constraint):
    """Scales weights to length 1.

    Args:
        axis: axes over which a length is taken, default 0; see `MaxNorm`.

    >>> UnitNorm()([[3.0, 0.0], [4.0, 0.5]]).numpy().round(2)
    array([[0.6, 0. ],
           [0.8, 1. ]], dtype=float32)
    """

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        w = as_tensor(w)
        return w / (_norm(w, self.axis) + EPSILON)

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


class MinMaxNorm(Constraint):
    """Brings the length of weights between two limits, or part of the way there.

    Args:
        min_value: the smallest length, default 0.
        max_value: the largest length, default 1.
        rate: share of the way that is gone at each update, default 1.
        axis: axes over which a length is taken, default 0; see `MaxNorm`.

    >>> MinMaxNorm(1.0, 5.0, rate=0.5)([[0.0, 6.0], [0.5, 8.0]]).numpy().round(2).tolist()
    [[0.0, 4.5], [0.75, 6.0]]
    """

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axis = 0
    ) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Any) -> Tensor:
        w = as_tensor(w)
        norms = _norm(w, self.axis)
        wanted = self.rate * ops.clip(norms, self.min_value, self.max_value)
        return w * ((wanted + (1 - self.rate) * norms) / (norms + EPSILON))

    def get_config(self) -> dict[str, Any]:
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm

NAMES: dict[str, type] = by_names(MaxNorm, NonNeg, UnitNorm, MinMaxNorm)


def get(identifier: Any) -> Any:
    """Return the constraint of a name or config; None, constraints and functions pass through.

    >>> get("non_neg")([-1.0, 2.0]).numpy().tolist()
    [0.0, 2.0]
    """
    if identifier is None or callable(identifier):
        return identifier() if isinstance(identifier, type) else identifier
    return look_up("constraints.get", "constraint", identifier, NAMES)


def serialize(constraint: Any) -> Any:
    """Return the name or config of which `get` makes this constraint again."""
    return spelled(constraint, NAMES)


deserialize = get  # as Keras calls it
