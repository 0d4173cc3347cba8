"""Labels, norms, seeds and splits."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config
from minicnn.autograd.tensor import as_numpy
from minicnn.data import INFINITE_CARDINALITY, Dataset
from minicnn.errors import ArgumentError, worded
from minicnn.nested import holds_arrays

__all__ = ["normalize", "set_random_seed", "split_dataset", "to_categorical"]


@worded
def to_categorical(x: Any, num_classes: int | None = None) -> NDArray[np.float64]:
    """Return class numbers as rows with a 1 at the number's place: (...) to (...,num_classes).

    A last axis of length 1 is taken off first.

    Args:
        x: class numbers, 0 or more.
        num_classes: number of classes; by default the largest number + 1.

    Raises:
        ArgumentError: a number is negative, or not below `num_classes`.

    >>> to_categorical([2, 0], num_classes=3).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    numbers = as_numpy(x).astype(np.int64)
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        numbers = numbers.reshape(numbers.shape[:-1])
    if num_classes is None and numbers.size == 0:
        raise ArgumentError("to_categorical: x is empty; give num_classes.")
    count = int(numbers.max()) + 1 if num_classes is None else int(num_classes)
    outside = numbers[(numbers < 0) | (numbers >= count)]
    if outside.size:
        raise ArgumentError(
            f"to_categorical: x holds {outside.flat[0]}, but class numbers must be 0 to {count - 1}"
            f"{'' if num_classes is None else f' for num_classes={num_classes}'}."
        )
    result = np.zeros((*numbers.shape, count))
    np.put_along_axis(result, numbers[..., None], 1.0, axis=-1)
    return result


def normalize(x: Any, axis: int = -1, order: float = 2) -> NDArray[Any]:
    """Return x divided by its norm along an axis; where the norm is 0, x as it is.

    Args:
        x: an array.
        axis: along which the norm is taken, default the last one.
        order: of the norm, default 2 (Euclidean); 1, `numpy.inf` and others as in NumPy.

    >>> normalize([[3.0, 4.0, 0.0]]).tolist()
    [[0.6, 0.8, 0.0]]
    """
    array = np.atleast_1d(as_numpy(x))
    norm = np.linalg.norm(array, order, axis, keepdims=True)
    return array / np.where(norm == 0, 1, norm)


def set_random_seed(seed: int) -> None:
    """Start all random numbers anew: minicnn's, NumPy's and Python's own.

    Args:
        seed: an integer from 0 to 2**32 - 1.

    Raises:
        ArgumentError: another seed.

    >>> set_random_seed(3)
    >>> first = random.random(), float(np.random.rand()), config.random_generator().random()
    >>> set_random_seed(3)
    >>> first == (random.random(), float(np.random.rand()), config.random_generator().random())
    True
    """
    if isinstance(seed, int) and seed >= 2**32:
        raise ArgumentError(f"set_random_seed: seed={seed} must be less than 2**32.")
    config.set_random_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - code of users may still draw from it


@worded
def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
) -> tuple[Dataset, Dataset]:
    """Return the first and the last part of a data set; all elements are kept in memory.

    Args:
        dataset: a `Dataset`, an array, or arrays in a tuple, list or dictionary.
        left_size: share of the elements (a float between 0 and 1) or their number in the first
            part; what the second part leaves when None.
        right_size: likewise for the second part.
        shuffle: mix the elements first, default False.
        seed: start of the random numbers of this, an integer >= 0.

    Raises:
        ArgumentError: no size is given, one is outside its rule, both together ask for more than
            there is, or a part would be empty.

    >>> left, right = split_dataset(np.arange(10), left_size=0.75)
    >>> len(left), [int(x) for x in right]
    (8, [8, 9])
    """
    if not isinstance(dataset, Dataset):
        several = isinstance(dataset, list) and holds_arrays(dataset)
        dataset = Dataset.from_tensor_slices(tuple(dataset) if several else dataset)
    if dataset.cardinality() == INFINITE_CARDINALITY:
        raise ArgumentError("split_dataset: the data set has no end; cut it with take first.")
    elements = list(dataset._elements())
    left, right = _sizes(len(elements), left_size, right_size)
    if shuffle:
        order = config.SeededGenerator(seed)().permutation(len(elements))
        elements = [elements[i] for i in order]
    return _of(elements[:left]), _of(elements[len(elements) - right :])


def _of(elements: list[Any]) -> Dataset:
    return Dataset(lambda key: iter(elements), len(elements))


def _sizes(total: int, left: float | None, right: float | None) -> tuple[int, int]:
    """Return the numbers of elements in both parts."""
    if left is None and right is None:
        raise ArgumentError("split_dataset: give left_size or right_size, or both.")
    counts: list[int | None] = []
    for name, size in (("left_size", left), ("right_size", right)):
        share = isinstance(size, float)
        if size is not None and not (0 < size < 1 if share else 0 < size < total):
            raise ArgumentError(
                f"split_dataset: {name}={size!r} must be an integer from 1 to {total - 1}, the "
                f"number of elements less one, or a float between 0 and 1."
            )
        counts.append(None if size is None else round(size * total) if share else int(size))
    first, last = counts
    first = total - last if first is None and last is not None else first
    last = total - first if last is None and first is not None else last
    assert first is not None
    assert last is not None
    if first + last > total or not first or not last:
        raise ArgumentError(
            f"split_dataset: left_size={left!r} and right_size={right!r} make parts of {first} and "
            f"{last} of {total} elements; both must have one or more, and together at most {total}."
        )
    return first, last
