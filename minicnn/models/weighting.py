"""Weights of samples by their class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.autograd.tensor import as_numpy
from minicnn.errors import ArgumentError
from minicnn.models.batches import Batch, to_arrays

__all__ = ["WeightedByClass", "class_weights"]

Array = NDArray[Any]


def class_weights(class_weight: dict[int, float], y: Any, sample_weight: Any) -> Array:
    """Return the weight of each sample by its class, times its own weight if it has one.

    Classes that the dictionary does not name weigh 1.
    """
    if not isinstance(class_weight, Mapping):
        raise ArgumentError(
            f"fit: class_weight is a {type(class_weight).__name__}, but must be a dictionary from "
            f"class numbers to weights, as {{0: 1.0, 1: 2.5}}; dict(enumerate(weights)) makes one."
        )
    if y is None or isinstance(to_arrays(y), list | dict):
        raise ArgumentError(
            "fit: class_weight needs one array y of class numbers; use sample_weight."
        )
    given = labels = as_numpy(to_arrays(y))
    if labels.ndim > 1:
        labels = labels[..., 0] if labels.shape[-1] == 1 else labels.argmax(-1)
    if labels.ndim > 1:
        raise ArgumentError(
            f"fit: class_weight needs one class for each sample, but y has shape {given.shape}. "
            f"For maps of classes, give sample_weight with a weight for each pixel, such as "
            f"numpy.take(weights, y)."
        )
    weights = np.array([class_weight.get(int(c), 1.0) for c in labels])
    if sample_weight is None:
        return weights
    given = as_numpy(sample_weight)
    return weights.reshape(weights.shape + (1,) * (given.ndim - 1)) * given


class WeightedByClass:
    """Batches whose samples are weighted by their class, too."""

    def __init__(self, source: Any, class_weight: dict[int, float]) -> None:
        self.source, self.class_weight = source, class_weight

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[Batch]:
        for x, y, weights in self.source:
            yield x, y, class_weights(self.class_weight, y, weights)
