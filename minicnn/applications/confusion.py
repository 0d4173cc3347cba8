"""What a classifier takes for what: the matrix of confusions, and its picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minicnn.applications.figures import COLOURS, figure_of, show
from minicnn.errors import ShapeError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["confusion_matrix", "draw_confusion"]

Array = NDArray[Any]


def confusion_matrix(truth: Any, predicted: Any, classes: int) -> NDArray[np.int64]:
    """Return how many samples of class i (row) were taken for class j (column): (classes,classes).

    Args:
        truth: class numbers (N,).
        predicted: class numbers (N,).
        classes: number of classes.

    Raises:
        ShapeError: the lengths differ, or a number is no class.

    >>> confusion_matrix([0, 0, 1, 2], [0, 2, 1, 2], 3).tolist()
    [[1, 0, 1], [0, 1, 0], [0, 0, 1]]
    """
    rows, columns = np.asarray(truth, np.int64), np.asarray(predicted, np.int64)
    if rows.ndim != 1 or rows.shape != columns.shape:
        raise ShapeError(
            f"confusion_matrix: truth has shape {rows.shape}, predicted {columns.shape}; both must "
            f"be (N,), of one length."
        )
    both = np.concatenate([rows, columns])
    if len(both) and not 0 <= both.min() <= both.max() < classes:
        raise ShapeError(
            f"confusion_matrix: class numbers from {both.min()} to {both.max()} came; with "
            f"{classes} classes they must lie between 0 and {classes - 1}."
        )
    counts = np.bincount(rows * classes + columns, minlength=classes * classes)
    return counts.reshape(classes, classes)


def draw_confusion(
    images: Array, truth: Any, probabilities: Array, names: Sequence[str], columns: int = 5
) -> Figure:
    """Return the confusion matrix, and the images taken for another class.

    Where there are fewer wrong ones than places, right ones of which the network was least sure
    follow.

    Args:
        images: (N,H,W,C) in [0, 1].
        truth: class numbers (N,).
        probabilities: of each class (N,classes).
        names: the classes' names.
        columns: images in each of the two rows.

    Raises:
        ShapeError: the lengths differ.
    """
    labels, predicted = np.asarray(truth), probabilities.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, len(names))
    figure = figure_of(4.2 + 1.35 * columns, 4.0)
    left, right = figure.subfigures(1, 2, width_ratios=[4.2, 1.35 * columns], squeeze=False)[0]
    _draw_matrix(left.subplots(), matrix, names)
    order = np.lexsort((probabilities.max(axis=1), predicted == labels))[: 2 * columns]
    wrong = int((predicted != labels).sum())
    right.suptitle(
        f"{wrong} of {len(labels)} wrong"
        + ("" if wrong >= len(order) else "; then right ones of which the network was least sure"),
        fontsize=10,
    )
    places = right.subplots(2, columns, squeeze=False).ravel()
    for place in places:
        place.axis("off")
    for place, i in zip(places, order, strict=False):
        mistaken = predicted[i] != labels[i]
        text = f"{names[labels[i]]}, taken for\n" if mistaken else "rightly\n"
        text += f"{names[predicted[i]]} ({100 * probabilities[i].max():.0f} %)"
        show(place, images[i], text, 8)
        place.title.set_color(COLOURS[1] if mistaken else "black")
    return figure


def _draw_matrix(axes: Any, matrix: Array, names: Sequence[str]) -> None:
    axes.imshow(matrix, cmap="Blues", vmin=0, vmax=max(1, 1.25 * matrix.max()))
    for row, column in np.ndindex(*matrix.shape):
        count = matrix[row, column]
        if count:
            light = count > 0.6 * matrix.max()
            axes.text(column, row, count, ha="center", va="center", color="wk"[not light])
    ticks = np.arange(len(names))
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set_xlabel("the network's class")
    axes.set_ylabel("true class")
    axes.set_title("how many of each", fontsize=10)
