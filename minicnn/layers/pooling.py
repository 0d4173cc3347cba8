"""Pooling layers: windows or whole images reduced to their largest value or their mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minicnn import ops
from minicnn.autograd.tensor import Tensor
from minicnn.geometry import conv2d_geometry
from minicnn.layers.spatial import SpatialLayer, check_data_format

__all__ = [
    "AveragePooling1D", "AveragePooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "MaxPooling1D", "MaxPooling2D",
]  # fmt: skip


class _Pooling(SpatialLayer):
    """What both kinds of pooling share; `reduce` is the operation."""

    config_arguments: tuple[str, ...] = ("pool_size", "strides", "padding")
    reduce: Callable[..., Tensor]

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: Any = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        check_data_format(self.where, data_format)
        self.pool_size = self.sizes("pool_size", pool_size)
        self.strides = self.sizes("strides", self.pool_size if strides is None else strides)
        self.padding = self.padding_of(padding, ["valid", "same"])

    @property
    def flat_window(self) -> tuple[Any, Any, Any]:
        """Window, strides and padding as the operation on images takes them."""
        return self.flat(self.pool_size), self.flat(self.strides), self.flat_padding

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        y = type(self).reduce(self.as_images(inputs), *self.flat_window, name=self.where)
        return self.as_given(y)

    @property
    def lies_side_by_side(self) -> bool:
        """Whether windows neither overlap nor leave gaps, and no padding is added."""
        return self.strides == self.pool_size and self.padding == "valid"

    def compute_output_shape(self, input_shape: Any) -> Any:
        def fitting(sizes: Any) -> tuple[int, int]:
            g = conv2d_geometry(sizes, *self.flat_window, where=self.where, window="pool_size=")
            return g.out_height, g.out_width

        return (input_shape[0], *self.sizes_after(input_shape, fitting), input_shape[-1])


class MaxPooling2D(_Pooling):
    """The largest value of each window: (N,H,W,C) to (N,OH,OW,C); see `ops.max_pool2d`.

    Args:
        pool_size: rows and columns of the window, default 2.
        strides: step of the window in pixels, default `pool_size`.
        padding: `"valid"` (default) or `"same"`; padding never wins.
        data_format: only `"channels_last"`.
        name: default the class's name and a number.

    >>> import numpy as np
    >>> MaxPooling2D()(np.ones((1, 6, 9, 3))).shape
    (1, 3, 4, 3)
    """

    reduce = staticmethod(ops.max_pool2d)


class MaxPooling1D(_Pooling):
    """The largest value of each window of sequences: (N,L,C) to (N,OL,C); see `MaxPooling2D`.

    >>> import numpy as np
    >>> MaxPooling1D(3, strides=2)(np.ones((2, 7, 3))).shape
    (2, 3, 3)
    """

    rank = 1
    reduce = staticmethod(ops.max_pool2d)


class AveragePooling2D(_Pooling):
    """The mean of each window: (N,H,W,C) to (N,OH,OW,C); padding is not counted.

    Args:
        pool_size: rows and columns of the window, default 2.
        strides: step of the window in pixels, default `pool_size`.
        padding: `"valid"` (default) or `"same"`.
        data_format: only `"channels_last"`.
        name: default the class's name and a number.

    >>> import numpy as np
    >>> AveragePooling2D((2, 3), padding="same")(np.ones((1, 5, 7, 3))).shape
    (1, 3, 3, 3)
    """

    reduce = staticmethod(ops.average_pool2d)


class AveragePooling1D(_Pooling):
    """The mean of each window of sequences: (N,L,C) to (N,OL,C); see `AveragePooling2D`.

    >>> import numpy as np
    >>> AveragePooling1D(3, padding="same")(np.ones((2, 7, 3))).shape
    (2, 3, 3)
    """

    rank = 1
    reduce = staticmethod(ops.average_pool2d)


class _GlobalPooling(SpatialLayer):
    config_arguments: tuple[str, ...] = ("keepdims",)
    reduce: Callable[..., Tensor]

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_data_format(self.where, data_format)
        self.keepdims = keepdims

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        self.check_rank(inputs.shape, self.rank + 2, self.axes)
        return type(self).reduce(inputs, tuple(range(1, self.rank + 1)), self.keepdims)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_rank(input_shape, self.rank + 2, self.axes)
        ones = (1,) * self.rank if self.keepdims else ()
        return (input_shape[0], *ones, input_shape[-1])


class GlobalAveragePooling2D(_GlobalPooling):
    """The mean of each channel of a whole image: (N,H,W,C) to (N,C).

    Args:
        data_format: only `"channels_last"`.
        keepdims: keep height and width as axes of length 1, default False.

    >>> import numpy as np
    >>> GlobalAveragePooling2D()(np.ones((2, 5, 7, 3))).shape
    (2, 3)
    """

    reduce = staticmethod(ops.mean)


class GlobalAveragePooling1D(_GlobalPooling):
    """The mean of each channel of a whole sequence: (N,L,C) to (N,C).

    >>> import numpy as np
    >>> GlobalAveragePooling1D()(np.ones((2, 5, 3))).shape
    (2, 3)
    """

    rank = 1
    reduce = staticmethod(ops.mean)


class GlobalMaxPooling2D(_GlobalPooling):
    """The largest value of each channel of a whole image: (N,H,W,C) to (N,C).

    Args:
        data_format: only `"channels_last"`.
        keepdims: keep height and width as axes of length 1, default False.

    >>> import numpy as np
    >>> GlobalMaxPooling2D(keepdims=True)(np.ones((2, 5, 7, 3))).shape
    (2, 1, 1, 3)
    """

    reduce = staticmethod(ops.max)


class GlobalMaxPooling1D(_GlobalPooling):
    """The largest value of each channel of a whole sequence: (N,L,C) to (N,C).

    >>> import numpy as np
    >>> GlobalMaxPooling1D()(np.ones((2, 5, 3))).shape
    (2, 3)
    """

    rank = 1
    reduce = staticmethod(ops.max)
