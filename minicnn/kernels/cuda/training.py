"""The two ends of a training step, each in one pass: the squared error, and Adam's update."""

from __future__ import annotations

from minicnn.kernels.cuda.device import THREADS, Array, checked, cupy, empty, program

__all__ = ["adam", "squared_error"]

#: Numbers whose squares one block adds up.
LENGTH = 1 << 13


def squared_error(prediction: Array, truth: Array) -> tuple[Array, Array]:
    """Return the mean of (prediction - truth)**2 and its gradient by the prediction."""
    shape = prediction.shape
    p, t = checked("squared_error", prediction=(prediction, shape), truth=(truth, shape))
    gradient, mean = (empty("squared_error", s, p.dtype) for s in (shape, ()))
    kernels = program("training", p, THREADS=THREADS)
    blocks = -(-p.size // LENGTH)
    parts = empty("squared_error", (blocks,), p.dtype)
    sizes = kernels.offset(p.size), kernels.offset(LENGTH)
    factor = kernels.number(2 / p.size)
    kernels.launch("squared_error", (blocks,), (THREADS,), p, t, gradient, parts, *sizes, factor)
    kernels.launch("mean_of_parts", (1,), (THREADS,), parts, mean, blocks, float(p.size))
    return mean, gradient


def adam(
    weight: Array, gradient: Array, mean: Array, square: Array, rest_1: float, rest_2: float,
    rate: float, epsilon: float,
) -> Array:  # fmt: skip
    """Return the new weights, and bring the running means of gradient and square up to date.

    m += rest_1 * (g - m);  v += rest_2 * (g**2 - v);  w - rate * m / (sqrt(v) + epsilon)
    """
    shape = weight.shape
    arrays = checked(
        "adam", weight=(weight, shape), gradient=(gradient, shape), mean=(mean, shape),
        square=(square, shape),
    )  # fmt: skip
    new = empty("adam", shape, weight.dtype)
    kernels = program("training", weight, THREADS=THREADS)
    numbers = map(kernels.number, (rest_1, rest_2, rate, epsilon))
    kernels.over("adam", new.size, *arrays, new, kernels.offset(new.size), *numbers)
    for array, result in zip((mean, square), arrays[2:], strict=True):
        if array is not result:  # it lay in another order, so a copy was changed
            cupy().copyto(array, result)
    return new
