"""What a trained cell autoencoder can do: figures in numbers and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.applications import figures
from minicnn.applications.cell_autoencoder import encoder_of
from minicnn.applications.denoising import (
    add_noise,
    best_gaussian_filter,
    median_filter,
    psnr,
)
from minicnn.applications.search import nearest
from minicnn.models import Model

__all__ = ["Denoising", "denoising_figures", "encode", "search_rows", "write_report"]

Array = NDArray[Any]

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
    return encoder_of(model).predict(images, verbose=0)


def denoising_figures(model: Model, images: Array, noises: Sequence[float] = NOISES) -> list[Any]:
    """Return for each strength of noise the PSNR before and after, beside the best filters.

    The Gaussian filter is the best of all, chosen with the clean images at hand; the median is the
    better of 3x3 and 5x5.
    """
    found = []
    for sigma in noises:
        noisy = add_noise(images, sigma, seed=1)
        gaussian_sigma, gaussian = best_gaussian_filter(images, noisy)
        medians = [float(psnr(images, median_filter(noisy, size)).mean()) for size in (3, 5)]
        network = float(psnr(images, model.predict(noisy, verbose=0)).mean())
        before = float(psnr(images, noisy).mean())
        found.append(Denoising(sigma, before, gaussian, gaussian_sigma, max(medians), network))
    return found


def search_rows(
    codes: Array, query_codes: Array, count: int
) -> tuple[Array, list[list[str]], Array]:
    """Return the indices of the nearest codes, lines that say how near, and the distances."""
    indices, distances = nearest(codes, query_codes, count)
    return indices, [[f"distance {d:.2f}" for d in row] for row in distances], distances


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
    results = model.predict(test, verbose=0)
    denoiser = denoiser or model
    denoised = denoising_figures(denoiser, test)
    numbers = {"reconstruction": float(psnr(test, results).mean()), "denoising": denoised}
    shown = np.linspace(0, len(test) - 1, min(columns, len(test))).astype(int)
    noisy = add_noise(test, NOISES[-1], seed=1)[shown]
    pictures = {
        "reconstructions.png": figures.draw_reconstructions(test[shown], results[shown]),
        "denoising.png": figures.draw_denoising(
            test[shown], noisy, denoiser.predict(noisy, verbose=0)
        ),
    }
    if history.get("loss"):
        pictures["loss.png"] = figures.draw_history(history)
    if has_code:
        codes, queries = encode(model, train), encode(model, test)
        asked = shown[:6]
        count = min(6, len(train))
        indices, lines, _ = search_rows(codes, queries[asked], count)
        pictures["search.png"] = figures.draw_search(
            test[asked], train[indices], lines, ["query"] * len(asked)
        )
        pictures["codes.png"] = figures.draw_codes(test, queries)
    return numbers, [figures.save_figure(f, folder / name) for name, f in pictures.items()]
