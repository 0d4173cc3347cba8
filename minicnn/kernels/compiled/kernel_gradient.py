"""The gradient of the kernel: sums over all pixels of all images.

Rows of a tile are the image's numbers under a kernel row, vectors hold filters; where filters are
few, the other way round. Each thread adds up its own images.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.geometry import Geometry
from minicnn.kernels import vectorized
from minicnn.kernels.arrays import column_sums
from minicnn.kernels.compiled import plans
from minicnn.kernels.compiled.bands import MOST_SUMS, OperandLayout
from minicnn.kernels.compiled.macrokernel import SUMS, MacroKernel
from minicnn.kernels.compiled.microkernel import FROM_C, MicroTile
from minicnn.kernels.compiled.plans import Operand, data_of, has_tile, threads
from minicnn.kernels.compiled.tile import lanes
from minicnn.kernels.masked_gradient import MaskedGradient

__all__ = ["conv2d_kernel_gradient", "kernel_and_bias_gradient"]

Array = NDArray[Any]

#: Numbers of an image that a kernel gradient runs through for one tile. They come from the
#: second-level cache; in blocks that fit the first, tiles were so short that storing them showed.
BLOCK = 1 << 15


@functools.lru_cache(maxsize=512)
def _kernel_gradient_plan(
    g: Geometry, images: int, channels: int, filters: int, width: int, x_as_is: bool,
    dy_as_is: bool, summed: str | None, count: int,
) -> tuple[plans.Plan, bool]:  # fmt: skip
    """Return the sweep over blocks of dy's rows, and whether the filters are the tile's rows."""
    group_channels, group_filters = channels // g.groups, filters // g.groups
    whole = g.dilation_width == 1 and g.groups == 1
    parts = 1 if whole else g.kernel_width
    run_length = g.kernel_width * group_channels if whole else group_channels
    # Vectors hold filters, or, where these are few, the image's numbers under the kernel.
    swapped = _cost(group_filters, run_length, width) < _cost(run_length, group_filters, width)
    x_as_is, dy_as_is = x_as_is and summed != "x", dy_as_is and summed != "dy"
    copied = not x_as_is or any((g.pad_top, g.pad_bottom, g.pad_left, g.pad_right))
    span = (g.out_width - 1) * g.stride_width + (g.kernel_width - 1) * g.dilation_width + 1
    block = max(1, min(g.out_height, BLOCK // (g.out_width * max(filters, channels))))
    swept = -(-g.out_height // block)
    image = OperandLayout(
        # Vector loads may run over the end of what they are meant for: not in the user's array.
        copied=int(copied or (swapped and run_length % width > 0)),
        summed=int(summed == "x"),
        height=g.in_height, row=g.in_width * channels, channels=channels,
        first=-g.pad_top, step=block * g.stride_height,
        rows=(block - 1) * g.stride_height + (g.kernel_height - 1) * g.dilation_height + 1,
        left=g.pad_left * channels, width=0,
    )  # fmt: skip
    image = image._replace(width=(span if image.copied else g.in_width) * channels)
    slopes = OperandLayout(
        copied=int(not dy_as_is or (not swapped and group_filters % width > 0)),
        summed=int(summed == "dy"),
        height=g.out_height, row=g.out_width * filters, channels=filters,
        first=0, step=block, rows=block, left=0, width=g.out_width * filters,
    )  # fmt: skip
    x_steps, dy_steps = (g.stride_height * image.width, g.stride_width * channels), (
        slopes.width, filters)  # fmt: skip
    (a1, a2), (b1, b2) = (dy_steps, x_steps) if swapped else (x_steps, dy_steps)
    steps = {"a1": a1, "a2": a2, "b1": b1, "b2": b2, "c_row": run_length if swapped else filters}
    tiles = []
    for group in range(g.groups):
        for i in range(g.kernel_height):
            for part in range(parts):
                column = (part * g.dilation_width * g.groups + group) * group_channels
                x_first = i * g.dilation_height * image.width + column
                c_first = (i * g.kernel_width + part) * group_channels * filters
                n_rows, n_lanes = run_length, group_filters
                if swapped:
                    n_rows, n_lanes = n_lanes, n_rows
                for first, vectors, lanes_left in plans.panels(n_lanes, width):
                    for r, rows in plans.cut(n_rows):
                        if swapped:
                            a, b = group * group_filters + r, x_first + first
                            c = c_first + (group * group_filters + r) * run_length + first
                        else:
                            a, b = x_first + r, group * group_filters + first
                            c = c_first + r * filters + group * group_filters + first
                        tiles.append(MicroTile(
                            rows=rows, vectors=vectors, tail=lanes_left, a=a, b=b, c=c, row=0,
                            k1=block, k2=g.out_width, start=FROM_C, clip=0, bias=0, a_row=1,
                            **steps,
                        ))  # fmt: skip
    row = image.width * image.step * image.copied + slopes.width * block * slopes.copied
    rows = plans.band(images, swept, row, 1, count)
    numbers = g.kernel_height * g.kernel_width * group_channels * filters
    summed_channels = max(channels, filters)
    a_layout, b_layout = (slopes, image) if swapped else (image, slopes)
    macro = MacroKernel(
        images=images, swept=swept, band=rows,
        k1_step=block, k1_total=g.out_height, row_step=0, c_rows=1, c_step=0, c_image=0,
        a_scratch=plans.band_size(a_layout, rows), b_scratch=plans.band_size(b_layout, rows),
        c_scratch=plans.aligned(numbers + summed_channels + max(summed_channels, MOST_SUMS)),
        sums=numbers, epilogue=SUMS,
    )  # fmt: skip
    return plans.Plan(
        count, macro, plans.table(tiles), a_layout, b_layout, plans.NO_EPILOGUE
    ), swapped


def _cost(rows: int, numbers: int, width: int) -> float:
    """Return roughly the time of one outer product, in multiply-adds of vectors.

    A multiply-add takes about four cycles to come back, so a tile of few vectors waits for itself.
    """
    return sum(
        max(length * vectors, 4)
        for _, vectors, _ in plans.panels(numbers, width)
        for _, length in plans.cut(rows)
    )


def conv2d_kernel_gradient(x: Operand, dy: Operand, g: Geometry) -> Array:
    """Return dk (KH,KW,C/groups,F); twice the same call gives the same bits."""
    return kernel_and_bias_gradient(x, dy, g, None)[0]


def _sees_all(g: Geometry) -> bool:
    """Return whether the kernel's positions leave out no row and no column of the image."""
    taps_h = (g.kernel_height - 1) * g.dilation_height + 1
    taps_w = (g.kernel_width - 1) * g.dilation_width + 1
    rows = (g.out_height - 1) * g.stride_height + taps_h - g.pad_top
    columns = (g.out_width - 1) * g.stride_width + taps_w - g.pad_left
    return taps_h >= g.stride_height and rows >= g.in_height and columns >= g.in_width


