"""Train the cell autoencoder with augmentation and without: does it help on slides not seen?

    python examples/cells_augmented.py [--data FOLDER] [--limit IMAGES]

Few images are learned by heart: the error on them keeps falling while that on other slides stays.
Mirrored, turned and zoomed, they never come back the same. The same is had by
`minicnn train --augment`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from common import Example

from minicnn.applications.confusion import draw_curves
from minicnn.applications.denoising import psnr
from minicnn.applications.figures import draw_reconstructions
from minicnn.applications.runs import PRESETS, TrainingRun
from minicnn.datasets import malaria, render_cells, split_by_slide

LIMIT = 100


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add how many images there are to learn from."""
    parser.add_argument(
        "--limit", type=int, help=f"images of each class, a fifth of the slides for testing; "
        f"default {LIMIT}",
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train both, compare on slides that they have not seen, draw; return the figures."""
    example = Example(__doc__, "cells_augmented", argv, epochs=40, options=add_options)
    settings = replace(PRESETS["standard"], epochs=example.epochs(), seed=example.seed)
    if example.fast:
        settings = replace(settings, image_size=(32, 32))
    limit = example.options.limit or (16 if example.fast else LIMIT)
    cells = example.load(
        malaria.load_data,
        lambda: render_cells(2 * limit, settings.image_size, seed=example.seed),
        size=settings.image_size,
        limit=limit,
    )
    train, test = split_by_slide(cells, 0.2, seed=example.seed)
    example.say(
        "images to learn from, and of other slides to test on", f"{len(train)}, {len(test)}"
    )

    figures: dict[str, float] = {}
    curves: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        for name, augment in (("without", False), ("with", True)):
            wanted = replace(settings, augment=augment)
            run = TrainingRun(wanted, Path(place, name), train.images, test.images, resume=False)
            began = time.perf_counter()
            history = run.fit()
            figures[f"seconds of training, {name} augmentation"] = time.perf_counter() - began
            curves[f"{name} augmentation"] = history["val_psnr"]
            for kind, images in (("images learned from", train), ("unseen slides", test)):
                results = run.model.predict(images.images, verbose=0)
                figures[f"PSNR in dB on {kind}, {name} augmentation"] = float(
                    psnr(images.images, results).mean()
                )
    for name, value in figures.items():
        example.say(name, value)
    example.picture(draw_curves({"PSNR on unseen slides, dB": curves}), "psnr.png")
    example.picture(draw_reconstructions(test.images[:8], results[:8]), "reconstructions.png")
    return figures


if __name__ == "__main__":
    main()
