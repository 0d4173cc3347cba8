"""What `fit`, `evaluate` and `predict` show while they work.

On a terminal a live line with steps, time per step and the running figures; elsewhere (a file, a
pipe, CI) one line for each epoch.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from minicnn.errors import ArgumentError

__all__ = ["Progress", "duration"]


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it.

    >>> duration(0.0123), duration(2.5), duration(75)
    ('12 ms', '2.5 s', '1:15 min')
    """
    if seconds < 1:
        return f"{seconds * 1e3:.{0 if seconds >= 0.01 else 1}f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)}:{int(seconds % 60):02d} min"


def figures(logs: dict[str, Any]) -> str:
    """Return losses and metrics as one text.

    >>> figures({"loss": 0.01234, "accuracy": 0.5})
    'loss: 0.0123 - accuracy: 0.5000'
    """
    parts = []
    for name, figure in logs.items():
        value = float(np.mean(figure))  # a figure of several numbers is shown as their mean
        small = value != 0 and abs(value) < 1e-3
        parts.append(f"{name}: {value:.4e}" if small else f"{name}: {value:.4f}")
    return " - ".join(parts)


class Progress:
    """The display of one `fit`, `evaluate` or `predict`.

    Args:
        verbose: 0 nothing, 1 a live line, 2 one line for each epoch, `"auto"` 1 on a terminal and
            2 elsewhere.
        epochs: number of epochs, or None where there are none.
    """

    def __init__(self, verbose: Any, epochs: int | None = None) -> None:
        if verbose not in (0, 1, 2, "auto", True, False):
            raise ArgumentError(f"verbose={verbose!r}, but it must be 0, 1, 2 or 'auto'.")
        live = sys.stdout.isatty() if verbose == "auto" else verbose == 1
        self.shown = verbose != 0
        self.live = self.shown and live
        self.epochs = epochs
        self._display: Any = None

    def start(self, epoch: int, steps: int | None) -> None:
        """Begin an epoch (from 0) of so many steps."""
        self._began = time.perf_counter()
        self._steps = 0
        self._label = "" if self.epochs is None else f"Epoch {epoch + 1}/{self.epochs}"
        if self.live:
            # Imported here: `import minicnn` stays light, and so does training without a display.
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
            from rich.progress import Progress as RichProgress

            self._display = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[figures]}", markup=False),
                console=Console(file=sys.stdout, highlight=False),
                auto_refresh=False,
                transient=True,
            )
            self._display.start()
            self._task = self._display.add_task(self._label, total=steps, figures="")
            self._drawn = 0.0

    def step(self, logs: dict[str, Any]) -> None:
        """Show the figures after one more step."""
        self._steps += 1
        if self._display is not None:
            now = time.perf_counter()
            # Ten pictures a second are enough for the eye, and cost no time worth mentioning.
            redraw = now - self._drawn > 0.1
            self._display.update(self._task, advance=1, figures=self._text(logs), refresh=redraw)
            if redraw:
                self._drawn = now

    def end(self, logs: dict[str, Any]) -> None:
        """Finish the epoch with its last figures."""
        self.close()
        if self.shown:
            # An ordinary line takes the display's place: it may be longer than the screen is wide.
            print(" - ".join(filter(None, [self._label, self._text(logs)])), flush=True)

    def close(self) -> None:
        """Give the terminal back, in whatever state the epoch is."""
        if self._display is not None:
            self._display.stop()
            self._display = None

    def _text(self, logs: dict[str, Any]) -> str:
        spent = time.perf_counter() - self._began
        per_step = f"{duration(spent / max(self._steps, 1))}/step"
        return " - ".join(filter(None, [duration(spent), per_step, figures(logs)]))
