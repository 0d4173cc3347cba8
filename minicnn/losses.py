"""Losses under Keras' names: one number that says how far predictions are from the truth.

Every loss gives one value for each sample (or pixel), `call`, and the mean of them, `__call__`.
Truth and prediction must have equal shapes: nothing is broadcast silently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd.tensor import Tensor, convert_to_tensor
from minicnn.errors import ArgumentError, ShapeError, check_choice

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "KLDivergence",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "get",
]

#: Keras' epsilon(): probabilities are kept this far from 0 and 1 before the logarithm.
EPSILON = 1e-7


def _same_shape(where: str, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Return both as float tensors of one shape; a missing last axis of length 1 is added."""
    pred = convert_to_tensor(y_pred)
    true = ops.cast(convert_to_tensor(y_true), pred.dtype)
    if true.ndim == pred.ndim - 1 and pred.shape[-1] == 1:
        true = ops.reshape(true, (*true.shape, 1))
    elif true.ndim == pred.ndim + 1 and true.shape[-1] == 1:
        true = ops.reshape(true, true.shape[:-1])
    if true.shape != pred.shape:
        raise ShapeError(
            f"{where}: y_true has shape {true.shape}, but y_pred has {pred.shape}; they must be "
            f"equal."
        )
    return true, pred


class Loss:
    """The base of all losses.

    Args:
        name: shown in logs.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or type(self).__name__

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the loss of each sample, or of each pixel where samples are images."""
        raise TypeError(f"{type(self).__name__} does not define call")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """Return the mean over all samples and pixels, each times its weight if there are any."""
        values = self.call(y_true, y_pred)
        if sample_weight is None:
            return ops.mean(values)
        return ops.mean(values * spread(self.name, sample_weight, values))


def spread(where: str, sample_weight: Any, values: Tensor) -> Tensor:
    """Return weights with axes of length 1 added until they broadcast to `values`."""
    weights = ops.cast(convert_to_tensor(sample_weight), values.dtype)
    given = weights.shape
    if weights.ndim == values.ndim + 1 and weights.shape[-1] == 1:
        weights = ops.reshape(weights, weights.shape[:-1])
    # A length of 1 is meant for all, but not as the number of samples.
    lengths = list(zip(weights.shape, values.shape, strict=False))
    fits = weights.ndim <= values.ndim and all(w in (1, v) for w, v in lengths)
    if not fits or any(w != v for w, v in lengths[:1]):
        raise ShapeError(
            f"{where}: sample_weight has shape {given}, but there are losses of shape "
            f"{values.shape}; give one weight for each sample."
        )
    return ops.reshape(weights, weights.shape + (1,) * (values.ndim - weights.ndim))


class _Pointwise(Loss):
    """A loss that compares element by element and averages over the last axis."""

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each element."""
        raise TypeError(f"{type(self).__name__} does not define elements")

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        return ops.mean(self.elements(*_same_shape(self.name, y_true, y_pred)), axis=-1)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        if sample_weight is None:  # the mean of means over equal parts is the mean: one pass
            return ops.mean(self.elements(*_same_shape(self.name, y_true, y_pred)))
        return super().__call__(y_true, y_pred, sample_weight)


class MeanSquaredError(_Pointwise):
    """Mean of (y_true - y_pred) ** 2.

    >>> float(MeanSquaredError()([[0.0, 1.0, 2.0]], [[0.0, 1.0, 5.0]]))
    3.0
    """

    def __init__(self, name: str = "mean_squared_error") -> None:
        super().__init__(name)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return ops.square(y_pred - y_true)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        if sample_weight is None:
            return ops.mean_squared_error(*_same_shape(self.name, y_true, y_pred))
        return super().__call__(y_true, y_pred, sample_weight)


class MeanAbsoluteError(_Pointwise):
    """Mean of |y_true - y_pred|.

    >>> float(MeanAbsoluteError()([[0.0, 1.0, 2.0]], [[0.0, 1.0, 5.0]]))
    1.0
    """

    def __init__(self, name: str = "mean_absolute_error") -> None:
        super().__init__(name)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return ops.abs(y_pred - y_true)


def _check_smoothing(where: str, label_smoothing: float) -> float:
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"{where}: label_smoothing={label_smoothing!r} must be in [0, 1].")
    return label_smoothing


class BinaryCrossentropy(_Pointwise):
    """Mean of -t*log(p) - (1 - t)*log(1 - p) over independent yes-or-no answers.

    Args:
        from_logits: y_pred holds x with p = sigmoid(x); safer than a sigmoid layer. Default False.
        label_smoothing: move the truth this far towards 1/2, default 0.
        name: shown in logs.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        name: str = "binary_crossentropy",
    ) -> None:
        super().__init__(name)
        self.from_logits = from_logits
        self.label_smoothing = _check_smoothing(name, label_smoothing)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if self.label_smoothing:
            y_true = y_true * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        if self.from_logits:
            return ops.softplus(y_pred) - y_true * y_pred
        p = ops.clip(y_pred, EPSILON, 1 - EPSILON)
        return -(y_true * ops.log(p) + (1.0 - y_true) * ops.log(1.0 - p))


