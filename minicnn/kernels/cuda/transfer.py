"""The way to the GPU, and copies that go on while the GPU works."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from numpy.typing import NDArray

from minicnn.errors import RecordingError
from minicnn.kernels.cuda.device import Array, cupy, room_for

__all__ = ["ahead", "to_gpu"]

T = TypeVar("T")
Moved = TypeVar("Moved")


def to_gpu(array: NDArray[Any]) -> Array:
    """Return a copy of an array on the GPU.

    The numbers are in pinned memory when this returns, so the array may be changed then; their way
    from there is work of the current stream.

    Raises:
        DeviceMemoryError: the card has no room for it.
        RecordingError: work is being recorded, and this is more than a single number. A graph would
            read pinned memory, which CuPy would then keep for good.
    """
    if array.ndim and cupy().cuda.get_current_stream().is_capturing():
        raise RecordingError(
            f"an array {array.shape} of {array.dtype} is sent to the GPU in every step"
        )
    with room_for("to_gpu", array.shape, array.dtype):
        return cupy().asarray(array, order="C")


@functools.cache
def _copying(device: int) -> Any:
    """Return the stream of copies, always the same one: its memory is used again and again."""
    return cupy().cuda.Stream(non_blocking=True)


def ahead(batches: Iterable[T], move: Callable[[T], Moved]) -> Iterator[Moved]:
    """Yield batches moved to the GPU; while one is worked with, the next one is copied.

    Two waits keep the order between the stream of copies and the computing one:

    * The computing stream waits for a batch's copy before the batch is yielded.
    * The stream of copies waits, before it begins, for all that the computing stream was given so
      far. A batch that nobody holds any more gives its memory back to the stream that it was made
      on, and the next copy may get it at once. Whatever reads the old batch was put on the
      computing stream while somebody held it, so before that, and the copy comes behind it.

    One batch more is asked for than is yielded. If an error comes instead of it, the one before is
    yielded first, as it would be without looking ahead.

    Args:
        batches: what `move` takes.
        move: returns a batch with its arrays on the GPU, by `to_gpu`.
    """
    copying = _copying(cupy().cuda.runtime.getDevice())
    waiting: list[tuple[Moved, Any]] = []
    source = iter(batches)
    while True:
        try:
            batch = next(source)
            copying.wait_event(cupy().cuda.get_current_stream().record())
            with copying:
                waiting.append((move(batch), copying.record()))
        except StopIteration:
            break
        except Exception:
            if waiting:
                yield _arrived(waiting)
            raise
        if len(waiting) == 2:
            yield _arrived(waiting)
    if waiting:
        yield _arrived(waiting)


def _arrived(waiting: list[tuple[Moved, Any]]) -> Moved:
    """Take out the first batch, once the computing stream waits for its copy."""
    batch, copied = waiting.pop(0)
    cupy().cuda.get_current_stream().wait_event(copied)
    return batch
