"""Layers that join inputs of one shape, or an input and numbers, element by element."""

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
from minicnn.explain.stages import check_shown, last_gradient
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
    """Return which of `MERGING` a layer is; `a + b` and `a * 2` of a drawn network are, too."""
    if not isinstance(layer, layers.Operation):
        return type(layer) if type(layer) in MERGING else None
    module, _, name = layer.operation.partition(".")
    kind = getattr(layers, name.capitalize(), None)
    arguments = layer.arguments_in_letters or []
    inputs = [a for a in arguments if a.startswith("{")]
    fits = module == "ops" and kind in MERGING and len(arguments) > 1
    return kind if fits and len(set(inputs)) == len(inputs) else None


def _arguments(layer: Layer, count: int) -> list[str]:
    """Return what is joined: inputs as {0}, {1}, ..., and numbers."""
    given = layer.arguments_in_letters if isinstance(layer, layers.Operation) else None
    return given or [f"{{{i}}}" for i in range(count)]


def explain_merging(
    layer: Layer, inputs: Sequence[Any], output_gradients: Any, limits: Limits
) -> Explanation:
    """Return the explanation of a layer such as `Add` on a list of inputs.

    Raises:
        ShapeError: the inputs have not all the same shape.
    """
    of_network = isinstance(layer, layers.Operation)
    if of_network and not isinstance(inputs, list | tuple):
        inputs = [inputs]
    if not isinstance(inputs, list | tuple) or (len(inputs) < 2 and not of_network):
        raise ArgumentError(
            f"explain: layer {layer.name!r} needs a list of at least two inputs, e.g. [a, b]."
        )
    tensors = [convert_to_tensor(x) for x in inputs]
    shapes = [t.shape for t in tensors]
    check_shown(layer.name, tensors[0].numpy())
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
    found = tape.gradient(y, tensors, output_gradients=dy)
    operands = [
        Panel.of(f"x{i}", "input", np.asarray(t.numpy(), y.dtype)) for i, t in enumerate(tensors)
    ]
    result = Panel.of("y", "output", y.numpy())
    title = f"{layer.name} ({type(layer).__name__})"
    kind, arguments = merging_kind(layer) or type(layer), _arguments(layer, len(tensors))
    records = [_forward(kind, title, arguments, operands, result, limits)]
    upstream = Panel.of("dy", "output", dy)
    for i, gradient in enumerate(found):
        records += limits.unless_too_large(
            lambda i=i, gradient=gradient: _gradient(  # type: ignore[misc]
                kind, title, i, arguments, [upstream, *operands], np.asarray(gradient), limits
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
    kind: type[Layer],
    title: str,
    arguments: list[str],
    operands: list[Panel],
    result: Panel,
    limits: Limits,
) -> Record:
    template = _joined(kind, [_bracketed(a) for a in arguments])
    letters = template.format(*(f"{p.name}[...]" for p in operands))
    return elementwise_record(title, f"y[...] = {letters}", template, operands, result, limits)


def _bracketed(argument: str) -> str:
    return f"({argument})" if argument.startswith("-") else argument


def _gradient(
    kind: type[Layer],
    title: str,
    which: int,
    arguments: list[str],
    operands: list[Panel],
    values: Any,
    limits: Limits,
) -> Record:
    """Return the record of the gradient of one input; the first operand is dy."""
    place = arguments.index(f"{{{which}}}")
    # Behind dy, each input has the next number.
    later = [f"{{{int(a[1:-1]) + 1}}}" if a.startswith("{") else _bracketed(a) for a in arguments]
    others = [a for i, a in enumerate(later) if i != place]
    factors: dict[type[Layer], str] = {
        layers.Add: "",
        layers.Subtract: " * -1" if place else "",
        layers.Average: f" / {len(arguments)}",
        layers.Multiply: "".join(f" * {a}" for a in others),
    }
    factor = factors.get(kind)
    template = f"{{0}}{_share_of_extreme(kind, place, later) if factor is None else factor}"
    used = [i for i in range(len(operands)) if f"{{{i}}}" in template]
    for new, old in enumerate(used):
        template = template.replace(f"{{{old}}}", f"{{{new}}}")
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


def _share_of_extreme(kind: type[Layer], place: int, arguments: list[str]) -> str:
    """Return what dy is multiplied with: 1 where this input wins, the first of equal ones."""
    sign = ">" if kind is layers.Maximum else "<"
    return "".join(
        f" * ({arguments[place]} {sign}{'' if i < place else '='} {other})"
        for i, other in enumerate(arguments)
        if i != place
    )
