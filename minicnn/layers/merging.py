"""Layers that make one tensor out of several."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from minicnn import ops
from minicnn.autograd.tensor import Tensor
from minicnn.errors import ArgumentError, ShapeError
from minicnn.layers.base import Layer
from minicnn.layers.symbolic import Shape

__all__ = ["Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply",
           "Subtract", "add", "average", "broadcast_shape", "concatenate", "dot",
           "maximum", "minimum", "multiply", "subtract"]  # fmt: skip


def broadcast_shape(where: str, shapes: Sequence[Shape]) -> Shape:
    """Return the shape of an element-wise result; open axes stay open.

    Raises:
        ShapeError: the shapes do not fit.

    >>> broadcast_shape("Add", [(None, 5, 7, 3), (None, 1, 7, 1)])
    (None, 5, 7, 3)
    """
    reverse = itertools.zip_longest(*(reversed(s) for s in shapes), fillvalue=1)
    result: list[int | None] = []
    for lengths in list(reverse)[::-1]:
        known = {n for n in lengths if n not in (None, 1)}
        if len(known) > 1:
            raise ShapeError(
                f"{where}: inputs of shapes {', '.join(map(str, shapes))} cannot be merged; "
                f"they must be equal, or 1, on every axis."
            )
        result.append(known.pop() if known else None if None in lengths else 1)
    return tuple(result)


def _check_several(layer: Layer, inputs: Any) -> None:
    single = not isinstance(inputs, list | tuple) or any(
        x is None or isinstance(x, int) for x in inputs
    )
    if single or len(inputs) < 2:
        raise ArgumentError(f"{layer.where} must be called on a list of at least two inputs.")


def _check_two(layer: Layer, inputs: Any) -> None:
    _check_several(layer, inputs)
    if len(inputs) != 2:
        raise ArgumentError(
            f"{layer.where} must be called on exactly two inputs, not {len(inputs)}."
        )


class _Merge(Layer):
    """What merges element by element; an input of fewer axes gets axes of length 1 after the batch.

    A subclass writes `merged`, which adds one more input to what the others gave.
    """

    takes_list = True

    def merged(self, total: Tensor, x: Tensor) -> Tensor:
        """Return the result so far with one more input."""
        raise TypeError(f"{type(self).__name__} does not define merged")

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        _check_several(self, inputs)
        shapes = _aligned([x.shape for x in inputs])
        broadcast_shape(self.where, shapes)
        total, *others = (
            x if x.shape == s else ops.reshape(x, s) for x, s in zip(inputs, shapes, strict=True)
        )
        for x in others:
            total = self.merged(total, x)
        return total

    def compute_output_shape(self, input_shape: Any) -> Any:
        _check_several(self, input_shape)
        return broadcast_shape(self.where, _aligned(input_shape))


def _aligned(shapes: Sequence[Any]) -> list[Any]:
    """Return shapes with as many axes as the longest, the new ones after the batch."""
    most = max(len(s) for s in shapes)
    return [(*s[:1], *[1] * (most - len(s)), *s[1:]) if s else s for s in shapes]


class Add(_Merge):
    """The sum of several inputs, with broadcasting of axes of length 1.

    >>> import numpy as np
    >>> Add()([np.ones((2, 3)), np.ones((2, 3))]).numpy()[0].tolist()
    [2.0, 2.0, 2.0]
    """

    def merged(self, total: Tensor, x: Tensor) -> Tensor:
        return total + x


class Subtract(_Merge):
    """The first input minus the second.

    >>> import numpy as np
    >>> Subtract()([np.ones((2, 3)), np.full((2, 3), 4.0)]).numpy()[0].tolist()
    [-3.0, -3.0, -3.0]
    """

    def merged(self, total: Tensor, x: Tensor) -> Tensor:
        return total - x

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        _check_two(self, inputs)
        return super().call(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        _check_two(self, input_shape)
        return super().compute_output_shape(input_shape)


class Multiply(_Merge):
    """The product of several inputs, element by element.

    >>> import numpy as np
    >>> Multiply()([np.full((2, 3), 2.0), np.full((2, 3), 4.0)]).numpy()[0].tolist()
    [8.0, 8.0, 8.0]
    """

    def merged(self, total: Tensor, x: Tensor) -> Tensor:
        return total * x


class Average(_Merge):
    """The mean of several inputs, element by element.

    >>> import numpy as np
    >>> Average()([np.full((2, 3), 2.0), np.full((2, 3), 4.0)]).numpy()[0].tolist()
    [3.0, 3.0, 3.0]
    """

    def merged(self, total: Tensor, x: Tensor) -> Tensor:
        return total + x

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        return super().call(inputs) / len(inputs)


class Maximum(_Merge):
    """The largest of several inputs, element by element.

    >>> import numpy as np
    >>> Maximum()([np.full((2, 3), 2.0), np.full((2, 3), 4.0)]).numpy()[0].tolist()
    [4.0, 4.0, 4.0]
    """

    def merged(self, total: Tensor, x: Tensor) -> Tensor:
        return ops.maximum(total, x)


class Minimum(_Merge):
    """The smallest of several inputs, element by element.

    >>> import numpy as np
    >>> Minimum()([np.full((2, 3), 2.0), np.full((2, 3), 4.0)]).numpy()[0].tolist()
    [2.0, 2.0, 2.0]
    """

    def merged(self, total: Tensor, x: Tensor) -> Tensor:
        return ops.minimum(total, x)


class Concatenate(Layer):
    """Several inputs side by side along an axis.

    Args:
        axis: the axis, counted with the batch axis; default -1, the channels.

    >>> import numpy as np
    >>> Concatenate()([np.ones((2, 3)), np.zeros((2, 1))]).shape
    (2, 4)
    """

    takes_list = True
    config_arguments: tuple[str, ...] = ("axis",)

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        _check_several(self, inputs)
        return ops.concatenate(inputs, self.axis)

    def compute_output_shape(self, input_shape: Any) -> Any:
        _check_several(self, input_shape)
        axes = len(input_shape[0])
        if not -axes <= self.axis < axes:
            raise ArgumentError(
                f"{self.where}: axis={self.axis}, but inputs of shape {input_shape[0]} have "
                f"{axes} axes; it must be {-axes} to {axes - 1}."
            )
        axis = self.axis % axes
        rests = [(*s[:axis], 1, *s[axis + 1 :]) for s in input_shape]
        lengths = [s[axis] for s in input_shape if len(s) == axes]
        if len(lengths) < len(input_shape) or not _agree(rests):
            raise ShapeError(
                f"{self.where}: inputs of shapes {', '.join(map(str, input_shape))} cannot be "
                f"joined along axis {self.axis}; all other axes must be equal."
            )
        shape = [next((n for n in column if n is not None), None) for column in zip(*rests)]  # noqa: B905
        shape[axis] = None if None in lengths else sum(lengths)
        return tuple(shape)


def _agree(shapes: Sequence[Shape]) -> bool:
    """Return whether shapes are equal wherever they are known."""
    columns = zip(*shapes, strict=True)
    return all(len({n for n in column if n is not None}) <= 1 for column in columns)


class Dot(Layer):
    """The sum of products of two inputs along one axis of each, sample by sample.

    Args:
        axes: the axis of both, or a pair of axes, counted with the batch axis 0, which is none of
            them.
        normalize: divide both by their length along the axis first, which gives the cosine of
            the angle; default False.

    Raises:
        ArgumentError: an axis is missing, or is the batch.
        ShapeError: the two axes have different lengths.

    >>> import numpy as np
    >>> Dot(axes=(2, 1))([np.ones((2, 4, 3)), np.ones((2, 3, 5))]).shape
    (2, 4, 5)
    """

    takes_list = True
    config_arguments: tuple[str, ...] = ("axes", "normalize")

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        both = axes if isinstance(axes, int) else tuple(axes)
        if not isinstance(both, int) and len(both) != 2:
            raise ArgumentError(f"{self.where}: axes={axes!r}, but it must be one or two axes.")
        self.axes, self.normalize = both, normalize

    def _places(self, shapes: Sequence[Any]) -> list[int]:
        _check_two(self, shapes)
        axes = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        places = [
            a % len(s) if -len(s) <= a < len(s) else 0 for a, s in zip(axes, shapes, strict=True)
        ]
        if 0 in places:
            raise ArgumentError(
                f"{self.where}: axes={self.axes}, but inputs of shapes {shapes[0]} and "
                f"{shapes[1]} have no such axes besides the batch."
            )
        if shapes[0][places[0]] != shapes[1][places[1]]:
            raise ShapeError(
                f"{self.where}: axes={self.axes} of shapes {shapes[0]} and {shapes[1]} have "
                f"different lengths; they must be equal."
            )
        return places

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        places = self._places([x.shape for x in inputs])
        a, b = (
            _unit(x, axis) if self.normalize else x for x, axis in zip(inputs, places, strict=True)
        )
        shape = self.compute_output_shape([a.shape, b.shape])
        batch, length = a.shape[0], a.shape[places[0]]
        rows = ops.reshape(_axis_to(a, places[0], -1), (batch, -1, length))  # (N,P,K)
        columns = ops.reshape(_axis_to(b, places[1], 1), (batch, length, -1))  # (N,K,Q)
        return ops.reshape(ops.matmul(rows, columns), shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        places = self._places(input_shape)
        rests = [
            [n for i, n in enumerate(s) if i not in (0, p)]
            for s, p in zip(input_shape, places, strict=True)
        ]
        return (input_shape[0][0], *rests[0], *rests[1]) if any(rests) else (input_shape[0][0], 1)


def _unit(x: Tensor, axis: int) -> Tensor:
    squares = ops.sum(ops.square(x), axis, keepdims=True)
    return x / ops.sqrt(ops.maximum(squares, 1e-12))


def _axis_to(x: Tensor, axis: int, place: int) -> Tensor:
    order = [i for i in range(x.ndim) if i != axis]
    order.insert(place % x.ndim, axis)
    return ops.transpose(x, order)


def add(inputs: Any, **kwargs: Any) -> Any:
    """Return the sum of several inputs, as `Add` does."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """Return the first input minus the second, as `Subtract` does."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """Return the product of several inputs, as `Multiply` does."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """Return the mean of several inputs, as `Average` does."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """Return the largest of several inputs, as `Maximum` does."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """Return the smallest of several inputs, as `Minimum` does."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """Return several inputs side by side, as `Concatenate` does."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Any, axes: Any = -1, **kwargs: Any) -> Any:
    """Return the sum of products of two inputs, as `Dot` does."""
    return Dot(axes=axes, **kwargs)(inputs)
