"""What `explain` returns: the records of a call, and their readings."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minicnn.errors import ArgumentError
from minicnn.explain.page import notebook_html, page_html
from minicnn.explain.record import Record
from minicnn.explain.text import line, record_text
from minicnn.files import replacing

__all__ = ["Explanation"]


@dataclass(frozen=True)
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
        known = "; ".join(f"{key}: {', '.join(v)}" for key, v in self.choices.items())
        left_out = f" {' '.join(self.notes)}" if self.notes else ""
        raise ArgumentError(
            f"explain: nothing here has {choice!r}; there is {known or 'one record'}.{left_out}"
        )

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
        return page_html(self)

    def _repr_html_(self) -> str:
        """Return the page in a frame, which notebooks show."""
        return notebook_html(self)

    def save(self, path: str | Path) -> None:
        """Write the explanation to a file; the ending of its name says how.

        Args:
            path: a name that ends in `.html` (the page), `.json` or `.txt`.

        Raises:
            ArgumentError: another ending.
            OutputError: the file cannot be written.

        >>> import minicnn as mc, pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "sum.txt"
        >>> mc.explain(mc.cross_correlate2d, [[1, 2, 3], [4, 5, 6]], [[1, 0]]).save(path)
        >>> path.read_text().splitlines()[-1]
        'y[1,1] = 5*1 + 6*0 = 5'
        """
        write = _WRITERS.get(Path(path).suffix.lower())
        if write is None:
            raise ArgumentError(
                f"explain: save({str(path)!r}): the name must end in one of "
                f"{', '.join(_WRITERS)}, which says what to write."
            )
        with replacing(path) as temporary:
            write(self, temporary)


def _write_text(read: Callable[[Explanation], str]) -> Callable[[Explanation, Path], None]:
    """Return the writer of a reading that is text."""

    def write(explanation: Explanation, path: Path) -> None:
        path.write_text(read(explanation) + "\n", encoding="utf-8")

    return write


#: For each ending of a file name, how `save` writes it.
_WRITERS: dict[str, Callable[[Explanation, Path], None]] = {
    ".html": _write_text(Explanation.html),
    ".json": _write_text(Explanation.json),
    ".txt": _write_text(Explanation.text),
}
