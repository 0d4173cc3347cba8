"""`python -m minicnn.cli` is the command, too."""

from minicnn.cli.commands import main

main()
