"""How fast is minicnn on this GPU, beside PyTorch with cuDNN and beside what the card can do?

    pip install 'minicnn[cuda12]' torch
    python -m benchmarks.gpu [--quick] [--only SECTION ...] [--output FILE]

measures three sections, started from the root of the repository:

    steps    whole training steps of the MNIST classifier and the cell autoencoder
    memory   pooling, resizing, normalization, Adam: what waits for the card's memory
    layers   the three maps of single convolutions, in three precisions and by im2col + cuBLAS

PyTorch has its images with channels last, cuDNN's benchmark mode, ReLU in place and fused Adam,
with TF32 off and on, and for steps torch.compile too. Results are compared before anything is
timed; then the contestants take turns, and the card's own events measure them. What a copy and the
largest matrix products reach is measured in the same run. Meanwhile the card should be idle.

A full run takes up to 8 minutes, with --quick up to 2; what there is no time for is named. All is
written to a Markdown file with the date in its name, and as numbers to a JSON file beside it.
Without PyTorch, minicnn is measured alone. The exit status is 1 if results differ, and 2 if nothing
can be measured here; speed does not change it.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from benchmarks import gpu_card, gpu_layers, gpu_memory, gpu_steps, gpu_torch
from benchmarks.display import check_folder, progress
from benchmarks.gpu_layers import Plan
from benchmarks.gpu_report import Report, Row, lost, rows_of
from benchmarks.gpu_timing import (
    FULL,
    OURS,
    QUICK,
    THEIRS,
    Clock,
    CupyClock,
    Effort,
    check,
    measure,
    reason,
)
from minicnn import kernels
from minicnn.kernels.cuda.device import cupy

TITLES = {
    "steps": "whole training steps",
    "memory": "work that waits for memory, float32",
    "layers": "convolution layers",
}
SECTIONS = tuple(TITLES)
#: How much of the run's time is over when a section must be, in their order.
OVER = {"steps": 0.5, "memory": 0.6, "layers": 1.0}


class Sizes(NamedTuple):
    """What is measured, and how large it is."""

    layers: tuple[gpu_layers.Layer, ...] = gpu_layers.LAYERS
    images: gpu_memory.Size = gpu_memory.FULL_SIZE
    trainings: tuple[gpu_steps.Training, ...] = gpu_steps.TRAININGS
    batches: tuple[int, ...] = gpu_steps.BATCHES
    compiled: bool = True
    rows: tuple[int, ...] = gpu_card.ROWS
    copied: int = gpu_card.COPIED


EVERYTHING = Sizes()
PART = Sizes(layers=gpu_layers.QUICK_LAYERS, batches=(32,), compiled=False, rows=gpu_card.ROWS[-1:])


class Side(NamedTuple):
    """Who measures where.

    Args:
        device: PyTorch's, or None if it takes no part.
        clocks: by library.
        backend: minicnn's.
    """

    device: str | None
    clocks: dict[str, Clock]
    backend: str = "cupy"


def plans(section: str, sizes: Sizes, side: Side) -> list[Plan]:
    """Return what there is to do in a section."""
    if section == "layers":
        return gpu_layers.plans(sizes.layers, side.device)
    if section == "memory":
        return gpu_memory.plans(sizes.images, side.device)
    return gpu_steps.plans(
        sizes.trainings, sizes.batches, side.device, sizes.compiled, side.backend
    )


def done(plan: Plan, side: Side, effort: Effort, floors: gpu_card.Floors) -> list[Row]:
    """Build, check and measure the cases of a plan; what fails is told in its rows."""
    found = []
    try:
        cases = plan.build()
    except Exception as error:  # as in `check`
        return [lost(plan.name, reason(error))]
    while cases:
        case = cases.pop(0)
        check(case)
        measure(case, side.clocks, effort)
        found += rows_of(case, floors)
    return found


def give_back(side: Side) -> None:
    """Give the memory that both libraries keep for later back to the card, for the other one."""
    gc.collect()
    cupy().get_default_memory_pool().free_all_blocks()
    if side.device:
        gpu_torch.give_back()


def run(
    console: Console,
    report: Report,
    sections: Sequence[str],
    sizes: Sizes,
    side: Side,
    effort: Effort,
    stored: Callable[[], object],
    now: Callable[[], float] = time.perf_counter,
) -> None:
    """Measure the sections, and print and store each when it is done."""
    begin, whole = now(), effort.minutes * 60
    for section in (s for s in SECTIONS if s in sections):
        rest = [OVER[s] for s in SECTIONS if s in sections]
        end = begin + whole * OVER[section] / max(rest)
        rows = report.sections.setdefault(TITLES[section], [])
        todo = plans(section, sizes, side)
        with progress(TITLES[section], len(todo)) as advance:
            for plan in todo:
                if now() < end:
                    rows += done(plan, side, effort, report.floors)
                    give_back(side)
                else:
                    rows.append(lost(plan.name, "not measured, for lack of time"))
                advance()
        groups = list(dict.fromkeys(row.group for row in rows))
        rows.sort(key=lambda row: groups.index(row.group))
        report.print(console, TITLES[section])
        stored()


def obstacle() -> tuple[str, bool]:
    """Return why nothing can be measured here, or an empty text, and whether PyTorch takes part."""
    found = kernels.backends()["cupy"]
    if not found.usable:
        return f"No GPU can be used: {found.detail}.", False
    there, trouble = gpu_torch.usable()
    return trouble, there


def options_of(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line, and refuse a file that cannot be written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__.partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true",
                        help="fewer layers, batch 32, no torch.compile, few samples")  # fmt: skip
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="SECTION",
                        help=f"measure these alone: {', '.join(SECTIONS)}")  # fmt: skip
    today = datetime.datetime.now().astimezone().date()
    parser.add_argument("--output", type=Path, default=Path(f"gpu-benchmark-{today}.md"),
                        metavar="FILE", help="where to write, default %(default)s; the numbers go "
                        "to a .json beside it, and older files are replaced")  # fmt: skip
    options = parser.parse_args(argv)
    if options.output.suffix != ".md":
        parser.error(f"--output {options.output}: the name must end in .md, and the numbers go to "
                     f"a .json beside it")  # fmt: skip
    for file in (options.output, options.output.with_suffix(".json")):
        if file.is_dir():
            parser.error(f"--output {options.output}: {file} is a folder; choose another name")
    check_folder(parser, options.output)
    options.date = today
    return options


def main(
    argv: Sequence[str] | None = None, sizes: Sizes | None = None, side: Side | None = None
) -> int:
    """Measure, print and write.

    Args:
        argv: the command line.
        sizes: what to measure, by default what the command line says.
        side: who measures where, by default both libraries on the GPU.
    """
    options = options_of(argv)
    trouble, there = obstacle()
    if trouble and side is None:
        print(trouble, file=sys.stderr)
        return 2
    console = Console(highlight=False)
    effort = QUICK if options.quick else FULL
    sizes = sizes or (PART if options.quick else EVERYTHING)
    if side is None:
        clocks: dict[str, Clock] = {OURS: CupyClock()}
        if there:
            clocks[THEIRS] = gpu_torch.TorchClock()
        side = Side(gpu_torch.DEVICE if there else None, clocks)
    with console.status("measuring what the card can do"):
        machine = gpu_card.machine(side.device)
        floors = gpu_card.floors(side.clocks, effort, side.device, sizes.rows, sizes.copied)
        give_back(side)
    command = " ".join(["python -m benchmarks.gpu", *(sys.argv[1:] if argv is None else argv)])
    report = Report(f"minicnn on a GPU, {options.date}", command, machine, floors)
    report.head(console)
    run(console, report, options.only, sizes, side, effort, lambda: report.write(options.output))
    console.print(f"\n{report.tally()}")
    console.print(
        f"Written: {options.output} and {options.output.with_suffix('.json')}", soft_wrap=True
    )
    if report.differs:
        console.print("[red]Results differ: see the lines below the tables.[/]")
    return 1 if report.differs else 0


if __name__ == "__main__":
    sys.exit(main())
