"""Crossentropies: of yes-or-no answers, of one-hot classes, of class numbers.

Behind the sigmoid and softmax of `keras.activations`, as layers or functions, they are computed
from the numbers that went in, with or without `from_logits`: in float32 sigmoid(25) is 1, and the
crossentropy of 1 for a no would be cut off at 16, without a gradient. A tensor of probabilities
knows these numbers (`Tensor.logits`) until something else is computed with it. TensorFlow's own
`tf.sigmoid` and `tf.nn.softmax` do not tell.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import ops
from minicnn.autograd.tensor import Tensor, beside
from minicnn.errors import ArgumentError, ShapeError, check_within, truth_cure, warn_user
from minicnn.losses.base import EPSILON, Loss, Pointwise, float_tensor, same_shape, together
from minicnn.ops.crossentropy import class_crossentropy, kept_shares
from minicnn.runtime.devices import on_gpu

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "SparseCategoricalCrossentropy",
    "binary_crossentropy",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
]

#: How far probabilities are kept from 0 and 1.
BOUNDS = (EPSILON, 1 - EPSILON)


def check_smoothing(where: str, label_smoothing: float) -> float:
    return check_within(where, "label_smoothing", label_smoothing, "[0, 1]")


def check_axis(where: str, axis: Any) -> Any:
    if isinstance(axis, bool):
        raise ArgumentError(f"{where}: axis={axis!r}, but it must be an integer.")
    return axis


def smoothed(y_true: Tensor, smoothing: float, classes: int) -> Tensor:
    """Return truths moved towards the same share for each class."""
    return y_true * (1 - smoothing) + smoothing / classes if smoothing else y_true


def binary(y_true: Tensor, p: Tensor, logits: Tensor | None) -> Tensor:
    """Return -t*log(p) - (1 - t)*log(1 - p), of logits x = log(p / (1 - p)) if they are known."""
    if logits is not None:
        return ops.softplus(logits) - y_true * logits
    p = ops.clip(p, EPSILON, 1 - EPSILON)
    return -(y_true * ops.log(p) + (1.0 - y_true) * ops.log(1.0 - p))


def logits_of(where: str, y_pred: Tensor, name: str, axis: int, given: bool) -> Tensor | None:
    """Return the numbers that probabilities of sigmoid or softmax were made of, if they are known.

    Args:
        where: names the loss in messages.
        y_pred: probabilities; or logits, which are returned.
        name: of the function that this crossentropy belongs to.
        axis: of the classes.
        given: whether y_pred is said to hold logits.
    """
    made, x, along = y_pred.logits or ("", y_pred, axis)
    if made != name or (name == "softmax" and (along - axis) % y_pred.ndim):
        return y_pred if given else None
    if given:
        warn_user(
            f"{where}: got from_logits=True, but y_pred holds probabilities, which {name} made; "
            f"the loss is computed from what went into {name}. Leave out one of the two.",
            UserWarning,
        )
    return x


def shares(y_pred: Tensor, axis: int) -> Tensor:
    """Return probabilities that add up to 1, kept away from 0 and 1."""
    return kept_shares(y_pred, axis, BOUNDS)


def several_classes(where: str, shape: tuple[int, ...]) -> None:
    if shape[-1] == 1:
        warn_user(
            f"{where}: y_pred has shape {shape}, so there is one class only, which is always "
            f"right; for yes and no use binary_crossentropy.",
            SyntaxWarning,
        )


def chosen(where: str, labels: NDArray[Any], y_pred: Tensor, axis: int = -1) -> NDArray[Any]:
    """Return class numbers (...) as rows with a single one (...,K), in the type of y_pred.

    On the GPU the row of a wrong number is NaN, which becomes its loss, as in TensorFlow: nobody
    waits for the answer whether there are any.

    Raises:
        ArgumentError: a number is none of the classes that y_pred has along an axis.
    """
    classes = y_pred.shape[axis]
    known = (labels >= 0) & (labels < classes)
    if on_gpu(labels):
        rows = (labels[..., None] == np.arange(classes, like=labels)).astype(y_pred.dtype)
        return np.where(known[..., None], rows, y_pred.dtype.type(np.nan))
    if not known.all():
        first, last = labels.min(), labels.max()
        raise ArgumentError(
            f"{where}: y_true holds class numbers from {first:g} to {last:g}, but "
            f"y_pred has {classes} classes; numbers must be 0 to {classes - 1}."
            f"{' y_true - 1 begins with 0.' if (first, last) == (1, classes) else ''}"
            f"{' For yes or no use binary_crossentropy.' if classes == 1 else ''}"
        )
    return np.eye(classes, dtype=y_pred.dtype)[labels.astype(np.int64)]


class BinaryCrossentropy(Pointwise):
    """Mean of -t*log(p) - (1 - t)*log(1 - p) over independent yes-or-no answers.

    Args:
        from_logits: y_pred holds x with p = sigmoid(x); safer than a sigmoid layer. Default False.
        label_smoothing: move the truth this far towards 1/2, default 0.
        axis: averaged over, default the last one.
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.from_logits, self.axis = from_logits, axis
        self.label_smoothing = check_smoothing(name, label_smoothing)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        y_true = smoothed(y_true, self.label_smoothing, 2)
        return binary(y_true, y_pred, logits_of(self.name, y_pred, "sigmoid", -1, self.from_logits))


