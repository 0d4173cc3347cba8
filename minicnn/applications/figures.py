"""Pictures of what a cell autoencoder learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minicnn.applications.denoising import psnr
from minicnn.applications.search import principal_components
from minicnn.callbacks.history import VALIDATION
from minicnn.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "draw_codes",
    "draw_curves",
    "draw_denoising",
    "draw_reconstructions",
    "draw_search",
    "figure_of",
    "rows_of_images",
    "save_figure",
    "show",
]

Array = NDArray[Any]


def figure_of(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches."""
    from matplotlib.figure import Figure

    return Figure((width, height), dpi=110, layout="constrained")


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, replacing an old one as a whole, and return its path."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", facecolor="white")
    return Path(path)


def show(axes: Axes, image: Array, title: str = "", size: float = 8) -> None:
    """Draw an image (H,W,C) in [0, 1] without axes."""
    image = np.clip(image, 0, 1)
    axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    if title:
        axes.set_title(title, fontsize=size, pad=3)


def rows_of_images(
    rows: Sequence[tuple[str, Array, list[str] | None]], size: float = 1.05
) -> Figure:
    """Return rows of images with a label before each row and a line above each image.

    Args:
        rows: label, images (N,H,W,C) in [0, 1], and a line for each image or None.
        size: width of an image in inches.
    """
    count = len(rows[0][1])
    height = size * rows[0][1].shape[1] / rows[0][1].shape[2]
    figure = figure_of(size * count + 1.1, (height + 0.23) * len(rows))
    grid = figure.subplots(len(rows), count, squeeze=False)
    for line, (label, images, titles) in zip(grid, rows, strict=True):
        for i, (axes, image) in enumerate(zip(line, images, strict=True)):
            show(axes, image, titles[i] if titles else "")
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9, labelpad=8)
    return figure


def _side_by_side(rows: Sequence[tuple[str, Array, list[str] | None]]) -> Figure:
    """Return the single images of rows large and next to each other."""
    figure = figure_of(3.0 * len(rows), 3.3)
    for axes, (label, images, titles) in zip(figure.subplots(1, len(rows)), rows, strict=True):
        show(axes, images[0], f"{label}, {titles[0]}" if titles else label, 11)
    return figure


def _decibels(clean: Array, other: Array) -> list[str]:
    return [f"{value:.1f} dB" for value in psnr(clean, other)]


def draw_reconstructions(images: Array, results: Array) -> Figure:
    """Return images above what the autoencoder makes of them, with PSNRs."""
    return rows_of_images(
        [("image", images, None), ("through\nthe code", results, _decibels(images, results))]
    )


def draw_denoising(clean: Array | None, noisy: Array, results: Array) -> Figure:
    """Return noisy images above the denoised ones, or a single one beside it.

    With `clean` images these stand there too, and each result has its PSNR.
    """
    rows: list[tuple[str, Array, list[str] | None]]
    if clean is None:
        rows = [("before", noisy, None), ("after", results, None)]
    else:
        rows = [
            ("clean", clean, None),
            ("noisy", noisy, _decibels(clean, noisy)),
            ("denoised", results, _decibels(clean, results)),
        ]
    return rows_of_images(rows) if len(noisy) > 1 else _side_by_side(rows)


def draw_search(
    queries: Array,
    found: Array,
    titles: Sequence[Sequence[str]],
    query_titles: Sequence[str],
    title: str = "",
) -> Figure:
    """Return each query and, to its right, the images found for it.

    Args:
        queries: (Q,H,W,C).
        found: (Q,K,H,W,C), nearest first.
        titles: for each query the lines above its K images.
        query_titles: the line above each query.
        title: the line above all.
    """
    count = found.shape[1]
    figure = figure_of(1.15 * (count + 1) + 0.5, 1.4 * len(queries) + 0.3 * bool(title))
    if title:
        figure.suptitle(title, fontsize=9)
    widths = [1.0, 0.12] + [1.0] * count
    grid = figure.subplots(len(queries), count + 2, squeeze=False, width_ratios=widths)
    for line, query, images, lines, name in zip(
        grid, queries, found, titles, query_titles, strict=True
    ):
        show(line[0], query, name, 7.5)
        for side in line[0].spines.values():
            side.set(visible=True, color=VALIDATION, lw=2)
        line[1].axis("off")
        for axes, image, text in zip(line[2:], images, lines, strict=True):
            show(axes, image, text, 7.5)
    return figure


def draw_codes(images: Array, codes: Array, shown: int = 150) -> Figure:
    """Return a map of the images by their codes.

    On the map, images lie where the two directions in which codes differ most put them: what the
    code finds alike lies together.
    """
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    # Spread over all images: they may be sorted by class.
    chosen = np.linspace(0, len(images) - 1, min(shown, len(images))).astype(int)
    images, codes = images[chosen], codes[chosen]
    figure = figure_of(7.2, 5.6)
    places = principal_components(codes)  # (N,2)
    axes = figure.subplots()
    axes.scatter(places[:, 0], places[:, 1], s=1, alpha=0)
    zoom = 22 / max(images.shape[1:3])
    for place, image in zip(places, images, strict=True):
        # Black around a cell is background: let the neighbours show through it.
        alpha = (image.max(axis=-1, keepdims=True) > 0.02).astype(np.float32)
        colours = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
        picture = OffsetImage(np.concatenate([np.clip(colours, 0, 1), alpha], axis=-1), zoom=zoom)
        axes.add_artist(AnnotationBbox(picture, tuple(place), frameon=False))
    axes.set_xlabel("first principal component of the codes")
    axes.set_ylabel("second principal component")
    axes.set_title("images whose codes are alike lie close together", fontsize=10)
    axes.margins(0.06)
    axes.grid(alpha=0.25, lw=0.5)
    return figure


#: Of curves drawn together, and their marks; told apart by people with any colour vision.
COLOURS, MARKS = ("#1f5fa8", "#c8541a", "#2a8a57", "#8b5fa8", "#444444"), tuple("os^Dv")


def draw_curves(
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    logarithmic: Sequence[str] = (),
    first: int = 1,
) -> Figure:
    """Return curves over epochs, one panel beside the other.

    Args:
        panels: for each panel, by the label of its axis, the curves by their names.
        logarithmic: labels of the panels with a logarithmic axis.
        first: number of the first epoch that is drawn.
    """
    names = [name for curves in panels.values() for name in curves]
    # Two columns where the longest name fits into half a panel.
    columns = 2 if len(names) > 2 and max(map(len, names)) <= 14 else 1
    lines = max(-(-len(curves) // columns) for curves in panels.values())
    figure = figure_of(4.4 * len(panels), 3.2 + 0.18 * lines)
    for axes, (label, curves) in zip(
        np.atleast_1d(figure.subplots(1, len(panels))), panels.items(), strict=True
    ):
        for number, (name, values) in enumerate(curves.items()):
            colour, mark = COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)]
            # The first ones are broader, so that they are seen where curves lie on each other.
            width = 1.5 * min(len(curves) - number, 2)
            epochs = np.arange(first, len(values) + 1)
            axes.plot(
                epochs,
                values[first - 1 :],
                marker=mark if len(epochs) <= 30 else None,
                ms=width + 2,
                lw=width,
                color=colour,
                label=name,
            )
        if label in logarithmic:
            axes.set_yscale("log")
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3, which="both", lw=0.5)
        axes.xaxis.get_major_locator().set_params(integer=True)
        # Above the axes, where no curve can run through it.
        above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
        axes.legend(frameon=False, fontsize="small", ncols=columns, **above)
    return figure
