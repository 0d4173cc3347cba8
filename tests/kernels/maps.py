"""Arguments for every map of `minicnn.kernels`, so that one test can ask the same of all."""

import numpy as np

from minicnn.geometry import Resize, conv2d_geometry
from minicnn.kernels import MAPS, backend_module
from tests.strategies import Case

#: Everything differs between the axes, some windows lie on padding only, and rows are left over.
AWKWARD = conv2d_geometry((7, 10), (3, 2), (2, 3), ((0, 5), (3, 1)), (2, 3))
GROUPED = AWKWARD._replace(groups=3)
RESIZE = Resize(3, 5, 7, 4)


def run(backend, name, arguments):
    """Return the results of a map as a list of arrays."""
    result = getattr(backend_module(backend), name)(*arguments)
    return list(result) if isinstance(result, tuple) else [result]


def places(case):
    """Return places in the image for `scatter` and `gather`; some are -1, which is nowhere."""
    g = case.geometry
    rng = np.random.default_rng((case.seed, 5))
    return rng.integers(-1, g.in_height * g.in_width, case.pooled_shape, np.int32)


def arguments(name, case, dtype="float64", size=RESIZE, interpolation="bilinear"):
    """Return the arguments of one map for a case."""
    g = case.geometry
    small = Case(g._replace(in_height=size.in_height, in_width=size.in_width), *case[1:])
    large = Case(g._replace(in_height=size.out_height, in_width=size.out_width), *case[1:])
    return {
        "conv2d": lambda: (case.image(dtype), case.kernel(dtype), g),
        "conv2d_input_gradient": lambda: (case.output(dtype), case.kernel(dtype), g),
        "conv2d_kernel_gradient": lambda: (case.image(dtype), case.output(dtype), g),
        "max_pool2d": lambda: (case.image(dtype), g),
        "scatter": lambda: (case.pooled(dtype), places(case), g),
        "gather": lambda: (case.image(dtype), places(case), g),
        "average_pool2d": lambda: (case.image(dtype), g),
        "average_pool2d_gradient": lambda: (case.pooled(dtype), g),
        "resize2d": lambda: (small.image(dtype), size, interpolation),
        "resize2d_gradient": lambda: (large.image(dtype), size, interpolation),
    }[name]()


def shapes(name, case, size=RESIZE):
    """Return the shapes that a map's results must have."""
    batch, channels = case.batch, case.channels
    return {
        "conv2d": [case.output_shape],
        "conv2d_input_gradient": [case.image_shape],
        "conv2d_kernel_gradient": [case.kernel_shape],
        "max_pool2d": [case.pooled_shape] * 2,
        "scatter": [case.image_shape],
        "gather": [case.pooled_shape],
        "average_pool2d": [case.pooled_shape],
        "average_pool2d_gradient": [case.image_shape],
        "resize2d": [(batch, size.out_height, size.out_width, channels)],
        "resize2d_gradient": [(batch, size.in_height, size.in_width, channels)],
    }[name]


def groups_of(name):
    """Return the geometry to ask a map with: convolutions in three groups, the rest in one."""
    return GROUPED if name.startswith("conv2d") else AWKWARD


__all__ = ["AWKWARD", "GROUPED", "MAPS", "RESIZE", "arguments", "groups_of", "run", "shapes"]
