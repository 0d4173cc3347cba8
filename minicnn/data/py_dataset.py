"""Data that a class of one's own gives batch by batch, by number."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from minicnn import config, workers
from minicnn.errors import ArgumentError, check_whole

__all__ = ["PyDataset"]


class PyDataset:
    """Batches by number: a subclass writes `__getitem__`, which gives (x, y), and `__len__`.

    `fit` asks for them in a new order in each epoch unless `shuffle=False`, all else in a row.

    Args:
        workers: threads that make batches ahead, default 1: none are.
        use_multiprocessing: only False: batches are made by threads.
        max_queue_size: batches that are made ahead at most, default 10.

    Raises:
        ArgumentError: an argument is outside its rule.

    >>> class Rows(PyDataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         return [[index, index]], [[0]]
    >>> [x for x, y in Rows()]
    [[[0, 0]], [[1, 1]], [[2, 2]]]
    """

    workers, use_multiprocessing, max_queue_size = 1, False, 10

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        if use_multiprocessing:
            raise ArgumentError(
                "PyDataset: use_multiprocessing=True, but batches are made by threads; give "
                "workers=4, for example."
            )
        self.workers = check_whole("PyDataset", "workers", workers)
        self.max_queue_size = check_whole("PyDataset", "max_queue_size", max_queue_size)

    def __getitem__(self, index: int) -> Any:
        """Return the batch of this number: x, (x, y) or (x, y, sample_weight)."""
        raise TypeError(f"{type(self).__name__} does not define __getitem__, which gives a batch")

    def __len__(self) -> int:
        if type(self).num_batches is PyDataset.num_batches:
            raise TypeError(f"{type(self).__name__} does not define __len__, which counts batches")
        return self.num_batches

    @property
    def num_batches(self) -> int:
        """The number of batches, which a subclass may write instead of `__len__`."""
        return len(self)

    def on_epoch_begin(self) -> None:
        """Be told that a pass through the batches begins."""

    def on_epoch_end(self) -> None:
        """Be told that a pass has ended."""

    def __iter__(self) -> Iterator[Any]:
        return self.one_pass(shuffle=False)

    def one_pass(self, shuffle: bool) -> Iterator[Any]:
        """Yield all batches once, in random order if `shuffle` says so."""
        self.on_epoch_begin()
        count = self.num_batches
        order = config.random_generator().permutation(count).tolist() if shuffle else range(count)
        pool = workers.pool(self.workers, "batches") if self.workers > 1 else None
        if pool is None:
            yield from map(self.__getitem__, order)
        else:
            with pool:
                waiting: deque[Any] = deque()
                for number in order:
                    waiting.append(pool.submit(self.__getitem__, number))
                    if len(waiting) > self.max_queue_size:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
        self.on_epoch_end()
