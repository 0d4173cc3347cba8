"""Random changes of images, so that a network sees each image in many ways.

They change images while training and, as in Keras, when called outside a model without `training`;
in `evaluate` and `predict` images pass unchanged. A dictionary with "images", "segmentation_masks"
and "labels" is changed as one: a mask is moved as its image is, by the nearest pixel, so that its
classes stay whole; labels pass. Gradients flow through to the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config, ops
from minicnn.autograd.tensor import Tensor, alongside
from minicnn.errors import ArgumentError, ShapeError, check_choice, check_whole
from minicnn.layers.base import Layer
from minicnn.layers.spatial import check_data_format
from minicnn.ops.sampling import FILL_MODES

__all__ = ["ImageChange", "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom"]

Array = NDArray[Any]
Numbers = dict[str, Array]
Factor = float | Sequence[float]

_KEYS = ("images", "segmentation_masks", "labels")


class ImageChange(Layer):
    """What the layers of this file share: images alone, or with masks and labels, one or many.

    Args:
        seed: start of the layer's own random numbers, an integer >= 0; those of the process when
            None.
        data_format: `"channels_last"`, the only one.
    """

    config_arguments: tuple[str, ...] = ("seed",)
    training_by_default = True
    #: Whether the layer does something without `training`, too.
    always = False

    def __init__(
        self, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_data_format(self.where, data_format)
        self.seed = None if seed is None else check_whole(self.where, "seed", seed, 0)
        self.random = config.SeededGenerator(seed)

    def __call__(
        self, inputs: Any, *others: Any, training: bool | None = None, **named: Any
    ) -> Any:
        """Return changed images, or a dictionary of images, masks and labels changed alike."""
        if not isinstance(inputs, dict):
            return super().__call__(inputs, *others, training=training, **named)
        unknown = [key for key in inputs if key not in _KEYS]
        if unknown or "images" not in inputs:
            raise ArgumentError(
                f"{self.where}: a dictionary with the keys {', '.join(map(repr, inputs))} came; it "
                f"must have 'images', and may have 'segmentation_masks' and 'labels'."
            )
        cast = {k: v if k == "labels" else self._cast(v) for k, v in inputs.items()}
        self.build_once(cast["images"].shape)
        return self._run(cast, training)

    def call(self, data: Any, training: bool = True) -> Any:
        parts = data if isinstance(data, dict) else {"images": data}
        images = parts["images"]
        if images.ndim not in (3, 4):
            raise ShapeError(
                f"{self.where}: the images have shape {images.shape}, but must have axes (N,H,W,C) "
                f"or (H,W,C)."
            )
        if not (training or self.always):
            return data
        shape = images.shape if images.ndim == 4 else (1, *images.shape)
        drawn = self.get_random_transformation(shape, training)
        changed = dict(parts)
        changed["images"] = self._each(images, self.transform_images, drawn, training)
        if "segmentation_masks" in parts:
            masks = parts["segmentation_masks"]
            bare = masks.ndim == images.ndim - 1  # without an axis for channels
            masks = ops.reshape(masks, (*masks.shape, 1)) if bare else masks
            masks = self._each(masks, self.transform_segmentation_masks, drawn, training)
            changed["segmentation_masks"] = ops.squeeze(masks, -1) if bare else masks
        return changed if isinstance(data, dict) else changed["images"]

    @staticmethod
    def _each(x: Tensor, change: Any, drawn: Numbers, training: bool) -> Tensor:
        """Return a batch or a single image changed."""
        if x.ndim == 4:
            return change(x, drawn, training)
        return ops.squeeze(change(ops.reshape(x, (1, *x.shape)), drawn, training), 0)

    def get_random_transformation(self, shape: Sequence[int], training: bool = True) -> Numbers:
        """Return random numbers for a batch of images of this shape (N,H,W,C)."""
        return {}

    def transform_images(self, images: Tensor, drawn: Numbers, training: bool = True) -> Tensor:
        """Return images (N,H,W,C) changed as the numbers say."""
        raise TypeError(f"{type(self).__name__} does not say how to change images")

    def transform_segmentation_masks(
        self, masks: Tensor, drawn: Numbers, training: bool = True
    ) -> Tensor:
        """Return masks (N,H,W,C) changed as their images are."""
        return self.transform_images(masks, drawn, training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def bounds(
        self, argument: str, factor: Factor, least: float, most: float
    ) -> tuple[float, float]:
        """Return the range of a factor: a number f is -f to f, a pair is the range itself."""
        given = [factor] if isinstance(factor, int | float) else [*factor]
        wanted = 1 if isinstance(factor, int | float) else 2
        if len(given) != wanted or not all(least <= f <= most for f in given):
            raise ArgumentError(
                f"{self.where}: {argument}={factor!r} must be a number or a pair of numbers from "
                f"{least:g} to {most:g}."
            )
        low, high = sorted(given) if len(given) == 2 else (-abs(given[0]), abs(given[0]))
        return float(low), float(high)

    def draw(self, bounds: tuple[float, float], shape: Sequence[int]) -> Array:
        """Return uniform random numbers."""
        return self.random().uniform(*bounds, tuple(shape))


class RandomFlip(ImageChange):
    """Each image mirrored or not, by chance.

    Args:
        mode: `"horizontal"` (left and right change places), `"vertical"` (top and bottom), or
            `"horizontal_and_vertical"` (default): each of both by its own chance.
        seed: see `ImageChange`.

    >>> x = np.arange(6.0).reshape(1, 2, 3, 1)
    >>> RandomFlip("vertical", seed=2)(x).numpy()[0, :, :, 0].tolist()
    [[3.0, 4.0, 5.0], [0.0, 1.0, 2.0]]
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.mode = check_choice(
            self.where, "mode", mode, ["horizontal", "vertical", "horizontal_and_vertical"]
        )

    def get_random_transformation(self, shape: Sequence[int], training: bool = True) -> Numbers:
        return {name: self.draw((0, 1), (shape[0], 1, 1, 1)) < 0.5 for name in self._axes()}

    def _axes(self) -> list[str]:
        return [name for name in ("horizontal", "vertical") if name in self.mode]

    def transform_images(self, images: Tensor, drawn: Numbers, training: bool = True) -> Tensor:
        for name in self._axes():
            turned = images[:, :, ::-1] if name == "horizontal" else images[:, ::-1]
            images = ops.where(alongside(drawn[name], images), turned, images)
        return images

    config_arguments = (*ImageChange.config_arguments, "mode")


