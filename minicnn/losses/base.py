"""What all losses share: equal shapes, weights, masks, and one number out of many.

A loss gives one value for each sample (or pixel), `call`, and reduces them, `__call__`. Truth and
prediction must have equal shapes: nothing is broadcast silently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config, configs, ops
from minicnn.autograd.tensor import Tensor, as_tensor, beside
from minicnn.errors import ArgumentError, ShapeError, Worded, truth_cure
from minicnn.registry import snake_case
from minicnn.runtime.devices import check_same_device, gpu_in_sight

__all__ = ["EPSILON", "Loss", "LossFunctionWrapper", "Pointwise", "float_tensor", "kind_by_shape",
           "same_shape", "spread", "together"]  # fmt: skip

#: Keras' epsilon(): probabilities are kept this far from 0 and 1 before the logarithm.
EPSILON = 1e-7

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


def float_tensor(value: Any, dtype: Any = None) -> Tensor:
    """Return a tensor of floats; of `dtype` if it is given, else floats keep their type."""
    tensor = as_tensor(value)
    if dtype is None and tensor.dtype.kind == "f":
        return tensor
    return ops.cast(tensor, dtype or config.floatx())


def together(where: str, **tensors: Tensor) -> None:
    """Refuse tensors of which some are on the GPU and some are not; see `check_same_device`."""
    if gpu_in_sight():
        check_same_device(where, **{name: tensor.data for name, tensor in tensors.items()})


def same_shape(where: str, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Return both as float tensors of one shape; a missing last axis of length 1 is added.

    Raises:
        ShapeError: the shapes differ otherwise.
        DeviceError: one is on the GPU and the other is not.
    """
    pred = float_tensor(y_pred)
    true = ops.cast(beside(y_true, pred), pred.dtype)
    given = true.shape, pred.shape
    if true.ndim == pred.ndim - 1 and pred.shape[-1] == 1:
        true = ops.reshape(true, (*true.shape, 1))
    elif true.ndim == pred.ndim + 1 and true.shape[-1] == 1:
        if pred.ndim == 1:  # (N,1) and (N,): one value for each sample, as in Keras
            pred = ops.reshape(pred, (*pred.shape, 1))
        else:
            true = ops.reshape(true, true.shape[:-1])
    together(where, y_pred=pred, y_true=true)
    if true.shape != pred.shape:
        raise ShapeError(
            f"{where}: y_true has shape {given[0]}, but y_pred has {given[1]}; they must be equal."
            f"{truth_cure(where, *given)}"
        )
    return true, pred


def kind_by_shape(true: tuple[int, ...], pred: tuple[int, ...]) -> str:
    """Return what "accuracy" and "crossentropy" mean for truth and predictions of these shapes.

    >>> kind_by_shape((4, 1), (4, 1)), kind_by_shape((4,), (4, 3)), kind_by_shape((4, 3), (4, 3))
    ('binary', 'sparse_categorical', 'categorical')
    """
    if pred[-1] == 1:
        return "binary"
    if len(true) < len(pred) or (true[-1] == 1 and pred[-1] > 1):
        return "sparse_categorical"
    return "categorical"


class Loss(Worded):
    """The base of all losses: a subclass writes `call`.

    Args:
        name: shown in logs.
        reduction: what `__call__` makes of the values, times their weights if there are any:
            `"sum_over_batch_size"` (default) and `"mean"` divide their sum by their number,
            `"mean_with_sample_weight"` by the sum of the weights, `"sum"` does not divide; None or
            `"none"` leaves them as they are.
        dtype: float type to compute in, default that of the predictions.

    Raises:
        ArgumentError: `reduction` is none of these.

    >>> class Cubes(Loss):
    ...     def call(self, y_true, y_pred):
    ...         return ops.mean(ops.abs(y_pred - y_true) ** 3, axis=-1)
    >>> float(Cubes(reduction="sum")([[0.0, 1.0, 2.0]], [[0.0, 1.0, 5.0]]))
    9.0
    """

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        self.name = name or snake_case(type(self).__name__)
        if reduction not in REDUCTIONS:
            raise ArgumentError(
                f"{self.name}: reduction={reduction!r} is not known; choose one of "
                f"{', '.join(map(repr, REDUCTIONS))}."
            )
        self.reduction = reduction
        self.dtype = dtype and config.element_type(self.name, dtype).name

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the loss of each sample, or of each pixel where samples are images."""
        raise TypeError(f"{type(self).__name__} does not define call")

    def mask(self, y_true: Tensor, y_pred: Tensor) -> NDArray[Any] | None:
        """Return which values count, or None where all do."""
        return None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """Return the reduced losses.

        Args:
            y_true: truth.
            y_pred: prediction.
            sample_weight: a number, or one weight for each sample, or for each value.

        Raises:
            ShapeError: shapes do not fit each other.
        """
        true, pred = self._ready(y_true, y_pred)
        values = as_tensor(self.call(true, pred))
        return self._reduced(values, sample_weight, self.mask(true, pred))

    def _ready(self, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
        pred = float_tensor(y_pred, self.dtype)
        return ops.cast(beside(y_true, pred), pred.dtype), pred

    def _reduced(self, values: Tensor, sample_weight: Any, mask: NDArray[Any] | None) -> Tensor:
        weights = None
        if sample_weight is not None:
            weights = spread(self.name, sample_weight, values)
        means = self.reduction in ("sum_over_batch_size", "mean")
        if mask is not None:
            # A mean is over the values that count.
            kept = Tensor(mask.astype(values.dtype))
            if means:
                kept = kept * (mask.size / np.maximum(1, mask.sum())).astype(values.dtype)
            weights = kept if weights is None else weights * kept
        if weights is not None:
            values = values * weights
        if self.reduction in (None, "none"):
            return values
        if self.reduction == "sum":
            return ops.sum(values)
        if means or weights is None:
            return ops.mean(values)
        whole = np.broadcast_to(weights.data, values.shape).sum(dtype=np.float64)
        share = 1 / np.where(whole == 0, np.inf, whole)
        return ops.sum(values) * share.astype(values.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make another loss like this one."""
        return configs.arguments_of(self, "dtype")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """Return a new loss with these arguments."""
        return cls(**config)


def spread(where: str, sample_weight: Any, values: Tensor) -> Tensor:
    """Return weights with axes of length 1 added until they broadcast to `values`."""
    weights = ops.cast(beside(sample_weight, values), values.dtype)
    together(where, values=values, sample_weight=weights)
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


class Pointwise(Loss):
    """A loss that compares element by element and averages over one axis."""

    axis: Any = -1

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each element."""
        raise TypeError(f"{type(self).__name__} does not define elements")

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        return ops.mean(self.elements(*same_shape(self.name, y_true, y_pred)), axis=self.axis)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        if sample_weight is None and self.reduction in REDUCTIONS[:1]:
            # The mean of means over equal parts is the mean: one pass.
            true, pred = same_shape(self.name, y_true, float_tensor(y_pred, self.dtype))
            return ops.mean(self.elements(true, pred))
        return super().__call__(y_true, y_pred, sample_weight)


class LossFunctionWrapper(Loss):
    """A loss made of a function (y_true, y_pred) -> losses.

    Args:
        fn: the function.
        reduction: as in `Loss`.
        name: shown in logs, default the function's.
        dtype: as in `Loss`.
        kwargs: further arguments of the function.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", "loss"), reduction, dtype)
        self.fn, self.kwargs = fn, kwargs

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        return as_tensor(self.fn(y_true, y_pred, **self.kwargs))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.kwargs}
