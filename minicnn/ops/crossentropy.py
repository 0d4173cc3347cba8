"""The crossentropy of classes: one operation, which the GPU does in one kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from minicnn.autograd.recording import is_recording
from minicnn.autograd.tensor import Tensor, record
from minicnn.kernels import backend
from minicnn.ops.elementwise import clip, divide, log, multiply, negative, subtract, where
from minicnn.ops.normalization import log_softmax, softmax
from minicnn.ops.reduction import sum
from minicnn.ops.shape import reshape
from minicnn.runtime.devices import on_gpu

__all__ = ["class_crossentropy", "kept_shares"]

Bounds = tuple[float, float]


def kept_shares(x: Tensor, axis: int, bounds: Bounds) -> Tensor:
    """Return x / sum of x along an axis, kept within bounds."""
    return clip(divide(x, sum(x, axis, keepdims=True)), *bounds)


def class_crossentropy(
    x: Tensor,
    truth: Tensor | Callable[[], Tensor],
    axis: int = -1,
    bounds: Bounds | None = None,
    numbers: NDArray[Any] | None = None,
) -> Tensor:
    """Return -sum of t * log(p) along the axis of the classes.

    p = softmax(x), or with bounds x / sum of x, kept within them

    Args:
        x: one number for each class.
        truth: the share t of each class, in x's shape; or a function that gives it:
        axis: of the classes, default the last one.
        bounds: of probabilities, where x holds these, default None for softmax(x).
        numbers: of the only true classes, of which `truth` makes its shares. The kernel reads them
            instead; where there is no such class it gives NaN.

    >>> x = Tensor([[1.0, 2.0, 5.0]])
    >>> class_crossentropy(x, Tensor([[0.0, 1.0, 0.0]]), bounds=(1e-7, 1.0)).numpy().round(3)
    array([1.386], dtype=float32)
    """

    def told() -> Tensor:
        return truth if isinstance(truth, Tensor) else truth()

    last = axis in (-1, x.ndim - 1)
    chosen = backend(x.size, x.data) if on_gpu(x.data) and last and x.size else None
    if chosen is None or not chosen.has_tile(x.dtype):
        return negative(sum(multiply(told(), _logarithms(x, axis, bounds)), axis))
    shares = truth.data if isinstance(truth, Tensor) else None
    given = None if numbers is None else numbers.astype(x.dtype, copy=False)
    losses, slopes = chosen.crossentropy(x.data, shares, given, bounds)

    def by_x(dy: Tensor, y: Tensor) -> Tensor:
        if is_recording():
            return multiply(reshape(dy, (*dy.shape, 1)), _slopes(x, told(), bounds))
        return Tensor(slopes * dy.data[..., None])

    def by_truth(dy: Tensor, y: Tensor) -> Tensor:
        return multiply(negative(reshape(dy, (*dy.shape, 1))), _logarithms(x, -1, bounds))

    inputs = [(truth, by_truth)] if isinstance(truth, Tensor) else []
    return record("class_crossentropy", losses, (x, by_x), *inputs)


def _logarithms(x: Tensor, axis: int, bounds: Bounds | None) -> Tensor:
    return log_softmax(x, axis) if bounds is None else log(kept_shares(x, axis, bounds))


def _slopes(x: Tensor, truth: Tensor, bounds: Bounds | None) -> Tensor:
    """Return the gradient by x of each row, in operations that differentiate again."""
    if bounds is None:
        return subtract(multiply(softmax(x), sum(truth, -1, keepdims=True)), truth)
    total = sum(x, -1, keepdims=True)
    shares = divide(x, total)
    inside = (shares.data >= bounds[0]) & (shares.data <= bounds[1])
    pull = where(inside, divide(truth, shares), 0.0)
    return divide(subtract(sum(multiply(pull, shares), -1, keepdims=True), pull), total)
