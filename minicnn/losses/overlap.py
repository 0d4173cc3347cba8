"""Losses of areas: how little a predicted mask overlaps the true one."""

from __future__ import annotations

from typing import Any

from minicnn import ops
from minicnn.autograd.tensor import Tensor
from minicnn.losses.base import EPSILON, Loss, same_shape

__all__ = ["Dice", "Tversky", "dice", "tversky"]


class Dice(Loss):
    """1 - 2 * sum(t*p) / (sum(t) + sum(p) + 1e-7): how little two areas overlap.

    Args:
        axis: axes of one area, default all; the others have a loss each.
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "dice",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.axis = axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        t, p = same_shape(self.name, y_true, y_pred)
        common = ops.sum(t * p, axis=self.axis)
        both = ops.sum(t, axis=self.axis) + ops.sum(p, axis=self.axis)
        return 1.0 - 2.0 * common / (both + EPSILON)


class Tversky(Loss):
    """1 - TP / (TP + alpha*FP + beta*FN + 1e-7): how little two areas overlap.

    TP = sum(t*p) and, as Keras counts them, FP = sum(t*(1-p)) and FN = sum((1-t)*p).
    With alpha = beta = 1/2 it is `Dice`.

    Args:
        alpha: weight of FP, default 0.5.
        beta: weight of FN, default 0.5.
        axis: axes of one area, default all; the others have a loss each.
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.

    Source: S. Salehi et al., Tversky loss function for image segmentation, 2017, equation 3.
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "tversky",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.alpha, self.beta, self.axis = alpha, beta, axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        t, p = same_shape(self.name, y_true, y_pred)
        common = ops.sum(t * p, axis=self.axis)
        missed = ops.sum(t * (1.0 - p), axis=self.axis)
        extra = ops.sum((1.0 - t) * p, axis=self.axis)
        return 1.0 - common / (common + self.alpha * missed + self.beta * extra + EPSILON)


def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Tensor:
    """Return 1 - 2 * sum(t*p) / (sum(t) + sum(p)) over axes, default all."""
    return Dice(axis=axis).call(y_true, y_pred)


def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None
) -> Tensor:
    """Return `Tversky` over axes, default all."""
    return Tversky(alpha, beta, axis=axis).call(y_true, y_pred)
