"""The macro-kernel: the one loop around the micro-kernel that all three maps of convolution run.

A thread takes a band of an image, packs it with its padding to where it stays in the cache, sweeps
over its rows with the micro-tiles of each, and finishes them: the epilogue. The files beside this
one find the micro-tiles and the steps of each map.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from minicnn.kernels.compiled.arguments import arguments, call_at
from minicnn.kernels.compiled.bands import copy_band, depth_to_space, pool
from minicnn.kernels.compiled.compiling import parallel
from minicnn.kernels.compiled.microkernel import EXACT, T_A, T_B, T_C, T_K1, T_ROW, micro_kernels
from minicnn.kernels.compiled.tile import ahead, pointer
from minicnn.kernels.compiled.winograd import from_winograd, to_winograd

__all__ = ["MacroKernel", "contract"]


class MacroKernel(NamedTuple):
    """One contraction: sizes and steps that all its micro-tiles share."""

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
    epilogue: int


#: What becomes of the rows of C: they are the result; they are sums over all images, one set for
#: each thread; or they are scratch, from which pixels are taken apart, pooled, or, after Winograd,
#: computed.
PLAIN, SUMS, DEPTH_TO_SPACE, POOL, WINOGRAD = 0, 1, 2, 3, 4


@parallel(**EXACT)
def _macro_kernel(t, given):
    """Do one thread's share: pack a band, run its micro-tiles, finish its rows."""
    (micro_kernel, threads, macro, tiles, a_layout, A, a_shown, a_indices, b_layout, B, b_shown,
     b_indices, bias, C, epilogue, out, indices, scratch) = arguments(given)  # fmt: skip
    scratch, (count, columns) = ahead(pointer(scratch), t * scratch.shape[1]), tiles.shape
    tiles, bias, out, indices = pointer(tiles), pointer(bias), pointer(out), pointer(indices)
    A, a_shown, a_indices = pointer(A), pointer(a_shown), pointer(a_indices)
    B, b_shown, b_indices = pointer(B), pointer(b_shown), pointer(b_indices)
    bands = -(-macro.swept // macro.band)
    work = macro.images * bands
    left, right, rows_of_c = A, B, pointer(C)
    if a_layout.copied:
        left = scratch
    if b_layout.copied:
        right = ahead(scratch, macro.a_scratch)
    if macro.epilogue != PLAIN:
        rows_of_c = ahead(scratch, macro.a_scratch + macro.b_scratch)
    sums = ahead(rows_of_c, macro.sums)
    transformed = ahead(scratch, macro.a_scratch)
    if macro.epilogue == SUMS:
        for i in range(macro.c_scratch):
            rows_of_c[i] = 0
    for item in range(work * t // threads, work * (t + 1) // threads):
        n, first = item // bands, item % bands * macro.band
        last = min(first + macro.band, macro.swept)
        a_first = b_first = c_first = 0
        if a_layout.copied:
            copy_band(a_layout, A, a_shown, a_indices, n, first, last - first,
                       last == macro.swept, left, sums)  # fmt: skip
        else:
            a_first = (n * a_layout.height + first * a_layout.step) * a_layout.row
        if b_layout.copied:
            copy_band(b_layout, B, b_shown, b_indices, n, first, last - first,
                       last == macro.swept, right, sums)  # fmt: skip
        else:
            b_first = (n * b_layout.height + first * b_layout.step) * b_layout.row
        if macro.epilogue == PLAIN:
            c_first = n * macro.c_image
        elif macro.epilogue >= DEPTH_TO_SPACE:
            c_first = -first * macro.c_step
        for q in range(first, last):
            a_here = a_first + (q - first) * a_layout.step * a_layout.width
            b_here = b_first + (q - first) * b_layout.step * b_layout.width
            source = left
            if macro.epilogue == WINOGRAD:
                to_winograd(epilogue, ahead(left, a_here), a_layout.width, transformed)
                source, a_here = transformed, 0
            for k in range(count):
                tile = ahead(tiles, k * columns)
                row = q * macro.row_step + tile[T_ROW]
                k1 = min(tile[T_K1], macro.k1_total - q * macro.k1_step)
                if 0 <= row < macro.c_rows and (k1 > 0 or tile[T_K1] == 0):
                    c = c_first + row * macro.c_step + tile[T_C]
                    a, b = ahead(source, a_here + tile[T_A]), ahead(right, b_here + tile[T_B])
                    call_at(micro_kernel, (tile, k1, a, b, bias, ahead(rows_of_c, c)))
            if macro.epilogue == WINOGRAD:
                from_winograd(epilogue, q, n, rows_of_c, bias, out, indices)
        if macro.epilogue == DEPTH_TO_SPACE:
            depth_to_space(epilogue, last - first, first, n, rows_of_c, out)
        elif macro.epilogue == POOL:
            pool(epilogue, last - first, first, n, rows_of_c, out, indices)


def contract(threads: int, *given: Any) -> None:
    """Run the macro-kernel in so many threads."""
    if not micro_kernels.cache_info().currsize:
        # First, as a second process may be at the micro-kernels.
        _macro_kernel.prepared((0, threads, *given))
    _macro_kernel(threads, micro_kernels(given[-1].dtype).address, threads, *given)
