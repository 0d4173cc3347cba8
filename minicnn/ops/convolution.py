"""Convolution and transposed convolution: their arguments, their one way, their derivatives.

A convolution is linear in the image and in the kernel. So its three maps are each other's
derivatives: the gradient of the image is the transposed convolution with the same kernel, the
gradient of the kernel is a convolution of the two images, and every order of derivative follows.
The bias, ReLU and max-pool that may follow are done by the backend in the same pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from minicnn.autograd.operators import operation
from minicnn.autograd.recording import is_recording
from minicnn.autograd.tensor import Tensor, given, record
from minicnn.errors import ShapeError
from minicnn.geometry import Geometry, conv2d_geometry, conv2d_transpose_geometry, pair, remembered
from minicnn.kernels import backend
from minicnn.kernels.masked_gradient import MaskedGradient
from minicnn.ops import elementwise, pooling
from minicnn.ops.arguments import (
    check_bias,
    check_channels,
    check_transposed_channels,
    image_and_kernel,
    turned,
)
from minicnn.ops.shape import reshape, sum_to

__all__ = ["conv2d", "conv2d_transpose", "convolution", "kernel_gradient"]

Array = NDArray[Any]


@operation
def conv2d(
    x: Any,
    kernel: Any,
    bias: Any = None,
    strides: int | Sequence[int] = 1,
    padding: Any = "valid",
    dilation_rate: int | Sequence[int] = 1,
    groups: int = 1,
    *,
    relu: bool = False,
    max_pool: int | Sequence[int] | None = None,
    strict: bool = False,
    name: str = "conv2d",
) -> Tensor:
    """Return the convolution of a batch of images as CNNs mean it: cross-correlation.

    y[n,oh,ow,f] = bias[f] + sum over i,j,c of x[n, oh*S - P + i*D, ow*S - P + j*D, c] * k[i,j,c,f]

    Args:
        x: images (N,H,W,C); or a matrix (H,W), then the kernel and the result are matrices, too.
        kernel: (KH,KW,C/groups,F). PyTorch's (F,C/groups,KH,KW) is `kernel.transpose(2, 3, 1, 0)`;
            one that fits as it is, as (5,3,3,3) does on three channels, is taken for a window of
            5 x 3. Of an even number of 8 or more filters a warning says that it fits turned, too.
        bias: (F,) or None.
        strides: step of the window in pixels, default 1.
        padding: `"valid"`, `"same"`, an integer, a pair or ((top, bottom), (left, right)).
        dilation_rate: distance of kernel elements in pixels, default 1.
        groups: number of groups of channels that do not see each other, default 1.
        relu: set negative results to zero in the same pass over memory, default False.
        max_pool: take the max-pool with windows of this size side by side, again in the same pass;
            default None.
        strict: refuse a stride that leaves pixels over, default False.
        name: the caller's name, for messages.

    Returns:
        y (N,OH,OW,F), or its max-pool; in the wider float type of x and the kernel.

    Raises:
        ShapeError: channels, groups or sizes do not fit.

    Source: Human Data Analytics, Lab 2, the example with the 3x3 image and the 2x2 kernel.

    >>> import numpy as np
    >>> x = np.arange(12.0).reshape(1, 3, 4, 1)
    >>> k = np.array([[1.0, 0.0, -1.0]]).reshape(1, 3, 1, 1)
    >>> conv2d(x, k).numpy()[0, :, :, 0].tolist()
    [[-2.0, -2.0], [-2.0, -2.0], [-2.0, -2.0]]
    >>> conv2d([[0, 1, 2], [3, 4, 5]], [[1, 0, -1]]).numpy().tolist()
    [[-2.0], [-2.0]]
    """
    x, kernel = given(name, "x", x), given(name, "kernel", kernel)
    if x.data.ndim == kernel.data.ndim == 2:
        y = conv2d(
            *_as_images(name, x, kernel, bias), strides, padding, dilation_rate, groups,
            relu=relu, max_pool=max_pool, strict=strict, name=name,
        )  # fmt: skip
        return reshape(y, y.shape[1:3])
    x, kernel, bias = image_and_kernel(name, x, kernel, bias, groups)
    try:
        geometry = remembered(
            conv2d_geometry,
            x.data.shape[1:3],
            kernel.data.shape[:2],
            strides,
            padding,
            dilation_rate,
            groups,
            strict=strict,
            where=name,
        )
    except ShapeError as error:  # the window is too large: it may be none
        turn = turned(x, kernel, groups, fits=x.shape[3] == kernel.shape[2] * groups)
        if turn:
            raise ShapeError(f"{error} {turn}") from None
        raise
    check_channels(name, x, kernel, bias, geometry.groups)
    if max_pool is None:
        return convolution(x, kernel, geometry, bias, relu=relu)
    size = pair(name, "max_pool", max_pool)
    pooled = (geometry.out_height, geometry.out_width)
    pool = remembered(conv2d_geometry, pooled, size, size, where=name)
    return convolution(x, kernel, geometry, bias, relu=relu, pool=pool)


@operation
def conv2d_transpose(
    x: Any,
    kernel: Any,
    bias: Any = None,
    strides: int | Sequence[int] = 1,
    padding: Any = "valid",
    dilation_rate: int | Sequence[int] = 1,
    groups: int = 1,
    *,
    relu: bool = False,
    output_padding: int | Sequence[int] | None = None,
    output_size: Sequence[int] | None = None,
    name: str = "conv2d_transpose",
) -> Tensor:
    """Return the transposed convolution: each input pixel lays down a scaled copy of the kernel.

    y[n, h*S - P + i*D, w*S - P + j*D, f] += x[n,h,w,c] * k[i,j,f,c]   for all n,h,w,c,i,j,f

    Args:
        x: images (N,H,W,C); or a matrix (H,W), then the kernel and the result are matrices, too.
        kernel: (KH,KW,F/groups,C), as in Keras: it is the kernel of the convolution from y to x.
        bias: (F,) or None.
        strides: distance between neighbouring copies in pixels, default 1.
        padding: what is cropped from the sides: `"valid"` nothing, `"same"` so that the size is
            N*S, or pixels as in `conv2d`.
        dilation_rate: distance of kernel elements in pixels, default 1.
        groups: number of groups of channels that do not see each other, default 1.
        relu: set negative results to zero in the same pass over memory, default False.
        output_padding: extra rows and columns at the end, below the stride.
        output_size: the wanted (height, width), checked against the admissible ones.
        name: the caller's name, for messages.

    Returns:
        y (N,OH,OW,F); the sizes are in `geometry.conv2d_transpose_geometry`.

    Raises:
        ShapeError: channels, groups or sizes do not fit.

    Source: Human Data Analytics, Lab 3, "Transposed convolutions".

    >>> import numpy as np
    >>> x = np.array([[0.0, 1.0], [2.0, 3.0]]).reshape(1, 2, 2, 1)
    >>> k = np.array([[1.0, 2.0, 4.0]]).reshape(1, 3, 1, 1)
    >>> conv2d_transpose(x, k).numpy()[0, :, :, 0].tolist()
    [[0.0, 1.0, 2.0, 4.0], [2.0, 7.0, 14.0, 12.0]]
    """
    x, kernel = given(name, "x", x), given(name, "kernel", kernel)
    if x.ndim == kernel.ndim == 2:
        y = conv2d_transpose(
            *_as_images(name, x, kernel, bias), strides, padding, dilation_rate, groups,
            relu=relu, output_padding=output_padding, output_size=output_size, name=name,
        )  # fmt: skip
        return reshape(y, y.shape[1:3])
    x, kernel, bias = image_and_kernel(name, x, kernel, bias, groups, transposed=True)
    geometry = remembered(
        conv2d_transpose_geometry,
        x.shape[1:3],
        kernel.shape[:2],
        strides,
        padding,
        dilation_rate,
        groups,
        output_padding=output_padding,
        output_size=output_size,
        where=name,
    )
    check_transposed_channels(name, x, kernel, geometry.groups)
    if bias is not None:
        check_bias(name, bias, kernel.shape[2] * geometry.groups)
    return convolution(x, kernel, geometry, bias, relu=relu, transposed=True)


def _as_images(name: str, x: Tensor, kernel: Tensor, bias: Any) -> tuple[Any, Any, Any]:
    """Return a matrix, a kernel and a number to add as images of one channel and one filter."""
    bias = None if bias is None else given(name, "bias", bias)
    if bias is not None and bias.size == 1:
        bias = reshape(bias, (1,))
    return reshape(x, (1, *x.shape, 1)), reshape(kernel, (*kernel.shape, 1, 1)), bias


def convolution(
    x: Tensor,
    kernel: Tensor,
    g: Geometry,
    bias: Tensor | None = None,
    *,
    relu: bool = False,
    transposed: bool = False,
    pool: Geometry | None = None,
) -> Tensor:
    """Return a convolution or transposed convolution whose window arithmetic is known.

    Args:
        x: images (N,H,W,C).
        kernel: as in `conv2d`, or in `conv2d_transpose`.
        g: the window arithmetic, of a transposed convolution that of the one it reverses.
        bias: (F,) or None.
        relu: whether negative results become zero.
        transposed: whether it is the transposed convolution.
        pool: the window arithmetic of a max-pool of the result, which `conv2d` may ask for.
    """
    work = len(x.data) * g.out_height * g.out_width * kernel.data.size
    chosen = backend(work, x.data)
    if pool is not None and not chosen.pools_in_place(x.dtype, pool):
        return pooling.max_pool_of(convolution(x, kernel, g, bias, relu=relu), pool)
    return _Convolution(chosen, x, kernel, bias, g, relu, transposed, pool).result()


def kernel_gradient(x: Tensor, dy: Tensor, g: Geometry) -> Tensor:
    """Return dk (KH,KW,C/groups,F), the gradient of a convolution's kernel.

    dk[i,j,c,f] = sum over all products of conv2d that use k[i,j,c,f] of x[n,h,w,c] * dy[n,oh,ow,f]
    """
    work = dy.size * g.kernel_height * g.kernel_width * (x.shape[3] // g.groups)
    return record(
        "conv2d_kernel_gradient",
        backend(work, x.data).conv2d_kernel_gradient(x.data, dy.data, g),
        (x, lambda dz, z: convolution(dy, dz, g, transposed=True)),
        (dy, lambda dz, z: convolution(x, dz, g)),
    )


class _Convolution:
    """One convolution: its operands, its result, and how gradients reach each operand.

    While gradients are recorded themselves, for derivatives of higher order, each of the methods
    that end in `_gradient` is written in operations.
    """

    def __init__(
        self,
        chosen: Any,
        x: Tensor,
        kernel: Tensor,
        bias: Tensor | None,
        g: Geometry,
        relu: bool,
        transposed: bool,
        pool: Geometry | None,
    ) -> None:
        self.backend, self.x, self.kernel, self.bias, self.g = chosen, x, kernel, bias, g
        self.relu, self.transposed, self.pool = relu, transposed, pool
        self.indices: Array | None = None
        # The last gradient met, with what was made of it: it comes once for each operand.
        self._met: tuple[Tensor, Array | MaskedGradient] | None = None
        self._both: tuple[Tensor, Tensor, Tensor] | None = None

    def result(self) -> Tensor:
        """Return y (N,OH,OW,F), with its memory."""
        x, kernel, bias = self.x, self.kernel, self.bias
        added = None if bias is None else bias.data
        if self.pool is not None:
            value, self.indices = self.backend.conv2d_max_pool2d(
                x.data, kernel.data, self.g, added, self.relu, self.pool
            )
        elif self.transposed:
            value = self.backend.conv2d_input_gradient(
                x.data, kernel.data, self.g, added, self.relu
            )
        else:
            value = self.backend.conv2d(x.data, kernel.data, self.g, added, self.relu)
        inputs = [(x, self.x_gradient), (kernel, self.kernel_gradient)]
        if bias is not None:
            inputs.append((bias, self.bias_gradient))
        return record("conv2d_transpose" if self.transposed else "conv2d", value, *inputs)

    def x_gradient(self, dy: Tensor, y: Tensor) -> Tensor:
        if is_recording():
            before = self._before(dy, y)
            return convolution(before, self.kernel, self.g, transposed=not self.transposed)
        maps = self.backend
        function = maps.conv2d if self.transposed else maps.conv2d_input_gradient
        return record("x_gradient", function(self._masked(dy, y), self.kernel.data, self.g))

    def kernel_gradient(self, dy: Tensor, y: Tensor) -> Tensor:
        if is_recording():
            before = self._before(dy, y)
            large, small = (before, self.x) if self.transposed else (self.x, before)
            return kernel_gradient(large, small, self.g)
        return self._kernel_and_bias(dy, y)[0]

    def bias_gradient(self, dy: Tensor, y: Tensor) -> Tensor:
        if is_recording():
            return sum_to(self._before(dy, y), y.shape[3:])
        return self._kernel_and_bias(dy, y)[1]

    def _before(self, dy: Tensor, y: Tensor) -> Tensor:
        """Return the gradient before ReLU and pool, as a tensor."""
        if self.relu:
            dy = elementwise.relu_gradient(dy, y)
        if self.indices is not None and self.pool is not None:
            dy = pooling.scatter(dy, self.indices, self.pool)
        return dy

    def _masked(self, dy: Tensor, y: Tensor) -> Array | MaskedGradient:
        """Return the same, not written out where the backend can take it so."""
        if not self.relu and self.indices is None:
            return dy.data
        if self._met is None or self._met[0] is not dy:
            masked = MaskedGradient(dy.data, y.data if self.relu else None, self.indices, self.pool)
            self._met = dy, self.backend.ready(masked, self.g)
        return self._met[1]

    def _kernel_and_bias(self, dy: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return both gradients, which come from one pass; the second asks in vain for work."""
        if self._both is None or self._both[0] is not dy:
            masked, x = self._masked(dy, y), self.x.data
            large, small, side = (masked, x, "x") if self.transposed else (x, masked, "dy")
            dk, db = self.backend.kernel_and_bias_gradient(
                large, small, self.g, side if self.bias is not None else None
            )
            self._both = dy, record("kernel_gradient", dk), record("bias_gradient", db)
        return self._both[1:]
