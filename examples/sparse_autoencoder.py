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

from common import Example
from digit_data import load_digits

from minicnn import config, regularizers
from minicnn.applications.code_figures import draw_grid
from minicnn.applications.figures import rows_of_images
from minicnn.applications.sparse_autoencoder import (
    mean_correlation,
    share_near_zero,
    sparse_autoencoder,
)

UNITS, BATCH = 64, 256
#: Factors of the penalties; the error of an image is a mean over its pixels, about 0.01.
L1, KL, ORTHOGONALITY = 3e-4, 1e-2, 1e-1


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
    began = time.perf_counter()
    print(f"\n| {'code':<20} | error  | mean   | near 0 | correlation |\n|---|---|---|---|---|")
    for name, (penalty, activation) in kinds.items():
        config.set_random_seed(example.seed)  # the same start for all
        model, encoder, decoder = sparse_autoencoder(
            digits.images.shape[1:], UNITS, penalty, activation
        )
        model.compile("adam", "mse")
        model.fit(
            *(digits.images, digits.images), batch_size=BATCH, epochs=example.epochs(20), verbose=0
        )
        codes = encoder.predict(digits.test_images, batch_size=BATCH, verbose=0)
        drawn = decoder.predict(codes, batch_size=BATCH, verbose=0)
        measured = {
            "error": float(((drawn - digits.test_images) ** 2).mean()),
            "mean of the code": float(codes.mean()),
            "share near zero": share_near_zero(codes),
            "mean correlation": mean_correlation(codes),
        }
        cells = " | ".join(f"{value:.4f}" for value in measured.values())
        print(f"| {name:<20} | {cells}      |", flush=True)
        figures |= {f"{name}: {what}": value for what, value in measured.items()}
        rows.append((name.replace(", ", ",\n"), drawn[:8], None))
        if penalty is not None:
            strokes = decoder.layers[0].kernel.numpy()  # (UNITS,H*W)
            strokes = strokes.reshape(4, UNITS // 4, *digits.images.shape[1:])
            limit = abs(strokes).max() / 2
            example.picture(
                draw_grid((strokes / limit + 1) / 2, title=f"what each number adds: {name}"),
                f"numbers_{activation}_{type(penalty).__name__}.png",
            )
    figures["seconds of training"] = time.perf_counter() - began
    example.say("seconds of training, all", figures["seconds of training"])
    example.picture(rows_of_images(rows), "reconstructions.png")
    return figures


if __name__ == "__main__":
    main()
