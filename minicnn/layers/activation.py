"""Activation functions as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicnn import activations, ops
from minicnn.autograd.tensor import Tensor
from minicnn.configs import own_arguments
from minicnn.errors import ArgumentError, ShapeError
from minicnn.layers.spatial import SameShape

__all__ = ["ELU", "Activation", "LeakyReLU", "PReLU", "ReLU", "Softmax"]


class Activation(SameShape):
    """An activation function as a layer of its own.

    >>> Activation("relu")([[-1.0, 2.0]]).numpy().tolist()
    [[0.0, 2.0]]
    """

    config_arguments: tuple[str, ...] = ("activation",)

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    @property
    def is_plain_relu(self) -> bool:
        """Whether this is max(x, 0) and nothing more, which other layers can do in passing."""
        return type(self) is Activation and self.activation is activations.relu

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        return self.activation(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self.activation is activations.glu:
            return super(SameShape, self).compute_output_shape(input_shape)
        return super().compute_output_shape(input_shape)


class ReLU(SameShape):
    """max(x, 0), with an upper limit and a slope below zero where these are given.

    Args:
        max_value: upper limit, default none.
        negative_slope: slope below the threshold, default 0.
        threshold: values below it count as negative, default 0.

    Raises:
        ArgumentError: a number is below 0.
    """

    config_arguments: tuple[str, ...] = ("max_value", "negative_slope", "threshold")

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (("max_value", max_value), ("negative_slope", negative_slope),
                            ("threshold", threshold)):  # fmt: skip
            _check_number(self.where, name, value, none=name == "max_value")
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold

    @property
    def is_plain_relu(self) -> bool:
        """Whether this is max(x, 0) and nothing more, which other layers can do in passing."""
        has_limits = self.max_value is not None or self.threshold != 0
        return type(self) is ReLU and not has_limits and self.negative_slope == 0

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


def _check_number(where: str, argument: str, value: Any, none: bool = False) -> None:
    """Refuse what is no number >= 0, or None where that is not allowed."""
    if value is None and none:
        return
    if value is None or not value >= 0:
        raise ArgumentError(f"{where}: {argument}={value!r}, but it must be a number >= 0.")


class LeakyReLU(SameShape):
    """x above 0, negative_slope * x below.

    Args:
        negative_slope: default 0.3, as in Keras; the function `leaky_relu` has 0.2.

    Raises:
        ArgumentError: the slope is below 0.

    >>> LeakyReLU(0.5)([[-1.0, 2.0]]).numpy().tolist()
    [[-0.5, 2.0]]
    """

    config_arguments: tuple[str, ...] = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        if "alpha" in kwargs:  # Keras 2's name
            negative_slope = kwargs.pop("alpha")
        super().__init__(**kwargs)
        _check_number(self.where, "negative_slope", negative_slope)
        self.negative_slope = negative_slope

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        return activations.leaky_relu(inputs, self.negative_slope)


class ELU(SameShape):
    """x above 0, alpha * (e ** x - 1) below.

    Args:
        alpha: default 1.

    >>> ELU(2.0)([[-100.0, 2.0]]).numpy().tolist()
    [[-2.0, 2.0]]
    """

    config_arguments: tuple[str, ...] = ("alpha",)

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        return activations.elu(inputs, self.alpha)


class PReLU(SameShape):
    """x above 0, alpha * x below, with a learned alpha for each element of a sample.

    Args:
        alpha_initializer: default `"zeros"`.
        alpha_regularizer: default none.
        alpha_constraint: default none.
        shared_axes: axes along which one alpha serves all, as (1, 2) for one per channel of an
            image; default none.

    Raises:
        ArgumentError: `shared_axes` names the batch or an axis that is missing.

    Source: K. He et al., Delving Deep into Rectifiers, 2015, section 2.1.

    >>> import numpy as np
    >>> layer = PReLU(shared_axes=(1, 2))
    >>> layer(np.ones((1, 5, 7, 3))).shape, layer.alpha.shape
    ((1, 5, 7, 3), (1, 1, 3))
    """

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep(
            alpha_initializer=alpha_initializer,
            alpha_regularizer=alpha_regularizer,
            alpha_constraint=alpha_constraint,
        )
        one = isinstance(shared_axes, int)
        self.shared_axes: Any = [shared_axes] if one else shared_axes and list(shared_axes)  # type: ignore[arg-type]

    config_arguments = own_arguments(__init__)

    def build(self, input_shape: Any) -> None:
        shape = list(input_shape[1:])
        for axis in self.shared_axes or ():
            if not 1 <= axis <= len(shape):
                raise ArgumentError(
                    f"{self.where}: shared_axes={self.shared_axes}, but an input of shape "
                    f"{tuple(input_shape)} has the axes 1 to {len(shape)} besides the batch."
                )
            shape[axis - 1] = 1
        if None in shape:
            raise ShapeError(
                f"{self.where}: the input's shape {tuple(input_shape)} leaves an axis open that "
                f"has its own alphas; share them along it by shared_axes."
            )
        self.alpha = self.make_weight("alpha", shape)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        return ops.relu(inputs) - self.alpha * ops.relu(-inputs)


class Softmax(SameShape):
    """e ** x divided by its sum along an axis, or along several together.

    Args:
        axis: default -1, the last.

    >>> Softmax()([[0.0, 0.0, 0.0, 0.0]]).numpy().tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """

    config_arguments: tuple[str, ...] = ("axis",)

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis: Any = axis if isinstance(axis, int) else list(axis)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        axes = (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)
        if len(axes) == 1:
            return activations.softmax(inputs, *axes)
        powers = ops.exp(inputs - Tensor(inputs.data.max(axis=axes, keepdims=True)))
        return powers / ops.sum(powers, axes, keepdims=True)
