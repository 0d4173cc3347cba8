"""Layers that join several inputs of one shape, element by element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import layers
from minicnn.autograd import GradientTape
from minicnn.autograd.tensor import convert_to_tensor
from minicnn.errors import ArgumentError, ShapeError
from minicnn.explain.explanation import Explanation
from minicnn.explain.records.elementwise import elementwise_record
from minicnn.explain.records.limits import Limits
from minicnn.explain.records.panel import Panel
from minicnn.explain.records.record import Record
from minicnn.explain.stages import last_gradient
from minicnn.layers.base import Layer

__all__ = ["MERGING", "explain_merging", "merging_kind"]

#: How the places {0}, {1}, ... of the inputs are joined.
MERGING: dict[type[Layer], str] = {
    layers.Add: " + ",
    layers.Subtract: " - ",
    layers.Multiply: " * ",
    layers.Average: " + ",
    layers.Maximum: "max",
    layers.Minimum: "min",
}


def merging_kind(layer: Layer) -> type[Layer] | None:
    """Return which of `MERGING` a layer is; `a + b` of a drawn network is an `Add`, too."""
    if not isinstance(layer, layers.Operation):
        return type(layer) if type(layer) in MERGING else None
    module, _, name = layer.operation.partition(".")
    kind = getattr(layers, name.capitalize(), None)
    return kind if module == "ops" and kind in MERGING and layer.takes_only_inputs else None


def explain_merging(
    layer: Layer, inputs: Sequence[Any], output_gradients: Any, limits: Limits
) -> Explanation:
    """Return the explanation of a layer such as `Add` on a list of inputs.

    Raises:
        ShapeError: the inputs have not all the same shape.
    """
    if not isinstance(inputs, list | tuple) or len(inputs) < 2:
        raise ArgumentError(
            f"explain: layer {layer.name!r} needs a list of at least two inputs, e.g. [a, b]."
        )
    tensors = [convert_to_tensor(x) for x in inputs]
    shapes = [t.shape for t in tensors]
    if len(set(shapes)) > 1:
        raise ShapeError(
            f"explain: layer {layer.name!r} got shapes {', '.join(map(str, shapes))}; only inputs "
            f"of one shape are explained."
        )
    with GradientTape() as tape:
        for t in tensors:
            tape.watch(t)
        y = layer(tensors)
    dy = last_gradient(layer.name, y, output_gradients)
    found = tape.gradient(y, tensors, output_gradients=convert_to_tensor(dy))
    operands = [
        Panel.of(f"x{i}", "input", np.asarray(t.numpy(), y.dtype)) for i, t in enumerate(tensors)
    ]
    result = Panel.of("y", "output", y.numpy())
    title = f"{layer.name} ({type(layer).__name__})"
    kind = merging_kind(layer) or type(layer)
    records = [_forward(kind, title, operands, result, limits)]
    upstream = Panel.of("dy", "output", dy)
    for i, gradient in enumerate(found):
        records += limits.unless_too_large(
            lambda i=i, gradient=gradient: _gradient(  # type: ignore[misc]
                kind, title, i, [upstream, *operands], np.asarray(gradient), limits
            )
        )
    return Explanation(title, tuple(records), tuple(limits.left_out))


def _joined(kind: type[Layer], places: Sequence[str]) -> str:
    sign = MERGING[kind]
    if sign in ("max", "min"):
        return f"{sign}({', '.join(places)})"
    text = sign.join(places)
    return f"({text}) / {len(places)}" if kind is layers.Average else text


def _forward(
    kind: type[Layer], title: str, operands: list[Panel], result: Panel, limits: Limits
) -> Record:
    template = _joined(kind, [f"{{{i}}}" for i in range(len(operands))])
    letters = template.format(*(f"{p.name}[...]" for p in operands))
    return elementwise_record(title, f"y[...] = {letters}", template, operands, result, limits)


def _gradient(
    kind: type[Layer], title: str, which: int, operands: list[Panel], values: Any, limits: Limits
) -> Record:
    """Return the record of the gradient of one input; the first operand is dy."""
    count = len(operands) - 1
    factors: dict[type[Layer], str] = {
        layers.Add: "",
        layers.Subtract: " * -1" if which else "",
        layers.Average: f" / {count}",
        layers.Multiply: "".join(f" * {{{i + 1}}}" for i in range(count) if i != which),
    }
    factor = factors.get(kind)
    template = f"{{0}}{_share_of_extreme(kind, which, count) if factor is None else factor}"
    used = [i for i in range(len(operands)) if f"{{{i}}}" in template]
    for place, i in enumerate(used):
        template = template.replace(f"{{{i}}}", f"{{{place}}}")
    shown = [operands[i] for i in used]
    return elementwise_record(
        f"{title}, gradient of x{which}",
        f"dx{which}[...] = {template.format(*(f'{p.name}[...]' for p in shown))}",
        template,
        shown,
        Panel.of(f"dx{which}", "input", values),
        limits,
        direction=f"gradient of x{which}",
    )


def _share_of_extreme(kind: type[Layer], which: int, count: int) -> str:
    """Return what dy is multiplied with: 1 where this input wins, the first of equal ones."""
    sign = ">" if kind is layers.Maximum else "<"
    others = (i for i in range(count) if i != which)
    return "".join(
        f" * ({{{which + 1}}} {sign}{'' if i < which else '='} {{{i + 1}}})" for i in others
    )
