"""First values of weights, under the names that Keras gives them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config
from minicnn.errors import ArgumentError, ShapeError, Worded, check_choice, check_within
from minicnn.registry import by_names, look_up, spelled

__all__ = ["Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform",
           "Identity", "Initializer", "LecunNormal", "LecunUniform", "Ones",
           "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal",
           "VarianceScaling", "Zeros", "fans", "get", "serialize"]  # fmt: skip

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


class Initializer(Worded):
    """Makes the first value of a weight; draws from the process's generator unless seeded.

    Args:
        seed: start of a generator of its own, so that every call gives the same values.
    """

    #: The arguments that a config holds, each kept as an attribute of the same name.
    arguments: tuple[str, ...] = ("seed",)

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        """Return an array of this shape, of `config.floatx()` unless `dtype` is given."""
        rng = config.random_generator() if self.seed is None else np.random.default_rng(self.seed)
        return self.draw(rng, tuple(shape)).astype(dtype or config.floatx())

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Return float64 values of this shape."""
        raise TypeError(f"{type(self).__name__} does not say how to draw values")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make another initializer like this one."""
        return {name: getattr(self, name) for name in self.arguments}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """Return a new initializer with these arguments."""
        return cls(**config)


class Constant(Initializer):
    """Every element the same `value`, default 0; or the elements of an array that broadcasts."""

    arguments: tuple[str, ...] = ("value",)

    def __init__(self, value: Any = 0.0) -> None:
        super().__init__()
        self.value = value

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return np.full(shape, np.asarray(self.value, float))


class Zeros(Constant):
    """Every element 0."""

    arguments: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__(0.0)


class Ones(Constant):
    """Every element 1."""

    arguments: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__(1.0)


class Identity(Initializer):
    """A matrix of `gain` (default 1) on the diagonal and 0 elsewhere.

    >>> Identity(2.0)((2, 3)).tolist()
    [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    """

    arguments: tuple[str, ...] = ("gain",)

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = gain

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        if len(shape) != 2:
            raise ShapeError(f"Identity: shape={shape}, but it must have two axes.")
        return self.gain * np.eye(*shape)


class Orthogonal(Initializer):
    """Rows, or columns if these are fewer, of length `gain` at right angles to each other.

    A kernel of more axes is taken as a matrix of its last axis and all others.

    Args:
        gain: default 1.
        seed: start of a generator of its own.

    Source: A. Saxe et al., Exact solutions to the nonlinear dynamics of learning, 2013.

    >>> rows = Orthogonal(2.0)((2, 5))
    >>> abs(rows @ rows.T).round(4).tolist()
    [[4.0, 0.0], [0.0, 4.0]]
    """

    arguments: tuple[str, ...] = ("gain", "seed")

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        if len(shape) < 2:
            raise ShapeError(f"Orthogonal: shape={shape}, but it must have at least two axes.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        # Of tall normal matrices, so that the signs below make the result uniformly distributed.
        q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
        q *= np.sign(np.diag(r))
        return (self.gain * (q.T if rows < columns else q)).reshape(shape)


class RandomNormal(Initializer):
    """Normal values of a `mean` (default 0) and a standard deviation (default 0.05)."""

    arguments: tuple[str, ...] = ("mean", "stddev", "seed")

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = check_within(type(self).__name__, "stddev", stddev, "[0, inf)")

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.normal(self.mean, self.stddev, shape)


class TruncatedNormal(RandomNormal):
    """Normal values, drawn again where they are further than 2 * `stddev` from the mean."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return self.mean + self.stddev * _cut_off_normal(rng, shape)


class RandomUniform(Initializer):
    """Uniform values between `minval` (default -0.05) and `maxval` (default 0.05)."""

    arguments: tuple[str, ...] = ("minval", "maxval", "seed")

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.uniform(self.minval, self.maxval, shape)


def _cut_off_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return standard normal values, drawn again where they are outside [-2, 2]."""
    values = rng.normal(size=shape)
    while (outside := np.abs(values) > 2).any():
        values[outside] = rng.normal(size=int(outside.sum()))
    return values


class VarianceScaling(Initializer):
    """Values of variance scale / fan, so that signals neither grow nor fade through layers.

    Args:
        scale: default 1.
        mode: the fan: `"fan_in"` (default) the inputs of a unit, `"fan_out"` the outputs that an
            input feeds, `"fan_avg"` their mean.
        distribution: `"truncated_normal"` (default, cut off at two standard deviations),
            `"untruncated_normal"` or `"uniform"`.
        seed: start of a generator of its own.

    Raises:
        ArgumentError: an argument is outside its rule.

    Source: K. He et al., Delving Deep into Rectifiers, 2015, section 2.2.

    >>> values = VarianceScaling(3.0, "fan_avg", "uniform")((2, 4))
    >>> bool((abs(values) < 3.0**0.5).all())
    True
    """

    arguments: tuple[str, ...] = ("scale", "mode", "distribution", "seed")

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        if not scale > 0:
            raise ArgumentError(f"VarianceScaling: scale={scale!r}, but it must be above 0.")
        self.scale = scale
        self.mode = check_choice("VarianceScaling", "mode", mode, ["fan_in", "fan_out", "fan_avg"])
        self.distribution = check_choice(
            "VarianceScaling",
            "distribution",
            "truncated_normal" if distribution == "normal" else distribution,
            ["truncated_normal", "untruncated_normal", "uniform"],
        )

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        fan_in, fan_out = fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        deviation = math.sqrt(self.scale / max(1.0, fan))
        if self.distribution == "uniform":
            limit = math.sqrt(3) * deviation
            return rng.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return rng.normal(0.0, deviation, shape)
        # A normal distribution cut off at two standard deviations has this standard deviation.
        return _cut_off_normal(rng, shape) * (deviation / 0.87962566103423978)


class GlorotUniform(VarianceScaling):
    """Uniform, variance 2 / (fan in + fan out).

    Source: X. Glorot and Y. Bengio, 2010, equation 16.
    """

    arguments: tuple[str, ...] = ("seed",)

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)


class GlorotNormal(VarianceScaling):
    """Normal cut off at two standard deviations, variance 2 / (fan in + fan out)."""

    arguments: tuple[str, ...] = ("seed",)

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


class HeUniform(VarianceScaling):
    """Uniform, variance 2 / fan in; made for ReLU.

    Source: K. He et al., Delving Deep into Rectifiers, 2015, section 2.2.
    """

    arguments: tuple[str, ...] = ("seed",)

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed)


class HeNormal(VarianceScaling):
    """Normal cut off at two standard deviations, variance 2 / fan in; made for ReLU."""

    arguments: tuple[str, ...] = ("seed",)

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


class LecunUniform(VarianceScaling):
    """Uniform, variance 1 / fan in."""

    arguments: tuple[str, ...] = ("seed",)

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "uniform", seed)


class LecunNormal(VarianceScaling):
    """Normal cut off at two standard deviations, variance 1 / fan in."""

    arguments: tuple[str, ...] = ("seed",)

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", seed)


NAMES: dict[str, type] = by_names(
    Zeros,
    Ones,
    Constant,
    Identity,
    Orthogonal,
    GlorotUniform,
    GlorotNormal,
    HeUniform,
    HeNormal,
    LecunUniform,
    LecunNormal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    normal=RandomNormal,
    uniform=RandomUniform,
    zero=Zeros,
    one=Ones,
)


def get(identifier: Any) -> Any:
    """Return the initializer of a name or config; initializers and functions pass through.

    >>> get("zeros")((2, 3)).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    if callable(identifier):
        return identifier() if isinstance(identifier, type) else identifier
    return look_up("initializers.get", "initializer", identifier, NAMES)


def serialize(initializer: Any) -> Any:
    """Return the name or config of which `get` makes this initializer again."""
    return spelled(initializer, NAMES)


deserialize = get  # as Keras calls it
