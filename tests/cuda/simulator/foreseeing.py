"""What the stand-in can say of a result before it is computed: shape, type, and whose memory."""

import numpy as np


def foreseen(function, given, named):
    """Return a result of the right shape and type; its numbers may be any."""
    untouched = [locked(v) for v in given]
    method = getattr(function, "__self__", None)
    if isinstance(method, np.ndarray):
        function = getattr(locked(method), function.__name__)
    with np.errstate(all="ignore"):
        try:
            return function(*untouched, **{k: locked(v) for k, v in named.items()})
        except IndexError:  # places that nobody has written yet
            return function(*map(without_places, untouched), **named)


def without_numbers(function, given, named):
    with np.errstate(all="ignore"):
        return function(*given, **named)


def locked(value):
    """Return the arrays in a value so that nobody can write to them."""
    if isinstance(value, np.ndarray):
        value = value[...]
        value.flags.writeable = False
        return value
    return type(value)(map(locked, value)) if isinstance(value, tuple | list) else value


def without_places(value):
    if isinstance(value, np.ndarray) and value.dtype.kind in "iu":
        return np.zeros_like(value)
    return type(value)(map(without_places, value)) if isinstance(value, tuple | list) else value


def holds_mask(key):
    parts = key if isinstance(key, tuple | list) else (key,)
    return any(isinstance(p, np.ndarray) and p.dtype == bool for p in parts)


def is_view(result, block):
    parts = result if isinstance(result, tuple | list) else (result,)
    return not all(isinstance(p, np.ndarray | np.generic) for p in parts) or any(
        block is not None and isinstance(p, np.ndarray) and np.may_share_memory(p, block.data)
        for p in parts
    )


def arrays_of(results):
    if isinstance(results, tuple | list):
        return [(new, i) for i, new in enumerate(results)]
    return [(results, None)]


def write(new, result, i):
    new[...] = result if i is None else result[i]
