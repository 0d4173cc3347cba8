"""A gradient checker: compares backward passes with differences of forward passes.

A fixed cotangent such as all ones is blind to whole families of mistakes: the gradient of the sum
of a softmax or of a batch normalization is zero, so an empty backward pass would go unnoticed.
Cotangents and directions are therefore random.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.autograd.tape import GradientTape
from minicnn.autograd.tensor import Tensor, as_numpy, as_tensor, constant
from minicnn.errors import ArgumentError, MinicnnError

__all__ = ["GradientError", "check_gradients"]

Array = NDArray[Any]
Function = Callable[..., Tensor]


class GradientError(MinicnnError, AssertionError):
    """A backward pass that does not agree with its forward pass."""


def check_gradients(
    function: Function,
    *inputs: Any,
    order: int = 2,
    directions: int = 3,
    step: float = 1e-6,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> None:
    """Check the derivatives of `function` at `inputs` against central differences in float64.

    For a random cotangent v and random directions d, order 1 compares

        <gradient of <v, f(x)>, d>   with   (<v, f(x + h*d)> - <v, f(x - h*d)>) / (2*h)

    and order 2 does the same with the gradient itself in place of f, as a function of x and v.

    Args:
        function: takes tensors, returns one tensor.
        inputs: arrays of any shape; they become float64.
        order: highest order of derivative that is checked, 1 or 2, default 2.
        directions: random directions for each input, default 3.
        step: h above, default 1e-6.
        tolerance: allowed difference, relative to the size of what is compared, default 1e-6.
        seed: of the random numbers, default 0.

    Raises:
        GradientError: a derivative is wrong or missing; names the input and the order.
        ArgumentError: `order` is neither 1 nor 2.

    Source: the checker of HIPS autograd (D. Maclaurin, 2016), with random cotangents.

    >>> from minicnn import ops
    >>> check_gradients(ops.conv2d, np.ones((1, 4, 5, 2)), np.ones((3, 2, 2, 1)))
    """
    if order not in (1, 2):
        raise ArgumentError(f"check_gradients: order={order!r}, but it must be 1 or 2.")
    rng = np.random.default_rng(seed)
    arrays = [np.array(as_numpy(as_tensor(x)), np.float64) for x in inputs]
    _check(function, arrays, "order 1", rng, directions, step, tolerance)
    if order == 2:
        output = function(*[constant(a) for a in arrays])
        cotangent = rng.normal(size=output.shape)
        for i in range(len(arrays)):
            _check(
                _gradient_of(function, i),
                [*arrays, cotangent],
                f"order 2 (of the gradient to input {i})",
                rng,
                directions,
                step,
                tolerance,
            )


def _gradient_of(function: Function, i: int) -> Function:
    """Return the function (inputs, cotangent) -> gradient to input i."""

    def gradient(*arguments: Tensor) -> Tensor:
        *xs, cotangent = arguments
        with GradientTape() as tape:
            tape.watch(list(xs))
            y = function(*xs)
        result = tape.gradient(y, xs[i], cotangent, unconnected_gradients="zero")
        return result

    return gradient


def _check(
    function: Function,
    arrays: list[Array],
    label: str,
    rng: np.random.Generator,
    directions: int,
    step: float,
    tolerance: float,
) -> None:
    tensors = [constant(a) for a in arrays]
    with GradientTape() as tape:
        tape.watch(tensors)
        y = function(*tensors)
    cotangent = rng.normal(size=y.shape)
    gradients = tape.gradient(y, tensors, constant(cotangent), unconnected_gradients="zero")
    for i, (x, gradient) in enumerate(zip(arrays, gradients, strict=True)):
        if gradient.shape != x.shape:
            raise GradientError(
                f"{label}: the gradient to input {i} has shape {gradient.shape}, but the input "
                f"has {x.shape}."
            )
        for _ in range(directions):
            direction = rng.normal(size=x.shape)
            analytic = float(np.vdot(gradient.numpy(), direction))
            above, below = (
                function(
                    *[
                        constant(a + s * direction) if j == i else constant(a)
                        for j, a in enumerate(arrays)
                    ]
                ).numpy()
                for s in (step, -step)
            )
            numeric = float(np.vdot(cotangent, above - below)) / (2 * step)
            # Roundings of the forward pass, divided by the step, bound what can be seen.
            noise = 1e-15 * float(np.abs(cotangent * above).sum()) / step
            scale = max(abs(analytic), abs(numeric), float(np.linalg.norm(gradient.numpy())))
            if not abs(analytic - numeric) <= tolerance * scale + 10 * noise:
                raise GradientError(
                    f"{label}: along a random direction the gradient to input {i} gives "
                    f"{analytic:.8g}, but differences of the function give {numeric:.8g}."
                )
