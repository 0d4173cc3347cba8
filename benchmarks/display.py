"""What the benchmarks show: numbers, verdicts, and how much is done."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from minicnn.errors import OutputError
from minicnn.files import make_folder


def check_folder(parser: argparse.ArgumentParser, file: Path) -> None:
    """Make the folder of a file, or end before minutes are spent on what cannot be stored."""
    try:
        make_folder(file.parent)
    except OutputError as error:
        parser.error(str(error))


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show on a terminal how much of a measurement is done; the block calls what it gets."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    # Drawn only when told: a thread that redraws would take time from what is measured.
    with Progress(
        *columns, console=console, transient=True, auto_refresh=False,
        disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task(what, total=total)

        def advance() -> None:
            bar.advance(task)
            bar.refresh()

        yield advance


def digits(value: float) -> str:
    """Return a number with three digits that count."""
    return f"{value:#.3g}".rstrip(".") if value < 1000 else f"{value:.0f}"


def verdict(target: str, met: bool, clear: bool = True) -> str:
    """Return a target and, in colour, whether it is met."""
    if not clear:
        return f"{target} [yellow]unclear[/]"
    return f"{target} {'[green]    met[/]' if met else '[red] missed[/]'}"
