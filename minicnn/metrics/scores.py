"""Scores of whole data sets: F-beta, and the share of explained variance."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.autograd.tensor import Tensor, Variable, plain
from minicnn.errors import ArgumentError, ShapeError, check_choice, check_whole, warn_user
from minicnn.losses.base import EPSILON
from minicnn.metrics.base import Metric

__all__ = ["F1Score", "FBetaScore", "R2Score"]


def _two_axes(metric: Metric, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    true, pred = (np.asarray(plain(y), np.float64) for y in (y_true, y_pred))
    if pred.ndim != 2 or true.shape != pred.shape:
        raise ShapeError(
            f"{metric.name}: y_true has shape {true.shape} and y_pred {pred.shape}, but both must "
            f"be of one shape (samples, outputs)."
        )
    return true, pred


class FBetaScore(Metric):
    """(1 + beta**2) * precision * recall / (beta**2 * precision + recall).

    Truth and predictions are (samples, classes); without a threshold the largest prediction of
    each sample is its class.

    Args:
        average: None (default) gives a score for each class, `"macro"` their mean, `"weighted"`
            their mean weighted by how often a class occurs, `"micro"` one score of all answers.
        beta: how much more recall counts than precision, default 1.
        threshold: predictions above it are a yes each, in (0, 1]; default none.
        name: shown in logs.
        dtype: as in `Metric`.

    Raises:
        ArgumentError: an argument is outside its rule.

    >>> score = FBetaScore(average="micro", threshold=0.5)
    >>> round(float(score([[1, 1, 0], [0, 1, 0]], [[0.9, 0.2, 0.8], [0.1, 0.7, 0.4]])), 4)
    0.6667
    """

    direction = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if average is not None:
            check_choice(name, "average", average, ["micro", "macro", "weighted"])
        if not beta > 0:
            raise ArgumentError(f"{name}: beta={beta!r} must be > 0.")
        if threshold is not None and not 0 < threshold <= 1:
            raise ArgumentError(f"{name}: threshold={threshold!r} must be in (0, 1].")
        self.average, self.beta, self.threshold = average, beta, threshold
        self.true_positives: Variable | None = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        true, pred = _two_axes(self, y_true, y_pred)
        if self.true_positives is None:
            shape = () if self.average == "micro" else pred.shape[1:]
            self.true_positives = self._sums("true_positives", shape)
            self.false_positives = self._sums("false_positives", shape)
            self.false_negatives = self._sums("false_negatives", shape)
            self.intermediate_weights = self._sums("intermediate_weights", shape)
        if self.threshold is None:
            yes = (pred >= pred.max(axis=-1, keepdims=True)) & (np.abs(pred) > 1e-9)
        else:
            yes = pred > self.threshold
        weights = np.ones(len(true)) if sample_weight is None else np.asarray(plain(sample_weight))
        weights = weights.reshape(-1, 1)  # (N,1)
        axis = None if self.average == "micro" else 0
        for variable, counted in (
            (self.true_positives, yes * true),
            (self.false_positives, yes * (1 - true)),
            (self.false_negatives, ~yes * true),
            (self.intermediate_weights, true),
        ):
            variable.assign_add((counted * weights).sum(axis))

    def result(self) -> Tensor:
        """Return the score so far; 0 before the first batch."""
        if self.true_positives is None:
            return self._figure(0.0)
        hits, weights = self.true_positives.data, self.intermediate_weights.data
        precision = hits / (hits + self.false_positives.data + EPSILON)
        recall = hits / (hits + self.false_negatives.data + EPSILON)
        square = self.beta**2
        score = (1 + square) * precision * recall / (square * precision + recall + EPSILON)
        if self.average == "weighted":
            score = (score * weights).sum() / (weights.sum() + EPSILON)
        elif self.average is not None:
            score = score.mean()
        return self._figure(score)


class F1Score(FBetaScore):
    """2 * precision * recall / (precision + recall); see `FBetaScore`."""

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)


class R2Score(Metric):
    """1 - sum of (y_true - y_pred)**2 / sum of (y_true - mean)**2, over all batches.

    Args:
        class_aggregation: how the scores of several outputs become one: `"uniform_average"`
            (default), `"variance_weighted_average"`, or None for one score each.
        num_regressors: inputs that the score is adjusted for, default 0 for no adjustment.
        name: shown in logs.
        dtype: as in `Metric`.

    Raises:
        ArgumentError: an argument is outside its rule.

    >>> float(R2Score()([[1.0], [2.0], [3.0]], [[1.0], [2.0], [2.0]]))
    0.5
    """

    direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        ways = ["uniform_average", "variance_weighted_average"]
        if class_aggregation is not None:
            check_choice(name, "class_aggregation", class_aggregation, ways)
        check_whole(name, "num_regressors", num_regressors, 0)
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.num_samples = self._sums("num_samples")
        self.sum: Variable | None = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        true, pred = _two_axes(self, y_true, y_pred)
        if self.sum is None:
            self.squared_sum = self._sums("squared_sum", pred.shape[1:])
            self.sum = self._sums("sum", pred.shape[1:])
            self.total_mse = self._sums("residual", pred.shape[1:])
            self.count = self._sums("count", pred.shape[1:])
        weights = np.asarray(1.0 if sample_weight is None else plain(sample_weight))
        weights = np.broadcast_to(weights[:, None] if weights.ndim == 1 else weights, true.shape)
        self.sum.assign_add((true * weights).sum(0))
        self.squared_sum.assign_add((true**2 * weights).sum(0))
        self.total_mse.assign_add(((true - pred) ** 2 * weights).sum(0))
        self.count.assign_add(weights.sum(0))
        self.num_samples.assign_add(true.size)

    def result(self) -> Tensor:
        """Return the score so far; 0 before the first batch."""
        if self.sum is None:
            return self._figure(0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = self.squared_sum.data - self.sum.data**2 / self.count.data
            scores = 1 - self.total_mse.data / spread
        scores = np.where(np.isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = (scores * spread).sum() / spread.sum()
        left = float(self.num_samples) - 1 - self.num_regressors
        if self.num_regressors and left <= 0:
            warn_user(
                f"{self.name}: {self.num_regressors} regressors are too many for "
                f"{float(self.num_samples):.0f} values; the score is not adjusted."
            )
        elif self.num_regressors:
            scores = 1 - (1 - scores) * (float(self.num_samples) - 1) / left
        return self._figure(scores)
