"""What a training was like: losses and metrics of every epoch, as a table and as curves."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TRAINING", "VALIDATION", "draw_history", "history_html", "history_text"]

#: Losses and metrics of every epoch, by name.
Figures = Mapping[str, Sequence[Any]]

#: One colour for what is learned from, one for what is tested on; the same in all pictures.
TRAINING, VALIDATION = "#1f5fa8", "#c8541a"

#: So many epochs are shown one by one in a table; of more, so many evenly spread ones.
ROWS = 12

#: Figures that are drawn beside each other at the most.
_CURVES = 4

#: Up to so many epochs, each has its dot.
_DOTS = 30


def history_text(epochs: Sequence[int], history: Figures) -> str:
    """Return the figures of a training as a table.

    Args:
        epochs: their numbers, from 0.
        history: the figures of every epoch by name, as in `History.history`.

    >>> print(history_text([0, 1], {"loss": [0.5, 0.25], "val_loss": [0.75, 0.625]}))
    epoch    loss  val_loss
        1  0.5000    0.7500
        2  0.2500    0.6250
    """
    if not epochs:
        return "<History of no epochs>"
    rows = _table(epochs, history)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def history_html(epochs: Sequence[int], history: Figures) -> str:
    """Return the table and the curves of a training as part of a page.

    Args:
        epochs: their numbers, from 0.
        history: the figures of every epoch by name, as in `History.history`.
    """
    if not epochs:
        return html.escape(history_text(epochs, history))
    names, *rows = _table(epochs, history)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in rows)
    left_out = len(epochs) - len(rows)
    note = f"<p>{left_out} more epochs lie between these.</p>" if left_out else ""
    curves = _svg(draw_history(history)) if history else ""
    return f"<table><tr>{head}</tr>{body}</table>{note}{curves}"


def _table(epochs: Sequence[int], history: Figures) -> list[list[str]]:
    """Return the table's rows, the names first; of many epochs a part, the last among them."""
    count = len(epochs)
    places = np.unique(np.linspace(0, count - 1, min(count, ROWS)).round().astype(int))
    rows = [["epoch", *history]]
    for place in places:
        # What is measured in some epochs only, as by `validation_freq`, has no place in a row.
        cells = [_digits(v[place]) if len(v) == count else "" for v in history.values()]
        rows.append([str(epochs[place] + 1), *cells])
    return rows


def draw_history(history: Figures, labels: Mapping[str, str] | None = None) -> Figure:
    """Return the curves of a training's figures over its epochs, those of validation beside.

    Args:
        history: the figures of every epoch by name, as in `History.history`.
        labels: which of them are drawn and what stands at their axes; default the first four
            under their own names.

    >>> figure = draw_history({"loss": [0.5, 0.25], "val_loss": [0.75, 0.625]})
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['training', 'validation']
    """
    from matplotlib.figure import Figure

    if labels is None:
        own = [name for name in history if name.removeprefix("val_") not in {*history} - {name}]
        # The loss stands first, whatever the order of the alphabet.
        labels = {name: name for name in sorted(own, key=lambda n: n != "loss")[:_CURVES]}
    shown = [name for name in labels if name in history]
    width = min(4.2 * len(shown), 12.6) if len(shown) > 1 else 5.2
    figure = Figure((width, 3.2), dpi=110, layout="constrained")
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(shown))), shown, strict=True):
        for key, colour, marker, label in (
            (name, TRAINING, "o", "training"),
            (f"val_{name}", VALIDATION, "s", "validation"),
        ):
            values = [float(np.mean(value)) for value in history.get(key, ())]
            if values:
                # What is measured every second epoch, say, ends where the epochs end.
                last = len(history[name])
                epochs = np.linspace(last / len(values), last, len(values))
                dot = marker if last <= _DOTS else ""
                axes.plot(epochs, values, color=colour, marker=dot, ms=3, label=label)
                if name == "loss" and min(values) > 0:
                    axes.set_yscale("log")
        axes.set_xlabel("epoch")
        axes.set_ylabel(labels[name])
        axes.grid(alpha=0.3, which="both", lw=0.5)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
    return figure


def _digits(value: Any) -> str:
    """Return a figure with four digits that count; of several numbers their mean."""
    number = float(np.mean(value))
    return f"{number:.4f}" if number == 0 or abs(number) >= 1e-3 else f"{number:.4e}"


def _svg(figure: Figure) -> str:
    """Return a figure as an element of a page, with its letters as text."""
    from matplotlib import rc_context

    content = StringIO()
    with rc_context({"svg.fonttype": "none"}):
        figure.savefig(content, format="svg", facecolor="white", metadata={"Date": None})
    text = content.getvalue()
    return text[text.index("<svg") :]
