"""The pipeline between files and training, under the names and with the order of `tf.data`.

    files -> map(decode) -> cache -> shuffle -> map(augment) -> batch -> prefetch -> fit

Nothing is computed before somebody iterates, and every iteration begins anew. Random numbers follow
from `set_random_seed` and from seeds, not from the timing of threads.
"""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.autograd.tensor import as_numpy
from minicnn.data.applying import Applying
from minicnn.data.arranging import Arranging
from minicnn.data.core import INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, Key
from minicnn.data.structure import (
    TensorSpec,
    from_user,
    leaves,
    like,
    map_leaves,
    part_of,
    slices_of,
    to_numpy,
)
from minicnn.errors import ArgumentError, DataError, ShapeError

__all__ = ["Dataset"]


def _signature(types: Any, shapes: Any) -> Any:
    """Return the types and shapes of a generator's elements as one structure."""

    def is_shape(value: Any) -> bool:
        return value is None or (
            isinstance(value, tuple | list) and all(n is None or isinstance(n, int) for n in value)
        )

    def spec(kind: Any, shape: Any) -> Any:
        return TensorSpec(None if shape is None else tuple(shape), np.dtype(kind))

    types = tuple(types) if isinstance(types, list) else types
    return map_leaves(spec, types, like(types, shapes, is_shape))


def _typed(signature: Any, value: Any) -> Any:
    """Return what a generator yielded as the signature says, or raise."""

    def leaf(spec: TensorSpec, part: Any) -> Any:
        kind = np.dtype(spec.dtype)
        array: Any = from_user(part) if kind.kind == "U" else as_numpy(part, kind)
        if spec.shape is None or isinstance(array, str):
            return array
        fits = len(spec.shape) == array.ndim and all(
            wanted in (None, n) for wanted, n in zip(spec.shape, array.shape, strict=True)
        )
        if not fits:
            raise ShapeError(
                f"Dataset.from_generator: an element has shape {array.shape}, but "
                f"{tuple(spec.shape)} was announced."
            )
        return array

    try:
        return map_leaves(
            leaf,
            signature,
            tuple(value) if isinstance(value, list) and isinstance(signature, tuple) else value,
        )
    except (TypeError, KeyError) as error:
        raise DataError(
            f"Dataset.from_generator: an element does not have the parts announced ({error})."
        ) from None


