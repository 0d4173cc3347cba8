"""Softmax and the crossentropies of classes, each in one kernel."""

from __future__ import annotations

from collections.abc import Sequence

from minicnn.kernels.cuda.device import THREADS, Array, checked, empty, program

__all__ = ["crossentropy", "softmax", "softmax_gradient"]


def _over_rows(name: str, arrays: Sequence[Array | None], *numbers: int | float) -> None:
    """Start a kernel whose blocks have some rows each of the first array (...,C)."""
    x = arrays[0]
    if x is None or x.size == 0:
        return
    kernels = program("softmax", x, THREADS=THREADS)
    classes, lanes = x.shape[-1], 1
    while lanes < min(classes, THREADS):
        lanes *= 2
    rows, block = x.size // classes, (lanes, THREADS // lanes)
    further = (n if isinstance(n, int) else kernels.number(n) for n in numbers)
    grid = (-(-rows // block[1]),)
    kernels.launch(name, grid, block, *arrays, kernels.offset(rows), classes, *further)


def softmax(x: Array, logarithm: bool) -> Array:
    """Return e**x divided by its sum over the last axis, or the logarithm of that; x (...,C)."""
    (x,) = checked("softmax", x=(x, x.shape))
    y = empty("softmax", x.shape, x.dtype)
    _over_rows("softmax", (x, y), int(logarithm))
    return y


def softmax_gradient(dy: Array, y: Array, logarithm: bool) -> Array:
    """Return the gradient by x of `softmax`, from that by its result y, and y (...,C)."""
    where = "softmax_gradient"
    dy, y = checked(where, dy=(dy, y.shape), y=(y, y.shape))
    dx = empty(where, y.shape, y.dtype)
    _over_rows(where, (dy, y, dx), int(logarithm))
    return dx


def crossentropy(
    x: Array, truth: Array | None, numbers: Array | None, bounds: tuple[float, float] | None
) -> tuple[Array, Array]:
    """Return the crossentropy of each row (...), and its gradient by x (...,C).

    loss = -sum of t * log(p), with p = softmax(x), or p = x / sum(x) kept within bounds

    Args:
        x: one number for each class, (...,C).
        truth: the share t of each class, (...,C), or None:
        numbers: of the only true class, (...) of x's type. Where there is no such class, the loss
            is NaN.
        bounds: of p, where x holds probabilities; None where they are softmax(x).
    """
    where, places = "crossentropy", x.shape[:-1]
    x, truth, numbers = checked(
        where, x=(x, x.shape), truth=(truth, x.shape), numbers=(numbers, places)
    )
    losses, slopes = empty(where, places, x.dtype), empty(where, x.shape, x.dtype)
    name = "crossentropy_of_logits" if bounds is None else "crossentropy_of_shares"
    _over_rows(name, (x, truth, numbers, losses, slopes), *(bounds or ()))
    return losses, slopes
