"""First values of weights, under the names that Keras gives them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config
from minicnn.errors import check_choice

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "RandomNormal",
    "RandomUniform",
    "Zeros",
    "fans",
    "get",
]

Array = NDArray[Any]


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Return how many inputs a unit of this weight has, and how many outputs an input feeds.

    >>> fans((5, 6)), fans((3, 2, 4, 8))
    ((5, 6), (24, 48))
    """
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


class Initializer:
    """Makes the first value of a weight; draws from the process's generator unless seeded.

    Args:
        seed: start of a generator of its own, so that every call gives the same values.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        """Return an array of this shape, of `config.floatx()` unless `dtype` is given."""
        rng = config.random_generator() if self.seed is None else np.random.default_rng(self.seed)
        return self.draw(rng, tuple(shape)).astype(dtype or config.floatx())

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Return float64 values of this shape."""
        raise TypeError(f"{type(self).__name__} does not say how to draw values")


class Constant(Initializer):
    """Every element the same `value`, default 0."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.value = value

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return np.full(shape, float(self.value))


class Zeros(Constant):
    """Every element 0."""

    def __init__(self) -> None:
        super().__init__(0.0)


class Ones(Constant):
    """Every element 1."""

    def __init__(self) -> None:
        super().__init__(1.0)


class RandomNormal(Initializer):
    """Normal values of a `mean` (default 0) and a standard deviation (default 0.05)."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.normal(self.mean, self.stddev, shape)


class RandomUniform(Initializer):
    """Uniform values between `minval` (default -0.05) and `maxval` (default 0.05)."""

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.uniform(self.minval, self.maxval, shape)


class _VarianceScaling(Initializer):
    """Values of variance `gain` / fan, so that signals neither grow nor fade through layers."""

    gain = 1.0

    def fan(self, fan_in: int, fan_out: int) -> float:
        return fan_in

    def variance(self, shape: tuple[int, ...]) -> float:
        return self.gain / max(1.0, self.fan(*fans(shape)))


class _Uniform(_VarianceScaling):
    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        limit = math.sqrt(3 * self.variance(shape))
        return rng.uniform(-limit, limit, shape)


class _TruncatedNormal(_VarianceScaling):
    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        values = rng.normal(size=shape)
        while (outside := np.abs(values) > 2).any():
            values[outside] = rng.normal(size=int(outside.sum()))
        # A normal distribution cut off at two standard deviations has this standard deviation.
        return values * (math.sqrt(self.variance(shape)) / 0.87962566103423978)


def _mean_fan(self: Any, fan_in: int, fan_out: int) -> float:
    return (fan_in + fan_out) / 2


class GlorotUniform(_Uniform):
    """Uniform, variance 2 / (fan in + fan out).

    Source: X. Glorot and Y. Bengio, 2010, equation 16.
    """

    fan = _mean_fan


class GlorotNormal(_TruncatedNormal):
    """Normal cut off at two standard deviations, variance 2 / (fan in + fan out)."""

    fan = _mean_fan


class HeUniform(_Uniform):
    """Uniform, variance 2 / fan in; made for ReLU.

    Source: K. He et al., Delving Deep into Rectifiers, 2015, section 2.2.
    """

    gain = 2.0


class HeNormal(_TruncatedNormal):
    """Normal cut off at two standard deviations, variance 2 / fan in; made for ReLU."""

    gain = 2.0


class LecunUniform(_Uniform):
    """Uniform, variance 1 / fan in."""


class LecunNormal(_TruncatedNormal):
    """Normal cut off at two standard deviations, variance 1 / fan in."""


NAMES: dict[str, type[Initializer]] = {
    "zeros": Zeros,
    "ones": Ones,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
}


def get(identifier: str | Initializer) -> Initializer:
    """Return the initializer of a name; initializers pass through.

    >>> get("zeros")((2, 3)).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    if isinstance(identifier, Initializer):
        return identifier
    return NAMES[check_choice("initializers.get", "initializer", identifier, NAMES)]()


def name_of(initializer: Initializer) -> Any:
    """Return the name under which `get` finds this initializer, or the object itself."""
    names = [name for name, cls in NAMES.items() if cls is type(initializer)]
    default = names and vars(initializer) == vars(NAMES[names[0]]())
    return names[0] if default else initializer
