"""Activation functions under the names that Keras gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd.tensor import Tensor, convert_to_tensor
from minicnn.errors import check_choice
from minicnn.ops import log_softmax, relu, sigmoid, softmax, softplus, tanh

__all__ = [
    "elu",
    "exponential",
    "gelu",
    "get",
    "hard_sigmoid",
    "leaky_relu",
    "linear",
    "log_softmax",
    "name_of",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
]

Activation = Callable[[Any], Tensor]


def linear(x: Any) -> Tensor:
    """Return x."""
    return convert_to_tensor(x)


def exponential(x: Any) -> Tensor:
    """Return e ** x."""
    return ops.exp(x)


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """Return x above 0, alpha * (e ** x - 1) below."""
    x = convert_to_tensor(x)
    return ops.where(x.data > 0, x, alpha * ops.expm1(ops.minimum(x, 0.0)))


def selu(x: Any) -> Tensor:
    """Return the scaled ELU that keeps mean 0 and variance 1.

    Source: G. Klambauer et al., Self-Normalizing Neural Networks, 2017, section 2.
    """
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """Return x above 0, negative_slope * x below."""
    x = convert_to_tensor(x)
    return ops.where(x.data > 0, x, negative_slope * x)


def relu6(x: Any) -> Tensor:
    """Return x limited to [0, 6]; the gradient at both limits is 0."""
    x = convert_to_tensor(x)
    return ops.where((x.data > 0) & (x.data < 6), x, np.clip(x.data, 0, 6))


def silu(x: Any) -> Tensor:
    """Return x * sigmoid(x)."""
    x = convert_to_tensor(x)
    return x * sigmoid(x)


def gelu(x: Any, approximate: bool = False) -> Tensor:
    """Return x/2 * (1 + erf(x / sqrt(2))): x times the normal distribution function.

    With `approximate` the error function is replaced by a hyperbolic tangent, which is faster and
    differs by less than 0.0005.

    Source: D. Hendrycks and K. Gimpel, Gaussian Error Linear Units, 2016, section 2.
    """
    x = convert_to_tensor(x)
    if approximate:
        inner = tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))
    else:
        inner = ops.erf(0.7071067811865476 * x)
    return 0.5 * x * (1.0 + inner)


def softsign(x: Any) -> Tensor:
    """Return x / (1 + |x|)."""
    x = convert_to_tensor(x)
    return x / (1.0 + ops.abs(x))


def hard_sigmoid(x: Any) -> Tensor:
    """Return x/6 + 1/2 limited to [0, 1]."""
    return relu6(convert_to_tensor(x) + 3.0) * (1 / 6)


NAMES: dict[str, Activation] = {
    "elu": elu,
    "exponential": exponential,
    "gelu": gelu,
    "hard_sigmoid": hard_sigmoid,
    "leaky_relu": leaky_relu,
    "linear": linear,
    "log_softmax": log_softmax,
    "relu": relu,
    "relu6": relu6,
    "selu": selu,
    "sigmoid": sigmoid,
    "silu": silu,
    "softmax": softmax,
    "softplus": softplus,
    "softsign": softsign,
    "swish": silu,
    "tanh": tanh,
}


def get(identifier: str | Activation | None) -> Activation:
    """Return the activation of a name; None is `linear`, and functions pass through.

    >>> get("relu")([-1.0, 2.0]).numpy().tolist()
    [0.0, 2.0]
    """
    if identifier is None:
        return linear
    if callable(identifier):
        return identifier
    return NAMES[check_choice("activations.get", "activation", identifier, NAMES)]


def name_of(activation: Activation) -> Any:
    """Return the name under which `get` finds this activation, or the function itself."""
    return next((name for name, f in NAMES.items() if f is activation), activation)
