"""Layers that are no images' own: input, dense, and functions and penalties as layers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from minicnn import activations, regularizers
from minicnn.autograd.tensor import Tensor
from minicnn.configs import own_arguments
from minicnn.errors import ArgumentError, ShapeError, check_whole, warn_user, worded
from minicnn.layers.base import Layer
from minicnn.layers.spatial import SameShape, warn_of_channels_first
from minicnn.layers.symbolic import Call, SymbolicTensor
from minicnn.ops.dense import dense_layer

__all__ = ["ActivityRegularization", "Dense", "Identity", "Input", "InputLayer", "Lambda"]


class InputLayer(Layer):
    """The place where a network's data enters; made by `Input`.

    Args:
        shape: shape of one sample, without the batch axis.
        batch_size: number of samples in every batch, default open.
        dtype: element type, default `config.floatx()`.
        batch_shape: shape with the batch axis, instead of `shape` and `batch_size`.
        name: default `input_layer` and a number.

    Raises:
        ArgumentError: the shape is missing, or given twice.
    """

    config_arguments: tuple[str, ...] = ("batch_shape",)

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        batch_shape: Sequence[int | None] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, dtype=dtype, **kwargs)
        shape = self.given_input_shape if shape is None else shape
        if (shape is None) == (batch_shape is None) or (batch_shape is not None and batch_size):
            raise ArgumentError(
                f"{self.where}: give either shape, and batch_size if it is fixed, or batch_shape."
            )
        if shape is not None:
            check_shape(self.where, "shape", shape)
            if len(shape) == 4 and shape[0] is None:
                warn_user(
                    f"{self.where}: shape={tuple(shape)!r} has four axes, but is the shape of one "
                    f"sample, without the batch: Input({tuple(shape[1:])}) takes images."
                )
            warn_of_channels_first(self.where, (None, *shape))
            batch_shape = (batch_size, *shape)
        check_shape(self.where, "batch_shape", batch_shape)
        self.batch_shape = tuple(batch_shape)  # type: ignore[arg-type]
        self.built = True
        self.calls.append(Call(self, []))
        self.calls[0].resulting(self.batch_shape, self.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.batch_shape


def check_shape(where: str, argument: str, shape: Any) -> None:
    """Refuse what is no tuple of sizes >= 1 and of None."""
    if not isinstance(shape, list | tuple) or any(
        n is not None and (not isinstance(n, int | np.integer) or n < 1) for n in shape
    ):
        raise ArgumentError(
            f"{where}: {argument}={shape!r}, but it must be a tuple of sizes >= 1"
            f"{' without the batch axis' if argument == 'shape' else ''}, None where it is open."
        )


@worded
def Input(  # noqa: N802 - Keras' name
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
) -> SymbolicTensor:
    """Return the symbolic tensor at which a functional model begins.

    Args:
        shape: shape of one sample, without the batch axis; None where it is open.
        batch_size: number of samples in every batch, default open.
        dtype: element type, default `config.floatx()`.
        batch_shape: shape with the batch axis, instead of `shape` and `batch_size`.
        name: of the input layer.

    Raises:
        ArgumentError: the shape is missing, given twice, or no tuple of sizes.

    >>> Input((28, 30, 1)).shape
    (None, 28, 30, 1)
    """
    if isinstance(shape, int):
        sizes = tuple(n for n in (shape, batch_size, dtype, batch_shape) if isinstance(n, int))
        raise ArgumentError(f"Input: shape={shape} is no tuple of sizes; give Input({sizes}).")
    return InputLayer(shape, batch_size, dtype, batch_shape, name).output


class Dense(Layer):
    """Every output unit is connected to every number of the last axis: (...,C) to (...,units).

    y = activation(x @ kernel + bias), kernel (C,units)

    Args:
        units: number of outputs.
        activation: name or function, default none.
        use_bias: add a bias, default True.
        kernel_initializer: default `"glorot_uniform"`.
        bias_initializer: default `"zeros"`.
        kernel_regularizer: penalty on the kernel, default none; likewise `bias_regularizer`.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the result, divided by the batch, default none.
        kernel_constraint: what the kernel is brought back to after an update, default none.
        bias_constraint: likewise for the bias.

    >>> Dense(4)(np.ones((2, 3))).shape
    (2, 4)
    """

    def __init__(
        self, units: int, activation: Any = None, use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None, bias_regularizer: Any = None,
        activity_regularizer: Any = None, kernel_constraint: Any = None,
        bias_constraint: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = check_whole(self.where, "units", units)
        self.use_bias = use_bias
        self.keep(
            activation=activation, kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer, kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
        )  # fmt: skip

    config_arguments = own_arguments(__init__)

    activation: Callable[[Any], Tensor]

    def build(self, input_shape: Any) -> None:
        if len(input_shape) < 2:
            raise ShapeError(f"{self.where}: the input has shape {input_shape}, no batch axis.")
        self.kernel = self.make_weight("kernel", (self.fix_channels(input_shape), self.units))
        if self.use_bias:
            self.bias = self.make_weight("bias", (self.units,))

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        self.check_channels(inputs.shape)
        relu = self.activation is activations.relu
        bias = self.bias if self.use_bias else None
        y = dense_layer(inputs, self.kernel, bias, relu=relu)
        return y if relu else self.activation(y)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_channels(input_shape)
        return (*input_shape[:-1], self.units)


class Identity(SameShape):
    """The input as it is.

    >>> Identity()([[1.0, 2.0]]).numpy().tolist()
    [[1.0, 2.0]]
    """


class ActivityRegularization(SameShape):
    """The input as it is, with a penalty on it, divided by the batch.

    Args:
        l1: factor of the sum of the absolute values, default 0.
        l2: factor of the sum of the squares, default 0.

    >>> layer = ActivityRegularization(l1=0.5)
    >>> layer([[1.0, -2.0, 0.0], [0.0, 3.0, 0.0]]).shape, float(layer.losses[0])
    ((2, 3), 1.5)
    """

    config_arguments: tuple[str, ...] = ("l1", "l2")

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)
        self.l1, self.l2 = l1, l2

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["activity_regularizer"]  # it is said by l1 and l2
        return config


def _parameters(function: Callable[..., Any]) -> Collection[str]:
    """Return the names of a function's arguments; of one written in C there are none to see."""
    try:
        return inspect.signature(function).parameters
    except ValueError:
        return ()


