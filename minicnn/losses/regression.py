"""Losses of values and of margins: squares, absolute values, angles, hinges."""

from __future__ import annotations

import math
from typing import Any

from minicnn import ops
from minicnn.autograd.tensor import Tensor
from minicnn.losses.base import EPSILON, Loss, Pointwise, float_tensor, same_shape

__all__ = ["CategoricalHinge", "CosineSimilarity", "Hinge", "Huber", "LogCosh",
           "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError",
           "MeanSquaredLogarithmicError", "SquaredHinge", "categorical_hinge",
           "cosine_similarity", "hinge", "huber", "log_cosh", "mean_absolute_error",
           "mean_absolute_percentage_error", "mean_squared_error",
           "mean_squared_logarithmic_error", "squared_hinge", "unit"]  # fmt: skip


class MeanSquaredError(Pointwise):
    """Mean of (y_true - y_pred) ** 2.

    Args:
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.

    >>> float(MeanSquaredError()([[0.0, 1.0, 2.0]], [[0.0, 1.0, 5.0]]))
    3.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return ops.square(y_pred - y_true)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        if sample_weight is None and self.reduction in ("sum_over_batch_size", "mean"):
            pred = float_tensor(y_pred, self.dtype)
            return ops.mean_squared_error(*same_shape(self.name, y_true, pred))
        return super().__call__(y_true, y_pred, sample_weight)


class MeanAbsoluteError(Pointwise):
    """Mean of |y_true - y_pred|.

    Args:
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.

    >>> float(MeanAbsoluteError()([[0.0, 1.0, 2.0]], [[0.0, 1.0, 5.0]]))
    1.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return ops.abs(y_pred - y_true)


class MeanAbsolutePercentageError(Pointwise):
    """Mean of 100 * |y_true - y_pred| / |y_true|, the divisor at least 1e-7.

    Args:
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.

    >>> float(MeanAbsolutePercentageError()([[1.0, 2.0, 4.0]], [[1.0, 2.0, 1.0]]))
    25.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_percentage_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        size = ops.maximum(ops.abs(y_true), EPSILON)
        return 100.0 * ops.abs((y_pred - y_true) / size)


class MeanSquaredLogarithmicError(Pointwise):
    """Mean of (log(1 + y_true) - log(1 + y_pred)) ** 2, both at least 1e-7.

    Args:
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_logarithmic_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        true, pred = (ops.log(ops.maximum(y, EPSILON) + 1.0) for y in (y_true, y_pred))
        return ops.square(pred - true)


class Huber(Pointwise):
    """Mean of e**2 / 2 where |e| <= delta, and of delta*|e| - delta**2 / 2 elsewhere.

    e = y_pred - y_true: a square near zero, and straight lines beyond, so outliers weigh less.

    Args:
        delta: the limit, in units of y; default 1.
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.

    >>> float(Huber(2.0)([[0.0, 0.0]], [[1.0, 5.0]]))
    4.25
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.delta = delta

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        error = y_pred - y_true
        size = ops.abs(error)
        line = self.delta * size - 0.5 * self.delta**2
        return ops.where(size.data <= self.delta, 0.5 * ops.square(error), line)


class LogCosh(Pointwise):
    """Mean of log(cosh(y_pred - y_true)): e**2 / 2 near zero, |e| - log(2) far away.

    Args:
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "log_cosh",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        error = y_pred - y_true
        return error + ops.softplus(-2.0 * error) - math.log(2.0)


class CosineSimilarity(Loss):
    """Minus the cosine of the angle between y_true and y_pred: -1 where they point the same way.

    Args:
        axis: the axis of the vectors, default the last one.
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.

    >>> round(float(CosineSimilarity()([[0.0, 2.0, 0.0]], [[3.0, 4.0, 0.0]])), 6)
    -0.8
    """

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.axis = axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        true, pred = same_shape(self.name, y_true, y_pred)
        return -ops.sum(unit(true, self.axis) * unit(pred, self.axis), axis=self.axis)


class Hinge(Pointwise):
    """Mean of max(1 - y_true * y_pred, 0); truths of 0 and 1 are taken as -1 and 1.

    Args:
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.

    >>> float(Hinge()([[0, 1]], [[-2.0, 0.5]]))
    0.25
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "hinge", dtype: Any = None
    ) -> None:
        super().__init__(name, reduction, dtype)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return ops.maximum(1.0 - signs(y_true) * y_pred, 0.0)


class SquaredHinge(Pointwise):
    """Mean of max(1 - y_true * y_pred, 0) ** 2; truths of 0 and 1 are taken as -1 and 1.

    Args:
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "squared_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return ops.square(ops.maximum(1.0 - signs(y_true) * y_pred, 0.0))


class CategoricalHinge(Loss):
    """max(1 + the largest prediction of a wrong class - that of the true class, 0).

    The truth is one-hot on the last axis; the largest of (1 - y_true) * y_pred is taken.

    Args:
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        true, pred = same_shape(self.name, y_true, y_pred)
        right = ops.sum(true * pred, axis=-1)
        wrong = ops.max((1.0 - true) * pred, axis=-1)
        return ops.maximum(wrong - right + 1.0, 0.0)


def unit(x: Tensor, axis: int) -> Tensor:
    """Return x divided by its length along an axis; vectors shorter than 1e-7 by 1e-7."""
    square = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x / ops.sqrt(ops.maximum(square, EPSILON**2))


def signs(y_true: Tensor) -> Tensor:
    """Return truths of 0 and 1 as -1 and 1, and others as they are."""
    binary = ((y_true.data == 0) | (y_true.data == 1)).all()
    if y_true.device == "cpu":
        return 2.0 * y_true - 1.0 if binary else y_true
    return ops.where(binary, 2.0 * y_true - 1.0, y_true)  # without waiting for the answer


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean over the last axis of (y_true - y_pred) ** 2."""
    return MeanSquaredError().call(y_true, y_pred)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean over the last axis of |y_true - y_pred|."""
    return MeanAbsoluteError().call(y_true, y_pred)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean over the last axis of 100 * |y_true - y_pred| / |y_true|."""
    return MeanAbsolutePercentageError().call(y_true, y_pred)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return `MeanSquaredLogarithmicError` over the last axis."""
    return MeanSquaredLogarithmicError().call(y_true, y_pred)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """Return the mean over the last axis of `Huber`'s values."""
    return Huber(delta).call(y_true, y_pred)


def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean over the last axis of log(cosh(y_pred - y_true))."""
    return LogCosh().call(y_true, y_pred)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Return minus the cosine of the angle between vectors along an axis."""
    return CosineSimilarity(axis).call(y_true, y_pred)


def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean over the last axis of max(1 - y_true * y_pred, 0)."""
    return Hinge().call(y_true, y_pred)


def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean over the last axis of max(1 - y_true * y_pred, 0) ** 2."""
    return SquaredHinge().call(y_true, y_pred)


def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Return `CategoricalHinge` along the last axis."""
    return CategoricalHinge().call(y_true, y_pred)
