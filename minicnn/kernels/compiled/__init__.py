"""The maps compiled by Numba.

Convolutions run on a register tile (`contraction.py`), planned in `convolution.py`, `wide.py` and
`sweeps.py`; pooling and resizing are plain loops (`pooling.py`).
"""

from __future__ import annotations

from minicnn.kernels.compiled.convolution import conv2d, conv2d_max_pool2d, pools_in_place
from minicnn.kernels.compiled.input_gradient import conv2d_input_gradient
from minicnn.kernels.compiled.kernel_gradient import (
    conv2d_kernel_gradient,
    kernel_and_bias_gradient,
)
from minicnn.kernels.compiled.pooling import (
    average_pool2d,
    average_pool2d_gradient,
    gather,
    max_pool2d,
    resize2d,
    resize2d_gradient,
    scatter,
)
from minicnn.kernels.compiled.sweeps import has_tile, ready
from minicnn.kernels.compiled.training import adam, squared_error

__all__ = [
    "adam",
    "average_pool2d",
    "average_pool2d_gradient",
    "conv2d",
    "conv2d_input_gradient",
    "conv2d_kernel_gradient",
    "conv2d_max_pool2d",
    "gather",
    "has_tile",
    "kernel_and_bias_gradient",
    "max_pool2d",
    "pools_in_place",
    "ready",
    "resize2d",
    "resize2d_gradient",
    "scatter",
    "squared_error",
]
