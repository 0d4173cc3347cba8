"""Several arrays end to end, by one kernel; CuPy takes one for each, or sends tables there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicnn.kernels.cuda.device import Array, checked, empty, program

__all__ = ["joined"]

#: Arrays that one launch joins; what tells of them goes to the kernel by value.
PIECES = 64


def joined(arrays: Sequence[Array], out: Array | None = None) -> Array:
    """Return the numbers of arrays of one type end to end, each in row-major order.

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
