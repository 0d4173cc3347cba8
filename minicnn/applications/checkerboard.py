"""Checkerboards, the pattern that transposed convolutions draw: counted and measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import ops
from minicnn.errors import ArgumentError, ShapeError

__all__ = ["checkerboard_share", "overlap_counts", "spectrum"]

Array = NDArray[Any]


def overlap_counts(kernel_size: int, stride: int, size: int = 8) -> Array:
    """Return from how many inputs each output pixel of a transposed convolution is made.

    Where the stride does not divide the kernel's size the numbers differ from pixel to pixel, and
    with equal weights so does the brightness: the checkerboard.

    Args:
        kernel_size: rows and columns of the kernel.
        stride: step of the outputs for a step of the inputs.
        size: rows and columns of the input.

    Source: A. Odena, V. Dumoulin and C. Olah, Deconvolution and Checkerboard Artifacts, 2016.

    >>> overlap_counts(3, 2, size=3)[2:5, 2:5].astype(int).tolist()
    [[4, 2, 4], [2, 1, 2], [4, 2, 4]]
    >>> overlap_counts(4, 2, size=3)[2:6, 2:6].astype(int).tolist()
    [[4, 4, 4, 4], [4, 4, 4, 4], [4, 4, 4, 4], [4, 4, 4, 4]]
    """
    ones = np.ones((1, size, size, 1))
    kernel = np.ones((kernel_size, kernel_size, 1, 1))
    return ops.conv2d_transpose(ones, kernel, strides=stride).numpy()[0, :, :, 0]


def spectrum(images: Array) -> Array:
    """Return the mean power of images (N,H,W,C) at each frequency, (H,W); 0 is in the middle.

    Each image is taken without its mean and faded out to its edges, so that these do not show.
    """
    if images.ndim != 4:
        raise ShapeError(f"spectrum: images has shape {images.shape}, but must be (N,H,W,C).")
    height, width = images.shape[1:3]
    window = np.hanning(height)[:, None, None] * np.hanning(width)[:, None]  # (H,W,1)
    centred = (images - images.mean(axis=(1, 2), keepdims=True)) * window
    power = np.abs(np.fft.fft2(centred, axes=(1, 2))) ** 2  # (N,H,W,C)
    return np.asarray(np.fft.fftshift(power.mean(axis=(0, 3))))


def checkerboard_share(images: Array, period: int = 2, reach: int = 1) -> float:
    """Return the share of an image's power at the frequencies of a pattern of this period.

    These are the multiples of 1/period cycles per pixel along either axis, without 0 along both,
    and `reach` neighbours on each side.

    Args:
        images: (N,H,W,C), sizes multiples of the period.
        period: pixels after which the pattern repeats: the stride.
        reach: neighbouring frequencies that count, as the fading spreads each over some.

    Raises:
        ArgumentError: a size is no multiple of the period.

    >>> board = np.indices((16, 24)).sum(axis=0)[None, :, :, None] % 2
    >>> round(checkerboard_share(board.astype(float)), 2)
    1.0
    """
    height, width = images.shape[1:3]
    if height % period or width % period:
        raise ArgumentError(
            f"checkerboard_share: images of {height} x {width} pixels, but both must be multiples "
            f"of period={period}."
        )
    power = np.fft.ifftshift(spectrum(images))
    near = [
        np.minimum(np.arange(n) % (n // period), -np.arange(n) % (n // period)) <= reach
        for n in (height, width)
    ]
    chosen = near[0][:, None] & near[1][None, :]
    for rows in range(-reach, reach + 1):
        for columns in range(-reach, reach + 1):
            chosen[rows, columns] = False
    return float(power[chosen].sum() / power.sum())
