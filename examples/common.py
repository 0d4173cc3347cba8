"""What the examples share: their options, where results go, and figures as they are printed."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from minicnn import config
from minicnn.applications.figures import save_figure
from minicnn.errors import DataError
from minicnn.files import make_folder

T = TypeVar("T")


class Example:
    """The options of an example: where its data are, how long to train, where results go.

    Args:
        doc: the example's docstring; its first line says in the help what it does.
        name: the folder of results, in `runs/`.
        epochs: how long to train unless told otherwise, or None if epochs are not asked for.
        options: adds the example's own options to the parser.
    """

    def __init__(
        self,
        doc: str | None,
        name: str,
        argv: Sequence[str] | None,
        epochs: int | None = None,
        options: Callable[[argparse.ArgumentParser], object] = lambda parser: None,
    ) -> None:
        parser = argparse.ArgumentParser(prog=name, description=(doc or "").partition("\n")[0])
        parser.add_argument(
            "--data",
            type=Path,
            help="folder of the data; by default looked for in MINICNN_DATA and where "
            "`minicnn datasets download` puts it",
        )
        parser.add_argument("--output", type=Path, default=Path("runs") / name, help="for pictures")
        parser.add_argument("--seed", type=int, default=0, help="of all random numbers")
        parser.add_argument(
            "--fast",
            action="store_true",
            help="some seconds on little data, rendered if there are none: to see it run",
        )
        if epochs is not None:
            parser.add_argument("--epochs", type=int, help=f"default {epochs}")
        options(parser)
        self.options = parser.parse_args(argv)
        self.fast: bool = self.options.fast
        self.seed: int = self.options.seed
        self.output = make_folder(self.options.output)
        self._epochs = epochs
        config.set_random_seed(self.seed)

    def epochs(self, fast: int = 1) -> int:
        """Return how many epochs to train."""
        asked = getattr(self.options, "epochs", None)
        return asked if asked is not None else fast if self.fast else (self._epochs or 1)

    def load(self, loader: Callable[..., T], rendered: Callable[[], T], **more: Any) -> T:
        """Return the data; with `--fast`, rendered ones where there are none.

        Raises:
            SystemExit: there are no data; the message says where to get them.
        """
        try:
            return loader(self.options.data, **more)
        except DataError as error:
            if self.fast and self.options.data is None:
                print("no data found: rendered ones are used, and figures mean little")
                return rendered()
            raise SystemExit(f"{error} (`--fast` shows the example on rendered data.)") from None

    def say(self, what: str, value: object) -> None:
        """Print one figure."""
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        print(f"{what:<58} {text}", flush=True)

    def say_all(self, figures: dict[str, float], seconds: float) -> None:
        """Print the time of training and all figures."""
        self.say("seconds of training", seconds)
        for name, value in figures.items():
            self.say(name, value)

    def picture(self, figure: Any, name: str) -> None:
        """Write a picture into the folder of results, and say so."""
        print(f"picture: {save_figure(figure, self.output / name)}", flush=True)
