"""A gradient that has not been written out."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from minicnn.geometry import Geometry

__all__ = ["Slopes"]

Array = NDArray[Any]


class Slopes(NamedTuple):
    """The gradient before a ReLU or a max-pool, told by the one after it.

    Written out, it would fill as much memory as the convolution's output, mostly with zeros. The
    compiled kernels write it out band by band instead, where it stays in the cache.

    Args:
        data: the gradient.
        truth: where given, the gradient counts where this is positive.
        where: where given, the places of the maxima that `data` belongs to.
        pool: the windows of the max-pool, for `where`.
    """

    data: Array
    truth: Array | None = None
    where: Array | None = None
    pool: Geometry | None = None
