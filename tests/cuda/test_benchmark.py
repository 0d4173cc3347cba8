"""The benchmark for a GPU runs to its end without one: only clocks and PyTorch's card are played.

`benchmarks/gpu.py` is for a machine that nobody of its makers may have at hand.
"""

import functools
import importlib.machinery
import importlib.util
import itertools
import json
import sys
import time
import types
import warnings

import numpy as np
import pytest
from rich.console import Console

from benchmarks import gpu, gpu_card, gpu_layers, gpu_memory, gpu_report, gpu_steps, gpu_torch
from benchmarks.gpu_card import Floors
from benchmarks.gpu_timing import (
    OURS,
    THEIRS,
    Case,
    Contestant,
    CupyClock,
    Effort,
    Pairing,
    Timing,
    check,
    measure,
)
from benchmarks.networks import Layer, cell_network
from minicnn import Sequential
from minicnn.kernels import Availability
from tests.cuda.simulator import stand_in

HAS_TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")

needs_training = pytest.mark.skipif(
    not hasattr(Sequential, "gpu"), reason="models are not trained on the GPU yet"
)

SHORT = Effort(2, 1e-6, 2, 60.0)
FLOORS = Floors(4e11, 1e13, 8e13)
TINY = gpu.Sizes(
    layers=(
        Layer(4, 6, 64, 66, batch=2),
        Layer(5, 4, 3, 2, 5, stride=2, batch=2),
        Layer(3, 2, 4, 2, stride=2, transposed=True, batch=2),
        Layer(6, 4, 4, 4, groups=4, batch=2),
        Layer(3, 5, 8, 4, size=1, batch=2),
    ),
    images=gpu_memory.Size(2, 6, 8, 3),
    trainings=(
        gpu_steps.mnist_classifier(8, 12, 2),
        gpu_steps.Training(cell_network(8, 16, 4)),
    ),
    batches=(3, 2),
    compiled=False,
    rows=(9, 12),
    copied=4096,
)


class WallClock:
    """Plays the events of a card that works while the call is made."""

    def __init__(self):
        self.flushed = 0

    def mark(self):
        return time.perf_counter()

    def between(self, first, last):
        return last - first

    def wait(self):
        """Everything has been computed already."""

    def flush(self):
        self.flushed += 1


@pytest.fixture
def place(cupy, monkeypatch):
    """Where the tests measure: minicnn on the stand-in and PyTorch on the CPU, or both on a GPU."""
    if "stand-in" not in cupy.__version__:
        return None
    monkeypatch.setattr(cupy.cuda.runtime, "runtimeGetVersion", lambda: 12080, raising=False)
    monkeypatch.setattr(gpu_card, "driver", lambda: "999.99")
    monkeypatch.setattr(gpu, "FULL", SHORT)
    clocks = {OURS: WallClock()} | ({THEIRS: WallClock()} if HAS_TORCH else {})
    return gpu.Side("cpu" if HAS_TORCH else None, clocks, "numpy")


def numbers_of(path):
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def rows_in(path, section):
    return numbers_of(path)["sections"][gpu.TITLES[section]]


# The whole.


@pytest.mark.slow
def test_a_run_from_the_command_line_to_its_files(place, tmp_path, capsys):
    file = tmp_path / "table.md"
    code = gpu.main(["--only", "layers", "memory", "--output", str(file)], TINY, place)
    printed, text = capsys.readouterr().out, file.read_text(encoding="utf-8")
    rows = rows_in(file, "layers")
    for r in rows + rows_in(file, "memory"):
        assert r["problems"] == {}
        if HAS_TORCH:
            assert r["theirs_time"]["median"] > 0
            assert r["ratio"] > 0
    assert code == 0
    assert len(rows) == 5 * 3 * 3 + 3  # layers, maps, precisions; three have a matrix product
    for r in rows:
        assert r["ours_time"]["median"] > 0
        assert r["flops"] > 0
        assert r["of_copy"] > 0
    wide = [r for r in rows if r["group"].startswith("64->66")]
    assert {(r["ours"], r["target"]) for r in wide} == {
        ("float32", 0.6), ("tf32", 0.4), ("3xtf32", None), ("by cuBLAS", None),
    }  # fmt: skip
    assert all(r["target"] is None for r in rows if r not in wide)
    assert [r["target"] for r in rows_in(file, "memory")] == [0.85] * 11
    for shown in (printed, text):
        assert "stand-in for a GPU" in shown or place is None
        assert "64->66, 3x3, 4x6, batch 2" in shown
        assert "2x2 max-pool, gradient" in shown
        assert "cuDNN TF32" in shown or not HAS_TORCH
    if place is not None:
        assert "| driver | 999.99, for CUDA up to 12.9 |" in text
        assert "CUDA 12.8" in text
        assert set(numbers_of(file)["floors"]) == {"copy", "float32", "tf32"}


