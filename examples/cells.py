"""What the examples on malaria cells share: the images, split by slide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from common import Example

from minicnn.datasets import CellImages, load_cell_images, malaria, render_cells, split_by_slide


def load_cells(example: Example, size: int = 64, limit: int | None = None) -> list[np.ndarray]:
    """Return images (N,size,size,3) to learn from, and of other slides to test on.

    Args:
        example: says where the data are.
        size: height and width of the images.
        limit: at most so many of each class.
    """

    def load(path: Path | None) -> CellImages:
        return load_cell_images(malaria.folder(path), size, limit=24 if example.fast else limit)

    def rendered() -> CellImages:
        return render_cells(48, size, slides=8, seed=example.seed)

    train, test = split_by_slide(example.load(load, rendered), 0.2, seed=0)
    example.say("images to learn from, and of other slides", f"{len(train)}, {len(test)}")
    return [train.images, test.images]
