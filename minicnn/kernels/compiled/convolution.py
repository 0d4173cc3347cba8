"""Convolution as a sweep of the register tile: tiles of pixels by filters."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.geometry import Geometry
from minicnn.kernels import memory, vectorized
from minicnn.kernels.compiled import wide
from minicnn.kernels.compiled.contraction import (
    FROM_BIAS,
    FROM_C,
    FROM_ZERO,
    PLAIN,
    POOL,
    SPREAD,
    Finish,
    Image,
    Sweep,
)  # fmt: skip
from minicnn.kernels.compiled.sweeps import (
    IN_PLACE,
    NO_FINISH,
    Packing,
    Plan,
    aligned,
    band,
    band_size,
    completed,
    cut,
    data_of,
    has_tile,
    is_matrix_product,
    lane_padded,
    panels,
    run,
    table,
    threads,
    written,
)  # fmt: skip
from minicnn.kernels.compiled.tile import ROWS, lanes
from minicnn.kernels.slopes import Slopes

__all__ = ["conv2d", "conv2d_max_pool2d", "pools_in_place", "run_wide"]

Array = NDArray[Any]


@functools.lru_cache(maxsize=512)
def _convolution_plan(
    g: Geometry, images: int, channels: int, filters: int, width: int, start: int, clip: int,
    finish: int, shape: Finish, as_is: bool, count: int,
) -> tuple[Plan, Packing]:  # fmt: skip
    """Return the sweep over output rows: tiles of pixels by filters."""
    mine, of_group = channels // g.groups, filters // g.groups
    copied = not as_is or any((g.pad_top, g.pad_bottom, g.pad_left, g.pad_right))
    span = (g.out_width - 1) * g.stride_width + (g.kernel_width - 1) * g.dilation_width + 1
    image = Image(
        copied=int(copied), masked=0, summed=0, height=g.in_height, row=g.in_width * channels,
        channels=channels, first=-g.pad_top, step=g.stride_height,
        rows=(g.kernel_height - 1) * g.dilation_height + 1, left=g.pad_left * channels,
        width=(span if copied else g.in_width) * channels,
        pool_height=0, pool_width=0, pooled_height=0, pooled_width=0,
    )  # fmt: skip
    packing = Packing(g.groups, g.kernel_height * g.kernel_width * mine, of_group, width)
    # A kernel row is one run of numbers in the image, unless dilation or groups cut it up.
    whole = g.dilation_width == 1 and g.groups == 1
    parts = 1 if whole else g.kernel_width
    length = g.kernel_width * mine if whole else mine
    strips = []
    for group in range(g.groups):
        for first, vectors, lanes_left in panels(of_group, width):
            for pixel, rows in cut(g.out_width, ROWS):
                for part in range(parts):
                    strips.append((
                        rows, vectors, lanes_left,
                        pixel * g.stride_width * channels + group * mine
                        + part * g.dilation_width * channels,
                        packing.place(group, part * length, first),
                        pixel * filters + group * of_group + first,
                        0, g.kernel_height, length, g.kernel_width * mine * packing.step,
                        start if part == 0 else FROM_C, clip if part == parts - 1 else 0,
                        group * -(-of_group // width) * width + first,
                    ))  # fmt: skip
    row = image.width * image.step * image.copied
    row += 0 if finish == PLAIN else g.out_width * filters
    rows = band(images, g.out_height, row, shape.block_height if finish == POOL else 1, count)
    sweep = Sweep(
        images=images, swept=g.out_height, band=rows,
        a_row=g.stride_width * channels, a1=g.dilation_height * image.width, a2=1,
        b2=packing.step, c_row=filters, k1_step=0, k1_total=g.kernel_height,
        row_step=1, c_rows=g.out_height, c_step=g.out_width * filters,
        c_image=g.out_height * g.out_width * filters,
        a_scratch=band_size(image, rows), b_scratch=0,
        c_scratch=0 if finish == PLAIN else aligned(rows * g.out_width * filters), sums=0,
        finish=finish,
    )  # fmt: skip
    return Plan(sweep, table(strips), image, IN_PLACE, shape), packing


def _grouped(kernel: Array, groups: int) -> Array:
    """Return a kernel (KH,KW,C/groups,F) as matrices (groups, KH*KW*C/groups, F/groups)."""
    depth, filters = math.prod(kernel.shape[:3]), kernel.shape[3]
    return kernel.reshape(depth, groups, filters // groups).transpose(1, 0, 2)


def conv2d(
    x: Array | Slopes, kernel: Array, g: Geometry, bias: Array | None = None, relu: bool = False
) -> Array:
    """Return y (N,OH,OW,F), the bias added and ReLU applied if wanted."""
    if not has_tile(kernel.dtype) or is_matrix_product(g):
        x = written(x)
    images, channels, filters = len(data_of(x)), kernel.shape[2] * g.groups, kernel.shape[3]
    if not has_tile(kernel.dtype):
        return completed(vectorized.conv2d(data_of(x), kernel, g), bias, relu)
    if is_matrix_product(g):
        y = data_of(x).reshape(images, -1) @ kernel.reshape(-1, filters)
        return completed(y, bias, relu).reshape(images, 1, 1, filters)
    y = memory.empty((images, g.out_height, g.out_width, filters), kernel.dtype)
    width = lanes(kernel.dtype)
    block = wide.forward_block(g, channels, filters, width)
    if block is not None:
        return run_wide(x, kernel, block, bias, relu, y)
    start = FROM_ZERO if bias is None else FROM_BIAS
    plan, packing = _convolution_plan(
        g, images, channels, filters, width, start, int(relu), PLAIN, NO_FINISH,
        not isinstance(x, Slopes), threads(),
    )  # fmt: skip
    starts = None if bias is None else lane_padded(bias, g.groups, width)
    run(plan, x, packing.pack(_grouped(kernel, g.groups)), starts, c=y)
    return y


def run_wide(
    x: Array | Slopes, kernel: Array, block: wide.Block, bias: Array | None, relu: bool, out: Array
) -> Array:
    """Compute a thin layer as a wide one, block by block, and return `out`."""
    width = lanes(kernel.dtype)
    start = FROM_ZERO if bias is None else FROM_BIAS
    plan, packing = _convolution_plan(
        block.geometry, len(data_of(x)), kernel.shape[block.taken], block.filters, width, start,
        int(relu), SPREAD, block.finish, True, threads(),
    )  # fmt: skip
    starts = None
    if bias is not None:
        starts = lane_padded(np.tile(bias, block.filters // bias.size), 1, width)
    run(plan, x, packing.pack(block.widened(kernel)), starts, out=out)
    return out


def pools_in_place(dtype: Any, pool: Geometry) -> bool:
    """Return whether `conv2d_max_pool2d` has a way for these windows: 2x2, side by side."""
    return (
        has_tile(dtype)
        and (pool.kernel_height, pool.kernel_width) == (2, 2)
        and (pool.stride_height, pool.stride_width) == (2, 2)
        and not any((pool.pad_top, pool.pad_bottom, pool.pad_left, pool.pad_right))
        and (pool.dilation_height, pool.dilation_width) == (1, 1)
    )


def conv2d_max_pool2d(
    x: Array, kernel: Array, g: Geometry, bias: Array | None, relu: bool, pool: Geometry
) -> tuple[Array, Array]:
    """Return the max-pool of a convolution, as `max_pool2d` does, without storing what is pooled.

    The windows must lie side by side. A band of rows is pooled while it is still in the cache; for
    a whole batch, what is pooled would be written to memory and read back.
    """
    images, channels, filters = len(x), x.shape[3], kernel.shape[3]
    width = lanes(x.dtype)
    finish = Finish(
        pool.out_height, pool.out_width, filters, pool.kernel_height, pool.kernel_width, 0, 0,
        g.out_width,
    )  # fmt: skip
    start = FROM_ZERO if bias is None else FROM_BIAS
    plan, packing = _convolution_plan(
        g, images, channels, filters, width, start, int(relu), POOL, finish, True, threads()
    )
    shape = (images, pool.out_height, pool.out_width, filters)
    y, where = memory.empty(shape, x.dtype), memory.empty(shape, np.int32)
    starts = None if bias is None else lane_padded(bias, g.groups, width)
    run(plan, x, packing.pack(_grouped(kernel, g.groups)), starts, out=y, where=where)
    return y, where
