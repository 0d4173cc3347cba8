"""The names of `tf.random`: all draw from the process's generator, unless they have a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import config
from minicnn.autograd.tensor import Tensor, as_numpy, constant, convert_to_tensor
from minicnn.config import set_random_seed as set_seed
from minicnn.errors import ArgumentError, suggest_attributes

__all__ = ["generator", "normal", "set_seed", "shuffle", "uniform"]


def generator(seed: int | config.SeededGenerator | None) -> np.random.Generator:
    """Return the process's generator, or with a seed one of its own, or the next of several."""
    if isinstance(seed, config.SeededGenerator):
        return seed()
    return config.random_generator() if seed is None else np.random.default_rng(seed)


def normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = "float32",
    seed: int | config.SeededGenerator | None = None,
) -> Tensor:
    """Return normal numbers; with a seed, the same at every call."""
    values = generator(seed).standard_normal(tuple(shape))
    return constant((as_numpy(mean) + as_numpy(stddev) * values).astype(dtype))


def uniform(
    shape: Sequence[int],
    minval: float = 0,
    maxval: float | None = None,
    dtype: Any = "float32",
    seed: int | config.SeededGenerator | None = None,
) -> Tensor:
    """Return equally likely numbers from `minval` to below `maxval`, which integers need."""
    rng, kind = generator(seed), np.dtype(dtype)
    if kind.kind == "f":
        limit = 1.0 if maxval is None else maxval
        return constant(rng.uniform(minval, limit, tuple(shape)).astype(kind))
    if maxval is None:
        raise ArgumentError("random.uniform: integers need maxval, which is not reached.")
    return constant(rng.integers(int(minval), int(maxval), tuple(shape)).astype(kind))


def shuffle(value: Any, seed: int | config.SeededGenerator | None = None) -> Tensor:
    """Return the entries of the first axis in a new order."""
    x = convert_to_tensor(value)
    return x[generator(seed).permutation(len(x))]


suggest_attributes(__name__)
