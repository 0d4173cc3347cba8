"""What a trained cell autoencoder can do: figures in numbers and pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.applications import figures
from minicnn.applications.cell_autoencoder import encoder_of
from minicnn.applications.denoising import (
    GAUSSIAN_SIGMAS,
    add_noise,
    gaussian_filter,
    median_filter,
    psnr,
)
from minicnn.applications.likeness import describe, rank, weights_of
from minicnn.callbacks.history import draw_history
from minicnn.models import Model
from minicnn.runtime.threads import one_blas_thread

__all__ = ["Denoising", "denoising_figures", "encode", "write_report"]

Array = NDArray[Any]

#: Pixels of the test images that are looked at, which suffice for a mean PSNR to 0.2 dB: 128 images
#: of 64 x 64; and of the training images that are searched.
TEST_PIXELS, TRAIN_PIXELS = 2**19, 2**21

#: Values that are computed with at a time.
_AT_ONCE = 2**19

#: Standard deviations of the noise at which denoising is measured, for images in [0, 1].
NOISES = (0.1, 0.2)


@dataclass(frozen=True)
class Denoising:
    """Mean PSNRs in decibels at one strength of noise."""

    sigma: float
    noisy: float
    gaussian: float
    gaussian_sigma: float
    median: float
    network: float


def encode(model: Model, images: Array) -> Array:
    """Return the codes of images, (N,h,w,code_channels)."""
    return _predicted(encoder_of(model), images)


def sample(images: Array, pixels: int) -> Array:
    """Return images evenly spaced among all, of so many pixels together, but 16 at least.

    >>> sample(np.zeros((5000, 64, 48, 3)), 2**19).shape
    (170, 64, 48, 3)
    """
    count = max(16, pixels // (images.shape[1] * images.shape[2]))
    if count >= len(images):
        return images
    return images[np.arange(count) * len(images) // count]


def _blocks(images: Array) -> Iterator[Array]:
    """Yield a few images at a time, so that what is computed of them needs little memory."""
    step = max(1, _AT_ONCE // images[0].size)
    for first in range(0, len(images), step):
        yield images[first : first + step]


def _predicted(model: Model, images: Array) -> Array:
    return np.concatenate([model.predict_on_batch(block) for block in _blocks(images)])


@one_blas_thread()  # the products are small, and threads would wait for each other
def denoising_figures(model: Model, images: Array, noises: Sequence[float] = NOISES) -> list[Any]:
    """Return for each strength of noise the PSNR before and after, beside the best filters.

    The Gaussian filter is the best of all, chosen with the clean images at hand; the median is the
    better of 3x3 and 5x5.
    """
    found = []
    for sigma in noises:
        rng = np.random.default_rng(1)
        ways: list[Callable[[Array], Array]] = [
            lambda noisy: noisy,
            model.predict_on_batch,
            *(partial(median_filter, size=size) for size in (3, 5)),
            *(partial(gaussian_filter, sigma=s) for s in GAUSSIAN_SIGMAS),
        ]
        scores = []
        for clean in _blocks(images):
            noisy = add_noise(clean, sigma, rng)
            scores.append([psnr(clean, way(noisy)) for way in ways])  # (ways,images)
        before, network, *rest = map(float, np.concatenate(scores, axis=1).mean(axis=1))
        medians, gaussians = rest[:2], rest[2:]
        best = int(np.argmax(gaussians))
        found.append(
            Denoising(sigma, before, gaussians[best], GAUSSIAN_SIGMAS[best], max(medians), network)
        )
    return found


@one_blas_thread()
def write_report(
    model: Model,
    folder: Path,
    train: Array,
    test: Array,
    history: dict[str, list[float]],
    *,
    has_code: bool,
    denoiser: Model | None = None,
    columns: int = 8,
) -> tuple[dict[str, Any], list[Path]]:
    """Write the pictures of a trained model into a folder, and return its figures and the files.

    A fixed sample of the images is looked at, so that many images take no longer than some; the
    figures say how many, `tested` and `searched`.

    Args:
        model: the trained network.
        folder: where to write.
        train: images learned from, among which is searched.
        test: images not learned from.
        history: losses and PSNRs of the epochs.
        has_code: whether everything passes through the code (no skips), so that codes and search
            make sense.
        denoiser: the network that denoises, default the same.
        columns: images in a row.
    """
    test, train = sample(test, TEST_PIXELS), sample(train, TRAIN_PIXELS)
    results = _predicted(model, test)
    denoiser = denoiser or model
    numbers = {
        "reconstruction": float(psnr(test, results).mean()),
        "denoising": denoising_figures(denoiser, test),
        "tested": len(test),
        "searched": len(train),
    }
    shown = np.linspace(0, len(test) - 1, min(columns, len(test))).astype(int)
    noisy = add_noise(test[shown], NOISES[-1], seed=1)
    pictures = {
        "reconstructions.png": figures.draw_reconstructions(test[shown], results[shown]),
        "denoising.png": figures.draw_denoising(test[shown], noisy, _predicted(denoiser, noisy)),
    }
    if history.get("loss"):
        labels = {"loss": "mean squared error", "psnr": "PSNR in dB"}
        pictures["loss.png"] = draw_history(history, labels)
    if has_code:
        codes, queries = encode(model, train), encode(model, test)
        asked = shown[:6]
        count = min(6, len(train))
        weights = weights_of("shape,colour,stain")
        found = rank(describe(train, codes), describe(test[asked], queries[asked]), weights)
        pictures["search.png"] = figures.draw_search(
            test[asked],
            train[found.indices[:, :count]],
            [[f"distance {d:.2f}" for d in row[:count]] for row in found.distances],
            ["query"] * len(asked),
            "nearest by shape, colour and stain; distance 1: as far as two images usually are",
        )
        pictures["codes.png"] = figures.draw_codes(test, queries)
    return numbers, [figures.save_figure(f, folder / name) for name, f in pictures.items()]
