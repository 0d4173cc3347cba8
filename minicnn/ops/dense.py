"""The dense layer's operation: a matrix product with bias and ReLU."""

from __future__ import annotations

from minicnn.autograd.tensor import Tensor
from minicnn.geometry import Geometry
from minicnn.kernels import backend
from minicnn.ops import elementwise, reduction
from minicnn.ops.convolution import convolution
from minicnn.ops.shape import reshape
from minicnn.runtime.devices import on_gpu

__all__ = ["dense_layer"]

#: The window arithmetic of images of one pixel, whose convolution is a matrix product.
_ONE_PIXEL = Geometry(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1)


def dense_layer(x: Tensor, kernel: Tensor, bias: Tensor | None, *, relu: bool) -> Tensor:
    """Return x @ kernel with bias and ReLU.

    On the GPU, rows of numbers are images of one pixel there: a convolution takes its bias and ReLU
    along, and their gradients.

    Args:
        x: (...,C).
        kernel: (C,U).
        bias: (U,) or None.
        relu: whether negative results become zero.

    >>> dense_layer(Tensor([[1.0, 2.0]]), Tensor([[3.0], [-4.0]]), None, relu=True).numpy().tolist()
    [[0.0]]
    """
    arrays = [t.data for t in (x, kernel, bias) if t is not None]
    alike = len({a.dtype for a in arrays}) == 1 and all(map(on_gpu, arrays))
    joined = alike and x.size and (relu or bias is not None)
    if not joined or not backend(x.size, x.data).has_tile(x.dtype):
        y = reduction.matmul(x, kernel)
        y = y if bias is None else elementwise.add(y, bias)
        return elementwise.relu(y) if relu else y
    pixels = reshape(x, (-1, 1, 1, x.shape[-1]))
    y = convolution(pixels, reshape(kernel, (1, 1, *kernel.shape)), _ONE_PIXEL, bias, relu=relu)
    return reshape(y, (*x.shape[:-1], kernel.shape[1]))
