"""Train a deep network with skips, and its plain twin without: which of them learns?

    python examples/signs_residual.py [--data FOLDER]

Both have the same convolutions one after the other and see the same batches; in one of them each
pair of convolutions is stepped over by a `+`. A gradient reaches the first layers through the sums
unchanged; in the plain one it has to pass every convolution.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
from common import Example

from minicnn import config, layers, optimizers
from minicnn.applications.classifiers import residual_classifier
from minicnn.applications.figures import draw_curves
from minicnn.datasets import render_signs, signs

BATCH, RATE, CLASSES = 32, 2e-3, 6
FILTERS, BLOCKS = (8, 16, 32), 6


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the depth."""
    parser.add_argument("--blocks", type=int, help=f"in each of 3 stages, default {BLOCKS}")


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train both, compare, draw; return the figures."""
    example = Example(__doc__, "signs_residual", argv, epochs=12, options=add_options)
    rendered = render_signs(96, 32, seed=example.seed), render_signs(30, 32, seed=example.seed + 1)
    (x_train, y_train), (x_test, y_test) = example.load(signs.load_data, lambda: rendered)
    if example.fast:
        x_train, y_train = x_train[:64], y_train[:64]
    clean = signs.clean_test_indices(x_train, x_test)
    x_train, x_test = (x.astype(np.float32) / 255 for x in (x_train, x_test[clean]))
    y_test, epochs = y_test[clean], example.epochs(fast=2)
    blocks = example.options.blocks or (2 if example.fast else BLOCKS)

    figures, seconds = dict[str, float](), 0.0
    losses: dict[str, list[float]] = {}
    accuracies: dict[str, list[float]] = {}
    for name, skips in (("with skips", True), ("plain", False)):
        config.set_random_seed(example.seed)
        model = residual_classifier(
            x_train.shape[1:], CLASSES, filters=FILTERS, blocks=blocks, skips=skips
        )
        if skips:
            # The skips' own convolutions are 1x1 and lie beside the long way.
            convolutions = [x for x in model.layers if isinstance(x, layers.Conv2D)]
            depth = sum(x.kernel_size == (3, 3) for x in convolutions)
            example.say("convolutions one after the other", depth)
        example.say(f"parameters, {name}", model.count_params())
        rate = optimizers.CosineDecay(RATE, epochs * -(-len(x_train) // BATCH))
        model.compile(
            optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        began = time.perf_counter()
        history = model.fit(x_train, y_train, batch_size=BATCH, epochs=epochs).history
        seconds += time.perf_counter() - began
        losses[name], accuracies[name] = history["loss"], history["accuracy"]
        figures[f"loss of the last epoch, {name}"] = history["loss"][-1]
        figures[f"accuracy on the test images, {name}"] = model.evaluate(x_test, y_test, verbose=0)[
            1
        ]
    example.say_all(figures, seconds)
    panels = {"loss in training": losses, "accuracy in training": accuracies}
    example.picture(draw_curves(panels, logarithmic=["loss in training"]), "losses.png")
    return figures


if __name__ == "__main__":
    main()
