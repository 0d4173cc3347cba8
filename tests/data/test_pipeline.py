"""What a pipeline promises beyond order: randomness, caches, threads, messages, and training."""

import threading
import time
import warnings

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from minicnn import GradientTape, Sequential, Variable, config, layers
from minicnn.data import AUTOTUNE, Dataset, TensorSpec
from minicnn.errors import ArgumentError, DataError, OutputError, ShapeError


def numbers(data):
    return [int(x) for x in data]


def noisy(x):
    return x + config.random_generator().integers(1000)


def worker_threads():
    return [t for t in threading.enumerate() if t.name.startswith("minicnn-")]


# Shuffling.


@pytest.mark.parametrize("size", [1, 2, 5, 30, 99])
def test_a_shuffle_is_a_permutation_within_its_buffer(size):
    orders = [numbers(Dataset.range(30).shuffle(size, seed=seed)) for seed in range(300)]
    for order in orders:
        assert sorted(order) == list(range(30))
        # An element is in the buffer only when at most size - 1 before it are still to come.
        assert all(element - place < size for place, element in enumerate(order))
    assert (len({tuple(order) for order in orders}) == 1) == (size == 1)
    # The whole buffer is drawn from, from the first element on.
    assert {order[0] for order in orders} == set(range(min(size, 30)))


def test_a_full_shuffle_gives_every_order_as_often():
    data = Dataset.range(3).shuffle(3, seed=0)
    counts = {}
    for _ in range(1200):
        order = tuple(numbers(data))
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6
    assert max(abs(n - 200) for n in counts.values()) < 60  # more than four standard deviations


def test_reshuffling_and_seeds():
    again = Dataset.range(20).shuffle(20, seed=3)
    first, second = numbers(again), numbers(again)
    assert first != second
    anew = Dataset.range(20).shuffle(20, seed=3)
    assert [numbers(anew), numbers(anew)] == [first, second]
    fixed = Dataset.range(20).shuffle(20, seed=3, reshuffle_each_iteration=False)
    assert numbers(fixed) == numbers(fixed) == first
    free = Dataset.range(20).shuffle(20, reshuffle_each_iteration=False)
    assert numbers(free) == numbers(free)


