"""Layers that are no images' own: input, dense, activation, noise and merging."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import activations, config, initializers, ops
from minicnn.autograd.tensor import Tensor
from minicnn.errors import ArgumentError, ShapeError
from minicnn.layers.base import Layer, SameShape, check_units
from minicnn.layers.symbolic import MERGERS, Call, SymbolicTensor

__all__ = [
    "Activation",
    "Add",
    "Concatenate",
    "Dense",
    "Dropout",
    "GaussianNoise",
    "Input",
    "InputLayer",
    "ReLU",
]


class InputLayer(Layer):
    """The place where a network's data enters; made by `Input`."""

    def __init__(self, shape: Sequence[int | None], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = (None, *shape)
        self.built = True
        self.calls.append(Call(self, []))
        SymbolicTensor(self.shape, self.calls[0], self.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "shape": self.shape[1:]}


def Input(  # noqa: N802 - Keras' name
    shape: Sequence[int | None], name: str | None = None, dtype: str | None = None
) -> SymbolicTensor:
    """Return the symbolic tensor at which a functional model begins.

    Args:
        shape: shape of one sample, without the batch axis.
        name: of the input layer.
        dtype: element type, default `config.floatx()`.

    >>> Input((28, 30, 1)).shape
    (None, 28, 30, 1)
    """
    if isinstance(shape, int) or any(n is not None and n < 1 for n in shape):
        raise ArgumentError(
            f"Input: shape={shape!r}, but it must be a tuple of sizes >= 1 without the batch axis."
        )
    return InputLayer(tuple(shape), name=name, dtype=dtype).output


class Dense(Layer):
    """Every output unit is connected to every number of the last axis: (...,C) to (...,units).

    y = activation(x @ kernel + bias), kernel (C,units)

    Args:
        units: number of outputs.
        activation: name or function, default none.
        use_bias: add a bias, default True.
        kernel_initializer: default `"glorot_uniform"`.
        bias_initializer: default `"zeros"`.

    >>> Dense(4)(np.ones((2, 3))).shape
    (2, 4)
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = check_units(self.where, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    def build(self, input_shape: Any) -> None:
        if len(input_shape) < 2:
            raise ShapeError(f"{self.where}: the input has shape {input_shape}, no batch axis.")
        shape = (self.fix_channels(input_shape), self.units)
        self.kernel = self.add_weight("kernel", shape, self.kernel_initializer)
        if self.use_bias:
            self.bias = self.add_weight("bias", (self.units,), self.bias_initializer)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        self.check_channels(inputs.shape)
        y = ops.matmul(inputs, self.kernel)
        if self.use_bias:
            y = y + self.bias
        return self.activation(y)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_channels(input_shape)
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.name_of(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.name_of(self.kernel_initializer),
            "bias_initializer": initializers.name_of(self.bias_initializer),
        }


class Activation(SameShape):
    """An activation function as a layer of its own.

    >>> Activation("relu")([[-1.0, 2.0]]).numpy().tolist()
    [[0.0, 2.0]]
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        return self.activation(inputs)

    @property
    def is_plain_relu(self) -> bool:
        """Whether this is max(x, 0) and nothing more, which other layers can do in passing."""
        return type(self) is Activation and self.activation is activations.relu

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": activations.name_of(self.activation)}


class ReLU(SameShape):
    """max(x, 0), with an upper limit and a slope below zero where these are given.

    Args:
        max_value: upper limit, default none.
        negative_slope: slope below the threshold, default 0.
        threshold: values below it count as negative, default 0.
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold

    @property
    def is_plain_relu(self) -> bool:
        """Whether this is max(x, 0) and nothing more, which other layers can do in passing."""
        has_limits = self.max_value is not None or self.threshold != 0
        return type(self) is ReLU and not has_limits and self.negative_slope == 0

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        if self.is_plain_relu:
            return ops.relu(inputs)
        below = self.negative_slope * ops.relu(self.threshold - inputs)
        y = ops.where(inputs > self.threshold, inputs, 0.0) - below
        return y if self.max_value is None else ops.minimum(y, self.max_value)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


class _Noise(SameShape):
    """A layer that draws random numbers in training and does nothing otherwise."""

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self._generator = None if seed is None else np.random.default_rng(seed)

    def rng(self) -> np.random.Generator:
        """The layer's own generator if it has a seed, else the process's."""
        return self._generator or config.random_generator()


class Dropout(_Noise):
    """In training, set a share `rate` of the inputs to zero and scale up the rest.

    y = x * kept / (1 - rate), so that the mean stays the same.

    Args:
        rate: share that is dropped, 0 <= rate < 1.
        seed: start of a generator of its own.

    Source: N. Srivastava et al., Dropout, 2014.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if not 0 <= rate < 1:
            raise ArgumentError(f"{self.where}: rate={rate!r}, but it must be 0 <= rate < 1.")
        self.rate = rate

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        kept = self.rng().random(inputs.shape, dtype=np.float32) >= self.rate
        return inputs * Tensor(kept.astype(inputs.dtype) / (1 - self.rate))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class GaussianNoise(_Noise):
    """In training, add normal noise of a standard deviation `stddev`."""

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if not stddev >= 0:
            raise ArgumentError(f"{self.where}: stddev={stddev!r}, but it must be >= 0.")
        self.stddev = stddev

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        if not training or self.stddev == 0:
            return inputs
        noise = self.rng().standard_normal(inputs.shape, dtype=np.float32) * self.stddev
        return inputs + Tensor(noise.astype(inputs.dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


class Add(Layer):
    """The sum of several inputs, with broadcasting of axes of length 1.

    >>> Add()([np.ones((2, 3)), np.ones((2, 3))]).numpy()[0].tolist()
    [2.0, 2.0, 2.0]
    """

    takes_list = True

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        _check_several(self, inputs)
        total = inputs[0]
        for x in inputs[1:]:
            total = total + x
        return total

    def compute_output_shape(self, input_shape: Any) -> Any:
        _check_several(self, input_shape)
        known = [[1 if n is None else n for n in shape] for shape in input_shape]
        try:
            shape = np.broadcast_shapes(*map(tuple, known))
        except ValueError:
            raise ShapeError(
                f"{self.where}: inputs of shapes {', '.join(map(str, input_shape))} cannot be "
                f"added; they must be equal, or 1, on every axis."
            ) from None
        open_axes = [any(axis is None for axis in axes) for axes in _from_the_end(input_shape)]
        return tuple(None if o else n for n, o in zip(shape, open_axes, strict=True))


def _from_the_end(shapes: Sequence[Sequence[int | None]]) -> list[tuple[int | None, ...]]:
    """Return the lengths of each axis in all shapes, aligned at the last axis."""
    reverse = itertools.zip_longest(*(reversed(s) for s in shapes), fillvalue=1)
    return list(reverse)[::-1]


def _check_several(layer: Layer, inputs: Any) -> None:
    single = not isinstance(inputs, list | tuple) or any(
        x is None or isinstance(x, int) for x in inputs
    )
    if single or len(inputs) < 2:
        raise ArgumentError(f"{layer.where} must be called on a list of at least two inputs.")


class Concatenate(Layer):
    """Several inputs side by side along an axis.

    Args:
        axis: the axis, counted with the batch axis; default -1, the channels.

    >>> Concatenate()([np.ones((2, 3)), np.zeros((2, 1))]).shape
    (2, 4)
    """

    takes_list = True

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        _check_several(self, inputs)
        return ops.concatenate(inputs, self.axis)

    def compute_output_shape(self, input_shape: Any) -> Any:
        _check_several(self, input_shape)
        axes = len(input_shape[0])
        if not -axes <= self.axis < axes:
            raise ArgumentError(
                f"{self.where}: axis={self.axis}, but inputs of shape {input_shape[0]} have "
                f"{axes} axes; it must be {-axes} to {axes - 1}."
            )
        axis = self.axis % axes
        others = {(len(s), tuple(n for i, n in enumerate(s) if i != axis)) for s in input_shape}
        if len(others) > 1:
            raise ShapeError(
                f"{self.where}: inputs of shapes {', '.join(map(str, input_shape))} cannot be "
                f"joined along axis {self.axis}; all other axes must be equal."
            )
        lengths = [s[axis] for s in input_shape]
        joined = None if None in lengths else sum(lengths)
        return (*input_shape[0][:axis], joined, *input_shape[0][axis + 1 :])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


MERGERS["+"] = Add
