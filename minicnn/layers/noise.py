"""Layers that draw random numbers in training and do nothing otherwise.

The numbers are drawn in the computer's memory, so a seed gives the same ones on the GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import config
from minicnn.autograd.tensor import Tensor, alongside
from minicnn.errors import ArgumentError, ShapeError, check_within
from minicnn.layers.spatial import SameShape, check_data_format

__all__ = ["Dropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D", "SpatialDropout2D"]


class _Noise(SameShape):
    """What the layers of this file share: their random numbers."""

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self._generator = None if seed is None else np.random.default_rng(seed)

    def rng(self) -> np.random.Generator:
        """The layer's own generator if it has a seed, else the process's."""
        if self._generator is None:
            return config.random_generator()
        config.note_draw()
        return self._generator


class Dropout(_Noise):
    """In training, set a share `rate` of the inputs to zero and scale up the rest.

    y = x * kept / (1 - rate), so that the mean stays the same.

    Args:
        rate: share that is dropped, 0 <= rate < 1.
        noise_shape: shape of `kept`; a 1 stands for one decision along an axis, None for the
            input's length. Default the input's shape.
        seed: start of a generator of its own.

    Raises:
        ArgumentError: an argument is outside its rule.

    Source: N. Srivastava et al., Dropout, 2014.

    >>> y = Dropout(0.5, noise_shape=(None, 1, 3), seed=1)(np.ones((2, 5, 3)), training=True)
    >>> bool((y.numpy() == y.numpy()[:, :1]).all())
    True
    """

    config_arguments: tuple[str, ...] = ("rate", "noise_shape", "seed")

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.rate = check_within(self.where, "rate", rate, "[0, 1)")
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        if any(n is not None and n < 1 for n in self.noise_shape or ()):
            raise ArgumentError(
                f"{self.where}: noise_shape={noise_shape!r}, but it must hold sizes >= 1, or None."
            )

    def kept_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the decisions for an input of this shape."""
        if self.noise_shape is None:
            return shape
        noise = self.noise_shape
        if len(noise) != len(shape) or any(
            n not in (None, 1, m) for n, m in zip(noise, shape, strict=True)
        ):
            raise ShapeError(
                f"{self.where}: noise_shape={noise} does not fit an input of shape {shape}; each "
                f"length must be the input's, 1 or None."
            )
        return tuple(m if n is None else n for n, m in zip(noise, shape, strict=True))

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        kept = self.rng().random(self.kept_shape(inputs.shape), dtype=np.float32) >= self.rate
        return inputs * alongside(kept.astype(inputs.dtype) / (1 - self.rate), inputs)


class SpatialDropout1D(Dropout):
    """In training, drop whole channels of sequences (N,L,C) instead of single numbers.

    Args:
        rate: share of the channels that is dropped, 0 <= rate < 1.
        seed: start of a generator of its own.

    >>> y = SpatialDropout1D(0.5, seed=1)(np.ones((2, 5, 3)), training=True)
    >>> bool((y.numpy() == y.numpy()[:, :1]).all())
    True
    """

    config_arguments: tuple[str, ...] = ("rate", "seed")

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed=seed, **kwargs)

    def kept_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        self.check_rank(shape, 3, "(N,L,C)")
        return (shape[0], 1, shape[2])


class SpatialDropout2D(Dropout):
    """In training, drop whole channels of images (N,H,W,C) instead of single numbers.

    Neighbouring pixels are so alike that dropping some of them takes little away.

    Args:
        rate: share of the channels that is dropped, 0 <= rate < 1.
        data_format: only `"channels_last"`.
        seed: start of a generator of its own.

    Source: J. Tompson et al., Efficient Object Localization Using CNNs, 2015, section 3.2.

    >>> y = SpatialDropout2D(0.5, seed=1)(np.ones((2, 5, 7, 3)), training=True)
    >>> bool((y.numpy() == y.numpy()[:, :1, :1]).all())
    True
    """

    config_arguments: tuple[str, ...] = ("rate", "seed")

    def __init__(
        self, rate: float, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, seed=seed, **kwargs)
        check_data_format(self.where, data_format)

    def kept_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        self.check_rank(shape, 4, "(N,H,W,C)")
        return (shape[0], 1, 1, shape[3])


class GaussianNoise(_Noise):
    """In training, add normal noise of a standard deviation `stddev`."""

    config_arguments: tuple[str, ...] = ("stddev", "seed")

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.stddev = check_within(self.where, "stddev", stddev, "[0, inf)")

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        if not training or self.stddev == 0:
            return inputs
        noise = self.rng().standard_normal(inputs.shape, dtype=np.float32) * self.stddev
        return inputs + alongside(noise.astype(inputs.dtype), inputs)


class GaussianDropout(_Noise):
    """In training, multiply by normal numbers of mean 1 and deviation sqrt(rate / (1 - rate)).

    Args:
        rate: the share whose dropping would have the same variance, 0 <= rate < 1.
        seed: start of a generator of its own.

    Source: N. Srivastava et al., Dropout, 2014, section 10.
    """

    config_arguments: tuple[str, ...] = ("rate", "seed")

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.rate = check_within(self.where, "rate", rate, "[0, 1)")

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        deviation = (self.rate / (1 - self.rate)) ** 0.5
        noise = 1 + self.rng().standard_normal(inputs.shape, dtype=np.float32) * deviation
        return inputs * alongside(noise.astype(inputs.dtype), inputs)
