"""Layers that move, copy, cut or add pixels without weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from minicnn import ops
from minicnn.autograd.tensor import Tensor
from minicnn.errors import ArgumentError, ShapeError, check_choice
from minicnn.geometry import pair
from minicnn.layers.base import Layer, check_data_format, spatial

__all__ = ["Cropping2D", "Flatten", "Reshape", "UpSampling2D", "ZeroPadding2D"]


class Flatten(Layer):
    """All numbers of a sample in one row: (N,...) to (N,K).

    >>> import numpy as np
    >>> Flatten()(np.ones((2, 5, 7, 3))).shape
    (2, 105)
    """

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        return ops.reshape(inputs, (inputs.shape[0], math.prod(inputs.shape[1:])))

    def compute_output_shape(self, input_shape: Any) -> Any:
        rest = input_shape[1:]
        return (input_shape[0], None if None in rest else math.prod(rest))


class Reshape(Layer):
    """The numbers of a sample, in row-major order, under another shape.

    Args:
        target_shape: without the batch axis; -1 at most once stands for the rest.

    >>> import numpy as np
    >>> Reshape((3, -1))(np.ones((2, 4, 6))).shape
    (2, 3, 8)
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)
        if self.target_shape.count(-1) > 1:
            raise ArgumentError(f"{self.where}: target_shape={target_shape} has -1 twice.")

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        return ops.reshape(inputs, (inputs.shape[0], *self._filled(inputs.shape[1:])))

    def _filled(self, shape: Sequence[Any]) -> tuple[Any, ...]:
        if None in shape:
            return tuple(None if n == -1 else n for n in self.target_shape)
        total = math.prod(shape)
        known = math.prod(n for n in self.target_shape if n != -1)
        rest = total // known if known else 0
        target = tuple(rest if n == -1 else n for n in self.target_shape)
        if math.prod(target) != total:
            raise ShapeError(
                f"{self.where}: a sample of shape {tuple(shape)} has {total} numbers, which do "
                f"not fill target_shape {self.target_shape}."
            )
        return target

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], *self._filled(input_shape[1:]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_shape": self.target_shape}


class UpSampling2D(Layer):
    """Images enlarged by whole factors: (N,H,W,C) to (N,H*size,W*size,C).

    Args:
        size: factors for rows and columns, default 2.
        data_format: only `"channels_last"`.
        interpolation: `"nearest"` (default, pixels copied) or `"bilinear"`.

    >>> import numpy as np
    >>> UpSampling2D((2, 3))(np.ones((1, 5, 7, 3))).shape
    (1, 10, 21, 3)
    """

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_data_format(self.where, data_format)
        self.size = pair(self.where, "size", size)
        self.interpolation = check_choice(
            self.where, "interpolation", interpolation, ["nearest", "bilinear"]
        )

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        return ops.upsample2d(inputs, self.size, self.interpolation)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_rank(input_shape, 4, "(N,H,W,C)")
        height, width = spatial(input_shape, self.where)
        return (input_shape[0], height * self.size[0], width * self.size[1], input_shape[3])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size, "interpolation": self.interpolation}


def _sides(where: str, argument: str, value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return an integer, a pair or ((top, bottom), (left, right)) as four sides."""
    if isinstance(value, Iterable):
        parts = tuple(value)
        if len(parts) == 2 and all(isinstance(p, Iterable) for p in parts):
            return pair(where, argument, parts[0], 0), pair(where, argument, parts[1], 0)
    rows, columns = pair(where, argument, value, minimum=0)
    return (rows, rows), (columns, columns)


class ZeroPadding2D(Layer):
    """Images with zeros around them.

    Args:
        padding: pixels, a (height, width) pair, or ((top, bottom), (left, right)); default 1.
        data_format: only `"channels_last"`.

    >>> import numpy as np
    >>> ZeroPadding2D(((1, 0), (2, 3)))(np.ones((1, 5, 7, 3))).shape
    (1, 6, 12, 3)
    """

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        check_data_format(self.where, data_format)
        self.padding = _sides(self.where, "padding", padding)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        self.check_rank(inputs.shape, 4, "(N,H,W,C)")
        return ops.pad2d(inputs, self.padding)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_rank(input_shape, 4, "(N,H,W,C)")
        height, width = spatial(input_shape, self.where)
        rows, columns = map(sum, self.padding)
        return (input_shape[0], height + rows, width + columns, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "padding": self.padding}


class Cropping2D(Layer):
    """Images without some of their border.

    Args:
        cropping: pixels, a (height, width) pair, or ((top, bottom), (left, right)); default 0.
        data_format: only `"channels_last"`.

    >>> import numpy as np
    >>> Cropping2D(((1, 0), (2, 3)))(np.ones((1, 5, 7, 3))).shape
    (1, 4, 2, 3)
    """

    def __init__(
        self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_data_format(self.where, data_format)
        self.cropping = _sides(self.where, "cropping", cropping)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        self.check_rank(inputs.shape, 4, "(N,H,W,C)")
        return ops.crop2d(inputs, self.cropping)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_rank(input_shape, 4, "(N,H,W,C)")
        height, width = spatial(input_shape, self.where)
        rows, columns = map(sum, self.cropping)
        if rows >= height or columns >= width:
            raise ShapeError(
                f"{self.where}: cropping {rows} rows and {columns} columns leaves nothing of an "
                f"image of {height} x {width}."
            )
        return (input_shape[0], height - rows, width - columns, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cropping": self.cropping}
