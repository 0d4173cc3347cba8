"""What was measured on a GPU as rows: on the terminal, in Markdown and in JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from benchmarks.display import digits, verdict
from benchmarks.gpu_card import Floors
from benchmarks.gpu_timing import OURS, THEIRS, Case, Pairing, Timing
from minicnn.files import replacing

COLUMNS = ("minicnn", "ms", "PyTorch", "ms", "ratio", "TFLOP/s", "of peak", "GB/s", "of copy")
NOTES = (
    "Times: median (quartiles) of one call, in milliseconds. Ratio: PyTorch's time by minicnn's.",
    "TFLOP/s and GB/s are minicnn's. Peak: the fastest matrix product of this run, in float32 for "
    "float32 and in TF32 for tf32 and 3xtf32 (which takes three products for one). Copy: what a "
    "copy within the card reads and writes in the same time. By cuBLAS: im2col, as much at a time "
    "as fits half of the second-level cache, and matrix products.",
    "Every time belongs to a result that was compared: a difference of at most 3e-4 of the largest "
    "number for float32 and 3xtf32 (1e-4 where memory is waited for), 5e-3 for TF32; losses of "
    "four training steps 1e-3, with TF32 1e-2. What failed or differed has no time.",
)


class Row(NamedTuple):
    """Two ways to do the same work, and what the faster card could do.

    Args:
        group: the row's group, a layer for example.
        name: the work.
        ours: how minicnn did it.
        theirs: how PyTorch did it.
        ours_time: of a call, None if it was not measured.
        theirs_time: likewise.
        ratio: their time by ours.
        flops: operations a second.
        of_peak: as a part of the peak.
        bandwidth: bytes a second.
        of_copy: as a part of the copy's.
        target: what ratio or part is to be reached, None for nothing.
        met: whether it is, None if that is not known.
        problems: why something was not measured.
        wrong: whether one of the results was not what it should be.
    """

    group: str
    name: str
    ours: str
    theirs: str
    ours_time: Timing | None
    theirs_time: Timing | None
    ratio: float | None
    flops: float | None
    of_peak: float | None
    bandwidth: float | None
    of_copy: float | None
    target: float | None
    met: bool | None
    problems: dict[str, str]
    wrong: bool


def divided(a: float | None, b: float | None) -> float | None:
    """Return a / b, or None if one of them is not known."""
    return None if a is None or b is None else a / b


def row(case: Case, pairing: Pairing, floors: Floors) -> Row:
    """Return one row of a measured case."""
    ours, theirs = case.timing(pairing.ours), case.timing(pairing.theirs)
    seconds = ours.median if ours else None
    ratio = divided(theirs.median if theirs else None, seconds)
    flops = divided(case.operations or None, seconds)
    bandwidth = divided(case.moved or None, seconds)
    of_copy = divided(bandwidth, floors.copy)
    target, reached = pairing.ratio, ratio
    if pairing.share is not None:
        target, reached = pairing.share, of_copy
    met = None if target is None or reached is None else reached >= target
    names = (pairing.ours, pairing.theirs)
    return Row(
        *case.name, pairing.ours, pairing.theirs if pairing.theirs in case.contestants else "",
        ours, theirs, ratio, flops, divided(flops, floors.peak(pairing.peak)), bandwidth, of_copy,
        target, met, {name: case.problems[name] for name in names if name in case.problems},
        not case.wrong.isdisjoint(names),
    )  # fmt: skip


def rows_of(case: Case, floors: Floors) -> list[Row]:
    """Return the rows of a measured case."""
    return [row(case, pairing, floors) for pairing in case.pairings]


def lost(name: str, problem: str) -> Row:
    """Return the row of work that could not even be begun."""
    nothing: list[Any] = [None] * 9
    return Row(name, "", "", "", *nothing, {name: problem}, False)


def _time(timing: Timing | None) -> str:
    if timing is None:
        return "-"
    low, median, high = (digits(t * 1e3) for t in (timing.low, timing.median, timing.high))
    return f"{median} ({low}-{high})"


def _number(value: float | None, scale: float = 1.0) -> str:
    return "" if value is None else digits(value * scale)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def cells(found: Row) -> list[str]:
    """Return a row's texts, without its name and its target."""
    theirs = _time(found.theirs_time) if found.theirs else ""
    ours = _time(found.ours_time) if found.ours else ""
    return [
        found.ours, ours, found.theirs, theirs,
        "" if found.ratio is None else f"{found.ratio:.2f}",
        _number(found.flops, 1e-12), _percent(found.of_peak),
        _number(found.bandwidth, 1e-9), _percent(found.of_copy),
    ]  # fmt: skip


def target_text(found: Row) -> str:
    """Return a target and whether it is met, in plain words."""
    if found.target is None:
        return ""
    words = {None: "not measured", True: "met", False: "missed"}
    return f"{found.target:.2f} {words[found.met]}"


