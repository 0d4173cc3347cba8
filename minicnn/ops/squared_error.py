"""The mean squared error, whose value and gradient come from one pass where a backend can."""

from __future__ import annotations

from typing import Any

from minicnn.autograd.operators import operation
from minicnn.autograd.recording import is_recording
from minicnn.autograd.tensor import Tensor, as_tensor, record
from minicnn.kernels import backend
from minicnn.ops import elementwise, reduction
from minicnn.runtime.devices import check_same_device, on_gpu

__all__ = ["mean_squared_error"]


@operation
def mean_squared_error(truth: Any, prediction: Any) -> Tensor:
    """Return the mean of (prediction - truth)**2 over all elements.

    >>> float(mean_squared_error(Tensor([[0.0, 1.0, 2.0]]), Tensor([[0.0, 1.0, 5.0]])))
    3.0
    """
    truth, prediction = as_tensor(truth), as_tensor(prediction)
    check_same_device("mean_squared_error", truth=truth.data, prediction=prediction.data)
    chosen = backend(prediction.size, prediction.data)
    alike = truth.shape == prediction.shape and truth.dtype == prediction.dtype
    if not alike or not prediction.size or not chosen.has_tile(truth.dtype):
        return reduction.mean(elementwise.square(elementwise.subtract(prediction, truth)))
    value, gradient = chosen.squared_error(prediction.data, truth.data)

    def by_prediction(dy: Tensor, y: Tensor) -> Tensor:
        if is_recording():
            difference = elementwise.subtract(prediction, truth)
            return elementwise.multiply(dy, elementwise.multiply(2 / prediction.size, difference))
        # In training this is the last operation, so dy is 1 and a pass over the image is saved.
        # Whether it is, is not asked of the GPU: the answer would have to be waited for.
        done = dy.ones or (not on_gpu(dy.data) and dy.data == 1)
        return Tensor((gradient if done else gradient * dy.data).reshape(prediction.shape))

    return record(
        "mean_squared_error",
        value,
        (prediction, by_prediction),
        (truth, lambda dy, y: elementwise.negative(by_prediction(dy, y))),
    )
