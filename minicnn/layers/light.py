"""Random changes of an image's light: contrast and brightness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicnn import ops
from minicnn.autograd.tensor import Tensor, alongside
from minicnn.errors import ArgumentError
from minicnn.layers.augmentation import Factor, ImageChange, Numbers

__all__ = ["RandomBrightness", "RandomContrast"]


class LightChange(ImageChange):
    """What both share: masks stay as they are, and results within the range of values.

    Args:
        factor: see the layer.
        value_range: (least, largest) value of an image, default (0, 255); results are clipped to
            it.
        seed: see `ImageChange`.
    """

    def __init__(
        self, factor: Factor, value_range: Sequence[float] = (0, 255), seed: int | None = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(seed, **kwargs)
        if len(value_range) != 2 or not value_range[0] < value_range[1]:
            raise ArgumentError(
                f"{self.where}: value_range={value_range!r} must be a pair (least, largest), such "
                f"as (0, 1)."
            )
        self.factor, self.value_range = factor, tuple(value_range)

    def transform_segmentation_masks(
        self, masks: Tensor, drawn: Numbers, training: bool = True
    ) -> Tensor:
        return masks

    config_arguments = (*ImageChange.config_arguments, "factor", "value_range")


class RandomContrast(LightChange):
    """Each image with its differences from its mean made larger or smaller.

    y = (x - mean) * c + mean, the mean of each channel over the image

    Args:
        factor: (lower, upper): c is drawn from 1 - lower to 1 + upper, both from 0 to 1; a number
            stands for both.
        value_range: (least, largest) value of an image, default (0, 255); results are clipped to
            it.
        seed: see `ImageChange`.

    >>> import numpy as np
    >>> x = np.array([[10.0, 20.0, 30.0]] * 2).reshape(1, 2, 3, 1)
    >>> y = RandomContrast(0.5, seed=1)(x).numpy()[0, 0, :, 0]
    >>> float(y[1]), bool(5 <= y[0] <= 15), round(float(y[0] + y[2]), 3)
    (20.0, True, 40.0)
    """

    def __init__(
        self, factor: Factor, value_range: Sequence[float] = (0, 255), seed: int | None = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(factor, value_range, seed, **kwargs)
        both = [factor, factor] if isinstance(factor, int | float) else [*factor]
        if len(both) != 2 or not all(0 <= f <= 1 for f in both):
            raise ArgumentError(
                f"{self.where}: factor={factor!r} must be a number or a pair of numbers from 0 to "
                f"1."
            )
        self._range = 1 - both[0], 1 + both[1]

    def get_random_transformation(self, shape: Sequence[int], training: bool = True) -> Numbers:
        return {"contrast_factor": self.draw(self._range, (shape[0], 1, 1, 1))}

    def transform_images(self, images: Tensor, drawn: Numbers, training: bool = True) -> Tensor:
        mean = ops.mean(images, axis=(1, 2), keepdims=True)  # (N,1,1,C)
        factor = alongside(drawn["contrast_factor"], images, images.dtype)
        return ops.clip((images - mean) * factor + mean, *self.value_range)


class RandomBrightness(LightChange):
    """Each image with a random number added to all its values.

    Args:
        factor: range of the number as a share of the range of values: a pair from -1 to 1, or f
            for -f to f.
        value_range: (least, largest) value of an image, default (0, 255); results are clipped to
            it.
        seed: see `ImageChange`.

    >>> import numpy as np
    >>> x = np.full((1, 2, 3, 1), 0.25)
    >>> RandomBrightness((0.5, 0.5), value_range=(0, 1))(x).numpy()[0, :, :, 0].tolist()
    [[0.75, 0.75, 0.75], [0.75, 0.75, 0.75]]
    """

    def __init__(
        self, factor: Factor, value_range: Sequence[float] = (0, 255), seed: int | None = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(factor, value_range, seed, **kwargs)
        self._share = self.bounds("factor", factor, -1, 1)

    def get_random_transformation(self, shape: Sequence[int], training: bool = True) -> Numbers:
        width = self.value_range[1] - self.value_range[0]
        return {"rgb_delta": self.draw(self._share, (shape[0], 1, 1, 1)) * width}

    def transform_images(self, images: Tensor, drawn: Numbers, training: bool = True) -> Tensor:
        added = alongside(drawn["rgb_delta"], images, images.dtype)
        return ops.clip(images + added, *self.value_range)
