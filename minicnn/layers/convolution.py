"""Convolution layers: kernels and biases around the operations of the same names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicnn import activations, initializers, ops
from minicnn.autograd.tensor import Tensor, Variable
from minicnn.errors import ArgumentError, ShapeError
from minicnn.geometry import conv2d_geometry, conv2d_transpose_geometry, pair
from minicnn.layers.base import Layer, check_data_format, check_padding, check_units, spatial
from minicnn.layers.pooling import MaxPooling2D

__all__ = ["Conv2D", "Conv2DTranspose"]


class _Convolution(Layer):
    """What both kinds of convolution share: their arguments, bias and activation."""

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1),
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = (1, 1),
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_data_format(self.where, data_format)
        self.filters = check_units(self.where, "filters", filters)
        self.kernel_size = pair(self.where, "kernel_size", kernel_size)
        self.strides = pair(self.where, "strides", strides)
        self.padding = check_padding(self.where, padding)
        self.dilation_rate = pair(self.where, "dilation_rate", dilation_rate)
        self.groups = check_units(self.where, "groups", groups)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.bias: Variable | None = None
        if self.filters % self.groups:
            raise ArgumentError(f"{self.where}: groups={groups} must divide the {filters} filters.")

    def _fix_channels(self, input_shape: Any) -> int:
        self.check_rank(input_shape, 4, "(N,H,W,C)")
        channels = self.fix_channels(input_shape)
        if channels % self.groups:
            raise ShapeError(
                f"{self.where}: groups={self.groups} must divide the {channels} channels of the "
                f"input."
            )
        return channels

    def _add_bias(self) -> None:
        if self.use_bias:
            self.bias = self.add_weight("bias", (self.filters,), self.bias_initializer)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
            "activation": activations.name_of(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.name_of(self.kernel_initializer),
            "bias_initializer": initializers.name_of(self.bias_initializer),
        }


class Conv2D(_Convolution):
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

    Raises:
        ArgumentError: an argument is outside its rule.
        ShapeError: the input does not fit.

    >>> import numpy as np
    >>> Conv2D(8, (3, 2), strides=2, padding="same")(np.ones((1, 7, 10, 3))).shape
    (1, 4, 5, 8)
    """

    def build(self, input_shape: Any) -> None:
        channels = self._fix_channels(input_shape)
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_weight("kernel", shape, self.kernel_initializer)
        self._add_bias()

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        return self._convolved(inputs)

    def _convolved(self, inputs: Any, max_pool: tuple[int, int] | None = None) -> Tensor:
        relu = self.activation is activations.relu
        y = ops.conv2d(
            inputs,
            self.kernel,
            self.bias,
            self.strides,
            self.padding,
            self.dilation_rate,
            self.groups,
            relu=relu,
            max_pool=max_pool,
            name=self.where,
        )
        return y if relu else self.activation(y)

    def joined(self, follower: Layer) -> Any:
        if type(self) is not Conv2D or not isinstance(follower, MaxPooling2D):
            return None
        if type(follower) is not MaxPooling2D or follower.dtype != self.dtype:
            return None
        if not follower.lies_side_by_side:
            return None

        def run(inputs: Any, training: bool = False) -> Tensor:
            if self.activation not in (activations.relu, activations.linear):
                return follower(self(inputs))
            return self._convolved(self._cast(inputs), follower.pool_size)

        return run

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_rank(input_shape, 4, "(N,H,W,C)")
        self.check_channels(input_shape)
        g = conv2d_geometry(
            spatial(input_shape, self.where),
            self.kernel_size,
            self.strides,
            self.padding,
            self.dilation_rate,
            self.groups,
            where=self.where,
        )
        return (input_shape[0], g.out_height, g.out_width, self.filters)


class Conv2DTranspose(_Convolution):
    """Transposed convolution of images (N,H,W,C) with learned kernels: (N,OH,OW,filters).

    y = activation(conv2d_transpose(x, kernel) + bias), kernel (KH,KW,filters/groups,C)

    With `"same"` the size is multiplied by the stride; `output_padding` chooses among the sizes
    that a convolution maps to the input's, odd ones included; see `ops.conv2d_transpose`.

    Args:
        filters: number of output channels.
        kernel_size: rows and columns of the kernel; a multiple of the stride avoids checkerboards.
        strides: distance of neighbouring kernel copies in pixels, default 1.
        padding: `"valid"` (default), `"same"`, or pixels cropped from the sides.
        output_padding: extra rows and columns at the end, below the stride; default by size.

    Further arguments are those of `Conv2D`.

    >>> import numpy as np
    >>> Conv2DTranspose(8, 3, strides=2, padding="same")(np.ones((1, 4, 5, 3))).shape
    (1, 8, 10, 8)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1),
        padding: Any = "valid",
        output_padding: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, strides, padding, **kwargs)
        self.output_padding = (
            None
            if output_padding is None
            else pair(self.where, "output_padding", output_padding, minimum=0)
        )

    def build(self, input_shape: Any) -> None:
        channels = self._fix_channels(input_shape)
        shape = (*self.kernel_size, self.filters // self.groups, channels)
        self.kernel = self.add_weight("kernel", shape, self.kernel_initializer)
        self._add_bias()

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        relu = self.activation is activations.relu
        y = ops.conv2d_transpose(
            inputs,
            self.kernel,
            self.bias,
            self.strides,
            self.padding,
            self.dilation_rate,
            self.groups,
            relu=relu,
            output_padding=self.output_padding,
            name=self.where,
        )
        return y if relu else self.activation(y)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_rank(input_shape, 4, "(N,H,W,C)")
        self.check_channels(input_shape)
        g = conv2d_transpose_geometry(
            spatial(input_shape, self.where),
            self.kernel_size,
            self.strides,
            self.padding,
            self.dilation_rate,
            self.groups,
            output_padding=self.output_padding,
            where=self.where,
        )
        return (input_shape[0], g.in_height, g.in_width, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "output_padding": self.output_padding}
