"""Layers that change the size of images and sequences without weights, or their scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd.tensor import Tensor, alongside
from minicnn.errors import ArgumentError, ShapeError, check_choice, check_whole
from minicnn.layers.spatial import SameShape, SpatialLayer, check_data_format

__all__ = ["Cropping1D", "Cropping2D", "Rescaling", "Resizing", "UpSampling1D",
           "UpSampling2D", "ZeroPadding1D", "ZeroPadding2D"]  # fmt: skip


class _UpSampling(SpatialLayer):
    size: tuple[int, ...]
    interpolation = "nearest"

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        x = self.as_images(inputs)
        return self.as_given(ops.upsample2d(x, self.flat(self.size), self.interpolation))

    def compute_output_shape(self, input_shape: Any) -> Any:
        factors = self.flat(self.size)
        sizes = self.sizes_after(
            input_shape, lambda s: [n * f for n, f in zip(s, factors, strict=True)]
        )
        return (input_shape[0], *sizes, input_shape[-1])


class UpSampling1D(_UpSampling):
    """Sequences with every place repeated: (N,L,C) to (N,L*size,C).

    Args:
        size: factor, default 2.

    >>> UpSampling1D(3)(np.ones((2, 5, 3))).shape
    (2, 15, 3)
    """

    rank = 1
    config_arguments: tuple[str, ...] = ("size",)

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = self.sizes("size", size)


class UpSampling2D(_UpSampling):
    """Images enlarged by whole factors: (N,H,W,C) to (N,H*size,W*size,C).

    Args:
        size: factors for rows and columns, default 2.
        data_format: only `"channels_last"`.
        interpolation: `"nearest"` (default, pixels copied) or `"bilinear"`.

    >>> UpSampling2D((2, 3))(np.ones((1, 5, 7, 3))).shape
    (1, 10, 21, 3)
    """

    config_arguments: tuple[str, ...] = ("size", "interpolation")

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_data_format(self.where, data_format)
        self.size = self.sizes("size", size)
        self.interpolation = check_choice(
            self.where, "interpolation", interpolation, ["nearest", "bilinear"]
        )


class Resizing(SpatialLayer):
    """Images brought to a given size: (N,H,W,C) to (N,height,width,C), or one image (H,W,C).

    Args:
        height: the new height in pixels.
        width: the new width in pixels.
        interpolation: `"bilinear"` (default) or `"nearest"`; pixel centres at half positions.
        crop_to_aspect_ratio: cut the image to the new proportions first, in its middle, instead
            of distorting it; default False.
        pad_to_aspect_ratio: pad it to the new proportions first, with `fill_value` around it,
            instead of distorting it; default False.
        fill_mode: only `"constant"`.
        fill_value: of the padding, default 0.
        antialias: only False.
        data_format: only `"channels_last"`.

    Raises:
        ArgumentError: an argument is outside its rule.

    >>> Resizing(4, 9)(np.ones((1, 5, 7, 3))).shape
    (1, 4, 9, 3)
    """

    config_arguments: tuple[str, ...] = (
        "height",
        "width",
        "interpolation",
        "crop_to_aspect_ratio",
        "pad_to_aspect_ratio",
        "fill_value",
    )

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_data_format(self.where, data_format)
        self.height = check_whole(self.where, "height", height)
        self.width = check_whole(self.where, "width", width)
        self.interpolation = check_choice(
            self.where, "interpolation", interpolation, ["nearest", "bilinear"]
        )
        check_choice(self.where, "fill_mode", fill_mode, ["constant"])
        if antialias:
            raise ArgumentError(f"{self.where}: antialias={antialias!r}, but only False is known.")
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ArgumentError(
                f"{self.where}: crop_to_aspect_ratio and pad_to_aspect_ratio are both set; choose "
                f"one."
            )
        self.crop_to_aspect_ratio, self.pad_to_aspect_ratio = (
            bool(crop_to_aspect_ratio),
            bool(pad_to_aspect_ratio),
        )
        self.fill_value = fill_value

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        single = inputs.ndim == 3
        x = ops.reshape(inputs, (1, *inputs.shape)) if single else self.as_images(inputs)
        if self.crop_to_aspect_ratio:
            x = self._cropped(x)
        elif self.pad_to_aspect_ratio:
            x = self._padded(x)
        y = ops.resize2d(x, (self.height, self.width), self.interpolation)
        return ops.reshape(y, y.shape[1:]) if single else y

    def _cropped(self, x: Tensor) -> Tensor:
        """Return the largest middle part of the new proportions."""
        _, height, width, _ = x.shape
        rows = min(height, max(1, int(width * self.height / self.width)))
        columns = min(width, max(1, int(height * self.width / self.height)))
        top, left = int((height - rows) / 2), int((width - columns) / 2)
        return x[:, top : top + rows, left : left + columns]

    def _padded(self, x: Tensor) -> Tensor:
        """Return the image in the middle of a frame of nearly the new proportions, as Keras' is.

        Both sides get the smaller half where the room is odd.
        """
        _, height, width, _ = x.shape
        rows = max(height, int(width * self.height / self.width))
        columns = max(width, int(height * self.width / self.height))
        top, left = (rows - height) // 2, (columns - width) // 2
        sides = ((top, top), (left, left))
        # Outside the image the fill value is added to zeros, inside nothing.
        return ops.pad2d(x - self.fill_value, sides) + self.fill_value

    def compute_output_shape(self, input_shape: Any) -> Any:
        if len(input_shape) == 3:
            return (self.height, self.width, input_shape[2])
        self.check_rank(input_shape, 4, "(N,H,W,C)")
        return (input_shape[0], self.height, self.width, input_shape[3])


class Rescaling(SameShape):
    """x * scale + offset, as Rescaling(1 / 255) for pixels from 0 to 255.

    Args:
        scale: a number, or one for each channel.
        offset: likewise, default 0.

    >>> Rescaling(1 / 127.5, offset=-1)([[0.0, 127.5, 255.0]]).numpy().tolist()
    [[-1.0, 0.0, 1.0]]
    """

    config_arguments: tuple[str, ...] = ("scale", "offset")

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        scale, offset = (alongside(v, inputs, inputs.dtype) for v in (self.scale, self.offset))
        return inputs * scale + offset

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return config | {name: np.asarray(config[name]).tolist() for name in ("scale", "offset")}


class _ZeroPadding(SpatialLayer):
    config_arguments: tuple[str, ...] = ("padding",)

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_data_format(self.where, data_format)
        self.padding = self.sides("padding", padding)

    @property
    def flat_sides(self) -> Any:
        """Rows and columns to add, as for images."""
        return self.padding if self.rank == 2 else ((0, 0), self.padding)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        return self.as_given(ops.pad2d(self.as_images(inputs), self.flat_sides))

    def compute_output_shape(self, input_shape: Any) -> Any:
        rows, columns = map(sum, self.flat_sides)
        sizes = self.sizes_after(input_shape, lambda s: (s[0] + rows, s[1] + columns))
        return (input_shape[0], *sizes, input_shape[-1])


class ZeroPadding1D(_ZeroPadding):
    """Sequences (N,L,C) with zeros before and after them.

    Args:
        padding: a number, or a pair (before, after); default 1.
        data_format: only `"channels_last"`.

    >>> ZeroPadding1D((1, 3))(np.ones((2, 5, 3))).shape
    (2, 9, 3)
    """

    rank = 1


class ZeroPadding2D(_ZeroPadding):
    """Images with zeros around them.

    Args:
        padding: pixels, a (height, width) pair, or ((top, bottom), (left, right)); default 1.
        data_format: only `"channels_last"`.

    >>> ZeroPadding2D(((1, 0), (2, 3)))(np.ones((1, 5, 7, 3))).shape
    (1, 6, 12, 3)
    """


class _Cropping(SpatialLayer):
    config_arguments: tuple[str, ...] = ("cropping",)
    cropping: Any

    @property
    def flat_sides(self) -> Any:
        """Rows and columns to cut off, as for images."""
        return self.cropping if self.rank == 2 else ((0, 0), self.cropping)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        self.compute_output_shape(inputs.shape)
        return self.as_given(ops.crop2d(self.as_images(inputs), self.flat_sides))

    def compute_output_shape(self, input_shape: Any) -> Any:
        rows, columns = map(sum, self.flat_sides)

        def smaller(sizes: Any) -> tuple[int, int]:
            height, width = sizes
            if rows >= height or columns >= width:
                what = (
                    f"an image of {height} x {width}"
                    if self.rank == 2
                    else f"a sequence of {width}"
                )
                cut = f"{rows} rows and {columns} columns" if self.rank == 2 else f"{columns}"
                raise ShapeError(f"{self.where}: cropping {cut} leaves nothing of {what}.")
            return height - rows, width - columns

        return (input_shape[0], *self.sizes_after(input_shape, smaller), input_shape[-1])


class Cropping1D(_Cropping):
    """Sequences (N,L,C) without some of their ends.

    Args:
        cropping: a number, or a pair (before, after); default 1.

    >>> Cropping1D((1, 2))(np.ones((2, 5, 3))).shape
    (2, 2, 3)
    """

    rank = 1

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping = self.sides("cropping", cropping)


class Cropping2D(_Cropping):
    """Images without some of their border.

    Args:
        cropping: pixels, a (height, width) pair, or ((top, bottom), (left, right)); default 0.
        data_format: only `"channels_last"`.

    >>> Cropping2D(((1, 0), (2, 3)))(np.ones((1, 5, 7, 3))).shape
    (1, 4, 2, 3)
    """

    def __init__(
        self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_data_format(self.where, data_format)
        self.cropping = self.sides("cropping", cropping)
