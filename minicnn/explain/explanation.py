"""What `explain` returns: the records of a call, and their readings."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minicnn.errors import ArgumentError, check_choice, unknown_argument
from minicnn.explain.readings.text import line, record_text
from minicnn.explain.records.limits import MAX_FRAMES, MAX_NUMBERS
from minicnn.explain.records.record import Record
from minicnn.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Explanation"]


#: What people call the directions.
_MEANT = {
    **dict.fromkeys(["backward", "backwards", "gradient", "dx", "x"], "gradient of x"),
    **dict.fromkeys(["dk", "dkernel", "dw", "kernel", "weights"], "gradient of kernel"),
    **dict.fromkeys(["forwards", "y"], "forward"),
}


@dataclass(frozen=True, repr=False)
class Explanation:
    """The arithmetic of a call, forwards and backwards, to be printed, drawn and opened.

    Args:
        title: the call.
        records: one for each combination of choices (direction, kernel, stage) there is.
        notes: sentences about the whole.

    >>> import minicnn as mc
    >>> e = mc.explain(mc.cross_correlate2d, [[0, 1, 2], [3, 4, 5]], [[0, 1], [2, 3]])
    >>> e.text((0, 1))
    'y[0,1] = 1*0 + 2*1 + 4*2 + 5*3 = 25'
    >>> e.text((1, 2), direction="gradient of x")
    'dx[1,2] = 1*3 = 3'
    """

    title: str
    records: tuple[Record, ...]
    notes: tuple[str, ...] = ()

    @property
    def choices(self) -> dict[str, list[str]]:
        """What can be chosen: for each choice its values, in order; the first is the default."""
        found: dict[str, list[str]] = {}
        for record in self.records:
            for key, value in record.choice.items():
                if value not in found.setdefault(key, []):
                    found[key].append(value)
        return found

    def record(self, **choice: str) -> Record:
        """Return the first record that has these choices, e.g. `direction="gradient of x"`.

        Raises:
            ArgumentError: there is none; the message lists the choices.
        """
        for record in self.records:
            if all(record.choice.get(key) == value for key, value in choice.items()):
                return record
        left_out = f" {' '.join(self.notes)}" if self.notes else ""
        for key, value in choice.items():
            if key not in self.choices:
                raise unknown_argument("explain", key, [*self.choices, "cell"])
            if value not in self.choices[key]:
                try:
                    check_choice("explain", key, value, self.choices[key], _MEANT)
                except ArgumentError as error:
                    raise ArgumentError(f"{error}{left_out}") from None
        together = " with ".join(f"{key}={value!r}" for key, value in choice.items())
        raise ArgumentError(f"explain: there is no {together} here.{left_out}")

    def text(self, cell: Sequence[int] | None = None, **choice: str) -> str:
        """Return the arithmetic in words and numbers, of one element or of all of them.

        Args:
            cell: index of an element of the result, e.g. `(0, 1, 2, 0)`; default all.
            **choice: which record, e.g. `direction="gradient of x"`; default the first.

        Raises:
            ArgumentError: there is no such record, or the element is not shown.
        """
        record = self.record(**choice)
        if cell is not None:
            return line(record, record.cell(cell))
        return "\n".join([record_text(record), *self.notes])

    def __str__(self) -> str:
        others = [
            f"  {key}: {', '.join(map(repr, values))}"
            for key, values in self.choices.items()
            if len(values) > 1
        ]
        hint = ["", ".text(...) takes", *others] if others else []
        return "\n".join([self.text(), *hint])

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return everything as the page reads it.

        A record is its fields in Python, with arrays as flat lists in row-major order; `terms`
        holds for each element of the result's block the flat indices of all its terms' factors.
        Infinities and NaN are words.
        """
        return {
            "title": self.title,
            "notes": list(self.notes),
            "records": [record.to_json() for record in self.records],
        }

    def json(self) -> str:
        """Return `to_json()` as text."""
        return json.dumps(self.to_json(), separators=(",", ":"), allow_nan=False)

    def html(self) -> str:
        """Return the interactive page: one HTML file that needs nothing else."""
        # Imported when first needed, as below: few programs look at what they compute.
        from minicnn.explain.readings.page import page_html

        return page_html(self)

    def _repr_html_(self) -> str:
        """Return the page in a frame, which notebooks show."""
        from minicnn.explain.readings.page import notebook_html

        return notebook_html(self.title, self.html())

    def figure(
        self,
        cell: Sequence[int] | None = None,
        reading: str = "gather",
        max_numbers: int = MAX_NUMBERS,
        **choice: str,
    ) -> Figure:
        """Return a matplotlib figure of what meets in one element, or of all summands.

        Args:
            cell: index of an element of the result, e.g. `(0, 1, 2, 0)`; default the first one in
                which the most terms count and are not zero.
            reading: `"gather"`; or `"scatter"`, the strip of what each element of the first
                operand lays into the result, which takes no cell.
            max_numbers: how many numbers it may show.
            **choice: which record, e.g. `direction="gradient of x"`; default the first.

        Raises:
            ArgumentError: there is no such record, element or reading, or there are too many
                numbers.

        >>> import minicnn as mc
        >>> e = mc.explain(mc.cross_correlate2d, [[1, 2, 3], [4, 5, 6]], [[1, 0]])
        >>> e.figure((1, 1)).axes[0].texts[0].get_text()
        'cross_correlate2d'
        """
        from minicnn.explain.readings.figure import draw

        record = self.record(**choice)
        flat = None if cell is None else record.cell(cell)
        return draw(record, flat, reading, max_numbers)

    def save(self, path: str | Path, **options: Any) -> None:
        """Write the explanation to a file; the ending of its name says how.

        Args:
            path: a name that ends in `.html` (the page), `.json`, `.txt`, `.png`, `.svg` or `.pdf`
                (a figure), or `.gif` (an animation).
            **options: of a text those of `text`; of a figure those of `figure`; of an animation
                `reading`, `milliseconds`, `max_frames`, `max_numbers` and the choice of a record.
                A page and JSON hold everything and take none.

        Raises:
            ArgumentError: another ending, or an option is outside its rule.
            OutputError: the file cannot be written.

        >>> import minicnn as mc, pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "sum.txt"
        >>> e = mc.explain(mc.cross_correlate2d, [[1, 2, 3], [4, 5, 6]], [[1, 0]])
        >>> e.save(path, cell=(1, 1), direction="forward")
        >>> path.read_text().strip()
        'y[1,1] = 5*1 + 6*0 = 5'
        >>> e.save(path.with_suffix(".png"), cell=(1, 1))
        """
        write = _WRITERS.get(Path(path).suffix.lower())
        if write is None:
            raise ArgumentError(
                f"explain: save({str(path)!r}): the name must end in one of "
                f"{', '.join(_WRITERS)}, which says what to write."
            )
        with replacing(path) as temporary:
            write(self, temporary, **options)


