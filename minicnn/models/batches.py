"""Batches of samples out of arrays, in a new order for each epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config
from minicnn.autograd.tensor import Tensor, plain
from minicnn.errors import ArgumentError, DataError, ShapeError
from minicnn.kernels.placement import device_of, on_gpu, to_device, to_gpu

__all__ = ["ArrayBatches", "Batch", "as_batches", "check_finite", "moved", "split_off",
           "to_array", "to_arrays"]  # fmt: skip

Array = NDArray[Any]

#: What a step of training gets: inputs, truth or None, and sample weights or None.
Batch = tuple[Any, Any, Any]


def to_array(value: Any) -> Array:
    """Return what was given as an array, where it is."""
    given = plain(value)
    return given if on_gpu(given) else np.asarray(given)


def to_arrays(value: Any) -> Any:
    """Return a list of arrays if `value` is a list of several inputs, else one array."""
    if isinstance(value, tuple) or (
        isinstance(value, list) and value and hasattr(plain(value[0]), "shape")
    ):
        return [to_array(v) for v in value]
    return to_array(value)


def moved(batch: Any, device: str) -> Any:
    """Return a batch on a device: its arrays, also those in lists, tuples and dictionaries.

    No gradient flows through it.

    Plain numbers stay as they are, and so do texts, which have no place on a GPU.

    >>> moved((np.ones((2, 3)), None, [1.0, 2.0]), "cpu")[2]
    [1.0, 2.0]
    """
    if isinstance(batch, list | tuple):
        return type(batch)(moved(part, device) for part in batch)
    if isinstance(batch, dict):
        return {name: moved(part, device) for name, part in batch.items()}
    array = plain(batch)
    if not hasattr(array, "shape") or device_of(array) == device or array.dtype.kind not in "biuf":
        return batch
    there = to_device(array, device)
    return Tensor(there) if isinstance(batch, Tensor) else there


def _flat(value: Any) -> list[Array]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _take(value: Any, key: Any, on_card: Any = None) -> Any:
    """Return the samples of a part that a key chooses; on the GPU its copy there does."""
    if value is None:
        return None
    if isinstance(value, list):
        return [_take(v, key, on_card) for v in value]
    return value[key if on_card is None or not on_gpu(value) else on_card]


def check_finite(where: str, argument: str, value: Any) -> None:
    """Refuse data that holds NaN or infinity, naming the first sample that does.

    Raises:
        DataError: as said.
    """
    for i, array in enumerate(_flat(value)):
        if array.dtype.kind != "f" or np.isfinite(array).all():
            continue
        bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
        name = f"{argument}[{i}]" if isinstance(value, list) else argument
        raise DataError(
            f"{where}: {name} holds NaN or infinity in {int(bad.sum())} of {len(array)} samples, "
            f"the first at index {int(bad.argmax())}; leave these out or replace the values."
        )


class ArrayBatches:
    """Batches out of arrays; iterating over it again is the next epoch.

    Args:
        x: inputs, an array or a list of arrays with samples along the first axis.
        y: truth, likewise, or None.
        weights: one weight for each sample, or None.
        batch_size: samples in a batch; the last batch may be smaller.
        shuffle: draw a new order for each epoch from the process's generator.
        where: the caller's name, for messages.

    Raises:
        ShapeError: the arrays have different numbers of samples.
        DataError: there are no samples, or values that are NaN or infinite.
    """

    def __init__(
        self, x: Any, y: Any, weights: Any, batch_size: int, shuffle: bool, where: str
    ) -> None:
        self.x, self.y, self.weights = x, y, weights
        self.batch_size, self.shuffle = batch_size, shuffle
        counts = {len(a) if a.ndim else 0 for part in (x, y, weights) for a in _flat(part)}
        if len(counts) > 1:
            raise ShapeError(
                f"{where}: x, y and sample_weight have {', '.join(map(str, sorted(counts)))} "
                f"samples; all must have the same number."
            )
        self.samples = counts.pop()
        if self.samples == 0:
            raise DataError(f"{where}: x has no samples; at least one is needed.")
        check_finite(where, "x", x)
        check_finite(where, "y", y)

    def __len__(self) -> int:
        return math.ceil(self.samples / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = config.random_generator().permutation(self.samples) if self.shuffle else None
        parts = self.x, self.y, self.weights
        # Samples on the GPU are chosen there, by an order that goes to it once for all batches.
        there = order is not None and any(on_gpu(a) for part in parts for a in _flat(part))
        order_there = to_gpu(order) if there else None
        for first in range(0, self.samples, self.batch_size):
            chosen = slice(first, first + self.batch_size)
            key = chosen if order is None else order[chosen]
            key_there = None if order_there is None else order_there[chosen]
            x, y, weights = (_take(part, key, key_there) for part in parts)
            yield x, y, weights


def elements_of(source: Any) -> Iterator[Any]:
    """Return an iterator over batches as they were made; data sets leave theirs on the CPU."""
    in_memory = getattr(source, "as_numpy_iterator", None)
    return iter(source) if in_memory is None else in_memory()


class _IterableBatches:
    """Batches out of an iterable of x, (x, y) or (x, y, weights)."""

    def __init__(self, source: Iterable[Any], where: str) -> None:
        self.source, self.where = source, where

    def __len__(self) -> int:
        return len(self.source)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Batch]:
        empty = True
        for item in elements_of(self.source):
            empty = False
            parts = item if isinstance(item, tuple) else (item,)
            if not 1 <= len(parts) <= 3:
                raise ArgumentError(
                    f"{self.where}: a batch has {len(parts)} parts, but must be x, (x, y) or "
                    f"(x, y, sample_weight)."
                )
            x, y, w = (*parts, None, None)[:3]
            yield to_arrays(x), None if y is None else to_arrays(y), plain(w)
        if empty:
            raise DataError(
                f"{self.where}: x gave no batches. A generator can be gone through only once; for "
                f"several epochs give an object that starts anew each time."
            )


def check_batch_size(where: str, batch_size: int | None) -> int:
    """Return the batch size, 32 by default."""
    if batch_size is None:
        return 32
    if (
        isinstance(batch_size, bool)
        or not isinstance(batch_size, int | np.integer)
        or (batch_size < 1)
    ):
        raise ArgumentError(f"{where}: batch_size={batch_size!r}, but it must be an integer >= 1.")
    return int(batch_size)


def is_iterable_of_batches(x: Any) -> bool:
    """Return whether `x` is no array but gives batches when iterated over."""
    return hasattr(x, "__iter__") and not (
        isinstance(x, list | tuple) or hasattr(plain(x), "shape")
    )


def as_batches(
    x: Any, y: Any, weights: Any, batch_size: int | None, shuffle: bool, where: str
) -> Any:
    """Return batches out of arrays, or of an iterable that gives them already."""
    if is_iterable_of_batches(x):
        if y is not None or weights is not None:
            raise ArgumentError(
                f"{where}: x gives whole batches, so y and sample_weight must come in these."
            )
        return _IterableBatches(x, where)
    return ArrayBatches(
        to_arrays(x),
        None if y is None else to_arrays(y),
        None if weights is None else to_array(weights),
        check_batch_size(where, batch_size),
        shuffle,
        where,
    )


def split_off(share: float, *parts: Any) -> tuple[list[Any], list[Any]]:
    """Return the first samples of each part, and the last `share` of them."""
    if not 0 < share < 1:
        raise ArgumentError(f"fit: validation_split={share!r}, but it must be between 0 and 1.")
    arrays = [None if p is None else to_arrays(p) for p in parts]
    samples = len(_flat(arrays[0])[0])
    cut = math.floor(samples * (1 - share))
    if cut == 0 or cut == samples:
        raise DataError(
            f"fit: validation_split={share} of {samples} samples leaves one side empty."
        )
    return [_take(a, slice(cut)) for a in arrays], [_take(a, slice(cut, None)) for a in arrays]
