"""Masks: how well two agree, and pictures of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minicnn.applications.figures import rows_of_images
from minicnn.errors import ShapeError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_masks", "intersection_over_union", "overlay"]

Array = NDArray[Any]

#: Share of colour in a tinted pixel.
TINT = 0.35


def intersection_over_union(truth: Array, predicted: Array) -> Array:
    """Return for each image how many foreground pixels two masks share, by those of either: (N,).

    Args:
        truth: masks (N,H,W,1) or (N,H,W), foreground above 0.5.
        predicted: masks or probabilities of the same shape.

    An image without foreground in both counts as 1.

    Raises:
        ShapeError: the shapes differ.

    >>> truth = np.array([[[1, 1, 0], [0, 0, 0]]])
    >>> intersection_over_union(truth, np.array([[[0.9, 0.2, 0.7], [0.1, 0.1, 0.1]]])).round(3)
    array([0.333])
    """
    if truth.shape != predicted.shape:
        raise ShapeError(
            f"intersection_over_union: truth has shape {truth.shape}, predicted "
            f"{predicted.shape}; they must be equal."
        )
    a, b = (np.asarray(m).reshape(len(m), -1) > 0.5 for m in (truth, predicted))  # (N,H*W)
    either = (a | b).sum(axis=1)
    return np.where(either == 0, 1.0, (a & b).sum(axis=1) / np.maximum(either, 1))


def overlay(image: Array, mask: Array, colour: Sequence[float] = (0.94, 0.35, 0.10)) -> Array:
    """Return an image in colour (H,W,3), tinted where the mask is, the mask's inner edge drawn in.

    Args:
        image: (H,W,1) or (H,W,3) in [0, 1].
        mask: (H,W) or (H,W,1), foreground above 0.5.
        colour: red, green and blue.
    """
    drawn = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image.copy()
    inside = np.asarray(mask).reshape(drawn.shape[:2]) > 0.5
    around = np.pad(inside, 1, mode="edge")
    deep = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    drawn[inside] += TINT * (np.asarray(colour) - drawn[inside])
    drawn[inside & ~deep] = colour
    return drawn


def draw_masks(images: Array, truth: Array, predicted: Array) -> Figure:
    """Return images, with the true masks in them below and the predicted ones below these.

    Args:
        images: (N,H,W,1) or (N,H,W,3) in [0, 1].
        truth: (N,H,W,1).
        predicted: probabilities (N,H,W,1).
    """
    shares = [f"IoU {value:.2f}" for value in intersection_over_union(truth, predicted)]
    rows: list[tuple[str, Array, list[str] | None]] = [("image", images, None)]
    for label, masks, titles in (("truth", truth, None), ("network", predicted, shares)):
        drawn = np.stack([overlay(x, m) for x, m in zip(images, masks, strict=True)])
        rows.append((label, drawn, titles))
    return rows_of_images(rows, size=2.0)