@pytest.mark.slow
def test_without_pytorch_minicnn_is_measured_alone(place, tmp_path, capsys):
    if place is None:
        pytest.skip("a GPU with PyTorch has no such run")
    alone = gpu.Side(None, {OURS: place.clocks[OURS]}, "numpy")
    file = tmp_path / "table.md"
    assert gpu.main(["--output", str(file)], TINY, alone) == 0
    assert "| PyTorch | none, so minicnn is measured alone |" in file.read_text(encoding="utf-8")
    assert "TF32 not measured" in capsys.readouterr().out
    for section in gpu.SECTIONS:
        for r in rows_in(file, section):
            assert r["theirs"] == ""
            assert r["theirs_time"] is None
            assert r["ours_time"]["median"] > 0
    assert [(r["group"], r["name"]) for r in rows_in(file, "steps")][::3] == [
        ("MNIST classifier", "batch 3"), ("MNIST classifier", "batch 2"),
        ("cell autoencoder", "batch 3"), ("cell autoencoder", "batch 2"),
    ]  # fmt: skip
    assert "not measured" in next(
        line for line in file.read_text(encoding="utf-8").splitlines() if "64->66" in line
    )


def test_a_wrong_result_is_told_and_its_time_is_not(place, tmp_path, capsys, monkeypatch):
    if place is None or not HAS_TORCH:
        pytest.skip("needs PyTorch on the CPU")
    right = gpu_memory.kernel

    def wrong(name, work, array):
        found = right(name, work, array)
        return (lambda x, g: 1.001 * found(x, g)) if name == "average_pool2d" else found

    monkeypatch.setattr(gpu_memory, "kernel", wrong)
    file = tmp_path / "table.md"
    assert gpu.main(["--only", "memory", "--output", str(file)], TINY, place) == 1
    by_name = {r["name"]: r for r in rows_in(file, "memory")}
    assert by_name["2x2 average-pool"]["ours_time"] is None
    assert by_name["2x2 average-pool"]["met"] is None
    assert "differs by 1.0e-03" in by_name["2x2 average-pool"]["problems"][OURS]
    assert by_name["2x2 average-pool, gradient"]["ours_time"] is not None
    assert "2x2 average-pool, minicnn: the result differs by 1.0e-03" in capsys.readouterr().out


def step_of(training, device, backend="numpy"):
    (plan,) = gpu_steps.plans((training,), (3,), device, True, backend)
    (case,) = plan.build()
    return case


@needs_torch
@pytest.mark.parametrize("backend", ["numpy", pytest.param("cupy", marks=needs_training)])
@pytest.mark.parametrize("training", TINY.trainings, ids=lambda t: t.network.name)
def test_losses_of_whole_steps_agree(cupy, training, backend, monkeypatch):
    import torch

    monkeypatch.setattr(torch, "compile", lambda function, *, mode, dynamic: function)
    case = step_of(training, "cpu", backend)
    check(case)
    assert case.problems == {}
    assert set(case.differences) == set(case.contestants) - {gpu_steps.EAGER}
    assert max(case.differences.values()) < 1e-5
    measure(case, {OURS: WallClock(), THEIRS: WallClock()}, SHORT)
    rows = gpu_report.rows_of(case, FLOORS)
    assert [(r.ours, r.theirs) for r in rows] == [
        ("as it is", "eager"), ("replayed", "eager"), ("replayed, tf32", "eager, TF32"),
        ("replayed", "torch.compile"),
    ]  # fmt: skip
    assert all(r.ratio > 0 for r in rows)


