"""Layers of images and of sequences, which are images of height 1: axes, sizes and windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from minicnn import activations, ops
from minicnn.autograd.tensor import Tensor
from minicnn.errors import ArgumentError, ShapeError, check_choice, check_whole, warn_user
from minicnn.geometry import conv2d_geometry, pair
from minicnn.layers.base import Layer
from minicnn.layers.symbolic import Shape

__all__ = ["SameShape", "SpatialLayer", "check_data_format"]


def warn_of_channels_first(where: str, shape: Shape) -> None:
    """Warn of a shape that fits as (N,H,W,C), but looks like (N,C,H,W), as in PyTorch."""
    if len(shape) == 4 and None not in shape[1:]:
        channels, height, width = (n or 0 for n in shape[1:])
        if channels in (1, 3) and min(height, width) > 7 and (channels == 3 or height == width):
            warn_user(
                f"{where}: images of shape {shape[1:]} seem to be (C,H,W), but channels stand last "
                f"here: ({height}, {width}, {channels}) and x.transpose(0, 2, 3, 1)."
            )


def check_data_format(where: str, data_format: str | None) -> None:
    """Refuse any axis order but channels last, the only one here."""
    if data_format in (None, "channels_last"):
        return
    if str(data_format) in activations.NAMES:
        raise ArgumentError(
            f"{where}: data_format={data_format!r}; did you mean activation={data_format!r}? "
            f"Arguments after padding are written with their names."
        )
    raise ArgumentError(
        f"{where}: data_format={data_format!r}, but images are channels last here, (N,H,W,C); "
        f"leave data_format out, and turn images (N,C,H,W) by x.transpose(0, 2, 3, 1)."
    )


#: Stands for an open height or width while sizes are computed; larger than any window.
_OPEN = 1 << 30


def sizes_of(sizes: Shape, function: Callable[[tuple[int, ...]], Sequence[int]]) -> Shape:
    """Return the sizes that `function` makes of these; open ones stay open.

    The sizes must not depend on each other.

    >>> sizes_of((5, None), lambda sizes: [2 * n for n in sizes])
    (10, None)
    """
    found = function(tuple(_OPEN if n is None else n for n in sizes))
    return tuple(None if n is None else size for n, size in zip(sizes, found, strict=True))


def spatial(shape: Shape, where: str) -> tuple[int, int]:
    """Return the (height, width) of an image shape, which must be known numbers."""
    height, width = shape[1:3]
    if height is None or width is None:
        raise ShapeError(
            f"{where}: the input's shape {shape} leaves its height or width open; give numbers."
        )
    return height, width


class SameShape(Layer):
    """A layer whose result has the shape of its input."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_channels(input_shape)
        return input_shape


class SpatialLayer(Layer):
    """A layer of images (N,H,W,C), rank 2, or of sequences (N,L,C), rank 1."""

    rank = 2
    #: Whether `padding="causal"` is known.
    causal = False

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

    # Windows: of convolutions by `set_window`, of pooling by its own.

    def set_window(
        self,
        kernel_size: Any,
        strides: Any,
        padding: Any,
        data_format: str | None,
        dilation_rate: Any,
    ) -> None:
        """Check the arguments of the window and keep them."""
        check_data_format(self.where, data_format)
        self.kernel_size = self.sizes("kernel_size", kernel_size)
        self.strides = self.sizes("strides", strides)
        self.dilation_rate = self.sizes("dilation_rate", dilation_rate)
        names = ["valid", "same", *(["causal"] if self.causal else [])]
        self.padding = self.padding_of(padding, names)

    @property
    def flat_padding(self) -> Any:
        """The padding as the operation on images takes it."""
        if self.padding == "causal":
            return ((0, 0), (self.dilation_rate[0] * (self.kernel_size[0] - 1), 0))
        if self.rank == 2 or isinstance(self.padding, str):
            return self.padding
        return ((0, 0), self.sides("padding", self.padding))

    @property
    def flat_window(self) -> tuple[Any, Any, Any]:
        """Strides, padding and dilation as the operation on images takes them."""
        return self.flat(self.strides), self.flat_padding, self.flat(self.dilation_rate)

    def flat_kernel(self, kernel: Any) -> Any:
        """Return a kernel as the operation on images takes it."""
        return kernel if self.rank == 2 else ops.reshape(kernel, (1, *kernel.shape))

    def sizes_of_windows(self, input_shape: Any) -> Any:
        """Return how many windows fit on each axis."""

        def fitting(sizes: Any) -> tuple[int, int]:
            strides, padding, dilation = self.flat_window
            kernel = self.flat(self.kernel_size)
            g = conv2d_geometry(sizes, kernel, strides, padding, dilation, where=self.where)
            return g.out_height, g.out_width

        return self.sizes_after(input_shape, fitting)
