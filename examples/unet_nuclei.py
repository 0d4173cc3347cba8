"""Find the nuclei of cells in microscope images with a U-Net.

    python examples/unet_nuclei.py [--data FOLDER]

Images are divided by their own maximum, as they are dim to very different degrees. The network
learns from random patches of four fifths of them, flipped and turned; being made of convolutions,
it then takes whole images. Its masks are compared with those of the other fifth, and with the
simplest method that needs no learning: Otsu's threshold for each image.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import numpy as np
from common import Example

from minicnn import optimizers
from minicnn.applications.masks import draw_masks, intersection_over_union
from minicnn.applications.patches import random_patches
from minicnn.applications.unet import unet
from minicnn.data import Dataset
from minicnn.datasets import nuclei, render_nuclei

FILTERS = (8, 16, 32, 64)
PATCH, BATCH = 128, 16


def load_nuclei(example: Example) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images divided by their maximum, masks, and which of them are to test on."""
    limit = 10 if example.fast else None
    raw, masks = example.load(
        nuclei.load_data, lambda: render_nuclei(10, (64, 96), seed=example.seed), limit=limit
    )
    largest = np.maximum(raw.max(axis=(1, 2, 3), keepdims=True), 1)
    test = np.arange(len(raw)) % 5 == 4
    example.say("images to learn from, and to test on", f"{(~test).sum()}, {test.sum()}")
    return (raw / largest).astype(np.float32), masks.astype(np.float32), test


def batches_of(images: np.ndarray, masks: np.ndarray, size: int, seed: int) -> Dataset:
    """Return a pipeline of random patches, other ones in each epoch."""
    samples = list(zip(images, masks, strict=True))
    epochs = itertools.count(1000 * seed)
    shapes = (size, size, images.shape[-1]), (size, size, 1)
    patches = Dataset.from_generator(
        lambda: random_patches(samples, size, seed=next(epochs)), ("float32", "float32"), shapes
    )
    return patches.batch(BATCH).prefetch(2)


def steps_of(images: np.ndarray, size: int) -> int:
    """Return the number of batches of an epoch."""
    rows, columns = images.shape[1:3]
    return -(-len(images) * (rows // size) * (columns // size) // BATCH)


def otsu_threshold(image: np.ndarray) -> float:
    """Return the threshold that parts grey values into two classes as far apart as can be.

    Source: N. Otsu, A threshold selection method from gray-level histograms, 1979.
    """
    counts, edges = np.histogram(image, 256)
    middle = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1]  # of each threshold but the last, which has nothing above
    above = counts.sum() - below
    total = np.cumsum(counts * middle)
    means = total[:-1] / np.maximum(below, 1), (total[-1] - total[:-1]) / np.maximum(above, 1)
    return float(edges[1:-1][np.argmax(below * above * (means[0] - means[1]) ** 2)])


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train, measure, draw; return the figures."""
    example = Example(__doc__, "unet_nuclei", argv, epochs=12)
    images, masks, test = load_nuclei(example)
    size, epochs = min(PATCH, *images.shape[1:3]), example.epochs()
    model = unet((None, None, 1), filters=FILTERS)
    rate = optimizers.CosineDecay(5e-3, epochs * steps_of(images[~test], size))
    model.compile(optimizers.Adam(rate), "binary_crossentropy")
    data = batches_of(images[~test], masks[~test], size, example.seed)
    began = time.perf_counter()
    model.fit(data, epochs=epochs)
    seconds = time.perf_counter() - began

    predicted = model.predict(images[test], batch_size=8, verbose=0)
    otsu = np.stack([x > otsu_threshold(x) for x in images[test]])
    figures = {
        "mean IoU, Otsu's threshold": float(intersection_over_union(masks[test], otsu).mean()),
        "mean IoU, U-Net": float(intersection_over_union(masks[test], predicted).mean()),
    }
    example.say_all(figures, seconds)
    shown = slice(0, 4)
    brighter = images[test][shown] ** 0.5  # as dim as they are, little could be seen
    example.picture(draw_masks(brighter, masks[test][shown], predicted[shown]), "masks.png")
    return figures


if __name__ == "__main__":
    main()
