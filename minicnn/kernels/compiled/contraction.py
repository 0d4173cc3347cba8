"""The one loop that the three maps of convolution run on the register tile.

Each of the three maps, written out, is the same sum over flat buffers, with other steps:

    C[c + r*c_row + v] = sum over i, k of A[a + r*a_row + i*a1 + k*a2] * B[b + i*b1 + k*b2 + v]

For the convolution, r counts the pixels of an output row and v its channels, A is the image and B
the kernel; the files beside this one find the steps of each map. The sum is fast when a tile of C,
some rows by two vectors, stays in registers from the first product to the last. LLVM never arranges
that by itself, whatever the loops look like, so plain loops are 2 to 12 times slower.

`_tile` is the lesson: for each i, k it adds the outer product of a column of A with a row of B. The
rest brings it its work: a thread takes a band of an image, copies it with its padding to where it
stays in the cache, runs the tiles of all its strips, and finishes the rows.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numba
from numba import literal_unroll, types

from minicnn.kernels.compiled.arguments import arguments, call_at
from minicnn.kernels.compiled.bands import copy_band, pool, spread
from minicnn.kernels.compiled.compiling import machine_code, parallel
from minicnn.kernels.compiled.tile import (
    ROWS,
    add_outer_product,
    add_rows,
    ahead,
    opaque,
    pointer,
    relu,
    repeat_row,
    store_rows,
    zeros,
)
from minicnn.kernels.compiled.winograd import finish_winograd, to_winograd

__all__ = ["SIZES", "Strip", "Sweep", "contract"]

#: What a tile starts from.
FROM_ZERO, FROM_BIAS, FROM_C = 0, 1, 2


class Strip(NamedTuple):
    """The work of one tile, repeated for each swept row: one line in the engine's table."""

    rows: int
    vectors: int
    tail: int  # lanes of the last vector that belong to C
    a: int  # where the tile begins in the buffers
    b: int
    c: int
    row: int  # its row of C, counted from the row that is swept
    k1: int  # the lengths of the two sums
    k2: int
    start: int  # what it starts from
    clip: int  # whether ReLU follows
    bias: int  # its place in the bias
    a_row: int  # the steps, as in the sum above
    a1: int
    a2: int
    b1: int
    b2: int
    c_row: int


(
    S_ROWS, S_VECTORS, S_TAIL, S_A, S_B, S_C, S_ROW, S_K1, S_K2, S_START, S_CLIP, S_BIAS,
    S_A_ROW, S_A1, S_A2, S_B1, S_B2, S_C_ROW,
) = range(len(Strip._fields))  # fmt: skip
COLUMNS = len(Strip._fields)


class Sweep(NamedTuple):
    """One contraction: sizes and steps that all its strips share."""

    images: int
    swept: int  # rows swept in one image
    band: int  # rows swept in one piece of work
    k1_step: int  # rows that one swept row adds to a sum; 0 if each has its own rows of C
    k1_total: int
    row_step: int  # rows of C from one swept row to the next
    c_rows: int  # rows of C in an image
    c_step: int  # numbers in a row of C
    c_image: int  # numbers in an image of C
    a_scratch: int  # numbers of a thread's scratch for each operand
    b_scratch: int
    c_scratch: int
    sums: int  # where in the scratch rows of C the sums of channels are
    finish: int


#: What becomes of the rows of C: they are the result; they are sums over all images, one set for
#: each thread; or they are scratch, from which pixels are taken apart, pooled, or, after Winograd,
#: computed.
PLAIN, SUMS, SPREAD, POOL, WINOGRAD = 0, 1, 2, 3, 4


_EXACT: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}
_serial = numba.njit(**_EXACT)


@_serial
def _tile(rows, vectors, s, k1, A, B, bias, C):
    """The micro-kernel: one tile of C, from its first product to its last in registers."""
    total = zeros(C, numba.literally(rows), numba.literally(vectors))
    if s[S_START] == FROM_BIAS:
        total = repeat_row(total, bias, s[S_BIAS])
    for i in range(k1):
        a, b = i * s[S_A1], i * s[S_B1]
        for _ in range(s[S_K2]):
            total = add_outer_product(total, A, a, s[S_A_ROW], B, b)
            a, b = opaque(a + s[S_A2]), b + s[S_B2]
    if s[S_START] == FROM_C:
        total = add_rows(total, C, 0, s[S_C_ROW], s[S_TAIL])
    if s[S_CLIP]:
        total = relu(total)
    store_rows(total, C, 0, s[S_C_ROW], s[S_TAIL])


