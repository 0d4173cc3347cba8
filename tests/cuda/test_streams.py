"""Copies beside the work, and recorded work: what is not waited for shows."""

import gc
import itertools
import weakref

import numpy as np
import pytest

from minicnn.errors import RecordingError
from minicnn.geometry import Resize
from minicnn.kernels import cuda
from minicnn.kernels.cuda import pooling, transfer
from tests.cuda.simulator import stand_in, streams

#: When the default stream and the others do their work.
ORDERS = [("at once", "late"), ("late", "late"), ("late", "early")]


@pytest.fixture(params=ORDERS, ids=lambda order: f"{order[0]}-{order[1]}".replace(" ", "_"))
def any_order(request, cupy):
    """Every order of work that CUDA allows, as far as the stand-in knows; a card has its own."""
    if not cupy.__version__.endswith("(stand-in)"):
        if request.param != ORDERS[0]:
            pytest.skip("a card has its own order")
        yield
        return
    with streams.order(*request.param):
        yield


def numbers(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


# The stand-in's streams.


@pytest.fixture
def played():
    """The stand-in, whatever a card would do."""
    with stand_in.installed() as cupy:
        yield cupy


def test_what_nobody_waited_for_is_not_there(played):
    aside = played.cuda.Stream(non_blocking=True)
    with aside:
        x = played.asarray(numbers(2, 3))
        y = x * 2 + 1
    assert np.isnan((y + 0).get()).all()
    assert np.isnan(y.get()).all()  # the default stream is waited for, not the other one
    played.cuda.get_current_stream().wait_event(aside.record())
    assert np.array_equal((y + 0).get(), numbers(2, 3) * 2 + 1)
    assert aside.done


@pytest.mark.parametrize(
    "work",
    [
        lambda cupy, x: x.sum(0),
        lambda cupy, x: cupy.concatenate([x, x.T.reshape(2, 3)]),
        lambda cupy, x: x.T[1:],
        lambda cupy, x: x[x > 2],
        lambda cupy, x: x[:, cupy.asarray(np.array([2, 0, 2]))],
        lambda cupy, x: cupy.unique(x.astype("int32") // 2),
        lambda cupy, x: np.maximum(x, 2.5).astype("float64"),
        lambda cupy, x: cupy.ascontiguousarray(x.T),
        lambda cupy, x: cupy.add(x, 1, out=cupy.empty((2, 3), "float32")),
        lambda cupy, x: cupy.full_like(x, 7) ** x,
        lambda cupy, x: cupy.divmod(x, 4)[1],
    ],
)
def test_late_work_gives_what_work_at_once_gives(played, work):
    a = numbers(2, 3)
    expected = work(played, played.asarray(a)).get()
    with streams.order("late"):
        x = played.asarray(a)
        result = work(played, x)
        assert np.array_equal(result.get(), expected)
        assert result.dtype == expected.dtype
        x += 1
        x[1:] = -x[1:]
        x.fill(3)
        played.copyto(x, played.asarray(a))
        assert np.array_equal(x.get(), a)


def test_memory_is_handed_out_again_on_its_own_stream(played):
    aside, other = (played.cuda.Stream(non_blocking=True) for _ in range(2))
    with aside:
        place = played.empty((3, 5)).data.ptr
        with other:
            assert played.empty((3, 5)).data.ptr != place
        assert played.empty((3, 4)).data.ptr != place
        assert played.empty((5, 3)).data.ptr == place


def test_blocking_streams_and_the_default_one_go_hand_in_hand(played):
    blocking = played.cuda.Stream()
    with blocking:
        x = played.asarray(numbers(3, 2))
    assert np.array_equal((x + 1).get(), numbers(3, 2) + 1)
    del blocking
    gc.collect()


@pytest.mark.parametrize(
    ("forbidden", "told"),
    [
        (lambda cupy, x, s: s.synchronize(), "StreamCaptureUnsupported"),
        (lambda cupy, x, s: s.record().synchronize(), "CapturedEvent"),
        (lambda cupy, x, s: s.wait_event(cupy.cuda.Stream.null.record()), "CaptureIsolation"),
    ],
)
def test_what_a_capture_forbids_spoils_it(played, forbidden, told):
    x, stream = played.asarray(numbers(2, 3)), played.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        assert stream.is_capturing()
        with pytest.raises(played.cuda.runtime.CUDARuntimeError, match=told):
            forbidden(played, x, stream)
        with pytest.raises(played.cuda.runtime.CUDARuntimeError, match="Invalidated"):
            stream.end_capture()
    assert not stream.is_capturing()


@pytest.mark.parametrize(
    ("forbidden", "told"),
    [
        (lambda cupy, x: x.get(), "D2H"),
        (lambda cupy, x: float(x[0, 0]), "D2H"),
        (lambda cupy, x: x[x > 0], "D2H"),
        (lambda cupy, x: cupy.asarray(np.ones(3)), "H2D"),
        (lambda cupy, x: x[[1, 0]], "H2D"),
        (lambda cupy, x: cupy.concatenate([x] * 9), "H2D"),
    ],
)
def test_cupy_refuses_copies_during_a_capture_before_cuda_hears_of_them(played, forbidden, told):
    """As MemoryPointer.copy_from_host_async and its like in cupy/cuda/memory.pyx."""
    x, stream = played.asarray(numbers(2, 3)), played.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        with pytest.raises(RuntimeError, match=f"{told} transfers are disallowed") as caught:
            forbidden(played, x)
        assert type(caught.value) is RuntimeError
        y = played.concatenate([x] * 8) * 2
        stream.end_capture().launch()
        stream.synchronize()
    assert np.array_equal(y.get(), np.concatenate([numbers(2, 3)] * 8) * 2)


def test_products_of_cublas_are_not_captured(played):
    x, stream = played.asarray(numbers(2, 3)), played.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        for product in (lambda: x @ x.T, lambda: played.tensordot(x, x), lambda: x.dot(x.T)):
            with pytest.raises(NotImplementedError, match="cuBLAS"):
                product()
        assert isinstance(stream.end_capture(), played.cuda.Graph)
    with pytest.raises(RuntimeError, match="default"):
        played.cuda.get_current_stream().begin_capture()


def test_a_graph_whose_memory_is_gone_must_not_be_launched(played):
    x, stream = played.asarray(numbers(2, 3)), played.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        x += 1
        graph = stream.end_capture()
    graph.launch()
    assert np.array_equal(x.get(), numbers(2, 3) + 1)
    del x
    gc.collect()
    with pytest.raises(played.cuda.runtime.CUDARuntimeError, match="illegal memory access"):
        graph.launch()


# Copies beside the work.


def worked_with(cupy, batches, tables=8):
    """Use each batch for a while on the computing stream, and hold none of them."""
    weights = cupy.asarray(numbers(5, 3) / 16)
    total = cupy.zeros((), "float32")
    for batch in batches:
        y = batch
        for _ in range(tables):
            y = cupy.maximum(y * weights, y - weights)
        total = total + y.sum() + batch.sum()
    return total


def expected_total(batches):
    weights, total = numbers(5, 3) / 16, np.float32(0)
    for batch in batches:
        y = batch
        for _ in range(8):
            y = np.maximum(y * weights, y - weights)
        total = total + y.sum() + batch.sum()
    return total


def test_batches_arrive_and_are_not_overwritten(cupy, any_order):
    batches = [numbers(4, 5, 3) + i for i in range(6)]
    total = worked_with(cupy, cuda.ahead(batches, cuda.to_gpu))
    assert float(total) == pytest.approx(float(expected_total(batches)), rel=1e-5)


def test_a_host_array_may_be_filled_again_as_soon_as_it_was_given(cupy, any_order):
    def refilled():
        buffer = np.empty((4, 5, 3), np.float32)
        for i in range(5):
            buffer[...] = numbers(4, 5, 3) + i
            yield buffer

    total = worked_with(cupy, cuda.ahead(refilled(), cuda.to_gpu))
    expected = expected_total([numbers(4, 5, 3) + i for i in range(5)])
    assert float(total) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("forgotten", ["the copy", "the work"])
def test_either_wait_is_needed(played, monkeypatch, forgotten):
    """With one of the two waits left out, some order of the work spoils the result."""

    class Careless(streams.Stream):
        def wait_event(self, event):
            if forgotten != "the work":
                super().wait_event(event)

    if forgotten == "the work":
        monkeypatch.setattr(played.cuda, "Stream", Careless)
    else:
        monkeypatch.setattr(transfer, "_arrived", lambda waiting: waiting.pop(0)[0])
    transfer._copying.cache_clear()
    batches, results = [numbers(4, 5, 3) + i for i in range(6)], []
    for order in ORDERS:
        with streams.order(*order):
            results.append(float(worked_with(played, cuda.ahead(batches, cuda.to_gpu))))
    transfer._copying.cache_clear()
    right = [r == pytest.approx(float(expected_total(batches)), rel=1e-5) for r in results]
    assert not all(right)


def test_the_next_copy_begins_before_a_batch_is_yielded(cupy):
    moved = []

    def move(batch):
        moved.append(batch)
        return cuda.to_gpu(numbers(2, 3) + batch)

    ahead = cuda.ahead(itertools.count(), move)
    for i in range(3):
        assert np.array_equal(next(ahead).get(), numbers(2, 3) + i)
        assert moved == list(range(i + 2))
    assert list(cuda.ahead([], move)) == []
    assert [x.tolist() for x in cuda.ahead([7], move)] == [(numbers(2, 3) + 7).tolist()]


def test_an_error_comes_behind_the_batches_before_it(cupy):
    def broken():
        yield 1
        yield 2
        raise ZeroDivisionError("the third")

    ahead = cuda.ahead(broken(), lambda i: cuda.to_gpu(numbers(2, 3) * i))
    assert [float(next(ahead)[0, 1]) for _ in range(2)] == [1, 2]
    with pytest.raises(ZeroDivisionError, match="the third"):
        next(ahead)


# Recorded work.


def squares(cupy, x, w):
    """A few kernels, some of which work in memory that others gave back."""
    y = cuda.matmul(x, w)  # (M,N)
    for _ in range(3):
        y = cupy.maximum(y * y - 1, 0.5 * y)
    return y, cuda.column_sums(y)


def run(cupy, calls, x, w):
    """Call something once for each step, with new numbers in the same memory."""
    found = []
    for step in range(6):
        x[...] = cupy.asarray(numbers(4, 6) / 32 - step / 4)
        y, sums = calls()
        found.append((y + 0, sums * 2))
        del y, sums
        w += 0.25
    return [(y.get(), sums.get()) for y, sums in found]


def test_what_is_recorded_gives_the_bits_of_what_is_run(cupy, any_order):
    def operands():
        return cupy.asarray(numbers(4, 6)), cupy.asarray(numbers(6, 5) / 64)

    x, w = operands()
    with cuda.own_products():
        plain = run(cupy, lambda: squares(cupy, x, w), x, w)
    x, w = operands()
    seen = []
    recorded = cuda.Recorded(lambda: (seen.append(0), squares(cupy, x, w))[1])
    replayed = run(cupy, recorded, x, w)
    assert len(seen) == 2  # the first call runs it and the second one records it
    for (y, sums), (y_again, sums_again) in zip(plain, replayed, strict=True):
        assert np.array_equal(y, y_again)
        assert np.array_equal(sums, sums_again)
        assert np.isfinite(y).all()


def test_results_of_earlier_calls_lie_in_the_memory_of_later_ones(cupy):
    x = cupy.asarray(numbers(2, 3))
    doubled = cuda.Recorded(lambda: x * 2)
    doubled()
    second = doubled()
    x += 1
    third = doubled()
    assert third is second
    assert np.array_equal(second.get(), 2 * (numbers(2, 3) + 1))


def test_memory_of_a_graph_is_given_to_nobody_else(cupy, any_order):
    x = cupy.asarray(numbers(4, 5))
    step = cuda.Recorded(lambda: (x + 1) * (x - 1) + x)
    kept = []
    for _ in range(5):
        result = step()
        kept.append(cupy.full((4, 5), 3, "float32"))
        assert np.array_equal(result.get(), numbers(4, 5) ** 2 - 1 + numbers(4, 5))
    assert all((k.get() == 3).all() for k in kept)


def test_memory_of_a_graph_is_given_back_with_it(played):
    x = played.asarray(numbers(4, 5))
    gc.collect()
    before = stand_in.card.used_bytes
    step = cuda.Recorded(lambda: (x + 1) * (x - 1))
    for _ in range(3):
        step()
    assert stand_in.card.used_bytes > before
    pool = weakref.ref(step._pool)
    del step
    gc.collect()
    assert pool() is None
    assert stand_in.card.used_bytes == before


def test_tables_of_a_graph_outlive_their_cache(played):
    g = Resize(4, 6, 8, 12)
    x = played.asarray(numbers(2, 4, 6, 3))
    expected = cuda.resize2d(x, g, "bilinear").get()
    step = cuda.Recorded(lambda: cuda.resize2d(x, g, "bilinear"))
    step()
    step()
    pooling._tables.cache_clear()
    gc.collect()
    assert np.array_equal(step().get(), expected)


@pytest.mark.parametrize(
    "impossible",
    [
        lambda cupy, x: x * float(x.sum()),
        lambda cupy, x: x + cuda.to_gpu(np.ones((2, 3), np.float32)),
        lambda cupy, x: x @ x.T,
        lambda cupy, x: x[[1, 0]],
        lambda cupy, x: np.concatenate([x] * 9),
    ],
    ids=["waits", "sends", "cublas", "places", "nine"],
)
def test_what_cannot_be_recorded_says_why(cupy, impossible):
    x = cupy.asarray(numbers(2, 3))
    step = cuda.Recorded(lambda: impossible(cupy, x))
    expected = impossible(cupy, x).get()
    assert np.allclose(step().get(), expected)
    with pytest.raises(RecordingError, match=r"(capturing|\(2, 3\) of float32 is sent|cuBLAS)"):
        step()
    assert not cupy.cuda.get_current_stream().is_capturing()
    assert np.allclose(impossible(cupy, x).get(), expected)


def test_what_hides_that_it_waited_is_not_recorded_either(cupy):
    x = cupy.asarray(numbers(2, 3))

    def hides():
        try:
            cupy.cuda.get_current_stream().synchronize()
        except RuntimeError:
            return x * 2
        return x * 3

    step = cuda.Recorded(hides)
    step()
    with pytest.raises(RecordingError, match="capturing"):
        step()


def test_errors_of_the_function_are_its_own(cupy):
    calls = []

    def fails_later():
        calls.append(0)
        if len(calls) == 2:
            raise ValueError("mine")
        return cupy.zeros((2, 3))

    step = cuda.Recorded(fails_later)
    step()
    with pytest.raises(ValueError, match="mine"):
        step()
    assert (step().get() == 0).all()  # recorded at the third time


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("turned", ["neither", "left", "right"])
def test_own_products_are_products(cupy, dtype, turned):
    random = np.random.default_rng(3)
    a, b = random.normal(size=(7, 20)).astype(dtype), random.normal(size=(20, 5)).astype(dtype)
    left = cupy.asarray(np.ascontiguousarray(a.T)).T if turned == "left" else cupy.asarray(a)
    right = cupy.asarray(np.ascontiguousarray(b.T)).T if turned == "right" else cupy.asarray(b)
    with cuda.own_products():
        mine = cuda.matmul(left, right)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    assert np.allclose(mine.get(), a @ b, rtol=tolerance, atol=tolerance)
    assert np.allclose(cuda.matmul(left, right).get(), a @ b, rtol=tolerance, atol=tolerance)
