"""Layers that bring numbers onto a common scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicnn import ops
from minicnn.autograd.tensor import Tensor, Variable
from minicnn.configs import own_arguments
from minicnn.errors import ArgumentError, ShapeError, check_within
from minicnn.layers.activation import Activation, ReLU
from minicnn.layers.base import Layer
from minicnn.layers.spatial import SameShape
from minicnn.ops.normalization import move_statistics, normalize_by

__all__ = ["BatchNormalization", "LayerNormalization", "UnitNormalization"]


class _Normalization(SameShape):
    """What the layers that learn gamma and beta share."""

    center: bool
    scale: bool
    gamma: Variable | None
    beta: Variable | None

    def make_gamma_and_beta(self, shape: Sequence[int]) -> None:
        """Make the scale and the shift, those that are wanted."""
        self.gamma = self.make_weight("gamma", shape) if self.scale else None
        self.beta = self.make_weight("beta", shape) if self.center else None


class BatchNormalization(_Normalization):
    """Each channel brought to mean 0 and variance 1 over the batch, then scaled and shifted.

    training     y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, of this batch
    otherwise    the same with the moving mean and variance
    moving <- momentum * moving + (1 - momentum) * batch, in every training call

    Args:
        axis: the channels' axis; only the last, -1.
        momentum: of the moving statistics, default 0.99. After n batches a share momentum**n of
            the first guess is left: 0.99 wants several hundred batches, 0.9 about fifty.
        epsilon: added to the variance, default 0.001.
        center: learn beta, default True.
        scale: learn gamma, default True.
        beta_initializer: default `"zeros"`.
        gamma_initializer: default `"ones"`.
        moving_mean_initializer: default `"zeros"`.
        moving_variance_initializer: default `"ones"`.
        beta_regularizer: penalty on beta, default none; likewise `gamma_regularizer`.
        gamma_regularizer: penalty on gamma.
        beta_constraint: what beta is brought back to after an update, default none.
        gamma_constraint: likewise for gamma.

    While `trainable` is False the moving statistics are used, in training too, as in Keras.

    Source: S. Ioffe and C. Szegedy, Batch Normalization, 2015.

    >>> import numpy as np
    >>> layer = BatchNormalization()
    >>> layer(np.ones((2, 5, 7, 3))).shape, layer.count_params()
    ((2, 5, 7, 3), 12)
    """

    def __init__(
        self, axis: int = -1, momentum: float = 0.99, epsilon: float = 0.001, center: bool = True,
        scale: bool = True, beta_initializer: Any = "zeros", gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros", moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None, gamma_regularizer: Any = None, beta_constraint: Any = None,
        gamma_constraint: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.momentum = check_within(self.where, "momentum", momentum, "[0, 1]")
        self.epsilon = check_within(self.where, "epsilon", epsilon, "(0, inf)")
        self.axis = axis
        self.center, self.scale = center, scale
        self.keep(
            beta_initializer=beta_initializer, gamma_initializer=gamma_initializer,
            moving_mean_initializer=moving_mean_initializer,
            moving_variance_initializer=moving_variance_initializer,
            beta_regularizer=beta_regularizer, gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint, gamma_constraint=gamma_constraint,
        )  # fmt: skip

    config_arguments = own_arguments(__init__)

    def build(self, input_shape: Any) -> None:
        if self.axis not in (-1, len(input_shape) - 1):
            raise ArgumentError(
                f"{self.where}: axis={self.axis}, but channels are last here; use -1."
            )
        shape = (self.fix_channels(input_shape),)
        self.make_gamma_and_beta(shape)
        self.moving_mean = self.make_weight("moving_mean", shape, trainable=False)
        self.moving_variance = self.make_weight("moving_variance", shape, trainable=False)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        return self._normalized(inputs, training, relu=False)

    def _normalized(self, inputs: Any, training: bool, *, relu: bool) -> Tensor:
        self.check_channels(inputs.shape)
        if training and self.trainable:
            y, mean, variance = ops.batch_normalization(
                inputs, self.gamma, self.beta, self.epsilon, relu=relu
            )
            move_statistics(self.moving_mean, self.moving_variance, (mean, variance), self.momentum)
            return y
        return normalize_by(
            inputs, self.moving_mean, self.moving_variance, self.gamma, self.beta, self.epsilon,
            relu=relu,
        )  # fmt: skip

    def joined(self, follower: Layer) -> Any:
        if type(self) is not BatchNormalization or follower.dtype != self.dtype:
            return None
        if not isinstance(follower, Activation | ReLU) or not follower.is_plain_relu:
            return None
        if self.activity_regularizer is not None or follower.activity_regularizer is not None:
            return None

        def run(inputs: Any, training: bool = False) -> Tensor:
            x = self._cast(inputs)
            return self._normalized(x, training, relu=True)

        return run


class LayerNormalization(_Normalization):
    """Each sample brought to mean 0 and variance 1 along some axes, then scaled and shifted.

    y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, of this sample and place alone

    Args:
        axis: one axis or several, default -1, the channels of each pixel by themselves.
        epsilon: added to the variance, default 0.001.
        center: learn beta, default True.
        scale: learn gamma, default True.
        beta_initializer: default `"zeros"`.
        gamma_initializer: default `"ones"`.
        beta_regularizer: penalty on beta, default none; likewise `gamma_regularizer`.
        gamma_regularizer: penalty on gamma.
        beta_constraint: what beta is brought back to after an update, default none.
        gamma_constraint: likewise for gamma.

    Raises:
        ArgumentError: an axis is missing.

    Source: J. Ba et al., Layer Normalization, 2016.

    >>> LayerNormalization(epsilon=1e-9)([[1.0, 3.0, 5.0, 7.0]]).numpy().round(2)
    array([[-1.34, -0.45,  0.45,  1.34]], dtype=float32)
    """

    def __init__(
        self, axis: int | Sequence[int] = -1, epsilon: float = 0.001, center: bool = True,
        scale: bool = True, beta_initializer: Any = "zeros", gamma_initializer: Any = "ones",
        beta_regularizer: Any = None, gamma_regularizer: Any = None, beta_constraint: Any = None,
        gamma_constraint: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.axis: Any = axis if isinstance(axis, int) else list(axis)
        self.epsilon = epsilon
        self.center, self.scale = center, scale
        self.keep(
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
        )

    config_arguments = own_arguments(__init__)

    def _axes(self, shape: Any) -> tuple[int, ...]:
        axes = [self.axis] if isinstance(self.axis, int) else self.axis
        if not all(-len(shape) <= a < len(shape) for a in axes):
            raise ArgumentError(
                f"{self.where}: axis={self.axis}, but the input has shape {tuple(shape)}; it must "
                f"be {-len(shape)} to {len(shape) - 1}."
            )
        return tuple(sorted(a % len(shape) for a in axes))

    def build(self, input_shape: Any) -> None:
        shape = [input_shape[a] for a in self._axes(input_shape)]
        if None in shape:
            raise ShapeError(
                f"{self.where}: the input's shape {tuple(input_shape)} leaves open an axis of "
                f"axis={self.axis}; give numbers there."
            )
        self.make_gamma_and_beta(shape)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        axes = self._axes(inputs.shape)
        centred = inputs - ops.mean(inputs, axes, keepdims=True)
        variance = ops.mean(ops.square(centred), axes, keepdims=True)
        y = centred * (variance + self.epsilon) ** -0.5
        shape = [n if i in axes else 1 for i, n in enumerate(inputs.shape)]
        if self.gamma is not None:
            y = y * ops.reshape(self.gamma, shape)
        return y if self.beta is None else y + ops.reshape(self.beta, shape)


class UnitNormalization(SameShape):
    """Each sample brought to length 1 along some axes.

    Args:
        axis: one axis or several, default -1.

    >>> UnitNormalization()([[3.0, 0.0, 4.0]]).numpy().round(4)
    array([[0.6, 0. , 0.8]], dtype=float32)
    """

    config_arguments: tuple[str, ...] = ("axis",)

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis: Any = axis if isinstance(axis, int) else list(axis)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        squares = ops.sum(ops.square(inputs), self.axis, keepdims=True)
        return inputs / ops.sqrt(ops.maximum(squares, 1e-12))
