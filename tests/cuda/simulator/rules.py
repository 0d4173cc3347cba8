"""Where CuPy 14.2 decides otherwise than NumPy: what it takes, and what it makes of it.

What this rests on is told beside each rule, as a file of CuPy's sources.
"""

import functools
import inspect
import json
import math
import operator
from pathlib import Path

import numpy as np

NAMES = json.loads((Path(__file__).parents[2] / "oracles/cupy_names.json").read_text())

# What calls take.


@functools.cache
def signature(parameters):
    """Return the signature of parameters that are written as text."""
    return inspect.signature(eval(f"lambda {parameters}: None"))


def check_call(name, parameters, args, kwargs):
    """Refuse arguments that CuPy's function of that name does not take."""
    try:
        signature(parameters).bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}() {error} (CuPy takes {parameters})") from None


def check_method(name, args, kwargs):
    """Refuse what a method of cupy.ndarray does not take."""
    parameters = NAMES["array"][name]
    check_call(f"ndarray.{name}", parameters, args, kwargs)
    if name == "astype":  # _core/core.pyx, _astype: keywords that are there only to be refused
        given = signature(parameters).bind(*args, **kwargs).arguments
        for unsupported in ("casting", "subok"):
            if given.get(unsupported) is not None:
                raise TypeError(f"{unsupported} is not supported yet")
    _check_sort(name, args, kwargs)


def check_function(name, kind, args, kwargs):
    """Refuse what one of CuPy's functions does not take.

    Args:
        name: of the function.
        kind: the class of arrays.
        args: its arguments.
        kwargs: its named arguments.
    """
    check_call(name, NAMES["functions"][name], args, kwargs)
    if isinstance(getattr(np, name), np.ufunc):
        for value in args:
            check_operand(value, kind)
        out = kwargs.get("out")
        if out is not None and not isinstance(out, kind):
            raise TypeError("Output arguments type must be cupy.ndarray")
    if name == "where" and len(args) + len(kwargs) == 3:  # _sorting/search.py, where
        if not isinstance(args[0], kind):
            raise AttributeError(f"{type(args[0]).__name__!r} object has no attribute 'astype'")
        for value in args[1:]:
            check_operand(value, kind)
    _check_sort(name, args, kwargs)


def _check_sort(name, args, kwargs):
    """As _core/core.pyx, _check_kind_sort: all sorting is stable, and no other is offered."""
    if name in ("sort", "argsort") and kwargs.get("kind") not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")


def check_operand(value, kind):
    """Refuse what neither is an array nor becomes the argument of a kernel.

    As _core/_scalar.pyx, CScalar: Python's and NumPy's numbers, and neither lists nor None.
    """
    number = type(value) in (bool, int, float, complex) or (
        isinstance(value, np.generic) and value.dtype.char in "?bBhHiIlLqQefdFD"
    )
    if not number and not isinstance(value, kind):
        raise TypeError(f"Unsupported type {type(value)}")


def is_compared_with_nothing(compute, value):
    """Return whether an array is asked whether it equals None, which CuPy answers."""
    return compute in (operator.eq, operator.ne) and value is None


def check_assigned(key, value, kind):
    """Refuse lists and the like where an array is assigned to a slice.

    As _core/_routines_indexing.pyx, _scatter_op, which leaves them to ndarray.fill.
    """
    if not isinstance(value, kind) and np.ndim(value) and not holds_places(key):
        raise ValueError("non-scalar numpy.ndarray cannot be used for fill")


def check_types(**given):
    """Refuse arguments that a compiled function of CuPy's cannot take for their type."""
    for name, (value, kind) in given.items():
        if not isinstance(value, kind):
            raise TypeError(f"Argument {name!r} has incorrect type (expected {kind.__name__})")


def check_launch(grid, block, error):
    """Refuse grids and blocks that no card starts (CUDA C++ Programming Guide, table 30)."""
    grid, block = ((*sizes, 1, 1)[:3] for sizes in (grid, block))
    fits = grid[0] < 2**31 and max(grid[1:]) <= 65535
    if not fits or math.prod(block) > 1024 or block[2] > 64:
        raise error("CUDA_ERROR_INVALID_VALUE: invalid argument")


