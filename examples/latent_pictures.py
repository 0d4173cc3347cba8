"""Look at codes of many numbers on a plane: PCA, t-SNE and Isomap, with the images at their places.

    pip install minicnn[latent]
    python examples/latent_pictures.py [--of digits|cells] [--data FOLDER] [--run FOLDER]

With `--of`, the folder holds these data; without, it holds `mnist/` and `malaria/`. The codes of
the digits are the convolutional autoencoder's, of 16 numbers; those of the malaria cells the
standard cell autoencoder's, of 512, trained shortly or taken from a run of `minicnn train`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from code_figures import draw_latent
from common import Example
from digit_data import load_digits

from minicnn.applications import cell_autoencoder, encoder_of, load_model
from minicnn.applications.digit_autoencoder import digit_autoencoder
from minicnn.applications.latent import METHODS, latent_places
from minicnn.applications.search import neighbour_class_share
from minicnn.datasets import malaria, render_cells
from minicnn.models import Model
from minicnn.optimizers import Adam, CosineDecay

CODE, SHOWN, NEIGHBOURS = 16, 1500, 15
LEARNED = 20_000  # a third of the digits is enough for a code of 16 numbers


def options(parser: argparse.ArgumentParser) -> None:
    """Add what only this example asks."""
    parser.add_argument("--of", choices=["digits", "cells"], help="default: both")
    parser.add_argument("--run", type=Path, help="folder of a trained cell autoencoder")


def train(model: Model, images: np.ndarray, epochs: int, rate: float) -> None:
    """Let an autoencoder learn images."""
    steps = -(-len(images) // 32)
    model.compile(Adam(CosineDecay(rate, epochs * steps)), "mse")
    model.fit(images, images, batch_size=32, epochs=epochs, verbose=2)


def digit_codes(example: Example) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Return test digits, their codes, labels and class names."""
    digits = load_digits(example)
    model, encoder, _ = digit_autoencoder(code_size=CODE)
    train(model, digits.images[:LEARNED], example.epochs(3), 2e-3)
    images, labels = digits.test_images[:SHOWN], digits.test_labels[:SHOWN]
    codes = encoder.predict(images, batch_size=256, verbose=0)
    return images, codes, labels, [str(name) for name in range(10)]


def cell_codes(example: Example) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Return cells, their codes, labels and class names."""
    limit = 60 if example.fast else 1200
    cells = example.load(
        malaria.load_data, lambda: render_cells(2 * limit, seed=example.seed), limit=limit
    )
    example.say("cells", len(cells))
    if example.options.run is not None:
        model = load_model(example.options.run, cells.images.shape[1:3])
    else:
        model = cell_autoencoder(cells.images.shape[1:])
        train(model, cells.images, example.epochs(), 6e-3)
    shown = np.random.default_rng(example.seed).permutation(len(cells))[:SHOWN]
    cells = cells.take(shown)
    codes = encoder_of(model).predict(cells.images, batch_size=64, verbose=0)
    return cells.images, codes, cells.labels, [name.lower() for name in cells.class_names]


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train, lay out, measure, draw; return the figures."""
    example = Example(__doc__, "latent_pictures", argv, epochs=3, options=options)
    figures: dict[str, float] = {}
    only, data = example.options.of, example.options.data
    for what, folder, codes_of in (
        ("digits", "mnist", digit_codes),
        ("cells", "malaria", cell_codes),
    ):
        if only not in (None, what):
            continue
        if data is not None and only is None:
            example.options.data = data / folder  # one folder that holds both
        images, codes, labels, names = codes_of(example)
        flat = codes.reshape(len(codes), -1)
        share = {"codes": neighbour_class_share(flat, labels, flat, labels, NEIGHBOURS + 1)}
        maps = []
        for method, title in METHODS.items():
            places = latent_places(flat, method)
            share[title] = neighbour_class_share(places, labels, places, labels, NEIGHBOURS + 1)
            maps.append((title, places))
        for name, value in share.items():
            # Each image is the first of its own neighbours, and has its class.
            value = (value * (NEIGHBOURS + 1) - 1) / NEIGHBOURS
            figure = f"{what}, {name}: share of {NEIGHBOURS} neighbours of the class"
            figures[figure] = value
            example.say(figure, value)
        example.picture(draw_latent(images, maps, labels, names), f"{what}.png")
    return figures


if __name__ == "__main__":
    main()
