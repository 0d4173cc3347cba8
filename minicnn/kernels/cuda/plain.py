"""The plain launches of conv2d.cu: as many threads as results, each of which is one thread's own.

Here the arrays are checked and on the card, and the results have their memory.
"""

from __future__ import annotations

import math

from minicnn.geometry import Geometry
from minicnn.kernels.cuda.device import Array, empty, program

__all__ = ["added", "conv2d", "conv2d_input_gradient", "conv2d_kernel_gradient", "finished"]


def conv2d(x: Array, kernel: Array, bias: Array | None, y: Array, relu: bool, g: Geometry) -> Array:
    """Write the convolution into y (N,OH,OW,F), one thread for each of its numbers."""
    kernels = program("conv2d", x, kernel, y)  # compiled for their type of numbers
    count, channels, filters = kernels.offset(y.size), x.shape[3], y.shape[3]
    kernels.over("conv2d", y.size, x, kernel, bias, y, count, channels, filters, int(relu), g)
    return y


def conv2d_input_gradient(
    dy: Array, kernel: Array, bias: Array | None, dx: Array, relu: bool, g: Geometry
) -> Array:
    """Write the transposed convolution into dx (N,H,W,C), one thread for each of its numbers."""
    kernels = program("conv2d", dy, kernel, dx)
    sizes = kernels.offset(dx.size), dx.shape[3], dy.shape[3], int(relu)
    kernels.over("conv2d_input_gradient", dx.size, dy, kernel, bias, dx, *sizes, g)
    return dx


def conv2d_kernel_gradient(x: Array, dy: Array, parts: Array, length: int, g: Geometry) -> Array:
    """Return dk, its sums cut into parts (P,KH,KW,C/groups,F) of `length` outputs each."""
    kernels = program("conv2d", x, dy, parts)
    sizes = map(kernels.offset, (parts.size, math.prod(dy.shape[:3]), length))
    channels, filters = x.shape[3], dy.shape[3]
    kernels.over("conv2d_kernel_gradient", parts.size, x, dy, parts, *sizes, channels, filters, g)
    return added("conv2d_kernel_gradient", parts)


def added(where: str, parts: Array) -> Array:
    """Return the sum of parts (P,...) in their order."""
    if len(parts) == 1:
        return parts[0]
    total = empty(where, parts.shape[1:], parts.dtype)
    kernels = program("conv2d", parts)
    kernels.over("add_parts", total.size, parts, total, kernels.offset(total.size), len(parts))
    return total


def finished(y: Array, bias: Array | None, relu: bool) -> Array:
    """Add the bias and apply the ReLU in place; y (...,F)."""
    if bias is not None or relu:
        kernels = program("conv2d", y)
        kernels.over("finish", y.size, y, bias, kernels.offset(y.size), y.shape[-1], int(relu))
    return y
