"""Further losses of probabilities: focal ones, divergence, counts."""

from __future__ import annotations

from typing import Any

from minicnn import ops
from minicnn.autograd.tensor import Tensor, alongside, beside
from minicnn.errors import ShapeError, check_within
from minicnn.losses.base import EPSILON, Loss, Pointwise, float_tensor, same_shape, together
from minicnn.losses.crossentropy import (
    binary,
    check_axis,
    check_smoothing,
    chosen,
    logits_of,
    several_classes,
    shares,
    smoothed,
)

__all__ = ["BinaryFocalCrossentropy", "CategoricalFocalCrossentropy",
           "CategoricalGeneralizedCrossEntropy", "KLDivergence", "Poisson",
           "binary_focal_crossentropy", "categorical_focal_crossentropy",
           "categorical_generalized_cross_entropy", "kl_divergence", "poisson"]  # fmt: skip


class BinaryFocalCrossentropy(Pointwise):
    """Binary crossentropy times (1 - probability of the true answer) ** gamma.

    Answers that are right already count less, so rare ones are heard.

    Args:
        apply_class_balancing: weigh yes by alpha and no by 1 - alpha, default False.
        alpha: default 0.25.
        gamma: default 2.
        from_logits: y_pred holds x with p = sigmoid(x). Default False.
        label_smoothing: move the truth this far towards 1/2, default 0.
        axis: averaged over, default the last one.
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.

    Source: T. Lin et al., Focal Loss for Dense Object Detection, 2017, equation 5.
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.apply_class_balancing, self.alpha, self.gamma = apply_class_balancing, alpha, gamma
        self.from_logits, self.axis = from_logits, axis
        self.label_smoothing = check_smoothing(name, label_smoothing)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        t = smoothed(y_true, self.label_smoothing, 2)
        x = logits_of(self.name, y_pred, "sigmoid", -1, self.from_logits)
        p = y_pred if x is None or x is not y_pred else ops.sigmoid(x)
        wrong = 1.0 - (t * p + (1.0 - t) * (1.0 - p))
        values = ops.power(wrong, self.gamma) * binary(t, p, x)
        if self.apply_class_balancing:
            values = (t * self.alpha + (1.0 - t) * (1 - self.alpha)) * values
        return values


class CategoricalFocalCrossentropy(Loss):
    """Mean of the sum of -alpha * (1 - p)**gamma * t*log(p) over classes; the truth is one-hot.

    Args:
        alpha: weight of all classes, or a list with one for each; default 0.25.
        gamma: default 2.
        from_logits: y_pred holds x with p = softmax(x). Default False.
        label_smoothing: share of the truth spread over all classes, default 0.
        axis: the axis of the classes, default the last one.
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.

    Source: T. Lin et al., Focal Loss for Dense Object Detection, 2017, equation 5.
    """

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.alpha, self.gamma = alpha, gamma
        self.from_logits, self.axis = from_logits, check_axis(name, axis)
        self.label_smoothing = check_smoothing(name, label_smoothing)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        true, pred = same_shape(self.name, y_true, y_pred)
        several_classes(self.name, pred.shape)
        true = smoothed(true, self.label_smoothing, pred.shape[-1])
        p = shares(ops.softmax(pred, self.axis) if self.from_logits else pred, self.axis)
        alpha = alongside(self.alpha, pred, pred.dtype)
        values = -(alpha * ops.power(1.0 - p, self.gamma)) * (true * ops.log(p))
        return ops.sum(values, axis=self.axis)


class CategoricalGeneralizedCrossEntropy(Loss):
    """Mean of (1 - p**q) / q with p of the true class: between crossentropy and absolute error.

    Wrong labels weigh less the larger q is; the truth is a class number.

    Args:
        q: in (0, 1), default 0.5.
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.

    Raises:
        ArgumentError: q is outside its range.

    Source: Z. Zhang and M. Sabuncu, Generalized Cross Entropy Loss, 2018, equation 6.
    """

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.q = check_within(name, "q", q, "(0, 1)")

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        pred = float_tensor(y_pred)
        true = beside(y_true, pred)
        together(self.name, y_pred=pred, y_true=true)
        labels = true.data
        if labels.shape != pred.shape[:-1]:
            raise ShapeError(
                f"{self.name}: y_true has shape {labels.shape} and y_pred {pred.shape}; y_true "
                f"must hold one class number for each of {pred.shape[:-1]}."
            )
        p = ops.sum(pred * Tensor(chosen(self.name, labels, pred)), axis=-1)
        return (1.0 - ops.power(p, self.q)) / self.q


class KLDivergence(Loss):
    """Mean of the sum of t*log(t / p) over the last axis: how far p is from t.

    Args:
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "kl_divergence",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        true, pred = same_shape(self.name, y_true, y_pred)
        t, p = ops.clip(true, EPSILON, 1.0), ops.clip(pred, EPSILON, 1.0)
        return ops.sum(t * ops.log(t / p), axis=-1)


class Poisson(Pointwise):
    """Mean of y_pred - y_true * log(y_pred + 1e-7): for counts whose mean is predicted.

    Args:
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "poisson",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return y_pred - y_true * ops.log(y_pred + EPSILON)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return `BinaryFocalCrossentropy`, averaged over an axis."""
    return BinaryFocalCrossentropy(
        apply_class_balancing, alpha, gamma, from_logits, label_smoothing, axis
    ).call(y_true, y_pred)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return `CategoricalFocalCrossentropy` of each sample."""
    return CategoricalFocalCrossentropy(alpha, gamma, from_logits, label_smoothing, axis).call(
        y_true, y_pred
    )


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Tensor:
    """Return `CategoricalGeneralizedCrossEntropy` of each sample."""
    return CategoricalGeneralizedCrossEntropy(q).call(y_true, y_pred)


def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """Return the sum of t*log(t / p) over the last axis."""
    return KLDivergence().call(y_true, y_pred)


def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean over the last axis of y_pred - y_true * log(y_pred)."""
    return Poisson().call(y_true, y_pred)
