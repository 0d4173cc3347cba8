"""Kernels that a second process compiles while the first one does something else."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from subprocess import DEVNULL, Popen

import numpy as np

from minicnn.geometry import conv2d_geometry
from minicnn.kernels.compiled import microkernel, normalization, pooling, training
from minicnn.kernels.compiled.compiling import kept_in
from minicnn.runtime.threads import cores


@contextlib.contextmanager
def compiled_ahead() -> Iterator[None]:
    """Let a second process compile, in a `with` block, what a training needs later.

    Numba compiles with one thread. Both processes find on disk what the other has compiled; where
    nothing can be kept there, something is kept already, or there is but one core, nothing happens.
    """
    folder = kept_in()
    if folder is None or cores() == 1 or any(folder.glob("*.nbi")):
        yield
        return
    call = f"from {__name__} import compile_late_kernels as late; late()"
    with Popen([sys.executable, "-c", call], stdout=DEVNULL, stderr=DEVNULL) as other:
        try:
            yield
        finally:
            other.kill()


def compile_late_kernels() -> None:
    """Compile for float32 the micro-kernels, and what follows a convolution, forwards and back."""
    microkernel.micro_kernels(np.dtype(np.float32))
    x, one = np.ones((1, 2, 2, 1), np.float32), np.ones(1, np.float32)
    y, mean, variance = normalization.batch_normalization(x, one, one, 1e-3, True)
    pool = conv2d_geometry((2, 2), (2, 2), strides=2)
    pooled = pooling.max_pool2d(y, pool)
    training.squared_error(x, y)
    normalization.batch_normalization_gradient(x, y, x, one, mean, variance, 1e-3)
    pooling.scatter(*pooled, pool)
    training.adam(one, one, one, one, 0.1, 0.1, 0.1, 0.1)
