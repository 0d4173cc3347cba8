"""The micro-kernel: why a product of matrices is fast, in ten lines.

Each of the three maps of convolution, written out, is the same sum over flat buffers, with other
steps:

    C[c + r*c_row + v] = sum over i, k of A[a + r*a_row + i*a1 + k*a2] * B[b + i*b1 + k*b2 + v]

For the convolution, r counts the pixels of an output row and v its channels, A is the image and B
the kernel. The sum is fast when a micro-tile of C, some rows by two vectors, stays in registers
from the first product to the last: each number of A is met by a whole row of B, each row of B by a
whole column of A. LLVM never arranges that by itself, whatever the loops look like, so plain loops
are 2 to 12 times slower.

The words are those of BLIS: the macro-kernel (macrokernel.py) brings micro-tiles to the
micro-kernel, from operands that were packed into panels, and the epilogue finishes what they were.

Source: F. Van Zee and R. van de Geijn, BLIS: a framework for rapidly instantiating BLAS
functionality, 2015, section 4.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numba
from numba import literal_unroll, types

from minicnn.kernels.compiled.compiling import machine_code
from minicnn.kernels.compiled.tile import (
    ROWS,
    add_outer_product,
    add_rows,
    opaque,
    relu,
    repeat_row,
    store_rows,
    zeros,
)

__all__ = ["EXACT", "FROM_BIAS", "FROM_C", "FROM_ZERO", "SIZES", "MicroTile", "micro_kernels"]

#: What a micro-tile starts from.
FROM_ZERO, FROM_BIAS, FROM_C = 0, 1, 2


class MicroTile(NamedTuple):
    """The work on one micro-tile, repeated for each swept row: one line in the engine's table."""

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
    T_ROWS, T_VECTORS, T_TAIL, T_A, T_B, T_C, T_ROW, T_K1, T_K2, T_START, T_CLIP, T_BIAS,
    T_A_ROW, T_A1, T_A2, T_B1, T_B2, T_C_ROW,
) = range(len(MicroTile._fields))  # fmt: skip

EXACT: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}


@numba.njit(**EXACT)
def micro_kernel(rows, vectors, t, k1, A, B, bias, C):
    """Compute one micro-tile of C: for each i, k, a column of A times a row of B."""
    total = zeros(C, numba.literally(rows), numba.literally(vectors))
    if t[T_START] == FROM_BIAS:
        total = repeat_row(total, bias, t[T_BIAS])
    for i in range(k1):
        a, b = i * t[T_A1], i * t[T_B1]
        for _ in range(t[T_K2]):
            total = add_outer_product(total, A, a, t[T_A_ROW], B, b)
            a, b = opaque(a + t[T_A2]), b + t[T_B2]
    if t[T_START] == FROM_C:
        total = add_rows(total, C, 0, t[T_C_ROW], t[T_TAIL])
    if t[T_CLIP]:
        total = relu(total)
    store_rows(total, C, 0, t[T_C_ROW], t[T_TAIL])


#: Rows of the micro-tiles that are compiled; each of the others would add a quarter of a second to
#: the start without a cache.
SIZES = tuple(n for n in (1, 2, 3, 4, 6, 8) if n <= ROWS)


def _micro_tile(t, k1, A, B, bias, C):
    """Run the micro-kernel of a micro-tile's size: the compiler has made one of each."""
    for rows in literal_unroll(SIZES):
        if t[T_ROWS] == rows:
            if t[T_VECTORS] == 2:
                micro_kernel(rows, 2, t, k1, A, B, bias, C)
            else:
                micro_kernel(rows, 1, t, k1, A, B, bias, C)


@functools.cache
def micro_kernels(dtype: Any) -> Any:
    """Return the machine code that computes a micro-tile of one type of numbers."""
    numbers = types.CPointer(numba.from_dtype(dtype))
    taken = types.CPointer(types.int64), types.int64, numbers, numbers, numbers, numbers
    return machine_code(_micro_tile, taken, EXACT)
