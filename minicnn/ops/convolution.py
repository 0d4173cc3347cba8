"""Convolution, transposed convolution, and the two 2-D functions for learners.

The arithmetic and its derivatives are in `maps.py`; here arguments are checked and put in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config
from minicnn.autograd.tensor import Tensor, as_numpy, convert_to_tensor
from minicnn.errors import ArgumentError, ShapeError, check_choice
from minicnn.geometry import Geometry, conv2d_geometry, conv2d_transpose_geometry, pair
from minicnn.kernels import kernel as kernel_function
from minicnn.kernels.placement import check_same_device
from minicnn.ops.fusion import convolution_layer, convolution_max_pool
from minicnn.ops.windows import remembered

__all__ = [
    "conv2d",
    "conv2d_transpose",
    "convolve2d",
    "cross_correlate2d",
]


def _image_and_kernel(where: str, x: Any, kernel: Any) -> tuple[Tensor, Tensor]:
    """Return two float tensors of four axes and one type; integers become floats."""
    x, kernel = convert_to_tensor(x), convert_to_tensor(kernel)
    floats = [t.dtype for t in (x, kernel) if t.dtype.kind == "f"]
    dtype = floats[0] if floats else config.floatx()
    x, kernel = (t if t.dtype.kind == "f" else Tensor(t.data.astype(dtype)) for t in (x, kernel))
    for argument, tensor, axes in (("x", x, "(N,H,W,C)"), ("kernel", kernel, "(KH,KW,C/groups,F)")):
        if tensor.ndim != 4:
            raise ShapeError(
                f"{where}: {argument} has shape {tensor.shape}, but must have four axes {axes}"
                + ("; x[None, ..., None] adds the missing ones." if tensor.ndim == 2 else ".")
            )
    if kernel.size == 0:
        raise ShapeError(
            f"{where}: kernel has shape {kernel.shape}, but each axis must be at least 1."
        )
    if x.dtype != kernel.dtype:
        raise ShapeError(
            f"{where}: x is {x.dtype} and kernel {kernel.dtype}; both must be the same, so cast "
            f"one of them."
        )
    check_same_device(where, x=x.data, kernel=kernel.data)
    return x, kernel


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
        x: images (N,H,W,C).
        kernel: (KH,KW,C/groups,F).
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
        y (N,OH,OW,F), or its max-pool.

    Raises:
        ShapeError: channels, groups or sizes do not fit.

    Source: Human Data Analytics, Lab 2, the example with the 3x3 image and the 2x2 kernel.

    >>> import numpy as np
    >>> x = np.arange(12.0).reshape(1, 3, 4, 1)
    >>> k = np.array([[1.0, 0.0, -1.0]]).reshape(1, 3, 1, 1)
    >>> conv2d(x, k).numpy()[0, :, :, 0].tolist()
    [[-2.0, -2.0], [-2.0, -2.0], [-2.0, -2.0]]
    """
    x, kernel = _image_and_kernel(name, x, kernel)
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
    _check_channels(name, x.shape[3], kernel.shape[2], kernel.shape[3], geometry.groups)
    bias = _bias(name, bias, kernel.shape[3], kernel)
    if max_pool is None:
        return convolution_layer(x, kernel, bias, geometry, relu=relu)
    size = pair(name, "max_pool", max_pool)
    pooled = (geometry.out_height, geometry.out_width)
    pool = remembered(conv2d_geometry, pooled, size, size, where=name)
    return convolution_max_pool(x, kernel, bias, geometry, pool, relu=relu)


def _check_channels(name: str, channels: int, taken: int, filters: int, groups: int) -> None:
    if channels % groups or filters % groups:
        fitting = [
            str(n)
            for n in range(1, min(channels, filters) + 1)
            if channels % n == 0 and filters % n == 0
        ]
        raise ShapeError(
            f"{name}: groups={groups} must divide the {channels} input channels and the "
            f"{filters} filters; fitting: {', '.join(fitting)}."
        )
    if channels != taken * groups:
        rule = f"{taken}" if groups == 1 else f"{taken} * {groups} groups = {taken * groups}"
        raise ShapeError(
            f"{name}: x has {channels} channels, but the kernel takes {rule}; they must be equal."
        )


