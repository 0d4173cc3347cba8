"""What all commands share: where they print, and how errors end them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import typer
from rich.console import Console

from minicnn.errors import MinicnnError

__all__ = ["console", "errors", "told"]

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn the errors that minicnn words into one line and an exit status."""
    try:
        yield
    except MinicnnError as error:
        errors.print(f"error: {error}", style="red", markup=False)
        raise typer.Exit(1) from None
