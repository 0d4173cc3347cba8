"""Noise put on images and taken off again: batches to learn from, filters to compare with, PSNR."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from minicnn import config
from minicnn.errors import ArgumentError
from minicnn.images import resize
from minicnn.layers import Layer
from minicnn.metrics.base import together
from minicnn.models import Model

__all__ = [
    "GAUSSIAN_SIGMAS",
    "NoisyBatches",
    "add_noise",
    "best_gaussian_filter",
    "check_noise",
    "denoise_at",
    "gaussian_filter",
    "median_filter",
    "psnr",
]

Array = NDArray[Any]

#: Sigmas in pixels among which the best Gaussian filter is looked for.
GAUSSIAN_SIGMAS = tuple(round(0.3 + 0.1 * i, 1) for i in range(18))


def check_noise(where: str, argument: str, noise: float) -> None:
    """Refuse a standard deviation of noise that is none for images in [0, 1].

    Numbers from 2 on are taken for one of 8-bit images, whose range is 255 times as wide.

    Raises:
        ArgumentError: it lies outside [0, 1].

    >>> check_noise("add_noise", "sigma", 20)
    Traceback (most recent call last):
    minicnn.errors.ArgumentError: add_noise: sigma=20, but it must lie between 0 and 1: it is a \
standard deviation for images whose values go from 0 to 1; 20 of 255 is 0.08.
    """
    if 0 <= noise <= 1:
        return
    meant = f"; {noise:g} of 255 is {round(noise / 255, 2):g}" if 2 <= noise <= 255 else ""
    raise ArgumentError(
        f"{where}: {argument}={noise!r}, but it must lie between 0 and 1: it is a standard "
        f"deviation for images whose values go from 0 to 1{meant}."
    )


def psnr(clean: Any, other: Any) -> Array:
    """Return the peak signal-to-noise ratio of each image in decibels, for a peak of 1.

    10 * log10(1 / mean of (clean - other)**2), of `other` limited to [0, 1]; 10 dB more mean a
    tenth of the squared error.

    Args:
        clean: images (N,H,W,C) in [0, 1].
        other: images of the same shape; where they lie, the ratios will.

    >>> psnr(np.zeros((1, 2, 3, 1)), np.full((1, 2, 3, 1), 0.1)).round(6).tolist()
    [20.0]
    """
    clean, other = (
        images.astype(np.result_type(images.dtype, np.float32), copy=False)
        for images in together(clean, other)
    )
    difference = clean - np.clip(other, 0, 1)
    squares = np.square(difference).reshape(len(difference), -1)
    error = squares.mean(axis=1, dtype=np.float64)  # (N,)
    with np.errstate(divide="ignore"):
        return -10 * np.log10(error)


def add_noise(images: Array, sigma: float, seed: int | np.random.Generator = 0) -> Array:
    """Return images with normal noise of standard deviation `sigma`, limited to [0, 1].

    Args:
        images: of any shape, in [0, 1].
        sigma: standard deviation, from 0 to 1.
        seed: of the noise, or the generator that it is drawn from.

    Raises:
        ArgumentError: a sigma outside [0, 1].
    """
    check_noise("add_noise", "sigma", sigma)
    noise = np.random.default_rng(seed).standard_normal(images.shape, np.float32)
    return np.clip(images + np.float32(sigma) * noise, 0, 1, dtype=np.float32)


def denoise_at(scale: float, image: Array, network_of: Callable[[tuple[int, int]], Model]) -> Array:
    """Return an image (H,W,3) denoised at a scale: resized by it before, and back after.

    Args:
        scale: the factor, which brings what the image shows to the size at which the network
            learned it; 1 leaves the image as it is.
        image: in [0, 1].
        network_of: returns the network for a height and a width.
    """
    height, width = image.shape[:2]
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    resized = image if scale == 1 else resize(image, size)
    result = network_of(size).predict(resized[None], verbose=0)[0]
    return result if scale == 1 else resize(result, (height, width))


class NoisyBatches:
    """Batches (noisy, clean) of images, with new noise and a new order in every epoch.

    Each image gets noise of a standard deviation of its own, drawn evenly from 0 to `noise`, so
    that one network learns all strengths. With `noise` 0 the batches are (clean, clean).

    Args:
        images: (N,H,W,C) in [0, 1].
        batch_size: images in a batch; the last batch may be smaller.
        noise: largest standard deviation, from 0 to 1.
        changes: changes the clean images (B,H,W,C) of each batch at random before that, such as
            `augmentation.cell_changes()`; by default they stay as they are.
    """

    def __init__(
        self, images: Array, batch_size: int, noise: float, changes: Layer | None = None
    ) -> None:
        check_noise("NoisyBatches", "noise", noise)
        self.images, self.batch_size, self.noise = images, batch_size, noise
        self.changes = changes

    def __len__(self) -> int:
        return math.ceil(len(self.images) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        rng = config.random_generator()
        order = rng.permutation(len(self.images))
        for first in range(0, len(order), self.batch_size):
            clean = self.images[order[first : first + self.batch_size]]  # (B,H,W,C)
            if self.changes is not None:
                with config.use_cpu():
                    clean = self.changes(clean, training=True).numpy()
            if self.noise == 0:
                yield clean, clean
                continue
            sigma = rng.uniform(0, self.noise, (len(clean), 1, 1, 1)).astype(np.float32)
            noisy = clean + sigma * rng.standard_normal(clean.shape, np.float32)
            yield np.clip(noisy, 0, 1), clean


def _smoothing(n: int, sigma: float) -> Array:
    """Return the matrix (N,N) that smooths one axis; the border pixels are repeated outwards."""
    reach = math.ceil(4 * sigma)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights /= weights.sum()
    matrix = np.zeros((n, n))
    for row in range(n):
        np.add.at(matrix[row], np.clip(row + offsets, 0, n - 1), weights)
    return matrix


def gaussian_filter(images: Array, sigma: float) -> Array:
    """Return images smoothed by a Gaussian of `sigma` pixels.

    The Gaussian is separable: smoothing is a matrix product along the rows, and one along the
    columns.

    >>> gaussian_filter(np.ones((1, 5, 7, 3)), 0.8).shape
    (1, 5, 7, 3)
    """
    batch, height, width, channels = images.shape
    rows, columns = (_smoothing(n, sigma).astype(images.dtype) for n in (height, width))
    tall = (rows @ images.reshape(batch, height, width * channels)).reshape(images.shape)
    # One product of all rows; with the channels last it would be one of N*H narrow matrices.
    wide = tall.swapaxes(2, 3).reshape(-1, width) @ columns.T  # (N*H*C,W)
    return wide.reshape(batch, height, channels, width).swapaxes(2, 3)


def best_gaussian_filter(clean: Array, noisy: Array) -> tuple[float, float]:
    """Return the sigma, of 0.3 to 2 pixels, whose filter comes nearest to `clean`, and its PSNR.

    It is chosen with the clean images at hand, so no Gaussian filter can do better.
    """
    scores = [float(psnr(clean, gaussian_filter(noisy, s)).mean()) for s in GAUSSIAN_SIGMAS]
    best = int(np.argmax(scores))
    return GAUSSIAN_SIGMAS[best], scores[best]


def median_filter(images: Array, size: int = 3) -> Array:
    """Return images in which each value is the median of the size x size values around it."""
    before, after = size // 2, (size - 1) // 2
    sides = ((0, 0), (before, after), (before, after), (0, 0))
    padded = np.pad(images, sides, mode="edge")
    windows = sliding_window_view(padded, (size, size), axis=(1, 2))  # (N,H,W,C,size,size)
    result = np.empty_like(images)
    step = max(1, _AT_ONCE // max(1, images.shape[2] * images.shape[3]))  # rows
    for n in range(len(images)):
        for top in range(0, images.shape[1], step):
            part = windows[n, top : top + step]
            planes = [part[..., i, j].copy() for i, j in np.ndindex(size, size)]
            result[n, top : top + step] = _median_of(planes)
    return result


def _median_of(planes: list[Array]) -> Array:
    """Return the median of arrays of one shape, element by element; they are overwritten."""
    middle = len(planes) // 2
    # Bubble sort of all elements at once, until the upper half is in its place.
    for end in range(len(planes) - 1, middle - 1, -1):
        for low, high in pairwise(planes[: end + 1]):
            smaller = np.minimum(low, high)
            np.maximum(low, high, out=high)
            low[...] = smaller
    if len(planes) % 2:
        return planes[middle]
    return (np.max(planes[:middle], axis=0) + planes[middle]) / 2


#: Values whose windows are sorted at a time: side by side, all of them would fill the memory.
_AT_ONCE = 2**13
