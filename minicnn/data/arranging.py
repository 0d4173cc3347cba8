"""The steps of a pipeline that leave elements as they are: order, number, batches, memory."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

from minicnn import config
from minicnn.data import iteration
from minicnn.data.cache import read_cache, write_cache
from minicnn.data.core import (
    AUTOTUNE,
    INFINITE_CARDINALITY,
    UNKNOWN_CARDINALITY,
    Core,
    Key,
    PassCounter,
    check_number,
    generator_of,
)
from minicnn.data.structure import (
    TensorSpec,
    leaves,
    like,
    map_leaves,
    pad_and_stack,
    part_of,
    spec_of,
    stack,
)
from minicnn.errors import ArgumentError, DataError, warn_user

__all__ = ["Arranging"]

#: Elements, mostly batches, that are prepared ahead where AUTOTUNE is asked for: one is in use
#: elsewhere, so a second one evens out batches that take longer than others.
_AHEAD = 2

_RANDOM_BEFORE_CACHE = (
    "Dataset.cache keeps the results of a map that draws random numbers, so every epoch gets the "
    "same ones; cache first and augment afterwards: cache, shuffle, map(augment), batch, prefetch."
)


class Arranging(Core):
    """What a data set can do without a function of the user."""

    def cache(self, filename: str | Path = "") -> Self:
        """Return the same elements, computed in the first pass and kept for those that follow.

        Only a pass to the end fills the cache. A map that draws random numbers belongs behind the
        cache; before it, a warning says so.

        Args:
            filename: a file that keeps them, for later programs, too; delete it when the data or
                the functions change. In memory without one.

        Raises:
            DataError: the file is damaged, or holds something else.
            OutputError: the file cannot be written.

        >>> from minicnn.data import Dataset
        >>> def tell(x):
        ...     print("computed", int(x))
        ...     return x
        >>> data = Dataset.range(2).map(tell).cache()
        >>> [int(x) for x in data], [int(x) for x in data]
        computed 0
        computed 1
        ([0, 1], [0, 1])
        """
        kept: list[list[Any]] = []
        path = Path(os.fspath(filename)).expanduser() if os.fspath(filename) else None
        warned = False

        def watched(source: Iterator[Any]) -> Iterator[Any]:
            nonlocal warned
            for element in source:
                if not warned and self._draws_in_functions():
                    warned = True
                    warn_user(_RANDOM_BEFORE_CACHE)
                yield element

        def remembered(source: Iterator[Any]) -> Iterator[Any]:
            elements = []
            for element in source:
                elements.append(element)
                yield element
            kept[:] = [elements]

        def start(key: Key) -> Iterator[Any]:
            if path is not None and path.exists():
                return read_cache(path)
            if kept:
                return iter(kept[0])
            source = watched(self._start((*key, 0)))
            return remembered(source) if path is None else write_cache(path, source)

        return self._new(start, self._cardinality, (self,), spec=self._spec)

    def shuffle(
        self, buffer_size: Any, seed: int | None = None, reshuffle_each_iteration: bool = True
    ) -> Self:
        """Return the elements in random order, each drawn from a buffer of those that come next.

        No element comes more than buffer_size - 1 places too early; for an even order the buffer
        must hold all.

        Args:
            buffer_size: elements in the buffer, 1 or more.
            seed: start of the orders, an integer >= 0; from `set_random_seed` when None.
            reshuffle_each_iteration: another order in each pass, default True.

        Raises:
            ArgumentError: an argument outside its rule.

        >>> from minicnn.data import Dataset
        >>> sorted(int(x) for x in Dataset.range(5).shuffle(3, seed=1))
        [0, 1, 2, 3, 4]
        """
        size = check_number("shuffle", "buffer_size", buffer_size, 1)
        start_of_orders = None if seed is None else check_number("shuffle", "seed", seed, 0)
        if start_of_orders is None and not reshuffle_each_iteration:
            start_of_orders = int(config.random_generator().integers(2**63))
        passes = PassCounter(start_of_orders)

        def steps(source: Iterator[Any], key: Key) -> Iterator[Any]:
            if passes.start is not None:
                key = (passes.start, passes.number(key) if reshuffle_each_iteration else 0)
            return iteration.shuffled(source, size, generator_of(key))

        draws = start_of_orders is None
        return self._then(steps, self._cardinality, draws=draws, spec=self._spec, passes=passes)

    def repeat(self, count: int | None = None) -> Self:
        """Return the elements `count` times over, endlessly when None or negative.

        >>> from minicnn.data import Dataset
        >>> [int(x) for x in Dataset.range(2).repeat(2)]
        [0, 1, 0, 1]
        """
        times = None if count is None or int(count) < 0 else int(count)

        def start(key: Key) -> Iterator[Any]:
            for number in itertools.count() if times is None else range(times):
                empty = True
                for element in self._start((*key, number)):
                    empty = False
                    yield element
                if empty:
                    return

        n = self._cardinality
        if times is None:
            total = 0 if n == 0 else INFINITE_CARDINALITY
        else:
            total = n * times if n >= 0 else n if times else 0
        return self._new(start, total, (self,), spec=self._spec)

    def batch(self, batch_size: Any, drop_remainder: bool = False) -> Self:
        """Return batches: `batch_size` elements joined along a new first axis.

        Args:
            batch_size: elements in a batch, 1 or more.
            drop_remainder: leave out a last batch of fewer elements, default False.

        Raises:
            ArgumentError: the size is below 1.
            ShapeError: while iterating, if the elements' shapes differ.

        >>> from minicnn.data import Dataset
        >>> [x.numpy().tolist() for x in Dataset.range(5).batch(2)]
        [[0, 1], [2, 3], [4]]
        """
        size = check_number("batch", "batch_size", batch_size, 1)
        return self._then(
            lambda source, key: iteration.batched(
                source, size, drop_remainder, lambda group: stack("Dataset.batch", group)
            ),
            _batches(self._cardinality, size, drop_remainder),
            spec=lambda: _batch_spec(self.element_spec, size if drop_remainder else None),
        )

    def padded_batch(
        self,
        batch_size: Any,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: bool = False,
    ) -> Self:
        """Return batches of elements of different shapes, filled up to common ones at their ends.

        Args:
            batch_size: elements in a batch, 1 or more.
            padded_shapes: lengths to fill up to, None for that of the batch's longest; nested as
                the elements, or one for all. By default every axis as long as the batch needs.
            padding_values: what fills, nested likewise; default 0.
            drop_remainder: leave out a last batch of fewer elements, default False.

        Raises:
            ShapeError: while iterating, if an element is longer than asked for.

        >>> from minicnn.data import Dataset
        >>> data = Dataset.range(1, 4).flat_map(lambda n: Dataset.from_tensors([int(n)] * int(n)))
        >>> [x.numpy().tolist() for x in data.padded_batch(3, padding_values=-1)]
        [[[1, -1, -1], [2, 2, -1], [3, 3, 3]]]
        """
        size = check_number("padded_batch", "batch_size", batch_size, 1)

        def is_shape(value: Any) -> bool:
            listed = isinstance(value, list | tuple)
            return value is None or (
                listed and all(n is None or isinstance(n, int | np.integer) for n in value)
            )

        lengths = (padded_shapes,) if isinstance(padded_shapes, int) else padded_shapes

        def join(group: Any) -> Any:
            shapes = like(group[0], lengths, is_shape)
            value = 0 if padding_values is None else padding_values
            values = like(group[0], value, lambda v: not isinstance(v, tuple | dict))
            return pad_and_stack(group, shapes, values)

        return self._then(
            lambda source, key: iteration.batched(source, size, drop_remainder, join),
            _batches(self._cardinality, size, drop_remainder),
        )

    def unbatch(self) -> Self:
        """Return the parts of each element along its first axis as elements.

        >>> from minicnn.data import Dataset
        >>> [int(x) for x in Dataset.range(3).batch(2).unbatch()]
        [0, 1, 2]
        """

        def parts(element: Any) -> Iterator[Any]:
            lengths = {len(leaf) if np.ndim(leaf) else 0 for leaf in leaves(element)}
            if len(lengths) != 1 or any(not np.ndim(leaf) for leaf in leaves(element)):
                raise DataError(
                    "Dataset.unbatch: the parts of an element must have a first axis of one "
                    f"length, but have {spec_of(element)}."
                )
            for i in range(lengths.pop()):
                yield map_leaves(lambda leaf, i=i: part_of(leaf, i), element)

        total = self._cardinality
        if total > 0:
            # Known if every batch is full.
            first = None if self._spec is None else [s.shape[:1] for s in leaves(self._spec())]
            whole = first is not None and all(s and s[0] is not None for s in first)
            total = total * first[0][0] if whole and first else UNKNOWN_CARDINALITY
        return self._then(lambda source, key: iteration.unbatched(source, parts), total)

    def take(self, count: Any) -> Self:
        """Return the first `count` elements, all if it is negative.

        >>> from minicnn.data import Dataset
        >>> [int(x) for x in Dataset.range(5).take(2)]
        [0, 1]
        """
        wanted, n = check_number("take", "count", count, -1), self._cardinality
        if wanted < 0:
            return self
        total = n if n == UNKNOWN_CARDINALITY and wanted else wanted if n < 0 else min(n, wanted)
        return self._then(
            lambda source, key: itertools.islice(source, wanted), total, spec=self._spec
        )

    def skip(self, count: Any) -> Self:
        """Return the elements behind the first `count`, none if it is negative.

        >>> from minicnn.data import Dataset
        >>> [int(x) for x in Dataset.range(5).skip(3)]
        [3, 4]
        """
        left_out, n = check_number("skip", "count", count, -1), self._cardinality
        if left_out < 0:
            return self.take(0)
        total = n if n < 0 else max(n - left_out, 0)
        return self._then(
            lambda source, key: itertools.islice(source, left_out, None), total, spec=self._spec
        )

    def shard(self, num_shards: int, index: int) -> Self:
        """Return every `num_shards`-th element, beginning with the one at `index`.

        >>> from minicnn.data import Dataset
        >>> [int(x) for x in Dataset.range(7).shard(3, 1)]
        [1, 4]
        """
        step = check_number("shard", "num_shards", num_shards, 1)
        first, n = check_number("shard", "index", index, 0), self._cardinality
        if first >= step:
            raise ArgumentError(
                f"Dataset.shard: index={first} must be less than num_shards={step}."
            )
        total = n if n < 0 else max(math.ceil((n - first) / step), 0)
        return self._then(
            lambda source, key: itertools.islice(source, first, None, step), total, spec=self._spec
        )

    def concatenate(self, dataset: Self) -> Self:
        """Return the elements of this data set and then those of another one.

        >>> from minicnn.data import Dataset
        >>> [int(x) for x in Dataset.range(2).concatenate(Dataset.range(7, 9))]
        [0, 1, 7, 8]
        """
        both = self._cardinality, dataset._cardinality

        def start(key: Key) -> Iterator[Any]:
            yield from self._start((*key, 0))
            yield from dataset._start((*key, 1))

        total = sum(both) if min(both) >= 0 else UNKNOWN_CARDINALITY
        if INFINITE_CARDINALITY in both:
            total = INFINITE_CARDINALITY
        return self._new(start, total, (self, dataset), spec=self._spec)

    def enumerate(self, start: int = 0) -> Self:
        """Return pairs of a number, from `start` on, and an element."""
        return self._then(
            lambda source, key: (
                (np.asarray(i, np.int64), x) for i, x in enumerate(source, int(start))
            ),
            self._cardinality,
            spec=lambda: (TensorSpec((), np.dtype("int64")), self.element_spec),
        )

    def window(
        self, size: Any, shift: Any = None, stride: Any = 1, drop_remainder: bool = False
    ) -> Self:
        """Return windows of neighbouring elements, each a data set for itself.

        Args:
            size: elements in a window.
            shift: elements from one window's beginning to the next one's; default `size`.
            stride: elements from one to the next within a window.
            drop_remainder: leave out windows with fewer elements, default False.

        >>> from minicnn.data import Dataset
        >>> [[int(x) for x in w] for w in Dataset.range(5).window(3, shift=2)]
        [[0, 1, 2], [2, 3, 4], [4]]
        """
        size = check_number("window", "size", size, 1)
        shift = size if shift is None else check_number("window", "shift", shift, 1)
        stride = check_number("window", "stride", stride, 1)

        def data_set(*elements: Any) -> Any:
            return self._new(lambda key: iter(elements), len(elements))

        def steps(source: Iterator[Any], key: Key) -> Iterator[Any]:
            for window in iteration.windows(source, size, shift, stride, drop_remainder):
                yield map_leaves(data_set, *window)

        n, reach = self._cardinality, (size - 1) * stride + 1
        if n >= 0:
            n = max((n - reach) // shift + 1, 0) if drop_remainder else math.ceil(n / shift)
        return self._then(steps, n)

    def prefetch(self, buffer_size: Any) -> Self:
        """Return the same elements, prepared by a thread while earlier ones are in use.

        As the last step it lets reading, decoding and augmenting overlap with training, and copies
        the next element to the GPU, where the settings put new tensors there.

        Args:
            buffer_size: elements to be ahead, `AUTOTUNE` for two; 0 prepares none ahead.

        Raises:
            ArgumentError: another negative number.
        """
        size = check_number("prefetch", "buffer_size", buffer_size, AUTOTUNE)
        size = _AHEAD if size == AUTOTUNE else size
        if size == 0:
            return self
        ready = self._new(
            lambda key: iteration.prefetched(lambda: self._start((*key, 0)), size),
            self._cardinality,
            (self,),
            spec=self._spec,
        )
        ready._copies_ahead = True
        return ready


def _batches(n: int, size: int, drop_remainder: bool) -> int:
    return n if n < 0 else n // size if drop_remainder else math.ceil(n / size)


def _batch_spec(spec: Any, length: int | None) -> Any:
    # A specification is a tuple itself: the walk over structures takes it for a leaf.
    return map_leaves(lambda s: TensorSpec((length, *s.shape), s.dtype), spec)