def test_repeated_shuffles_keep_epochs_apart_and_differ():
    order = numbers(Dataset.range(8).shuffle(8, seed=1).repeat(3))
    epochs = [order[:8], order[8:16], order[16:]]
    assert all(sorted(e) == list(range(8)) for e in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert sorted(numbers(Dataset.range(8).repeat(2).shuffle(16, seed=1))[:8]) != list(range(8))


def test_without_seeds_set_random_seed_decides(monkeypatch):
    monkeypatch.setitem(config._settings, "generator", None)

    def two_epochs(threads):
        config.set_random_seed(11)
        data = Dataset.range(9).shuffle(9).map(noisy, threads).shuffle(4).prefetch(2)
        return numbers(data), numbers(data)

    plain = two_epochs(None)
    assert plain == two_epochs(None) == two_epochs(3)
    assert plain[0] != plain[1]


# Random numbers and threads.


def test_random_numbers_belong_to_the_element_not_to_the_thread(monkeypatch):
    monkeypatch.setitem(config._settings, "generator", np.random.default_rng(5))

    def slow(x):
        time.sleep(0.002 * (3 - int(x) % 4))  # so that threads finish in another order
        return noisy(x)

    config.set_random_seed(5)
    serial = numbers(Dataset.range(12).map(noisy))
    config.set_random_seed(5)
    assert numbers(Dataset.range(12).map(slow, num_parallel_calls=4)) == serial
    assert len({a - i for i, a in enumerate(serial)}) > 6


def test_seeded_generators_in_a_map_depend_on_their_seed_alone(monkeypatch):
    monkeypatch.setitem(config._settings, "generator", None)

    def epochs():
        generator = config.SeededGenerator(4)
        data = Dataset.range(5).map(lambda x: x + generator().integers(1000), AUTOTUNE)
        return numbers(data), numbers(data)

    first = epochs()
    assert first == epochs()
    assert first[0] != first[1]


def test_a_pipeline_without_random_parts_leaves_the_generator_alone(monkeypatch):
    monkeypatch.setitem(config._settings, "generator", None)
    config.set_random_seed(1)
    before = config.random_state()
    numbers(Dataset.range(9).batch(2).unbatch().shuffle(3, seed=1).repeat(2).prefetch(1))
    assert config.random_state() == before


@pytest.mark.parametrize("step", ["map", "prefetch", "interleave"])
def test_errors_cross_threads_in_their_place(step):
    def fail(x):
        if int(x) == 3:
            raise ZeroDivisionError("the third")
        return x

    data = Dataset.range(6)
    if step == "map":
        data = data.map(fail, num_parallel_calls=2)
    elif step == "prefetch":
        data = data.map(fail).prefetch(5)
    else:
        data = data.interleave(lambda x: Dataset.from_tensors(x).map(fail), 1, 1, AUTOTUNE)
    with pytest.raises(ZeroDivisionError, match="the third"):
        numbers(data)
    iterator = iter(data)
    assert [int(next(iterator)) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        next(iterator)
    del iterator
    assert worker_threads() == []


@pytest.mark.parametrize(
    "make",
    [
        lambda d: d.prefetch(2),
        lambda d: d.map(lambda x: x, num_parallel_calls=3),
        lambda d: d.map(lambda x: x, num_parallel_calls=2).batch(2).prefetch(1),
        lambda d: d.interleave(lambda x: Dataset.range(5), 3, 1, AUTOTUNE),
        lambda d: d.prefetch(1).repeat().prefetch(1),
    ],
)
def test_abandoned_iterators_end_their_threads(make):
    data = make(Dataset.range(1000))
    iterator = iter(data)
    next(iterator)
    assert worker_threads()
    del iterator
    deadline = time.monotonic() + 5
    while worker_threads() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert worker_threads() == []


def test_prefetch_works_while_the_consumer_does():
    began = threading.Event()

    def source():
        for i in range(4):
            if i == 2:
                began.set()
            yield i

    iterator = iter(Dataset.from_generator(source).prefetch(2))
    next(iterator)
    assert began.wait(5)  # prepared although nobody asked for the third element
    assert [int(x) for x in iterator] == [1, 2, 3]


@pytest.mark.cpu_only  # one more is on its way to the GPU there
def test_prefetch_stays_within_its_buffer():
    made = []

    def source():
        for i in range(20):
            made.append(i)
            yield i

    iterator = iter(Dataset.from_generator(source).prefetch(3))
    next(iterator)
    time.sleep(0.05)
    assert len(made) <= 5  # one taken, three in the buffer, one at hand
    assert [int(x) for x in iterator][-1] == 19


def test_parallel_calls_run_at_the_same_time():
    both = threading.Barrier(2, timeout=5)
    assert numbers(Dataset.range(2).map(lambda x: (both.wait(), x)[1], 2)) == [0, 1]


def test_unordered_results_come_as_they_are_done():
    wait = threading.Event()

    def work(x):
        if int(x) == 0:
            wait.wait(5)
        return x

    iterator = iter(Dataset.range(4).map(work, 2, deterministic=False))
    first = int(next(iterator))
    wait.set()
    assert first != 0
    assert sorted([first, *(int(x) for x in iterator)]) == [0, 1, 2, 3]


def test_compiled_kernels_are_left_to_the_main_thread():
    def backend(x):
        return config.backend()

    with config.use_backend("numba"):
        assert list(Dataset.range(1).map(backend)) == ["numba"]
        assert list(Dataset.range(1).map(backend, 2)) == ["numpy"]
        assert list(Dataset.range(1).map(backend).prefetch(1)) == ["numpy"]


# Caches.


def counted(calls):
    def function(x):
        calls.append(int(x))
        return x, {"name": f"n{int(x)}", "square": x * x}

    return function


@pytest.mark.parametrize("in_file", [False, True])
def test_a_cache_computes_each_element_once(tmp_path, in_file):
    calls = []
    data = Dataset.range(4).map(counted(calls))
    data = data.cache(tmp_path / "kept") if in_file else data.cache()
    first, second = list(data.as_numpy_iterator()), list(data.as_numpy_iterator())
    assert first == second == [(i, {"name": f"n{i}", "square": i * i}) for i in range(4)]
    assert calls == [0, 1, 2, 3]


@pytest.mark.parametrize("in_file", [False, True])
def test_only_a_pass_to_the_end_fills_a_cache(tmp_path, in_file):
    calls = []
    data = Dataset.range(4).map(counted(calls))
    data = data.cache(tmp_path / "kept") if in_file else data.cache()
    list(data.take(2))
    assert calls == [0, 1]
    assert list(tmp_path.iterdir()) == []
    list(data)
    list(data)
    assert calls == [0, 1, 0, 1, 2, 3]
    assert len(list(tmp_path.iterdir())) == int(in_file)


def test_a_cache_in_a_file_serves_later_programs_and_keeps_types(tmp_path):
    x = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    data = Dataset.from_tensor_slices((x, np.array([3, 1, 2, 0], np.uint8)))
    list(data.cache(str(tmp_path / "kept")))
    later = Dataset.range(99).cache(tmp_path / "kept")  # its own elements are not asked for
    for i, (image, label) in enumerate(later):
        np.testing.assert_array_equal(image.numpy(), x[i])
        assert (image.dtype, label.dtype) == (np.float32, np.uint8)


def test_a_bad_cache_file_is_named(tmp_path):
    path = tmp_path / "kept"
    path.write_text("something else")
    with pytest.raises(DataError, match=r"kept is no cache of this version; delete it"):
        list(Dataset.range(2).cache(path))
    path.unlink()
    list(Dataset.range(2).cache(path))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match="kept is damaged"):
        list(Dataset.range(2).cache(path))
    with pytest.raises(OutputError, match="choose a folder that exists"):
        list(Dataset.range(2).cache(tmp_path / "nowhere" / "kept"))


def test_a_random_map_before_a_cache_is_warned_of():
    wrong = Dataset.range(3).map(noisy).batch(2).cache().prefetch(1)
    with pytest.warns(UserWarning, match=r"cache, shuffle, map\(augment\), batch, prefetch"):
        first = [x.numpy().tolist() for x in wrong]
    with warnings.catch_warnings(action="error"):
        assert [x.numpy().tolist() for x in wrong] == first
        right = Dataset.range(3).map(lambda x: x * 2).cache().shuffle(3).map(noisy)
        assert numbers(right) != numbers(right)


# Functions.


@pytest.mark.cpu_only  # the function's variable would be on the GPU
def test_functions_get_tensors_and_leave_no_trace_on_a_tape():
    v = Variable([2.0, 3.0])
    with GradientTape() as tape:
        (y,) = Dataset.from_tensors([1.0, 2.0]).map(lambda x: x * v)
    assert tape.gradient(y, v) is None
    np.testing.assert_allclose(y.numpy(), [2, 6])


def test_texts_pass_through_functions():
    data = Dataset.from_tensor_slices(["ab", "c"]).map(lambda s: (s.upper(), len(s)))
    assert [(s, int(n)) for s, n in data] == [("AB", 2), ("C", 1)]
    assert data.batch(2).get_single_element()[0].tolist() == ["AB", "C"]


def test_list_files(tmp_path):
    for name in ("b.png", "a.png", "c.txt"):
        (tmp_path / name).touch()
    pattern = str(tmp_path / "*.png")
    assert list(Dataset.list_files(pattern, shuffle=False)) == [
        str(tmp_path / "a.png"), str(tmp_path / "b.png"),
    ]  # fmt: skip
    both = [str(tmp_path / "*.txt"), pattern]
    orders = {tuple(Dataset.list_files(both, seed=s)) for s in range(30)}
    assert len(orders) == 6
    with pytest.raises(DataError, match=r"no file matches '.*\.jpg'"):
        Dataset.list_files(str(tmp_path / "*.jpg"))


def test_specifications():
    data = Dataset.from_tensor_slices({"a": np.zeros((5, 2, 3), "float32"), "b": np.arange(5)})
    assert data.element_spec["a"] == TensorSpec((2, 3), np.dtype("float32"))
    assert data.shuffle(5).batch(2).element_spec["b"] == TensorSpec((None,), np.dtype(np.int64))
    full = data.batch(2, drop_remainder=True)
    assert full.element_spec["a"].shape == (2, 2, 3)
    assert data.map(lambda d: d["a"] * 2.0).element_spec.shape == (2, 3)
    assert Dataset.zip((data, Dataset.range(3))).element_spec[1].shape == ()
    number, batch = data.batch(2).enumerate().element_spec
    assert number == TensorSpec((), np.dtype("int64"))
    assert batch["a"].shape == (None, 2, 3)  # the last batch may be smaller
    first = Dataset.range(9).shuffle(9, seed=1).map(noisy)
    assert first.element_spec.dtype == np.int64
    # Looking at the first element counts as no pass: the orders stay as they were.
    looked, unlooked = (Dataset.range(9).shuffle(9, seed=1).map(lambda x: x) for _ in range(2))
    assert looked.element_spec.shape == ()
    assert numbers(looked) == numbers(unlooked)


def test_a_generator_must_keep_its_announcement():
    data = Dataset.from_generator(
        lambda: iter([np.zeros((2, 3)), np.zeros((2, 4))]),
        output_signature=TensorSpec((None, 3), "float32"),
    )
    with pytest.raises(ShapeError, match=r"shape \(2, 4\), but \(None, 3\) was announced"):
        list(data)
    with pytest.raises(DataError, match="does not have the parts announced"):
        list(Dataset.from_generator(lambda: iter([1]), output_types=("int32", "int32")))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda d: d.batch(0), ArgumentError, r"Dataset.batch: batch_size=0 must be an integer >="),
        (lambda d: d.batch(2.5), ArgumentError, r"batch_size=2.5"),
        (lambda d: d.shuffle(0), ArgumentError, r"buffer_size=0 must be an integer >= 1"),
        (lambda d: d.shuffle(2, seed=-1), ArgumentError, r"seed=-1"),
        (lambda d: d.take(-2), ArgumentError, r"count=-2"),
        (lambda d: d.shard(2, 2), ArgumentError, r"index=2 must be less than num_shards=2"),
        (lambda d: d.prefetch(-5), ArgumentError, r"buffer_size=-5"),
        (lambda d: d.map(3), ArgumentError, r"Dataset.map: a function is needed, but 3 came"),
        (lambda d: d.map(abs, 0), ArgumentError, r"num_parallel_calls=0"),
        (lambda d: d.interleave(abs, num_parallel_calls=3), ArgumentError, r"None or AUTOTUNE"),
        (lambda d: list(d.flat_map(lambda x: x)), DataError, r"must return a data set.*Tensor"),
        (lambda d: d.get_single_element(), DataError, r"has more than one element, not one"),
        (lambda d: list(d.unbatch()), DataError, r"must have a first axis"),
        (lambda d: Dataset.zip(d, [1]), ArgumentError, r"Dataset.zip: \[1\] is no data set"),
        (lambda d: len(d.repeat()), TypeError, r"infinite"),
        (lambda d: len(d.filter(bool)), TypeError, r"not known"),
        (lambda d: Dataset.from_generator([1]), ArgumentError, r"\[1\] is no function"),
        (
            lambda d: Dataset.from_tensor_slices(([1, 2], [1, 2, 3])),
            ShapeError,
            r"shapes \(2,\), \(3,\) came",
        ),
        (
            lambda d: list(d.map(lambda x: np.zeros(int(x))).batch(2)),
            ShapeError,
            r"shapes \(0,\) and \(1,\) cannot be put in one batch.*padded_batch",
        ),
        (
            lambda d: list(d.map(lambda x: (x,) * (int(x) + 1)).batch(2)),
            DataError,
            r"nested differently",
        ),
        (
            lambda d: list(d.map(lambda x: np.zeros(int(x))).padded_batch(3, 1)),
            ShapeError,
            r"padded_shapes=\(1,\), but an element of length 2 came",
        ),
    ],
)  # fmt: skip
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make(Dataset.range(3))


