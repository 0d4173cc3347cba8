"""The maps on NVIDIA GPUs: CUDA C++ that is meant to be read, and the CuPy code that launches it.

common.cu             what every kernel file begins with
conv2d.cu             the three maps of convolution, as in loops.py: a thread owns one result
tile.cu               the same as tiles of a matrix product: shared memory, vectors, two buffers
  register_tile.cu    what a thread does in a tile
  tensor_cores.cu     what a warp does in a tile, by TF32 or 3xTF32
  conv2d_tiled.cu conv2d_input_gradient_tiled.cu conv2d_kernel_gradient_tiled.cu
pooling.cu resize.cu  pooling and resizing
normalization.cu      batch normalization with its ReLU
training.cu           the squared error and Adam
softmax.cu            softmax and crossentropies
indexing.cu           sums by place
joining.cu            arrays end to end
elementwise.cu        what CuPy does not bring

device.py             the card's limits and memory; compiling and launching
probe.py              whether a GPU can be used
tiles.py              which tile, if any, and the precision of its products
transfer.py           the way to the card, and copies beside the work
graph.py              work that is recorded once and started again as a whole
faults.py             a card without room, or gone
plain.py              the launches of conv2d.cu
masked_gradient.py    gradients before a ReLU and a max-pool
convolution.py pooling.py normalization.py training.py softmax.py arrays.py   the functions

No thread writes where another one does, and sums over blocks are added in a fixed order, so two
runs give the same bits. All arrays are CuPy's; CuPy is imported by the first call.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.geometry import Geometry
from minicnn.kernels.cuda.arrays import add_at, erf, joined
from minicnn.kernels.cuda.convolution import (
    conv2d,
    conv2d_input_gradient,
    conv2d_kernel_gradient,
    conv2d_max_pool2d,
    kernel_and_bias_gradient,
    matmul,
)
from minicnn.kernels.cuda.faults import give_back_memory, is_lost, no_room
from minicnn.kernels.cuda.graph import Recorded
from minicnn.kernels.cuda.masked_gradient import ready
from minicnn.kernels.cuda.normalization import (
    batch_normalization,
    batch_normalization_gradient,
    column_sums,
    move_statistics,
    normalize_by,
)
from minicnn.kernels.cuda.pooling import (
    average_pool2d,
    average_pool2d_gradient,
    gather,
    max_pool2d,
    relu_gradient,
    resize2d,
    resize2d_gradient,
    scatter,
)
from minicnn.kernels.cuda.probe import usable
from minicnn.kernels.cuda.softmax import crossentropy, softmax, softmax_gradient
from minicnn.kernels.cuda.tiles import own_products, precision, set_precision, use_precision
from minicnn.kernels.cuda.training import adam, squared_error
from minicnn.kernels.cuda.transfer import ahead, to_gpu

__all__ = [
    "Recorded", "adam", "add_at", "ahead", "average_pool2d", "average_pool2d_gradient",
    "batch_normalization", "batch_normalization_gradient", "column_sums", "conv2d",
    "conv2d_input_gradient", "conv2d_kernel_gradient", "conv2d_max_pool2d", "crossentropy",
    "erf", "gather", "give_back_memory", "has_tile", "is_lost", "joined",
    "kernel_and_bias_gradient", "matmul", "max_pool2d", "move_statistics", "no_room",
    "normalize_by", "own_products", "pools_in_place", "precision", "ready", "relu_gradient",
    "resize2d", "resize2d_gradient", "scatter", "set_precision", "softmax", "softmax_gradient",
    "squared_error", "to_gpu", "usable", "use_precision",
]  # fmt: skip


def has_tile(dtype: Any) -> bool:
    """Return whether the kernels take numbers of this type.

    >>> has_tile("float32"), has_tile("float16")
    (True, False)
    """
    return np.dtype(dtype) in (np.float32, np.float64)


def pools_in_place(dtype: Any, pool: Geometry) -> bool:
    """Return whether a convolution, its ReLU and its max-pool are better taken together: always.

    The pool reads the convolution's whole result, but nobody keeps that for the way back, where the
    ReLU is asked for after the pool, of fewer numbers.

    >>> pools_in_place("float32", Geometry(6, 4, 3, 2, 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 1))
    True
    """
    return has_tile(dtype)
