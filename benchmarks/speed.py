"""How fast is minicnn beside PyTorch on this machine, and are the targets met?

    pip install torch
    python benchmarks/speed.py [--quick] [--json FILE]

first checks that both libraries compute the same, then measures whole training steps and
predictions of two networks, single layers, pooling, the start of a process, memory and the call of
operations on tiny arrays: both libraries in one run, taking turns. PyTorch is in its fastest
configuration without a C++ compiler, which torch.compile would need: images with channels last,
ReLU in place, fused Adam, a thread for each core, and an allocator that keeps its memory. That is
set by environment variables which must be there when a process starts, so the command starts
itself again with them; `--malloc default` measures with the system's setting instead. A run takes
two to three minutes, longer while other processes disturb it; with `--quick` half a minute. Where
TensorFlow is installed, it gets a column of its own; the targets are those against PyTorch.

The exit status is 1 if results differ; speed does not change it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from display import check_folder, digits, progress, verdict
from rich import box
from rich.console import Console
from rich.table import Table
from timing import Case, Timing, measure

from minicnn.files import replacing

#: Memory stays in the process: large blocks are not mapped anew for each array.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "MALLOC_TOP_PAD_": str(1 << 28),
}
SECTIONS = ("steps", "predictions", "wide", "pool", "thin", "calls", "start", "memory")

WARM_START, COLD_START = 0.6, 10.0  # seconds
CALL = 20e-6  # seconds


class Effort(NamedTuple):
    """How long to measure."""

    rounds: int
    window: float
    fewest: int
    starts: int
    patience: float


FULL, QUICK = Effort(11, 0.06, 3, 5, 30.0), Effort(3, 0.01, 1, 2, 2.0)


def restart_with_malloc(tuned: bool) -> None:
    """Start this command again, unless the allocator's environment variables are as wanted."""
    wanted = MALLOC if tuned else {}
    if {name: os.environ[name] for name in MALLOC if name in os.environ} != wanted:
        os.execve(sys.executable, sys.orig_argv, plain_environment() | wanted)


def plain_environment() -> dict[str, str]:
    """Return the environment without settings of the allocator."""
    return {name: value for name, value in os.environ.items() if name not in MALLOC}


def processor() -> str:
    """Return the processor's name."""
    file = Path("/proc/cpuinfo")
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine() -> dict[str, str]:
    """Return what the figures depend on: processor, versions and settings."""
    import numba
    import numpy as np
    import torch
    import workloads
    from threadpoolctl import threadpool_info

    import minicnn
    from minicnn.kernels.compiled.tile import LANE_BYTES
    from minicnn.runtime.threads import cores

    np.ones((2, 3)) @ np.ones((3, 2))  # loads BLAS, so that it can be asked
    blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    coretype = os.environ.get("OPENBLAS_CORETYPE")
    tensorflow = workloads.HAS_TENSORFLOW
    tuned = all(os.environ.get(name) == value for name, value in MALLOC.items())
    malloc = " ".join(f"{name}={value}" for name, value in MALLOC.items())
    return {
        "processor": f"{processor()}, {cores()} cores, vectors of {LANE_BYTES} bytes",
        "minicnn": f"{minicnn.__version__}, NumPy {np.__version__}, Numba {numba.__version__} "
        f"with threading layer {numba.threading_layer()}",
        "BLAS": "; ".join(
            f"{pool['internal_api']} {pool['version']} for {pool.get('architecture', '?')} cores"
            for pool in blas
        )
        + (f", OPENBLAS_CORETYPE={coretype}" if coretype else ""),
        "PyTorch": f"{torch.__version__}, {torch.get_num_threads()} threads, channels last, ReLU "
        f"in place, fused Adam, no torch.compile",
        **({"TensorFlow": workloads.tensorflow_side.versions()} if tensorflow else {}),
        "malloc": f"{malloc} (started again with these)" if tuned else "the system's setting",
        "Python": platform.python_version(),
    }


