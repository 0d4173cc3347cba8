"""Batches of samples: out of arrays in a new order for each epoch, so many of them, or weighted."""

from __future__ import annotations

import array
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config
from minicnn.autograd.tensor import Tensor, as_array, as_numpy, plain
from minicnn.errors import (
    ArgumentError,
    DataError,
    ShapeError,
    check_whole,
    check_within,
    warn_user,
)
from minicnn.nested import flatten, holds_arrays, mapped, named
from minicnn.runtime.devices import device_of, on_gpu, to_device, to_gpu

__all__ = ["ArrayBatches", "Batch", "Limited", "WeightedByClass", "as_batches", "check_given",
           "class_weights", "length", "limited", "moved", "not_finite", "split_off", "to_array",
           "to_arrays", "to_weights", "unpack", "validation_batches"]  # fmt: skip

Array = NDArray[Any]

#: What a step of training gets: inputs, truth or None, and sample weights or None.
Batch = tuple[Any, Any, Any]


def to_array(value: Any) -> Array:
    """Return what was given as an array, where it is."""
    given = plain(value)
    if on_gpu(given):
        return given
    known = (np.ndarray, np.generic, list, tuple, str, bytes, range)
    if hasattr(given, "__getitem__") and not isinstance(given, known) and not _is_array(given):
        raise ArgumentError(
            f"a {type(given).__name__} came, which gives what it holds by number, but is no array "
            f"and no batches: NumPy would walk through it without end. Derive it from "
            f"keras.utils.PyDataset, whose __getitem__ gives a batch (x, y); or stack its samples "
            f"into arrays."
        )
    try:
        return np.asarray(given)
    except ValueError:
        return as_array(given, what="data")  # which says in words that rows are ragged


def _is_array(value: Any) -> bool:
    """Return whether NumPy can take an object as an array without walking through it."""
    names = ("__array__", "__array_interface__", "__array_struct__", "__buffer__", "shape")
    return isinstance(value, array.array | memoryview) or any(hasattr(value, n) for n in names)


def to_arrays(value: Any, inside: bool = False) -> Any:
    """Return an array, or several in lists and dictionaries if such came, tuples as lists.

    Args:
        value: what came.
        inside: whether a tuple may be one array, default False.

    >>> to_arrays({"age": [1, 2], "images": (np.ones(2), [np.ones(2)])})
    {'age': array([1, 2]), 'images': [array([1., 1.]), [array([1., 1.])]]}
    """
    if isinstance(value, dict):
        return {name: to_arrays(part, True) for name, part in value.items()}
    plainly = isinstance(value, tuple) and not inside
    if plainly or (isinstance(value, list | tuple) and holds_arrays(value, 1)):
        return [to_arrays(part, True) for part in value]
    return to_array(value)


def to_weights(sample_weight: Any, y: Any) -> Any:
    """Return sample weights as one array, or as a list with one, or None, for each of several y.

    >>> y = [np.zeros(2), np.zeros(2)]
    >>> [w.tolist() for w in to_weights((np.ones(2), [0.0, 2.0]), y)]
    [[1.0, 1.0], [0.0, 2.0]]
    >>> to_weights([1, 2], y).tolist()
    [1, 2]
    """
    if isinstance(sample_weight, dict):
        return {k: None if w is None else to_array(w) for k, w in sample_weight.items()}
    if isinstance(sample_weight, list | tuple):
        dimensions = [None if w is None else np.ndim(plain(w)) for w in sample_weight]
        if not all(n == 0 for n in dimensions):  # no plain list with a weight for each sample
            several, outputs = isinstance(y, list | dict), len(flatten(y))
            if len(sample_weight) == outputs:
                each = [None if w is None else to_array(w) for w in sample_weight]
                return each if several else each[0]
            if several:
                raise ArgumentError(
                    f"sample_weight has {len(sample_weight)} parts, but y has {outputs}; give an "
                    f"array or None for each output, or one array for all."
                )
    return None if sample_weight is None else to_array(sample_weight)


def moved(batch: Any, device: str) -> Any:
    """Return a batch on a device: its arrays, also those in lists, tuples and dictionaries.

    No gradient flows through it.

    Plain numbers stay as they are, and so do texts, which have no place on a GPU.

    >>> moved((np.ones((2, 3)), None, [1.0, 2.0]), "cpu")[2]
    [1.0, 2.0]
    """

    def there(part: Any) -> Any:
        array = plain(part)
        if not hasattr(array, "shape") or array.dtype.kind not in "biuf":
            return part
        if device_of(array) == device:
            return part
        copy = to_device(array, device)
        return Tensor(copy) if isinstance(part, Tensor) else copy

    return mapped(there, batch)


def _flat(value: Any) -> list[Array]:
    return [part for part in flatten(value) if part is not None]


