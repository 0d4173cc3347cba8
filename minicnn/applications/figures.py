"""Pictures of what a cell autoencoder learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minicnn.applications.denoising import psnr
from minicnn.applications.likeness import cell_mask
from minicnn.applications.search import principal_components
from minicnn.callbacks.history import VALIDATION
from minicnn.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "draw_codes", "draw_curves", "draw_denoising", "draw_reconstructions", "draw_search",
    "figure_of", "rows_of_images", "save_figure", "show",
]  # fmt: skip

Array = NDArray[Any]


def figure_of(width: float, height: float, *, arranged: bool = True) -> Figure:
    """Return an empty figure of this size in inches, which arranges its axes unless told not to."""
    from matplotlib.figure import Figure

    return Figure((width, height), dpi=110, layout="constrained" if arranged else None)


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, replacing an old one as a whole, and return its path."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", facecolor="white")
    return Path(path)


def show(axes: Axes, image: Array, title: str = "", size: float = 8, extent: Any = None) -> None:
    """Draw an image (H,W,C) in [0, 1] without axes; `extent` is left, right, bottom and top."""
    image = np.clip(image[..., 0] if image.shape[-1] == 1 else image, 0, 1)
    axes.imshow(image, "gray", vmin=0, vmax=1, extent=extent, aspect="auto" if extent else "equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    if title:
        axes.set_title(title, fontsize=size, pad=3)


def rows_of_images(
    rows: Sequence[tuple[str, Array, list[str] | None]], size: float = 1.05, *, title: str = "",
    framed: bool = False,
) -> Figure:  # fmt: skip
    """Return rows of images with a label before each row and a line above each image.

    All lie on one axes, in inches from its upper left corner: to arrange axes of their own for
    each of fifty images takes Matplotlib a second.

    Args:
        rows: label, images (N,H,W,C) in [0, 1], and a line for each image or None.
        size: width of an image and of the gap behind it in inches.
        title: the line above all.
        framed: whether the first image of each row has a frame, and stands apart.
    """
    from matplotlib.patches import Rectangle

    gap = 0.08
    width, count = size - gap, len(rows[0][1])
    height = width * rows[0][1].shape[1] / rows[0][1].shape[2]
    longest = max(len(line) for label, _, _ in rows for line in label.split("\n"))
    left, apart = gap + (0.08 * longest + gap if longest else 0), 0.15 * framed
    rooms = [
        gap + 0.14 * max(1 + line.count("\n") for line in titles) if titles else gap
        for _, _, titles in rows
    ]
    across, y = left + count * size + apart, 0.25 * bool(title)
    down = y + sum(rooms) + height * len(rows) + gap
    figure = figure_of(across, down, arranged=False)
    axes = figure.add_axes((0, 0, 1, 1))
    if title:
        axes.text(across / 2, 0.6 * y, title, fontsize=9, ha="center", va="center")
    for (label, images, titles), room in zip(rows, rooms, strict=True):
        y += room
        axes.text(left - gap, y + height / 2, label, fontsize=9, ha="right", va="center")
        for i, image in enumerate(images):
            x = left + i * size + apart * (i > 0)
            show(axes, image, extent=(x, x + width, y + height, y))
            if titles:
                axes.text(x + width / 2, y - 0.04, titles[i], fontsize=8, ha="center", va="bottom")
        if framed:
            frame = Rectangle((left, y), width, height, fill=False, color=VALIDATION, lw=2)
            axes.add_patch(frame)
        y += height
    axes.set(xlim=(0, across), ylim=(down, 0))
    axes.axis("off")
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
    if len(noisy) > 1:
        return rows_of_images(rows)
    lines = [", ".join([label, *(titles or [])]) for label, _, titles in rows]
    return rows_of_images([("", np.concatenate([row[1] for row in rows]), lines)], size=3.0)


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
    rows = [
        ("", np.concatenate([query[None], images]), [name, *lines])
        for query, images, lines, name in zip(queries, found, titles, query_titles, strict=True)
    ]
    return rows_of_images(rows, 1.19, title=title, framed=True)


def draw_codes(images: Array, codes: Array, shown: int = 150) -> Figure:
    """Return a map of the images (N,H,W,3) by their codes (N,...).

    On the map, images lie where the two directions in which codes differ most put them: what the
    code finds alike lies together.
    """
    # Spread over all images: they may be sorted by class.
    chosen = np.linspace(0, len(images) - 1, min(shown, len(images))).astype(int)
    images, codes = images[chosen], codes[chosen]
    size, part = np.array([7.2, 5.6]), np.array([0.86, 0.83])  # in inches, and of the figure
    figure = figure_of(*size, arranged=False)
    axes = figure.add_axes((0.11, 0.1, *part))
    places = principal_components(codes)  # (N,2)
    low, high = places.min(axis=0), places.max(axis=0)
    margin = 0.08 * np.where(high > low, high - low, 1)
    low, high = low - margin, high + margin
    # The longer side of an image is 0.3 inches.
    sides = 0.3 * np.array(images.shape[2:0:-1]) / max(images.shape[1:3])
    w, h = sides / (size * part) * (high - low) / 2
    # The background is left out, for the neighbours to show through it.
    drawn = np.concatenate([np.clip(images, 0, 1), cell_mask(images)[..., None]], axis=-1)
    for (x, y), image in zip(places, drawn, strict=True):
        axes.imshow(image, extent=(x - w, x + w, y - h, y + h), aspect="auto", zorder=2)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.set_xlabel("first principal component of the codes")
    axes.set_ylabel("second principal component")
    axes.set_title("images whose codes are alike lie close together", fontsize=10)
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
