"""Intersection over union of predicted and true areas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.autograd.tensor import Tensor, as_numpy
from minicnn.errors import ArgumentError, ShapeError, check_whole, warn_user
from minicnn.losses.base import EPSILON
from minicnn.metrics.base import Metric, array_of

__all__ = ["BinaryIoU", "IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU"]


class IoU(Metric, anywhere=True):
    """Mean over some classes of hits / (true + predicted - hits), over all batches.

    A class that is neither true nor predicted anywhere does not count in the mean. Places whose
    class number lies outside 0 to num_classes - 1 are left out.

    Args:
        num_classes: number of classes.
        target_class_ids: the classes of the mean.
        name: shown in logs.
        dtype: type of the table; by default integers, which cut off fractions of sample weights.
        ignore_class: class number of places that are left out, default none.
        sparse_y_true: the truth holds class numbers (default), not a value for each class.
        sparse_y_pred: the predictions hold class numbers (default), not a value for each class.
        axis: the axis of the values for each class, default the last one.

    Raises:
        ArgumentError: a target is no class.

    >>> metric = IoU(num_classes=2, target_class_ids=[1])
    >>> round(float(metric([[0, 1, 1], [0, 0, 1]], [[0, 1, 0], [0, 1, 1]])), 4)
    0.5
    """

    direction = "up"

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(dtype, name)
        if max(target_class_ids) >= check_whole(self.name, "num_classes", num_classes):
            raise ArgumentError(
                f"{self.name}: target_class_ids holds {max(target_class_ids)}, but the classes are "
                f"0 to {num_classes - 1}."
            )
        self.num_classes, self.target_class_ids = num_classes, list(target_class_ids)
        self.ignore_class, self.axis = ignore_class, axis
        self.sparse_y_true, self.sparse_y_pred = sparse_y_true, sparse_y_pred
        self.total_cm = self.add_variable(
            (num_classes, num_classes), "zeros", dtype or "int64", "total_confusion_matrix"
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch to the table."""
        true, pred = array_of(y_true), array_of(y_pred)
        true = as_numpy(true if self.sparse_y_true else true.argmax(self.axis)).reshape(-1)
        pred = as_numpy(pred if self.sparse_y_pred else pred.argmax(self.axis)).reshape(-1)
        if true.shape != pred.shape:
            raise ShapeError(
                f"{self.name}: y_true holds {true.size} class numbers, but y_pred {pred.size}."
            )
        true, pred = true.astype(np.int64), pred.astype(np.int64)
        kind = self.total_cm.dtype
        weights = as_numpy(1 if sample_weight is None else sample_weight)
        if weights.dtype.kind == "f" and kind.kind != "f":
            warn_user(
                f"{self.name}: fractions of sample_weight are cut off; give dtype='float32' to "
                f"count them."
            )
        weights = weights.astype(kind)
        weights = np.broadcast_to(weights.reshape(-1) if weights.ndim > 1 else weights, true.shape)
        inside = (true >= 0) & (true < self.num_classes)
        inside &= (pred >= 0) & (pred < self.num_classes)
        if self.ignore_class is not None:
            inside &= true != self.ignore_class
        table = np.zeros(self.total_cm.shape, kind)
        np.add.at(table, (true[inside], pred[inside]), weights[inside])
        self.total_cm.assign_add(table)

    def result(self) -> Tensor:
        table = self.total_cm.data.astype(np.float64)
        hits = table.diagonal()
        union = table.sum(0) + table.sum(1) - hits
        hits, union = hits[self.target_class_ids], union[self.target_class_ids]
        there = union > 1e-9
        scores = np.where(there, hits / (union + EPSILON), 0.0)
        result = scores.sum() / (there.sum() + EPSILON)
        floats = self.total_cm.dtype.kind == "f"
        return Tensor(np.asarray(result, self.total_cm.dtype if floats else "float64"))


class BinaryIoU(IoU, anywhere=True):
    """Intersection over union of yes and no; see `IoU`.

    Args:
        target_class_ids: the classes of the mean, default both, (0, 1).
        threshold: predictions from it on are a yes, default 0.5.
        name: shown in logs.
        dtype: as in `IoU`.
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch to the table."""
        super().update_state(y_true, array_of(y_pred) >= self.threshold, sample_weight)


class MeanIoU(IoU):
    """Mean intersection over union of all classes; see `IoU`."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        classes = range(check_whole(name or "mean_iou", "num_classes", num_classes))
        super().__init__(
            num_classes, classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis
        )


class OneHotIoU(IoU):
    """Intersection over union where truth and predictions hold a value for each class."""

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis
        )


class OneHotMeanIoU(MeanIoU):
    """Mean intersection over union where truth and predictions hold a value for each class."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
