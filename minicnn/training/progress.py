"""What `fit`, `evaluate` and `predict` show while they work.

On a terminal and in a notebook a live line with steps, time per step and the running figures;
elsewhere (a file, a pipe, CI) one line for each epoch.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from minicnn.errors import ArgumentError
from minicnn.runtime import notice

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


class _Terminal:
    """A live line on a terminal."""

    #: Seconds from one picture to the next: enough for the eye, and no time worth mentioning.
    interval = 0.1

    def __init__(self) -> None:
        # Imported here: `import minicnn` stays light, and so does training without a display.
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            console=Console(file=sys.stdout, highlight=False),
            auto_refresh=False,
            transient=True,
        )
        self._bar.start()
        self._task: Any = None

    def show(self, label: str, done: int, steps: int | None, text: str) -> None:
        if self._task is None:
            self._task = self._bar.add_task(label, total=steps, figures=text)
        self._bar.update(self._task, completed=done, figures=text, refresh=True)

    def end(self, line: str) -> None:
        self._bar.stop()
        # An ordinary line takes the display's place: it may be longer than the screen is wide.
        print(line, flush=True)


class _Notebook:
    """A block of text below a notebook's cell: a line for each finished epoch, and the live one.

    It is one output that is replaced, so the saved notebook holds what it showed last. It needs no
    widgets.
    """

    interval = 0.2
    _BAR = 24

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._output: Any = None

    def show(self, label: str, done: int, steps: int | None, text: str) -> None:
        full = 0 if not steps else self._BAR * min(done, steps) // steps
        bar = f"{'━' * full}{'╌' * (self._BAR - full)} {done}/{steps}" if steps else f"{done}/?"
        self._draw([*self._lines, " ".join(filter(None, [label, bar, text]))])

    def end(self, line: str) -> None:
        self._lines.append(line)
        self._draw(self._lines)

    def _draw(self, lines: list[str]) -> None:
        from IPython import display

        content = {"text/plain": "\n".join(lines)}
        if self._output is None:
            show: Any = display.display
            self._output = show(content, raw=True, display_id=True)
        else:
            self._output.update(content, raw=True)


class _Lines:
    """One line for each epoch, for files and pipes."""

    interval = float("inf")

    def show(self, label: str, done: int, steps: int | None, text: str) -> None:
        pass

    def end(self, line: str) -> None:
        print(line, flush=True)


def _in_notebook() -> bool:
    """Return whether what is printed stands below a notebook's cell."""
    return type(sys.stdout).__module__.startswith("ipykernel.")


class Progress:
    """The display of one `fit`, `evaluate` or `predict`.

    Args:
        verbose: 0 nothing, 1 a live line, 2 one line for each epoch, `"auto"` 1 on a terminal and
            in a notebook and 2 elsewhere.
        epochs: number of epochs, or None where there are none.
    """

    def __init__(self, verbose: Any, epochs: int | None = None) -> None:
        if verbose not in (0, 1, 2, "auto", True, False):
            raise ArgumentError(f"verbose={verbose!r}, but it must be 0, 1, 2 or 'auto'.")
        live = verbose == 1 or (verbose == "auto" and (sys.stdout.isatty() or _in_notebook()))
        self.epochs = epochs
        self._shown = verbose != 0
        self._make: Any = (_Notebook if _in_notebook() else _Terminal) if live else _Lines
        self._display: Any = None
        self._open: Any = None

    def start(self, epoch: int, steps: int | None) -> None:
        """Begin an epoch (from 0) of so many steps."""
        self._began, self._compiled = time.perf_counter(), notice.seconds()
        self._done, self._steps, self._drawn = 0, steps, 0.0
        self._logs: dict[str, Any] = {}
        self._label = "" if self.epochs is None else f"Epoch {epoch + 1}/{self.epochs}"
        if not self._shown:
            return
        if self._display is None or self._make is not _Notebook:
            self._display = self._make()
        if self._make is not _Lines:
            self._open = notice.told_to(self._note)
            self._open.__enter__()
            self._display.show(self._label, 0, steps, "")

    def _note(self, text: str) -> None:
        """Show a sentence in place of the figures until the next step is done."""
        self._display.show(self._label, self._done, self._steps, text.removeprefix("minicnn: "))

    def step(self, logs: dict[str, Any]) -> None:
        """Show the figures after one more step."""
        self._done += 1
        self._logs = logs
        if self._open is not None:
            now = time.perf_counter()
            if now - self._drawn > self._display.interval:
                self._display.show(self._label, self._done, self._steps, self._text(logs))
                self._drawn = now

    def end(self, logs: dict[str, Any]) -> None:
        """Finish the epoch with its last figures."""
        self._finish(" - ".join(filter(None, [self._label, self._text(logs)])))

    def close(self) -> None:
        """Give the screen back, in whatever state the epoch is."""
        if self._open is not None:
            steps = f"step {self._done}" + (f" of {self._steps}" if self._steps else "")
            parts = [self._label, f"stopped at {steps}", self._text(self._logs)]
            self._finish(" - ".join(filter(None, parts)))

    def _finish(self, line: str) -> None:
        if self._open is not None:
            self._display.show(self._label, self._done, self._steps, self._text(self._logs))
            self._open.__exit__(None, None, None)
            self._open = None
        if self._display is not None:
            self._display.end(line)

    def _text(self, logs: dict[str, Any]) -> str:
        spent = time.perf_counter() - self._began
        compiling = notice.seconds() - self._compiled
        # What is compiled is compiled once: the time per step is that of all further steps.
        once = f" ({duration(compiling)} of it compiling)" if compiling > 0.05 * spent else ""
        per_step = f"{duration((spent - compiling) / max(self._done, 1))}/step"
        return " - ".join(filter(None, [f"{duration(spent)}{once}", per_step, figures(logs)]))
