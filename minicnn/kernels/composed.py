"""What the compiled backends do in one pass over memory, made of the plain maps of the others.

A backend that has only the maps of `kernels` becomes a whole one by `Composed`: the bias and the
ReLU follow the convolution, and the gradient before the ReLU is written out.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.geometry import Geometry
from minicnn.kernels.arrays import column_sums
from minicnn.kernels.masked_gradient import MaskedGradient

__all__ = ["Composed", "completed"]

Array = NDArray[Any]


def completed(y: Array, bias: Array | None, relu: bool) -> Array:
    """Return y with the bias added, and zeros for negative numbers if ReLU is wanted; in place."""
    if bias is not None:
        y += bias
    return np.maximum(y, 0, out=y) if relu else y


class Composed:
    """A backend of plain maps, whose convolution takes a bias and a ReLU as the compiled ones do.

    >>> from minicnn.geometry import conv2d_geometry
    >>> from minicnn.kernels import loops
    >>> x, kernel = np.ones((1, 2, 4, 1)), np.ones((2, 3, 1, 1))
    >>> g = conv2d_geometry((2, 4), (2, 3))
    >>> Composed(loops).conv2d(x, kernel, g, np.array([-6.5]), relu=True).ravel().tolist()
    [0.0, 0.0]
    """

    def __init__(self, maps: ModuleType) -> None:
        self.maps = maps

    def __getattr__(self, name: str) -> Any:
        return getattr(self.maps, name)

    def conv2d(
        self, x: Array, kernel: Array, g: Geometry, bias: Array | None = None, relu: bool = False
    ) -> Array:
        """Return the convolution (N,OH,OW,F)."""
        y = self.maps.conv2d(x, kernel, g)
        return y if bias is None and not relu else completed(y, bias, relu)

    def conv2d_input_gradient(
        self, dy: Array, kernel: Array, g: Geometry, bias: Array | None = None, relu: bool = False
    ) -> Array:
        """Return the transposed convolution (N,H,W,C)."""
        dx = self.maps.conv2d_input_gradient(dy, kernel, g)
        return dx if bias is None and not relu else completed(dx, bias, relu)

    def kernel_and_bias_gradient(
        self, x: Array, dy: Array, g: Geometry, biased: str | None
    ) -> tuple[Array, Array | None]:
        """Return dk and the sums of the channels of `"dy"` or of `"x"`, if there is a bias."""
        summed = {"x": x, "dy": dy, None: None}[biased]
        sums = None if summed is None else column_sums(summed.reshape(-1, summed.shape[3]))
        return self.maps.conv2d_kernel_gradient(x, dy, g), sums

    def ready(self, masked: MaskedGradient, g: Geometry) -> Array:
        """Return a gradient before its ReLU, written out."""
        dy, shown = masked.dy, masked.relu_output
        return dy if shown is None else dy * (shown > 0)

    def has_tile(self, dtype: Any) -> bool:
        """Return whether several operations are done in one pass: here they never are."""
        return False

    def pools_in_place(self, dtype: Any, pool: Geometry) -> bool:
        """Return whether a max-pool can be taken in the same pass: here it never can."""
        return False
