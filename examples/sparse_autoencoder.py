"""Codes of which each digit uses few numbers: penalties on what the encoder gives out.

    python examples/sparse_autoencoder.py [--data FOLDER] [--rho SHARE]

Five autoencoders of two dense layers and a code of 64 numbers, alike but for the penalty of the
code. L1 asks the absolute values to be small, which puts most of them to exactly zero; the KL
divergence asks each number to be on for a share rho of the digits; orthogonality asks any two
numbers of the code to be uncorrelated.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from code_figures import draw_grid
from common import Example
from digit_data import load_digits

from minicnn import config, optimizers, regularizers
from minicnn.applications.figures import rows_of_images
from minicnn.applications.sparse_autoencoder import (
    mean_correlation,
    share_near_zero,
    sparse_autoencoder,
)

UNITS, BATCH = 64, 128
#: Factors of the penalties; the cross-entropy, a mean over the pixels, is about 0.1.
L1, KL, ORTHOGONALITY = 1e-3, 2e-1, 1e-1
RATE = 5e-3


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train, measure, draw; return the figures."""
    example = Example(
        *(__doc__, "sparse_autoencoder", argv),
        epochs=10,
        options=lambda parser: parser.add_argument(
            "--rho", type=float, default=0.05, help="wanted mean of each number, default 0.05"
        ),
    )
    rho = example.options.rho
    digits = load_digits(example)
    kinds = {
        "relu": (None, "relu"),
        "relu, L1": (regularizers.L1(L1), "relu"),
        "sigmoid": (None, "sigmoid"),
        f"sigmoid, KL to {rho:g}": (regularizers.KLSparsity(rho, KL), "sigmoid"),
        "sigmoid, orthogonal": (regularizers.CodeOrthogonality(ORTHOGONALITY), "sigmoid"),
    }
    figures: dict[str, float] = {}
    rows = [("digit", digits.test_images[:8], None)]
    epochs, steps = example.epochs(10), -(-len(digits.images) // BATCH)
    began = time.perf_counter()
    for name, (penalty, activation) in kinds.items():
        config.set_random_seed(example.seed)  # the same start for all
        model, encoder, decoder = sparse_autoencoder(
            digits.images.shape[1:], UNITS, penalty, activation
        )
        rate = optimizers.CosineDecay(RATE, epochs * steps)
        model.compile(optimizers.Adam(rate), "binary_crossentropy")
        model.fit(digits.images, digits.images, BATCH, epochs, verbose=0)
        codes = encoder.predict(digits.test_images, batch_size=BATCH, verbose=0)
        drawn = decoder.predict(codes, batch_size=BATCH, verbose=0)
        measured = {
            "squared error": float(((drawn - digits.test_images) ** 2).mean()),
            "mean of the code": float(codes.mean()),
            "share near zero": share_near_zero(codes),
            "mean correlation": mean_correlation(codes),
        }
        for what, value in measured.items():
            figures[f"{name}: {what}"] = value
            example.say(f"{name}: {what}", value)
        rows.append((name.replace(", ", ",\n"), drawn[:8], None))
        if penalty is not None:
            strokes = decoder.layers[0].kernel.numpy()  # (UNITS,H*W)
            strokes = strokes.reshape(4, UNITS // 4, *digits.images.shape[1:])
            limit = abs(strokes).max() / 2
            example.picture(
                draw_grid(
                    (strokes / limit + 1) / 2, title=f"what each unit of the code draws: {name}"
                ),
                f"units_{activation}_{type(penalty).__name__}.png",
            )
    example.say("seconds of training, all", time.perf_counter() - began)
    example.picture(rows_of_images(rows), "reconstructions.png")
    return figures


if __name__ == "__main__":
    main()
