"""What a function puts on the GPU: launches, bytes, copies to and fro, waits.

    python -m tests.cuda.simulator.counting

prints it for steps of the benchmarks' networks. No GPU is needed and no clock is looked at: the
stand-in tells of all that it is asked for. Of what CuPy does inside of its functions it knows the
least: one launch for each function that makes an array, a copy for each array to be joined, or one
launch and three copies of tables from the host where there are more than 8.
"""

import argparse
import collections
import contextlib
import functools
import math
import re
import sys
import traceback
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np

import minicnn
from benchmarks import gpu_steps
from minicnn import config
from minicnn.kernels.cuda import device
from tests.cuda.simulator import stand_in, streams

LAUNCH, SENT, FETCHED = "launch", "to the GPU", "from the GPU"
#: Up to so many arrays CuPy joins by a copy for each.
JOINED_ONE_BY_ONE = 8
JOINING = {"concatenate", "stack", "vstack", "hstack"}
PACKAGE = str(Path(device.__file__).parents[2])
FOLDER = Path(device.__file__).parent
_SIGNATURE = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(([^)]*)\)'
)


class Event(NamedTuple):
    """One launch or copy.

    Args:
        kind: `LAUNCH`, `SENT` or `FETCHED`, which is waited for.
        name: the kernel's, or that of CuPy's function.
        read: bytes of its operands, each looked at once.
        written: bytes of its results.
        place: the function of minicnn that asked for it.
    """

    kind: str
    name: str
    read: int
    written: int
    place: str


class Counts(NamedTuple):
    """What a function put on the GPU, in its order."""

    events: list[Event]

    def of(self, kind):
        """Return the number of launches, or of copies in one direction."""
        return sum(event.kind == kind for event in self.events)

    @property
    def launches(self):
        """The number of launches."""
        return self.of(LAUNCH)

    @property
    def sent(self):
        """The number of copies to the GPU."""
        return self.of(SENT)

    @property
    def waits(self):
        """The number of copies from the GPU, for each of which the computer waits."""
        return self.of(FETCHED)

    @property
    def moved(self):
        """The bytes that are read and written on the GPU."""
        return sum(event.read + event.written for event in self.events)

    def table(self):
        """Return lines of text: what was done alike from one place stands in one line."""
        rows = collections.Counter((e.kind, e.name, e.place) for e in self.events)
        sizes = collections.Counter()
        for e in self.events:
            sizes[e.kind, e.name, e.place] += e.read + e.written
        lines = [
            f"{count:4}  {kind:12}  {name:28}  {sizes[kind, name, place]:>12,}  {place}"
            for (kind, name, place), count in rows.items()
        ]
        return [f"   n  {'':12}  {'':28}  {'bytes':>12}  asked for by", *lines, str(self)]

    def __str__(self):
        return (
            f"{self.launches} launches, {self.moved:,} bytes, {self.sent} copies to the GPU, "
            f"{self.waits} waits"
        )


@functools.cache
def _written(name):
    """Return for each argument of a kernel whether it is an array that the kernel writes to."""
    for path in FOLDER.glob("*.cu"):
        for found, arguments in _SIGNATURE.findall(path.read_text()):
            if found == name:
                parts = (part.strip() for part in arguments.split(","))
                return ["*" in part and not part.startswith("const") for part in parts]
    raise AssertionError(f"no file has a kernel {name}")


def _bytes(array):
    """Return the bytes of an array's numbers; what is repeated counts once."""
    raw = array._array
    lengths = (n for n, step in zip(raw.shape, raw.strides, strict=True) if step)
    return math.prod(lengths) * raw.itemsize


def _arrays(value):
    """Return the GPU's arrays in a value."""
    if isinstance(value, stand_in.ndarray):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [a for v in value for a in _arrays(v)] if isinstance(value, tuple | list) else []


def _place():
    """Return the innermost function of minicnn, outside of its kernels, that is at work."""
    for frame, _ in traceback.walk_stack(sys._getframe()):
        path = frame.f_code.co_filename
        if path.startswith(PACKAGE) and "/kernels/" not in path:
            return f"{path.removeprefix(PACKAGE)[1:-3]}.{frame.f_code.co_qualname}"
    return ""


