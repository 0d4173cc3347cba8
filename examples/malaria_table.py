"""The README's table: what the presets reach on real malaria cells, beside simpler methods.

    python examples/malaria_table.py --data FOLDER

trains the presets on a folder of class folders of cell images, split by slide, and measures on
slides that no network has seen: reconstruction, denoising, and neighbours, by code and by the
parts of likeness that `minicnn search` compares; a second table has every fifth of these images at
its own size. Runs are kept in the output folder; a run that is there is continued or reused.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from minicnn.applications.denoising import add_noise, best_gaussian_filter, median_filter, psnr
from minicnn.applications.likeness import PARTS, describe, rank, weights_of
from minicnn.applications.report import NOISES, encode
from minicnn.applications.runs import PRESETS, Settings, TrainingRun, load_model
from minicnn.applications.search import neighbour_class_share
from minicnn.datasets import CellImages, load_cell_images, read_image, split_by_slide

RUNS: dict[str, Settings] = {
    "standard": PRESETS["standard"],
    "standard, noise 0.25": replace(PRESETS["standard"], noise=0.25),
    "faithful": PRESETS["faithful"],
    "denoiser": PRESETS["denoiser"],
}


def mean_psnr(clean: np.ndarray, other: np.ndarray) -> float:
    """Return the mean over images of their PSNR in decibels."""
    return float(psnr(clean, other).mean())


def share(train: CellImages, test: CellImages, codes: np.ndarray, queries: np.ndarray) -> float:
    """Return the share of the five nearest training images that have the test image's class."""
    return neighbour_class_share(codes, train.labels, queries, test.labels)


def likeness(
    train: CellImages, test: CellImages, codes: np.ndarray, queries: np.ndarray
) -> list[tuple[str, list[str]]]:
    """Return the rows of neighbours by each part of likeness, and by all as `search` does it."""
    folder = describe(train.images, codes, train.sizes)
    asked = describe(test.images, queries, test.sizes)
    rows = []
    for by in ("colour", "stain", "size", ",".join(PARTS)):
        nearest = rank(folder, asked, weights_of(by)).indices[:, :5]
        same = float((train.labels[nearest] == test.labels[:, None]).mean())
        name = 'all, shape from "standard"' if "," in by else by
        rows.append((f"search by {name}", ["", "", "", f"{same:.2f}"]))
    return rows


def filters(test: CellImages) -> list[tuple[str, list[str]]]:
    """Return the rows of the methods without learning."""
    noisy = [add_noise(test.images, sigma, seed=1) for sigma in NOISES]
    gaussian = [best_gaussian_filter(test.images, x) for x in noisy]
    medians = [max(mean_psnr(test.images, median_filter(x, n)) for n in (3, 5)) for x in noisy]
    return [
        ("noisy image", ["", *(f"{mean_psnr(test.images, x):.1f}" for x in noisy), ""]),
        ("best Gaussian filter", ["", *(f"{value:.1f}" for _, value in gaussian), ""]),
        ("median filter", ["", *(f"{value:.1f}" for value in medians), ""]),
    ]


