"""Data that a class of one's own gives batch by batch, by number."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from minicnn import config
from minicnn.errors import ArgumentError

__all__ = ["PyDataset"]


class PyDataset:
    """Batches by number: a subclass writes `__getitem__`, which gives (x, y), and `__len__`.

    `fit` asks for the batches in a new order in each epoch unless it is told `shuffle=False`;
    `evaluate` and `predict` ask for them one after the other. Instead of `__len__` a subclass may
    write the property `num_batches`.

    Args:
        workers: threads that make batches ahead, default 1: none are.
        use_multiprocessing: only False: threads share the data, and processes would copy them.
        max_queue_size: batches that are made ahead at most, default 10.

    Raises:
        ArgumentError: an argument is outside its rule.

    >>> import numpy as np
    >>> class Rows(PyDataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         return np.full((2, 5), index), np.zeros((2, 1))
    >>> [int(x[0, 0]) for x, y in Rows()]
    [0, 1, 2]
    """

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        if use_multiprocessing:
            raise ArgumentError(
                "PyDataset: use_multiprocessing=True, but batches are made by threads; give "
                "workers=4, for example."
            )
        for name, value in (("workers", workers), ("max_queue_size", max_queue_size)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(f"PyDataset: {name}={value!r}, but it must be an integer >= 1.")
        self.workers, self.use_multiprocessing = workers, use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        """Return the batch of this number: x, (x, y) or (x, y, sample_weight)."""
        raise TypeError(f"{type(self).__name__} does not define __getitem__, which gives a batch")

    @property
    def num_batches(self) -> int:
        """The number of batches."""
        if type(self).__len__ is PyDataset.__len__:
            raise TypeError(f"{type(self).__name__} does not define __len__, which counts batches")
        return len(self)

    def __len__(self) -> int:
        return self.num_batches

    def on_epoch_begin(self) -> None:
        """Be told that a pass through the batches begins."""

    def on_epoch_end(self) -> None:
        """Be told that a pass has ended."""

    def __iter__(self) -> Iterator[Any]:
        return self.epoch(shuffle=False)

    def epoch(self, shuffle: bool) -> Iterator[Any]:
        """Yield all batches once, in random order if `shuffle` says so."""
        self.on_epoch_begin()
        numbers = range(self.num_batches)
        order = config.random_generator().permutation(len(numbers)).tolist() if shuffle else numbers
        if getattr(self, "workers", 1) == 1:  # a subclass may leave super().__init__() out
            yield from map(self.__getitem__, order)
        else:
            with ThreadPoolExecutor(self.workers) as pool:
                waiting: deque[Future[Any]] = deque()
                for number in order:
                    waiting.append(pool.submit(self.__getitem__, number))
                    if len(waiting) > self.max_queue_size:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
        self.on_epoch_end()
