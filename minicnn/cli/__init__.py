"""The `minicnn` command."""

from minicnn.cli.commands import app, main

__all__ = ["app", "main"]
