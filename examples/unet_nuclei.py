"""Find the nuclei of cells in microscope images with a U-Net.

    python examples/unet_nuclei.py [--data FOLDER]

Images are divided by their own maximum, as they are dim to very different degrees. The network
learns from random parts, flipped and turned, of four fifths of them; being made of convolutions, it
then takes whole images. Its masks are compared with those of the other fifth, and with the simplest
method that needs no learning: Otsu's threshold for each image.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
from common import Example

from minicnn import optimizers
from minicnn.applications.masks import draw_masks, intersection_over_union
from minicnn.applications.unet import unet
from minicnn.data import Dataset
from minicnn.datasets import nuclei, render_nuclei

FILTERS = (8, 16, 32, 64)
PART, BATCH = 128, 16


def otsu_threshold(image: np.ndarray) -> float:
    """Return the threshold that parts grey values into two classes of the least variance within.

    Source: N. Otsu, A threshold selection method from gray-level histograms, 1979.
    """
    counts, edges = np.histogram(image, 256)
    middle = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    total, mean = np.cumsum(counts * middle), (counts * middle).sum()
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mean * below / below[-1] - total) ** 2 / (below * above)
    return float(middle[np.nanargmax(np.where(np.isfinite(between), between, np.nan))])


def parts(
    images: np.ndarray, masks: np.ndarray, size: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield random parts of all images for one epoch, flipped and turned at random.

    As many of each image as it has room for side by side, so that an epoch sees all of them.
    """
    rng = np.random.default_rng(seed)
    rows, columns = images.shape[1:3]
    for index in rng.permutation(np.repeat(np.arange(len(images)), rows * columns // size**2)):
        top, left = rng.integers(0, rows - size + 1), rng.integers(0, columns - size + 1)
        window = np.s_[index, top : top + size, left : left + size]
        flips = rng.choice([-1, 1], size=2)
        pair = [a[window][:: flips[0], :: flips[1]] for a in (images, masks)]
        if rng.random() < 0.5:
            pair = [a.transpose(1, 0, 2) for a in pair]
        yield pair[0], pair[1]


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train, measure, draw; return the figures."""
    example = Example(__doc__, "unet_nuclei", argv, epochs=12)
    limit = 10 if example.fast else None
    raw, masks = example.load(
        nuclei.load_data, lambda: render_nuclei(10, (64, 64), seed=example.seed), limit=limit
    )
    images = (raw / np.maximum(raw.max(axis=(1, 2, 3), keepdims=True), 1)).astype(np.float32)
    masks = masks.astype(np.float32)
    test = np.arange(len(images)) % 5 == 4
    example.say("images to learn from, and to test on", f"{(~test).sum()}, {test.sum()}")

    part = min(PART, *images.shape[1:3])
    model = unet((part, part, 1), filters=FILTERS)
    epochs, steps = example.epochs(), 0
    steps = -(-(~test).sum() * (images[0].size // part**2) // BATCH)
    rate = optimizers.CosineDecay(5e-3, epochs * steps)
    model.compile(optimizers.Adam(rate), "binary_crossentropy")

    numbers = iter(range(epochs))
    spec = ("float32", "float32"), ((part, part, 1), (part, part, 1))
    data = Dataset.from_generator(
        lambda: parts(images[~test], masks[~test], part, example.seed * 1000 + next(numbers)), *spec
    )
    began = time.perf_counter()
    model.fit(data.batch(BATCH).prefetch(2), epochs=epochs, verbose=example.verbose)
    seconds = time.perf_counter() - began

    whole = unet(images.shape[1:], filters=FILTERS)
    whole.set_weights(model.get_weights())
    predicted = whole.predict(images[test], batch_size=8, verbose=0)
    otsu = np.stack([x > otsu_threshold(x) for x in images[test]]).astype(np.float32)
    figures = {
        "seconds of training": seconds,
        "mean IoU, Otsu's threshold": float(intersection_over_union(masks[test], otsu).mean()),
        "mean IoU, U-Net": float(intersection_over_union(masks[test], predicted).mean()),
    }
    for name, value in figures.items():
        example.say(name, value)
    shown = slice(0, 4)
    brighter = images[test][shown] ** 0.5  # as dim as they are, little could be seen
    example.picture(draw_masks(brighter, masks[test][shown], predicted[shown]), "masks.png")
    return figures


if __name__ == "__main__":
    main()
