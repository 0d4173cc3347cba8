"""Say of each square metre in aerial photographs of four bands what covers the land.

    python examples/landcover.py [--data FOLDER]

Patches are cut out of files while the network trains, so memory does not grow with the folder.
Pixels labelled "no data" count neither in the loss nor in the figures. Forest and fields cover
nearly all of the few samples here; the classes of a few thousand pixels are hardly learned.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from common import Example

from minicnn import optimizers
from minicnn.applications.figures import figure_of, show
from minicnn.applications.patches import random_patches
from minicnn.applications.unet import unet
from minicnn.data import Dataset
from minicnn.datasets import landcover, save_rendered_landcover
from minicnn.losses import SparseCategoricalCrossentropy
from minicnn.metrics import IoU

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILTERS = (16, 32, 64)
PATCH, BATCH, PER_SAMPLE = 64, 16, 32
CLASSES = {n: name for n, name in landcover.CLASS_NAMES.items() if n != landcover.NO_DATA}
#: Outputs of the network are numbered as the classes are, 0 of which does not occur.
OUTPUTS = max(CLASSES) + 1


def split(example: Example) -> tuple[landcover.Samples, landcover.Samples]:
    """Return the samples to learn from and those to test on."""

    def load(path: Path | None) -> tuple[landcover.Samples, landcover.Samples]:
        train, test = (landcover.load_data(path, subset=name) for name in ("train", "validation"))
        return (train[:2], test[:2]) if example.fast else (train, test)

    def rendered() -> tuple[landcover.Samples, landcover.Samples]:
        folder = example.output / "rendered"
        save_rendered_landcover(folder, 6, (96, 128), seed=example.seed)
        samples = landcover.load_data(folder)
        return samples[:4], samples[4:]

    return example.load(load, rendered)


def scaled(image: np.ndarray) -> np.ndarray:
    """Return the bands between -1 and 1."""
    return image.astype(np.float32) / 127.5 - 1


def patches(samples: landcover.Samples, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the patches of one epoch, each read from disk when it is due."""
    for image, labels in random_patches(samples, PATCH, per_sample=PER_SAMPLE, seed=seed):
        yield scaled(image), labels


#: Red, green and blue of each class in pictures; told apart by people with any colour vision.
CLASS_COLOURS = np.array(
    [
        [0.60, 0.60, 0.60],
        [0.00, 0.45, 0.70],
        [0.00, 0.62, 0.45],
        [0.94, 0.89, 0.26],
        [0.84, 0.37, 0.00],
        [0.80, 0.47, 0.65],
        [0.34, 0.71, 0.91],
        [0.90, 0.62, 0.00],
    ]
)


def coloured(labels: np.ndarray) -> np.ndarray:
    """Return a map of class numbers (...,H,W) in colours (...,H,W,3)."""
    return CLASS_COLOURS[np.asarray(labels, int) % len(CLASS_COLOURS)]


def draw_classes(
    samples: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], names: Mapping[int, str]
) -> Figure:
    """Return images above their true and their predicted map of classes, with a key of colours.

    Args:
        samples: image (H,W,3) in [0, 1], true classes (H,W), predicted classes (H,W).
        names: of the classes, by their numbers.
    """
    from matplotlib.patches import Patch

    figure = figure_of(2.3 * len(samples) + 0.9, 7.4)
    grid = figure.subplots(3, len(samples), squeeze=False)
    for column, (image, truth, predicted) in zip(grid.T, samples, strict=True):
        for axes, picture in zip(
            column, (image, coloured(truth), coloured(predicted)), strict=True
        ):
            show(axes, picture)
    for axes, label in zip(grid[:, 0], ("image", "truth", "network"), strict=True):
        axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9, labelpad=8)
    seen = np.unique(np.concatenate([part.ravel() for s in samples for part in s[1:]]))
    key = [Patch(color=CLASS_COLOURS[n], label=names[n]) for n in names if n in seen]
    figure.legend(handles=key, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train, measure, draw; return the figures."""
    example = Example(__doc__, "landcover", argv, epochs=8)
    train, test = split(example)
    example.say("samples to learn from, and to test on", f"{len(train)}, {len(test)}")
    bands, epochs = train[0][0].shape[-1], example.epochs()
    model = unet((None, None, bands), OUTPUTS, filters=FILTERS)
    rate = optimizers.CosineDecay(5e-3, epochs * -(-len(train) * PER_SAMPLE // BATCH))
    model.compile(
        optimizers.Adam(rate), SparseCategoricalCrossentropy(ignore_class=landcover.NO_DATA)
    )
    numbers = itertools.count(1000 * example.seed)
    data = Dataset.from_generator(
        lambda: patches(train, next(numbers)),
        ("float32", "uint8"),
        ((PATCH, PATCH, bands), (PATCH, PATCH)),
    )
    began = time.perf_counter()
    model.fit(data.batch(BATCH).prefetch(2), epochs=epochs)
    seconds = time.perf_counter() - began

    shares = {
        number: IoU(OUTPUTS, [number], ignore_class=landcover.NO_DATA, sparse_y_pred=False)
        for number in CLASSES
    }
    counts, right, shown = np.zeros(256, int), 0, []
    for image, labels in test:  # one at a time, whole
        predicted = model.predict(scaled(image)[None], verbose=0)
        for metric in shares.values():
            metric.update_state(labels[None], predicted)
        known, named = labels != landcover.NO_DATA, predicted[0].argmax(axis=-1)
        counts += np.bincount(labels[known], minlength=256)
        right += int((named == labels)[known].sum())
        shown.append((image[..., :3] / 255, labels, named))
    figures = {"pixels named rightly": right / counts.sum()}
    for number, name in CLASSES.items():
        if counts[number]:
            figures[f"IoU of {name}, {counts[number]} pixels"] = float(shares[number].result())
    example.say_all(figures, seconds)
    varied = sorted(shown, key=lambda sample: -len(np.unique(sample[1])))[:3]
    example.picture(draw_classes(varied, CLASSES), "classes.png")
    return figures


if __name__ == "__main__":
    main()
