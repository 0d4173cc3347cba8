"""A cache of elements in a file.

The file holds a line that tells the format, a line of JSON with the nesting of the elements, and
then for each element its leaves, each as NumPy's `.npy` format.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from minicnn.data.structure import leaves
from minicnn.errors import DataError
from minicnn.files import replacing

__all__ = ["read_cache", "write_cache"]

_MAGIC = b"minicnn data cache 1\n"


def _layout(element: Any) -> Any:
    """Return the nesting as JSON can hold it."""
    if isinstance(element, tuple):
        return [_layout(part) for part in element]
    if isinstance(element, dict):
        return {key: _layout(part) for key, part in element.items()}
    return "text" if isinstance(element, str) else "array"


def _build(layout: Any, parts: Iterator[Any]) -> Any:
    if isinstance(layout, list):
        return tuple(_build(part, parts) for part in layout)
    if isinstance(layout, dict):
        return {key: _build(part, parts) for key, part in layout.items()}
    part = next(parts)
    return str(part) if layout == "text" else part


def write_cache(path: Path, source: Iterator[Any]) -> Iterator[Any]:
    """Yield the elements of the source, and keep them in a file once all have come."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(_MAGIC)
        for element in source:
            file.write(json.dumps(_layout(element)).encode() + b"\n")
            for leaf in leaves(element):
                np.lib.format.write_array(file, np.asarray(leaf), allow_pickle=False)
            yield element


def read_cache(path: Path) -> Iterator[Any]:
    """Yield the elements that a file keeps.

    Raises:
        DataError: the file is none of ours, or damaged.
    """
    with path.open("rb") as file:
        if file.readline() != _MAGIC:
            raise DataError(
                f"Dataset.cache: {path} is no cache of this version; delete it, or choose another "
                f"file name."
            )
        while line := file.readline():
            yield _read(path, file, line)


def _read(path: Path, file: BinaryIO, line: bytes) -> Any:
    def parts() -> Iterator[Any]:
        while True:
            yield np.lib.format.read_array(file, allow_pickle=False)

    try:
        return _build(json.loads(line), parts())
    except (ValueError, EOFError, OSError, RuntimeError) as error:
        raise DataError(
            f"Dataset.cache: {path} is damaged ({error}); delete it, and it is made anew."
        ) from None
