"""What the GPU does on whole arrays: rows added by place, arrays end to end, the error function."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicnn.kernels.cuda.device import Array, checked, cupy, empty, program

__all__ = ["add_at", "erf", "joined"]

#: Arrays that one launch joins; what tells of them goes to the kernel by value.
PIECES = 64


def erf(x: Array) -> Array:
    """Return the error function, element by element."""
    (x,) = checked("erf", x=(x, x.shape))
    y = empty("erf", x.shape, x.dtype)
    kernels = program("elementwise", x)
    kernels.over("error_function", y.size, x, y, kernels.offset(y.size))
    return y


def add_at(places: Array, values: Array, length: int) -> Array:
    """Return (length,C), the sums of the rows of `values` (M,C) that go to each place.

    result[p] = sum of values[m] over all m with places[m] = p

    Args:
        places: integers from 0 to length - 1, (M,).
        values: floats (M,C).
        length: rows of the result.
    """
    (values,) = checked("add_at", values=(values, (places.size, values.shape[1])))
    result = empty("add_at", (length, values.shape[1]), values.dtype)
    order = cupy().argsort(places)  # stable, as all of CuPy's sorting
    sorted_places = places[order].astype(np.int64, copy=False)
    kernels = program("indexing", values, result)
    kernels.over(
        "add_at", result.size, values, order, sorted_places, result, kernels.offset(result.size),
        kernels.offset(places.size), result.shape[1],
    )  # fmt: skip
    return result


def joined(arrays: Sequence[Array], out: Array | None = None) -> Array:
    """Return the numbers of arrays of one type end to end, each in row-major order.

    One kernel does it; CuPy takes one for each, or sends tables to the card.

    Args:
        arrays: at least one.
        out: where they are to lie, without gaps, default a new array.
    """
    named = {f"arrays[{i}]": (a, a.shape) for i, a in enumerate(arrays)}
    found = [a for a in checked("joined", **named) if a.size]
    size = sum(a.size for a in found)
    row = empty("joined", (size,), arrays[0].dtype) if out is None else out
    checked("joined", **{"arrays[0]": (arrays[0], arrays[0].shape), "out": (row, (size,))})
    kernels = program("joining", row, PIECES=PIECES)
    kind = np.dtype([("at", np.uint64, (PIECES,)), ("first", kernels.place, (PIECES,))])
    begin = 0
    for number in range(0, len(found), PIECES):
        some = found[number : number + PIECES]
        edges = np.cumsum([0, *(a.size for a in some)])
        pieces = np.zeros((), kind)
        pieces["at"][: len(some)] = [a.data.ptr for a in some]
        pieces["first"][: len(some)] = edges[:-1]
        part = row[begin : begin + int(edges[-1])]
        kernels.over("join", part.size, pieces, len(some), part, kernels.offset(part.size))
        begin += part.size
    return row
