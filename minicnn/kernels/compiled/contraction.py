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
import numpy as np
from numba import literal_unroll, prange, types
from numpy.typing import NDArray

from minicnn.kernels.compiled.tile import (
    ROWS,
    add_outer_product,
    add_rows,
    ahead,
    call_at,
    opaque,
    pointer,
    relu,
    repeat_row,
    store_rows,
    zeros,
)  # fmt: skip

__all__ = ["Finish", "Image", "Sweep", "contract"]

Array = NDArray[Any]


#: What a tile starts from.
FROM_ZERO, FROM_BIAS, FROM_C = 0, 1, 2

#: The columns of a table of strips; a strip is the work of one tile, repeated for each row.
#: rows, vectors: the tile's size; count: lanes of its last vector that belong to C; a, b, c: where
#: it begins; row: the row of C, counted from the row that is swept; k1, k2, b1: as in the sum
#: above; start, clip: what it starts from, and whether ReLU follows; first: its place in the bias.
STRIP = (
    "rows", "vectors", "count", "a", "b", "c", "row", "k1", "k2", "b1", "start", "clip", "first",
)  # fmt: skip


class Image(NamedTuple):
    """How a band of an image comes to a thread: in place, or copied with its padding.

    A row of the copy is `left` zeros, the image's row and zeros up to `width` numbers. `pool` is
    not 0 where the image is the gradient of a max-pool with that stride: its copy is as large as
    what was pooled, with each number put back where the maximum was.
    """

    copied: int
    masked: int
    summed: int  # whether the sums of its channels are wanted, too
    height: int
    row: int  # numbers in a row of the image
    channels: int
    first: int  # image row under the first row of the first band
    step: int  # image rows from one swept row to the next
    rows: int  # image rows under one swept row
    left: int
    width: int
    pool_height: int
    pool_width: int
    pooled_height: int
    pooled_width: int


class Sweep(NamedTuple):
    """One contraction: sizes and steps that all its strips share."""

    images: int
    swept: int  # rows swept in one image
    band: int  # rows swept in one piece of work
    a_row: int
    a1: int
    a2: int
    b2: int
    c_row: int
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
#: each thread; or they are scratch, from which pixels are taken apart or pooled.
PLAIN, SUMS, SPREAD, POOL = 0, 1, 2, 3


class Finish(NamedTuple):
    """The result that is made from scratch rows of C."""

    height: int
    width: int
    channels: int
    block_height: int
    block_width: int
    top: int
    left: int
    line: int  # pixels in a scratch row


_serial = numba.njit(error_model="numpy", fastmath={"contract"})


@_serial
def _tile(rows, vectors, s, sweep, A, a, B, b, k1, bias, C, c):
    """The micro-kernel: one tile of C, from its first product to its last in registers."""
    total = zeros(C, numba.literally(rows), numba.literally(vectors))
    if s[10] == FROM_BIAS:
        total = repeat_row(total, bias, s[12])
    for i in range(k1):
        left, below = a + i * sweep.a1, b + i * s[9]
        for _ in range(s[8]):
            total = add_outer_product(total, A, left, sweep.a_row, B, below)
            left, below = opaque(left + sweep.a2), below + sweep.b2
    if s[10] == FROM_C:
        total = add_rows(total, C, c, sweep.c_row, s[2])
    if s[11]:
        total = relu(total)
    store_rows(total, C, c, sweep.c_row, s[2])


COLUMNS = len(STRIP)
#: Channel sums that are gathered side by side.
MOST_SUMS = 64
SIZES = tuple(range(1, ROWS + 1))


@_serial
def _strip(s, sweep, A, a, B, b, k1, bias, C, c):
    """Run the tile of a strip's size: the compiler has made one of each."""
    for rows in literal_unroll(SIZES):
        if s[0] == rows:
            if s[1] == 2:
                _tile(rows, 2, s, sweep, A, a, B, b, k1, bias, C, c)
            else:
                _tile(rows, 1, s, sweep, A, a, B, b, k1, bias, C, c)


