"""What the steps of a pipeline do to a stream of elements: generators over iterators.

A generator that is given up closes the one that it reads from; those that keep threads end them.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

import numpy as np

from minicnn import config, workers

__all__ = ["batched", "interleaved", "mapped", "prefetched", "shuffled", "unbatched", "windows"]

Elements = Iterator[Any]


def shuffled(source: Elements, size: int, rng: np.random.Generator) -> Elements:
    """Yield elements in random order out of a buffer that is kept full while there are more.

    An element comes at most size - 1 places too early, however late it may come.
    """
    buffer = list(itertools.islice(source, size))
    for element in source:
        chosen = int(rng.integers(len(buffer)))
        yield buffer[chosen]
        buffer[chosen] = element
    while buffer:
        chosen = int(rng.integers(len(buffer)))
        buffer[chosen], buffer[-1] = buffer[-1], buffer[chosen]
        yield buffer.pop()


def batched(
    source: Elements, size: int, drop_remainder: bool, join: Callable[[Sequence[Any]], Any]
) -> Elements:
    """Yield what `join` makes of every `size` elements."""
    while group := list(itertools.islice(source, size)):
        if len(group) == size or not drop_remainder:
            yield join(group)


def unbatched(source: Elements, parts: Callable[[Any], Elements]) -> Elements:
    """Yield the parts of every element."""
    for element in source:
        yield from parts(element)


def windows(
    source: Elements, size: int, shift: int, stride: int, drop: bool
) -> Iterator[list[Any]]:
    """Yield lists of up to `size` elements, `stride` apart, each beginning `shift` later."""
    reach = (size - 1) * stride + 1
    buffer: list[Any] = []
    while True:
        buffer.extend(itertools.islice(source, reach - len(buffer)))
        if not buffer or (drop and len(buffer) < reach):
            return
        yield buffer[:reach:stride]
        beyond = max(shift - len(buffer), 0)
        next(itertools.islice(source, beyond, beyond), None)
        buffer = buffer[shift:]


def interleaved(
    source: Elements, open_: Callable[[Any], Elements], cycle: int, block: int
) -> Elements:
    """Yield `block` elements in turn from each of `cycle` streams made of the source's elements.

    A stream that ends makes way for the next one; its turn is over then.
    """
    streams: list[Elements | None] = [None] * cycle
    place, taken, more = 0, 0, True
    while more or any(s is not None for s in streams):
        stream = streams[place]
        if stream is None and more:
            for element in itertools.islice(source, 1):
                streams[place] = open_(element)
                break
            else:
                more = False
            continue
        ended = True
        if stream is not None:
            for element in itertools.islice(stream, 1):
                ended = False
                taken += 1
                yield element
            if ended:
                streams[place] = None
        if ended or taken == block:
            place, taken = (place + 1) % cycle, 0


def mapped(
    source: Elements, function: Callable[[int, Any], Any], count: int | None, ordered: bool
) -> Elements:
    """Yield the function's result for (index, element), with several calls at a time.

    Args:
        source: the elements.
        function: may be called in any thread.
        count: number of threads; None for none, as where no thread can be started.
        ordered: keep the order of the elements, or take what is done first.
    """
    pool = None if count is None else workers.pool(count, "minicnn-map")
    if count is None or pool is None:
        for index, element in enumerate(source):
            yield function(index, element)
        return
    running: deque[Future[Any]] = deque()

    def take() -> Any:
        if ordered:
            return running.popleft().result()
        done = next(iter(wait(running, return_when=FIRST_COMPLETED).done))
        running.remove(done)
        return done.result()

    try:
        for index, element in enumerate(source):
            running.append(pool.submit(function, index, element))
            if len(running) == 2 * count:  # enough that no thread waits for the consumer
                yield take()
        while running:
            yield take()
    finally:
        pool.shutdown(cancel_futures=True)


class _Buffer:
    """What a thread has prepared and nobody has taken yet."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.items: deque[tuple[bool, Any]] = deque()
        self.changed = threading.Condition()
        self.stopped = False

    def put(self, works: bool, item: Any) -> bool:
        """Add an item when there is room; return False if nobody wants more."""
        with self.changed:
            self.changed.wait_for(lambda: self.stopped or len(self.items) < self.size)
            if not self.stopped:
                self.items.append((works, item))
                self.changed.notify_all()
            return not self.stopped

    def take(self) -> tuple[bool, Any]:
        with self.changed:
            self.changed.wait_for(lambda: self.items)
            item = self.items.popleft()
            self.changed.notify_all()
            return item

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.items.clear()
            self.changed.notify_all()


_END = object()


def prefetched(start: Callable[[], Elements], size: int) -> Elements:
    """Yield elements that a thread prepares while the last ones are in use, `size` ahead.

    An error in the thread is raised here, in its place among the elements. Where no thread can be
    started, each element is prepared when it is asked for.
    """
    buffer = _Buffer(size)

    def work() -> None:
        try:
            with config.use_cpu():  # as the thread that asks for elements does: each has its own
                source = start()
                for element in source:
                    if not buffer.put(True, element):
                        break
                close = getattr(source, "close", None)
                if close is not None:
                    close()
            buffer.put(True, _END)
        except BaseException as error:  # whatever it is, it belongs to the one who waits
            buffer.put(False, error)

    thread = workers.started(work, "minicnn-prefetch")
    if thread is None:
        yield from start()
        return
    try:
        while True:
            works, item = buffer.take()
            if not works:
                raise item
            if item is _END:
                return
            yield item
    finally:
        buffer.stop()
        if thread is not threading.current_thread():
            thread.join()
