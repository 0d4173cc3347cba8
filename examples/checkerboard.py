"""Measure the checkerboard of transposed convolutions beside upsampling and convolution.

    python examples/checkerboard.py [--data FOLDER]

First without learning: from how many inputs each output pixel is made, for kernels that the stride
divides and for others. Then on cells: two autoencoders that differ in the decoder alone, before and
after training; what share of the power of their images lies at the frequencies of the pattern.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from cells import load_cells
from common import Example

from minicnn.applications import cell_autoencoder
from minicnn.applications.checkerboard import checkerboard_share, overlap_counts, spectrum
from minicnn.applications.figures import figure_of, show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = 64
KERNELS = (2, 3, 4, 5)


def draw_checkerboards(
    counts: Mapping[str, np.ndarray],
    images: Mapping[str, np.ndarray],
    powers: Mapping[str, np.ndarray],
) -> Figure:
    """Return overlap counts, images of each decoder, and the spectra of its errors.

    Args:
        counts: for each kernel, from how many inputs each output is made (H,W).
        images: for each decoder, images (N,H,W,C) in [0, 1].
        powers: for each decoder, the power at each frequency (H,W).
    """
    figure = figure_of(9.6, 8.4)
    parts: Any = figure.subfigures(3, 1, height_ratios=[1, 1.35, 1.25])
    above, middle, below = parts
    above.suptitle("inputs of each output pixel", fontsize=10)
    for axes, (name, count) in zip(above.subplots(1, len(counts)), counts.items(), strict=True):
        axes.imshow(count, cmap="viridis", vmin=0)
        axes.set_title(f"{name}: {count[4:-4].min():.0f} to {count.max():.0f}", fontsize=8)
        axes.set_axis_off()
    grid = middle.subplots(len(images), len(next(iter(images.values()))), squeeze=False)
    for line, (name, shown) in zip(grid, images.items(), strict=True):
        for axes, image in zip(line, shown, strict=True):
            show(axes, image)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9, labelpad=8)
    below.suptitle("power at each frequency, of images and of errors, logarithmic", fontsize=10)
    for axes, (name, power) in zip(below.subplots(1, len(powers)), powers.items(), strict=True):
        axes.imshow(np.log10(power + power.max() * 1e-7), cmap="magma", extent=(-0.5, 0.5) * 2)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("cycles per pixel", fontsize=8)
        axes.tick_params(labelsize=7)
    return figure


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
