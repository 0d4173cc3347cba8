"""Penalties that are added to the loss: on weights, and on what a layer gives out."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd.tensor import Tensor, as_tensor
from minicnn.errors import ArgumentError, ShapeError, Worded, check_choice, check_within
from minicnn.registry import by_names, look_up, spelled

__all__ = ["L1", "L1L2", "L2", "CodeOrthogonality", "KLSparsity",
           "OrthogonalRegularizer", "Regularizer", "get", "l1", "l1_l2", "l2",
           "orthogonal_regularizer", "serialize"]  # fmt: skip


class Regularizer(Worded):
    """The base of all penalties: called on a tensor, it returns one number.

    As `activity_regularizer` of a layer it is called on what the layer gives out, and the number
    is divided by the batch, so that the penalty does not grow with it.
    """

    #: Whether the penalty is a mean over the batch already, and need not be divided by it.
    averages_over_batch = False

    def __call__(self, x: Any) -> Tensor:
        """Return the penalty, a tensor of shape ()."""
        raise TypeError(f"{type(self).__name__} does not define __call__")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make another regularizer like this one."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        """Return a new regularizer with these arguments."""
        return cls(**config)


def _factor(where: str, argument: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise ArgumentError(f"{where}: {argument}={value!r}, but it must be a number.")
    if not np.isfinite(value):
        raise ArgumentError(f"{where}: {argument}={value!r}, but it must be finite.")
    return float(value)


class L1L2(Regularizer):
    """l1 * sum of |x| + l2 * sum of x**2.

    Args:
        l1: factor of the absolute values, default 0.
        l2: factor of the squares, default 0.

    >>> float(L1L2(0.5, 0.25)([[1.0, -2.0], [0.0, 4.0], [0.0, 1.0]]))
    9.5
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _factor("L1L2", "l1", 0.0 if l1 is None else l1)
        self.l2 = _factor("L1L2", "l2", 0.0 if l2 is None else l2)

    def __call__(self, x: Any) -> Tensor:
        x = as_tensor(x)
        parts = []
        if self.l1:
            parts.append(self.l1 * ops.sum(ops.abs(x)))
        if self.l2:
            parts.append(self.l2 * ops.sum(ops.square(x)))
        if not parts:
            return Tensor(np.zeros((), x.dtype, like=x.data))
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """l1 * sum of |x|, which drives single numbers to zero.

    Args:
        l1: factor, default 0.01.

    >>> float(L1(0.5)([[1.0, -2.0, 4.0]]))
    3.5
    """

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=_factor("L1", "l1", 0.01 if l1 is None else l1))

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(L1L2):
    """l2 * sum of x**2, which keeps all numbers small.

    Args:
        l2: factor, default 0.01.

    >>> float(L2(0.5)([[1.0, -2.0, 4.0]]))
    10.5
    """

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=_factor("L2", "l2", 0.01 if l2 is None else l2))

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """Keeps the rows, or columns, of a matrix at right angles to each other.

    factor * mean over all pairs i < j of |cos of the angle between row i and row j|

    Args:
        factor: default 0.01.
        mode: `"rows"` (default) or `"columns"`.

    Raises:
        ArgumentError: the mode is not known.
        ShapeError: what comes is no matrix.

    >>> float(OrthogonalRegularizer(1.0)([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]]))
    0.0
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor("OrthogonalRegularizer", "factor", factor)
        self.mode = check_choice("OrthogonalRegularizer", "mode", mode, ["rows", "columns"])

    def __call__(self, x: Any) -> Tensor:
        x = as_tensor(x)
        if x.ndim != 2:
            raise ShapeError(
                f"OrthogonalRegularizer: x has shape {x.shape}, but must be a matrix of two axes."
            )
        rows = x if self.mode == "rows" else ops.transpose(x)  # (R,K)
        count = rows.shape[0]
        if count < 2:
            raise ShapeError(
                f"OrthogonalRegularizer: x has shape {x.shape}, only one of the {self.mode}; "
                f"angles need at least two."
            )
        lengths = ops.sum(ops.square(rows), axis=1, keepdims=True)  # (R,1)
        rows = rows / ops.sqrt(ops.maximum(lengths, 1e-12))
        cosines = ops.matmul(rows, ops.transpose(rows))  # (R,R)
        return ops.sum(ops.abs(cosines * _others(count, x))) * (self.factor / (count * (count - 1)))

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "mode": self.mode}


def _others(count: int, x: Tensor) -> Tensor:
    """Return (N,N), one for each pair of two different ones, of x's type and where x lives."""
    places = np.arange(count, like=x.data)
    return Tensor((places[:, None] != places).astype(x.dtype))


