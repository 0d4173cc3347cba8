"""Convolution layers that treat every channel by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minicnn import ops
from minicnn.autograd.tensor import Tensor, Variable
from minicnn.configs import own_arguments
from minicnn.errors import check_whole
from minicnn.layers.spatial import SpatialLayer

__all__ = ["DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"]


class _ByChannel(SpatialLayer):
    """What both kinds share: the convolution of each channel with kernels of its own."""

    activation: Callable[[Any], Tensor]
    bias: Variable | None = None
    depth_multiplier: int

    def depthwise(self, inputs: Tensor, kernel: Any, bias: Any = None) -> Tensor:
        """Return images (N,OH,OW,C*multiplier): each channel with its own kernels.

        It is a convolution with as many groups as channels.
        """
        x = self.as_images(inputs)
        flat = self.flat_kernel(kernel)  # (KH,KW,C,M)
        height, width, channels, many = flat.shape
        flat = ops.reshape(flat, (height, width, 1, channels * many))
        strides, padding, dilation = self.flat_window
        return ops.conv2d(x, flat, bias, strides, padding, dilation, channels, name=self.where)

    def set_multiplier(self, depth_multiplier: Any) -> None:
        """Check the number of kernels of each channel and keep it."""
        self.depth_multiplier = check_whole(self.where, "depth_multiplier", depth_multiplier)


class _DepthwiseConv(_ByChannel):
    def __init__(
        self, kernel_size: int | Sequence[int], strides: int | Sequence[int] = 1,
        padding: Any = "valid", depth_multiplier: int = 1, data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1, activation: Any = None, use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None, bias_regularizer: Any = None,
        activity_regularizer: Any = None, depthwise_constraint: Any = None,
        bias_constraint: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.set_multiplier(depth_multiplier)
        self.use_bias = use_bias
        self.keep(
            activation=activation, depthwise_initializer=depthwise_initializer,
            bias_initializer=bias_initializer, depthwise_regularizer=depthwise_regularizer,
            bias_regularizer=bias_regularizer, depthwise_constraint=depthwise_constraint,
            bias_constraint=bias_constraint,
        )  # fmt: skip

    config_arguments = own_arguments(__init__)

    def build(self, input_shape: Any) -> None:
        self.check_rank(input_shape, self.rank + 2, self.axes)
        channels = self.fix_channels(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self.make_weight("depthwise", shape)
        self.kernel.name = "kernel"
        if self.use_bias:
            self.bias = self.make_weight("bias", (channels * self.depth_multiplier,))

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        self.check_channels(inputs.shape)
        y = self.depthwise(inputs, self.kernel, self.bias)
        return self.as_given(self.activation(y))

    def compute_output_shape(self, input_shape: Any) -> Any:
        sizes = self.sizes_of_windows(input_shape)
        self.check_channels(input_shape)
        return (input_shape[0], *sizes, input_shape[-1] * self.depth_multiplier)


class DepthwiseConv1D(_DepthwiseConv):
    """Convolution of each channel of sequences with kernels of its own: (N,L,C) to (N,OL,C*M).

    kernel (K,C,M), M = `depth_multiplier`; see `DepthwiseConv2D`

    >>> import numpy as np
    >>> DepthwiseConv1D(3, strides=2, depth_multiplier=2)(np.ones((2, 7, 3))).shape
    (2, 3, 6)
    """

    rank = 1


class DepthwiseConv2D(_DepthwiseConv):
    """Convolution of each channel of images with kernels of its own: (N,H,W,C) to (N,OH,OW,C*M).

    y[..., c*M + m] = activation(conv2d(x[..., c], kernel[..., c, m]) + bias[c*M + m])

    Args:
        kernel_size: rows and columns of the kernels.
        strides: step of the window in pixels, default 1.
        padding: as in `Conv2D`, default `"valid"`.
        depth_multiplier: M, kernels for each channel, default 1.
        data_format: only `"channels_last"`.
        dilation_rate: distance of kernel elements in pixels, default 1.
        activation: name or function, default none.
        use_bias: add a bias for each output channel, default True.
        depthwise_initializer: default `"glorot_uniform"`.
        bias_initializer: default `"zeros"`.
        depthwise_regularizer: penalty on the kernel, default none.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the result, divided by the batch, default none.
        depthwise_constraint: what the kernel is brought back to after an update, default none.
        bias_constraint: likewise for the bias.

    >>> import numpy as np
    >>> DepthwiseConv2D((3, 2), depth_multiplier=2)(np.ones((1, 7, 10, 3))).shape
    (1, 5, 9, 6)
    """


class _SeparableConv(_ByChannel):
    def __init__(
        self, filters: int, kernel_size: int | Sequence[int], strides: int | Sequence[int] = 1,
        padding: Any = "valid", data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1, depth_multiplier: int = 1, activation: Any = None,
        use_bias: bool = True, depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None, pointwise_regularizer: Any = None,
        bias_regularizer: Any = None, activity_regularizer: Any = None,
        depthwise_constraint: Any = None, pointwise_constraint: Any = None,
        bias_constraint: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.set_multiplier(depth_multiplier)
        self.filters = check_whole(self.where, "filters", filters)
        self.use_bias = use_bias
        self.keep(
            activation=activation, depthwise_initializer=depthwise_initializer,
            pointwise_initializer=pointwise_initializer, bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            pointwise_regularizer=pointwise_regularizer, bias_regularizer=bias_regularizer,
            depthwise_constraint=depthwise_constraint, pointwise_constraint=pointwise_constraint,
            bias_constraint=bias_constraint,
        )  # fmt: skip

    config_arguments = own_arguments(__init__)

    def build(self, input_shape: Any) -> None:
        self.check_rank(input_shape, self.rank + 2, self.axes)
        channels = self.fix_channels(input_shape)
        many = self.depth_multiplier
        one = (1,) * self.rank
        self.depthwise_kernel = self.make_weight("depthwise", (*self.kernel_size, channels, many))
        self.pointwise_kernel = self.make_weight("pointwise", (*one, channels * many, self.filters))
        self.depthwise_kernel.name = "depthwise_kernel"
        self.pointwise_kernel.name = "pointwise_kernel"
        if self.use_bias:
            self.bias = self.make_weight("bias", (self.filters,))

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        self.check_channels(inputs.shape)
        y = self.depthwise(inputs, self.depthwise_kernel)
        y = ops.conv2d(y, self.flat_kernel(self.pointwise_kernel), self.bias, name=self.where)
        return self.as_given(self.activation(y))

    def compute_output_shape(self, input_shape: Any) -> Any:
        sizes = self.sizes_of_windows(input_shape)
        self.check_channels(input_shape)
        return (input_shape[0], *sizes, self.filters)


class SeparableConv1D(_SeparableConv):
    """A convolution of each channel of sequences, then one of single places: (N,OL,filters).

    kernels (K,C,M) and (1,C*M,filters); see `SeparableConv2D`

    >>> import numpy as np
    >>> SeparableConv1D(8, 3, strides=2)(np.ones((2, 7, 3))).shape
    (2, 3, 8)
    """

    rank = 1


class SeparableConv2D(_SeparableConv):
    """A convolution of each channel of images, then one of single pixels: (N,OH,OW,filters).

    y = activation(conv2d(depthwise(x), pointwise kernel) + bias); kernels (KH,KW,C,M) and
    (1,1,C*M,filters), M = `depth_multiplier`: far fewer weights than (KH,KW,C,filters)

    Args:
        filters: number of output channels.
        kernel_size: rows and columns of the channels' kernels.
        strides: step of the window in pixels, default 1.
        padding: as in `Conv2D`, default `"valid"`.
        data_format: only `"channels_last"`.
        dilation_rate: distance of kernel elements in pixels, default 1.
        depth_multiplier: M, kernels for each channel, default 1.
        activation: name or function, default none.
        use_bias: add a bias for each filter, default True.
        depthwise_initializer: default `"glorot_uniform"`; likewise for `pointwise_` and `bias_`.
        pointwise_initializer: default `"glorot_uniform"`.
        bias_initializer: default `"zeros"`.
        depthwise_regularizer: penalty on the first kernel; likewise for `pointwise_` and `bias_`.
        pointwise_regularizer: penalty on the second kernel.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the result, divided by the batch, default none.
        depthwise_constraint: what the first kernel is brought back to after an update.
        pointwise_constraint: likewise for the second.
        bias_constraint: likewise for the bias.

    Source: F. Chollet, Xception, 2016.

    >>> import numpy as np
    >>> layer = SeparableConv2D(8, (3, 2))
    >>> layer(np.ones((1, 7, 10, 3))).shape, layer.count_params()
    ((1, 5, 9, 8), 50)
    """
