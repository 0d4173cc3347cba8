"""Turn images into other images: take noise off, sharpen, or colour grey cells.

    python examples/translate_cells.py [--data FOLDER] [--target denoise|sharpen|colour]

The three differ in nothing but the pairs of images that the network learns from: the network is
that of denoising, an autoencoder with skips from the encoder to the decoder.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
from cells import load_cells
from common import Example

from minicnn import optimizers
from minicnn.applications import add_noise, cell_autoencoder, psnr
from minicnn.applications.denoising import gaussian_filter
from minicnn.applications.figures import rows_of_images

SIZE, BATCH = 64, 16


def grey(images: np.ndarray) -> np.ndarray:
    """Return images without colour, with three equal channels."""
    return np.repeat(images @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=-1)


#: What the network sees instead of each image.
SOURCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "denoise": lambda images: add_noise(images, 0.15, seed=1),
    "sharpen": lambda images: gaussian_filter(images, 1.5),
    "colour": grey,
}


def with_target(parser: argparse.ArgumentParser) -> None:
    """Add the option of what to learn."""
    parser.add_argument(
        "--target", choices=list(SOURCES), help="what to learn; all three unless said"
    )


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train, measure, draw; return the figures."""
    example = Example(__doc__, "translate_cells", argv, epochs=6, options=with_target)
    train, test = load_cells(example, SIZE, limit=500)
    figures: dict[str, float] = {}
    wanted = example.options.target
    began = time.perf_counter()
    for name in [wanted] if wanted else SOURCES:
        source, seen = SOURCES[name](train), SOURCES[name](test)
        model = cell_autoencoder((SIZE, SIZE, 3), skips=True)
        steps = example.epochs() * -(-len(train) // BATCH)
        model.compile(optimizers.Adam(optimizers.CosineDecay(5e-3, steps)), "mse")
        model.fit(source, train, batch_size=BATCH, epochs=example.epochs())
        results = model.predict(seen)
        before, after = psnr(test, seen), psnr(test, results)
        figures[f"{name}: PSNR before, dB"] = float(before.mean())
        figures[f"{name}: PSNR after, dB"] = float(after.mean())
        rows = [
            ("seen", seen[:6], [f"{v:.1f} dB" for v in before[:6]]),
            ("network", results[:6], [f"{v:.1f} dB" for v in after[:6]]),
            ("target", test[:6], None),
        ]
        example.picture(rows_of_images(rows), f"{name}.png")
    example.say_all(figures, time.perf_counter() - began)
    return figures


if __name__ == "__main__":
    main()
