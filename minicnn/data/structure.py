"""Elements of a data set: arrays and texts, nested in tuples and dictionaries.

Inside a pipeline, numbers are NumPy arrays; a function of the user gets tensors. What comes out at
the end is put where the settings say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minicnn.autograd.tensor import Tensor, as_array, constant
from minicnn.errors import DataError, ShapeError
from minicnn.runtime.devices import to_cpu

__all__ = [
    "TensorSpec", "from_user", "leaves", "map_leaves", "spec_of", "stack", "to_device", "to_numpy",
    "to_user",
]  # fmt: skip

Array = NDArray[Any]


class TensorSpec(NamedTuple):
    """Shape and type of one part of an element; None where a length varies or is not known.

    >>> TensorSpec((None, 3), "float32").shape
    (None, 3)
    """

    shape: tuple[int | None, ...] | None
    dtype: Any = "float32"
    name: str | None = None


def _is_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and not isinstance(value, TensorSpec)


def map_leaves(function: Callable[..., Any], first: Any, *others: Any) -> Any:
    """Return a structure like the first one, with the function's results for its leaves.

    >>> map_leaves(lambda a, b: a + b, (1, {"x": 2}), (10, {"x": 20}))
    (11, {'x': 22})
    """
    if _is_tuple(first):
        parts = [map_leaves(function, *xs) for xs in zip(first, *others, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    if isinstance(first, dict):
        return {k: map_leaves(function, v, *(o[k] for o in others)) for k, v in first.items()}
    return function(first, *others)


def leaves(structure: Any) -> Iterator[Any]:
    """Yield the leaves of a structure in order."""
    if _is_tuple(structure) or isinstance(structure, dict):
        for part in structure.values() if isinstance(structure, dict) else structure:
            yield from leaves(part)
    else:
        yield structure


def from_user(value: Any) -> Any:
    """Return what the user gave as a pipeline keeps it: tensors and numbers as arrays."""
    return map_leaves(_leaf, value)


def _leaf(value: Any) -> Any:
    if isinstance(value, list) and value and not isinstance(value[0], str | bytes):
        return as_array([_leaf(v) for v in value])
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str):
        return str(value)
    if hasattr(value, "as_numpy_iterator"):  # a data set in an element, as windows are
        return value
    if isinstance(value, list) or (isinstance(value, np.ndarray) and value.dtype.kind in "USO"):
        texts = np.asarray(value)
        if texts.dtype.kind in "US":
            return texts.astype(str)
    return to_cpu(as_array(value))


def slices_of(value: Any) -> Any:
    """Return arrays to be cut along their first axis; lists of texts become arrays of texts."""

    def whole(part: Any) -> Any:
        array = _leaf([*part] if isinstance(part, list) else part)
        if array.dtype.kind != "U":
            array = array.view()
            array.flags.writeable = False  # the caller's own memory is what the elements show
        return array

    return map_leaves(whole, value)


def to_user(element: Any) -> Any:
    """Return an element as the user sees it: numbers as tensors, texts as they are."""
    return map_leaves(lambda leaf: Tensor(leaf) if _is_number(leaf) else leaf, element)


def to_device(element: Any) -> Any:
    """Return an element as `to_user` does, its numbers where the settings put new tensors."""
    return map_leaves(lambda leaf: constant(leaf) if _is_number(leaf) else leaf, element)


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and leaf.dtype.kind != "U"


def to_numpy(element: Any) -> Any:
    """Return an element as arrays, and numbers of no axis as NumPy's scalars."""
    return map_leaves(lambda leaf: leaf[()] if isinstance(leaf, np.ndarray) else leaf, element)


def part_of(array: Array, index: int) -> Any:
    """Return a part along the first axis as a leaf."""
    part = array[index]
    return str(part) if array.dtype.kind == "U" and array.ndim == 1 else np.asarray(part)


def _join(where: str, parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], str):
        return np.array(parts, dtype=str)
    shapes = {np.shape(part) for part in parts}
    if len(shapes) > 1:
        texts = " and ".join(map(str, sorted(shapes)[:2]))
        raise ShapeError(
            f"{where}: elements of shapes {texts} cannot be put in one batch; make their shapes "
            f"equal with map, or fill them up with padded_batch."
        )
    return np.stack(parts)


def stack(where: str, elements: Sequence[Any]) -> Any:
    """Return elements joined along a new first axis.

    Raises:
        ShapeError: their shapes differ.
        DataError: they are nested differently.
    """
    try:
        return map_leaves(lambda *parts: _join(where, parts), *elements)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ShapeError):
            raise
        raise DataError(
            f"{where}: the elements of a batch are nested differently; all must be tuples of as "
            f"many parts, or dictionaries of the same keys."
        ) from None


def pad_and_stack(elements: Sequence[Any], shapes: Any, values: Any) -> Any:
    """Return elements filled up to common lengths and joined along a new first axis.

    Args:
        elements: the elements of a batch.
        shapes: for each leaf the lengths wanted, None where the longest decides.
        values: for each leaf the number or text that fills.
    """

    def join(shape: Any, value: Any, *parts: Any) -> Any:
        if isinstance(parts[0], str):
            return np.array(parts, dtype=str)
        ranks = {part.ndim for part in parts}
        if len(ranks) > 1 or (shape is not None and len(shape) not in ranks):
            raise ShapeError(
                f"padded_batch: padded_shapes asks for {shape} of elements with "
                f"{', '.join(map(str, sorted(ranks)))} axes; their numbers of axes must be equal."
            )
        longest = [max(lengths) for lengths in zip(*(p.shape for p in parts), strict=True)]
        asked = [None] * len(longest) if shape is None else list(shape)
        wanted = [n if a in (None, -1) else a for a, n in zip(asked, longest, strict=True)]
        for n, most in zip(wanted, longest, strict=True):
            if n < most:
                raise ShapeError(
                    f"padded_batch: padded_shapes={tuple(asked)}, but an element of length {most} "
                    f"came; each must be at most as long as asked for."
                )
        joined = np.full((len(parts), *wanted), value, parts[0].dtype)
        for i, part in enumerate(parts):
            place: Any = (i, *(slice(n) for n in part.shape))
            joined[place] = part
        return joined

    return map_leaves(join, shapes, values, *elements)


def like(structure: Any, given: Any, is_leaf: Callable[[Any], bool]) -> Any:
    """Return a structure of the given leaves, tuples as lists; one leaf stands for all."""
    if is_leaf(given):
        leaf = list(given) if isinstance(given, tuple) else given
        return map_leaves(lambda _: leaf, structure)
    if isinstance(structure, dict):
        return {key: like(part, given[key], is_leaf) for key, part in structure.items()}
    return tuple(like(s, g, is_leaf) for s, g in zip(structure, given, strict=True))


def spec_of(element: Any) -> Any:
    """Return shapes and types of an element's leaves."""

    def spec(leaf: Any) -> Any:
        if isinstance(leaf, str):
            return TensorSpec((), np.dtype(str))
        if isinstance(leaf, np.ndarray):
            return TensorSpec(leaf.shape, leaf.dtype)
        return leaf.element_spec

    return map_leaves(spec, element)