@pytest.mark.cpu_only
def test_slices_show_the_array_and_cannot_change_it():
    x = np.arange(6.0).reshape(2, 3)
    first = next(iter(Dataset.from_tensor_slices(x)))
    assert np.shares_memory(first.numpy(), x)
    assert not first.numpy().flags.writeable
    assert x.flags.writeable


# Training.


@pytest.fixture
def line():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(23, 3)).astype(np.float32)
    return x, x @ np.array([[1.0], [-2.0], [0.5]], np.float32)


def model():
    config.set_random_seed(2)
    network = Sequential([layers.Input((3,)), layers.Dense(1)])
    network.compile("sgd", "mse", metrics=["mae"])
    return network


def test_training_on_a_data_set_is_training_on_the_arrays(line, capsys):
    x, y = line
    data = Dataset.from_tensor_slices((x, y)).batch(5)
    ours, theirs = model(), model()
    by_data = ours.fit(data.prefetch(1), epochs=3, validation_data=data, verbose=2).history
    by_arrays = theirs.fit(
        x, y, batch_size=5, epochs=3, validation_data=(x, y), validation_batch_size=5,
        shuffle=False, verbose=0,
    ).history  # fmt: skip
    assert by_data == by_arrays
    assert ours.evaluate(data, verbose=0) == theirs.evaluate(x, y, batch_size=5, verbose=0)
    for given in (data, Dataset.from_tensor_slices(x).batch(5)):
        np.testing.assert_array_equal(
            ours.predict(given, verbose=0), theirs.predict(x, batch_size=5, verbose=0)
        )
    assert capsys.readouterr().out.count("Epoch 3/3") == 1


