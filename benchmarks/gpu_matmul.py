"""Convolution by written-out windows and cuBLAS: what our own CUDA kernels are measured by."""

from __future__ import annotations

import math
from pathlib import Path

from minicnn.geometry import Geometry
from minicnn.kernels.cuda.device import Array, card, checked, empty, program

#: The kernel that writes windows out: a file beside this one.
WINDOWS = str(Path(__file__).with_name("windows"))


def conv2d_by_matmul(x: Array, kernel: Array, g: Geometry) -> Array:
    """Return y (N,OH,OW,F) by written-out windows and cuBLAS: the yardstick for our own kernels.

    Windows are written out as many at a time as fit half of the second-level cache, so that the
    product finds them there.

    Args:
        x: images (N,H,W,C).
        kernel: (KH,KW,C/groups,F).
        g: the window arithmetic.

    Raises:
        ArgumentError: an array is not on the GPU, or the types differ.
        DeviceMemoryError: the card has no room for the result.
    """
    where = "conv2d_by_matmul"
    images, channels, filters = x.shape[0], x.shape[3], kernel.shape[3]
    group_channels, group_filters = channels // g.groups, filters // g.groups
    shape = (g.kernel_height, g.kernel_width, group_channels, filters)
    x, kernel = checked(
        where, x=(x, (images, g.in_height, g.in_width, channels)), kernel=(kernel, shape)
    )  # fmt: skip
    y = empty(where, (images, g.out_height, g.out_width, filters), x.dtype)
    if y.size == 0:
        return y
    pixels, taps = y.size // filters, math.prod(shape[:3])
    step = min(pixels, max(card().cache_bytes // (2 * taps * x.itemsize), 1))
    rows = empty(where, (step, taps), x.dtype)
    kernels = program(WINDOWS, x, rows)
    for group in range(g.groups):
        weights = kernel.reshape(taps, filters)[
            :, group * group_filters : (group + 1) * group_filters
        ]
        for first in range(0, pixels, step):
            block = rows[: min(step, pixels - first)]  # (B,KH*KW*C)
            count, start = kernels.offset(block.size), kernels.offset(first)
            kernels.over("windows", block.size, x, block, count, start, channels, group, g)
            columns = slice(group * group_filters, (group + 1) * group_filters)
            y.reshape(pixels, filters)[first : first + len(block), columns] = block @ weights
    return y
