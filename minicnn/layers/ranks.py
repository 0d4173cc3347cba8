"""Sequences as images of height 1: what lets one arithmetic serve one axis and two."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

from minicnn import ops
from minicnn.autograd.tensor import Tensor
from minicnn.errors import check_choice, check_whole
from minicnn.geometry import pair
from minicnn.layers.base import Layer, sizes_of
from minicnn.layers.symbolic import Shape

__all__ = ["SpatialLayer"]


def warn_of_channels_first(where: str, shape: Shape, stacklevel: int = 4) -> None:
    """Warn of a shape that fits as (N,H,W,C), but looks like (N,C,H,W), as in PyTorch."""
    if len(shape) == 4 and None not in shape[1:]:
        channels, height, width = (n or 0 for n in shape[1:])
        if channels in (1, 3) and min(height, width) > 7 and (channels == 3 or height == width):
            warnings.warn(
                f"{where}: images of shape {shape[1:]} seem to be (C,H,W), but channels stand last "
                f"here: ({height}, {width}, {channels}) and x.transpose(0, 2, 3, 1).",
                stacklevel=stacklevel,
            )


class SpatialLayer(Layer):
    """A layer of images (N,H,W,C), rank 2, or of sequences (N,L,C), rank 1."""

    rank = 2

    def _cast(self, x: Any) -> Tensor:
        tensor = super()._cast(x)
        if not self.built and not isinstance(x, Tensor):  # what another layer made may be so flat
            warn_of_channels_first(self.where, tensor.shape)
        return tensor

    @property
    def axes(self) -> str:
        """The axes of the input, for messages."""
        return "(N,H,W,C)" if self.rank == 2 else "(N,L,C)"

    def sizes(self, argument: str, value: Any, minimum: int = 1) -> tuple[int, ...]:
        """Return an argument as one number for each axis, as (height, width) or (length,)."""
        if self.rank == 2:
            return pair(self.where, argument, value, minimum)
        number = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
        return (check_whole(self.where, argument, number, minimum),)

    def padding_of(self, padding: Any, names: list[str]) -> Any:
        """Return a padding that was given: a known name in lower case, or numbers."""
        if isinstance(padding, str):
            return check_choice(self.where, "padding", padding, names)
        self.sides("padding", padding)
        return padding

    def sides(self, argument: str, value: Any) -> Any:
        """Return pixels to add or to cut as ((top, bottom), (left, right)), or (left, right)."""
        parts = tuple(value) if isinstance(value, Iterable) else (value, value)
        if self.rank == 1:
            return pair(self.where, argument, parts, minimum=0)
        if len(parts) == 2 and all(isinstance(p, Iterable) for p in parts):
            rows, columns = (pair(self.where, argument, p, minimum=0) for p in parts)
            return rows, columns
        height, width = pair(self.where, argument, value, minimum=0)
        return (height, height), (width, width)

    def flat(self, sizes: Any, rest: Any = 1) -> Any:
        """Return sizes for images: those of a sequence with `rest` for the height."""
        return sizes if self.rank == 2 else (rest, *sizes)

    def as_images(self, x: Tensor) -> Tensor:
        """Return the input as images; a sequence becomes one of height 1."""
        self.check_rank(x.shape, self.rank + 2, self.axes)
        return x if self.rank == 2 else ops.reshape(x, (x.shape[0], 1, *x.shape[1:]))

    def as_given(self, y: Tensor) -> Tensor:
        """Return images as what the layer takes."""
        return y if self.rank == 2 else ops.reshape(y, (y.shape[0], *y.shape[2:]))

    def sizes_after(self, shape: Shape, function: Callable[[Any], Any]) -> Shape:
        """Return the sizes that `function` makes of (height, width); open ones stay open."""
        self.check_rank(shape, self.rank + 2, self.axes)
        return sizes_of(self.flat(shape[1:-1]), function)[-self.rank :]