class Lambda(Layer):
    """A function as a layer.

    Args:
        function: of a tensor, or of a list of them; written in operations of `minicnn.ops`. If
            it has an argument `training`, it is told whether the model learns.
        output_shape: shape of one sample of the result, or a function of the input's shape with
            its batch axis that returns such with its batch axis; default found by trying.
        arguments: further arguments of the function, by name.

    Raises:
        ArgumentError: `function` is none.

    >>> Lambda(lambda x: x * 2.0)([[1.0, 2.0, 3.0]]).numpy().tolist()
    [[2.0, 4.0, 6.0]]
    """

    takes_list = None  # which is the function's to judge

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise ArgumentError(f"{self.where}: function={function!r}, but it must be a function.")
        self.function = function
        self.output_shape = output_shape
        self.named = dict(arguments or {})
        self._wants_training = "training" in _parameters(function)

    def call(self, inputs: Any, training: bool = False) -> Any:
        mode = {"training": training} if self._wants_training else {}
        return self.function(inputs, **self.named, **mode)

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self.output_shape is None:
            return super().compute_output_shape(input_shape)
        if callable(self.output_shape):
            return tuple(self.output_shape(input_shape))
        first = input_shape[0] if isinstance(input_shape, list) else input_shape
        return (first[0], *self.output_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "function": self.function,
            "output_shape": self.output_shape,
            "arguments": self.named,
        }