def _log_probabilities(y_pred: Tensor, from_logits: bool) -> Tensor:
    if from_logits:
        return ops.log_softmax(y_pred)
    share = y_pred / ops.sum(y_pred, axis=-1, keepdims=True)
    return ops.log(ops.clip(share, EPSILON, 1 - EPSILON))


class CategoricalCrossentropy(Loss):
    """Mean of -sum of t*log(p) over classes on the last axis; the truth is one-hot.

    Args:
        from_logits: y_pred holds x with p = softmax(x); safer than a softmax layer. Default False.
        label_smoothing: share of the truth spread over all classes, default 0.
        name: shown in logs.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        name: str = "categorical_crossentropy",
    ) -> None:
        super().__init__(name)
        self.from_logits = from_logits
        self.label_smoothing = _check_smoothing(name, label_smoothing)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        true, pred = _same_shape(self.name, y_true, y_pred)
        if self.label_smoothing:
            classes = pred.shape[-1]
            true = true * (1 - self.label_smoothing) + self.label_smoothing / classes
        return -ops.sum(true * _log_probabilities(pred, self.from_logits), axis=-1)


class SparseCategoricalCrossentropy(Loss):
    """Mean of -log(p of the true class); the truth is a class number.

    Args:
        from_logits: y_pred holds x with p = softmax(x); safer than a softmax layer. Default False.
        name: shown in logs.
    """

    def __init__(
        self, from_logits: bool = False, name: str = "sparse_categorical_crossentropy"
    ) -> None:
        super().__init__(name)
        self.from_logits = from_logits

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        pred = convert_to_tensor(y_pred)
        labels = np.asarray(convert_to_tensor(y_true).data)
        given = labels.shape
        if labels.ndim == pred.ndim and labels.shape[-1] == 1:
            labels = labels[..., 0]
        if labels.shape != pred.shape[:-1]:
            raise ShapeError(
                f"{self.name}: y_true has shape {given} and y_pred {pred.shape}; y_true "
                f"must hold one class number for each of {pred.shape[:-1]}."
            )
        classes = pred.shape[-1]
        if labels.size and not (labels.min() >= 0 and labels.max() < classes):
            raise ArgumentError(
                f"{self.name}: y_true holds class numbers from {labels.min()} to {labels.max()}, "
                f"but y_pred has {classes} classes; numbers must be 0 to {classes - 1}."
            )
        one_hot = np.eye(classes, dtype=pred.dtype)[labels.astype(np.int64)]  # (...,K)
        return -ops.sum(_log_probabilities(pred, self.from_logits) * Tensor(one_hot), axis=-1)


class KLDivergence(Loss):
    """Mean of the sum of t*log(t / p) over the last axis: how far p is from t."""

    def __init__(self, name: str = "kl_divergence") -> None:
        super().__init__(name)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        true, pred = _same_shape(self.name, y_true, y_pred)
        t, p = ops.clip(true, EPSILON, 1.0), ops.clip(pred, EPSILON, 1.0)
        return ops.sum(t * ops.log(t / p), axis=-1)


NAMES: dict[str, Callable[[], Loss]] = {
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "kl_divergence": KLDivergence,
}


class _Function(Loss):
    """A loss made of a function (y_true, y_pred) -> losses."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__(getattr(function, "__name__", "loss"))
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        return convert_to_tensor(self.function(y_true, y_pred))


def get(identifier: str | Loss | Callable[[Any, Any], Any]) -> Loss:
    """Return the loss of a name; losses pass through, functions become losses.

    >>> get("mse").name
    'mean_squared_error'
    """
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    if callable(identifier):
        return _Function(identifier)
    return NAMES[check_choice("losses.get", "loss", identifier, NAMES)]()
