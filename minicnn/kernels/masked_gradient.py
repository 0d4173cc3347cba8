"""A gradient that has not been written out."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from minicnn.geometry import Geometry

__all__ = ["MaskedGradient"]

Array = NDArray[Any]


class MaskedGradient(NamedTuple):
    """The gradient before a ReLU or a max-pool, told by the one after it.

    Written out, it would fill as much memory as the convolution's output, mostly with zeros. The
    compiled kernels write it out band by band instead, where it stays in the cache.

    Args:
        dy: the gradient after them.
        relu_output: where given, the gradient counts where this is positive.
        indices: where given, the places of the maxima that `dy` belongs to.
        pool: the windows of the max-pool, for `indices`.
    """

    dy: Array
    relu_output: Array | None = None
    indices: Array | None = None
    pool: Geometry | None = None
