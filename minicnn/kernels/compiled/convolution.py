"""Convolution as a sweep over output rows: micro-tiles of pixels by filters."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.geometry import Geometry
from minicnn.kernels import vectorized
from minicnn.kernels.compiled import plain, plans, wide
from minicnn.kernels.compiled.bands import Epilogue, OperandLayout
from minicnn.kernels.compiled.macrokernel import DEPTH_TO_SPACE, PLAIN, POOL, WINOGRAD, MacroKernel
from minicnn.kernels.compiled.microkernel import FROM_BIAS, FROM_C, FROM_ZERO, MicroTile
from minicnn.kernels.compiled.plans import Operand, data_of, has_tile, threads
from minicnn.kernels.compiled.pooling import is_block_pool
from minicnn.kernels.compiled.tile import lanes
from minicnn.kernels.compiled.winograd import winograd_kernel
from minicnn.kernels.composed import completed
from minicnn.kernels.masked_gradient import MaskedGradient
from minicnn.runtime import memory

__all__ = ["by_winograd", "conv2d", "conv2d_max_pool2d", "pools_in_place", "run_wide"]

Array = NDArray[Any]


@functools.lru_cache(maxsize=512)
def _convolution_plan(
    g: Geometry, images: int, channels: int, filters: int, width: int, start: int, clip: int,
    epilogue: int, shape: Epilogue, as_is: bool, count: int,
) -> tuple[plans.Plan, plans.Packing]:  # fmt: skip
    """Return the sweep over output rows, and how the kernel is packed."""
    group_channels, group_filters = channels // g.groups, filters // g.groups
    copied = not as_is or any((g.pad_top, g.pad_bottom, g.pad_left, g.pad_right))
    span = (g.out_width - 1) * g.stride_width + (g.kernel_width - 1) * g.dilation_width + 1
    image = OperandLayout(
        copied=int(copied), height=g.in_height, row=g.in_width * channels,
        channels=channels, first=-g.pad_top, step=g.stride_height,
        rows=(g.kernel_height - 1) * g.dilation_height + 1, left=g.pad_left * channels,
        width=(span if copied else g.in_width) * channels,
    )  # fmt: skip
    depth = g.kernel_height * g.kernel_width * group_channels
    packing = plans.Packing(g.groups, depth, group_filters, width)
    # A kernel row is one run of numbers in the image, unless dilation or groups cut it up.
    whole = g.dilation_width == 1 and g.groups == 1
    parts = 1 if whole else g.kernel_width
    length = g.kernel_width * group_channels if whole else group_channels
    tiles = []
    for group in range(g.groups):
        for first, vectors, lanes_left in plans.panels(group_filters, width):
            for pixel, rows in plans.cut(g.out_width):
                for part in range(parts):
                    a = pixel * g.stride_width * channels + part * g.dilation_width * channels
                    tiles.append(MicroTile(
                        rows=rows, vectors=vectors, tail=lanes_left,
                        a=a + group * group_channels,
                        b=packing.place(group, part * length, first),
                        c=pixel * filters + group * group_filters + first,
                        row=0, k1=g.kernel_height, k2=length,
                        start=start if part == 0 else FROM_C, clip=clip * (part == parts - 1),
                        bias=group * packing.padded + first,
                        a_row=g.stride_width * channels, a1=g.dilation_height * image.width, a2=1,
                        b1=g.kernel_width * group_channels * packing.step, b2=packing.step,
                        c_row=filters,
                    ))  # fmt: skip
    row = image.width * image.step * image.copied
    row += 0 if epilogue == PLAIN else g.out_width * filters
    rows = plans.band(
        images, g.out_height, row, shape.block_height if epilogue == POOL else 1, count
    )
    macro = MacroKernel(
        images=images, swept=g.out_height, band=rows,
        k1_step=0, k1_total=g.kernel_height, row_step=1,
        c_rows=g.out_height, c_step=g.out_width * filters,
        c_image=g.out_height * g.out_width * filters,
        a_scratch=plans.band_size(image, rows), b_scratch=0,
        c_scratch=0 if epilogue == PLAIN else plans.aligned(rows * g.out_width * filters), sums=0,
        epilogue=epilogue,
    )  # fmt: skip
    return plans.Plan(count, macro, plans.table(tiles), image, plans.IN_PLACE, shape), packing


@functools.lru_cache(maxsize=512)
def winograd_plan(
    g: Geometry, images: int, channels: int, filters: int, width: int, biased: int, clip: int,
    pool: Geometry | None, count: int,
) -> tuple[plans.Plan, plans.Packing] | None:  # fmt: skip
    """Return the sweep over rows of Winograd's tiles, or None where the direct way is better."""
    if not _suits_winograd(g, channels, filters, width):
        return None
    tiles = -(-g.out_width // 2)
    image = OperandLayout(
        copied=1, height=g.in_height, row=g.in_width * channels,
        channels=channels, first=-g.pad_top, step=2, rows=4, left=g.pad_left * channels,
        width=(2 * tiles + 2) * channels,
    )  # fmt: skip
    packing = plans.Packing(16, channels, filters, width)
    micro_tiles = [
        MicroTile(
            rows=rows, vectors=vectors, tail=tail,
            a=(product * tiles + tile) * channels,
            b=packing.place(product, 0, first),
            c=(product * tiles + tile) * filters + first,
            row=0, k1=1, k2=channels, start=FROM_ZERO, clip=0, bias=0,
            a_row=channels, a1=0, a2=1, b1=0, b2=packing.step, c_row=filters,
        )
        for product in range(16)
        for first, vectors, tail in plans.panels(filters, width)
        for tile, rows in plans.cut(tiles)
    ]  # fmt: skip
    swept = -(-g.out_height // 2)
    rows = plans.band(images, swept, 2 * image.width, 1, count)
    room = 0 if pool is None else 2 * g.out_width * filters
    macro = MacroKernel(
        images=images, swept=swept, band=rows, k1_step=0, k1_total=1, row_step=1,
        c_rows=swept, c_step=0, c_image=0, a_scratch=plans.band_size(image, rows),
        b_scratch=plans.aligned(16 * tiles * channels),
        c_scratch=plans.aligned(16 * tiles * filters + room), sums=0, epilogue=WINOGRAD,
    )  # fmt: skip
    shape = (g.out_height, g.out_width) if pool is None else (pool.out_height, pool.out_width)
    epilogue = Epilogue(
        *shape, filters, 2, 2, 0, 0, g.out_width, width, tiles=tiles, taken=channels,
        biased=biased, clip=clip, pooled=int(pool is not None), above=g.out_height,
    )  # fmt: skip
    return plans.Plan(
        count, macro, plans.table(micro_tiles), image, plans.IN_PLACE, epilogue
    ), packing


def _suits_winograd(g: Geometry, channels: int, filters: int, width: int) -> bool:
    """Return whether this is a 3 x 3 layer of stride 1 whose channels fill whole vectors."""
    return (
        (g.kernel_height, g.kernel_width, g.stride_height, g.stride_width) == (3, 3, 1, 1)
        and (g.dilation_height, g.dilation_width, g.groups) == (1, 1, 1)
        and channels % width == 0
        and filters % width == 0
        and min(g.out_height, g.out_width) >= 4
    )


def _grouped(kernel: Array, groups: int) -> Array:
    """Return a kernel (KH,KW,C/groups,F) as matrices (groups, KH*KW*C/groups, F/groups)."""
    depth, filters = math.prod(kernel.shape[:3]), kernel.shape[3]
    return kernel.reshape(depth, groups, filters // groups).transpose(1, 0, 2)


def conv2d(
    x: Operand, kernel: Array, g: Geometry, bias: Array | None = None, relu: bool = False
) -> Array:
    """Return y (N,OH,OW,F), the bias added and ReLU applied if wanted."""
    if not has_tile(kernel.dtype) or g.is_one_product:
        x = plans.written(x)
    images, channels, filters = len(data_of(x)), kernel.shape[2] * g.groups, kernel.shape[3]
    if not has_tile(kernel.dtype):
        way = plain if kernel.dtype.kind in "iu" else vectorized
        return completed(way.conv2d(data_of(x), kernel, g), bias, relu)
    y = memory.empty((images, g.out_height, g.out_width, filters), kernel.dtype)
    if g.is_one_product:
        rows = data_of(x).reshape(images, g.in_height * g.in_width * channels)
        np.matmul(rows, kernel.reshape(-1, filters), out=y.reshape(images, filters))
        return completed(y, bias, relu)
    width = lanes(kernel.dtype)
    block = wide.forward_block(g, channels, filters, width)
    if block is not None:
        return run_wide(x, kernel, block, bias, relu, y)
    if by_winograd(x, kernel, g, bias, relu, y):
        return y
    start = FROM_ZERO if bias is None else FROM_BIAS
    plan, packing = _convolution_plan(
        g, images, channels, filters, width, start, int(relu), PLAIN, plans.NO_EPILOGUE,
        not isinstance(x, MaskedGradient), threads(),
    )  # fmt: skip
    starts = None if bias is None else plans.lane_padded(bias, g.groups, width)
    plans.run(plan, x, packing.pack(_grouped(kernel, g.groups)), starts, c=y)
    return y


def by_winograd(
    x: Operand, kernel: Array, g: Geometry, bias: Array | None, relu: bool, out: Array,
    pool: Geometry | None = None, indices: Array | None = None,
) -> bool:  # fmt: skip
    """Return whether Winograd's way suits a layer; if so, its result is in `out`."""
    found = kernel.dtype == np.float32 and winograd_plan(
        g, len(data_of(x)), *kernel.shape[2:], lanes(kernel.dtype), int(bias is not None),
        int(relu), pool, threads(),
    )  # fmt: skip
    if found:
        plan, packing = found
        plans.run(plan, x, packing.pack(winograd_kernel(kernel)), bias, out=out, indices=indices)
    return bool(found)


def run_wide(
    x: Operand, kernel: Array, block: wide.Block, bias: Array | None, relu: bool, out: Array
) -> Array:
    """Compute a thin layer as a wide one, block by block, and return `out`."""
    width = lanes(kernel.dtype)
    start = FROM_ZERO if bias is None else FROM_BIAS
    plan, packing = _convolution_plan(
        block.geometry, len(data_of(x)), kernel.shape[block.taken], block.filters, width, start,
        int(relu), DEPTH_TO_SPACE, block.epilogue, True, threads(),
    )  # fmt: skip
    starts = None
    if bias is not None:
        starts = plans.lane_padded(np.tile(bias, block.filters // bias.size), 1, width)
    plans.run(plan, x, packing.pack(block.widened(kernel)), starts, out=out)
    return out


def pools_in_place(dtype: Any, pool: Geometry) -> bool:
    """Return whether `conv2d_max_pool2d` has a way for these windows."""
    return has_tile(dtype) and is_block_pool(pool)


def conv2d_max_pool2d(
    x: Array, kernel: Array, g: Geometry, bias: Array | None, relu: bool, pool: Geometry
) -> tuple[Array, Array]:
    """Return the max-pool of a convolution, as `max_pool2d` does, without storing what is pooled.

    The windows must lie side by side. A band of rows is pooled while it is still in the cache; for
    a whole batch, what is pooled would be written to memory and read back.
    """
    images, channels, filters = len(x), x.shape[3], kernel.shape[3]
    width = lanes(x.dtype)
    shape = (images, pool.out_height, pool.out_width, filters)
    y, indices = memory.empty(shape, x.dtype), memory.empty(shape, np.int32)
    if by_winograd(x, kernel, g, bias, relu, y, pool, indices):
        return y, indices
    epilogue = Epilogue(
        pool.out_height, pool.out_width, filters, pool.kernel_height, pool.kernel_width, 0, 0,
        g.out_width, width,
    )  # fmt: skip
    start = FROM_ZERO if bias is None else FROM_BIAS
    plan, packing = _convolution_plan(
        g, images, channels, filters, width, start, int(relu), POOL, epilogue, True, threads()
    )
    starts = None if bias is None else plans.lane_padded(bias, g.groups, width)
    plans.run(plan, x, packing.pack(_grouped(kernel, g.groups)), starts, out=y, indices=indices)
    return y, indices
