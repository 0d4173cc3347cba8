"""Pictures turned as their camera's mark says."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

__all__ = ["upright"]


def upright(pixels: NDArray[Any], mark: int) -> NDArray[Any]:
    """Return pixels (H,W,C) upright that were stored as an orientation mark of 1 to 8 says.

    The mark tells where the first row and the first column lie (TIFF 6.0, tag 274): 1 top and
    left, 2 top and right, 3 bottom and right, 4 bottom and left, 5 to 8 the same with rows and
    columns exchanged. Others mean nothing.

    >>> import numpy as np
    >>> upright(np.array([[1, 2, 3], [4, 5, 6]])[..., None], 6)[..., 0].tolist()
    [[4, 1], [5, 2], [6, 3]]
    """
    if mark not in range(2, 9):
        return pixels
    if mark >= 5:
        pixels = pixels.swapaxes(0, 1)
    # The sides from which rows and columns are counted, once these are exchanged.
    from_below = mark in (3, 4, 7, 8)
    from_right = mark in (2, 3, 6, 7)
    return pixels[:: -1 if from_below else 1, :: -1 if from_right else 1]