#: Rows of the tiles that are compiled; each of the others would add a quarter of a second to the
#: start without a cache.
SIZES = tuple(n for n in (1, 2, 3, 4, 6, 8) if n <= ROWS)


def _strip(s, k1, A, B, bias, C):
    """Run the tile of a strip's size: the compiler has made one of each."""
    for rows in literal_unroll(SIZES):
        if s[S_ROWS] == rows:
            if s[S_VECTORS] == 2:
                _tile(rows, 2, s, k1, A, B, bias, C)
            else:
                _tile(rows, 1, s, k1, A, B, bias, C)


@parallel(**_EXACT)
def _share(t, given):
    """Do one thread's share of a sweep: prepare a band, contract its strips, finish its rows."""
    (strip, threads, sweep, strips, a_image, A, a_shown, a_indices, b_image, B, b_shown, b_indices,
     bias, C, finish, out, indices, scratch) = arguments(given)  # fmt: skip
    scratch, count = ahead(pointer(scratch), t * scratch.shape[1]), len(strips)
    strips, bias, out, indices = pointer(strips), pointer(bias), pointer(out), pointer(indices)
    A, a_shown, a_indices = pointer(A), pointer(a_shown), pointer(a_indices)
    B, b_shown, b_indices = pointer(B), pointer(b_shown), pointer(b_indices)
    bands = -(-sweep.swept // sweep.band)
    work = sweep.images * bands
    left, right, rows_of_c = A, B, pointer(C)
    if a_image.copied:
        left = scratch
    if b_image.copied:
        right = ahead(scratch, sweep.a_scratch)
    if sweep.finish != PLAIN:
        rows_of_c = ahead(scratch, sweep.a_scratch + sweep.b_scratch)
    sums = ahead(rows_of_c, sweep.sums)
    transformed = ahead(scratch, sweep.a_scratch)
    if sweep.finish == SUMS:
        for i in range(sweep.c_scratch):
            rows_of_c[i] = 0
    for item in range(work * t // threads, work * (t + 1) // threads):
        n, first = item // bands, item % bands * sweep.band
        last = min(first + sweep.band, sweep.swept)
        a_first = b_first = c_first = 0
        if a_image.copied:
            copy_band(a_image, A, a_shown, a_indices, n, first, last - first,
                       last == sweep.swept, left, sums)  # fmt: skip
        else:
            a_first = (n * a_image.height + first * a_image.step) * a_image.row
        if b_image.copied:
            copy_band(b_image, B, b_shown, b_indices, n, first, last - first,
                       last == sweep.swept, right, sums)  # fmt: skip
        else:
            b_first = (n * b_image.height + first * b_image.step) * b_image.row
        if sweep.finish == PLAIN:
            c_first = n * sweep.c_image
        elif sweep.finish >= SPREAD:
            c_first = -first * sweep.c_step
        for q in range(first, last):
            a_here = a_first + (q - first) * a_image.step * a_image.width
            b_here = b_first + (q - first) * b_image.step * b_image.width
            source = left
            if sweep.finish == WINOGRAD:
                to_winograd(finish, ahead(left, a_here), a_image.width, transformed)
                source, a_here = transformed, 0
            for k in range(count):
                s = ahead(strips, k * COLUMNS)
                row = q * sweep.row_step + s[S_ROW]
                k1 = min(s[S_K1], sweep.k1_total - q * sweep.k1_step)
                if 0 <= row < sweep.c_rows and (k1 > 0 or s[S_K1] == 0):
                    c = c_first + row * sweep.c_step + s[S_C]
                    a, b = ahead(source, a_here + s[S_A]), ahead(right, b_here + s[S_B])
                    call_at(strip, (s, k1, a, b, bias, ahead(rows_of_c, c)))
            if sweep.finish == WINOGRAD:
                finish_winograd(finish, q, n, rows_of_c, bias, out, indices)
        if sweep.finish == SPREAD:
            spread(finish, last - first, first, n, rows_of_c, out)
        elif sweep.finish == POOL:
            pool(finish, last - first, first, n, rows_of_c, out, indices)


@functools.cache
def strips(dtype: Any) -> Any:
    """Return the machine code that runs the tile of a strip of one type of numbers."""
    numbers = types.CPointer(numba.from_dtype(dtype))
    taken = types.CPointer(types.int64), types.int64, numbers, numbers, numbers, numbers
    return machine_code(_strip, taken, _EXACT)


def contract(threads: int, *given: Any) -> None:
    """Run a sweep in so many threads."""
    if not strips.cache_info().currsize:
        _share.prepared((0, threads, *given))  # first, as a second process may be at the tiles
    _share(threads, strips(given[-1].dtype).address, threads, *given)