class Report:
    """What was measured, as tables on the console and as numbers for a file."""

    def __init__(self, console: Console, effort: Effort) -> None:
        self.console, self.effort = console, effort
        self.numbers: dict[str, Any] = {}

    def table(self, title: str, *columns: str) -> Table:
        """Return an empty table with a column of names, and then of figures."""
        self.console.print(f"\n[bold]{title}[/]")
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("", no_wrap=True)
        for name in columns:
            table.add_column(name, justify="right", no_wrap=True)
        return table

    def compared(
        self, section: str, title: str, cases: Sequence[Case], targets: Sequence[float]
    ) -> None:
        """Measure cases of both libraries and print them with the ratio of their times."""
        self._measure(title, cases)
        ours, theirs, *further = cases[0].candidates
        columns = [ours, theirs, "ratio", "target"]
        columns += [column for name in further for column in (name, "ratio")]
        table = self.table(f"{title}, milliseconds", *columns, "dropped")
        rows: list[dict[str, Any]] = []
        for case, target in zip(cases, targets, strict=True):
            above, name = case.name[:-1], case.name[-1]
            if above and (not rows or rows[-1]["name"][:-1] != above):
                table.add_row(*above)  # one name for the rows of a layer
            ratios = {library: case.ratio(library, ours) for library in (theirs, *further)}
            ratio = ratios[theirs]
            times = {name: self._spread(case.timing(name), 1e3) for name in case.candidates}
            cells = [times[ours], times[theirs], f"{ratio:.2f}"]
            cells.append(verdict(f"{target:.1f}", ratio >= target, bool(case.samples)))
            cells += [text for name in further for text in (times[name], f"{ratios[name]:.2f}")]
            table.add_row("  " * len(above) + name, *cells, case.loss)
            rows.append(
                self._row(case) | {"ratio": ratio, "target_ratio": target, "ratios": ratios}
            )
        self._add(section, table, rows)

    def calls(self, section: str, title: str, cases: Sequence[Case]) -> None:
        """Measure tiny calls and print them beside the time they may take."""
        self._measure(title, cases)
        names = ("minicnn", "of it arithmetic", "overhead", "PyTorch", "target", "dropped")
        table = self.table(f"{title}, microseconds", *names)
        rows = []
        for case in cases:
            ours, alone, theirs = (case.timing(name) for name in case.candidates)
            overhead = ours.median - alone.median
            cells = [self._spread(timing, 1e6) for timing in (ours, alone)]
            met = verdict(digits(CALL * 1e6), overhead <= CALL, bool(case.samples))
            times = (*cells, digits(overhead * 1e6), self._spread(theirs, 1e6))
            table.add_row(*case.name, *times, met, case.loss)
            rows.append(self._row(case) | {"overhead": overhead, "target_seconds": CALL})
        self._add(section, table, rows)

    def starts(self, section: str) -> None:
        """Measure fresh processes up to the end of the first training step."""
        from processes import start_time

        environment = plain_environment()
        count = self.effort.starts
        with progress("start of a process", count + 2) as advance:
            start_time(environment, cold=False)  # fills Numba's cache, if it is not
            advance()
            warm = []
            for _ in range(count):
                warm.append(start_time(environment, cold=False))
                advance()
            measured = [("everything in Numba's cache", statistics.median(warm), WARM_START)]
            if self.effort is not QUICK:
                cold = start_time(environment, cold=True)
                advance()
                measured.append(("empty cache", cold, COLD_START))
        title = "process that imports minicnn, builds the MNIST network and trains one step"
        table = self.table(f"{title}, seconds", "minicnn", "target")
        rows = []
        for name, seconds, target in measured:
            spread = f" ({digits(min(warm))}-{digits(max(warm))})" if target == WARM_START else ""
            met = verdict(digits(target), seconds <= target)
            table.add_row(name, f"{digits(seconds)}{spread}", met)
            rows.append({"name": name, "seconds": seconds, "target_seconds": target})
        rows[0]["samples"] = warm
        self._add(section, table, rows)

    def memory(self, section: str) -> None:
        """Measure the peak of memory in training, of each network in both libraries."""
        from networks import NETWORKS
        from processes import peak_memory

        table = self.table(
            "peak memory of training above that after the imports, system's malloc, MiB",
            "minicnn", "PyTorch", "target",
        )  # fmt: skip
        rows = []
        with progress("memory", 2 * len(NETWORKS)) as advance:
            for key, make in NETWORKS.items():
                found = {}
                for library in ("minicnn", "PyTorch"):
                    found[library] = peak_memory(library, key, plain_environment())
                    advance()
                ours, theirs = (digits(value / 2**20) for value in found.values())
                met = found["minicnn"] <= found["PyTorch"]
                table.add_row(make().name, ours, theirs, verdict(theirs, met))
                rows.append({"name": make().name, "bytes": found})
        self._add(section, table, rows)

    def _measure(self, title: str, cases: Sequence[Case]) -> None:
        effort = self.effort
        with progress(title, effort.rounds * len(cases)) as advance:
            measure(cases, rounds=effort.rounds, window=effort.window, fewest=effort.fewest,
                    patience=effort.patience, advance=advance)  # fmt: skip

    def _add(self, section: str, table: Table, rows: list[dict[str, Any]]) -> None:
        self.console.print(table)
        self.numbers[section] = rows

    @staticmethod
    def _spread(timing: Timing, scale: float) -> str:
        low, high = digits(timing.low * scale), digits(timing.high * scale)
        return f"{digits(timing.median * scale)} ({low}-{high})"

    @staticmethod
    def _row(case: Case) -> dict[str, Any]:
        times = {name: case.timing(name)._asdict() for name in case.candidates}
        return {"name": case.name, "seconds": times, "dropped": case.dropped,
                "samples": case.samples, "disturbed": case.disturbed}  # fmt: skip