@contextlib.contextmanager
def counted():
    """Count what the stand-in is asked for in a `with` block, and yield it."""
    found = Counts([])
    original = {name: getattr(stand_in, name) for name in ("_call", "_change", "_sent")}
    read, launch = stand_in.ndarray._read, device.Program.launch
    replay = streams.Graph.launch

    def note(kind, name, read, written):
        found.events.append(Event(kind, name, read, written, _place()))

    def call(function, *args, block=None, **kwargs):
        result = original["_call"](function, *args, block=block, **kwargs)
        name = getattr(function, "__name__", "")
        given = [*_arrays(args), *_arrays(kwargs)]
        own = getattr(function, "__self__", None)  # the array of a method, as NumPy sees it
        taken = sum(map(_bytes, given)) + (own.nbytes if isinstance(own, np.ndarray) else 0)
        if name in stand_in.CHANGING:
            target = given[0]._array if own is None else own
            note(LAUNCH, name, taken - target.nbytes, target.nbytes)
            return result
        out = kwargs.get("out")
        blocks = {id(a._block) for a in given} | {id(block)}
        new = [a for a in _arrays(result) if a is out or id(a._block) not in blocks]
        if not new:
            return result  # a view, or no array at all
        parts = _arrays(args)
        if name in JOINING and len(parts) <= JOINED_ONE_BY_ONE:
            for part in parts:
                note(LAUNCH, name, _bytes(part), _bytes(part))
            return result
        if name in JOINING:
            for _ in range(3):
                note(SENT, name, 0, 8 * len(parts))
        taken -= 0 if out is None else _bytes(out)
        note(LAUNCH, name, taken, sum(map(_bytes, new)))
        return result

    def change(function, array, *args):
        part = array if function.__name__ != "setitem" else array[args[0]]
        also = 0 if function.__name__ == "setitem" else _bytes(array)
        note(LAUNCH, function.__name__, also + sum(map(_bytes, _arrays(args))), _bytes(part))
        return original["_change"](function, array, *args)

    def sent(array):
        # A single number is the argument of a kernel that fills an array with it.
        note(SENT if array.ndim else LAUNCH, "asarray", 0, array.nbytes)
        return original["_sent"](array)

    def fetched(array):
        note(FETCHED, "get", _bytes(array), 0)
        return read(array)

    def launched(program, name, grid, block, *given):
        sizes = [0, 0]
        for argument, written in zip(given, _written(name), strict=True):
            if isinstance(argument, stand_in.ndarray):
                sizes[written] += _bytes(argument)
        note(LAUNCH, name, *sizes)
        return launch(program, name, grid, block, *given)

    def replayed(graph, stream=None):
        # What it starts was counted when it was recorded.
        note(LAUNCH, "a recorded graph", 0, 0)
        return replay(graph, stream)

    changes = {"_call": call, "_change": change, "_sent": sent}
    with (
        mock.patch.multiple(stand_in, **changes),
        mock.patch.object(stand_in.ndarray, "_read", fetched),
        mock.patch.object(device.Program, "launch", launched),
        mock.patch.object(streams.Graph, "launch", replayed),
    ):
        yield found


def steps(training, batch):
    """Return what a step, a recorded one and a prediction put on the GPU, once all is compiled.

    Args:
        training: of `benchmarks.gpu_steps`.
        batch: images in a batch.
    """
    found = {}
    x, y = gpu_steps.data(training, batch)
    with config.use_backend("cupy"):
        x, y = minicnn.constant(x), minicnn.constant(y)
        for recorded in (False, True):
            model = gpu_steps.model_of(training, recorded)
            for _ in range(4):  # the second one meets its own weights, the third one is recorded
                model.train_on_batch(x, y)
            with counted() as found["replayed step" if recorded else "step"]:
                model.train_on_batch(x, y)
        model.predict_on_batch(x)
        with counted() as found["prediction"]:
            model.predict_on_batch(x)
    return found


def main(batch=32):
    with stand_in.installed():
        for training in gpu_steps.TRAININGS:
            for name, counts in steps(training, batch).items():
                print(f"{training.network.name}, batch {batch}, {name}", *counts.table(), sep="\n")
                print()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32, help="images in a batch, default 32")
    main(parser.parse_args().batch)
