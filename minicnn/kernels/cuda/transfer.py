"""The way to the GPU."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from minicnn.kernels.cuda.device import Array, cupy, room_for

__all__ = ["to_gpu"]


def to_gpu(array: NDArray[Any]) -> Array:
    """Return a copy of an array on the GPU.

    Raises:
        DeviceMemoryError: the card has no room for it.
    """
    with room_for("to_gpu", array.shape, array.dtype):
        return cupy().asarray(array, order="C")
