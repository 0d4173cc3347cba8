"""Layers that give the numbers of a sample another order or shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minicnn import ops
from minicnn.autograd.tensor import Tensor
from minicnn.errors import ArgumentError, ShapeError, check_whole
from minicnn.layers.base import Layer
from minicnn.layers.spatial import check_data_format

__all__ = ["Flatten", "Permute", "RepeatVector", "Reshape"]


class Flatten(Layer):
    """All numbers of a sample in one row: (N,...) to (N,K).

    Args:
        data_format: only `"channels_last"`.

    >>> import numpy as np
    >>> Flatten()(np.ones((2, 5, 7, 3))).shape
    (2, 105)
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_data_format(self.where, data_format)

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

    config_arguments: tuple[str, ...] = ("target_shape",)

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


class Permute(Layer):
    """The axes of a sample in another order.

    Args:
        dims: the old axes in their new order, counted from 1, without the batch axis.

    Raises:
        ArgumentError: `dims` does not name each axis once.

    >>> import numpy as np
    >>> Permute((3, 1, 2))(np.ones((2, 5, 7, 3))).shape
    (2, 3, 5, 7)
    """

    config_arguments: tuple[str, ...] = ("dims",)

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ArgumentError(
                f"{self.where}: dims={dims!r}, but it must name each of the axes 1 to "
                f"{len(self.dims)} once."
            )

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        self.compute_output_shape(inputs.shape)
        return ops.transpose(inputs, (0, *self.dims))

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_rank(input_shape, len(self.dims) + 1, f"for dims={self.dims}")
        return (input_shape[0], *(input_shape[d] for d in self.dims))


class RepeatVector(Layer):
    """Each sample `n` times, as a sequence: (N,C) to (N,n,C).

    Args:
        n: number of repetitions.

    >>> import numpy as np
    >>> RepeatVector(4)(np.ones((2, 3))).shape
    (2, 4, 3)
    """

    config_arguments: tuple[str, ...] = ("n",)

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = check_whole(self.where, "n", n)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        batch, _, channels = self.compute_output_shape(inputs.shape)
        return ops.broadcast_to(
            ops.reshape(inputs, (batch, 1, channels)), (batch, self.n, channels)
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_rank(input_shape, 2, "(N,C)")
        return (input_shape[0], self.n, input_shape[1])
