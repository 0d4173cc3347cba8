"""Recycled memory: used again when nobody can see it any more, and never before."""

import gc
import itertools
import sys
import threading
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minicnn as mc
from minicnn.runtime import memory

SHAPE = (3, 100, 250)  # of float32: 300,000 bytes


@pytest.fixture
def asked(monkeypatch):
    """Start without blocks; return the list of the sizes that NumPy is asked for."""
    sizes = []

    def empty(shape, dtype=float):
        array = np.empty(shape, dtype)
        sizes.append(array.nbytes)
        return array

    names = {n: getattr(np, n) for n in dir(np) if not n.startswith("_")}
    monkeypatch.setattr(memory, "np", SimpleNamespace(**names | {"empty": empty}))
    monkeypatch.setattr(memory, "_blocks", {})
    return sizes


def place(array):
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_when_its_array_is_gone(asked):
    first = memory.empty(SHAPE, "float32")
    before = place(first)
    del first
    second = memory.empty(SHAPE, "float32")
    assert place(second) == before
    assert len(asked) == 1
    del second
    other = memory.empty((300, 125), "float64")  # of as many bytes
    assert place(other) == before
    assert len(asked) == 1


def test_two_arrays_at_once_have_memory_each(asked):
    arrays = [memory.empty(SHAPE, "float32") for _ in range(5)]
    for a, b in itertools.combinations(arrays, 2):
        assert not np.shares_memory(a, b)
    assert len(asked) == 5
    places = {place(a) for a in arrays}
    del arrays, a, b
    arrays = [memory.empty(SHAPE, "float32") for _ in range(5)]
    assert {place(a) for a in arrays} == places
    assert len(asked) == 5


class Holder:
    """An object that shows an array's memory to others and holds nothing but the array."""

    def __init__(self, array):
        self.array = array
        self.__array_interface__ = array.__array_interface__


VIEWS = {
    "slice": lambda a: a[1:2, 5:7],
    "one number": lambda a: a[2, 3, 4:5],
    "every second": lambda a: a[::2, ::-3],
    "transposed": lambda a: a.T,
    "reshaped": lambda a: a.reshape(-1),
    "of a view": lambda a: a[1][3:].reshape(-1, 2)[0],
    "other type": lambda a: a.view("int32"),
    "real part": lambda a: a.view("complex64").real,
    "broadcast": lambda a: np.broadcast_to(a[0], (7, *a.shape[1:])),
    "windows": lambda a: np.lib.stride_tricks.sliding_window_view(a, (1, 2, 3)),
    "strided": lambda a: np.lib.stride_tricks.as_strided(a[0], (5,), (4,)),
    "memoryview": lambda a: memoryview(a),
    "from a buffer": lambda a: np.frombuffer(memoryview(a).cast("B"), "float32"),
    "subclass": lambda a: a.view(np.recarray),
    "matrix": lambda a: np.ma.masked_array(a[0]),
    "iterator": lambda a: a.flat,
    "interface": lambda a: np.asarray(Holder(a)),
    "tensor": mc.Tensor,
    "detached tensor": lambda a: mc.Tensor(a).detach(),
    "reshaped tensor": lambda a: mc.ops.reshape(mc.Tensor(a), (-1,)),
    "closure": lambda a: lambda: a,
    "in a list": lambda a: [[a]],
    "iterator over rows": iter,
}


@pytest.mark.parametrize("view", VIEWS)
def test_memory_is_not_used_again_while_any_view_lives(asked, view):
    array = memory.empty(SHAPE, "float32")
    before = place(array)
    kept = VIEWS[view](array)
    del array
    gc.collect()
    others = [memory.empty(SHAPE, "float32") for _ in range(3)]
    assert before not in {place(a) for a in others}
    assert len(asked) == 4
    del kept, others
    assert before in {place(a) for a in [memory.empty(SHAPE, "float32") for _ in range(4)]}


def test_numbers_stay_in_views_while_others_come_and_go():
    kept = []
    for i in range(40):
        array = memory.empty(SHAPE, "float32")
        array.fill(i)
        if i % 3 == 0:
            kept.append((i, array[1, ::7]))
    assert all((view == i).all() for i, view in kept)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "complex128", "bool"])
@pytest.mark.parametrize(
    "shape", [SHAPE, (1, 70_001), (33, 17, 501), (65_536,), (2, 0, 5), (), (7,)]
)
def test_arrays_are_like_those_of_numpy(shape, dtype):
    array, usual = memory.empty(shape, dtype), np.empty(shape, dtype)
    assert (array.shape, array.dtype, array.strides) == (usual.shape, usual.dtype, usual.strides)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.flags.aligned
    assert type(array) is np.ndarray
    array.fill(1)
    assert (array == 1).all()


