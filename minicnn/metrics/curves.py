"""The area under a curve of hits over false alarms, or of precision over recall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.autograd.tensor import Tensor, plain
from minicnn.errors import ArgumentError, ShapeError, check_choice, check_whole
from minicnn.losses.base import EPSILON
from minicnn.metrics.base import divided
from minicnn.metrics.confusion import (
    PRECISION,
    RECALL,
    Counting,
    checked_thresholds,
    count,
    evenly,
    prepared,
)
from minicnn.ops import sigmoid

__all__ = ["AUC"]

Array = NDArray[Any]


class AUC(Counting):
    """Area under the curve of hits over false alarms, or of precision over recall.

    The curve is known at the thresholds; between them it is a straight line (ROC), or the curve
    that the counts follow when they change evenly (PR).

    Args:
        num_thresholds: thresholds in equal steps, default 200.
        curve: `"ROC"` (default) or `"PR"`.
        summation_method: `"interpolation"` (default), or the smaller (`"minoring"`) or larger
            (`"majoring"`) of the two ends of each piece.
        name: shown in logs.
        dtype: as in `Metric`.
        thresholds: thresholds in [0, 1], between two more just outside it; default equal steps.
        multi_label: one area for each column, and their mean; default one for all together.
        num_labels: number of columns, default that of the first batch.
        label_weights: weight of each column.
        from_logits: predictions are x with p = sigmoid(x), default False.

    Raises:
        ArgumentError: an argument is outside its rule.

    Source: J. Davis and M. Goadrich, The Relationship Between Precision-Recall and ROC Curves,
    2006, section 3.1.

    >>> float(AUC(num_thresholds=3)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]))
    0.75
    """

    direction = "up"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(dtype, name)
        check_choice(self.name, "curve", curve, ["roc", "pr"])
        ways = ["interpolation", "majoring", "minoring"]
        self.summation_method = check_choice(self.name, "summation_method", summation_method, ways)
        self.curve, self.from_logits = curve.upper(), from_logits
        if thresholds is None:
            check_whole(self.name, "num_thresholds", num_thresholds, 2)
        if num_labels and not multi_label:
            raise ArgumentError(f"{self.name}: num_labels={num_labels} needs multi_label=True.")
        self._given = thresholds
        inner = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
        if thresholds is not None:
            inner = sorted(checked_thresholds(self.name, thresholds, 0.5))
        self.num_thresholds = len(inner) + 2
        self._even = thresholds is None or evenly([0.0, *inner, 1.0])
        self._levels = [-EPSILON, *inner, 1 + EPSILON]
        self.multi_label, self.num_labels = multi_label, num_labels
        self.label_weights = label_weights
        self._built = not multi_label or bool(num_labels)
        if self._built:
            self._keep((self.num_thresholds, num_labels or 1))

    @property
    def thresholds(self) -> list[float]:
        """The thresholds, from just below 0 to just above 1."""
        return list(self._levels)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch, each sample with its weight if there are any."""
        if self.from_logits:
            y_pred = sigmoid(np.asarray(plain(y_pred))).data
        true, pred, weights = prepared(self.name, y_true, y_pred, sample_weight, None, None)
        if self.multi_label:
            if pred.ndim != 2 or self.num_labels not in (None, pred.shape[1]):
                raise ShapeError(
                    f"{self.name}: y_pred has shape {pred.shape}, but must be (samples, "
                    f"{self.num_labels or 'labels'}) for multi_label=True."
                )
            if not self._built:
                self.num_labels, self._built = pred.shape[1], True
                self._keep((self.num_thresholds, self.num_labels))
        else:
            if self.label_weights is not None:
                weights = weights * np.asarray(self.label_weights, np.float64)
            true, pred, weights = (a.reshape(-1, 1) for a in (true, pred, weights))
        self._add(count(true, pred, weights, self._levels, self._even))

    def result(self) -> Tensor:
        """Return the area so far; 0 before the first batch."""
        if not self._built:
            return self._figure(0.0)
        interpolated = self.curve == "PR" and self.summation_method == "interpolation"
        areas = self._interpolated_pr() if interpolated else self._pieces()  # (L,)
        if self.multi_label and self.label_weights is not None:
            weights = np.asarray(self.label_weights, np.float64)
            return self._figure(divided((areas * weights).sum(), weights.sum()))
        return self._figure(areas.mean())

    def _pieces(self) -> Array:
        recall = self._share(*RECALL)  # (T,L)
        if self.curve == "ROC":
            x, y = self._share("false_positives", "true_negatives"), recall
        else:
            x, y = recall, self._share(*PRECISION)
        ends = np.stack([y[:-1], y[1:]])
        ways: dict[str, Any] = {"interpolation": np.mean, "minoring": np.min, "majoring": np.max}
        height = ways[self.summation_method]
        return ((x[:-1] - x[1:]) * height(ends, axis=0)).sum(0)

    def _interpolated_pr(self) -> Array:
        """Return the area under precision = TP / P where TP is linear in P between thresholds."""
        hits = self.true_positives.data  # type: ignore[attr-defined]
        yeses = hits + self.false_positives.data  # type: ignore[attr-defined]
        more = hits[:-1] - hits[1:]
        slope = divided(more, np.maximum(yeses[:-1] - yeses[1:], 0))
        intercept = hits[1:] - slope * yeses[1:]
        both = (yeses[:-1] > 0) & (yeses[1:] > 0)
        ratio = np.where(both, divided(yeses[:-1], yeses[1:]), 1.0)
        areas = slope * (more + intercept * np.log(ratio))
        missed = self.false_negatives.data[1:]  # type: ignore[attr-defined]
        return divided(areas, np.maximum(hits[1:] + missed, 0)).sum(0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self._given}
