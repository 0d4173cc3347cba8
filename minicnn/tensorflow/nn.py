"""The names of `tf.nn`: activations, convolution, pooling, and losses of logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicnn import activations, ops
from minicnn.activations import (
    elu,
    gelu,
    log_softmax,
    relu,
    relu6,
    selu,
    silu,
    softplus,
    softsign,
    tanh,
)
from minicnn.autograd.tensor import Tensor
from minicnn.errors import ArgumentError, suggest_attributes
from minicnn.losses import sparse_categorical_crossentropy

__all__ = [
    "avg_pool2d", "bias_add", "conv2d", "elu", "gelu", "l2_loss", "leaky_relu", "log_softmax",
    "max_pool2d", "moments", "relu", "relu6", "selu", "sigmoid",
    "sigmoid_cross_entropy_with_logits", "silu", "softmax", "softmax_cross_entropy_with_logits",
    "softplus", "softsign", "sparse_softmax_cross_entropy_with_logits", "swish", "tanh",
]  # fmt: skip

swish = silu


def sigmoid(x: Any) -> Tensor:
    """Return 1 / (1 + e ** -x); a crossentropy takes it as it is, see `minicnn.losses`."""
    return _forgetting(activations.sigmoid(x))


def softmax(logits: Any, axis: int = -1) -> Tensor:
    """Return e ** x divided by its sum along an axis; a crossentropy takes it as it is."""
    return _forgetting(activations.softmax(logits, axis))


# As the activation of a layer they are Keras' own.
activations.STANDS_FOR.update({sigmoid: activations.sigmoid, softmax: activations.softmax})


def _forgetting(p: Any) -> Any:
    if isinstance(p, Tensor):  # and not symbolic
        p.logits = None
    return p


def _pair(where: str, argument: str, value: Any) -> Any:
    """Return (rows, columns) of a number, a pair, or TensorFlow's four numbers."""
    numbers = [value] if isinstance(value, int) else list(value)
    if len(numbers) == 4:
        if numbers[0] != 1 or numbers[3] != 1:
            raise ArgumentError(
                f"{where}: {argument}={value!r}, but the first and the last, for samples and "
                f"channels, must be 1."
            )
        numbers = numbers[1:3]
    return tuple(numbers) if len(numbers) == 2 else numbers[0]


def conv2d(input: Any, filters: Any, strides: Any, padding: Any, dilations: Any = 1) -> Tensor:  # noqa: A002
    """Return the convolution of images (N,H,W,C) with kernels (KH,KW,C,F)."""
    return ops.conv2d(
        input,
        filters,
        None,
        _pair("conv2d", "strides", strides),
        padding,
        _pair("conv2d", "dilations", dilations),
    )


def max_pool2d(input: Any, ksize: Any, strides: Any, padding: Any) -> Tensor:  # noqa: A002
    """Return the largest value of each window of images (N,H,W,C)."""
    windows = _pair("max_pool2d", "ksize", ksize), _pair("max_pool2d", "strides", strides)
    return ops.max_pool2d(input, *windows, padding)


def avg_pool2d(input: Any, ksize: Any, strides: Any, padding: Any) -> Tensor:  # noqa: A002
    """Return the mean of each window of images (N,H,W,C)."""
    windows = _pair("avg_pool2d", "ksize", ksize), _pair("avg_pool2d", "strides", strides)
    return ops.average_pool2d(input, *windows, padding)


def bias_add(value: Any, bias: Any) -> Tensor:
    """Return the tensor with a number added to each channel of the last axis."""
    return ops.add(value, bias)


def leaky_relu(features: Any, alpha: float = 0.2) -> Tensor:
    """Return x above 0, alpha * x below."""
    return activations.leaky_relu(features, alpha)


def l2_loss(t: Any) -> Tensor:
    """Return half the sum of squares."""
    return ops.sum(ops.square(t)) * 0.5


def moments(x: Any, axes: Sequence[int], keepdims: Any = False) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance over some axes."""
    return ops.mean(x, axes, keepdims), ops.variance(x, axes, keepdims)


def softmax_cross_entropy_with_logits(labels: Any, logits: Any, axis: int = -1) -> Tensor:
    """Return -sum of t*log(softmax(x)) over an axis."""
    return ops.negative(ops.sum(ops.multiply(labels, ops.log_softmax(logits, axis)), axis))


def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any) -> Tensor:
    """Return -log(softmax(x) at the true class) over the last axis."""
    return sparse_categorical_crossentropy(labels, logits, from_logits=True)


def sigmoid_cross_entropy_with_logits(labels: Any, logits: Any) -> Tensor:
    """Return -t*log(p) - (1 - t)*log(1 - p) with p = sigmoid(x), element by element."""
    return ops.subtract(ops.softplus(logits), ops.multiply(labels, logits))


suggest_attributes(__name__)
