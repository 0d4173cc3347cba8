"""Thin layers computed as wide ones: the pixels of a block of outputs become channels.

With one output channel, 15 of 16 lanes of a vector would be idle. But a convolution with F filters
is also one with F * BH * BW filters, of which each sees its own pixel of a block of BH by BW
outputs: the kernel is laid into a larger one, once for each pixel of the block, and the stride
grows to the block. The larger kernel is partly zeros; the block is chosen so that zeros and idle
lanes together cost least. Afterwards the block's pixels are taken apart again ("sub-pixel
convolution", or depth to space). Finite numbers times zero are nothing; an infinity or a NaN in the
image spoils all pixels of the blocks that see it, a few more than it would directly.

Source: W. Shi et al., Real-time single image and video super-resolution using an efficient
sub-pixel convolutional neural network, 2016, section 2.2, there for the transposed convolution.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minicnn.geometry import Geometry
from minicnn.kernels.compiled.bands import Epilogue

__all__ = ["Block", "backward_block", "forward_block"]

Array = NDArray[Any]


class Block(NamedTuple):
    """A thin layer as a wide one."""

    geometry: Geometry  # of the wide convolution
    filters: int
    epilogue: Epilogue
    places: Array  # where in the wide kernel each number goes
    numbers: Array  # and which number of the kernel it is
    taken: int  # the kernel's axis of channels that the wide convolution takes

    def widened(self, kernel: Array) -> Array:
        """Return the wide kernel as matrices (1,K,F)."""
        g = self.geometry
        depth = g.kernel_height * g.kernel_width * kernel.shape[self.taken]
        large = np.zeros(depth * self.filters, kernel.dtype)
        large[self.places] = kernel.reshape(-1)[self.numbers]
        return large.reshape(1, depth, self.filters)


def _best(plain: float, candidates: Any) -> tuple[int, int] | None:
    """Return the block of the lowest cost, or None if the plain way is about as good."""
    cost, block = min(candidates)
    return block if cost < 0.8 * plain else None


def _vectors(n: int, width: int) -> int:
    return -(-n // width)


@functools.lru_cache(maxsize=512)
def forward_block(g: Geometry, channels: int, filters: int, width: int) -> Block | None:
    """Return a convolution with few filters as a wide one, or None if that would not be faster."""
    if g.groups > 1 or filters >= width:
        return None
    taps_h = (g.kernel_height - 1) * g.dilation_height + 1
    taps_w = (g.kernel_width - 1) * g.dilation_width + 1

    def cost(bh: int, bw: int) -> float:
        taps = (taps_h + (bh - 1) * g.stride_height) * (taps_w + (bw - 1) * g.stride_width)
        return taps * _vectors(bh * bw * filters, width) / (bh * bw)

    best = _best(
        g.kernel_height * g.kernel_width * _vectors(filters, width),
        ((cost(bh, bw), (bh, bw)) for bh, bw in _shapes(1, 1, filters, g, width)),
    )
    if best is None:
        return None
    bh, bw = best
    wide = g._replace(
        out_height=-(-g.out_height // bh), out_width=-(-g.out_width // bw),
        kernel_height=taps_h + (bh - 1) * g.stride_height,
        kernel_width=taps_w + (bw - 1) * g.stride_width,
        stride_height=bh * g.stride_height, stride_width=bw * g.stride_width,
        dilation_height=1, dilation_width=1,
        pad_bottom=1,  # the last block may reach below the image: its bands are copied
    )  # fmt: skip
    r, q, i, j, c, f = np.ogrid[:bh, :bw, : g.kernel_height, : g.kernel_width, :channels, :filters]
    row = r * g.stride_height + i * g.dilation_height
    column = q * g.stride_width + j * g.dilation_width
    place = (row * wide.kernel_width + column) * channels + c
    places = place * (bh * bw * filters) + (r * bw + q) * filters + f
    number = ((i * g.kernel_width + j) * channels + c) * filters + f
    epilogue = Epilogue(g.out_height, g.out_width, filters, bh, bw, 0, 0, wide.out_width, width)
    return Block(wide, bh * bw * filters, epilogue, places.reshape(-1),
                 np.broadcast_to(number, places.shape).reshape(-1), 2)  # fmt: skip


@functools.lru_cache(maxsize=512)
def backward_block(g: Geometry, channels: int, filters: int, width: int) -> Block | None:
    """Return an input gradient with few channels as a wide convolution of dy, or None."""
    if g.groups > 1 or channels >= width:
        return None
    reach_h = (g.kernel_height - 1) * g.dilation_height // g.stride_height
    reach_w = (g.kernel_width - 1) * g.dilation_width // g.stride_width

    def cost(bh: int, bw: int) -> float:
        taps = (reach_h + bh // g.stride_height) * (reach_w + bw // g.stride_width)
        return taps * _vectors(bh * bw * channels, width) / (bh * bw)

    stride = g.stride_height * g.stride_width
    best = _best(
        g.kernel_height * g.kernel_width * _vectors(channels, width) / stride,
        (
            (cost(bh, bw), (bh, bw))
            for bh, bw in _shapes(g.stride_height, g.stride_width, channels, g, width)
        ),
    )
    if best is None:
        return None
    bh, bw = best
    step_h, step_w = bh // g.stride_height, bw // g.stride_width
    # Block Q holds the rows h with h + pad = Q*bh + r; the rows above the image are left out.
    first_q, first_p = g.pad_top // bh, g.pad_left // bw
    wide = g._replace(
        in_height=g.out_height, in_width=g.out_width,
        out_height=(g.in_height - 1 + g.pad_top) // bh - first_q + 1,
        out_width=(g.in_width - 1 + g.pad_left) // bw - first_p + 1,
        kernel_height=reach_h + step_h, kernel_width=reach_w + step_w,
        stride_height=step_h, stride_width=step_w, dilation_height=1, dilation_width=1,
        pad_top=reach_h - first_q * step_h, pad_left=reach_w - first_p * step_w, pad_bottom=1,
    )  # fmt: skip
    if wide.pad_left < 0:
        return None
    r, q, i, j, c, f = np.broadcast_arrays(
        *np.ogrid[:bh, :bw, : g.kernel_height, : g.kernel_width, :channels, :filters]
    )
    row, column = r - i * g.dilation_height, q - j * g.dilation_width
    meets = (row % g.stride_height == 0) & (column % g.stride_width == 0)
    r, q, i, j, c, f, row, column = (a[meets] for a in (r, q, i, j, c, f, row, column))
    place = (row // g.stride_height + reach_h) * wide.kernel_width
    place = (place + column // g.stride_width + reach_w) * filters + f
    places = place * (bh * bw * channels) + (r * bw + q) * channels + c
    numbers = ((i * g.kernel_width + j) * channels + c) * filters + f
    epilogue = Epilogue(
        g.in_height, g.in_width, channels, bh, bw, g.pad_top - first_q * bh,
        g.pad_left - first_p * bw, wide.out_width, width,
    )  # fmt: skip
    return Block(wide, bh * bw * channels, epilogue, places, numbers, 3)


def _shapes(bh: int, bw: int, channels: int, g: Geometry, width: int) -> list[tuple[int, int]]:
    """Return the blocks to choose from: multiples of (bh, bw) that fill at most two vectors."""
    most = max(2 * width // (bh * bw * channels), 1)
    return [(bh * m, bw * n) for m in range(1, most + 1) for n in range(1, most // m + 1)]