@_serial
def _copy_band(image, data, truth, where, n, swept, band, is_last, out, sums):
    """Copy the rows under a band into `out`, padded; masked by `truth`, unpooled by `where`."""
    body = min(image.row, image.width - image.left)
    for r in range((band - 1) * image.step + image.rows):
        h = swept * image.step + image.first + r
        o = r * image.width
        if h < 0 or h >= image.height:
            for j in range(o, o + image.width):
                out[j] = 0
            continue
        for j in range(o, o + image.left):
            out[j] = 0
        o += image.left
        for j in range(o + body, o + image.width - image.left):
            out[j] = 0
        i = (n * image.height + h) * image.row
        if image.pool_height > 0:
            _unpool_row(image, data, truth, where, n, h, o, body, out)
        elif image.masked:
            for j in range(body):
                out[o + j] = data[i + j] if truth[i + j] > 0 else 0
        else:
            for j in range(body):
                out[o + j] = data[i + j]
        # Neighbouring bands share rows; each row counts in the band that steps over it.
        if image.summed and (is_last or r < band * image.step):
            _add_channels(image.channels, image.row, out, o, sums)


@_serial
def _add_channels(channels, row, out, o, sums):
    """Add a row's numbers to the sums of their channels: first within the row, for precision."""
    # Several pixels side by side fill the vectors that few channels would leave empty.
    period = channels * max(1, MOST_SUMS // channels)
    part = ahead(sums, channels)
    for j in range(period):
        part[j] = 0
    whole = row // period * period
    for i in range(o, o + whole, period):
        for j in range(period):
            part[j] += out[i + j]
    for j in range(row - whole):
        part[j] += out[o + whole + j]
    for i in range(0, period, channels):
        for c in range(channels):
            sums[c] += part[i + c]


@_serial
def _unpool_row(image, data, truth, where, n, h, o, body, out):
    """Write row h of what was pooled: each window's gradient at its maximum, zero elsewhere."""
    p, channels = h // image.pool_height, image.channels
    columns = min(image.pooled_width * image.pool_width, body // channels)
    if p >= image.pooled_height:
        columns = 0
    first = (n * image.pooled_height + p) * image.pooled_width * channels
    for w in range(columns):
        i, d = first + w // image.pool_width * channels, o + w * channels
        place = np.int32(h * (image.row // channels) + w)
        if image.masked:
            for c in range(channels):
                here = (where[i + c] == place) & (truth[i + c] > 0)
                out[d + c] = data[i + c] if here else 0
        else:
            for c in range(channels):
                out[d + c] = data[i + c] if where[i + c] == place else 0
    for j in range(o + columns * channels, o + body):
        out[j] = 0


@_serial
def _spread(f, rows, swept, n, scratch, out):
    """Take the pixels of each block apart that a thin layer computed as channels of one pixel."""
    wide = f.block_width * f.channels
    for q in range(rows):
        for r in range(f.block_height):
            h = (swept + q) * f.block_height + r - f.top
            if 0 <= h < f.height:
                o = (n * f.height + h) * f.width * f.channels
                for p in range(f.line):
                    s = ((q * f.line + p) * f.block_height + r) * wide
                    w = p * wide - f.left * f.channels
                    for j in range(max(-w, 0), min(wide, f.width * f.channels - w)):
                        out[o + w + j] = scratch[s + j]


@_serial
def _pool(block_height, block_width, f, rows, swept, n, scratch, out, where):
    """Take the largest number of each block, and its place, as the max-pool does."""
    height, width = numba.literally(block_height), numba.literally(block_width)
    line, channels = f.line * f.channels, f.channels
    for oh in range(swept // height, min((swept + rows) // height, f.height)):
        for ow in range(f.width):
            o = ((n * f.height + oh) * f.width + ow) * channels
            s = (oh * height - swept) * line + ow * width * channels
            first = np.int32(oh * height * f.line + ow * width)
            for c in range(channels):
                largest, place = scratch[s + c], first
                for i in range(height):
                    for j in range(width):
                        value = scratch[s + c + i * line + j * channels]
                        # `&` and `|` work on whole vectors; `and` and `or` would branch.
                        better = (value > largest) | ((value != value) & (largest == largest))
                        largest = value if better else largest
                        place = first + np.int32(i * f.line + j) if better else place
                out[o + c] = largest
                where[o + c] = place


@_serial
def _share(t, threads, sweep, strips, count, a_image, A, a_truth, a_where, b_image, B, b_truth,
           b_where, bias, C, finish, out, where, scratch):  # fmt: skip
    """Do one thread's share of a sweep: prepare a band, contract its strips, finish its rows."""
    bands = -(-sweep.swept // sweep.band)
    work = sweep.images * bands
    left, right, rows_of_c = A, B, C
    if a_image.copied:
        left = scratch
    if b_image.copied:
        right = ahead(scratch, sweep.a_scratch)
    if sweep.finish != PLAIN:
        rows_of_c = ahead(scratch, sweep.a_scratch + sweep.b_scratch)
    sums = ahead(rows_of_c, sweep.sums)
    if sweep.finish == SUMS:
        for i in range(sweep.c_scratch):
            rows_of_c[i] = 0
    for item in range(work * t // threads, work * (t + 1) // threads):
        n, first = item // bands, item % bands * sweep.band
        last = min(first + sweep.band, sweep.swept)
        a_first = b_first = c_first = 0
        if a_image.copied:
            _copy_band(a_image, A, a_truth, a_where, n, first, last - first,
                       last == sweep.swept, left, sums)  # fmt: skip
        else:
            a_first = (n * a_image.height + first * a_image.step) * a_image.row
        if b_image.copied:
            _copy_band(b_image, B, b_truth, b_where, n, first, last - first,
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
            for k in range(count):
                s = ahead(strips, k * COLUMNS)
                row = q * sweep.row_step + s[6]
                k1 = min(s[7], sweep.k1_total - q * sweep.k1_step)
                if 0 <= row < sweep.c_rows and (k1 > 0 or s[7] == 0):
                    _strip(s, sweep, left, a_here + s[3], right, b_here + s[4], k1, bias,
                           rows_of_c, c_first + row * sweep.c_step + s[5])  # fmt: skip
        if sweep.finish == SPREAD:
            _spread(finish, last - first, first, n, rows_of_c, out)
        elif sweep.finish == POOL:
            _pool(2, 2, finish, last - first, first, n, rows_of_c, out, where)


def _signature(number: Any) -> Any:
    """Return the types of `_share`'s arguments for one type of numbers."""
    numbers, places = types.CPointer(number), types.CPointer(types.int32)
    image = types.NamedUniTuple(types.int64, len(Image._fields), Image)
    return types.void(
        types.int64, types.int64,
        types.NamedUniTuple(types.int64, len(Sweep._fields), Sweep),
        types.CPointer(types.int64), types.int64,
        image, numbers, numbers, places,
        image, numbers, numbers, places,
        numbers, numbers,
        types.NamedUniTuple(types.int64, len(Finish._fields), Finish),
        numbers, places, numbers,
    )  # fmt: skip


@numba.njit(parallel=True, cache=True, error_model="numpy")
def _launch(address, threads, sweep, strips, a_image, A, a_truth, a_where, b_image, B, b_truth,
            b_where, bias, C, finish, out, where, scratch):  # fmt: skip
    for t in prange(threads):
        mine = ahead(pointer(scratch), t * scratch.shape[1])
        call_at(
            address,
            (t, threads, sweep, pointer(strips), len(strips), a_image, pointer(A),
             pointer(a_truth), pointer(a_where), b_image, pointer(B), pointer(b_truth),
             pointer(b_where), pointer(bias), pointer(C), finish, pointer(out), pointer(where),
             mine),
        )  # fmt: skip


@functools.cache
def _address(dtype: Any) -> int:
    """Return where the machine code for one type of numbers is, compiled when first asked for."""
    number = numba.from_dtype(dtype)
    compiled: Any = numba.cfunc(_signature(number), cache=True)(_share.py_func)
    return int(compiled.address)


def contract(
    threads: int, sweep: Sweep, strips: Array, a_image: Image, A: Array, *arrays: Any
) -> None:
    """Run a sweep in so many threads."""
    _launch(_address(A.dtype), threads, sweep, strips, a_image, A, *arrays)