class CategoricalCrossentropy(Loss):
    """Mean of -sum of t*log(p) over classes; the truth is one-hot.

    Args:
        from_logits: y_pred holds x with p = softmax(x); safer than a softmax layer. Default False.
        label_smoothing: share of the truth spread over all classes, default 0.
        axis: the axis of the classes, default the last one.
        reduction: as in `Loss`.
        name: shown in logs.
        dtype: as in `Loss`.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.from_logits, self.axis = from_logits, check_axis(name, axis)
        self.label_smoothing = check_smoothing(name, label_smoothing)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        true, pred = same_shape(self.name, y_true, y_pred)
        several_classes(self.name, pred.shape)
        true = smoothed(true, self.label_smoothing, pred.shape[-1])
        x = logits_of(self.name, pred, "softmax", self.axis, self.from_logits)
        if x is None:
            return class_crossentropy(pred, true, self.axis, BOUNDS)
        return class_crossentropy(x, true, self.axis)


class SparseCategoricalCrossentropy(Loss):
    """Mean of -log(p of the true class); the truth is a class number.

    With `ignore_class`, places whose truth is that number (no data) count neither in the sum nor
    in the number that a mean divides by. A number that is none of the classes is refused; on the
    GPU, where it would have to be waited for, its loss is NaN.

    Args:
        from_logits: y_pred holds x with p = softmax(x); safer than a softmax layer. Default False.
        ignore_class: class number of places that do not count, default none.
        reduction: as in `Loss`.
        axis: the axis of the classes, default the last one.
        name: shown in logs.
        dtype: as in `Loss`.

    >>> half = np.full((1, 2, 3, 2), 0.5)
    >>> loss = SparseCategoricalCrossentropy(ignore_class=15)
    >>> round(float(loss([[[0, 1, 15], [15, 0, 15]]], half)), 4)
    0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.from_logits, self.ignore_class, self.axis = from_logits, ignore_class, axis

    def _labels(self, y_true: Any, pred: Tensor) -> NDArray[Any]:
        """Return the class numbers, in the shape of y_pred without its classes."""
        true = beside(y_true, pred)
        together(self.name, y_pred=pred, y_true=true)
        labels = true.data
        given, axis = labels.shape, self.axis % pred.ndim
        if labels.ndim == pred.ndim and labels.shape[axis] == 1:
            labels = labels.squeeze(axis)
        if labels.shape != (*pred.shape[:axis], *pred.shape[axis + 1 :]):
            raise ShapeError(
                f"{self.name}: y_true has shape {given} and y_pred {pred.shape}; y_true must hold "
                f"one class number for each of {(*pred.shape[:axis], *pred.shape[axis + 1 :])}."
                f"{truth_cure(self.name, given, pred.shape)}"
            )
        return labels

    def mask(self, y_true: Tensor, y_pred: Tensor) -> NDArray[Any] | None:
        if self.ignore_class is None:
            return None
        return self._labels(y_true, y_pred) != self.ignore_class

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        pred = float_tensor(y_pred)
        labels, valid = self._labels(y_true, pred), self.mask(y_true, pred)
        x = logits_of(self.name, pred, "softmax", self.axis, self.from_logits)
        bounds = BOUNDS if x is None else None
        pred = pred if x is None else x
        if valid is not None:
            labels = np.where(valid, labels, 0)
            pred = ops.where(np.expand_dims(valid, self.axis), pred, 1.0)

        def one_hot() -> Tensor:
            rows = chosen(self.name, labels, pred, self.axis)
            return Tensor(np.moveaxis(rows, -1, self.axis))

        values = class_crossentropy(pred, one_hot, self.axis, bounds, labels)
        return values if valid is None else ops.where(valid, values, 0.0)


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return `BinaryCrossentropy`, averaged over an axis."""
    return BinaryCrossentropy(from_logits, label_smoothing, axis).call(y_true, y_pred)


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return `CategoricalCrossentropy` of each sample."""
    return CategoricalCrossentropy(from_logits, label_smoothing, axis).call(y_true, y_pred)


def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """Return `SparseCategoricalCrossentropy` of each place, 0 where it is ignored."""
    return SparseCategoricalCrossentropy(from_logits, ignore_class, axis=axis).call(y_true, y_pred)
