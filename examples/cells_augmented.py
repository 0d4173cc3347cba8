"""Train the cell autoencoder with and without augmentation: does it help on slides not seen?

    python examples/cells_augmented.py [--data FOLDER] [--limit IMAGES]

Few images are learned by heart: the error on them falls below that on other slides. Mirrored,
there are four times as many; turned and zoomed, they never come back the same, but softer, and the
network has more to learn. The same is had by `minicnn train --augment mirror` and `--augment all`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from common import Example

from minicnn.applications.denoising import psnr
from minicnn.applications.figures import draw_curves
from minicnn.applications.runs import CHANGES, PRESETS, TrainingRun
from minicnn.datasets import malaria, render_cells, split_by_slide

LIMIT = 60


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add how many images there are to learn from."""
    parser.add_argument(
        "--limit", type=int, help=f"images of each class, a fifth of the slides for testing; "
        f"default {LIMIT}",
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train all, compare on slides that they have not seen, draw; return the figures."""
    example = Example(__doc__, "cells_augmented", argv, epochs=150, options=add_options)
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

    figures, seconds = dict[str, float](), 0.0
    curves: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        for augment in CHANGES:
            wanted = replace(settings, augment=augment)
            run = TrainingRun(wanted, Path(place, augment), train.images, test.images, resume=False)
            began = time.perf_counter()
            history = run.fit()
            seconds += time.perf_counter() - began
            curves[augment] = history["val_psnr"]
            for kind, images in (("images learned from", train), ("unseen slides", test)):
                results = run.model.predict(images.images, verbose=0)
                figures[f"PSNR in dB on {kind}, augment {augment}"] = float(
                    psnr(images.images, results).mean()
                )
    example.say_all(figures, seconds)
    panels = {"PSNR on unseen slides, dB": curves}
    # The first epochs, in which the networks learn what a cell is, would hide what comes later.
    example.picture(draw_curves(panels, first=1 + settings.epochs // 3), "psnr.png")
    return figures


if __name__ == "__main__":
    main()
