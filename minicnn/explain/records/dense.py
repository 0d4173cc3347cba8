"""Records of dense layers and of what only moves numbers: flatten, padding, cropping."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import ops
from minicnn.explain.records.convolution import MEANINGS, bias_record
from minicnn.explain.records.limits import Limits
from minicnn.explain.records.panel import Panel
from minicnn.explain.records.record import Product, Record, make_record
from minicnn.explain.records.steps import Step
from minicnn.explain.records.windows import elements, inside

__all__ = ["dense", "dense_records", "flatten", "moved_records"]

Array = NDArray[Any]


def dense(x: Any, kernel: Any, bias: Any = None) -> Any:
    """Return x (N,D) times kernel (D,U) plus bias (U,)."""
    y = ops.matmul(x, kernel)
    return y if bias is None else y + bias


def flatten(x: Any) -> Any:
    """Return x (N,...) as (N,K): each sample's numbers in a row, the last axis fastest."""
    return ops.reshape(x, (x.shape[0], -1))


def dense_records(
    name: str, step: Step, kernel: Array, bias: Array | None, limits: Limits
) -> Iterator[Record]:
    """Yield the records of a dense layer: forward, and the gradients of x, kernel and bias.

    Args:
        name: the operation, for titles.
        step: x (N,D) and y (N,U).
        kernel: (D,U).
        bias: (U,) or None.
        limits: what part is shown.
    """
    samples, entries = step.x.shape
    units = kernel.shape[1]
    ranges = {"n": range(samples), "d": range(entries), "u": range(units)}
    dy = Panel.of("dy", "output", step.dy)
    x, k = Panel.of("x", "input", step.x), Panel.of("kernel", "kernel", kernel)
    dk = Panel.of("dkernel", "kernel", np.zeros_like(kernel))
    dx = Panel.of("dx", "input", np.zeros_like(step.x))

    def record(direction: str, summed: str, operands: list[Panel], result: Panel) -> Record:
        title = name if direction == "forward" else f"{name}, {direction}"
        block = limits.block(title, result, len(ranges[summed]))
        letters = {"x": "nd", "kernel": "du", "y": "nu"}
        names = [panel.name.removeprefix("d") for panel in (result, *operands)]
        free = letters[names[0]]

        def products() -> Iterator[Product]:
            for place in elements(result.shape, block):
                for i in ranges[summed]:
                    at = {**dict(zip(free, place, strict=True)), summed: i}
                    first, second = (tuple(at[axis] for axis in letters[n]) for n in names[1:])
                    yield place, (first, second), 1.0

        first, second = (
            f"{p.name}[{','.join(letters[n])}]" for p, n in zip(operands, names[1:], strict=True)
        )
        has_bias = direction == "forward" and bias is not None
        return make_record(
            title,
            f"{result.name}[{','.join(free)}] = sum over {summed} of {first} * {second}"
            + (" + bias[u]" if has_bias else ""),
            [
                *limits.notes(result, block),
                *([MEANINGS[direction]] if direction in MEANINGS else []),
            ],
            [*operands, *([Panel.of("bias", "other", bias)] if has_bias else [])],
            result,
            products(),
            bias=(2, 1) if has_bias else None,
            window=block,
            choice={"direction": direction},
        ).filled()

    yield record("forward", "d", [x, k], Panel.of("y", "output", step.y))
    yield from limits.unless_too_large(lambda: record("gradient of x", "u", [dy, k], dx))
    yield from limits.unless_too_large(lambda: record("gradient of kernel", "n", [x, dy], dk))
    if bias is not None:
        choice = {"direction": "gradient of bias"}
        yield from limits.unless_too_large(
            lambda: bias_record(name, step.dy, limits, choice, letter="u", whose="unit")
        )


def moved_records(
    name: str,
    formula: str,
    step: Step,
    limits: Limits,
    source: Callable[[tuple[int, ...]], tuple[int, ...] | None],
    note: str,
) -> Iterator[Record]:
    """Yield the records of an operation whose every result is one of its inputs, or zero.

    Args:
        name: the operation, for titles.
        formula: the definition in letters.
        step: the numbers, of any shapes.
        limits: what part is shown.
        source: from an index of y to the index of the x that stands there; None for a zero.
        note: what happens, in a sentence.
    """
    x, y = Panel.of("x", "input", step.x), Panel.of("y", "output", step.y)
    block = limits.block(name, y, 1)

    def forward() -> Iterator[Product]:
        for at in elements(y.shape, block):
            found = source(at)
            if found is not None:
                yield at, (found,), 1.0

    yield make_record(
        name,
        formula,
        [*limits.notes(y, block), note],
        [x],
        y,
        forward(),
        window=block,
        choice={"direction": "forward"},
    )

    def gradient() -> Record:
        dx = Panel.of("dx", "input", step.dx)
        block = limits.block(f"{name}, gradient of x", dx, 1)
        pairs = ((source(at), at) for at in np.ndindex(*y.shape))
        return make_record(
            f"{name}, gradient of x",
            "dx at its place = dy where that number went",
            [*limits.notes(dx, block), "Each dy goes back to where its number came from."],
            [Panel.of("dy", "output", step.dy)],
            dx,
            (
                (found, (at,), 1.0)
                for found, at in pairs
                if found is not None and inside(found, block)
            ),
            window=block,
            choice={"direction": "gradient of x"},
        )

    yield from limits.unless_too_large(gradient)
