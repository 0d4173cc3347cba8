"""Gradients before a ReLU and a max-pool, written out together with the sums of their channels."""

from __future__ import annotations

from typing import Any, NamedTuple

from minicnn.geometry import Geometry
from minicnn.kernels.cuda.device import Array, empty
from minicnn.kernels.cuda.normalization import column_sums
from minicnn.kernels.cuda.pooling import scatter_masked
from minicnn.kernels.masked_gradient import MaskedGradient

__all__ = ["Written", "in_full", "ready", "sums_of"]


class Written(NamedTuple):
    """A gradient that was written out from a `MaskedGradient`.

    Args:
        full: the gradient (N,H,W,C).
        sums: of its channels (C,), which the same walk over memory gave.
    """

    full: Array
    sums: Array


def ready(masked: MaskedGradient, g: Geometry) -> Written:
    """Return a gradient before a ReLU and a max-pool, written out.

    Args:
        masked: the gradient after them, and what is known of them.
        g: of the convolution that it belongs to; here it is of no account.
    """
    dy, relu_output, indices, pool = masked
    if indices is None or pool is None:
        counted = empty("ready", dy.shape, dy.dtype)
        return Written(counted, column_sums(dy, relu_output, None, counted))
    # Each number after the pool goes to one place before it: the sums need not look at the places.
    dx = scatter_masked(dy, relu_output, indices, pool)
    return Written(dx, column_sums(dy, relu_output, indices))


def in_full(gradient: Any) -> Array:
    """Return a gradient as an array.

    >>> in_full(Written([[1.0, 2.0]], [1.0, 2.0]))
    [[1.0, 2.0]]
    """
    return gradient.full if isinstance(gradient, Written) else gradient


def sums_of(gradient: Any) -> Array:
    """Return the sums of the channels of a gradient."""
    return gradient.sums if isinstance(gradient, Written) else column_sums(gradient)