@needs_torch
def test_what_fails_says_why_and_the_rest_is_measured(cupy, monkeypatch):
    import torch

    def broken(function, *, mode, dynamic):
        raise RuntimeError(f"no Triton for {mode}\nand a long story")

    monkeypatch.setattr(torch, "compile", broken)
    case = step_of(TINY.trainings[0], "cpu")
    check(case)
    measure(case, {OURS: WallClock(), THEIRS: WallClock()}, SHORT)
    *rest, compiled = gpu_report.rows_of(case, FLOORS)
    assert all(r.ratio > 0 for r in rest)
    assert compiled.theirs_time is None
    assert compiled.problems == {"torch.compile": "RuntimeError: no Triton for reduce-overhead"}
    assert not compiled.wrong
    assert gpu_report.problem_lines([compiled, compiled]) == [
        "MNIST classifier, batch 3, torch.compile: RuntimeError: no Triton for reduce-overhead"
    ]


def test_a_step_that_cannot_be_recorded_is_no_replay(cupy, monkeypatch):
    plain = Sequential.train_on_batch

    def warned(self, *args):
        if self.jit_compile is True:
            warnings.warn("the step cannot be recorded", stacklevel=1)
        return plain(self, *args)

    monkeypatch.setattr(Sequential, "train_on_batch", warned)
    case = step_of(TINY.trainings[0], None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as a program may do
        check(case)
    assert set(case.problems) == {"replayed", "replayed, tf32"}
    assert case.problems["replayed"] == "UserWarning: the step cannot be recorded"


def test_what_there_is_no_time_for_is_named(place, tmp_path):
    if place is None:
        pytest.skip("tested with a clock that is played")
    report = gpu_report.Report("title", "command", {}, FLOORS)
    hours = itertools.chain([0.0, 0.0], itertools.repeat(1e6))
    stored = []
    console = Console(file=(tmp_path / "log").open("w"), width=170)
    gpu.run(
        console, report, ["memory"], TINY, place, SHORT, lambda: stored.append(1), hours.__next__
    )
    console.file.close()
    first, *later = report.sections[gpu.TITLES["memory"]]
    assert first.ours_time is not None
    assert len(later) == 10
    for r in later:
        assert r.problems == {r.group: "not measured, for lack of time"}
    assert stored == [1]
    assert "squared error with its gradient: not measured" in (tmp_path / "log").read_text()


# Arithmetic, by hand.


@pytest.mark.parametrize(
    ("layer", "numbers", "products"),
    [
        # 5 images of 4*6*2 and 4*6*3 numbers, and a kernel of 3*3*2*3.
        (Layer(4, 6, 2, 3, batch=5), 5 * (48 + 72) + 54, 5 * 24 * 9 * 6),
        # Results have 2*3 pixels.
        (Layer(4, 6, 2, 3, stride=2, batch=5), 5 * (48 + 18) + 54, 5 * 6 * 9 * 6),
        # From 2*3*4 to 4*6*5 numbers; each input pixel meets the whole kernel.
        (Layer(2, 3, 4, 5, stride=2, transposed=True, batch=1), 24 + 120 + 180, 6 * 9 * 20),
        # Each channel has its own 3*3 kernel.
        (Layer(4, 6, 8, 8, groups=8, batch=1), 192 + 192 + 72, 24 * 9 * 8),
    ],
)
def test_numbers_and_products_of_a_layer(layer, numbers, products):
    assert gpu_layers.numbers_moved(layer) == numbers
    assert layer.multiply_adds == products


def test_targets_speak_of_wide_layers():
    wide, thin = Layer(7, 5, 64, 96), Layer(7, 5, 63, 96)
    assert [gpu_layers.target(wide, p) for p in ("float32", "tf32", "3xtf32")] == [0.6, 0.4, None]
    assert gpu_layers.target(thin, "float32") is None
    assert gpu_layers.target(wide._replace(filters=64, groups=64), "float32") is None


def test_cards_without_tensor_cores_are_not_asked_for_tf32(cupy, card):
    if "stand-in" not in cupy.__version__:
        pytest.skip("the card cannot be chosen")
    card.capability = "75"
    plans = [
        *gpu_layers.plans(TINY.layers[-1:], None),
        *gpu_steps.plans(TINY.trainings[:1], (3,), None),
    ]
    used = [name for plan in plans for case in plan.build() for name in case.contestants]
    paired = [p.ours for plan in plans for case in plan.build() for p in case.pairings]
    assert used == paired
    assert used == ["float32", "by cuBLAS", "float32", "float32", "as it is", "replayed"]


def test_bytes_of_what_waits_for_memory(cupy):
    n = 2 * 4 * 6 * 3
    moved = [
        case.moved
        for plan in gpu_memory.plans(gpu_memory.Size(2, 4, 6, 3), None)
        for case in plan.build()
    ]
    pools = [4 * (n + n // 4 + n // 4)] * 2 + [4 * (n + n // 4)] * 4
    normalization = [4 * (2 * n + n), 4 * (2 * 3 * n + n)]
    ends = [4 * 2 * n, 4 * (4 + 3) * n, 4 * (2 + 1) * n]
    assert moved == pools + normalization + ends


def measured(**pairing):
    """A case of 4e9 operations and 2e8 bytes: 2 ms here, 3 ms there."""
    nothing = Contestant(OURS, lambda: None, lambda: None, 0.0)
    pair = Pairing("a", "b", **pairing)
    case = Case(("layer", "map"), {"a": nothing, "b": nothing}, [pair], int(4e9), int(2e8))
    case.samples = {"a": [0.002], "b": [0.001, 0.003, 0.005, 0.004, 0.002]}
    return case


def test_a_row():
    (r,) = gpu_report.rows_of(measured(ratio=1.6), FLOORS)
    assert r.theirs_time == Timing(0.003, 0.002, 0.004)
    assert r.ratio == pytest.approx(1.5)
    assert r.flops == pytest.approx(2e12)  # of 1e13
    assert r.of_peak == pytest.approx(0.2)
    assert r.bandwidth == pytest.approx(1e11)  # of 4e11
    assert r.of_copy == pytest.approx(0.25)
    assert r.met is False
    assert gpu_report.target_text(r) == "1.60 missed"
    assert gpu_report.cells(r) == [
        "a", "2.00 (2.00-2.00)", "b", "3.00 (2.00-4.00)", "1.50", "2.00", "20%", "100", "25%",
    ]  # fmt: skip


def test_targets_of_a_row():
    def row(**pairing):
        return gpu_report.rows_of(measured(**pairing), FLOORS)[0]

    assert row(ratio=1.5).met is True
    assert row(share=0.24).met is True
    assert row(share=0.26).met is False
    assert gpu_report.target_text(row()) == ""
    assert row(peak="tf32").of_peak == pytest.approx(2 / 80)
    assert row(peak="tf32", ratio=1.0).target == 1.0


def test_what_is_not_known_is_left_open():
    case = measured(ratio=0.5)
    case.problems["b"] = "no room"
    (r,) = gpu_report.rows_of(case, Floors(None, None, None))
    assert (r.ratio, r.of_peak, r.of_copy, r.theirs_time, r.met) == (None,) * 5
    assert r.flops == pytest.approx(2e12)
    assert gpu_report.target_text(r) == "0.50 not measured"


def test_the_tally():
    report = gpu_report.Report("title", "command", {}, FLOORS)
    report.sections["s"] = [
        gpu_report.rows_of(measured(**options), FLOORS)[0]
        for options in ({"ratio": 1.0}, {"ratio": 1.4}, {"share": 0.9}, {})
    ] + [gpu_report.lost("x", "no room")]
    assert report.tally() == "Targets: 2 met, 1 missed, 0 not measured."
    assert not report.differs
    assert "| layer | map | a | 2.00 (2.00-2.00) | b |" in report.markdown()
    assert "* x: no room" in report.markdown()


def test_the_faster_of_both_libraries_is_the_floor(cupy):
    case = measured()
    assert gpu_card.fastest(case) == pytest.approx(2e8 / 0.002)
    case.moved, case.samples["b"] = 0, [0.001]
    assert gpu_card.fastest(case) == pytest.approx(4e9 / 0.001)
    case.problems = {"a": "no room", "b": "no room"}
    assert gpu_card.fastest(case) is None


# Timing.


class Diary:
    """A clock that writes down what happens; each mark is a second after the one before."""

    def __init__(self, diary, name):
        self.diary, self.name, self.ticks = diary, name, 0

    def mark(self):
        self.diary.append("mark")
        self.ticks += 1
        return self.ticks

    def between(self, first, last):
        return last - first

    def wait(self):
        self.diary.append(f"wait {self.name}")

    def flush(self):
        self.diary.append("flush")


def diary_of(flush, rounds=1, calls=3):
    diary = []

    def contestant(name):
        return Contestant(name, lambda: diary.append(name), lambda: None, 0.0)

    case = Case(("", ""), {n: contestant(n) for n in (OURS, THEIRS)}, [], flush=flush)
    clocks = {n: Diary(diary, n) for n in (OURS, THEIRS)}
    measure(case, clocks, Effort(rounds, calls, calls, 1.0))
    return diary, case


def test_many_calls_lie_between_two_events():
    diary, case = diary_of(flush=False)
    both = [f"wait {OURS}", f"wait {THEIRS}"]
    turns = [
        [*both, name, "mark", name, name, name, "mark", f"wait {name}"] for name in (OURS, THEIRS)
    ]
    assert diary[-18:] == turns[0] + turns[1]
    assert case.samples == {OURS: [1 / 3], THEIRS: [1 / 3]}


def test_caches_are_emptied_before_each_call():
    diary, case = diary_of(flush=True)
    last = ["flush", "mark", THEIRS, "mark"] * 3 + [f"wait {THEIRS}"]
    assert diary[-13:] == last
    assert case.samples == {OURS: [1.0], THEIRS: [1.0]}


def test_contestants_take_turns():
    diary, _ = diary_of(flush=False, rounds=4, calls=1)
    ends = zip(diary, diary[1:], diary[2:], strict=False)
    timed = [
        call for before, call, after in ends
        if before == after == "mark" and call in (OURS, THEIRS)
    ]  # fmt: skip
    # Each round in the other order, so that nobody always follows the other.
    rounds = [OURS, THEIRS, THEIRS, OURS] * 2
    assert timed == [OURS] * 3 + [THEIRS] * 3 + rounds


def test_kernels_are_called_until_they_are_no_longer_faster():
    from benchmarks.gpu_timing import warm_up

    times = iter([9.0, 4.0, 1.5, 1.0, 0.9, 0.9])
    clock = types.SimpleNamespace(
        mark=lambda: None, wait=lambda: None, between=lambda a, b: next(times)
    )
    assert warm_up(Contestant(OURS, lambda: None, lambda: None, 0.0), clock) == 0.9
    assert list(times) == [0.9]


def test_what_is_compared(cupy):
    def result(*values):
        array = cupy.asarray(np.array(values, np.float32))
        return Contestant(OURS, lambda: None, lambda: array, 1e-3)

    found = {
        "zero": result(0, 0), "first": result(2, -4), "near": result(2, -4.003),
        "far": result(2.01, -4), "lost": result(float("nan"), -4), "long": result(2, -4, 1),
    }  # fmt: skip
    case = Case(("", ""), found, [])
    check(case)
    assert case.problems == {
        "zero": "the result is zero or not a number",
        "far": "the result differs by 2.5e-03 of the largest number",
        "lost": "the result differs by nan of the largest number",
        "long": "ValueError: the result's shape is (3,), not (2,)",
    }
    assert case.wrong >= {"zero", "far", "lost"}


class Event:
    """Plays an event; the card's clock moves on by 2 ms at each."""

    ticks = itertools.count()
    stream = object()

    def record(self, stream):
        assert stream is Event.stream
        self.at = 2.0 * next(Event.ticks)


def test_the_events_of_cupy(cupy, monkeypatch):
    played = "stand-in" in cupy.__version__
    if played:
        names = stand_in.NAMES
        assert {"Event", "get_elapsed_time", "get_current_stream"} <= set(names["cuda"])
        assert "runtimeGetVersion" in names["runtime"]
        put = functools.partial(monkeypatch.setattr, cupy.cuda, raising=False)
        put("Event", Event)
        put("get_current_stream", lambda: Event.stream)
        put("get_elapsed_time", lambda first, last: last.at - first.at)
    clock = CupyClock(1024)
    clock.flush()
    first, last = clock.mark(), clock.mark()
    clock.wait()
    found = clock.between(first, last)
    assert found == pytest.approx(0.002) if played else 0 <= found < 1


@needs_torch
def test_the_events_of_pytorch(monkeypatch):
    import torch

    class TorchEvent(Event):
        def __init__(self, enable_timing):
            assert enable_timing

        def elapsed_time(self, last):
            return last.at - self.at

    found = types.SimpleNamespace(L2_cache_size=2048)
    monkeypatch.setattr(gpu_torch, "DEVICE", "cpu")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: found)
    monkeypatch.setattr(torch.cuda, "Event", TorchEvent)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: Event.stream)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    clock = gpu_torch.TorchClock(1024)
    clock.flush()
    clock.wait()
    assert clock.between(clock.mark(), clock.mark()) == pytest.approx(0.002)


@needs_torch
def test_precisions_of_pytorch_are_put_back():
    import torch

    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32, convolutions.benchmark
    for tf32 in (True, False):
        with gpu_torch.precision(tf32):
            assert (products.allow_tf32, convolutions.allow_tf32) == (tf32, tf32)
            assert convolutions.benchmark
    assert (products.allow_tf32, convolutions.allow_tf32, convolutions.benchmark) == before


# Where nothing can be measured, or nothing can be written.


def test_without_a_gpu_one_sentence(monkeypatch, capsys, tmp_path):
    found = {"cupy": Availability(False, "CuPy is not installed")}
    monkeypatch.setattr(gpu.kernels, "backends", lambda: found)
    assert gpu.main(["--output", str(tmp_path / "x.md")]) == 2
    assert capsys.readouterr().err == "No GPU can be used: CuPy is not installed.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (None, "PyTorch 9.9 is installed without CUDA, so there is nothing to compare with"),
        ("12.4", "PyTorch 9.9, for CUDA 12.4, finds no GPU that it can use, though CuPy does"),
    ],
)
def test_a_pytorch_that_cannot_use_the_gpu(version, told, monkeypatch, capsys, tmp_path):
    fake = types.ModuleType("torch")
    fake.__spec__ = importlib.machinery.ModuleSpec("torch", None)
    fake.__version__, fake.version = "9.9", types.SimpleNamespace(cuda=version)
    fake.cuda = types.SimpleNamespace(is_available=lambda: False)
    monkeypatch.setitem(sys.modules, "torch", fake)
    monkeypatch.setattr(gpu.kernels, "backends", lambda: {"cupy": Availability(True, "a GPU")})
    assert gpu.main(["--output", str(tmp_path / "x.md")]) == 2
    assert capsys.readouterr().err.startswith(told)


def test_files_that_cannot_be_written_are_refused_first(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(gpu, "obstacle", lambda: pytest.fail("the file comes first"))
    (tmp_path / "file").touch()
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "numbers.json").mkdir()
    for name, told in (
        ("file/x.md", "cannot write to the folder"),
        ("folder.md", "is a folder; choose another name"),
        ("numbers.md", "is a folder; choose another name"),
        ("x.json", "the name must end in .md"),
    ):
        with pytest.raises(SystemExit) as stopped:
            gpu.main(["--output", str(tmp_path / name)])
        assert stopped.value.code == 2
        assert told in capsys.readouterr().err


def test_the_help_fits_and_names_the_day(capsys):
    with pytest.raises(SystemExit):
        gpu.main(["--help"])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    assert "python -m benchmarks.gpu [--quick]" in text
    assert f"gpu-benchmark-{time.strftime('%Y')}-" in text
