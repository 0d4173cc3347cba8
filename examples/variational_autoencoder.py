"""Learn a distribution of digits from which new ones can be drawn.

    python examples/variational_autoencoder.py [--data FOLDER] [--code-size K]

The encoder gives each digit a normal distribution of codes instead of one code, and a second part
of the loss, the KL divergence, draws all of these towards the standard normal distribution. So
there are no gaps between the codes: any normal numbers decode to a digit, and on the way from one
digit to another all steps look like digits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from code_figures import draw_grid, draw_scatter
from common import Example
from digit_data import load_digits

from minicnn import optimizers
from minicnn.applications.variational_autoencoder import grid_of_codes, variational_autoencoder

BATCH, SIDE, STEPS, PAIRS = 128, 14, 10, 5


def interpolations(encoder, decoder, digits) -> np.ndarray:
    """Return the ways (PAIRS,STEPS,H,W,C) from a digit to one of another class, ends included."""
    first = [np.flatnonzero(digits.test_labels == name)[0] for name in range(2 * PAIRS)]
    means, _ = encoder.predict(digits.test_images[first], verbose=0)  # (2*PAIRS,K)
    share = np.linspace(0, 1, STEPS)[:, None]
    ends = zip(means[:PAIRS], means[: -PAIRS - 1 : -1], strict=True)  # 0 to 9, 1 to 8, ...
    ways = [(1 - share) * a + share * b for a, b in ends]
    drawn = decoder.predict(np.concatenate(ways), verbose=0)
    return drawn.reshape(PAIRS, STEPS, *drawn.shape[1:])


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train, measure, draw; return the figures."""
    example = Example(
        *(__doc__, "variational_autoencoder", argv),
        epochs=10,
        options=lambda parser: parser.add_argument(
            "--code-size", type=int, default=2, metavar="K", help="numbers in a code, default 2"
        ),
    )
    size = example.options.code_size
    digits = load_digits(example)
    model = variational_autoencoder(digits.images.shape[1:], size)
    epochs = example.epochs(10)
    steps = -(-len(digits.images) // BATCH)
    model.compile(optimizers.Adam(optimizers.CosineDecay(2e-3, epochs * steps)))
    began = time.perf_counter()
    history = model.fit(digits.images, batch_size=BATCH, epochs=epochs, verbose=2).history
    seconds = time.perf_counter() - began

    figures = {
        f"{name}, nats": history[key][-1]
        for name, key in (
            ("training loss", "loss"),
            ("of it reconstruction", "reconstruction"),
            ("of it KL divergence", "kl"),
        )
    }
    means, log_variances = model.encoder.predict(digits.test_images, batch_size=BATCH, verbose=0)
    figures["standard deviation of the test digits' codes"] = float(
        np.sqrt((means**2 + np.exp(log_variances)).mean())
    )
    example.say_all(figures, seconds)

    rng = np.random.default_rng(example.seed)
    codes = rng.standard_normal((SIDE * SIDE // 2, size))
    new = model.decoder.predict(codes, batch_size=BATCH, verbose=0)
    new = new.reshape(SIDE // 2, SIDE, *new.shape[1:])
    example.picture(draw_grid(new, title="digits that nobody wrote, of normal numbers"), "new.png")
    ways = interpolations(model.encoder, model.decoder, digits)
    example.picture(draw_grid(ways, title="from digit to digit"), "interpolation.png")
    if size == 2:
        names = [str(name) for name in range(10)]
        example.picture(draw_scatter(means, digits.test_labels, names), "codes.png")
        grid = grid_of_codes(SIDE, SIDE)
        drawn = model.decoder.predict(grid.reshape(-1, 2), batch_size=BATCH, verbose=0)
        drawn = drawn.reshape(SIDE, SIDE, *drawn.shape[1:])
        example.picture(draw_grid(drawn, grid[0, :, 0], grid[:, 0, 1]), "grid.png")
    return figures


if __name__ == "__main__":
    main()