class Flags:
    """As cupy._core.flags.Flags, which knows less than NumPy's."""

    def __init__(self, flags):
        self.c_contiguous, self.f_contiguous = flags.c_contiguous, flags.f_contiguous
        self.owndata = flags.owndata

    def __getitem__(self, name):
        return {
            "C_CONTIGUOUS": self.c_contiguous,
            "F_CONTIGUOUS": self.f_contiguous,
            "OWNDATA": self.owndata,
        }[name]


# What becomes of it.

#: Results that lie in memory as NumPy lays them: as the operand's axes lie, or as is asked for. All
#: others are in rows, as all that a kernel of CuPy's makes (_core/_kernel.pyx,
#: _get_out_args_from_optionals).
LIKE = {"astype", "array", "zeros_like", "ones_like", "full_like", "empty_like", "<lambda>", "copy"}


def keeps_order(name):
    """Return whether a result that is no view lies in memory as NumPy would lay it."""
    return name in LIKE


REDUCING = {"sum", "prod", "max", "min", "amax", "amin"}


def reduces_columns(name, function, given):
    """Return whether an array that lies in columns is reduced, which may leave it so.

    As cupy/cuda/cub.pyx, device_segmented_reduce: by the axes that are reduced, it does or not.
    """
    array = getattr(function, "__self__", given[0] if given else None)
    return name in REDUCING and isinstance(array, np.ndarray) and array.flags.fnc


def in_columns(function):
    """Return a function whose results lie in columns."""

    @functools.wraps(function)
    def computed(*args, **kwargs):
        return np.asarray(function(*args, **kwargs), order="F")

    return computed


#: What joins arrays. More than eight are joined by one kernel, which is sent their addresses
#: (_core/_routines_manipulation.pyx, _concatenate).
JOINING = {"concatenate", "concat", "stack", "hstack", "vstack", "dstack", "column_stack"}


def joins_by_pointers(given):
    """Return whether addresses are copied to the card in order to join arrays."""
    arrays = given[0]
    size = sum(a.nbytes for a in arrays)
    return len(arrays) > 8 and len({a.dtype for a in arrays}) == 1 and size < len(arrays) << 21


def holds_list(key):
    """Return whether a key has places in a list, which are copied to the card."""
    return any(isinstance(part, list) for part in (key if isinstance(key, tuple) else (key,)))


def holds_places(key):
    """Return whether a key has places or a mask, rather than slices and numbers alone."""
    parts = key if isinstance(key, tuple) else (key,)
    return any(isinstance(part, np.ndarray | list) for part in parts)


def _wrapped_key(array, key):
    """Return a key whose places beyond an axis are counted on from its begin.

    As the note at ndarray.__getitem__ in _core/core.pyx: CuPy does not look whether they fit.
    """
    parts = list(key) if isinstance(key, tuple) else [key]
    if not any(isinstance(p, np.ndarray | list) and np.asarray(p).dtype != bool for p in parts):
        return key
    used = [_axes_of(p) for p in parts]
    axis = 0
    for i, part in enumerate(parts):
        if isinstance(part, np.ndarray | list) and np.asarray(part).dtype.kind in "iu":
            parts[i] = np.mod(part, array.shape[axis]) if array.shape[axis] else np.asarray(part)
        axis += array.ndim - sum(used) if part is Ellipsis else used[i]
    return tuple(parts)


def _axes_of(part):
    if part is None or part is Ellipsis:
        return 0
    mask = isinstance(part, np.ndarray) and part.dtype == bool
    return part.ndim if mask else 1


def wrapping_getitem(array, key):
    """Return array[key] as CuPy does."""
    return array[_wrapped_key(array, key)]


def wrapping_setitem(array, key, value):
    """Do array[key] = value as CuPy does; where a place is named twice, what stays is undefined."""
    key = _wrapped_key(array, key)
    array[key] = value
    if array.dtype.kind == "f" and holds_places(key):
        counts = np.zeros(array.shape, np.int32)
        np.add.at(counts, key, 1)
        array[counts > 1] = np.nan
