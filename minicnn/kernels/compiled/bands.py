"""Bands of images: how rows come to a thread, and what becomes of those that it computed."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from minicnn.kernels.compiled.tile import ahead, load, store_rows

__all__ = ["MOST_SUMS", "Epilogue", "OperandLayout", "copy_band", "depth_to_space", "pool"]


class OperandLayout(NamedTuple):
    """How a band of an image comes to a thread: in place, or copied with its padding.

    A row of the copy is `left` zeros, the image's row and zeros up to `width` numbers. `pool` is
    not 0 where the image is the gradient of a max-pool with that stride: its copy is as large as
    what was pooled, with each number put back where the maximum was.
    """

    height: int
    row: int  # numbers in a row of the image
    channels: int
    first: int  # image row under the first row of the first band
    step: int  # image rows from one swept row to the next
    rows: int  # image rows under one swept row
    left: int
    width: int
    copied: int = 1
    masked: int = 0
    summed: int = 0  # whether the sums of its channels are wanted, too
    pool_height: int = 0
    pool_width: int = 0
    pooled_height: int = 0
    pooled_width: int = 0


class Epilogue(NamedTuple):
    """The result that is made from scratch rows of C."""

    height: int
    width: int
    channels: int
    block_height: int
    block_width: int
    top: int
    left: int
    line: int  # pixels in a scratch row
    lanes: int
    tiles: int = 0  # for Winograd: tiles in a row, channels taken, and what follows
    taken: int = 0
    biased: int = 0
    clip: int = 0
    pooled: int = 0
    above: int = 0  # rows before the pool


_serial = numba.njit(error_model="numpy", fastmath={"contract"})

#: Channel sums that are gathered side by side.
MOST_SUMS = 64


@_serial
def copy_band(image, data, relu_output, indices, n, swept, band, is_last, out, sums):
    """Copy the rows under a band into `out`, padded, behind its ReLU and its max-pool."""
    # With a long stride, all that the kernel sees may be padding.
    margin = min(image.left, image.width)
    body = min(image.row, image.width - margin)
    for r in range((band - 1) * image.step + image.rows):
        h = swept * image.step + image.first + r
        o = r * image.width
        if h < 0 or h >= image.height:
            for j in range(o, o + image.width):
                out[j] = 0
            continue
        for j in range(o, o + margin):
            out[j] = 0
        o += margin
        for j in range(o + body, o + image.width - margin):
            out[j] = 0
        i = (n * image.height + h) * image.row
        if image.pool_height > 0:
            unpool_row(image, data, relu_output, indices, n, h, o, body, out)
        elif image.masked:
            for j in range(body):
                out[o + j] = data[i + j] if relu_output[i + j] > 0 else 0
        else:
            for j in range(body):
                out[o + j] = data[i + j]
        # Neighbouring bands share rows; each row counts in the band that steps over it.
        if image.summed and (is_last or r < band * image.step):
            add_channels(image.channels, image.row, out, o, sums)


@_serial
def add_channels(channels, row, out, o, sums):
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
def unpool_row(image, data, relu_output, indices, n, h, o, body, out):
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
                here = (indices[i + c] == place) & (relu_output[i + c] > 0)
                out[d + c] = data[i + c] if here else 0
        else:
            for c in range(channels):
                out[d + c] = data[i + c] if indices[i + c] == place else 0
    for j in range(o + columns * channels, o + body):
        out[j] = 0


@_serial
def depth_to_space(f, rows, swept, n, scratch, out):
    """Take the pixels of each block apart that a thin layer computed as channels of one pixel."""
    wide = f.block_width * f.channels
    for q in range(rows):
        for r in range(f.block_height):
            h = (swept + q) * f.block_height + r - f.top
            if 0 <= h < f.height:
                o = (n * f.height + h) * f.width * f.channels
                first = f.left * f.channels
                for p in range(f.line):
                    s = ((q * f.line + p) * f.block_height + r) * wide
                    w = p * wide - first
                    if w >= 0 and wide <= f.lanes and w + f.lanes <= f.width * f.channels:
                        # A whole vector: what it writes too much, the next block overwrites.
                        block = load(scratch, s)
                        store_rows(block, out, o + w, 0, f.lanes)
                    else:
                        for j in range(max(-w, 0), min(wide, f.width * f.channels - w)):
                            out[o + w + j] = scratch[s + j]


@_serial
def pool(f, rows, swept, n, scratch, out, indices):
    """Take the largest number of each block of 2x2, and its place, as the max-pool does."""
    line, channels = f.line * f.channels, f.channels
    for oh in range(swept // 2, min((swept + rows) // 2, f.height)):
        for ow in range(f.width):
            o = ((n * f.height + oh) * f.width + ow) * channels
            s = (2 * oh - swept) * line + 2 * ow * channels
            first = np.int32(2 * oh * f.line + 2 * ow)
            for c in range(channels):
                largest, place = scratch[s + c], first
                for i in range(2):
                    for j in range(2):
                        value = scratch[s + c + i * line + j * channels]
                        # `&` and `|` work on whole vectors; `and` and `or` would branch.
                        better = (value > largest) | ((value != value) & (largest == largest))
                        largest = value if better else largest
                        place = first + np.int32(i * f.line + j) if better else place
                out[o + c] = largest
                indices[o + c] = place