def _take(value: Any, key: Any, on_card: Any = None) -> Any:
    """Return the samples of a part that a key chooses; on the GPU its copy there does."""

    def taken(part: Any) -> Any:
        if part is None:
            return None
        return part[key if on_card is None or not on_gpu(part) else on_card]

    return mapped(taken, value)


def not_finite(argument: str, value: Any) -> str | None:
    """Return which samples of data hold NaN or infinity, in words; None if none does."""
    for name, part in named(argument, value):
        if part is None or part.dtype.kind != "f" or np.isfinite(part).all():
            continue
        bad = ~np.isfinite(part).reshape(len(part), -1).all(axis=1)
        return (
            f"{name} holds NaN or infinity in {int(bad.sum())} of {len(part)} samples, the first "
            f"at index {int(bad.argmax())}"
        )
    return None


def unpack(data: Any, where: str = "unpack_x_y_sample_weight: data") -> Batch:
    """Return (x, y, sample_weight) of what a step is given, None for what is missing.

    >>> unpack(([1.0, 2.0], [0.0, 1.0]))
    ([1.0, 2.0], [0.0, 1.0], None)
    """
    parts = data if isinstance(data, tuple) else (data,)
    if not 1 <= len(parts) <= 3:
        raise ArgumentError(
            f"{where} has {len(parts)} parts, but must be x, (x, y) or (x, y, sample_weight)."
        )
    x, y, sample_weight = (*parts, None, None)[:3]
    return x, y, sample_weight


class ArrayBatches:
    """Batches out of arrays; iterating over it again is the next epoch.

    Args:
        x: inputs, an array or several in lists and dictionaries, samples along the first axis.
        y: truth, likewise, or None.
        weights: one weight for each sample, or such for each of several y, or None.
        batch_size: samples in a batch; the last batch may be smaller.
        shuffle: draw a new order for each epoch from the process's generator.
        where: the caller's name, for messages.

    Raises:
        ShapeError: the arrays have different numbers of samples.
        DataError: there are no samples.
    """

    def __init__(
        self, x: Any, y: Any, weights: Any, batch_size: int, shuffle: bool, where: str
    ) -> None:
        self.x, self.y, self.weights = x, y, weights
        self.batch_size, self.shuffle = batch_size, shuffle
        counts = {
            name: len(array) if array.ndim else 0
            for argument, part in (("x", x), ("y", y), ("sample_weight", weights))
            for name, array in named(argument, part)
            if array is not None
        }
        self.samples = min(counts.values())
        if self.samples != max(counts.values()):
            listed = isinstance(x, list) and not isinstance(y, list)
            raise ShapeError(
                f"{where}: {', '.join(f'{name} has {n}' for name, n in counts.items())} samples; "
                f"all must have the same number."
                f"{' A list is several inputs; np.stack(x) makes one array of it.' * listed}"
            )
        if self.samples == 0:
            raise DataError(f"{where}: x has no samples; at least one is needed.")
        #: Which samples hold NaN or infinity, in words: a layer or a loss may make up for it.
        self.not_finite = not_finite("x", x) or not_finite("y", y)

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


def elements_of(source: Any, shuffle: bool = False) -> Iterator[Any]:
    """Return an iterator over batches as they were made; data sets leave theirs on the CPU.

    Args:
        source: what gives batches.
        shuffle: whether one that takes numbers, `PyDataset`, is asked in random order.
    """
    if hasattr(source, "one_pass"):
        return source.one_pass(shuffle)
    in_memory = getattr(source, "as_numpy_iterator", None)
    return iter(source) if in_memory is None else in_memory()


class _IterableBatches:
    """Batches out of an iterable of x, (x, y) or (x, y, weights)."""

    def __init__(self, source: Iterable[Any], where: str, shuffle: bool = False) -> None:
        self.source, self.where, self.shuffle = source, where, shuffle

    def __len__(self) -> int:
        return len(self.source)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Batch]:
        empty = True
        for item in elements_of(self.source, self.shuffle):
            empty = False
            x, y, w = unpack(item, f"{self.where}: a batch")
            y = None if y is None else to_arrays(y)
            yield to_arrays(x), y, to_weights(w, y)
        if empty:
            raise DataError(
                f"{self.where}: x gave no batches. A generator can be gone through only once; for "
                f"several epochs give an object that starts anew each time."
            )


def is_iterable_of_batches(x: Any) -> bool:
    """Return whether `x` is no array but gives batches when iterated over."""
    return hasattr(x, "__iter__") and not (
        isinstance(x, list | tuple | dict) or hasattr(plain(x), "shape")
    )


