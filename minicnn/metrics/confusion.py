"""Figures of right and wrong yeses and noes: counts, precision, recall, and one at the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minicnn.autograd.tensor import Tensor, plain
from minicnn.errors import ShapeError, check_whole, check_within
from minicnn.losses.base import EPSILON, spread
from minicnn.metrics.base import Metric, divided, matching

__all__ = ["FalseNegatives", "FalsePositives", "Precision", "PrecisionAtRecall",
           "Recall", "RecallAtPrecision", "SensitivityAtSpecificity",
           "SpecificityAtSensitivity", "TrueNegatives", "TruePositives"]  # fmt: skip

Array = NDArray[Any]

#: Below every threshold: what a prediction becomes that is not among the `top_k`.
LOWEST = -1e10


class Counts(NamedTuple):
    """Right and wrong yeses and noes above each threshold, (T,) or with labels (T,L)."""

    true_positives: Array
    false_positives: Array
    true_negatives: Array
    false_negatives: Array


def checked_thresholds(where: str, thresholds: Any, default: float) -> list[float]:
    """Return a list of thresholds.

    Raises:
        ArgumentError: one is outside [0, 1].
    """
    if thresholds is None:
        return [default]
    given = list(thresholds) if isinstance(thresholds, Sequence | np.ndarray) else [thresholds]
    return [float(check_within(where, "thresholds", t, "[0, 1]")) for t in given]


def evenly(thresholds: Sequence[float]) -> bool:
    """Return whether there are at least three thresholds, from 0 to 1 in equal steps."""
    n = len(thresholds)
    return n >= 3 and np.allclose(thresholds, np.arange(n) / (n - 1), atol=EPSILON)


def prepared(
    where: str, y_true: Any, y_pred: Any, sample_weight: Any, top_k: Any, class_id: Any
) -> tuple[Array, Array, Array]:
    """Return truth (N,L), predictions (N,L) and weights (N,L) of one class or all."""
    true, pred = matching(where, y_true, y_pred)
    pred = pred.astype(pred.dtype if pred.dtype.kind == "f" else "float32")
    weights = np.ones(pred.shape)
    if sample_weight is not None:
        given = np.asarray(plain(sample_weight), np.float64)
        weights = np.broadcast_to(spread(where, given, Tensor(weights)).data, pred.shape)
    if top_k is not None:
        order = np.argsort(-pred, axis=-1, kind="stable")
        pred = pred.copy()
        np.put_along_axis(pred, order[..., top_k:], LOWEST, -1)
    if class_id is not None:
        if pred.ndim == 1:
            raise ShapeError(
                f"{where}: class_id={class_id} needs predictions (samples, classes), but y_pred "
                f"has shape {pred.shape}."
            )
        true, pred, weights = (a[..., class_id, None] for a in (true, pred, weights))
    return (true.astype(bool), pred, weights)


def count(
    true: Array, pred: Array, weights: Array, thresholds: Sequence[float], even: bool
) -> Counts:
    """Return the weighted numbers of right and wrong answers at each threshold.

    Args:
        true: (N,L) of booleans.
        pred: (N,L); above a threshold is a yes.
        weights: (N,L).
        thresholds: T numbers.
        even: they go from 0 to 1 in equal steps: predictions are sorted into as many drawers, and
            the counts are sums of drawers. The first threshold may be a little below 0.
    """
    axis = 0
    yes, no = np.where(true, weights, 0.0), np.where(true, 0.0, weights)  # (N,L)
    steps, labels = len(thresholds), pred.shape[1]
    if even:
        drawers = np.ceil(pred.clip(0, 1) * pred.dtype.type(steps - 1)).astype(np.int64) - 1
        if thresholds[0] < 0:
            drawers = drawers.clip(0)
        places = (np.where(drawers < 0, steps, drawers), np.arange(labels))  # -1: above none
        filled = np.zeros((2, steps + 1, labels))
        np.add.at(filled[0], places, yes)
        np.add.at(filled[1], places, no)
        tp, fp = filled[:, :steps][:, ::-1].cumsum(1)[:, ::-1]  # (T,L) each
    else:
        above = [pred > t for t in thresholds]
        tp, fp = (np.stack([np.where(a, w, 0.0).sum(axis) for a in above]) for w in (yes, no))
    return Counts(tp, fp, no.sum(axis) - fp, yes.sum(axis) - tp)


class Counting(Metric):
    """A metric made of one or more of the four counts."""

    kept: tuple[str, ...] = Counts._fields

    def _keep(self, shape: Sequence[int]) -> None:
        for name in self.kept:
            setattr(self, name, self._sums(name, shape))

    def _add(self, counts: Counts) -> None:
        for name in self.kept:
            getattr(self, name).assign_add(getattr(counts, name))

    def _share(self, part: str, rest: str) -> Array:
        """Return one count divided by the sum of two, 0 where that is 0."""
        a, b = getattr(self, part).data, getattr(self, rest).data
        return divided(a, a + b)

    def _one_or_all(self, values: Array) -> Tensor:
        return self._figure(values[0] if len(values) == 1 else values)


class _Thresholds(Counting):
    """A metric of the counts at some thresholds."""

    top_k: int | None = None
    class_id: int | None = None

    def _set_thresholds(self, thresholds: Any) -> None:
        self.init_thresholds = thresholds
        default = 0.5 if self.top_k is None else LOWEST
        self._levels = checked_thresholds(self.name, thresholds, default)
        self._keep((len(self._levels),))

    @property
    def thresholds(self) -> Any:
        """The thresholds as they were given, or the default one."""
        return self._levels

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch, each sample with its weight if there are any."""
        parts = prepared(self.name, y_true, y_pred, sample_weight, self.top_k, self.class_id)
        true, pred, weights = (a.reshape(-1, 1) for a in parts)
        counts = count(true, pred, weights, self._levels, evenly(self._levels))
        self._add(Counts(*(c[:, 0] for c in counts)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


class _Number(_Thresholds):
    """A metric that is one of the counts."""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self._set_thresholds(thresholds)

    def result(self) -> Tensor:
        return self._one_or_all(getattr(self, self.kept[0]).data)


class TruePositives(_Number):
    """Number of right yeses, or the sum of their weights.

    A yes is a prediction above a threshold, default 0.5; several thresholds give several numbers.
    """

    kept = ("true_positives",)


class TrueNegatives(_Number):
    """Number of right noes; see `TruePositives`."""

    kept = ("true_negatives",)


class FalsePositives(_Number):
    """Number of wrong yeses; see `TruePositives`."""

    kept = ("false_positives",)


class FalseNegatives(_Number):
    """Number of wrong noes; see `TruePositives`."""

    kept = ("false_negatives",)


class Precision(_Thresholds):
    """Share of yeses that are right.

    Args:
        thresholds: predictions above it are a yes, default 0.5; a list gives several figures.
        top_k: only the k largest predictions of a sample may be a yes, default all; without
            thresholds, all k are.
        class_id: look at this class alone, default all.
        name: shown in logs.
        dtype: as in `Metric`.

    Raises:
        ArgumentError: a threshold is outside [0, 1].

    >>> float(Precision()([[0, 1, 1]], [[0.7, 0.9, 0.2]]))
    0.5
    """

    direction = "up"
    kept = ("true_positives", "false_positives")

    def __init__(
        self, thresholds: Any = None, top_k: int | None = None, class_id: int | None = None,
        name: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(dtype, name)
        self.top_k, self.class_id = top_k, class_id
        self._set_thresholds(thresholds)

    def result(self) -> Tensor:
        return self._one_or_all(self._share(*self.kept))


class Recall(Precision):
    """Share of true yeses that are found; arguments as in `Precision`.

    >>> float(Recall()([[0, 1, 1]], [[0.7, 0.9, 0.2]]))
    0.5
    """

    kept = ("true_positives", "false_negatives")


class _AtConstraint(Counting):
    """The best of one figure over thresholds at which another one is large enough."""

    direction = "up"
    best: tuple[str, str]
    bound: tuple[str, str]

    def _set(self, argument: str, value: float, num_thresholds: int, class_id: int | None) -> None:
        check_within(self.name, argument, value, "[0, 1]")
        check_whole(self.name, "num_thresholds", num_thresholds)
        self._least, self.num_thresholds, self.class_id = value, num_thresholds, class_id
        steps = num_thresholds - 1
        self._levels = [i / steps for i in range(num_thresholds)] if steps else [0.5]
        self._keep((num_thresholds,))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch, each sample with its weight if there are any."""
        parts = prepared(self.name, y_true, y_pred, sample_weight, None, self.class_id)
        true, pred, weights = (a.reshape(-1, 1) for a in parts)
        counts = count(true, pred, weights, self._levels, len(self._levels) > 1)
        self._add(Counts(*(c[:, 0] for c in counts)))

    def result(self) -> Tensor:
        enough = self._share(*self.bound) >= self._least
        return self._figure(np.where(enough, self._share(*self.best), 0).max(initial=0))


SENSITIVITY = RECALL = ("true_positives", "false_negatives")
SPECIFICITY = ("true_negatives", "false_positives")
PRECISION = ("true_positives", "false_positives")


class SensitivityAtSpecificity(_AtConstraint):
    """Largest share of true yeses found while at least `specificity` of the noes are.

    Args:
        specificity: in [0, 1].
        num_thresholds: thresholds from 0 to 1 that are tried, default 200.
        class_id: look at this class alone, default all.
        name: shown in logs.
        dtype: as in `Metric`.
    """

    best, bound = SENSITIVITY, SPECIFICITY

    def __init__(
        self, specificity: float, num_thresholds: int = 200, class_id: int | None = None,
        name: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(dtype, name)
        self.specificity = specificity
        self._set("specificity", specificity, num_thresholds, class_id)


class SpecificityAtSensitivity(_AtConstraint):
    """Largest share of noes found while at least `sensitivity` of the yeses are."""

    best, bound = SPECIFICITY, SENSITIVITY

    def __init__(
        self, sensitivity: float, num_thresholds: int = 200, class_id: int | None = None,
        name: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(dtype, name)
        self.sensitivity = sensitivity
        self._set("sensitivity", sensitivity, num_thresholds, class_id)


class PrecisionAtRecall(_AtConstraint):
    """Largest precision while recall is at least `recall`."""

    best, bound = PRECISION, RECALL

    def __init__(
        self, recall: float, num_thresholds: int = 200, class_id: int | None = None,
        name: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(dtype, name)
        self.recall = recall
        self._set("recall", recall, num_thresholds, class_id)


class RecallAtPrecision(_AtConstraint):
    """Largest recall while precision is at least `precision`."""

    best, bound = RECALL, PRECISION

    def __init__(
        self, precision: float, num_thresholds: int = 200, class_id: int | None = None,
        name: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(dtype, name)
        self.precision = precision
        self._set("precision", precision, num_thresholds, class_id)
