"""Squeeze the digits 1, 5 and 6 into two numbers each, and draw digits from such numbers.

    python examples/digit_autoencoder.py [--data FOLDER] [--code A B]

The course's convolutional autoencoder, ten epochs. The two numbers are a place on a map, on which
the classes lie apart although nobody told the network of them; the decoder draws a digit for any
place.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from code_figures import draw_grid, draw_scatter
from common import Example
from digit_data import load_digits

from minicnn.applications.digit_autoencoder import digit_autoencoder
from minicnn.applications.figures import rows_of_images
from minicnn.applications.search import classify_by_neighbours

CLASSES = (1, 5, 6)
NEIGHBOURS, SIDE = 15, 12


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train, measure, draw; return the figures."""
    example = Example(
        *(__doc__, "digit_autoencoder", argv),
        epochs=10,
        options=lambda parser: parser.add_argument(
            "--code",
            type=float,
            nargs=2,
            metavar=("A", "B"),
            help="decode this code; default: midway between the fives and the sixes",
        ),
    )
    digits = load_digits(example, CLASSES)
    model, encoder, decoder = digit_autoencoder()
    model.compile("adam", "mse")
    began = time.perf_counter()
    history = model.fit(
        *(digits.images, digits.images), batch_size=32, epochs=example.epochs(), verbose=2
    ).history
    seconds = time.perf_counter() - began

    codes, test_codes = (
        encoder.predict(images, batch_size=256, verbose=0).reshape(-1, 2)
        for images in (digits.images, digits.test_images)
    )
    found = classify_by_neighbours(codes, digits.labels, test_codes, NEIGHBOURS)
    figures = {
        "training loss": history["loss"][-1],
        "loss on test digits": model.evaluate(digits.test_images, digits.test_images, verbose=0),
        f"classified rightly by {NEIGHBOURS} neighbours, test digits": float(
            (found == digits.test_labels).mean()
        ),
    }
    example.say_all(figures, seconds)

    middle = (codes[digits.labels == 5].mean(axis=0) + codes[digits.labels == 6].mean(axis=0)) / 2
    code = np.array(example.options.code or middle)
    image = decoder.predict(code.reshape(1, 1, 1, 2), verbose=0)[0]
    example.say("decoded code", ", ".join(f"{number:.3g}" for number in code))
    names = [str(name) for name in CLASSES]
    places = np.searchsorted(CLASSES, digits.test_labels)
    example.picture(draw_scatter(test_codes, places, names, (code, image)), "codes.png")

    low, high = np.percentile(codes, [3, 97], axis=0)
    across, up = (np.linspace(low[i], high[i], SIDE) for i in (0, 1))
    up = up[::-1]  # as on the map, the larger ones stand higher
    grid = np.stack(np.meshgrid(across, up), axis=-1)  # (SIDE,SIDE,2)
    drawn = decoder.predict(grid.reshape(-1, 1, 1, 2), verbose=0)
    example.picture(draw_grid(drawn.reshape(SIDE, SIDE, *drawn.shape[1:]), across, up), "grid.png")
    few = digits.test_images[:10]
    results = model.predict(few, verbose=0)
    example.picture(
        rows_of_images([("digit", few, None), ("through\ntwo numbers", results, None)]),
        "reconstructions.png",
    )
    return figures


if __name__ == "__main__":
    main()
