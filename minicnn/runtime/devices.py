"""Where arrays live, and the ways between: NumPy's in the computer's memory, CuPy's on the GPU.

Operations are written once, in NumPy. Its functions hand arrays of CuPy over to CuPy's functions of
the same name, so that results are made where their operands are. What is made anew says so:
`np.zeros(shape, dtype, like=x)` lies beside x.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config
from minicnn.errors import DeviceError
from minicnn.runtime.backends import backend_module

__all__ = ["check_same_device", "device_of", "gpu_in_sight", "on_gpu", "placed", "to_cpu",
           "to_device", "to_gpu"]  # fmt: skip

Array = NDArray[Any]

#: The devices, as messages name them.
NAMES = {"cpu": "in the computer's memory", "gpu": "on the GPU"}


def on_gpu(value: Any) -> bool:
    """Return whether a value is an array on the GPU.

    >>> on_gpu(np.zeros((2, 3)))
    False
    """
    return type(value) is not np.ndarray and hasattr(type(value), "__cuda_array_interface__")


def gpu_in_sight() -> bool:
    """Return whether some array may be on the GPU, or come to be there: else nobody need look."""
    return "cupy" in sys.modules or config.device() == "gpu"


def device_of(array: Any) -> str:
    """Return `"gpu"` or `"cpu"`."""
    return "cpu" if type(array) is np.ndarray or not on_gpu(array) else "gpu"


def to_cpu(array: Any) -> Array:
    """Return the array in the computer's memory: itself, or a copy from the GPU."""
    return array if type(array) is np.ndarray or not on_gpu(array) else array.get()


def to_gpu(array: Any) -> Any:
    """Return the array on the GPU: itself, or a copy.

    Raises:
        BackendError: no GPU can be used here; the message says why.
        DeviceMemoryError: the card has no room for it.
    """
    return array if on_gpu(array) else backend_module("cupy").to_gpu(array)


def placed(array: Any) -> Any:
    """Return what comes from outside where the settings ask for it; what is on the GPU stays."""
    return to_gpu(array) if config.device() == "gpu" else array


def to_device(array: Any, device: str) -> Any:
    """Return the array on a device, `"cpu"` or `"gpu"`: itself, or a copy."""
    return to_gpu(array) if device == "gpu" else to_cpu(array)


def check_same_device(where: str, **arrays: Any) -> None:
    """Refuse arrays of which some are on the GPU and some are not.

    Args:
        where: the caller's name, for messages.
        arrays: by name; None is none, and a number (`np.generic`) may meet both kinds.

    Raises:
        DeviceError: as said; the message names both.
    """
    if "cupy" not in sys.modules:  # no array can be on the GPU, and every operation asks
        return
    found = {name: device_of(array) for name, array in arrays.items() if array is not None}
    if len(set(found.values())) > 1:
        found = {n: d for n, d in found.items() if not isinstance(arrays[n], np.generic)}
    if len(set(found.values())) > 1:
        (first, here), *others = found.items()
        second, there = next((n, d) for n, d in others if d != here)
        away = first if here == "cpu" else second
        raise DeviceError(
            f"{where}: {first} {arrays[first].shape} is {NAMES[here]}, but {second} "
            f"{arrays[second].shape} is {NAMES[there]}; both must be in one place. {away}.gpu() "
            f"moves {away} to the GPU, and .cpu() moves back."
        )
