"""Operations that bring numbers onto a common scale: batch normalization and softmax."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config
from minicnn.autograd.operators import operation
from minicnn.autograd.recording import is_recording
from minicnn.autograd.tensor import Tensor, Variable, as_tensor, plain, record
from minicnn.kernels import backend
from minicnn.kernels.arrays import column_sums
from minicnn.ops.elementwise import (
    add,
    exp,
    fractional,
    multiply,
    negative,
    power,
    relu_gradient,
    subtract,
)
from minicnn.ops.elementwise import relu as elementwise_relu
from minicnn.ops.reduction import mean, sum, variance
from minicnn.ops.shape import sum_to
from minicnn.runtime import memory
from minicnn.runtime.backends import backend_module
from minicnn.runtime.devices import check_same_device, on_gpu

__all__ = ["batch_normalization", "log_softmax", "move_statistics", "normalize_by", "softmax",
           "standardize"]  # fmt: skip

#: How often NumPy goes over the images to normalize them, there and back: what decides under
#: `auto` whether compiled code is worth its call, as multiply-adds do for convolutions.
PASSES = 10


@operation
def standardize(x: Any, epsilon: float = 1e-3) -> tuple[Tensor, NDArray[Any], NDArray[Any]]:
    """Return x with mean 0 and variance 1 in each channel, and the mean and variance it had.

    y = (x - mean) / sqrt(variance + epsilon), over all axes but the last

    Args:
        x: (...,C) of floats.
        epsilon: added to the variance, default 0.001.

    Returns:
        y (...,C), mean (C,), variance (C,); no gradient flows into the last two.

    Source: S. Ioffe and C. Szegedy, Batch Normalization, 2015, section 3.

    >>> y, mean, variance = standardize(np.array([[1.0, 10.0], [3.0, 10.0], [5.0, 10.0]]))
    >>> mean.tolist(), variance.round(3).tolist(), y.numpy()[:, 0].round(2).tolist()
    ([3.0, 10.0], [2.667, 0.0], [-1.22, 0.0, 1.22])
    """
    x = fractional(x)
    rows = x.data.reshape(-1, x.shape[-1])  # (M,C)
    average = column_sums(rows) / x.dtype.type(len(rows))  # (C,)
    centred = np.subtract(rows, average, out=memory.empty_like(rows))  # (M,C)
    spread = column_sums(centred, centred) / x.dtype.type(len(rows))  # (C,)
    scale = 1 / np.sqrt(spread + epsilon)  # (C,)
    centred *= scale.astype(x.dtype)

    def gradient(dy: Tensor, y: Tensor) -> Tensor:
        if is_recording():
            return _standardize_gradient(dy, y, x, epsilon)
        return Tensor(_standardize_gradient_arrays(dy.data, y.data, scale))

    y = record("standardize", centred.reshape(x.shape), (x, gradient))
    return y, average, spread


def _standardize_gradient(dy: Tensor, y: Tensor, x: Tensor, epsilon: float) -> Tensor:
    """Return scale * (dy - mean(dy) - y * mean(dy*y)), in operations that differentiate again."""
    axes = tuple(range(x.ndim - 1))
    scale = power(add(variance(x, axes), epsilon), -0.5)  # (C,)
    inner = subtract(
        subtract(dy, mean(dy, axes)), multiply(y, mean(multiply(dy, y), axes))
    )  # (...,C)
    return multiply(scale, inner)


def _standardize_gradient_arrays(
    dy: NDArray[Any], y: NDArray[Any], scale: NDArray[Any]
) -> NDArray[Any]:
    """The same on arrays, in few passes: it is the slowest part of training a small network."""
    rows, ys = dy.reshape(-1, dy.shape[-1]), y.reshape(-1, y.shape[-1])  # (M,C)
    share = column_sums(rows) / rows.dtype.type(len(rows))  # (C,)
    slope = column_sums(rows, ys) / rows.dtype.type(len(rows))  # (C,)
    dx = ys * -slope  # (M,C)
    dx += rows
    dx -= share
    dx *= scale
    return dx.reshape(dy.shape)


class _Normalized:
    """One fused call of batch normalization, and how gradients reach each of its operands."""

    def __init__(
        self, backend: ModuleType, x: Tensor, gamma: Tensor | None, beta: Tensor | None,
        epsilon: float, relu: bool,
    ) -> None:  # fmt: skip
        self.backend, self.x, self.gamma, self.beta = backend, x, gamma, beta
        self.epsilon, self.relu = epsilon, relu
        # The last gradient met, with what was made of it: it comes once for each operand.
        self._met: tuple[Tensor, tuple[Tensor, ...]] | None = None

    def run(self) -> tuple[Tensor, NDArray[Any], NDArray[Any]]:
        """Return y, mean and variance."""
        arrays = (None if a is None else a.data for a in (self.gamma, self.beta))
        value, self.mean, self.variance = self.backend.batch_normalization(
            self.x.data, *arrays, self.epsilon, self.relu
        )
        operands = [
            (operand, functools.partial(self._gradient, number))
            for number, operand in enumerate((self.x, self.gamma, self.beta))
            if operand is not None
        ]
        return record("batch_normalization", value, *operands), self.mean, self.variance

    def _gradient(self, operand: int, dy: Tensor, y: Tensor) -> Tensor:
        """Return the gradient by x, gamma or beta."""
        if is_recording():
            return self._in_operations(operand, dy, y)
        if self._met is None or self._met[0] is not dy:
            gamma = None if self.gamma is None else self.gamma.data
            found = self.backend.batch_normalization_gradient(
                dy.data, y.data if self.relu else None, self.x.data, gamma, self.mean,
                self.variance, self.epsilon,
            )  # fmt: skip
            self._met = dy, tuple(map(Tensor, found))
        return self._met[1][operand]

    def _in_operations(self, operand: int, dy: Tensor, y: Tensor) -> Tensor:
        """Return the same in operations that differentiate again."""
        slope = relu_gradient(dy, y) if self.relu else dy
        if operand == 2:
            return sum_to(slope, self.mean.shape)
        normalized = standardize(self.x, self.epsilon)[0]
        if operand == 1:
            return sum_to(multiply(slope, normalized), self.mean.shape)
        if self.gamma is not None:
            slope = multiply(slope, self.gamma)
        return _standardize_gradient(slope, normalized, self.x, self.epsilon)


@operation
def batch_normalization(
    x: Any, gamma: Any = None, beta: Any = None, epsilon: float = 1e-3, *, relu: bool = False
) -> tuple[Tensor, NDArray[Any], NDArray[Any]]:
    """Return x normalized over the batch, scaled and shifted, and the mean and variance it had.

    y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, over all axes but the last

    Args:
        x: (...,C); integers become floats.
        gamma: factors (C,), default ones.
        beta: summands (C,), default zeros.
        epsilon: added to the variance, default 0.001.
        relu: whether negative results become zero, default False.

    Returns:
        y (...,C), mean (C,), variance (C,); no gradient flows into the last two.

    Source: S. Ioffe and C. Szegedy, Batch Normalization, 2015, section 3.

    >>> x = np.array([[1.0, 10.0], [3.0, 10.0], [5.0, 10.0]])
    >>> y, mean, variance = batch_normalization(x, [2.0, 1.0], [0.0, 7.0], relu=True)
    >>> y.numpy().round(2).tolist()
    [[0.0, 7.0], [0.0, 7.0], [2.45, 7.0]]
    """
    x = as_tensor(x)
    if x.dtype.kind != "f":
        x = Tensor(x.data.astype(config.floatx()))
    gamma, beta = (None if a is None else as_tensor(a, x.dtype) for a in (gamma, beta))
    check_same_device("batch_normalization", x=x.data, gamma=plain(gamma), beta=plain(beta))
    chosen = backend(PASSES * x.size, x.data)
    if x.size and chosen.has_tile(x.dtype):
        return _Normalized(chosen, x, gamma, beta, epsilon, relu).run()
    y, average, spread = standardize(x, epsilon)
    y = y if gamma is None else multiply(y, gamma)
    y = y if beta is None else add(y, beta)
    return (elementwise_relu(y) if relu else y), average, spread


def normalize_by(
    x: Tensor, mean: Tensor, variance: Tensor, gamma: Tensor | None, beta: Tensor | None,
    epsilon: float, *, relu: bool = False,
) -> Tensor:  # fmt: skip
    """Return gamma * (x - mean) / sqrt(variance + epsilon) + beta, by statistics from before.

    Args:
        x: (...,C).
        mean: (C,); no gradient flows into it, nor into the variance.
        variance: (C,).
        gamma: factors (C,), or None for ones.
        beta: summands (C,), or None for zeros.
        epsilon: added to the variance.
        relu: whether negative results become zero, default False.
    """
    if on_gpu(x.data) and not is_recording() and backend(x.size, x.data).has_tile(x.dtype):
        arrays = (mean.data, variance.data, plain(gamma), plain(beta))
        check_same_device("batch_normalization", x=x.data, mean=mean.data)
        return Tensor(backend(x.size, x.data).normalize_by(x.data, *arrays, epsilon, relu))
    # One scale and one shift for each channel: y = x * scale + (beta - mean * scale).
    scale = Tensor(1 / np.sqrt(variance.data + epsilon))
    if gamma is not None:
        scale = multiply(gamma, scale)
    shift = negative(multiply(mean.detach(), scale))
    y = add(multiply(x, scale), shift if beta is None else add(beta, shift))
    return elementwise_relu(y) if relu else y


def move_statistics(
    mean: Variable, variance: Variable, batch: tuple[NDArray[Any], NDArray[Any]], momentum: float
) -> None:
    """Move a running mean and variance towards those of a batch.

    moving <- momentum * moving + (1 - momentum) * batch
    """
    moving = mean.data, variance.data
    if on_gpu(mean.data) and len({a.dtype for a in (*moving, *batch)}) == 1:
        new = backend_module("cupy").move_statistics(moving, batch, momentum)
        mean.data, variance.data = new
        return
    for variable, now in zip((mean, variance), batch, strict=True):
        variable.assign(momentum * variable.data + (1 - momentum) * now)


def _in_one_kernel(x: Tensor, axis: int) -> Any:
    """Return the backend that has softmax as one kernel, if it is to do this work."""
    if not on_gpu(x.data) or axis not in (-1, x.ndim - 1):
        return None
    chosen = backend(x.size, x.data)
    return chosen if x.size and chosen.has_tile(x.dtype) else None


def _softmax_kernel(chosen: Any, x: Tensor, logarithm: bool) -> Tensor:
    def gradient(dy: Tensor, y: Tensor) -> Tensor:
        if is_recording():
            return (_log_softmax_gradient if logarithm else _softmax_gradient)(dy, y, -1)
        return Tensor(chosen.softmax_gradient(dy.data, y.data, logarithm))

    name = "log_softmax" if logarithm else "softmax"
    return record(name, chosen.softmax(x.data, logarithm), (x, gradient))


@operation
def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """Return x - log(sum of e ** x) along an axis, without overflow."""
    x = fractional(x)
    if (chosen := _in_one_kernel(x, axis)) is not None:
        return _softmax_kernel(chosen, x, logarithm=True)
    shifted = x.data - x.data.max(axis=axis, keepdims=True)
    value = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return record("log_softmax", value, (x, lambda dy, y: _log_softmax_gradient(dy, y, axis)))


def _log_softmax_gradient(dy: Tensor, y: Tensor, axis: int) -> Tensor:
    return subtract(dy, multiply(exp(y), sum(dy, axis, keepdims=True)))


@operation
def softmax(x: Any, axis: int = -1) -> Tensor:
    """Return e ** x divided by its sum along an axis, without overflow.

    >>> softmax([[0.0, 1.0986123]]).numpy().round(2).tolist()
    [[0.25, 0.75]]
    """
    x = fractional(x)
    if (chosen := _in_one_kernel(x, axis)) is not None:
        p = _softmax_kernel(chosen, x, logarithm=False)
    else:
        powers = np.exp(x.data - x.data.max(axis=axis, keepdims=True))
        powers /= powers.sum(axis=axis, keepdims=True)
        p = record("softmax", powers, (x, lambda dy, y: _softmax_gradient(dy, y, axis)))
    if x.dtype == p.dtype:
        p.logits = "softmax", x, axis
    return p


def _softmax_gradient(dy: Tensor, y: Tensor, axis: int) -> Tensor:
    return multiply(y, subtract(dy, sum(multiply(dy, y), axis, keepdims=True)))
