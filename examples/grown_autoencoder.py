"""Grow an autoencoder: train a shallow one, keep its encoder, add a more compressed one, go on.

    python examples/grown_autoencoder.py [--data FOLDER]

Each stage halves the image once more and gets a new decoder. Beside it the deepest network is
trained at once, from nothing, for as many epochs as all stages together.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from cells import load_cells
from common import Example

from minicnn import Model
from minicnn.applications.figures import draw_curves, rows_of_images
from minicnn.applications.grown_autoencoder import autoencoder_of, encoder_stage

FILTERS = (16, 32, 32, 16)
SIZE, BATCH = 64, 16


def trained(model: Model, train: np.ndarray, test: np.ndarray, epochs: int) -> list[float]:
    """Train and return the squared error on the test images after each epoch."""
    model.compile("adam", "mse")
    history = model.fit(train, train, batch_size=BATCH, epochs=epochs, validation_data=(test, test))
    return list(history.history["val_loss"])


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train both ways, compare, draw; return the figures."""
    example = Example(__doc__, "grown_autoencoder", argv, epochs=5)
    train, test = load_cells(example, SIZE, limit=500)
    epochs, stages, figures = example.epochs(), [], {}
    curves: dict[str, list[float]] = {}
    rows = [("image", test[:6], None)]
    began = time.perf_counter()
    for number, filters in enumerate(FILTERS, 1):
        stages.append(encoder_stage(filters, number))
        model = autoencoder_of((SIZE, SIZE, 3), stages)
        losses = trained(model, train, test, epochs)
        code = stages[-1][-1].output.shape[1:]
        name = f"stage {number}, code {' x '.join(map(str, code))}"
        curves[name] = [np.nan] * (number - 1) * epochs + losses  # each begins where one ended
        figures[f"{name}: squared error"] = losses[-1]
        rows.append((f"stage {number}\n{np.prod(code)} numbers", model.predict(test[:6]), None))
    deep = autoencoder_of(
        (SIZE, SIZE, 3), [encoder_stage(filters, n) for n, filters in enumerate(FILTERS, 1)]
    )
    losses = trained(deep, train, test, epochs * len(FILTERS))
    curves["deepest at once"] = losses
    figures["deepest at once: squared error"] = losses[-1]
    rows.append(("deepest\nat once", deep.predict(test[:6]), None))
    example.say_all(figures, time.perf_counter() - began)
    label = "squared error on other slides"
    example.picture(draw_curves({label: curves}, logarithmic=[label]), "losses.png")
    example.picture(rows_of_images(rows), "reconstructions.png")
    return figures


if __name__ == "__main__":
    main()
