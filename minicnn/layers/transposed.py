"""Transposed convolution layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicnn import activations, ops
from minicnn.autograd.tensor import Tensor
from minicnn.geometry import conv2d_transpose_geometry
from minicnn.layers.convolution import Convolution

__all__ = ["Conv1DTranspose", "Conv2DTranspose"]


class _ConvTranspose(Convolution):
    config_arguments: tuple[str, ...] = (*Convolution.config_arguments, "output_padding")

    def __init__(
        self, filters: int, kernel_size: int | Sequence[int], strides: int | Sequence[int] = 1,
        padding: Any = "valid", output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None, dilation_rate: int | Sequence[int] = 1,
        activation: Any = None, use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
        bias_regularizer: Any = None, activity_regularizer: Any = None,
        kernel_constraint: Any = None, bias_constraint: Any = None, groups: int = 1, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            filters, kernel_size, strides, padding, data_format, dilation_rate, groups, activation,
            use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            activity_regularizer, kernel_constraint, bias_constraint, **kwargs,
        )  # fmt: skip
        self.output_padding = (
            None
            if output_padding is None
            else self.sizes("output_padding", output_padding, minimum=0)
        )

    @property
    def flat_extra(self) -> Any:
        """Extra rows and columns, as for images."""
        return None if self.output_padding is None else self.flat(self.output_padding, 0)

    def build(self, input_shape: Any) -> None:
        channels = self.channels_of(input_shape)
        shape = (*self.kernel_size, self.filters // self.groups, channels)
        self.kernel = self.make_weight("kernel", shape)
        if self.use_bias:
            self.bias = self.make_weight("bias", (self.filters,))

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        relu = self.activation is activations.relu
        strides, padding, dilation = self.flat_window
        y = ops.conv2d_transpose(
            self.as_images(inputs),
            self.flat_kernel(self.kernel),
            self.bias,
            strides,
            padding,
            dilation,
            self.groups,
            relu=relu,
            output_padding=self.flat_extra,
            name=self.where,
        )
        return self.as_given(y if relu else self.activation(y))

    def compute_output_shape(self, input_shape: Any) -> Any:
        def enlarged(sizes: Any) -> tuple[int, int]:
            strides, padding, dilation = self.flat_window
            g = conv2d_transpose_geometry(
                sizes,
                self.flat(self.kernel_size),
                strides,
                padding,
                dilation,
                self.groups,
                output_padding=self.flat_extra,
                where=self.where,
            )
            return g.in_height, g.in_width

        sizes = self.sizes_after(input_shape, enlarged)
        self.check_channels(input_shape)
        return (input_shape[0], *sizes, self.filters)


class Conv1DTranspose(_ConvTranspose):
    """Transposed convolution of sequences (N,L,C) with learned kernels: (N,OL,filters).

    kernel (K,filters/groups,C); a sequence is an image of height 1, see `Conv2DTranspose`

    Args:
        filters: number of output channels.
        kernel_size: length of the kernel; a multiple of the stride avoids ripples.
        strides: distance of neighbouring kernel copies, default 1.
        padding: `"valid"` (default), `"same"`, or a number or pair cropped from the ends.
        output_padding: extra results at the end, below the stride; default by size.

    Further arguments are those of `Conv2D`.

    >>> import numpy as np
    >>> Conv1DTranspose(8, 3, strides=2, padding="same")(np.ones((2, 5, 3))).shape
    (2, 10, 8)
    """

    rank = 1


class Conv2DTranspose(_ConvTranspose):
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
