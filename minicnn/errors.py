"""The errors that minicnn raises, each worded for the person who reads it.

A message names the function or layer, the argument, what came, the rule with the numbers put in,
and what would fit.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = [
    "ArgumentError",
    "BackendError",
    "DataError",
    "DeviceError",
    "DeviceLostError",
    "DeviceMemoryError",
    "ImageWarning",
    "MinicnnError",
    "OutputError",
    "ShapeError",
    "SymbolicError",
    "WeightsError",
    "check_choice",
]


class MinicnnError(Exception):
    """The root of every error that minicnn raises on purpose."""


class ArgumentError(MinicnnError, ValueError):
    """An argument that is outside its rule."""


class ShapeError(ArgumentError):
    """Sizes that do not fit each other."""


class SymbolicError(ArgumentError):
    """Numbers that were asked of a symbolic tensor, which has none yet."""


class DeviceError(ArgumentError):
    """Arrays of which some are on the GPU and some are not."""


class BackendError(MinicnnError, RuntimeError):
    """A backend that cannot be used on this machine."""


class RecordingError(BackendError):
    """Work on the GPU that cannot be recorded and started again as a whole."""


class DeviceMemoryError(BackendError, MemoryError):
    """An array for which the GPU has no room; smaller ones may follow."""


class DeviceLostError(BackendError):
    """A GPU that stopped answering; only a new process can use it again."""


class DataError(MinicnnError, ValueError):
    """Images, labels or folders that cannot be used."""


class WeightsError(MinicnnError, ValueError):
    """A weights file that belongs to another network, or is damaged."""


class OutputError(MinicnnError, OSError):
    """A file or folder that cannot be written."""


class ImageWarning(UserWarning):
    """What the reader of image files had to decide: what is white, which page, which channels."""


def check_choice(where: str, argument: str, value: Any, choices: Iterable[str]) -> str:
    """Return `value` in lower case if it is one of `choices`, else raise with a suggestion.

    >>> check_choice("Conv2D", "padding", "SAME", ["same", "valid"])
    'same'
    """
    known = list(choices)
    if isinstance(value, str) and value.lower() in known:
        return value.lower()
    near = difflib.get_close_matches(str(value).lower(), known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ArgumentError(
        f"{where}: {argument}={value!r} is not known; choose one of "
        f"{', '.join(map(repr, known))}{hint}."
    )