def components(train: CellImages, test: CellImages, count: int) -> tuple[str, list[str]]:
    """Return the row of principal component analysis with as many numbers as a code has."""
    flat = train.images.reshape(len(train), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    basis = np.linalg.svd(flat - mean, full_matrices=False)[2][:count]  # (count,H*W*3)
    codes = (flat - mean) @ basis.T
    cells = []
    for images in (test.images, *(add_noise(test.images, s, seed=1) for s in NOISES)):
        queries = (images.reshape(len(test), -1) - mean) @ basis.T
        drawn = (queries @ basis + mean).reshape(images.shape)
        cells.append(f"{mean_psnr(test.images, drawn):.1f}")
        if images is test.images:
            same = f"{share(train, test, codes, queries):.2f}"
    return f"PCA, {count} numbers", [*cells, same]


def network(
    name: str, settings: Settings, folder: Path, train: CellImages, test: CellImages
) -> list[tuple[str, list[str]]]:
    """Return the row of a network, trained unless its run is there, and of search by the first."""
    run = TrainingRun(settings, folder, train.images, test.images, resume=True)
    began = time.perf_counter()
    run.fit()
    print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    inputs = [test.images, *(add_noise(test.images, sigma, seed=1) for sigma in NOISES)]
    cells = [f"{mean_psnr(test.images, run.model.predict(x, verbose=0)):.1f}" for x in inputs]
    if settings.skips:  # its code does not describe the whole image
        return [(name, [*cells, ""])]
    codes, queries = encode(run.model, train.images), encode(run.model, test.images)
    rows = [(name, [*cells, f"{share(train, test, codes, queries):.2f}"])]
    return rows + likeness(train, test, codes, queries) if name == "standard" else rows


def at_own_sizes(test: CellImages, folders: dict[str, Path]) -> list[tuple[str, list[str]]]:
    """Return the rows of the images at their files' sizes, by the networks trained at one size."""
    found: dict[str, list[np.ndarray]] = {}
    for index, path in enumerate(test.files[::5]):
        clean = read_image(path)  # (H,W,3)
        images = np.stack([clean, *(add_noise(clean, sigma, seed=index) for sigma in NOISES)])
        results = {"noisy image": images}
        results |= {f"median filter {n} x {n}": median_filter(images, n) for n in (3, 5)}
        for name, folder in folders.items():
            results[name] = load_model(folder, clean.shape[:2]).predict(images, verbose=0)
        for name, result in results.items():
            found.setdefault(name, []).append(psnr(np.stack([clean] * len(images)), result))
    rows = []
    for name, decibels in found.items():
        cells = [f"{value:.1f}" for value in np.mean(decibels, axis=0)]
        rows.append((name, cells if name in folders else ["", *cells[1:]]))
    return rows


def print_table(titles: Sequence[str], rows: Sequence[tuple[str, list[str]]]) -> None:
    """Print a table in Markdown."""
    print("\n| | " + " | ".join(titles) + " |")
    print("|---|" + "---|" * len(titles))
    for name, cells in rows:
        print(f"| {name} | " + " | ".join(cells) + " |")


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is missing, measure, and print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of class folders")
    parser.add_argument("--output", type=Path, default=Path("runs/malaria-table"))
    parser.add_argument("--epochs", type=int, help="instead of the presets' own, for a quick look")
    parser.add_argument("--limit", type=int, help="take so many images of each class")
    options = parser.parse_args(argv)

    cells = load_cell_images(options.data, PRESETS["standard"].image_size, limit=options.limit)
    train, test = split_by_slide(cells, 0.2, seed=0)
    print(f"{len(train)} images to learn from, {len(test)} of other slides to test on", flush=True)
    raw = (x.images.reshape(len(x), -1) for x in (train, test))
    rows = filters(test)
    rows.append(("raw pixels", ["", "", "", f"{share(train, test, *raw):.2f}"]))
    rows.append(components(train, test, min(512, len(train))))
    folders = {}
    for name, settings in RUNS.items():
        settings = replace(
            settings,
            data=str(options.data),
            limit=options.limit,
            epochs=options.epochs or settings.epochs,
        )
        folder = folders[name] = options.output / name.replace(", ", "-").replace(" ", "-")
        rows.extend(network(name, settings, folder, train, test))
    classes = len(cells.class_names)
    frequency = [np.bincount(x.labels, minlength=classes) / len(x) for x in (train, test)]
    chance = float(frequency[0] @ frequency[1])
    titles = ["reconstruction, dB", *(f"noise {s}, dB" for s in NOISES), "neighbours' class"]
    print_table(titles, [*rows, ("chance", ["", "", "", f"{chance:.2f}"])])
    print("\nat the images' own sizes:")
    print_table(titles[:-1], at_own_sizes(test, folders))


if __name__ == "__main__":
    main()
