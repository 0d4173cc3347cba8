"""The steps of a pipeline that call a function of the user."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, Self

from minicnn import config
from minicnn.data import iteration
from minicnn.data.core import AUTOTUNE, UNKNOWN_CARDINALITY, Core, Key, UserFunction, check_number
from minicnn.data.structure import from_user, to_device, to_user
from minicnn.errors import ArgumentError, DataError
from minicnn.runtime.threads import cores

__all__ = ["Applying"]


class Applying(Core):
    """What a data set can do with a function of the user."""

    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
    ) -> Self:
        """Return the function's results for the elements.

        Args:
            map_func: gets tensors (texts as they are), the parts of a tuple as arguments of their
                own; returns tensors, arrays, numbers or texts, in tuples or dictionaries.
            num_parallel_calls: threads that call it; `AUTOTUNE` for one for each core, None for no
                extra thread. Only what releases Python's lock runs at the same time: decoding and
                resizing of images, and NumPy on large arrays.
            deterministic: whether the order stays that of the elements, default True; with False,
                what is done first comes first.

        Raises:
            ArgumentError: the function cannot be called, or the number of threads is below 1.

        >>> from minicnn.data import Dataset
        >>> [int(x) for x in Dataset.range(3).map(lambda x: x * x)]
        [0, 1, 4]
        """
        function = UserFunction("Dataset.map", map_func)
        workers = None
        if num_parallel_calls is not None:
            workers = check_number("map", "num_parallel_calls", num_parallel_calls, AUTOTUNE)
            if workers == 0:
                raise ArgumentError("Dataset.map: num_parallel_calls=0 must be >= 1 or AUTOTUNE.")
            workers = cores() if workers == AUTOTUNE else workers
        ordered = deterministic is None or bool(deterministic)
        return self._then(
            lambda source, key: iteration.mapped(source, function.starting(key), workers, ordered),
            self._cardinality,
            function=function,
        )

    def filter(self, predicate: Callable[..., Any]) -> Self:
        """Return the elements for which the function returns something true.

        >>> from minicnn.data import Dataset
        >>> [int(x) for x in Dataset.range(6).filter(lambda x: x.numpy() % 2 == 1)]
        [1, 3, 5]
        """
        function = UserFunction("Dataset.filter", predicate)

        def steps(source: Iterator[Any], key: Key) -> Iterator[Any]:
            call = function.start(key)
            return (x for i, x in enumerate(source) if bool(call(i, x)))

        n = 0 if self._cardinality == 0 else UNKNOWN_CARDINALITY
        return self._then(steps, n, function=function, spec=self._spec)

    def take_while(self, predicate: Callable[..., Any]) -> Self:
        """Return the elements before the first for which the function returns something false."""
        function = UserFunction("Dataset.take_while", predicate)

        def steps(source: Iterator[Any], key: Key) -> Iterator[Any]:
            call = function.start(key)
            for index, element in enumerate(source):
                if not bool(call(index, element)):
                    return
                yield element

        return self._then(steps, UNKNOWN_CARDINALITY, function=function, spec=self._spec)

    def flat_map(self, map_func: Callable[..., Any]) -> Self:
        """Return the elements of the data sets that the function returns, one after the other.

        >>> from minicnn.data import Dataset
        >>> [int(x) for x in Dataset.range(4).flat_map(lambda n: Dataset.range(int(n)))]
        [0, 0, 1, 0, 1, 2]
        """
        return self._flattened("flat_map", map_func, 1, 1, False)

    def interleave(
        self,
        map_func: Callable[..., Any],
        cycle_length: int | None = None,
        block_length: int | None = None,
        num_parallel_calls: int | None = None,
    ) -> Self:
        """Return the elements of the data sets that the function returns, taking turns.

        Args:
            map_func: returns a data set for an element.
            cycle_length: data sets that take turns; by default as many as there are cores.
            block_length: elements that each gives in its turn, default 1.
            num_parallel_calls: `AUTOTUNE` lets a thread for each of the open data sets prepare its
                elements; the order stays the same.

        Raises:
            ArgumentError: an argument outside its rule.

        >>> from minicnn.data import Dataset
        >>> data = Dataset.range(3).interleave(lambda n: Dataset.from_tensors(n).repeat(3), 2, 2)
        >>> [int(x) for x in data]
        [0, 0, 1, 1, 0, 1, 2, 2, 2]
        """
        if num_parallel_calls not in (None, AUTOTUNE):
            raise ArgumentError(
                f"Dataset.interleave: num_parallel_calls={num_parallel_calls!r} must be None or "
                f"AUTOTUNE: there is a thread for each open data set, or none."
            )
        automatic = cycle_length is None or cycle_length == AUTOTUNE
        cycle = (
            cores() if automatic else check_number("interleave", "cycle_length", cycle_length, 1)
        )
        block = 1 if block_length is None else block_length
        block = check_number("interleave", "block_length", block, 1)
        return self._flattened("interleave", map_func, cycle, block, num_parallel_calls is not None)

    def _flattened(
        self, name: str, map_func: Callable[..., Any], cycle: int, block: int, threads: bool
    ) -> Self:
        function = UserFunction(f"Dataset.{name}", map_func)

        def steps(source: Iterator[Any], key: Key) -> Iterator[Any]:
            call, numbers = function.start(key), itertools.count()

            def opened(element: Any) -> Iterator[Any]:
                number = next(numbers)
                inner = call(number, element)
                if not isinstance(inner, Core):
                    raise DataError(
                        f"Dataset.{name}: the function must return a data set, but returned a "
                        f"{type(inner).__name__}."
                    )
                inner_key = (*key, 1, number)
                if threads:
                    return iteration.prefetched(lambda: inner._start(inner_key), block)
                return inner._start(inner_key)

            return iteration.interleaved(source, opened, cycle, block)

        return self._then(steps, UNKNOWN_CARDINALITY, function=function)

    def reduce(self, initial_state: Any, reduce_func: Callable[[Any, Any], Any]) -> Any:
        """Return the state that the function makes, element by element, of an initial one.

        Args:
            initial_state: a number, an array, or a structure of these.
            reduce_func: gets the state and an element, and returns the next state.

        >>> from minicnn.data import Dataset
        >>> int(Dataset.range(5).reduce(0, lambda state, x: state + x))
        10
        """
        state = from_user(initial_state)
        for element in self._elements():
            with config.use_cpu():
                state = from_user(reduce_func(to_user(state), to_user(element)))
        return to_device(state)

    def apply(self, transformation_func: Callable[[Self], Any]) -> Any:
        """Return what a function of the whole data set makes of it."""
        return transformation_func(self)

    def get_single_element(self) -> Any:
        """Return the only element.

        Raises:
            DataError: there is none, or more than one.
        """
        elements = list(itertools.islice(iter(self), 2))
        if len(elements) != 1:
            raise DataError(
                f"Dataset.get_single_element: the data set has "
                f"{'no element' if not elements else 'more than one element'}, not one."
            )
        return elements[0]
