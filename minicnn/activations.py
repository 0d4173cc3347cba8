"""Activation functions under the names that Keras gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd.operators import operation
from minicnn.autograd.tensor import Tensor, as_tensor
from minicnn.errors import ArgumentError, ShapeError, check_choice
from minicnn.ops import elementwise, log_softmax, sigmoid, softmax, softplus, tanh
from minicnn.ops.elementwise import fractional

__all__ = [
    "celu", "elu", "exponential", "gelu", "get", "glu", "hard_shrink", "hard_sigmoid",
    "hard_silu", "hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid",
    "log_softmax", "mish", "relu", "relu6", "selu", "serialize", "sigmoid", "silu",
    "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid",
    "sparsemax", "squareplus", "swish", "tanh", "tanh_shrink", "threshold",
]  # fmt: skip

Activation = Callable[[Any], Tensor]


@operation
def linear(x: Any) -> Tensor:
    """Return x."""
    return as_tensor(x)


@operation
def exponential(x: Any) -> Tensor:
    """Return e ** x."""
    return ops.exp(as_tensor(x))


@operation
def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Tensor:
    """Return max(x, 0), with an upper limit and a slope below zero where these are given.

    x above `threshold`, negative_slope * (x - threshold) below; at most `max_value`

    Raises:
        ArgumentError: a number is below 0.

    >>> relu([-1.0, 2.0, 9.0], negative_slope=0.5, max_value=6.0).numpy().tolist()
    [-0.5, 2.0, 6.0]
    """
    x = as_tensor(x)
    if max_value is None and negative_slope == 0 and threshold == 0:
        return elementwise.relu(x)
    numbers = {"negative_slope": negative_slope, "max_value": max_value, "threshold": threshold}
    for name, value in numbers.items():
        if value is not None and not value >= 0:
            raise ArgumentError(f"relu: {name}={value!r}, but it must be a number >= 0.")
    y = ops.where(x.data > threshold, x, 0.0)
    if negative_slope:
        y = y - negative_slope * ops.relu(threshold - x)
    return y if max_value is None else ops.minimum(y, max_value)


@operation
def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """Return x above 0, alpha * (e ** x - 1) below."""
    x = fractional(x)
    return ops.where(x.data > 0, x, alpha * ops.expm1(ops.minimum(x, 0.0)))


@operation
def selu(x: Any) -> Tensor:
    """Return the scaled ELU that keeps mean 0 and variance 1.

    Source: G. Klambauer et al., Self-Normalizing Neural Networks, 2017, section 2.
    """
    return 1.0507009873554805 * elu(as_tensor(x), 1.6732632423543772)


@operation
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """Return x above 0, negative_slope * x below."""
    x = fractional(x)
    return ops.where(x.data > 0, x, negative_slope * x)


@operation
def relu6(x: Any) -> Tensor:
    """Return x limited to [0, 6]; the gradient at both limits is 0."""
    x = as_tensor(x)
    return ops.where((x.data > 0) & (x.data < 6), x, np.clip(x.data, 0, 6))


@operation
def silu(x: Any) -> Tensor:
    """Return x * sigmoid(x)."""
    x = fractional(x)
    return x * sigmoid(x)


@operation
def gelu(x: Any, approximate: bool = False) -> Tensor:
    """Return x/2 * (1 + erf(x / sqrt(2))): x times the normal distribution function.

    With `approximate` the error function is replaced by a hyperbolic tangent, which is faster and
    differs by less than 0.0005.

    Source: D. Hendrycks and K. Gimpel, Gaussian Error Linear Units, 2016, section 2.
    """
    x = fractional(x)
    if approximate:
        inner = tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))
    else:
        inner = ops.erf(0.7071067811865476 * x)
    return 0.5 * x * (1.0 + inner)


@operation
def softsign(x: Any) -> Tensor:
    """Return x / (1 + |x|)."""
    x = fractional(x)
    return x / (1.0 + ops.abs(x))


@operation
def hard_sigmoid(x: Any) -> Tensor:
    """Return x/6 + 1/2 limited to [0, 1]."""
    return relu6(fractional(x) + 3.0) * (1 / 6)


@operation
def hard_silu(x: Any) -> Tensor:
    """Return x * hard_sigmoid(x)."""
    x = fractional(x)
    return x * hard_sigmoid(x)


@operation
def hard_tanh(x: Any) -> Tensor:
    """Return x limited to [-1, 1]."""
    return ops.clip(as_tensor(x), -1.0, 1.0)


@operation
def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """Return x above 0, alpha * (e ** (x / alpha) - 1) below: an ELU without a corner.

    Source: J. Barron, Continuously Differentiable Exponential Linear Units, 2017.
    """
    x = fractional(x)
    return ops.where(x.data > 0, x, alpha * ops.expm1(ops.minimum(x, 0.0) * (1 / alpha)))


@operation
def glu(x: Any, axis: int = -1) -> Tensor:
    """Return a * sigmoid(b), where a and b are the two halves of x along an axis.

    Raises:
        ShapeError: the axis has an odd length.

    Source: Y. Dauphin et al., Language Modeling with Gated Convolutional Networks, 2017.
    """
    x = fractional(x)
    axis %= x.ndim
    if x.shape[axis] % 2:
        raise ShapeError(f"glu: x has shape {x.shape}; axis {axis} must have an even length.")
    half = x.shape[axis] // 2
    before = (slice(None),) * axis
    return x[(*before, slice(None, half))] * sigmoid(x[(*before, slice(half, None))])


@operation
def hard_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """Return x where it is further than `threshold` from 0, else 0."""
    x = fractional(x)
    return ops.where(np.abs(x.data) > threshold, x, 0.0)


@operation
def soft_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """Return x moved towards 0 by `threshold`, and 0 where it is nearer."""
    x = fractional(x)
    moved = x - Tensor(np.sign(x.data) * x.dtype.type(threshold))
    return ops.where(np.abs(x.data) > threshold, moved, 0.0)


@operation
def tanh_shrink(x: Any) -> Tensor:
    """Return x - tanh(x)."""
    x = fractional(x)
    return x - tanh(x)


@operation
def log_sigmoid(x: Any) -> Tensor:
    """Return log(sigmoid(x)), without overflow."""
    return -softplus(-fractional(x))


@operation
def mish(x: Any) -> Tensor:
    """Return x * tanh(softplus(x)).

    Source: D. Misra, Mish: A Self Regularized Non-Monotonic Activation Function, 2019.
    """
    x = fractional(x)
    return x * tanh(softplus(x))


@operation
def squareplus(x: Any, b: float = 4) -> Tensor:
    """Return (x + sqrt(x ** 2 + b)) / 2, a ReLU without a corner."""
    x = fractional(x)
    return 0.5 * (x + ops.sqrt(ops.square(x) + float(b)))


@operation
def sparse_plus(x: Any) -> Tensor:
    """Return 0 up to -1, (x + 1) ** 2 / 4 between -1 and 1, and x from there on."""
    x = fractional(x)
    return ops.where(x.data >= 1, x, 0.25 * ops.square(ops.relu(x + 1.0)))


@operation
def sparse_sigmoid(x: Any) -> Tensor:
    """Return (x + 1) / 2 limited to [0, 1]."""
    x = fractional(x)
    inside = (x.data > -1) & (x.data < 1)
    return ops.where(inside, 0.5 * (x + 1.0), np.clip(0.5 * (x.data + 1), 0, 1))


@operation
def sparsemax(x: Any, axis: int = -1) -> Tensor:
    """Return the probabilities nearest to x along an axis; small ones are exactly 0.

    y = max(x - t, 0), with t such that the sum is 1

    Source: A. Martins and R. Astudillo, From Softmax to Sparsemax, 2016, section 2.2.

    >>> sparsemax([[0.5, 0.25, 0.0]]).numpy().round(3)
    array([[0.583, 0.333, 0.083]], dtype=float32)
    """
    x = fractional(x)
    falling = -np.sort(-x.data, axis=axis)
    places = [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]
    ranks = np.arange(1, x.shape[axis] + 1, like=x.data).reshape(places)
    above = 1 + ranks * falling > np.cumsum(falling, axis=axis)
    count = above.sum(axis=axis, keepdims=True)  # how many probabilities are not 0
    least = np.take_along_axis(falling, count - 1, axis)
    support = Tensor((x.data >= least).astype(x.dtype))
    size = ops.sum(support, axis, keepdims=True)
    shift = (ops.sum(x * support, axis, keepdims=True) - 1.0) / size
    return ops.relu(x - shift)


@operation
def threshold(x: Any, threshold: float, default_value: float) -> Tensor:
    """Return x where it is above `threshold`, else `default_value`."""
    x = fractional(x)
    return ops.where(x.data > threshold, x, float(default_value))


hard_swish, swish = hard_silu, silu

#: What `get` finds by name. `threshold` is not among them: it has no meaning without its numbers.
NAMES: dict[str, Activation] = {
    f.__name__: f
    for f in (
        celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh,
        leaky_relu, linear, log_sigmoid, log_softmax, mish, relu, relu6, selu, sigmoid, silu,
        soft_shrink, softmax, softplus, softsign, sparse_plus, sparse_sigmoid, sparsemax,
        squareplus, tanh, tanh_shrink,
    )
} | {"hard_swish": hard_silu, "swish": silu}  # fmt: skip

#: Functions of other rooms that mean an activation of this one.
STANDS_FOR: dict[Activation, Activation] = {}


def get(identifier: str | Activation | None) -> Activation:
    """Return the activation of a name; None is `linear`, and functions pass through.

    >>> get("relu")([-1.0, 2.0]).numpy().tolist()
    [0.0, 2.0]
    """
    if identifier is None:
        return linear
    if isinstance(identifier, type):
        raise ArgumentError(
            f"activations.get: activation is the class {identifier.__name__}; give the function's "
            f"name, as 'relu'."
        )
    if callable(identifier):
        return STANDS_FOR.get(identifier, identifier)
    return NAMES[check_choice("activations.get", "activation", identifier, NAMES)]


def serialize(activation: Activation) -> Any:
    """Return the name under which `get` finds this activation, or the function itself."""
    return next((name for name, f in NAMES.items() if f is activation), activation)


deserialize = get  # as Keras calls it
