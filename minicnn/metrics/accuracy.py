"""Shares of right answers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.autograd.tensor import plain
from minicnn.errors import ShapeError, truth_cure
from minicnn.losses.base import kind_by_shape
from minicnn.metrics.base import Mean, MeanMetricWrapper, matching, together
from minicnn.runtime.devices import on_gpu

__all__ = ["Accuracy", "AccuracyByShape", "BinaryAccuracy", "CategoricalAccuracy",
           "SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy",
           "TopKCategoricalAccuracy", "accuracy", "binary_accuracy",
           "categorical_accuracy", "sparse_categorical_accuracy",
           "sparse_top_k_categorical_accuracy", "top_k_categorical_accuracy"]  # fmt: skip

Array = NDArray[Any]


def _share(hits: Any) -> Array:
    return hits.astype(np.float64) if on_gpu(hits) else np.asarray(hits, np.float64)


def accuracy(y_true: Any, y_pred: Any) -> Array:
    """Return 1 where the prediction equals the truth exactly, else 0."""
    true, pred = matching("accuracy", y_true, y_pred)
    return _share(true == pred)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Array:
    """Return 1 for yes-or-no answers on the right side of the threshold, else 0."""
    true, pred = matching("binary_accuracy", y_true, y_pred)
    return _share((pred > threshold) == true)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Array:
    """Return 1 where the largest prediction is the true class, else 0; the truth is one-hot."""
    true, pred = matching("categorical_accuracy", y_true, y_pred)
    return _share(true.argmax(-1) == pred.argmax(-1))


def _class_numbers(where: str, y_true: Any, y_pred: Any) -> tuple[Array, Array]:
    true, pred = together(y_true, y_pred)
    given = true.shape
    if true.ndim == pred.ndim and true.shape[-1] == 1:
        true = true[..., 0]
    if true.shape != pred.shape[:-1]:
        raise ShapeError(
            f"{where}: y_true has shape {given} and y_pred {pred.shape}; y_true must hold one "
            f"class number for each of {pred.shape[:-1]}.{truth_cure(where, given, pred.shape)}"
        )
    return true, pred


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Array:
    """Return 1 where the largest prediction is the true class, a number, else 0."""
    true, pred = _class_numbers("sparse_categorical_accuracy", y_true, y_pred)
    return _share(true == pred.argmax(-1))


def _in_top_k(labels: Array, pred: Array, k: int) -> Array:
    """Return 1 where fewer than k predictions exceed that of the true class."""
    inside = (labels >= 0) & (labels < pred.shape[-1])
    chosen = np.where(inside, labels, 0).astype(np.int64)[..., None]
    of_truth = np.take_along_axis(pred, chosen, -1)
    hits = (pred > of_truth).sum(-1) < k
    return _share(hits & inside & np.isfinite(of_truth[..., 0]))


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Array:
    """Return 1 where the true class, one-hot, is among the k largest predictions, else 0."""
    true, pred = matching("top_k_categorical_accuracy", y_true, y_pred)
    return _in_top_k(true.argmax(-1), pred, k)


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Array:
    """Return 1 where the true class, a number, is among the k largest predictions, else 0.

    With `from_sorted_ids`, y_pred holds the class numbers themselves, the likeliest first.
    """
    true, pred = _class_numbers("sparse_top_k_categorical_accuracy", y_true, y_pred)
    if from_sorted_ids:
        return _share((pred[..., :k] == true[..., None]).any(-1))
    return _in_top_k(true, pred, k)


class Accuracy(MeanMetricWrapper):
    """Share of predictions that equal the truth exactly."""

    direction = "up"

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """Share of yes-or-no answers on the right side of `threshold`, default 0.5.

    >>> float(BinaryAccuracy()([[0, 1, 1]], [[0.2, 0.4, 0.9]]).numpy().round(4))
    0.6667
    """

    direction = "up"

    def __init__(
        self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)
        self.threshold = threshold


class CategoricalAccuracy(MeanMetricWrapper):
    """Share of samples whose largest prediction is the true class; the truth is one-hot."""

    direction = "up"

    def __init__(self, name: str = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """Share of samples whose largest prediction is the true class, given as a number."""

    direction = "up"

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """Share of samples whose true class, one-hot, is among the `k` (default 5) likeliest."""

    direction = "up"

    def __init__(
        self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)
        self.k = k


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """Share of samples whose true class, a number, is among the `k` (default 5) likeliest.

    With `from_sorted_ids`, predictions are the class numbers themselves, the likeliest first.
    """

    direction = "up"

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        function = sparse_top_k_categorical_accuracy
        super().__init__(function, name, dtype, k=k, from_sorted_ids=from_sorted_ids)
        self.k, self.from_sorted_ids = k, from_sorted_ids


class AccuracyByShape(Mean, anywhere=True):
    """What the name "accuracy" means in `compile`: the kind that fits the first batch's shapes.

    One output with a threshold is binary; truth and prediction of equal shape are one-hot;
    otherwise the truth holds class numbers.
    """

    direction = "up"

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.kind: Any = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add a batch, each sample with its weight if there are any."""
        if self.kind is None:
            self.kind = {
                "binary": binary_accuracy,
                "sparse_categorical": sparse_categorical_accuracy,
                "categorical": categorical_accuracy,
            }[kind_by_shape(np.shape(plain(y_true)), np.shape(plain(y_pred)))]
        super().update_state(self.kind(y_true, y_pred), sample_weight)
