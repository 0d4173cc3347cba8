"""Values in lists, tuples and dictionaries, one inside the other: inputs, results, shapes, batches.

As in Keras, the values of a dictionary are counted in the order of its sorted keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

__all__ = ["flatten", "holds_arrays", "is_shape", "mapped", "named", "never", "pack"]


_CONTAINERS = (list, tuple, dict)


def never(value: Any) -> bool:
    """Return False: no list is a leaf."""
    return False


def flatten(structure: Any, is_leaf: Callable[[Any], bool] = never) -> list[Any]:
    """Return the values of a structure in a row.

    >>> flatten({"b": [3, (4,)], "a": 1})
    [1, 3, 4]
    """
    if not isinstance(structure, _CONTAINERS) or is_leaf(structure):
        return [structure]
    found: list[Any] = []
    mapped(found.append, structure, is_leaf)
    return found


def mapped(
    function: Callable[[Any], Any], structure: Any, is_leaf: Callable[[Any], bool] = never
) -> Any:
    """Return the same structure with the function's results for its values.

    >>> mapped(lambda n: 10 * n, {"b": [3, (4,)], "a": 1})
    {'b': [30, (40,)], 'a': 10}
    """
    if not isinstance(structure, _CONTAINERS) or is_leaf(structure):
        return function(structure)
    if isinstance(structure, dict):
        found = {key: mapped(function, structure[key], is_leaf) for key in sorted(structure)}
        return {key: found[key] for key in structure}
    parts = [
        mapped(function, part, is_leaf) if isinstance(part, _CONTAINERS) else function(part)
        for part in structure
    ]
    if isinstance(structure, list):
        return parts
    return type(structure)(*parts) if hasattr(structure, "_fields") else tuple(parts)


def pack(structure: Any, values: Iterable[Any], is_leaf: Callable[[Any], bool] = never) -> Any:
    """Return a structure like the first one of values that `flatten` put in a row."""
    row = iter(values)
    return mapped(lambda _: next(row), structure, is_leaf)


def named(name: str, structure: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values with how one would write their places.

    >>> list(named("x", {"age": 1, "images": [2, 3]}))
    [("x['age']", 1), ("x['images'][0]", 2), ("x['images'][1]", 3)]
    """
    if isinstance(structure, _CONTAINERS):
        for key in structure if isinstance(structure, dict) else range(len(structure)):
            yield from named(f"{name}[{key!r}]", structure[key])
    else:
        yield name, structure


def holds_arrays(values: Any, least_axes: int = 0) -> bool:
    """Return whether a list or tuple is several arrays, and not one that is written in lists.

    Args:
        values: what came.
        least_axes: arrays of fewer axes count as numbers, default 0.

    >>> [holds_arrays(v) for v in ([np.ones(2)], [[np.ones(2)], 1], [[1, 2]], [{}], [np.int8(1)])]
    [True, True, False, True, False]
    """
    return any(
        isinstance(x, dict) or (getattr(x, "ndim", -1) >= least_axes and not np.isscalar(x))
        for x in values
    ) or (
        bool(values) and isinstance(values[0], list | tuple) and holds_arrays(values[0], least_axes)
    )


def is_shape(value: Any) -> bool:
    """Return whether a value is one shape, and not several.

    >>> [is_shape(s) for s in ((None, 3), [2, 3], [(None, 3)], {"a": (3,)})]
    [True, True, False, False]
    """
    return isinstance(value, list | tuple) and not any(
        isinstance(n, list | tuple | dict) for n in value
    )
