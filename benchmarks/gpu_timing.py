"""Times on a GPU: what two libraries start there, measured by the card's own events.

Calls only put work into a stream, so the events around them are put there too, by each library into
its own. A short kernel between two events is measured with the gap until Python has launched it:
that is what somebody gets who calls it, and why whole steps are bound by launches. Kernels that
wait for memory are judged by the card instead: before each call so much else is read that nothing
of it is left in the second-level cache, and while that goes on Python launches what follows.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from minicnn.kernels.cuda.device import card, cupy

OURS, THEIRS = "minicnn", "PyTorch"
#: Bytes that are read to empty a cache: at least these, and three times the cache.
SPILL = 1 << 29
#: Compute capability from which tensor cores take TF32.
TF32_FROM = 80
#: Calls before anything is timed: kernels are compiled, algorithms tried out, clocks raised.
FEWEST_FIRST, MOST_FIRST = 3, 12


class Timing(NamedTuple):
    """Median and quartiles of the time of one call, in seconds."""

    median: float
    low: float
    high: float


class Effort(NamedTuple):
    """How long to measure.

    Args:
        rounds: samples of each contestant.
        window: seconds that a sample should take.
        most: calls in a sample at most.
        minutes: that the whole run may take.
    """

    rounds: int
    window: float
    most: int
    minutes: float


FULL, QUICK = Effort(9, 0.02, 200, 7.5), Effort(5, 0.008, 50, 1.8)


class Clock(Protocol):
    """The events of one library."""

    def mark(self) -> Any:
        """Return an event that is put into the stream now."""

    def between(self, first: Any, last: Any) -> float:
        """Return the seconds between two events that have happened."""

    def wait(self) -> None:
        """Wait until the card has done everything."""

    def flush(self) -> None:
        """Start to read so much memory that caches hold nothing else."""


class CupyClock:
    """The events of CuPy's current stream."""

    def __init__(self, spill: int = SPILL) -> None:
        self._spill = cupy().zeros(max(spill, 3 * card().cache_bytes) // 4, "float32")

    def mark(self) -> Any:
        """Return an event that is put into the stream now."""
        event = cupy().cuda.Event()
        event.record(cupy().cuda.get_current_stream())
        return event

    def between(self, first: Any, last: Any) -> float:
        """Return the seconds between two events that have happened."""
        return cupy().cuda.get_elapsed_time(first, last) / 1e3

    def wait(self) -> None:
        """Wait until the card has done everything."""
        cupy().cuda.Device().synchronize()

    def flush(self) -> None:
        """Start to read so much memory that caches hold nothing else."""
        self._spill.sum()


@dataclass
class Contestant:
    """One way to do a piece of work.

    Args:
        library: whose events measure it.
        call: does it once.
        result: does it once and returns what is compared, as a CuPy array in minicnn's layout.
        limit: the difference from the reference that is allowed, relative to its largest number.
        setting: what holds during its calls, such as a precision.
    """

    library: str
    call: Callable[[], Any]
    result: Callable[[], Any]
    limit: float
    setting: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext


class Pairing(NamedTuple):
    """Two contestants whose times make a row; the second may be missing.

    Args:
        ours: name of the first.
        theirs: name of the second.
        peak: which arithmetic the card is judged by, "float32" or "tf32".
        ratio: target for their time by ours, if there is one.
        share: target for the share of the copy bandwidth, if there is one.
    """

    ours: str
    theirs: str
    peak: str = "float32"
    ratio: float | None = None
    share: float | None = None


@dataclass
class Case:
    """Contestants that do the same work, the most exact one first.

    Args:
        name: the row's name, above it that of its group.
        contestants: by name.
        pairings: the rows.
        operations: multiplications and additions of a call, 0 if they are not counted.
        moved: bytes that a call has to read and write, 0 if they are not counted.
        flush: whether caches are emptied before each call.
    """

    name: tuple[str, str]
    contestants: dict[str, Contestant]
    pairings: Sequence[Pairing]
    operations: int = 0
    moved: int = 0
    flush: bool = False
    samples: dict[str, list[float]] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)

    def timing(self, name: str) -> Timing | None:
        """Return the time of a contestant, or None if there is none that may be told."""
        values = self.samples.get(name)
        if not values or name in self.problems:
            return None
        if len(values) == 1:
            return Timing(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return Timing(median, low, high)


def reason(error: BaseException) -> str:
    """Return the first line of an error, with its kind."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"


def check(case: Case) -> None:
    """Compare the results of all contestants with the first one's that can be had.

    What fails or differs is noted in `problems`, and its time will not be told: drivers, compilers
    and cards fail in many ways, and one of them must not take the whole table with it.
    """
    reference = None
    for name, contestant in case.contestants.items():
        try:
            with contestant.setting():
                result = contestant.result()
            if reference is None:
                if float(cupy().abs(result).max()) > 0:
                    reference = result
                else:
                    case.problems[name] = "the result is zero or not a number"
                    case.wrong.add(name)
                continue
            difference = difference_of(result, reference)
        except Exception as error:
            case.problems[name] = reason(error)
            continue
        case.differences[name] = difference
        if not difference <= contestant.limit:
            case.wrong.add(name)
            case.problems[name] = f"the result differs by {difference:.1e} of the largest number"


def difference_of(result: Any, reference: Any) -> float:
    """Return the largest difference by the largest number.

    Raises:
        ValueError: the shapes are not alike.
    """
    if result.shape != reference.shape:
        raise ValueError(f"the result's shape is {result.shape}, not {reference.shape}")
    return float(cupy().abs(result - reference).max()) / float(cupy().abs(reference).max())


def sample(contestant: Contestant, clock: Clock, calls: int, flush: bool) -> float:
    """Return the time of one call, the mean over a few that follow each other."""
    if flush:
        marks = []
        for _ in range(calls):
            clock.flush()
            first = clock.mark()
            contestant.call()
            marks.append((first, clock.mark()))
        clock.wait()
        return statistics.fmean(clock.between(*pair) for pair in marks)
    first = clock.mark()
    for _ in range(calls):
        contestant.call()
    last = clock.mark()
    clock.wait()
    return clock.between(first, last) / calls


def warm_up(contestant: Contestant, clock: Clock) -> float:
    """Call until a call is no longer faster than the one before, and return its time."""
    before = sample(contestant, clock, 1, False)
    for number in range(2, MOST_FIRST + 1):
        time = sample(contestant, clock, 1, False)
        if number >= FEWEST_FIRST and time > 0.8 * before:
            break
        before = time
    return time


def measure(case: Case, clocks: dict[str, Clock], effort: Effort) -> None:
    """Let the contestants take turns, and leave the samples in the case."""
    calls: dict[str, int] = {}
    for name, contestant in case.contestants.items():
        if name in case.problems:
            continue
        try:
            with contestant.setting():
                once = warm_up(contestant, clocks[contestant.library])
        except Exception as error:
            case.problems[name] = reason(error)
            continue
        calls[name] = int(min(max(effort.window / max(once, 1e-7), 1), effort.most))
    for number in range(effort.rounds):
        # Who goes first changes, so that nobody always follows the same neighbour.
        for name in list(calls)[:: 1 if number % 2 == 0 else -1]:
            contestant = case.contestants[name]
            for clock in clocks.values():
                clock.wait()
            try:
                with contestant.setting():
                    contestant.call()
                    time = sample(contestant, clocks[contestant.library], calls[name], case.flush)
            except Exception as error:
                case.problems[name] = reason(error)
                del calls[name]
                continue
            case.samples.setdefault(name, []).append(time)