def columns_of(rows: Sequence[Row]) -> list[int]:
    """Return the numbers of the columns, of `COLUMNS`, in which there is anything."""
    texts = [cells(found) for found in rows]
    return [i for i in range(len(COLUMNS)) if any(line[i] for line in texts)]


class Report:
    """All rows by section, and what they depend on.

    Args:
        title: with the date.
        command: that measured it.
        machine: names and versions.
        floors: of the card.
    """

    def __init__(self, title: str, command: str, machine: dict[str, str], floors: Floors) -> None:
        self.title, self.command, self.machine, self.floors = title, command, machine, floors
        self.sections: dict[str, list[Row]] = {}

    @property
    def differs(self) -> bool:
        """Whether a result was not what the other library's is."""
        return any(found.wrong for found in self._rows())

    def _rows(self) -> list[Row]:
        return [found for rows in self.sections.values() for found in rows]

    def floor_lines(self) -> dict[str, str]:
        """Return what the card reached, in words."""
        copy, float32, tf32 = self.floors
        return {
            "measured copy": f"{_number(copy, 1e-9)} GB/s" if copy else "not measured",
            "measured peak": ", ".join(
                f"{name} {_number(value, 1e-12)} TFLOP/s" if value else f"{name} not measured"
                for name, value in (("float32", float32), ("TF32", tf32))
            ),
        }

    def tally(self) -> str:
        """Return how many targets are met."""
        judged = [found.met for found in self._rows() if found.target is not None]
        return (
            f"Targets: {judged.count(True)} met, {judged.count(False)} missed, "
            f"{judged.count(None)} not measured."
        )

    def head(self, console: Console) -> None:
        """Print what the figures depend on."""
        for name, value in (self.machine | self.floor_lines()).items():
            console.print(f"[bold]{name}[/] {value}", soft_wrap=True)
        console.print("\n".join(NOTES))

    def print(self, console: Console, section: str) -> None:
        """Print one section."""
        console.print(f"\n[bold]{section}[/]")
        rows = self.sections[section]
        shown = columns_of(rows)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("", no_wrap=True)
        for name in (*(COLUMNS[i] for i in shown), "target"):
            justify = "left" if name in (OURS, THEIRS) else "right"
            table.add_column(name, justify=justify, no_wrap=True)
        above = ""
        for found in rows:
            if found.group != above:
                table.add_row(found.group)
                above = found.group
            texts, target = cells(found), ""
            if found.target is not None:
                target = verdict(f"{found.target:.2f}", bool(found.met), found.met is not None)
            table.add_row(f"  {found.name}", *(texts[i] for i in shown), target)
        # No figure is folded or left out.
        endless = console.options.update(width=1000)
        console.width = max(console.width, Measurement.get(console, endless, table).maximum)
        console.print(table)
        for line in problem_lines(rows):
            console.print(line, style="yellow", markup=False)

    def markdown(self) -> str:
        """Return everything as Markdown."""
        parts = [f"# {self.title}", f"    {self.command}"]
        facts = (self.machine | self.floor_lines()).items()
        parts.append("\n".join(["| | |", "|---|---|", *(f"| {n} | {v} |" for n, v in facts)]))
        parts += [*NOTES, self.tally()]
        for section, rows in self.sections.items():
            shown = columns_of(rows)
            names = ["", "", *(COLUMNS[i] for i in shown), "target"]
            rules = ["---" if name in ("", OURS, THEIRS) else "--:" for name in names]
            table = [names, rules]
            for r in rows:
                texts = cells(r)
                table.append([r.group, r.name, *(texts[i] for i in shown), target_text(r)])
            lines = [f"| {' | '.join(line)} |" for line in table]
            parts += [f"## {section}", "\n".join(lines)]
            if problems := problem_lines(rows):
                parts.append("\n".join(f"* {line}" for line in problems))
        return "\n\n".join(parts) + "\n"

    def numbers(self) -> dict[str, Any]:
        """Return everything for a JSON file, times in seconds and speeds a second."""
        return {
            "title": self.title, "command": self.command, "machine": self.machine,
            "floors": self.floors._asdict(),
            "sections": {
                section: [
                    found._asdict()
                    | {
                        name: time and time._asdict()
                        for name, time in (
                            ("ours_time", found.ours_time), ("theirs_time", found.theirs_time),
                        )
                    }
                    for found in rows
                ]
                for section, rows in self.sections.items()
            },
        }  # fmt: skip

    def write(self, path: Path) -> None:
        """Write the Markdown file, and the numbers beside it."""
        with replacing(path) as temporary:
            temporary.write_text(self.markdown(), encoding="utf-8")
        with replacing(path.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(self.numbers(), indent=1), encoding="utf-8")


def problem_lines(rows: Sequence[Row]) -> list[str]:
    """Return why what was not measured was not, each reason once."""
    found: dict[str, None] = {}
    for r in rows:
        for name, problem in r.problems.items():
            place = ", ".join(part for part in (r.group, r.name) if part)
            found[f"{place}: {problem}" if name == r.group else f"{place}, {name}: {problem}"] = (
                None
            )
    return list(found)
