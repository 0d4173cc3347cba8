"""Parts of images, of a fixed size: from the middle, or from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd.tensor import Tensor
from minicnn.errors import check_whole
from minicnn.layers.augmentation import ImageChange, Numbers
from minicnn.ops.sampling import middle_of

__all__ = ["CenterCrop", "RandomCrop"]


class CenterCrop(ImageChange):
    """The middle part of each image: (N,H,W,C) to (N,height,width,C), always.

    An image that is smaller is enlarged: its largest middle part in the proportions wanted is
    resized, bilinearly; a mask's by the nearest pixel.

    Args:
        height: of the part in pixels.
        width: of the part in pixels.

    >>> x = np.arange(12.0).reshape(1, 3, 4, 1)
    >>> CenterCrop(1, 2)(x).numpy()[0, :, :, 0].tolist()
    [[5.0, 6.0]]
    """

    always = True

    def __init__(
        self, height: int, width: int, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.height = check_whole(self.where, "height", height)
        self.width = check_whole(self.where, "width", width)

    def transform_images(self, images: Tensor, drawn: Numbers, training: bool = True) -> Tensor:
        return self._part(images, drawn, training, "bilinear")

    def transform_segmentation_masks(
        self, masks: Tensor, drawn: Numbers, training: bool = True
    ) -> Tensor:
        return self._part(masks, drawn, training, "nearest")

    def _part(self, x: Tensor, drawn: Numbers, training: bool, interpolation: str) -> Tensor:
        rows, columns = x.shape[1:3]
        if rows < self.height or columns < self.width:
            wanted = (self.height, self.width)
            top, left, tall, wide = middle_of((rows, columns), wanted)
            middle = x[:, top : top + tall, left : left + wide]
            return ops.resize2d(middle, wanted, interpolation)
        if not drawn:
            top, left = (rows - self.height) // 2, (columns - self.width) // 2
            return x[:, top : top + self.height, left : left + self.width]
        down, right = (
            drawn["starts"][:, i, None] + np.arange(n)
            for i, n in enumerate((self.height, self.width))
        )
        return x[np.arange(len(down))[:, None, None], down[:, :, None], right[:, None, :]]

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-3], self.height, self.width, input_shape[-1])

    config_arguments: tuple[str, ...] = ("height", "width")


class RandomCrop(CenterCrop):
    """A part of each image from a random place: (N,H,W,C) to (N,height,width,C).

    In `evaluate` and `predict` it is the middle part. An image that is smaller is enlarged as by
    `CenterCrop`.

    Args:
        height: of the part in pixels.
        width: of the part in pixels.
        seed: see `ImageChange`.

    >>> x = np.arange(12.0).reshape(1, 3, 4, 1)
    >>> RandomCrop(2, 3, seed=0)(x, training=False).numpy()[0, :, :, 0].tolist()
    [[0.0, 1.0, 2.0], [4.0, 5.0, 6.0]]
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        ImageChange.__init__(self, seed, data_format, **kwargs)
        self.height = check_whole(self.where, "height", height)
        self.width = check_whole(self.where, "width", width)

    def get_random_transformation(self, shape: Sequence[int], training: bool = True) -> Numbers:
        room = shape[1] - self.height, shape[2] - self.width
        if not training or min(room) < 0:
            return {}
        starts = [self.random().integers(n, size=shape[0], endpoint=True) for n in room]
        return {"starts": np.stack(starts, 1)}  # (N,2) rows and columns

    config_arguments = (*CenterCrop.config_arguments, "seed")