def _bias(name: str, bias: Any, filters: int, kernel: Tensor) -> Tensor | None:
    if bias is None:
        return None
    bias = convert_to_tensor(bias)
    if bias.shape != (filters,):
        raise ShapeError(
            f"{name}: bias has shape {bias.shape}, but there are {filters} filters; it must "
            f"have shape ({filters},)."
        )
    check_same_device(name, bias=bias.data, kernel=kernel.data)
    return bias if bias.dtype == kernel.dtype else Tensor(bias.data.astype(kernel.dtype))


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
        x: images (N,H,W,C).
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
    x, kernel = _image_and_kernel(name, x, kernel)
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
    if kernel.shape[3] != x.shape[3] or x.shape[3] % geometry.groups:
        raise ShapeError(
            f"{name}: x has {x.shape[3]} channels and groups is {geometry.groups}, but the kernel "
            f"(KH,KW,F/groups,C) takes {kernel.shape[3]}; the channels must be equal and a "
            f"multiple of groups."
        )
    bias = _bias(name, bias, kernel.shape[2] * geometry.groups, kernel)
    return convolution_layer(x, kernel, bias, geometry, relu=relu, transposed=True)


def cross_correlate2d(image: Any, kernel: Any, mode: str = "valid") -> NDArray[Any]:
    """Return the cross-correlation of two plain matrices: the kernel slides as it stands.

    y[r,s] = sum over i,j of image[r + i - P, s + j - P] * kernel[i,j], zero outside the image

    Args:
        image: matrix (H,W).
        kernel: matrix (KH,KW).
        mode: `"valid"` (default) where the kernel lies inside; `"same"` as large as the image, for
            an even kernel the odd padding last, as in `conv2d`, Keras and SciPy's `correlate2d`;
            `"full"` wherever they overlap.

    Returns:
        y (H-KH+1,W-KW+1), (H,W) or (H+KH-1,W+KW-1); integers stay integers.

    Raises:
        ShapeError: an argument is no matrix, or the kernel does not fit in `"valid"` mode.

    Source: Convolutional Autoencoder slides (Industrial AI Lab), "convolution and correlation".

    >>> cross_correlate2d([[0, 1, 2], [3, 4, 5], [6, 7, 8]], [[0, 1], [2, 3]]).tolist()
    [[19, 25], [37, 43]]
    >>> cross_correlate2d([[1, 2, 3, 4]], [[1, 0, -1]]).tolist()
    [[-2, -2]]
    """
    return _slide("cross_correlate2d", image, kernel, mode, flip=False)


def convolve2d(image: Any, kernel: Any, mode: str = "full") -> NDArray[Any]:
    """Return the true convolution of two plain matrices: the kernel is turned by 180 degrees.

    y[r,s] = sum over i,j of image[i,j] * kernel[r - i, s - j], zero outside the image

    Args:
        image: matrix (H,W).
        kernel: matrix (KH,KW).
        mode: `"full"` (default) wherever they overlap; `"same"` as large as the image, for an even
            kernel the odd padding first, as in SciPy's `convolve2d`; `"valid"` where the kernel
            lies inside.

    Returns:
        y (H+KH-1,W+KW-1), (H,W) or (H-KH+1,W-KW+1); integers stay integers.

    Raises:
        ShapeError: an argument is no matrix, or the kernel does not fit in `"valid"` mode.

    Source: Convolutional Autoencoder slides (Industrial AI Lab), "convolution and correlation".

    >>> convolve2d([[1, 2, 3, 4]], [[1, 0, -1]]).tolist()
    [[1, 2, 2, 2, -3, -4]]
    """
    return _slide("convolve2d", image, kernel, mode, flip=True)


def _slide(where: str, image: Any, kernel: Any, mode: str, *, flip: bool) -> NDArray[Any]:
    image, kernel = _matrix(where, "image", image), _matrix(where, "kernel", kernel)
    for argument, matrix in (("image", image), ("kernel", kernel)):
        if matrix.ndim != 2 or matrix.size == 0:
            raise ShapeError(
                f"{where}: {argument} has shape {matrix.shape}, but must be a matrix of at least "
                f"one row and column."
            )
    geometry = slide_geometry(where, image.shape, kernel.shape, mode, flip=flip)
    dtype = np.result_type(image, kernel)
    turned = kernel[::-1, ::-1] if flip else kernel
    work = geometry.out_height * geometry.out_width * kernel.size
    x = image.astype(dtype)[None, :, :, None]  # (1,H,W,1)
    function = kernel_function("conv2d", work, x)
    k = turned.astype(dtype)[:, :, None, None]  # (KH,KW,1,1)
    return np.asarray(function(x, k, geometry)[0, :, :, 0])  # (OH,OW)


def _matrix(where: str, argument: str, given: Any) -> NDArray[Any]:
    try:
        matrix = as_numpy(given)
    except ValueError:
        raise ShapeError(f"{where}: the rows of {argument} are of different lengths.") from None
    if matrix.dtype.kind not in "biufcO":
        raise ArgumentError(f"{where}: {argument} must hold numbers, not {matrix.dtype}.")
    return matrix


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