class Dataset(Applying, Arranging):
    """A sequence of elements: numbers as tensors, texts, and tuples or dictionaries of these.

    A function given to `map`, `filter` and the like gets the parts of a tuple as arguments of their
    own. Iterating gives tensors (`x.numpy()` is the array); `fit`, `evaluate` and `predict` take a
    data set of batches x, (x, y) or (x, y, sample_weight).

    Source: the names, the order of elements and the error cases are those of TensorFlow's tf.data.

    >>> data = Dataset.from_tensor_slices(([1.0, 2.0, 3.0], ["a", "b", "c"]))
    >>> data = data.map(lambda x, name: (x / 2, name)).batch(2)
    >>> [(x.numpy().tolist(), names.tolist()) for x, names in data]
    [([0.5, 1.0], ['a', 'b']), ([1.5], ['c'])]
    """

    @staticmethod
    def from_tensor_slices(tensors: Any) -> Dataset:
        """Return the slices along the first axis of arrays, which are not copied.

        Args:
            tensors: an array, or arrays of equal length nested in tuples and dictionaries.

        Raises:
            ShapeError: an array has no axis, or the lengths differ.

        >>> [x.numpy().tolist() for x in Dataset.from_tensor_slices([[1, 2, 3], [4, 5, 6]])]
        [[1, 2, 3], [4, 5, 6]]
        """
        arrays = slices_of(tensors)
        shapes = [a.shape for a in leaves(arrays)]
        if not shapes or any(not s for s in shapes) or len({s[0] for s in shapes}) > 1:
            raise ShapeError(
                f"Dataset.from_tensor_slices: arrays of shapes {', '.join(map(str, shapes))} came; "
                f"all must have a first axis, of the same length."
            )
        length = shapes[0][0]

        def start(key: Key) -> Iterator[Any]:
            return (map_leaves(lambda a, i=i: part_of(a, i), arrays) for i in range(length))

        def spec() -> Any:
            return map_leaves(lambda a: TensorSpec(a.shape[1:], a.dtype), arrays)

        return Dataset(start, length, spec=spec)

    @staticmethod
    def from_tensors(tensors: Any) -> Dataset:
        """Return a data set of one element."""
        element = from_user(tensors)
        return Dataset(lambda key: iter([element]), 1)

    @staticmethod
    def from_generator(
        generator: Callable[..., Any],
        output_types: Any = None,
        output_shapes: Any = None,
        args: Any = (),
        output_signature: Any = None,
    ) -> Dataset:
        """Return what a function's iterator yields; the function is called for every iteration.

        Args:
            generator: the function, which returns an iterable.
            output_types: types of the element's leaves, nested as it; as they come when None.
            output_shapes: their shapes, None for open lengths.
            args: arguments of the function, which it gets as arrays.
            output_signature: both in one, as `TensorSpec`.

        Raises:
            ArgumentError: `generator` is no function, or a type comes beside a signature.
            ShapeError: while iterating, if an element has another shape than it was to have.

        >>> data = Dataset.from_generator(lambda: iter([1, 2]), output_types="float32")
        >>> [x.numpy().dtype.name for x in data]
        ['float32', 'float32']
        """
        if not callable(generator):
            raise ArgumentError(f"Dataset.from_generator: {generator!r} is no function.")
        if output_signature is not None and (output_types, output_shapes) != (None, None):
            raise ArgumentError(
                "Dataset.from_generator: output_signature says types and shapes; leave "
                "output_types and output_shapes out."
            )
        signature = output_signature
        if signature is None and output_types is not None:
            signature = _signature(output_types, output_shapes)
        given = tuple(to_numpy(from_user(a)) for a in args or ())

        def start(key: Key) -> Iterator[Any]:
            for value in generator(*given):
                yield from_user(value) if signature is None else _typed(signature, value)

        spec = None if signature is None else lambda: signature
        return Dataset(start, UNKNOWN_CARDINALITY, spec=spec)

    @staticmethod
    def range(*args: Any, output_type: Any = "int64") -> Dataset:
        """Return whole numbers as Python's `range(stop)`, `(start, stop)`, `(start, stop, step)`.

        >>> [int(i) for i in Dataset.range(5, 1, -2)]
        [5, 3]
        """
        numbers = range(*(int(a) for a in args))
        kind = np.dtype(output_type)
        return Dataset(
            lambda key: (np.asarray(i, kind) for i in numbers),
            len(numbers),
            spec=lambda: TensorSpec((), kind),
        )

    @staticmethod
    def list_files(file_pattern: Any, shuffle: bool | None = None, seed: Any = None) -> Dataset:
        """Return the paths that match patterns such as `"cells/*/*.png"`, as texts.

        Args:
            file_pattern: one pattern, or a list of them.
            shuffle: in a new order at every iteration, default True; else sorted.
            seed: start of these orders.

        Raises:
            DataError: nothing matches.
        """
        given = [file_pattern] if isinstance(file_pattern, str | Path) else list(file_pattern)
        matches = (glob.glob(os.fspath(p)) for p in given)  # noqa: PTH207 - may be absolute
        files = sorted(set(itertools.chain(*matches)))
        if not files:
            raise DataError(
                f"Dataset.list_files: no file matches {', '.join(map(repr, map(str, given)))}."
            )
        found = Dataset.from_tensor_slices(files)
        return found if shuffle is False else found.shuffle(len(files), seed)

    @staticmethod
    def zip(*args: Any, datasets: Any = None) -> Dataset:
        """Return elements that join one of each data set, until the shortest ends.

        Args:
            args: data sets, or one structure of data sets.
            datasets: the same by name.

        >>> a, b = Dataset.range(3), Dataset.range(10, 20)
        >>> [(int(x), int(y)) for x, y in Dataset.zip(a, b)]
        [(0, 10), (1, 11), (2, 12)]
        """
        structure = datasets if not args else args[0] if len(args) == 1 else args
        structure = tuple(structure) if isinstance(structure, list) else structure
        parts = list(leaves(structure))
        for part in parts:
            if not isinstance(part, Dataset):
                raise ArgumentError(f"Dataset.zip: {part!r} is no data set.")

        def start(key: Key) -> Iterator[Any]:
            streams = [part._start((*key, i)) for i, part in enumerate(parts)]
            for elements in zip(*streams, strict=False):
                several = iter(elements)
                yield map_leaves(lambda _, several=several: next(several), structure)

        counts = [part._cardinality for part in parts]
        finite = [n for n in counts if n != INFINITE_CARDINALITY]
        total = min(finite, default=INFINITE_CARDINALITY)
        return Dataset(
            start, total, tuple(parts), spec=lambda: map_leaves(lambda d: d.element_spec, structure)
        )
