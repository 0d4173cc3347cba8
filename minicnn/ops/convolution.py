"""Convolution, transposed convolution, and the two 2-D functions for learners.

The arithmetic and its derivatives are in `maps.py`; here arguments are checked and put in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.autograd.operators import operation
from minicnn.autograd.tensor import Tensor, as_array, as_numpy, given
from minicnn.errors import ShapeError, check_choice
from minicnn.geometry import Geometry, conv2d_geometry, conv2d_transpose_geometry, pair
from minicnn.kernels import kernel as kernel_function
from minicnn.ops.arguments import (
    check_bias,
    check_channels,
    check_transposed_channels,
    image_and_kernel,
    turned,
    warn_of_order,
)
from minicnn.ops.fusion import convolution_layer, convolution_max_pool
from minicnn.ops.shape import reshape
from minicnn.ops.windows import remembered

__all__ = ["conv2d", "conv2d_transpose", "convolve2d", "cross_correlate2d"]


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
    if x.ndim == kernel.ndim == 2:
        y = conv2d(
            *_as_images(name, x, kernel, bias), strides, padding, dilation_rate, groups,
            relu=relu, max_pool=max_pool, strict=strict, name=name,
        )  # fmt: skip
        return reshape(y, y.shape[1:3])
    x, kernel, bias = image_and_kernel(name, x, kernel, bias, groups)
    try:
        geometry = remembered(
            conv2d_geometry,
            x.shape[1:3],
            kernel.shape[:2],
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
    warn_of_order(name, x, kernel, geometry.groups)
    if max_pool is None:
        return convolution_layer(x, kernel, bias, geometry, relu=relu)
    size = pair(name, "max_pool", max_pool)
    pooled = (geometry.out_height, geometry.out_width)
    pool = remembered(conv2d_geometry, pooled, size, size, where=name)
    return convolution_max_pool(x, kernel, bias, geometry, pool, relu=relu)


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
    return convolution_layer(x, kernel, bias, geometry, relu=relu, transposed=True)


def _as_images(name: str, x: Tensor, kernel: Tensor, bias: Any) -> tuple[Any, Any, Any]:
    """Return a matrix, a kernel and a number to add as images of one channel and one filter."""
    bias = None if bias is None else given(name, "bias", bias)
    if bias is not None and bias.size == 1:
        bias = reshape(bias, (1,))
    return reshape(x, (1, *x.shape, 1)), reshape(kernel, (*kernel.shape, 1, 1)), bias


@operation
def cross_correlate2d(image: Any, kernel: Any, mode: str = "valid") -> NDArray[Any]:
    """Return the cross-correlation of an image and a matrix: the kernel slides as it stands.

    y[r,s] = sum over i,j of image[r + i - P, s + j - P] * kernel[i,j], zero outside the image

    Args:
        image: matrix (H,W), or a colour image (H,W,C), each channel of which is taken by itself.
        kernel: matrix (KH,KW).
        mode: `"valid"` (default) where the kernel lies inside; `"same"` as large as the image, for
            an even kernel the odd padding last, as in `conv2d`, Keras and SciPy's `correlate2d`;
            `"full"` wherever they overlap.

    Returns:
        y (H-KH+1,W-KW+1), (H,W) or (H+KH-1,W+KW-1), of a colour image (...,C). Integers stay
        integers: short ones become int64, and Python's own where a sum might not fit into these.

    Raises:
        ShapeError: an argument has other axes, or the kernel does not fit in `"valid"` mode.

    Source: Convolutional Autoencoder slides (Industrial AI Lab), "convolution and correlation".

    >>> cross_correlate2d([[0, 1, 2], [3, 4, 5], [6, 7, 8]], [[0, 1], [2, 3]]).tolist()
    [[19, 25], [37, 43]]
    >>> cross_correlate2d([[1, 2, 3, 4]], [[1, 0, -1]]).tolist()
    [[-2, -2]]
    """
    return _slide("cross_correlate2d", image, kernel, mode, flip=False)


@operation
def convolve2d(image: Any, kernel: Any, mode: str = "full") -> NDArray[Any]:
    """Return the true convolution of an image and a matrix: the kernel is turned by 180 degrees.

    y[r,s] = sum over i,j of image[i,j] * kernel[r - i, s - j], zero outside the image

    Args:
        image: matrix (H,W), or a colour image (H,W,C), each channel of which is taken by itself.
        kernel: matrix (KH,KW).
        mode: `"full"` (default) wherever they overlap; `"same"` as large as the image, for an even
            kernel the odd padding first, as in SciPy's `convolve2d`; `"valid"` where the kernel
            lies inside.

    Returns:
        y (H+KH-1,W+KW-1), (H,W) or (H-KH+1,W-KW+1), of a colour image (...,C). Integers stay
        integers, as in `cross_correlate2d`.

    Raises:
        ShapeError: an argument has other axes, or the kernel does not fit in `"valid"` mode.

    Source: Convolutional Autoencoder slides (Industrial AI Lab), "convolution and correlation".

    >>> convolve2d([[1, 2, 3, 4]], [[1, 0, -1]]).tolist()
    [[1, 2, 2, 2, -3, -4]]
    """
    return _slide("convolve2d", image, kernel, mode, flip=True)


def _slide(where: str, image: Any, kernel: Any, mode: str, *, flip: bool) -> NDArray[Any]:
    image, kernel = _numbers(where, "image", image), _numbers(where, "kernel", kernel)
    if image.ndim not in (2, 3) or image.size == 0:
        raise ShapeError(
            f"{where}: image has shape {image.shape}, but must be a matrix (H,W) or one colour "
            f"image (H,W,C), of at least one row and column."
            f"{' image[0] is the first of a batch; conv2d takes all.' if image.ndim == 4 else ''}"
        )
    if kernel.ndim != 2 or kernel.size == 0:
        raise ShapeError(
            f"{where}: kernel has shape {kernel.shape}, but must be a matrix (KH,KW) of at least "
            f"one row and column; each channel of an image meets the same one."
        )
    geometry = slide_geometry(where, image.shape[:2], kernel.shape, mode, flip=flip)
    dtype = _holding(image, kernel)
    turned = kernel[::-1, ::-1] if flip else kernel
    work = geometry.out_height * geometry.out_width * kernel.size
    channels = image[None] if image.ndim == 2 else np.moveaxis(image, -1, 0)
    x = channels.astype(dtype)[..., None]  # (C,H,W,1): each channel by itself
    function = kernel_function("conv2d", work, x)
    k = turned.astype(dtype)[:, :, None, None]  # (KH,KW,1,1)
    y = np.asarray(function(x, k, geometry)[..., 0])  # (C,OH,OW)
    return y[0] if image.ndim == 2 else np.ascontiguousarray(np.moveaxis(y, 0, -1))


def _holding(image: NDArray[Any], kernel: NDArray[Any]) -> Any:
    """Return the type of the result: of integers one that holds every sum."""
    if image.dtype.kind not in "biu" or kernel.dtype.kind not in "biu":
        return np.result_type(image, kernel)
    largest = [max(abs(int(a.min())), abs(int(a.max()))) for a in (image, kernel)]
    bound = largest[0] * largest[1] * kernel.size
    kind = np.result_type(image, kernel)
    if kind.kind in "iu" and kind.itemsize >= 4 and bound <= np.iinfo(kind).max:
        return kind
    # Beyond 64 bits they become Python's integers, which are as long as needed.
    return np.dtype(np.int64 if bound < 2**63 else object)


def _numbers(where: str, argument: str, value: Any) -> NDArray[Any]:
    """Return an array of any numbers, also complex ones and fractions."""
    try:
        array = as_numpy(value)
    except ValueError:
        raise ShapeError(f"{where}: the rows of {argument} are of different lengths.") from None
    exact = array.dtype == object and all(isinstance(v, Number) for v in array.flat)
    return (
        array
        if array.dtype.kind in "biufc" or exact
        else as_array(value, None, f"{where}: {argument}")
    )


def slide_geometry(
    where: str, image_size: Sequence[int], kernel_size: Sequence[int], mode: str, *, flip: bool
) -> Geometry:
    """Return the geometry of a matrix slid over another in one of the three modes."""
    mode = check_choice(where, "mode", mode, ["full", "same", "valid"])
    height, width = kernel_size
    if mode == "full":
        padding: Any = ((height - 1, height - 1), (width - 1, width - 1))
    elif mode == "same" and flip:
        # Both functions keep the middle of "full" and, where there are two middles, the earlier one
        # for a convolution: an even kernel has its odd padding first. So turning the kernel
        # exchanges the two functions in "full" and "valid", but in "same" for odd kernels only.
        padding = ((height // 2, (height - 1) // 2), (width // 2, (width - 1) // 2))
    else:
        padding = mode  # "same" of the geometry puts the odd padding last
    return conv2d_geometry(image_size, kernel_size, padding=padding, where=where)
