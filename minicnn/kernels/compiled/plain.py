"""The loops of the definition, compiled: the step from Python to machine code, and nothing else.

The line of loops.py stands here as it is, and runs about a thousand times as fast. The loops over
images and rows are shared among the cores, and the one along a row has moved inside: what a
compiler makes vectors of is a walk over neighbours. This serves integers, which have no tile. For
floats with many channels it is slow, as every sum goes to memory and back for each product; what a
processor wants instead is in microkernel.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.geometry import Geometry
from minicnn.kernels.compiled.arguments import arguments
from minicnn.kernels.compiled.compiling import parallel

__all__ = ["conv2d"]

Array = NDArray[Any]


@parallel()
def _conv2d(row, given):
    """Compute one row of outputs by the loops of the definition, `ow` inside."""
    x, kernel, y, g = arguments(given)
    n, oh = row // g.out_height, row % g.out_height
    group_channels, filters = kernel.shape[2:]
    group_filters = filters // g.groups
    for f in range(filters):
        first = f // group_filters * group_channels  # of the channels that f sees
        for i in range(g.kernel_height):
            h = oh * g.stride_height - g.pad_top + i * g.dilation_height
            if 0 <= h < g.in_height:
                for j in range(g.kernel_width):
                    for c in range(group_channels):
                        for ow in range(g.out_width):
                            w = ow * g.stride_width - g.pad_left + j * g.dilation_width
                            if 0 <= w < g.in_width:
                                y[n, oh, ow, f] += x[n, h, w, first + c] * kernel[i, j, c, f]


def conv2d(x: Array, kernel: Array, g: Geometry) -> Array:
    """Return y (N,OH,OW,F): each output is the sum of the window times the kernel."""
    y = np.zeros((len(x), g.out_height, g.out_width, kernel.shape[3]), x.dtype)
    _conv2d(len(y) * g.out_height, np.ascontiguousarray(x), np.ascontiguousarray(kernel), y, g)
    return y