def test_sample_weights_in_a_data_set(line):
    x, y = line
    weights = np.linspace(0, 2, len(x)).astype(np.float32)
    ours, theirs = model(), model()
    data = Dataset.from_tensor_slices((x, y, weights)).batch(4)
    by_data = ours.fit(data, epochs=2, verbose=0).history
    by_arrays = theirs.fit(
        x, y, sample_weight=weights, batch_size=4, epochs=2, shuffle=False, verbose=0
    ).history
    assert by_data == by_arrays


@pytest.mark.parametrize("threads", [None, 3])
@pytest.mark.parametrize("ahead", [0, 2])
def test_blas_keeps_to_one_thread_while_a_pipeline_is_walked_through(threads, ahead):
    def blas(_=None):
        return np.array([p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"])

    with threadpool_limits(2, "blas"):
        for found in Dataset.range(4).map(blas, threads).prefetch(ahead):
            assert found.numpy().tolist() == [1] * len(blas())
        assert set(blas()) == {2}
        next(iter(Dataset.range(4).map(blas, threads).prefetch(ahead)))  # given up at once
        assert set(blas()) == {2}


def test_whole_trainings_repeat_exactly_with_threads(line):
    def train(threads):
        network = model()
        data = Dataset.from_tensor_slices(line).cache().shuffle(23)
        data = data.map(lambda x, y: (noisy(x) * 0.001, y), threads).batch(5).prefetch(AUTOTUNE)
        return network.fit(data, epochs=3, verbose=0).history

    assert train(None) == train(4)


def test_data_without_end_need_a_number_of_steps(line):
    data = Dataset.from_tensor_slices(line).batch(4)
    network = model()
    endless = data.repeat()
    for call, argument in (
        (lambda: network.fit(endless), "fit: steps_per_epoch"),
        (lambda: network.fit(data, validation_data=endless), "fit: validation_steps"),
        (lambda: network.evaluate(endless), "evaluate: steps"),
        (lambda: network.predict(endless.map(lambda x, y: x)), "predict: steps"),
    ):
        with pytest.raises(ArgumentError, match=f"{argument} is needed.*repeats without end"):
            call()
    twin = model()
    by_steps = network.fit(endless.prefetch(2), steps_per_epoch=6, epochs=2, verbose=0).history
    assert by_steps == twin.fit(data, epochs=2, verbose=0).history
    assert worker_threads() == []


def test_the_display_knows_the_number_of_steps(line, monkeypatch):
    told = []
    from minicnn.training import progress

    start = progress.Progress.start
    monkeypatch.setattr(
        progress.Progress,
        "start",
        lambda self, e, steps: (told.append(steps), start(self, e, steps))[1],
    )
    x, y = line
    model().fit(Dataset.from_tensor_slices((x, y)).batch(5), verbose=0)
    model().fit(Dataset.from_generator(lambda: zip(x, y, strict=True)).batch(5), verbose=0)
    assert told == [5, None]