def _units(x: Tensor) -> Tensor:
    """Return codes (...,units) as rows (samples,units)."""
    return ops.reshape(x, (-1, x.shape[-1]))


class KLSparsity(Regularizer):
    """Asks of every unit of a sigmoid code to be on for a share `rho` of the batch.

    weight * sum over units j of rho*log(rho/r_j) + (1-rho)*log((1-rho)/(1-r_j)), where r_j is the
    mean of unit j over the batch (and over pixels, if the code has any)

    Args:
        rho: wanted mean of a unit, 0 < rho < 1, default 0.05.
        weight: factor, default 1.

    Raises:
        ArgumentError: `rho` is outside (0, 1).

    Source: A. Ng, Sparse autoencoder (CS294A lecture notes), section 3.

    >>> float(KLSparsity(rho=0.25)([[0.0, 0.5, 0.25], [0.5, 0.0, 0.25]]))
    0.0
    """

    averages_over_batch = True

    def __init__(self, rho: float = 0.05, weight: float = 1.0) -> None:
        self.rho = float(check_within("KLSparsity", "rho", rho, "(0, 1)"))
        self.weight = _factor("KLSparsity", "weight", weight)

    def __call__(self, x: Any) -> Tensor:
        means = ops.mean(_units(as_tensor(x)), axis=0)  # (units,)
        # A unit that is never on, or always, would cost infinitely much and have no gradient.
        means = ops.maximum(ops.minimum(means, 1 - 1e-7), 1e-7)
        on = self.rho * (np.log(self.rho) - ops.log(means))
        off = (1 - self.rho) * (np.log(1 - self.rho) - ops.log(1.0 - means))
        return self.weight * ops.sum(on + off)

    def get_config(self) -> dict[str, Any]:
        return {"rho": self.rho, "weight": self.weight}


class CodeOrthogonality(Regularizer):
    """Asks the units of a code to be uncorrelated over the batch.

    weight * mean over all pairs i < j of c_ij**2, where c_ij is the correlation of units i and j
    over the batch (and over pixels, if the code has any)

    Args:
        weight: factor, default 1.

    Raises:
        ShapeError: the code has only one unit.

    >>> float(CodeOrthogonality()([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]))
    0.0
    """

    averages_over_batch = True

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = _factor("CodeOrthogonality", "weight", weight)

    def __call__(self, x: Any) -> Tensor:
        codes = _units(as_tensor(x))  # (samples,units)
        units = codes.shape[1]
        if units < 2:
            raise ShapeError(
                f"CodeOrthogonality: the code has shape {as_tensor(x).shape}, only one "
                f"unit; correlation needs at least two."
            )
        centred = codes - ops.mean(codes, axis=0)
        # A unit that never changes correlates with nothing: 0 / a small number.
        spread = ops.sqrt(ops.mean(ops.square(centred), axis=0) + 1e-12)  # (units,)
        scaled = centred / spread
        correlation = ops.matmul(ops.transpose(scaled), scaled) / codes.shape[0]  # (units,units)
        return ops.sum(ops.square(correlation * _others(units, codes))) * (
            self.weight / (units * (units - 1))
        )

    def get_config(self) -> dict[str, Any]:
        return {"weight": self.weight}


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

NAMES: dict[str, type] = by_names(
    L1, L2, L1L2, OrthogonalRegularizer, KLSparsity, CodeOrthogonality, l1_l2=L1L2
)


def get(identifier: Any) -> Any:
    """Return the regularizer of a name or config; None, regularizers and functions pass through.

    >>> get("l2").get_config()
    {'l2': 0.01}
    """
    if identifier is None or callable(identifier):
        return identifier() if isinstance(identifier, type) else identifier
    return look_up("regularizers.get", "regularizer", identifier, NAMES)


def serialize(regularizer: Any) -> Any:
    """Return the name or config of which `get` makes this regularizer again."""
    return spelled(regularizer, NAMES)


deserialize = get  # as Keras calls it
