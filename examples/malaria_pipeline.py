"""Feed a classifier of cells from files: decode, cache, shuffle, augment, batch, prefetch.

    python examples/malaria_pipeline.py [--data FOLDER]

Shown and measured are what each step is for: caches in memory and in a file spare the decoding,
threads and prefetch let it happen while the network trains, and what is random belongs behind the
cache. The classifier tells infected from uninfected cells, on slides that it has not seen.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import Example

import minicnn as tf
from minicnn import config, optimizers
from minicnn.applications.augmentation import cell_changes
from minicnn.applications.classifiers import image_classifier
from minicnn.applications.confusion import draw_confusion
from minicnn.applications.figures import rows_of_images
from minicnn.data import AUTOTUNE, Dataset
from minicnn.datasets import malaria, save_rendered_cells, slide_of
from minicnn.utils import image_dataset_from_directory

SIZE, BATCH, RATE = (48, 48), 32, 2e-3
CLASSES = ["Parasitized", "Uninfected"]


def decode(path: str) -> tuple[Any, int]:
    """Return the image in a file, in [0, 1], and its class, the name of its folder."""
    image = tf.image.decode_png(tf.io.read_file(path), channels=3)
    return tf.image.resize(image, SIZE) / 255, CLASSES.index(Path(path).parent.name)


def augmentation() -> Callable[[Any, Any], Any]:
    """Return a map that mirrors, turns and zooms the images of pairs (image, label) at random."""
    changes = cell_changes()
    return lambda image, label: (changes(image, training=True), label)


def split_by_slide(folder: Path, limit: int | None) -> tuple[Dataset, Dataset]:
    """Return the files to learn from, and those of every fifth slide, to test on."""
    names = [p for name in CLASSES for p in sorted((folder / name).glob("*.png"))[:limit]]
    held_out = set(sorted({slide_of(p) for p in names})[::5])
    tested = {str(p) for p in names if slide_of(p) in held_out}
    learned = {str(p) for p in names} - tested
    files = Dataset.list_files([str(folder / name / "*.png") for name in CLASSES], shuffle=False)
    return files.filter(learned.__contains__), files.filter(tested.__contains__)


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def walk(data: Dataset) -> int:
    """Go through a data set and return the number of its elements."""
    return sum(1 for _ in data)


def caches(images: Dataset, place: Path) -> dict[str, float]:
    """Return how long a pass takes that decodes, and how long one out of each cache."""
    place.unlink(missing_ok=True)  # of an earlier run, whose images may have been others
    times = {}
    for kind, kept in (("memory", images.cache()), ("file", images.cache(place))):
        times[f"seconds of a pass that decodes, into {kind}"] = seconds(lambda d=kept: walk(d))
        times[f"seconds of a pass out of {kind}"] = seconds(lambda d=kept: walk(d))
    return times


def overlap(files: Dataset, count: int, rounds: int) -> dict[str, float]:
    """Return images per second in training that decodes in between, and meanwhile."""
    model = image_classifier((*SIZE, 3), len(CLASSES))
    model.compile("adam", "sparse_categorical_crossentropy")
    between = files.take(count).map(decode).batch(BATCH)
    meanwhile = files.take(count).map(decode, AUTOTUNE).batch(BATCH).prefetch(AUTOTUNE)
    decoded = between.cache()
    ways = {
        "decoding alone": lambda: walk(between),
        "training alone": lambda: model.fit(decoded, verbose=0),
        "decoding and training in turns": lambda: model.fit(between, verbose=0),
        "decoding while training": lambda: model.fit(meanwhile, verbose=0),
    }
    ways["training alone"]()  # fills its cache
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():  # taking turns: what else the machine does hits all alike
            times[name].append(seconds(way))
    medians = {name: statistics.median(values) for name, values in times.items()}
    figures = {f"images/s, {name}": count / value for name, value in medians.items()}
    in_turns, meanwhile_seconds = list(medians.values())[2:]
    return figures | {"time in turns / time while training": in_turns / meanwhile_seconds}


def same_pixels(folder: Path, count: int = 8) -> float:
    """Return how far the two ways of reading a folder differ, at most."""
    listed = Dataset.list_files(str(folder / CLASSES[0] / "*.png"), shuffle=False).map(decode)
    ready = image_dataset_from_directory(
        folder, class_names=CLASSES, image_size=SIZE, batch_size=None, shuffle=False, verbose=False
    )
    pairs = Dataset.zip(listed, ready).take(count)
    return max(float(np.abs(a.numpy() - b.numpy() / 255).max()) for (a, _), (b, _) in pairs)


def told(files: Dataset) -> list[str]:
    """Return what is said of a random map before the cache."""
    wrong = files.take(2).map(decode).map(augmentation()).cache()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        walk(wrong)
    return [str(w.message) for w in caught]


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Measure the pipeline, train on it, test, draw; return the figures."""
    example = Example(__doc__, "malaria_pipeline", argv, epochs=15)
    cells = example.output / "cells"
    folder = example.load(
        malaria.folder, lambda: save_rendered_cells(cells, 24, seed=example.seed)[0].parents[1]
    )
    files, test_files = split_by_slide(folder, 12 if example.fast else None)
    count, tested = walk(files), walk(test_files)
    example.say("images to learn from, and of other slides to test on", f"{count}, {tested}")

    figures = {"largest difference to image_dataset_from_directory": same_pixels(folder)}
    images = files.map(decode, AUTOTUNE)
    times = caches(images, example.output / "cells.cache")
    times |= overlap(files, min(count, 480), rounds=1 if example.fast else 5)
    for name, value in times.items():
        example.say(name, value)
    for warning in told(files):
        print(f"a random map before the cache: {warning}")

    config.set_random_seed(example.seed)
    kept = images.cache()
    training = kept.shuffle(count).map(augmentation(), AUTOTUNE).batch(BATCH).prefetch(AUTOTUNE)
    testing = test_files.map(decode, AUTOTUNE).batch(BATCH).cache()
    model = image_classifier((*SIZE, 3), len(CLASSES))
    epochs = example.epochs()
    rate = optimizers.CosineDecay(RATE, epochs * -(-count // BATCH))
    model.compile(optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    spent = seconds(lambda: model.fit(training, epochs=epochs))
    figures["accuracy on unseen slides"] = model.evaluate(testing, verbose=0)[1]
    example.say_all(figures, spent)

    x, y = (np.concatenate(part) for part in zip(*testing.as_numpy_iterator(), strict=True))
    example.picture(
        draw_confusion(x, y, model.predict(x, verbose=0), ["infected", "uninfected"]),
        "confusion.png",
    )
    few = kept.take(8).cache()
    change = augmentation()
    rows = [("decoded", few), *((f"augmented {i}", few.map(change)) for i in (1, 2, 3))]
    drawn = [(name, np.stack([a for a, _ in d.as_numpy_iterator()]), None) for name, d in rows]
    example.picture(rows_of_images(drawn), "augmented.png")
    return figures


if __name__ == "__main__":
    main()
