"""The maps compiled by Numba.

compiling.py        where machine code is kept, and when loops run in parallel
arguments.py        how arrays and numbers come to a loop
plain.py            the loops of the definition, compiled; they serve integers
tile.py             registers as a type that Numba's functions can use
bands.py            how rows of images come to a thread, and what becomes of its results
microkernel.py      one tile of results, from its first product to its last in registers
macrokernel.py      the one loop around it
plans.py            what the plans of the maps are made of
convolution.py      the plans of the three maps
  input_gradient.py kernel_gradient.py
wide.py winograd.py two ways to have fewer products
pooling.py          pooling and resizing, as loops
normalization.py    batch normalization with its ReLU, each way in two passes
training.py         the squared error and Adam, each in one pass
ahead.py            what a second process compiles
"""

from __future__ import annotations

from numba.core import event

from minicnn.kernels.compiled.convolution import conv2d, conv2d_max_pool2d, pools_in_place
from minicnn.kernels.compiled.input_gradient import conv2d_input_gradient
from minicnn.kernels.compiled.kernel_gradient import (
    conv2d_kernel_gradient,
    kernel_and_bias_gradient,
)
from minicnn.kernels.compiled.normalization import batch_normalization, batch_normalization_gradient
from minicnn.kernels.compiled.plans import has_tile, ready
from minicnn.kernels.compiled.pooling import (
    average_pool2d,
    average_pool2d_gradient,
    gather,
    max_pool2d,
    resize2d,
    resize2d_gradient,
    scatter,
)
from minicnn.kernels.compiled.training import adam, squared_error
from minicnn.runtime import notice

__all__ = [
    "adam", "average_pool2d", "average_pool2d_gradient", "batch_normalization",
    "batch_normalization_gradient", "conv2d", "conv2d_input_gradient", "conv2d_kernel_gradient",
    "conv2d_max_pool2d", "gather", "has_tile", "kernel_and_bias_gradient", "max_pool2d",
    "pools_in_place", "ready", "resize2d", "resize2d_gradient", "scatter", "squared_error",
]  # fmt: skip


class _Compiler(event.Listener):
    """Hears from Numba when it compiles, so that this can be told apart from work."""

    def on_start(self, event: event.Event) -> None:
        notice.begin()

    def on_end(self, event: event.Event) -> None:
        notice.end()


event.register("numba:compile", _Compiler())
