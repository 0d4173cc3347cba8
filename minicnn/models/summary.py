"""The table of a model's layers."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

from minicnn.layers.base import Layer

__all__ = ["summary_text"]


def _shape(outputs: list[Any]) -> str:
    return ", ".join(str(tuple(x.shape)) for x in outputs)


def _rows(model: Any) -> list[tuple[str, str, int, str]]:
    """Return (layer, output shape, parameters, where its input comes from) of each call."""
    if model.graph is None:
        return [
            (f"{x.name} ({type(x).__name__})", "?", x.count_params(), "") for x in model.sublayers
        ]
    rows = []
    seen: set[int] = set()
    calls = [*(x.call for x in model.graph.inputs), *model.graph.calls]
    for call in sorted(calls, key=lambda c: c.number):
        layer: Layer = call.layer
        again = id(layer) in seen
        seen.add(id(layer))
        rows.append(
            (
                f"{layer.name} ({type(layer).__name__})",
                _shape(call.outputs),
                0 if again else layer.count_params(),
                ", ".join(x.name for x in call.input_list),
            )
        )
    return rows


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


def summary_text(model: Any, width: int = 88) -> str:
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
    for layer, shape, parameters, source in _rows(model):
        cells = [layer, shape, f"{parameters:,}"]
        table.add_row(*(cells if chain else [*cells, source]))
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


def print_summary(model: Any, print_fn: Callable[[str], Any] | None) -> None:
    """Print the table, or hand it to `print_fn`."""
    (print_fn or print)(summary_text(model).rstrip("\n"))
