"""Records of pooling and resizing, and of their gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.explain.records.limits import Limits
from minicnn.explain.records.panel import Panel
from minicnn.explain.records.record import Product, Record, make_record
from minicnn.explain.records.steps import Step
from minicnn.explain.records.windows import around, elements, inside, padded, windows_at
from minicnn.explain.records.words import convolution_notes
from minicnn.geometry import Geometry, Resize, resize_taps
from minicnn.kernels import backend, loops

__all__ = ["pooling_records", "resize_records"]

Array = NDArray[Any]
FORWARD, OF_X = {"direction": "forward"}, {"direction": "gradient of x"}

_FORMULAS = {
    "max": "y[n,oh,ow,c] = max over i,j of x[n, oh*S - P + i, ow*S - P + j, c]",
    "mean": "y[n,oh,ow,c] = mean over i,j of x[n, oh*S - P + i, ow*S - P + j, c]",
}


def pooling_records(
    name: str, step: Step, g: Geometry, form: str, limits: Limits
) -> Iterator[Record]:
    """Yield the records of a pooling: forward, and the gradient of x.

    Args:
        name: the operation, for titles.
        step: images (N,H,W,C) and their pool (N,OH,OW,C).
        g: the windows.
        form: `"max"` or `"mean"`.
        limits: what part is shown.
    """
    x, y, dy = step.x, step.y, step.dy
    large = padded(g)
    fill = -np.inf if form == "max" else 0.0
    operand = Panel.of("x", "input", x, padding=around(g), outside="padding", fill=fill)
    result = Panel.of("y", "output", y)
    block = limits.block(name, result, g.kernel_height * g.kernel_width)

    def products() -> Iterator[Product]:
        for n, oh, ow, c in elements(y.shape, block):
            for _, _, h, w in loops.window(large, oh, ow):
                yield (n, oh, ow, c), ((n, h, w, c),), 1.0

    padding = "Padding with minus infinity" if form == "max" else "Padding, which is not counted"
    yield make_record(
        name,
        _FORMULAS[form],
        [*limits.notes(result, block), *convolution_notes(g, padding)],
        [operand],
        result,
        products(),
        form=form,
        window=block,
        choice=FORWARD,
    )
    make = _max_gradient if form == "max" else _mean_gradient
    yield from limits.unless_too_large(lambda: make(name, x, dy, g, limits))


def _gradient(
    name: str, formula: str, note: str, x: Array, dy: Array, block: Any, limits: Limits, made: Any
) -> Record:
    """Return the record of a gradient of x whose products are given."""
    result = Panel.of("dx", "input", np.zeros_like(x))
    return make_record(
        f"{name}, gradient of x",
        formula,
        [*limits.notes(result, block), note],
        [Panel.of("dy", "output", dy)],
        result,
        made,
        window=block,
        choice=OF_X,
    ).filled()


def _max_gradient(name: str, x: Array, dy: Array, g: Geometry, limits: Limits) -> Record:
    """Return the record of the gradient of max-pooling: dy goes where the maximum stood."""
    where = backend(x.size, x).max_pool2d(x, g)[1]
    result = Panel.of("dx", "input", x)
    block = limits.block(f"{name}, gradient of x", result, -(-dy.size // x.size))

    def products() -> Iterator[Product]:
        for n, oh, ow, c in windows_at(dy.shape, padded(g), _shifted(block, g)):
            place = int(where[n, oh, ow, c])
            at = (n, place // g.in_width, place % g.in_width, c)
            if place >= 0 and inside(at, block):
                yield at, ((n, oh, ow, c),), 1.0

    return _gradient(
        name,
        "dx[n,h,w,c] = sum of dy over the windows whose first maximum is x[n,h,w,c]",
        "Each window hands its dy to its maximum, of equal ones to the first, and nothing to the "
        "others.",
        *(x, dy, block, limits, products()),
    )


def _mean_gradient(name: str, x: Array, dy: Array, g: Geometry, limits: Limits) -> Record:
    """Return the record of the gradient of average-pooling: dy shared among the window."""
    result = Panel.of("dx", "input", x)
    overlap = -(-g.kernel_height // g.stride_height) * -(-g.kernel_width // g.stride_width)
    block = limits.block(f"{name}, gradient of x", result, overlap)

    def products() -> Iterator[Product]:
        for n, oh, ow, c in windows_at(dy.shape, padded(g), _shifted(block, g)):
            members = [(n, h, w, c) for _, _, h, w in loops.window(g, oh, ow)]
            for at in members:
                if inside(at, block):
                    yield at, ((n, oh, ow, c),), 1 / len(members)

    return _gradient(
        name,
        "dx[n,h,w,c] = sum of dy / (size of the window) over the windows that hold x[n,h,w,c]",
        "Each window shares its dy equally among its pixels; padding gets nothing.",
        *(x, dy, block, limits, products()),
    )


def _shifted(block: Any, g: Geometry) -> Any:
    """Return a block of the image as a block of the padded image."""
    if block is None:
        return None
    n, h, w, c = block
    down, right = g.pad_top, g.pad_left
    return (n, slice(h.start + down, h.stop + down), slice(w.start + right, w.stop + right), c)


def resize_records(name: str, step: Step, interpolation: str, limits: Limits) -> Iterator[Record]:
    """Yield the records of a resizing: forward, and the gradient of x.

    Args:
        name: the operation, for titles.
        step: images (N,H,W,C) and the resized ones (N,OH,OW,C).
        interpolation: `"nearest"` or `"bilinear"`.
        limits: what part is shown.
    """
    x, y, dy = step.x, step.y, step.dy
    sizes = Resize(*x.shape[1:3], *y.shape[1:3])
    taps = 1 if interpolation == "nearest" else 4
    result = Panel.of("y", "output", y)
    block = limits.block(name, result, taps)
    notes = [
        f"{axis.capitalize()}: {out} from {n}, factor {out / n:g}; output pixel o looks at input "
        f"position (o + 1/2)*{n}/{out} - 1/2."
        for axis, n, out in (
            ("height", sizes.in_height, sizes.out_height),
            ("width", sizes.in_width, sizes.out_width),
        )
    ]
    if interpolation == "bilinear":
        notes.append("Each pixel is mixed of its nearest two rows and columns by their distances.")
        formula = "y[n,oh,ow,c] = sum over the nearest h,w of x[n,h,w,c] * share(h) * share(w)"
    else:
        formula = "y[n,oh,ow,c] = x[n,h,w,c] of the pixel whose centre is nearest"

    rows = resize_taps(sizes.in_height, sizes.out_height, interpolation)
    columns = resize_taps(sizes.in_width, sizes.out_width, interpolation)

    def products() -> Iterator[Product]:
        for n, oh, ow, c in elements(y.shape, block):
            for h, w, share in loops.mixture(rows[oh], columns[ow]):
                yield (n, oh, ow, c), ((n, h, w, c),), share

    yield make_record(
        name,
        formula,
        [*limits.notes(result, block), *notes],
        [Panel.of("x", "input", x)],
        result,
        products(),
        window=block,
        choice=FORWARD,
    )
    yield from limits.unless_too_large(
        lambda: _resize_gradient(name, x, dy, sizes, interpolation, limits)
    )


def _resize_gradient(
    name: str, x: Array, dy: Array, sizes: Resize, interpolation: str, limits: Limits
) -> Record:
    """Return the record of the gradient of a resizing: each dy goes back in the same shares."""
    result = Panel.of("dx", "input", x)
    block = limits.block(f"{name}, gradient of x", result, -(-4 * dy.size // x.size))

    def products() -> Iterator[Product]:
        for oh, ow, h, w, share in loops.mixtures(sizes, interpolation):
            for n, c in np.ndindex(x.shape[0], x.shape[3]):
                if inside((n, h, w, c), block):
                    yield (n, h, w, c), ((n, oh, ow, c),), share

    return _gradient(
        name,
        "dx[n,h,w,c] = sum of dy[n,oh,ow,c] * share over the outputs that x[n,h,w,c] entered",
        "Each output hands its dy back to the pixels that it was mixed from, in the same shares.",
        *(x, dy, block, limits, products()),
    )
