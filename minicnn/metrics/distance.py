"""Means of a distance between truth and prediction: the losses as figures, and correlations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import losses
from minicnn.autograd.tensor import Tensor, as_numpy
from minicnn.errors import check_within
from minicnn.losses.base import EPSILON, same_shape
from minicnn.losses.crossentropy import SparseCategoricalCrossentropy as SparseLoss
from minicnn.metrics.base import Mean, MeanMetricWrapper, matching, together

__all__ = ["BinaryCrossentropy", "CategoricalCrossentropy", "CategoricalHinge",
           "ConcordanceCorrelation", "CosineSimilarity", "Hinge", "KLDivergence",
           "LogCoshError", "MeanAbsoluteError", "MeanAbsolutePercentageError",
           "MeanSquaredError", "MeanSquaredLogarithmicError", "PearsonCorrelation",
           "Poisson", "RootMeanSquaredError", "SparseCategoricalCrossentropy",
           "SquaredHinge", "concordance_correlation", "cosine_similarity",
           "pearson_correlation"]  # fmt: skip

Array = NDArray[Any]


class MeanSquaredError(MeanMetricWrapper):
    """Mean of (y_true - y_pred) ** 2."""

    direction = "down"

    def __init__(self, name: str = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_error, name, dtype)


class MeanAbsoluteError(MeanMetricWrapper):
    """Mean of |y_true - y_pred|."""

    direction = "down"

    def __init__(self, name: str = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(MeanMetricWrapper):
    """Mean of 100 * |y_true - y_pred| / |y_true|, the divisor at least 1e-7."""

    direction = "down"

    def __init__(self, name: str = "mean_absolute_percentage_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """Mean of (log(1 + y_true) - log(1 + y_pred)) ** 2."""

    direction = "down"

    def __init__(self, name: str = "mean_squared_logarithmic_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_logarithmic_error, name, dtype)


class LogCoshError(MeanMetricWrapper):
    """Mean of log(cosh(y_pred - y_true))."""

    direction = "down"

    def __init__(self, name: str = "logcosh", dtype: Any = None) -> None:
        super().__init__(losses.log_cosh, name, dtype)


class Hinge(MeanMetricWrapper):
    """Mean of max(1 - y_true * y_pred, 0); truths of 0 and 1 are taken as -1 and 1."""

    direction = "down"

    def __init__(self, name: str = "hinge", dtype: Any = None) -> None:
        super().__init__(losses.hinge, name, dtype)


class SquaredHinge(MeanMetricWrapper):
    """Mean of max(1 - y_true * y_pred, 0) ** 2; truths of 0 and 1 are taken as -1 and 1."""

    direction = "down"

    def __init__(self, name: str = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(losses.squared_hinge, name, dtype)


class CategoricalHinge(MeanMetricWrapper):
    """Mean of how far a wrong class comes within 1 of the true one; see the loss."""

    direction = "down"

    def __init__(self, name: str = "categorical_hinge", dtype: Any = None) -> None:
        super().__init__(losses.categorical_hinge, name, dtype)


class KLDivergence(MeanMetricWrapper):
    """Mean of the sum of t*log(t / p) over the last axis."""

    direction = "down"

    def __init__(self, name: str = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(losses.kl_divergence, name, dtype)


class Poisson(MeanMetricWrapper):
    """Mean of y_pred - y_true * log(y_pred)."""

    direction = "down"

    def __init__(self, name: str = "poisson", dtype: Any = None) -> None:
        super().__init__(losses.poisson, name, dtype)


class BinaryCrossentropy(MeanMetricWrapper):
    """Mean of -t*log(p) - (1 - t)*log(1 - p); see the loss of this name."""

    direction = "down"

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(
            losses.binary_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
        )
        self.from_logits = from_logits
        self.label_smoothing = check_within(self.name, "label_smoothing", label_smoothing, "[0, 1]")


class CategoricalCrossentropy(MeanMetricWrapper):
    """Mean of -sum of t*log(p) over classes; see the loss of this name."""

    direction = "down"

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits, self.axis = from_logits, axis
        self.label_smoothing = check_within(self.name, "label_smoothing", label_smoothing, "[0, 1]")


class SparseCategoricalCrossentropy(MeanMetricWrapper, anywhere=True):
    """Mean of -log(p of the true class), a number; see the loss of this name.

    Places of `ignore_class` add 0; they are left out of the number, as in Keras, only where there
    are sample weights.
    """

    direction = "down"

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.sparse_categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
        self.from_logits, self.ignore_class, self.axis = from_logits, ignore_class, axis

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        if self.ignore_class is not None and sample_weight is not None:
            true, pred = map(Tensor, together(y_true, y_pred))
            mask = SparseLoss(ignore_class=self.ignore_class, axis=self.axis).mask(true, pred)
            if mask is not None:
                weights = as_numpy(sample_weight)
                weights = weights.reshape(weights.shape + (1,) * (mask.ndim - weights.ndim))
                sample_weight = weights.reshape(weights.shape[: mask.ndim]) * as_numpy(mask)
        super().update_state(y_true, y_pred, sample_weight)


class CosineSimilarity(MeanMetricWrapper):
    """Mean cosine of the angle between y_true and y_pred."""

    direction = "up"

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(cosine_similarity, name, dtype, axis=axis)
        self.axis = axis


class PearsonCorrelation(MeanMetricWrapper):
    """Mean correlation of y_true and y_pred along an axis of each sample."""

    direction = "up"

    def __init__(
        self, name: str = "pearson_correlation", dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)
        self.axis = axis


class ConcordanceCorrelation(MeanMetricWrapper):
    """Mean agreement of y_true and y_pred: correlation that also asks for equal mean and spread."""

    direction = "up"

    def __init__(
        self, name: str = "concordance_correlation", dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)
        self.axis = axis


class RootMeanSquaredError(Mean, anywhere=True):
    """Square root of the mean of (y_true - y_pred) ** 2 over all batches.

    >>> metric = RootMeanSquaredError()
    >>> metric.update_state([[0.0, 0.0]], [[3.0, 3.0]]); metric.update_state([[0.0]], [[4.0]])
    >>> round(float(metric.result()) ** 2, 6)
    12.5
    """

    direction = "down"

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add a batch, each sample with its weight if there are any."""
        true, pred = same_shape(self.name, *together(y_true, y_pred))
        super().update_state(np.square(pred.data - true.data), sample_weight)

    def result(self) -> Tensor:
        return self._figure(np.sqrt(super().result().data))


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Return the cosine of the angle between vectors along an axis."""
    return -losses.cosine_similarity(y_true, y_pred, axis)


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Array:
    """Return the mean of the products of both, each with mean 0 and deviation 1 along an axis."""
    true, pred = matching("pearson_correlation", y_true, y_pred)
    true, pred = (y - y.mean(axis, keepdims=True) for y in (true, pred))
    true, pred = (y / y.std(axis, keepdims=True) for y in (true, pred))
    return (true * pred).mean(axis)


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Array:
    """Return 2 * covariance / (both variances + (difference of the means) ** 2 + 1e-7).

    Source: L. Lin, A Concordance Correlation Coefficient, 1989, equation 1.
    """
    true, pred = matching("concordance_correlation", y_true, y_pred)
    apart = np.square(true.mean(axis) - pred.mean(axis))
    covariance = (true * pred).mean(axis) - true.mean(axis) * pred.mean(axis)
    return 2 * covariance / (true.var(axis) + pred.var(axis) + apart + EPSILON)
