"""Times of candidates that take turns, on a machine that others may use at the same time.

A processor's clock, its caches and its other users change within seconds, so two libraries are
compared only by calls that lie close together: each candidate in turn, round after round, and the
medians over the rounds. Before a candidate's turn there is a short sleep, because the threads of
the one before may still wait by spinning, and one call that is not timed.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SETTLE = 0.02
#: Share of a core that other processes may use while a sample is taken.
FOREIGN_SHARE = 0.08
_STAT, _TASKS = Path("/proc/stat"), Path("/proc/self/task")


class Timing(NamedTuple):
    """Median and quartiles of a candidate's time for one call, in seconds."""

    median: float
    low: float
    high: float


@dataclass
class Case:
    """Candidates that do the same work, by name; they are measured side by side."""

    name: tuple[str, ...]
    candidates: dict[str, Callable[[], object]]
    samples: dict[str, list[float]] = field(default_factory=dict)
    disturbed: dict[str, list[float]] = field(default_factory=dict)
    dropped: int = 0

    def timing(self, candidate: str) -> Timing:
        """Return the candidate's time over the rounds that nobody disturbed.

        If every round was disturbed, all of them count: a rough figure is better than none.
        """
        values = self.samples.get(candidate) or self.disturbed[candidate]
        if len(values) == 1:
            return Timing(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return Timing(median, low, high)

    @property
    def loss(self) -> str:
        """How many of how many samples were dropped."""
        taken = self.dropped + len(next(iter(self.samples.values()), []))
        return f"{self.dropped} of {taken}"

    def ratio(self, numerator: str, denominator: str) -> float:
        """Return how many times longer one candidate takes than the other, by the medians."""
        return self.timing(numerator).median / self.timing(denominator).median


def _waiting() -> float:
    """Return the seconds that this process' threads were ready to run and another ran instead."""
    total = 0
    for file in _TASKS.glob("*/schedstat"):
        with contextlib.suppress(OSError):  # the thread has ended
            total += int(file.read_text(encoding="ascii").split()[1])
    return total / 1e9


class _Clock(NamedTuple):
    """What was used of the processor until now, in seconds: by all, by this process, not by it."""

    machine: float
    own: float
    waiting: float
    wall: float

    @classmethod
    def now(cls) -> _Clock:
        used = resource.getrusage(resource.RUSAGE_SELF)
        own = used.ru_utime + used.ru_stime
        if not _STAT.exists():
            return cls(own, own, 0.0, time.perf_counter())
        with _STAT.open(encoding="ascii") as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
        # All but idle and waiting for a disk, which are the fourth and fifth.
        machine = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
        return cls(machine, own, _waiting(), time.perf_counter())

    def is_disturbed(self, start: _Clock) -> bool:
        """Return whether other processes used more of the processor since `start` than allowed.

        The time that threads waited is exact, but a process on an idle core takes none; what the
        whole machine used is in ticks of a hundredth of a second, and two may be mere rounding.
        """
        allowed = FOREIGN_SHARE * (self.wall - start.wall)
        rounding = 2.1 / os.sysconf("SC_CLK_TCK")
        foreign = (self.machine - start.machine) - (self.own - start.own)
        return self.waiting - start.waiting > allowed or foreign > max(rounding, allowed)


def _calls(function: Callable[[], object], window: float, fewest: int) -> int:
    """Return how many calls of a function fill the window; it is called a few times for that."""
    shortest = math.inf
    for _ in range(4):
        start = time.perf_counter()
        function()
        shortest = min(shortest, time.perf_counter() - start)
    return max(fewest, int(window / shortest))


def _sample(function: Callable[[], object], calls: int, longest: float) -> float:
    """Return the time of one call, the mean over a few that follow each other.

    On a busy machine calls may take a hundred times longer, so it ends early after `longest`.
    """
    time.sleep(SETTLE)
    function()
    part, done, elapsed = -(-calls // 8), 0, 0.0
    start = time.perf_counter()
    while done < calls and elapsed < longest:
        for _ in range(part):
            function()
        done += part
        elapsed = time.perf_counter() - start
    return elapsed / done


def _wait_for_others(limit: float) -> float:
    """Sleep until other processes leave the processor alone; return the seconds that it took."""
    begin = time.perf_counter()
    while (waited := time.perf_counter() - begin) < limit:
        start = _Clock.now()
        time.sleep(0.3)
        if not _Clock.now().is_disturbed(start):
            break
    return waited


def measure(
    cases: Sequence[Case],
    *,
    rounds: int,
    window: float,
    fewest: int = 3,
    patience: float = 30.0,
    advance: Callable[[], object] = lambda: None,
) -> None:
    """Measure all cases, one after the other in each round, and leave the samples in them.

    The candidates of a case share one judgement: if other processes disturbed any of them, the
    case's samples of this round are dropped, and another round is added, up to three times as many.
    First it is waited until the others have done, as long as patience lasts.

    Args:
        cases: what to measure.
        rounds: samples wanted of each candidate.
        window: seconds that a sample should take.
        fewest: calls that a sample has at least, unless they take five times the window.
        patience: seconds to wait for other processes, in all.
        advance: called `rounds` times for each case, to show progress.
    """
    calls = [
        {name: _calls(function, window, fewest) for name, function in case.candidates.items()}
        for case in cases
    ]
    missing = [rounds] * len(cases)
    for number in range(3 * rounds):
        for i, case in enumerate(cases):
            if not missing[i]:
                continue
            # Who goes first changes, so that nobody always follows the same neighbour.
            names = list(case.candidates)[:: 1 if number % 2 == 0 else -1]
            start = _Clock.now()
            times = {
                name: _sample(case.candidates[name], calls[i][name], 5 * window) for name in names
            }
            disturbed = _Clock.now().is_disturbed(start)
            for name, value in times.items():
                kept = case.disturbed if disturbed else case.samples
                kept.setdefault(name, []).append(value)
            if disturbed:
                case.dropped += 1
                patience -= _wait_for_others(patience)
            else:
                missing[i] -= 1
                advance()
    for _ in range(sum(missing)):
        advance()
