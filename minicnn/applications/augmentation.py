"""Random changes of images that leave what they show as it is."""

from __future__ import annotations

from minicnn.layers import RandomFlip, RandomRotation, RandomTranslation, RandomZoom
from minicnn.models import Sequential

__all__ = ["cell_changes", "hand_changes"]


def cell_changes(zoom: float = 0.1) -> Sequential:
    """Return layers that mirror, turn and zoom cells: under a microscope there is no right way up.

    The chain takes images (N,H,W,C), or one (H,W,C), and changes each by random numbers of its own,
    with `training=True`. What comes from outside the image is black, as around a segmented cell.

    Args:
        zoom: largest zoom, as a share of the size.

    >>> import numpy as np
    >>> cell_changes()(np.ones((2, 24, 32, 3), np.float32), training=True).shape
    (2, 24, 32, 3)
    """
    return Sequential(
        [
            RandomFlip(),
            RandomRotation(0.5, fill_mode="constant"),  # of a full turn, both ways: any angle
            RandomZoom(zoom, fill_mode="constant"),
        ],
        name="cell_changes",
    )


def hand_changes(shift: float = 0.08, turn: float = 0.04, zoom: float = 0.1) -> Sequential:
    """Return layers that shift, turn and zoom hands a little: a hand stays a hand.

    The chain takes images (N,H,W,C), or one (H,W,C), and changes each by random numbers of its own,
    with `training=True`. What comes from outside the image is the edge's pixel.

    Args:
        shift: largest shift, as a share of the size.
        turn: largest angle, in full turns.
        zoom: largest zoom, as a share of the size.

    >>> import numpy as np
    >>> hand_changes()(np.ones((2, 24, 32, 3), np.float32), training=True).shape
    (2, 24, 32, 3)
    """
    return Sequential(
        [
            RandomTranslation(shift, shift, fill_mode="nearest"),
            RandomRotation(turn, fill_mode="nearest"),
            RandomZoom(zoom, fill_mode="nearest"),
        ],
        name="hand_changes",
    )
