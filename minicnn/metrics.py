"""Metrics under Keras' names: running figures over the batches of an epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import losses
from minicnn.autograd.tensor import Tensor, plain
from minicnn.errors import ShapeError, check_choice

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "Mean",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "SparseCategoricalAccuracy",
    "get",
]

Array = NDArray[Any]


class Metric:
    """A running mean of the values that `measure` gives for each sample.

    Args:
        name: shown in logs.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.reset_state()

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        """Return one value for each sample."""
        raise TypeError(f"{type(self).__name__} does not define measure")

    def reset_state(self) -> None:
        """Forget everything."""
        self.total, self.count = 0.0, 0.0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        values = self.measure(np.asarray(plain(y_true)), np.asarray(plain(y_pred)))
        self._add(values, sample_weight)

    def _add(self, values: Array, sample_weight: Any) -> None:
        if sample_weight is None:
            self.total += float(np.sum(values, dtype=np.float64))
            self.count += values.size
        else:
            spread = losses.spread(self.name, sample_weight, Tensor(values, np.float64))
            weights = np.broadcast_to(spread.data, values.shape)
            self.total += float((values * weights).sum())
            self.count += float(weights.sum())

    def result(self) -> float:
        """Return the mean so far; 0 before the first batch."""
        return self.total / self.count if self.count else 0.0

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """Add a batch and return the mean so far."""
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()


class Mean(Metric):
    """The mean of given numbers.

    >>> mean = Mean()
    >>> mean.update_state([1.0, 2.0]); mean.update_state(6.0)
    >>> mean.result()
    3.0
    """

    def __init__(self, name: str = "mean") -> None:
        super().__init__(name)

    def update_state(  # type: ignore[override]
        self, values: Any, sample_weight: Any = None
    ) -> None:
        """Add numbers, each with its weight if there are any."""
        self._add(np.asarray(plain(values), np.float64), sample_weight)


class _LossMetric(Metric):
    loss: Callable[[], losses.Loss]

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        return type(self).loss().call(y_true, y_pred).data


class MeanSquaredError(_LossMetric):
    """Mean of (y_true - y_pred) ** 2."""

    loss = losses.MeanSquaredError

    def __init__(self, name: str = "mean_squared_error") -> None:
        super().__init__(name)


class MeanAbsoluteError(_LossMetric):
    """Mean of |y_true - y_pred|."""

    loss = losses.MeanAbsoluteError

    def __init__(self, name: str = "mean_absolute_error") -> None:
        super().__init__(name)


def _matching(where: str, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
        y_true = y_true[..., None]
    if y_true.shape != y_pred.shape:
        raise ShapeError(
            f"{where}: y_true has shape {y_true.shape}, but y_pred has {y_pred.shape}; they must "
            f"be equal."
        )
    return y_true, y_pred


class Accuracy(Metric):
    """Share of predictions that equal the truth exactly."""

    def __init__(self, name: str = "accuracy") -> None:
        super().__init__(name)

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        y_true, y_pred = _matching(self.name, y_true, y_pred)
        return np.asarray(y_true == y_pred, np.float64)


class BinaryAccuracy(Metric):
    """Share of yes-or-no answers on the right side of `threshold`, default 0.5."""

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = threshold

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        y_true, y_pred = _matching(self.name, y_true, y_pred)
        return np.asarray((y_pred > self.threshold) == y_true, np.float64).mean(axis=-1)


class CategoricalAccuracy(Metric):
    """Share of samples whose largest prediction is the true class; the truth is one-hot."""

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(name)

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        y_true, y_pred = _matching(self.name, y_true, y_pred)
        return np.asarray(y_true.argmax(-1) == y_pred.argmax(-1), np.float64)


class SparseCategoricalAccuracy(Metric):
    """Share of samples whose largest prediction is the true class, given as a number."""

    def __init__(self, name: str = "sparse_categorical_accuracy") -> None:
        super().__init__(name)

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
            y_true = y_true[..., 0]
        if y_true.shape != y_pred.shape[:-1]:
            raise ShapeError(
                f"{self.name}: y_true has shape {y_true.shape} and y_pred {y_pred.shape}; y_true "
                f"must hold one class number for each of {y_pred.shape[:-1]}."
            )
        return np.asarray(y_true == y_pred.argmax(-1), np.float64)


class _AccuracyByShape(Metric):
    """What the name "accuracy" means in `compile`: the kind that fits the shapes.

    One output with a threshold is binary; truth and prediction of equal shape are one-hot;
    otherwise the truth holds class numbers.
    """

    def __init__(self) -> None:
        super().__init__("accuracy")
        self.kind: Metric | None = None

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        if self.kind is None:
            if y_pred.shape[-1] == 1:
                self.kind = BinaryAccuracy()
            elif y_true.shape == y_pred.shape:
                self.kind = CategoricalAccuracy()
            else:
                self.kind = SparseCategoricalAccuracy()
        return self.kind.measure(y_true, y_pred)


NAMES: dict[str, Callable[[], Metric]] = {
    "accuracy": _AccuracyByShape,
    "acc": _AccuracyByShape,
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
}


class _Function(Metric):
    """A metric made of a function (y_true, y_pred) -> values."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__(getattr(function, "__name__", "metric"))
        self.function = function

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        return np.asarray(plain(self.function(y_true, y_pred)))


def get(identifier: str | Metric | Callable[[Any, Any], Any]) -> Metric:
    """Return the metric of a name; metrics pass through, functions become metrics.

    >>> get("mse").name
    'mse'
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()  # type: ignore[call-arg]
    if callable(identifier):
        return _Function(identifier)
    metric = NAMES[check_choice("metrics.get", "metric", identifier, NAMES)]()
    # In logs a metric goes by the name that was asked for, as in Keras.
    metric.name = identifier
    return metric
