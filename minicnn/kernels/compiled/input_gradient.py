"""The gradient of the image, which is also the transposed convolution.

The outputs fall into classes by their remainder modulo the stride; each class is a convolution of
dy, with stride 1, by those taps of the kernel that reach it.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minicnn.geometry import Geometry
from minicnn.kernels import vectorized
from minicnn.kernels.compiled import plans, wide
from minicnn.kernels.compiled.bands import OperandLayout
from minicnn.kernels.compiled.convolution import by_winograd, run_wide
from minicnn.kernels.compiled.macrokernel import PLAIN, MacroKernel
from minicnn.kernels.compiled.microkernel import FROM_BIAS, FROM_C, FROM_ZERO, MicroTile
from minicnn.kernels.compiled.plans import Operand, data_of, has_tile, threads
from minicnn.kernels.compiled.tile import lanes
from minicnn.kernels.composed import completed
from minicnn.runtime import memory

__all__ = ["conv2d_input_gradient"]

Array = NDArray[Any]


class _Residue(NamedTuple):
    """The taps of a kernel that meet one class of outputs, those of equal remainder by the stride.

    Tap i reaches output h from row (h + pad - i*D) / S of dy, where that is a whole number. Within
    a class these rows are evenly spaced, so the class is a convolution of stride 1.
    """

    remainder: int
    taps: tuple[int, ...]  # descending, so that their rows of dy ascend
    furthest: int  # rows back to the first tap's

    @classmethod
    def all(cls, kernel: int, stride: int, dilation: int) -> list[_Residue]:
        """Return the classes of one axis, those without taps included."""
        found = []
        for remainder in range(stride):
            taps = [i for i in range(kernel) if i * dilation % stride == remainder]
            furthest = taps[-1] * dilation // stride if taps else 0
            found.append(cls(remainder, tuple(reversed(taps)), furthest))
        return found


def _dy_step(stride: int, dilation: int) -> int:
    """Return how far apart the rows of dy are that neighbouring taps of a class reach."""
    return dilation // math.gcd(stride, dilation)


@functools.lru_cache(maxsize=512)
def _input_gradient_plan(
    g: Geometry, images: int, channels: int, filters: int, width: int, start: int, clip: int,
    count: int,
) -> tuple[plans.Plan, plans.Packing, tuple[tuple[slice, slice], ...]]:  # fmt: skip
    """Return the sweep over rows of dy, its packing, and the taps of each class in packed order."""
    group_channels, group_filters = channels // g.groups, filters // g.groups
    reach_h = (g.kernel_height - 1) * g.dilation_height // g.stride_height
    reach_w = (g.kernel_width - 1) * g.dilation_width // g.stride_width
    first_q = g.pad_top // g.stride_height
    first_p = min(g.pad_left // g.stride_width, reach_w)
    last_p = (g.in_width - 1 + g.pad_left) // g.stride_width
    swept = (g.in_height - 1 + g.pad_top) // g.stride_height - first_q + 1
    image = OperandLayout(
        copied=1, height=g.out_height, row=g.out_width * filters,
        channels=filters, first=first_q - reach_h, step=1, rows=reach_h + 1,
        left=(reach_w - first_p) * filters,
        width=(last_p - first_p + reach_w + 1) * filters,
    )  # fmt: skip
    classes = [
        (v, h)
        for v in _Residue.all(g.kernel_height, g.stride_height, g.dilation_height)
        for h in _Residue.all(g.kernel_width, g.stride_width, g.dilation_width)
    ]
    depth = g.kernel_height * g.kernel_width * group_filters
    packing = plans.Packing(g.groups, depth, group_channels, width)
    whole = _dy_step(g.stride_width, g.dilation_width) == 1 and g.groups == 1
    tiles, before = [], 0
    for v, h in classes:
        parts = 1 if whole else len(h.taps)
        length = len(h.taps) * group_filters if whole else group_filters
        w = (h.remainder - g.pad_left) % g.stride_width  # the first column of the class
        p = (w + g.pad_left) // g.stride_width
        pixels = -(-(g.in_width - w) // g.stride_width)
        for group in range(g.groups):
            for first, vectors, lanes_left in plans.panels(group_channels, width):
                for pixel, rows in plans.cut(pixels):
                    # A class without taps is nothing but bias: one part, no products.
                    for part in range(max(parts, 1)):
                        tap = part * _dy_step(g.stride_width, g.dilation_width)
                        column = p + pixel - first_p + reach_w - h.furthest + tap
                        a = (reach_h - v.furthest) * image.width + column * filters
                        tiles.append(MicroTile(
                            rows=rows, vectors=vectors, tail=lanes_left,
                            a=a + group * group_filters,
                            b=packing.place(group, before + part * length, first),
                            c=((w + pixel * g.stride_width) * g.groups + group) * group_channels
                            + first,
                            row=v.remainder - g.pad_top + first_q * g.stride_height,
                            k1=len(v.taps) if h.taps else 0, k2=length,
                            start=start if part == 0 else FROM_C, clip=clip * (part >= parts - 1),
                            bias=group * packing.padded + first,
                            a_row=filters, a2=1,
                            a1=_dy_step(g.stride_height, g.dilation_height) * image.width,
                            b1=len(h.taps) * group_filters * packing.step, b2=packing.step,
                            c_row=g.stride_width * channels,
                        ))  # fmt: skip
        before += len(v.taps) * len(h.taps) * group_filters
    rows = plans.band(images, swept, image.width, 1, count)
    macro = MacroKernel(
        images=images, swept=swept, band=rows,
        k1_step=0, k1_total=g.kernel_height, row_step=g.stride_height,
        c_rows=g.in_height, c_step=g.in_width * channels,
        c_image=g.in_height * g.in_width * channels,
        a_scratch=plans.band_size(image, rows), b_scratch=0, c_scratch=0, sums=0,
        epilogue=PLAIN,
    )  # fmt: skip
    taps = tuple((_slice(v.taps), _slice(h.taps)) for v, h in classes)
    return (
        plans.Plan(count, macro, plans.table(tiles), image, plans.IN_PLACE, plans.NO_EPILOGUE),
        packing,
        taps,
    )


def _slice(taps: tuple[int, ...]) -> slice:
    """Return evenly spaced descending taps as a slice."""
    if len(taps) < 2:
        return slice(taps[0], taps[0] + 1) if taps else slice(0, 0)
    step = taps[1] - taps[0]
    return slice(taps[0], taps[-1] + step if taps[-1] + step >= 0 else None, step)


def _turned(kernel: Array, groups: int, taps: tuple[tuple[slice, slice], ...]) -> Array:
    """Return the matrices (groups,K,C/groups) of all classes, one below the other."""
    group_channels, filters = kernel.shape[2:]
    parts = []
    for rows, columns in taps:
        part = kernel[rows][:, columns].reshape(-1, group_channels, groups, filters // groups)
        part = part.transpose(2, 0, 3, 1)  # (G,T*U,F/G,C/G)
        parts.append(part.reshape(groups, -1, group_channels))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _reversed(g: Geometry) -> Geometry:
    """Return the convolution of dy with the turned kernel that gives dx, for stride 1."""
    return g._replace(
        in_height=g.out_height, in_width=g.out_width, out_height=g.in_height, out_width=g.in_width,
        pad_top=g.kernel_height - 1 - g.pad_top, pad_left=g.kernel_width - 1 - g.pad_left,
    )  # fmt: skip


def conv2d_input_gradient(
    dy: Operand, kernel: Array, g: Geometry, bias: Array | None = None, relu: bool = False
) -> Array:
    """Return dx (N,H,W,C), with the bias and the ReLU of a transposed convolution if wanted."""
    if not has_tile(kernel.dtype) or g.is_one_product:
        dy = plans.written(dy)
    data = data_of(dy)
    images, filters = len(data), kernel.shape[3]
    channels = kernel.shape[2] * g.groups
    if not has_tile(data.dtype):
        return completed(vectorized.conv2d_input_gradient(data, kernel, g), bias, relu)
    dx = memory.empty((images, g.in_height, g.in_width, channels), data.dtype)
    if g.is_one_product:
        rows = data.reshape(images, filters), kernel.reshape(-1, filters).T
        np.matmul(*rows, out=dx.reshape(images, kernel.size // filters))
        return completed(dx, bias, relu)
    width = lanes(data.dtype)
    block = wide.backward_block(g, channels, filters, width)
    if block is not None:
        return run_wide(dy, kernel, block, bias, relu, dx)
    if max(g.pad_top, g.pad_left) <= 2:
        # With stride 1 there is one class, and its convolution may take Winograd's way.
        turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
        if by_winograd(dy, turned, _reversed(g), bias, relu, dx):
            return dx
    start = FROM_ZERO if bias is None else FROM_BIAS
    plan, packing, taps = _input_gradient_plan(
        g, images, channels, filters, width, start, int(relu), threads()
    )
    starts = None if bias is None else plans.lane_padded(bias, g.groups, width)
    plans.run(plan, dy, packing.pack(_turned(kernel, g.groups, taps)), starts, c=dx)
    return dx