def _write_whole(read: Callable[[Explanation], str]) -> Callable[..., None]:
    """Return the writer of a reading that holds everything."""

    def write(explanation: Explanation, path: Path, **options: Any) -> None:
        if options:
            raise ArgumentError(
                f"explain: save: a {path.suffix} file holds the whole explanation and takes no "
                f"{', '.join(options)}; leave that out."
            )
        path.write_text(read(explanation) + "\n", encoding="utf-8")

    return write


def _write_text(explanation: Explanation, path: Path, **options: Any) -> None:
    path.write_text(explanation.text(**options) + "\n", encoding="utf-8")


def _write_figure(explanation: Explanation, path: Path, **options: Any) -> None:
    explanation.figure(**options).savefig(path)


def _write_gif(
    explanation: Explanation,
    path: Path,
    reading: str = "gather",
    milliseconds: int = 700,
    max_frames: int = MAX_FRAMES,
    max_numbers: int = MAX_NUMBERS,
    **choice: str,
) -> None:
    from minicnn.explain.readings.animation import write_gif

    record = explanation.record(**choice)
    write_gif(record, path, reading, milliseconds, max_frames, max_numbers)


#: For each ending of a file name, how `save` writes it.
_WRITERS: dict[str, Callable[..., None]] = {
    ".html": _write_whole(Explanation.html),
    ".json": _write_whole(Explanation.json),
    ".txt": _write_text,
    ".png": _write_figure,
    ".svg": _write_figure,
    ".pdf": _write_figure,
    ".gif": _write_gif,
}
