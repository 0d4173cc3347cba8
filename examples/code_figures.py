"""Pictures of codes: where images lie, and what the decoder draws at each place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minicnn.applications.figures import figure_of, show
from minicnn.applications.latent import spaced
from minicnn.errors import ShapeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_grid", "draw_latent", "draw_scatter"]

Array = NDArray[Any]

#: Colours of classes, told apart by most people with a colour deficiency for the first seven.
CLASS_COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#6a3d9a",
    "#b2182b", "#4d4d4d",
)  # fmt: skip


def _points(axes: Axes, places: Array, labels: Array, names: Sequence[str], size: float) -> None:
    """Draw a point for each place in its class's colour, and tell the colours in a legend."""
    for number, name in enumerate(names):
        own = places[labels == number]
        colour = CLASS_COLOURS[number % len(CLASS_COLOURS)]
        axes.scatter(own[:, 0], own[:, 1], s=size, color=colour, alpha=0.6, lw=0, label=name)


def _opaque(legend: Any) -> None:
    """Show the colours in a legend as they are, without looking through."""
    for mark in legend.legend_handles:
        mark.set_alpha(1)


def draw_scatter(
    codes: Array,
    labels: Array,
    names: Sequence[str],
    chosen: tuple[Sequence[float], Array] | None = None,
) -> Figure:
    """Return a map of codes of two numbers, coloured by class.

    Args:
        codes: (N,2).
        labels: (N,), positions in `names`.
        names: of the classes.
        chosen: a code that is marked on the map, and the image (H,W,C) that was decoded from it,
            shown beside it.

    Raises:
        ShapeError: the codes are no (N,2).
    """
    if codes.ndim != 2 or codes.shape[1] != 2:
        raise ShapeError(f"draw_scatter: codes have shape {codes.shape}, but must be (N,2).")
    figure = figure_of(7.6 if chosen else 5.4, 4.8)
    if chosen is None:
        axes = figure.subplots()
    else:
        axes, picture = figure.subplots(1, 2, width_ratios=[2.4, 1])
        place = tuple(chosen[0])
        axes.scatter(*place, marker="X", s=120, color="black", ec="white", lw=1.2, zorder=3)
        show(picture, chosen[1], f"decoded from the cross\n({place[0]:.3g}, {place[1]:.3g})", 9)
    _points(axes, codes, labels, names, 6)
    axes.set_xlabel("first number of the code")
    axes.set_ylabel("second number of the code")
    axes.grid(alpha=0.25, lw=0.5)
    _opaque(axes.legend(title="class", markerscale=3, fontsize=8, title_fontsize=8))
    return figure


def draw_grid(
    images: Array,
    across: Sequence[float] | None = None,
    up: Sequence[float] | None = None,
    title: str = "",
) -> Figure:
    """Return images side by side without gaps, in rows and columns.

    Args:
        images: (rows,columns,H,W,C) in [0, 1].
        across: the first number of the code in each column, if the axes are to be labelled.
        up: the second number of the code in each row, from the top.
        title: the line above.
    """
    rows, columns, height, width, channels = images.shape
    sheet = images.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels)
    wide = min(0.62 * columns + 0.8, 9.0)
    figure = figure_of(wide, (wide - 0.8) * rows * height / (columns * width) + 0.9)
    axes = figure.subplots()
    show(axes, sheet, title, 10)
    for numbers, length, axis, name in (
        (across, width, axes.xaxis, "first"),
        (up, height, axes.yaxis, "second"),
    ):
        if numbers is not None:
            axis.set_ticks(
                [(i + 0.5) * length - 0.5 for i in range(len(numbers))],
                [f"{number:.2g}" for number in numbers],
                fontsize=7,
            )
            axis.set_label_text(f"{name} number of the code")
            axis.set_tick_params(length=0)
    return figure


def draw_latent(
    images: Array,
    places: Sequence[tuple[str, Array]],
    labels: Array,
    names: Sequence[str],
    size: float = 0.3,
    count: int = 80,
) -> Figure:
    """Return maps of images: a point for each in its class's colour, thumbnails of a few.

    Thumbnails are framed in their class's colour and stand where their images lie; they are chosen
    so that none covers another.

    Args:
        images: (N,H,W,C) in [0, 1].
        places: for each map its title and the images' places (N,2).
        labels: (N,), positions in `names`.
        names: of the classes.
        size: the larger side of a thumbnail in inches.
        count: at most so many thumbnails on a map.
    """
    side = 4.6
    figure = figure_of(side * len(places), side + 0.75)
    for axes, (title, points) in zip(
        figure.subplots(1, len(places), squeeze=False)[0], places, strict=True
    ):
        middle, reach = (points.max(axis=0) + points.min(axis=0)) / 2, np.ptp(points, axis=0).max()
        scaled = (points - middle) / (reach or 1.0)  # within [-0.5, 0.5]
        _points(axes, scaled, labels, names, 9)
        _thumbnails(axes, images, scaled, labels, size, size * 1.18 / (0.88 * side), count)
        axes.set(xlim=(-0.56, 0.56), ylim=(-0.56, 0.56), aspect="equal", title=title)
        axes.set_xticks([])
        axes.set_yticks([])
    handles, texts = axes.get_legend_handles_labels()
    where: dict[str, Any] = {"loc": "outside lower center", "ncols": len(names), "frameon": False}
    _opaque(figure.legend(handles, texts, markerscale=3, **where))
    return figure


def _thumbnails(
    axes: Axes, images: Array, places: Array, labels: Array, size: float, apart: float, count: int
) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    zoom = 72 * size / max(images.shape[1:3])
    for i in spaced(places, apart, count):
        image = np.clip(images[i], 0, 1)
        image = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
        colour = CLASS_COLOURS[int(labels[i]) % len(CLASS_COLOURS)]
        frame = {"edgecolor": colour, "linewidth": 1.5}
        box = AnnotationBbox(OffsetImage(image, zoom=zoom), places[i], pad=0.08, bboxprops=frame)
        axes.add_artist(box)
