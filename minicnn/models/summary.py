"""The table of a model's layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any, NamedTuple

from minicnn.errors import ArgumentError
from minicnn.layers.base import Layer

__all__ = ["summary_text"]


def _shape(outputs: list[Any]) -> str:
    return ", ".join(str(tuple(x.shape)) for x in outputs)


class Row(NamedTuple):
    """One line of the table: a call of a layer, or a layer of a network that is not drawn up."""

    layer: Layer
    shape: str
    parameters: int
    source: str
    depth: int


def _rows(model: Any, expand_nested: bool = False, depth: int = 0) -> Iterator[Row]:
    """Yield a row for each call, those inside models after these if asked."""
    for layer, shape, parameters, source in _own_rows(model):
        yield Row(layer, shape, parameters, source, depth)
        if expand_nested and hasattr(layer, "graph"):
            yield from _rows(layer, expand_nested, depth + 1)


def _own_rows(model: Any) -> Iterator[tuple[Layer, str, int, str]]:
    if model.graph is None:
        yield from ((x, "?", x.count_params(), "") for x in model.sublayers)
        return
    seen: set[int] = set()
    calls = [*(x.call for x in model.graph.inputs), *model.graph.calls]
    for call in sorted(calls, key=lambda c: c.number):
        layer: Layer = call.layer
        again = id(layer) in seen
        seen.add(id(layer))
        parameters = 0 if again else layer.count_params()
        source = ", ".join(x.name for x in call.input_list)
        yield layer, _shape(call.outputs), parameters, source


def _between(model: Any, rows: list[Row], layer_range: Sequence[str] | None) -> list[Row]:
    """Return the rows from the first to the last of two names."""
    if layer_range is None:
        return rows
    names = [row.layer.name for row in rows]
    if len(layer_range) != 2 or any(name not in names for name in layer_range):
        raise ArgumentError(
            f"{model.name}: summary got layer_range={list(layer_range)!r}, but it must be the "
            f"names of two layers among {', '.join(map(repr, names))}."
        )
    first, last = (names.index(name) for name in layer_range)
    return rows[first : last + 1]


def _trained(layer: Layer) -> str:
    return "-" if not layer.weights else "yes" if layer.trainable else "no"


def _is_chain(model: Any) -> bool:
    """Return whether every layer is called once, on the result of the one before."""
    if model.graph is None:
        return True
    before = model.graph.inputs
    for call in model.graph.calls:
        if call.input_list != list(before):
            return False
        before = call.outputs
    return True


def summary_text(
    model: Any,
    width: int = 88,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> str:
    """Return the table of a model's layers with shapes and numbers of parameters."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f'Model: "{model.name}"', title_justify="left", box=box.ROUNDED)
    table.add_column("Layer (type)", overflow="fold")
    table.add_column("Output shape")
    table.add_column("Parameters", justify="right")
    chain = _is_chain(model)
    if not chain:
        table.add_column("Connected to", overflow="fold")
    if show_trainable:
        table.add_column("Trained")
    for row in _between(model, list(_rows(model, expand_nested)), layer_range):
        name = f"{'  ' * row.depth}{row.layer.name} ({type(row.layer).__name__})"
        cells = [name, row.shape, f"{row.parameters:,}", *([] if chain else [row.source])]
        table.add_row(*cells, *([_trained(row.layer)] if show_trainable else []))
    # Plain text, whatever the environment says of colours: the table may go into a file.
    console = Console(file=StringIO(), width=width, highlight=False, force_terminal=False)
    console.print(table, markup=False)
    trained = sum(w.size for w in model.trainable_weights)
    total = model.count_params()
    console.print(
        f"Parameters: {total:,} ({trained:,} trainable, {total - trained:,} not trainable)"
    )
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text
