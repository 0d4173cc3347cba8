"""Batch normalization."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd.tensor import Tensor
from minicnn.errors import ArgumentError
from minicnn.layers.base import Layer, SameShape
from minicnn.layers.core import Activation, ReLU

__all__ = ["BatchNormalization"]


class BatchNormalization(SameShape):
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

    While `trainable` is False the moving statistics are used, in training too, as in Keras.

    Source: S. Ioffe and C. Szegedy, Batch Normalization, 2015.

    >>> layer = BatchNormalization()
    >>> layer(np.ones((2, 5, 7, 3))).shape, layer.count_params()
    ((2, 5, 7, 3), 12)
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= momentum <= 1 or not epsilon > 0:
            raise ArgumentError(
                f"{self.where}: momentum={momentum!r} must be in [0, 1] and epsilon={epsilon!r} "
                f"above 0."
            )
        self.axis, self.momentum, self.epsilon = axis, momentum, epsilon
        self.center, self.scale = center, scale

    def build(self, input_shape: Any) -> None:
        if self.axis not in (-1, len(input_shape) - 1):
            raise ArgumentError(
                f"{self.where}: axis={self.axis}, but channels are last here; use -1."
            )
        shape = (self.fix_channels(input_shape),)
        self.gamma = self.add_weight("gamma", shape, "ones") if self.scale else None
        self.beta = self.add_weight("beta", shape, "zeros") if self.center else None
        self.moving_mean = self.add_weight("moving_mean", shape, "zeros", trainable=False)
        self.moving_variance = self.add_weight("moving_variance", shape, "ones", trainable=False)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        return self._normalized(inputs, training, relu=False)

    def _normalized(self, inputs: Any, training: bool, *, relu: bool) -> Tensor:
        self.check_channels(inputs.shape)
        if training and self.trainable:
            y, mean, variance = ops.batch_normalization(
                inputs, self.gamma, self.beta, self.epsilon, relu=relu
            )
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance)
            return y
        # One scale and one shift for each channel: y = x * scale + (beta - mean * scale).
        scale: Any = Tensor(1 / np.sqrt(self.moving_variance.data + self.epsilon))
        if self.gamma is not None:
            scale = self.gamma * scale
        shift = -(self.moving_mean.value * scale)
        y = inputs * scale + (shift if self.beta is None else self.beta + shift)
        return ops.relu(y) if relu else y

    def joined(self, follower: Layer) -> Any:
        if type(self) is not BatchNormalization or follower.dtype != self.dtype:
            return None
        if not isinstance(follower, Activation | ReLU) or not follower.is_plain_relu:
            return None

        def run(inputs: Any, training: bool = False) -> Tensor:
            x = self._cast(inputs)
            return self._normalized(x, training, relu=True)

        return run

    def _move(self, statistic: Any, batch: Any) -> None:
        statistic.assign(self.momentum * statistic.data + (1 - self.momentum) * batch)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
        }
