"""Noise put on images and taken off again: batches to learn from, filters to compare with, PSNR."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from minicnn import config
from minicnn.errors import ArgumentError
from minicnn.layers import Layer
from minicnn.metrics.base import together

__all__ = [
    "NoisyBatches",
    "add_noise",
    "best_gaussian_filter",
    "gaussian_filter",
    "median_filter",
    "psnr",
]

Array = NDArray[Any]


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
    clean, other = (images.astype(np.float64, copy=False) for images in together(clean, other))
    difference = clean - np.clip(other, 0, 1)
    error = np.square(difference).reshape(len(difference), -1).mean(axis=1)  # (N,)
    with np.errstate(divide="ignore"):
        return -10 * np.log10(error)


def add_noise(images: Array, sigma: float, seed: int = 0) -> Array:
    """Return images with normal noise of standard deviation `sigma`, limited to [0, 1]."""
    if not sigma >= 0:
        raise ArgumentError(f"add_noise: sigma={sigma!r}, but it must be >= 0.")
    noise = np.random.default_rng(seed).standard_normal(images.shape, np.float32)
    return np.clip(images + np.float32(sigma) * noise, 0, 1, dtype=np.float32)


class NoisyBatches:
    """Batches (noisy, clean) of images, with new noise and a new order in every epoch.

    Each image gets noise of a standard deviation of its own, drawn evenly from 0 to `noise`, so
    that one network learns all strengths. With `noise` 0 the batches are (clean, clean).

    Args:
        images: (N,H,W,C) in [0, 1].
        batch_size: images in a batch; the last batch may be smaller.
        noise: largest standard deviation, in units of the image's range.
        changes: changes the clean images (B,H,W,C) of each batch at random before that, such as
            `augmentation.cell_changes()`; by default they stay as they are.
    """

    def __init__(
        self, images: Array, batch_size: int, noise: float, changes: Layer | None = None
    ) -> None:
        if not noise >= 0:
            raise ArgumentError(f"NoisyBatches: noise={noise!r}, but it must be >= 0.")
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
    tall = rows @ images.reshape(batch, height, width * channels)  # (N,H,W*C)
    return (columns @ tall.reshape(batch * height, width, channels)).reshape(images.shape)


def best_gaussian_filter(clean: Array, noisy: Array) -> tuple[float, float]:
    """Return the sigma, of 0.3 to 2 pixels, whose filter comes nearest to `clean`, and its PSNR.

    It is chosen with the clean images at hand, so no Gaussian filter can do better.
    """
    candidates = [round(0.3 + 0.1 * i, 1) for i in range(18)]
    scores = [float(psnr(clean, gaussian_filter(noisy, s)).mean()) for s in candidates]
    best = int(np.argmax(scores))
    return candidates[best], scores[best]


def median_filter(images: Array, size: int = 3) -> Array:
    """Return images in which each value is the median of the size x size values around it."""
    before, after = size // 2, (size - 1) // 2
    sides = ((0, 0), (before, after), (before, after), (0, 0))
    padded = np.pad(images, sides, mode="edge")
    windows = sliding_window_view(padded, (size, size), axis=(1, 2))  # (N,H,W,C,size,size)
    flat = windows.reshape(*images.shape, size * size)
    return np.asarray(np.median(flat, axis=-1)).astype(images.dtype)
