"""Convolution layers: kernels and biases around the operation of the same name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minicnn import activations, ops
from minicnn.autograd.tensor import Tensor, Variable
from minicnn.configs import own_arguments
from minicnn.errors import ArgumentError, ShapeError, check_whole
from minicnn.layers.base import Layer
from minicnn.layers.pooling import MaxPooling2D
from minicnn.layers.spatial import SpatialLayer

__all__ = ["Conv1D", "Conv2D"]


class Convolution(SpatialLayer):
    """What convolutions with a kernel for all channels share, transposed ones too."""

    activation: Callable[[Any], Tensor]
    bias: Variable | None = None

    def __init__(
        self, filters: int, kernel_size: int | Sequence[int], strides: int | Sequence[int] = 1,
        padding: Any = "valid", data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1, groups: int = 1, activation: Any = None,
        use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
        bias_regularizer: Any = None, activity_regularizer: Any = None,
        kernel_constraint: Any = None, bias_constraint: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.use_bias = use_bias
        self.keep(
            activation=activation, kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer, kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
        )  # fmt: skip
        self.filters = check_whole(self.where, "filters", filters)
        self.groups = check_whole(self.where, "groups", groups)
        if self.filters % self.groups:
            raise ArgumentError(f"{self.where}: groups={groups} must divide the {filters} filters.")

    config_arguments = own_arguments(__init__)

    def channels_of(self, input_shape: Any) -> int:
        """Return the channels of the input, and remember them."""
        self.check_rank(input_shape, self.rank + 2, self.axes)
        channels = self.fix_channels(input_shape)
        if channels % self.groups:
            raise ShapeError(
                f"{self.where}: groups={self.groups} must divide the {channels} channels of the "
                f"input."
            )
        return channels

    def build(self, input_shape: Any) -> None:
        channels = self.channels_of(input_shape)
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.make_weight("kernel", shape)
        if self.use_bias:
            self.bias = self.make_weight("bias", (self.filters,))

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        return self._convolved(inputs)

    def _convolved(self, inputs: Any, max_pool: tuple[int, int] | None = None) -> Tensor:
        relu = self.activation is activations.relu
        strides, padding, dilation = self.flat_window
        y = ops.conv2d(
            self.as_images(inputs),
            self.flat_kernel(self.kernel),
            self.bias,
            strides,
            padding,
            dilation,
            self.groups,
            relu=relu,
            max_pool=max_pool,
            name=self.where,
        )
        return self.as_given(y if relu else self.activation(y))

    def compute_output_shape(self, input_shape: Any) -> Any:
        sizes = self.sizes_of_windows(input_shape)
        self.check_channels(input_shape)
        return (input_shape[0], *sizes, self.filters)


class Conv1D(Convolution):
    """Convolution of sequences (N,L,C) with learned kernels: (N,OL,filters).

    y = activation(x convolved with kernel + bias), kernel (K,C/groups,filters); a sequence is an
    image of height 1, see `ops.conv2d`

    Args:
        filters: number of output channels.
        kernel_size: length of the kernel.
        strides: step of the window, default 1.
        padding: `"valid"` (default), `"same"`, `"causal"` (all of it before the sequence, so that
            no result sees what comes later), a number, or a pair (before, after).

    Further arguments are those of `Conv2D`.

    >>> import numpy as np
    >>> Conv1D(8, 3, strides=2, padding="same")(np.ones((2, 7, 3))).shape
    (2, 4, 8)
    """

    rank = 1
    causal = True


class Conv2D(Convolution):
    """Convolution of images (N,H,W,C) with learned kernels: (N,OH,OW,filters).

    y = activation(conv2d(x, kernel) + bias), kernel (KH,KW,C/groups,filters); see `ops.conv2d`

    Args:
        filters: number of output channels.
        kernel_size: rows and columns of the kernel.
        strides: step of the window in pixels, default 1.
        padding: `"valid"` (default), `"same"`, pixels, a pair or ((top, bottom), (left, right)).
        data_format: only `"channels_last"`.
        dilation_rate: distance of kernel elements in pixels, default 1.
        groups: number of groups of channels that do not see each other, default 1.
        activation: name or function, default none.
        use_bias: add a bias for each filter, default True.
        kernel_initializer: default `"glorot_uniform"`.
        bias_initializer: default `"zeros"`.
        kernel_regularizer: penalty on the kernel, default none; likewise `bias_regularizer`.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the result, divided by the batch, default none.
        kernel_constraint: what the kernel is brought back to after an update, default none.
        bias_constraint: likewise for the bias.

    Raises:
        ArgumentError: an argument is outside its rule.
        ShapeError: the input does not fit.

    >>> import numpy as np
    >>> Conv2D(8, (3, 2), strides=2, padding="same")(np.ones((1, 7, 10, 3))).shape
    (1, 4, 5, 8)
    """

    def joined(self, follower: Layer) -> Any:
        if type(self) is not Conv2D or not isinstance(follower, MaxPooling2D):
            return None
        if type(follower) is not MaxPooling2D or follower.dtype != self.dtype:
            return None
        if self.activity_regularizer is not None or follower.activity_regularizer is not None:
            return None
        if not follower.lies_side_by_side:
            return None
        pool_size: Any = follower.pool_size

        def run(inputs: Any, training: bool = False) -> Tensor:
            if self.activation not in (activations.relu, activations.linear):
                return follower(self(inputs))
            return self._convolved(self._cast(inputs), pool_size)

        return run
