"""Pooling layers: windows or whole images reduced to their largest value or their mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minicnn import ops
from minicnn.autograd.tensor import Tensor
from minicnn.geometry import conv2d_geometry, pair
from minicnn.layers.base import Layer, check_data_format, check_padding, spatial

__all__ = [
    "AveragePooling2D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "MaxPool2D",
    "MaxPooling2D",
]


class _Pooling2D(Layer):
    """What both kinds of pooling share; `reduce` is the operation."""

    reduce: Callable[..., Tensor]

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
        padding: Any = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_data_format(self.where, data_format)
        self.pool_size = pair(self.where, "pool_size", pool_size)
        self.strides = pair(self.where, "strides", self.pool_size if strides is None else strides)
        self.padding = check_padding(self.where, padding)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        return type(self).reduce(
            inputs, self.pool_size, self.strides, self.padding, name=self.where
        )

    @property
    def lies_side_by_side(self) -> bool:
        """Whether windows neither overlap nor leave gaps, and no padding is added."""
        return self.strides == self.pool_size and self.padding == "valid"

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_rank(input_shape, 4, "(N,H,W,C)")
        g = conv2d_geometry(
            spatial(input_shape, self.where),
            self.pool_size,
            self.strides,
            self.padding,
            where=self.where,
        )
        return (input_shape[0], g.out_height, g.out_width, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
        }


class MaxPooling2D(_Pooling2D):
    """The largest value of each window: (N,H,W,C) to (N,OH,OW,C); see `ops.max_pool2d`.

    Args:
        pool_size: rows and columns of the window, default 2.
        strides: step of the window in pixels, default `pool_size`.
        padding: `"valid"` (default) or `"same"`; padding never wins.
        data_format: only `"channels_last"`.

    >>> import numpy as np
    >>> MaxPooling2D()(np.ones((1, 6, 9, 3))).shape
    (1, 3, 4, 3)
    """

    reduce = staticmethod(ops.max_pool2d)


class AveragePooling2D(_Pooling2D):
    """The mean of each window: (N,H,W,C) to (N,OH,OW,C); padding is not counted.

    Args:
        pool_size: rows and columns of the window, default 2.
        strides: step of the window in pixels, default `pool_size`.
        padding: `"valid"` (default) or `"same"`.
        data_format: only `"channels_last"`.

    >>> import numpy as np
    >>> AveragePooling2D((2, 3), padding="same")(np.ones((1, 5, 7, 3))).shape
    (1, 3, 3, 3)
    """

    reduce = staticmethod(ops.average_pool2d)


#: Keras' short name.
MaxPool2D = MaxPooling2D


class _GlobalPooling2D(Layer):
    reduce: Callable[..., Tensor]

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_data_format(self.where, data_format)
        self.keepdims = keepdims

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        self.check_rank(inputs.shape, 4, "(N,H,W,C)")
        return type(self).reduce(inputs, (1, 2), self.keepdims)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_rank(input_shape, 4, "(N,H,W,C)")
        batch, _, _, channels = input_shape
        return (batch, 1, 1, channels) if self.keepdims else (batch, channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "keepdims": self.keepdims}


class GlobalAveragePooling2D(_GlobalPooling2D):
    """The mean of each channel of a whole image: (N,H,W,C) to (N,C).

    >>> import numpy as np
    >>> GlobalAveragePooling2D()(np.ones((2, 5, 7, 3))).shape
    (2, 3)
    """

    reduce = staticmethod(ops.mean)


class GlobalMaxPooling2D(_GlobalPooling2D):
    """The largest value of each channel of a whole image: (N,H,W,C) to (N,C).

    >>> import numpy as np
    >>> GlobalMaxPooling2D(keepdims=True)(np.ones((2, 5, 7, 3))).shape
    (2, 1, 1, 3)
    """

    reduce = staticmethod(ops.max)