class AffineChange(ImageChange):
    """What shifting, turning and zooming share: each pixel is read at another place.

    Args:
        fill_mode: what lies outside: `"reflect"` (default) the mirrored image, `"constant"` the
            fill value, `"wrap"` the image once more, `"nearest"` the edge's pixel.
        interpolation: `"bilinear"` (default) or `"nearest"`; masks take the nearest pixel.
        seed: see `ImageChange`.
        fill_value: of `"constant"`, default 0.
    """

    def __init__(
        self,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.fill_mode = check_choice(self.where, "fill_mode", fill_mode, FILL_MODES)
        self.interpolation = check_choice(
            self.where, "interpolation", interpolation, ["nearest", "bilinear"]
        )
        self.fill_value = fill_value

    def matrices(self, drawn: Numbers, height: int, width: int) -> Array:
        """Return the numbers (N,8) of `ops.affine_transform` for an image of this size."""
        raise TypeError(f"{type(self).__name__} does not say where its pixels come from")

    def _moved(self, images: Tensor, drawn: Numbers, interpolation: str) -> Tensor:
        matrices = self.matrices(drawn, images.shape[1], images.shape[2])
        return ops.affine_transform(
            images, matrices, interpolation, self.fill_mode, self.fill_value
        )

    def transform_images(self, images: Tensor, drawn: Numbers, training: bool = True) -> Tensor:
        return self._moved(images, drawn, self.interpolation)

    def transform_segmentation_masks(
        self, masks: Tensor, drawn: Numbers, training: bool = True
    ) -> Tensor:
        return self._moved(masks, drawn, "nearest")

    config_arguments = (
        *ImageChange.config_arguments,
        *("fill_mode", "interpolation", "fill_value"),
    )


def _matrix(count: int, **entries: Any) -> Array:
    """Return the identity (N,8) with some of its numbers replaced."""
    matrix = np.tile(np.array([1.0, 0, 0, 0, 1, 0, 0, 0]), (count, 1))
    for name, value in entries.items():
        matrix[:, ("a0", "a1", "a2", "b0", "b1", "b2").index(name)] = np.ravel(value)
    return matrix


class RandomTranslation(AffineChange):
    """Each image shifted by a random share of its height and width.

    Args:
        height_factor: range of the shift downwards as a share of the height: a pair from -1 to 1,
            or f for -f to f.
        width_factor: likewise of the shift to the right.
        fill_mode: see `AffineChange`, as are the others.

    >>> x = np.arange(6.0).reshape(1, 2, 3, 1)
    >>> shift = RandomTranslation((0.0, 0.0), (1 / 3, 1 / 3), fill_mode="nearest")
    >>> shift(x).numpy()[0, :, :, 0].tolist()
    [[0.0, 0.0, 1.0], [3.0, 3.0, 4.0]]
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._down = self.bounds("height_factor", height_factor, -1, 1)
        self._right = self.bounds("width_factor", width_factor, -1, 1)

    def get_random_transformation(self, shape: Sequence[int], training: bool = True) -> Numbers:
        right = self.draw(self._right, (shape[0],)) * shape[2]
        down = self.draw(self._down, (shape[0],)) * shape[1]
        return {"translations": np.stack([right, down], 1)}  # (N,2) pixels

    def matrices(self, drawn: Numbers, height: int, width: int) -> Array:
        shifts = drawn["translations"]
        return _matrix(len(shifts), a2=-shifts[:, 0], b2=-shifts[:, 1])

    config_arguments = (*AffineChange.config_arguments, "height_factor", "width_factor")


class RandomRotation(AffineChange):
    """Each image turned around its middle by a random angle.

    Args:
        factor: range of the angle in full turns, counterclockwise: a pair from -1 to 1, or f for
            -f to f.
        fill_mode: see `AffineChange`, as are the others.

    >>> x = np.arange(6.0).reshape(1, 2, 3, 1)
    >>> RandomRotation((0.5, 0.5))(x).numpy()[0, :, :, 0].round(3).tolist()
    [[5.0, 4.0, 3.0], [2.0, 1.0, 0.0]]
    """

    def __init__(
        self,
        factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.factor = factor
        self._turns = self.bounds("factor", factor, -1, 1)

    def get_random_transformation(self, shape: Sequence[int], training: bool = True) -> Numbers:
        return {"angle": self.draw(self._turns, (shape[0],)) * 360}  # degrees

    def matrices(self, drawn: Numbers, height: int, width: int) -> Array:
        angle = drawn["angle"] * (pi / 180)
        cosine, sine = np.cos(angle), np.sin(angle)
        x, y = (width - 1) / 2, (height - 1) / 2  # the middle stays where it is
        return _matrix(
            len(angle),
            a0=cosine, a1=-sine, a2=x - cosine * x + sine * y,
            b0=sine, b1=cosine, b2=y - sine * x - cosine * y,
        )  # fmt: skip

    config_arguments = (*AffineChange.config_arguments, "factor")


class RandomZoom(AffineChange):
    """Each image made smaller or larger around its middle by a random factor.

    Args:
        height_factor: range of the zoom along the height: 0.2 shows 20 % more (the image becomes
            smaller), -0.2 shows 20 % less; a pair from -1 to 1, or f for -f to f.
        width_factor: likewise along the width; the same zoom as the height's when None.
        fill_mode: see `AffineChange`, as are the others.

    >>> x = np.arange(8.0).reshape(1, 2, 4, 1)
    >>> zoom = RandomZoom((0.0, 0.0), (1.0, 1.0), fill_mode="constant", fill_value=9.0)
    >>> zoom(x).numpy()[0, :, :, 0].tolist()
    [[9.0, 0.5, 2.5, 9.0], [9.0, 4.5, 6.5, 9.0]]
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._tall = self.bounds("height_factor", height_factor, -1, 1)
        self._wide = None
        if width_factor is not None:
            self._wide = self.bounds("width_factor", width_factor, -1, 1)

    def get_random_transformation(self, shape: Sequence[int], training: bool = True) -> Numbers:
        tall = 1 + self.draw(self._tall, (shape[0], 1))
        wide = tall if self._wide is None else 1 + self.draw(self._wide, (shape[0], 1))
        return {"height_zoom": tall, "width_zoom": wide}

    def matrices(self, drawn: Numbers, height: int, width: int) -> Array:
        tall, wide = drawn["height_zoom"], drawn["width_zoom"]
        x, y = (width - 1) / 2, (height - 1) / 2  # the middle stays where it is
        return _matrix(len(tall), a0=wide, a2=x - wide * x, b1=tall, b2=y - tall * y)

    config_arguments = (*AffineChange.config_arguments, "height_factor", "width_factor")
