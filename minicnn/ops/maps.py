"""The three maps of convolution, which are each other's derivatives.

Convolution is linear in the image and in the kernel, so each of the maps below calls the others in
its backward pass, and every order of derivative follows.
"""

from __future__ import annotations

from minicnn.autograd.tensor import Tensor, record
from minicnn.geometry import Geometry
from minicnn.kernels import kernel as kernel_function

__all__ = ["conv2d_input_gradient", "conv2d_kernel_gradient", "convolution", "multiply_adds"]


def multiply_adds(geometry: Geometry, x: Tensor, kernel: Tensor) -> int:
    """Return the multiply-adds of one convolution of this batch."""
    outputs = x.shape[0] * geometry.out_height * geometry.out_width
    return outputs * kernel.size


def convolution(x: Tensor, kernel: Tensor, g: Geometry) -> Tensor:
    """Return y (N,OH,OW,F).

    y[n,oh,ow,f] = sum over i,j,c of x[n, oh*S - P + i*D, ow*S - P + j*D, c] * k[i,j,c,f]
    """
    return record(
        "conv2d",
        kernel_function("conv2d", multiply_adds(g, x, kernel), x.data)(x.data, kernel.data, g),
        (x, lambda dy, y: conv2d_input_gradient(dy, kernel, g)),
        (kernel, lambda dy, y: conv2d_kernel_gradient(x, dy, g)),
    )


def conv2d_input_gradient(dy: Tensor, kernel: Tensor, g: Geometry) -> Tensor:
    """Return dx (N,H,W,C), the adjoint of `conv2d` in its image: the transposed convolution.

    dx[n,h,w,c] = sum over all products of conv2d that use x[n,h,w,c] of dy[n,oh,ow,f] * k[i,j,c,f]
    """
    return record(
        "conv2d_input_gradient",
        kernel_function("conv2d_input_gradient", multiply_adds(g, dy, kernel), dy.data)(
            dy.data, kernel.data, g
        ),
        (dy, lambda dz, z: convolution(dz, kernel, g)),
        (kernel, lambda dz, z: conv2d_kernel_gradient(dz, dy, g)),
    )


def conv2d_kernel_gradient(x: Tensor, dy: Tensor, g: Geometry) -> Tensor:
    """Return dk (KH,KW,C/groups,F), the adjoint of `conv2d` in its kernel.

    dk[i,j,c,f] = sum over all products of conv2d that use k[i,j,c,f] of x[n,h,w,c] * dy[n,oh,ow,f]
    """
    work = dy.size * g.kernel_height * g.kernel_width * (x.shape[3] // g.groups)
    return record(
        "conv2d_kernel_gradient",
        kernel_function("conv2d_kernel_gradient", work, x.data)(x.data, dy.data, g),
        (x, lambda dz, z: conv2d_input_gradient(dy, dz, g)),
        (dy, lambda dz, z: convolution(x, dz, g)),
    )