def run(report: Report, sections: Sequence[str]) -> None:
    """Check that results agree, then measure the wanted sections.

    Raises:
        ValueError: results of the two libraries differ.
    """
    import networks
    import workloads

    console = report.console
    with console.status("checking that both libraries compute the same"):
        steps, predictions = workloads.network_cases()
        wide = list(workloads.layer_cases(networks.WIDE)) if "wide" in sections else []
        thin = list(workloads.layer_cases(networks.THIN)) if "thin" in sections else []
        pool = list(workloads.pool_cases()) if "pool" in sections else []
    state = machine()
    for name, value in state.items():
        console.print(f"[bold]{name}[/] {value}", soft_wrap=True)
    console.print(
        "Results, gradients and losses of the libraries agree within float32 rounding.\n"
        "Times: median (quartiles). Ratio: the other's time by minicnn's. Dropped: samples during "
        "which other\nprocesses used more than 8 % of a core; they are taken again. Unclear: "
        "all were dropped, and all are shown."
    )
    report.numbers["machine"] = state
    named = "whole training step, batch 32"
    if "steps" in sections:
        report.compared("steps", named, steps, (2.5, 1.5))
    if "predictions" in sections:
        report.compared("predictions", "prediction, batch 32", predictions, (2.0, 1.3))
    if "wide" in sections:
        report.compared("wide", "layers of 16 and more channels", wide, [1.0] * len(wide))
    if "pool" in sections:
        report.compared("pool", "2x2 max-pool", pool, [1.0] * len(pool))
    if "thin" in sections:
        report.compared("thin", "layers of 1 to 3 channels on one side", thin, [1.5] * len(thin))
    if "calls" in sections:
        cases = list(workloads.call_cases())
        report.calls("calls", "calls on arrays of 5x5 numbers", cases)
    if "start" in sections:
        report.starts("start")
    if "memory" in sections:
        report.memory("memory")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and return 0 if both libraries compute the same."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="few samples, no cold start")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="SECTION",
                        help=f"measure these alone: {', '.join(SECTIONS)}")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="store all numbers")
    parser.add_argument("--malloc", choices=["tuned", "default"], default="tuned",
                        help="the allocator's settings, for both libraries")  # fmt: skip
    options = parser.parse_args(argv)
    if options.json is not None:
        check_folder(parser, options.json)
    restart_with_malloc(options.malloc == "tuned")

    import torch

    from minicnn.runtime.threads import cores

    torch.set_num_threads(cores())
    console = Console(highlight=False)
    wide = 150 if importlib.util.find_spec("tensorflow") else 120
    console.width = max(console.width, wide)  # no figure is folded or left out
    report = Report(console, QUICK if options.quick else FULL)
    try:
        run(report, options.only)
    except ValueError as error:
        console.print(f"[red]{error}[/]")
        return 1
    if options.json is not None:
        with replacing(options.json) as path:
            path.write_text(json.dumps(report.numbers, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
