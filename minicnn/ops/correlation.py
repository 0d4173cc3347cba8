"""The two 2-D functions for learners: one matrix slides over another.

No gradient flows through them; `conv2d` of matrices is the differentiable way.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.autograd.operators import operation
from minicnn.autograd.tensor import as_array, as_numpy
from minicnn.errors import ShapeError, check_choice
from minicnn.geometry import Geometry, conv2d_geometry
from minicnn.kernels import backend

__all__ = ["convolve2d", "cross_correlate2d", "slide_geometry"]


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
    k = turned.astype(dtype)[:, :, None, None]  # (KH,KW,1,1)
    y = np.asarray(backend(work, x).conv2d(x, k, geometry)[..., 0])  # (C,OH,OW)
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
