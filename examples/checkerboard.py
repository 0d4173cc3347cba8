"""Measure the checkerboard of transposed convolutions beside upsampling and convolution.

    python examples/checkerboard.py [--data FOLDER]

First without learning: from how many inputs each output pixel is made, for kernels that the stride
divides and for others. Then on cells: two autoencoders that differ in the decoder alone, before and
after training; what share of the power of their images lies at the frequencies of the pattern.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from cells import load_cells
from common import Example

from minicnn.applications import cell_autoencoder
from minicnn.applications.checkerboard import checkerboard_share, overlap_counts, spectrum
from minicnn.applications.figures import draw_checkerboards

SIZE = 64
KERNELS = (2, 3, 4, 5)


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Count, train, measure, draw; return the figures."""
    example = Example(__doc__, "checkerboard", argv, epochs=5)
    counts = {f"kernel {k}, stride 2": overlap_counts(k, 2) for k in KERNELS}
    for name, count in counts.items():
        inner = count[4:-4, 4:-4]
        example.say(f"{name}: inputs of an output pixel", f"{inner.min():.0f} to {inner.max():.0f}")
    train, test = load_cells(example, SIZE, limit=500)
    figures = {"the images themselves: share of pattern": checkerboard_share(test)}
    drawn = {"images": test[:4]}
    powers = {"images": spectrum(test)}
    began = time.perf_counter()
    for decoder, name in (
        ("transpose", "transposed convolution"),
        ("upsample", "upsampling + convolution"),
    ):
        model = cell_autoencoder((SIZE, SIZE, 3), decoder=decoder)
        figures[f"{name}, untrained: share of pattern"] = checkerboard_share(model.predict(test))
        model.compile("adam", "mse")
        model.fit(train, train, batch_size=16, epochs=example.epochs())
        results = model.predict(test)
        figures[f"{name}, trained: share of pattern"] = checkerboard_share(results)
        figures[f"{name}, trained: share in the error"] = checkerboard_share(results - test)
        figures[f"{name}, trained: squared error"] = float(((results - test) ** 2).mean())
        drawn[name] = results[:4]
        powers[name] = spectrum(results - test)
    example.say_all(figures, time.perf_counter() - began)
    example.picture(draw_checkerboards(counts, drawn, powers), "checkerboard.png")
    return figures


if __name__ == "__main__":
    main()