def as_batches(
    x: Any,
    y: Any,
    weights: Any,
    batch_size: int | None,
    shuffle: bool,
    where: str,
    class_weight: dict[int, float] | None = None,
) -> Any:
    """Return batches out of arrays, or of an iterable that gives them already.

    Those of a `PyDataset` are shuffled as wholes.
    """
    if is_iterable_of_batches(x):
        if y is not None or weights is not None:
            raise ArgumentError(
                f"{where}: x gives whole batches, so y and sample_weight must come in these."
            )
        batches = _IterableBatches(x, where, shuffle)
        return batches if class_weight is None else WeightedByClass(batches, class_weight)
    if class_weight is not None:
        weights = class_weights(class_weight, y, weights)
    y = None if y is None else to_arrays(y)
    return ArrayBatches(
        to_arrays(x),
        y,
        to_weights(weights, y),
        32 if batch_size is None else check_whole(where, "batch_size", batch_size),
        shuffle,
        where,
    )


def check_given(model: Any, x: Any) -> None:
    """Refuse what is no data, and arrays that are no batch of the model's inputs."""
    if x is None or isinstance(x, str | Path):
        came = "missing" if x is None else f"the text {str(x)!r}"
        raise ArgumentError(
            f"{model.name}: x is {came}; give arrays, or batches (x, y). "
            f"minicnn.utils.img_to_array(minicnn.utils.load_img(path))[None] reads an image, "
            f"and minicnn.utils.image_dataset_from_directory(path) a folder of them."
        )
    if model.graph is not None and not is_iterable_of_batches(x):
        model.graph.check(to_arrays(x))


def validation_batches(data: Any, batch_size: int | None, steps: int | None) -> Any:
    """Return batches of x, (x, y), (x, y, weights) or an iterable of batches; None of None."""
    if data is None:
        return None
    name = "fit (validation_data)"
    if is_iterable_of_batches(data):
        batches = as_batches(data, None, None, None, False, name)
        return limited("fit: validation_steps", batches, steps)
    parts = tuple(data) if isinstance(data, list | tuple) else (data,)
    x, y, sample_weight = unpack(parts, "fit: validation_data")
    batches = as_batches(x, y, sample_weight, batch_size, False, name)
    return limited("fit: validation_steps", batches, steps)


def split_off(share: float, x: Any, y: Any, weights: Any) -> tuple[list[Any], list[Any]]:
    """Return the first samples of each part, and the last `share` of them."""
    check_within("fit", "validation_split", share, "(0, 1)")
    x, y = to_arrays(x), None if y is None else to_arrays(y)
    arrays = [x, y, to_weights(weights, y)]
    samples = len(_flat(arrays[0])[0])
    cut = math.floor(samples * (1 - share))
    if cut == 0 or cut == samples:
        raise DataError(
            f"fit: validation_split={share} of {samples} samples leaves one side empty."
        )
    return [_take(a, slice(cut)) for a in arrays], [_take(a, slice(cut, None)) for a in arrays]


class Limited:
    """So many batches at a time, out of batches that may go on forever or end before, and warn.

    Args:
        batches: what gives at least one batch when iterated over, or an error.
        steps: batches at a time, at least 1.
        argument: the argument that gave `steps`, for messages.
        continued: go on where the last time ended, default True, instead of from the beginning.
    """

    def __init__(self, batches: Any, steps: int, argument: str, continued: bool = True) -> None:
        self.batches, self.argument = batches, argument
        self.steps = check_whole("", argument, steps)
        self.continued = continued
        #: Batches of the next turn that were given before a training was continued.
        self.done = 0
        self._running: Iterator[Batch] | None = None

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        if self._running is None or not self.continued:
            self._running = iter(self.batches)
        first = next(self._running, None)
        if first is None:  # gone through: begin again; without batches that is an error
            self._running = iter(self.batches)
            first = next(self._running)
        given, self.done = self.done + 1, 0
        yield first
        for batch in itertools.islice(self._running, self.steps - given):
            given += 1
            yield batch
        if given < self.steps:
            self._running = None
            warn_user(
                f"{self.argument}={self.steps}, but the data ended after {given} more; "
                f"give more batches, or let the data set repeat."
            )


def limited(argument: str, batches: Any, steps: int | None, continued: bool = False) -> Any:
    """Return so many batches at a time, see `Limited`, or all of a data set that ends.

    Raises:
        ArgumentError: no number is given, and the data set never ends.
    """
    if steps is not None and batches is not None:
        return Limited(batches, steps, argument, continued)
    source = batches
    while hasattr(source, "source"):
        source = source.source
    count = getattr(source, "cardinality", None)
    if callable(count) and int(count()) == -1:  # as data sets say that they are infinite
        raise ArgumentError(
            f"{argument} is needed: the data set repeats without end; say how many batches to take."
        )
    return batches


def length(batches: Any) -> int | None:
    """Return the number of batches if it is known."""
    try:
        return len(batches)
    except TypeError:
        return None


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