def kernel_and_bias_gradient(
    x: Operand, dy: Operand, g: Geometry, biased: str | None
) -> tuple[Array, Array]:
    """Return dk and, from the same pass, the sums of the channels of `"dy"` or of `"x"`.

    The bias of a convolution belongs to dy's channels, that of a transposed one to x's.
    """
    dtype = data_of(x).dtype
    if not has_tile(dtype) or g.is_one_product:
        x, dy = plans.written(x), plans.written(dy)
    channels, filters = data_of(x).shape[3], data_of(dy).shape[3]
    group_channels = channels // g.groups
    shape = (g.kernel_height, g.kernel_width, group_channels, filters)
    if biased == "x" and not _sees_all(g):
        x = plans.written(x)
        of = data_of(x)
        return kernel_and_bias_gradient(x, dy, g, None)[0], column_sums(of.reshape(-1, channels))
    of = data_of(x if biased == "x" else dy)
    if not has_tile(dtype):
        dk = vectorized.conv2d_kernel_gradient(data_of(x), data_of(dy), g)
        return dk, column_sums(of.reshape(-1, of.shape[3]))
    if g.is_one_product:
        rows = data_of(x).reshape(len(data_of(x)), math.prod(shape[:3]))
        columns = data_of(dy).reshape(-1, filters)
        return (rows.T @ columns).reshape(shape), column_sums(of.reshape(-1, of.shape[3]))
    plan, swapped = _kernel_gradient_plan(
        g, len(data_of(x)), channels, filters, lanes(dtype), not isinstance(x, MaskedGradient),
        not isinstance(dy, MaskedGradient), biased, threads(),
    )  # fmt: skip
    sums = plans.run(plan, *((dy, x) if swapped else (x, dy))).sum(axis=0)
    total = sums[: math.prod(shape)]
    db = sums[total.size : total.size + of.shape[3]]
    if not swapped:
        return total.reshape(shape), db
    if g.dilation_width == 1 and g.groups == 1:  # (KH,F,KW*C)
        parts = total.reshape(g.kernel_height, filters, g.kernel_width, group_channels)
        return np.ascontiguousarray(parts.transpose(0, 2, 3, 1)), db
    parts = total.reshape(g.kernel_height, g.kernel_width, filters, group_channels)
    return np.ascontiguousarray(parts.swapaxes(2, 3)), db