@given(
    numbers=st.integers(memory.SMALLEST // 4, 200_000),
    dtype=st.sampled_from(["float32", "float64", "int32"]),
)
def test_large_arrays_begin_at_a_cache_line_and_lie_within_their_block(numbers, dtype):
    array = memory.empty((numbers,), dtype)
    assert place(array) % 64 == 0
    block = array
    while isinstance(block.base, np.ndarray):
        block = block.base
    assert place(block) <= place(array)
    end = place(array) + array.nbytes
    assert end <= place(block) + block.nbytes < end + array.nbytes // 4 + 1024


def test_small_arrays_are_left_to_numpy(asked):
    numbers = memory.SMALLEST // 4
    for shape in ((), (0,), (5, 3), (numbers - 1,)):
        assert memory.empty(shape, "float32").base is None
    assert not memory._blocks
    assert memory.empty((numbers,), "float32").base is not None
    assert memory._blocks


def test_sizes_that_hardly_differ_share_their_blocks(asked):
    # As the last batch of an epoch, which is a little smaller than the others.
    for rows in range(1000, 900, -1):
        memory.empty((rows, 100), "float32")
    assert len(asked) <= 3


@pytest.fixture
def held():
    """Return a function that tells how many bytes were taken since the start, without blocks."""
    gc.collect()
    tracemalloc.start()
    start = tracemalloc.get_traced_memory()[0]
    yield lambda: tracemalloc.get_traced_memory()[0] - start
    tracemalloc.stop()


def test_images_of_ever_other_sizes_do_not_add_up(monkeypatch, held):
    monkeypatch.setattr(memory, "_blocks", {})
    monkeypatch.setattr(memory, "_most", 0.0)
    largest = 0
    for megabytes in [*range(3, 40, 3), *range(40, 2, -3)]:
        arrays = [memory.empty((megabytes, 1 << 18), "float32") for _ in range(3)]
        largest = max(largest, megabytes)
        # Twice the most that was in use at once; sizes are rounded up by an eighth at most.
        assert held() <= memory.SPARE * 1.2 * 3 * largest * 2**20
        del arrays


def test_what_nobody_wants_again_is_given_back(monkeypatch, held):
    monkeypatch.setattr(memory, "_blocks", {})
    monkeypatch.setattr(memory, "_most", 0.0)
    large = memory.empty((40, 1 << 18), "float32")
    del large
    for _ in range(memory.RECENT + 1):
        memory.empty(SHAPE, "float32")
    assert held() > 40 * 2**20
    memory.empty((1 << 18,), "float32")
    assert held() < 3 * 2**20


def test_sizes_that_take_turns_are_all_kept(asked):
    # A training step has large arrays at its ends and small ones in the middle; with memory for
    # no more than is used at once, each would push out the others in every step.
    sizes = [900_000, 500_000, 300_000, 700_000]
    for _ in range(5):
        first = [memory.empty((size,), "float32") for size in sizes[:2]]
        del first
        second = [memory.empty((size,), "float32") for size in sizes[2:]]
        del second
    assert len(asked) == len(sizes)


def test_a_training_loop_takes_no_new_memory_after_its_first_steps(asked):
    x = np.random.default_rng(1).normal(size=(4, 30, 40, 16)).astype("float32")
    kernel = mc.Variable(np.full((3, 2, 16, 16), 0.01, "float32"))
    counts = []
    with mc.config.use_backend("numba"):
        for _ in range(5):
            loss = mc.ops.mean(mc.ops.square(mc.conv2d(x, kernel, relu=True)))
            loss.backward()
            kernel.grad = None
            del loss
            counts.append(sum(size >= memory.SMALLEST for size in asked))
    assert counts[0] > 0
    assert counts[-1] == counts[1]


def test_threads_never_share_an_array():
    # Threads change every few instructions; each fills its arrays and looks whether they stay so.
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    mistakes, start = [], threading.Barrier(6)

    def work(number):
        rng = np.random.default_rng(number)
        start.wait()
        held = []
        for step in range(60):
            array = memory.empty((int(rng.choice([20_000, 20_500, 40_000])),), "float32")
            value = 1000 * number + step
            array.fill(value)
            held.append((value, array))
            if len(held) > 3:
                held.pop(int(rng.integers(4)))
            if not all((a == v).all() for v, a in held):
                mistakes.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert mistakes == []


def test_arrays_outlive_the_thread_that_made_them():
    made = []

    def work():
        array = memory.empty(SHAPE, "float32")
        array.fill(5)
        made.append(array)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    memory.empty(SHAPE, "float32").fill(6)
    assert (made[0] == 5).all()
