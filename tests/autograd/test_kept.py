"""What somebody keeps of a computation does not keep all that led to it."""

import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest

import minicnn as tf
from minicnn import keras, ops
from minicnn.autograd import no_recording, recording
from minicnn.errors import ArgumentError

layers = keras.layers


class Spy(layers.Layer):
    """Notes the array that passes by, weakly."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, x):
        y = x * 1.0
        self.seen.append(weakref.ref(y.data))
        return y

    @property
    def alive(self):
        return sum(array() is not None for array in self.seen)


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def net(no_collector):
    spy = Spy()
    model = keras.Sequential(
        [
            layers.Input((6, 8, 2)),
            layers.Conv2D(3, 3, padding="same", activation="relu"),
            spy,
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )
    spy.seen.clear()
    return model, spy


IMAGES = np.random.default_rng(5).random((3, 6, 8, 2), "float32")


def step(model, optimizer, persistent=False):
    with tf.GradientTape(persistent) as tape:
        loss = tf.reduce_mean(tf.square(model(IMAGES, training=True)))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return loss


def without_gradient(model, optimizer):
    with tf.GradientTape():
        return tf.reduce_mean(model(IMAGES))


def broken_off(model, optimizer):
    kept = []

    def block():
        with tf.GradientTape():
            kept.append(tf.reduce_mean(model(IMAGES)))
            raise KeyError

    with pytest.raises(KeyError):
        block()
    return kept


def from_a_generator(model, optimizer):
    def losses():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(IMAGES))
            tape.gradient(loss, model.trainable_variables)
            yield loss
            yield None

    return next(losses())  # which ends before its block has


def other_targets(model, optimizer):
    with tf.GradientTape() as tape:
        codes = model(IMAGES)
        loss, shown = tf.reduce_mean(codes), tf.reduce_max(codes)
    tape.gradient(loss, model.trainable_variables)
    return codes, shown


def of_order_two(model, optimizer):
    x = tf.constant(IMAGES)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(x)
            loss = tf.reduce_mean(tf.square(model(x)))
        slope = inner.gradient(loss, x)
        penalty = tf.reduce_sum(tf.square(slope))
    outer.gradient(penalty, model.trainable_variables)
    return loss, slope, penalty


LOOPS = {
    "a loss": step,
    "a dictionary": lambda m, o: {"loss": step(m, o)},
    "from tf.function": tf.function(step),
    "of a persistent tape": lambda m, o: step(m, o, persistent=True),
    "without a gradient": without_gradient,
    "after an error": broken_off,
    "from a generator": from_a_generator,
    "other targets": other_targets,
    "of order two": of_order_two,
    "codes": lambda m, o: m(IMAGES),
    "codes, not training": lambda m, o: m(IMAGES, training=False),
    "codes, training": lambda m, o: m(IMAGES, training=True),
    "a loss without a tape": lambda m, o: keras.losses.MeanSquaredError()(
        np.ones((3, 4)), m(IMAGES)
    ),
    "call": lambda m, o: m.call(tf.constant(IMAGES)),
    "predict_on_batch": lambda m, o: m.predict_on_batch(IMAGES),
    "penalties": lambda m, o: [m(IMAGES), m.losses],
}


@pytest.mark.parametrize("name", LOOPS)
def test_what_a_loop_keeps_does_not_keep_its_graph(name, net):
    model, spy = net
    optimizer = keras.optimizers.Adam()
    kept = [LOOPS[name](model, optimizer) for _ in range(3)]
    assert len(spy.seen) == 3
    assert spy.alive == 0, kept


def test_a_running_total_does_not_keep_the_graphs(net):
    model, spy = net
    optimizer = keras.optimizers.Adam()
    total = 0.0
    for _ in range(3):
        total = total + step(model, optimizer)
    assert spy.alive == 0
    with tf.GradientTape() as tape:  # a total of earlier steps is a number there
        loss = 0.1 * total
    assert tape.gradient(loss, model.trainable_variables) == [None] * 4


def test_a_tape_that_may_be_asked_keeps_what_it_needs(net):
    model, spy = net
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(IMAGES))
    assert spy.alive == 1
    with pytest.raises(ArgumentError, match="sources holds a str"):
        tape.gradient(loss, "kernel")  # which does not use it up
    assert spy.alive == 1
    assert tape.gradient(loss, model.trainable_variables[0]) is not None
    assert spy.alive == 0
    with tf.GradientTape(persistent=True) as tape:
        loss = tf.reduce_mean(model(IMAGES))
    first = tape.gradient(loss, model.trainable_variables)
    again = tape.gradient(loss, model.trainable_variables)
    np.testing.assert_array_equal(first[0], again[0])
    assert spy.alive == 1
    del tape
    assert spy.alive == 0


def test_a_tape_that_forgets_leaves_the_others_theirs(net):
    model, spy = net
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            loss = tf.reduce_mean(tf.square(model(IMAGES)))
        inner.gradient(loss, model.trainable_variables)
        assert spy.alive == 1
    assert outer.gradient(loss, model.trainable_variables[0]) is not None
    assert spy.alive == 0


def test_backward_after_layers_is_asked_for(net):
    model, spy = net
    loss = ops.sum(model(IMAGES))
    with pytest.raises(ArgumentError, match=r"with minicnn\.autograd\.recording\(\):"):
        loss.backward()
    with recording():
        loss = ops.sum(model(IMAGES))
    with tf.GradientTape() as tape:
        same = ops.sum(model(IMAGES))
    loss.backward()
    for variable, g in zip(
        model.trainable_variables, tape.gradient(same, model.trainable_variables), strict=True
    ):
        np.testing.assert_array_equal(variable.grad, g)
    assert spy.alive == 1
    del loss
    assert spy.alive == 0


def test_backward_after_a_used_tape_says_what_happened():
    x = tf.Variable([[1.0, 2.0, 3.0]])
    with tf.GradientTape() as tape:
        y = ops.sum(x * x)
    tape.gradient(y, x)
    with pytest.raises(ArgumentError, match="what a GradientTape recorded until its gradient was"):
        y.backward()


def test_a_watched_tensor_is_watched_as_long_as_its_tape_needs_it():
    x = tf.constant([1.0, 2.0, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        tape.watch(x)
        y = x * x
    assert (x * x).tracked
    assert tape.gradient(y, x).numpy().tolist() == [2.0, 4.0, 6.0]
    assert not (x * x).tracked
    with tf.GradientTape() as tape:
        tape.watch(x)
    del tape
    assert not (x * x).tracked


def test_a_tape_inside_a_layer_records_where_nobody_else_does():
    class Slope(layers.Layer):
        """The derivative of x**3, by a tape of its own."""

        def call(self, x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = x * x * x
            return tape.gradient(y, x)

    x = np.array([[1.0, 2.0, 3.0]], "float32")
    assert Slope()(x).numpy().tolist() == [[3.0, 12.0, 27.0]]
    model = keras.Sequential([layers.Input((3,)), Slope()])
    assert model.predict(x, verbose=0).tolist() == [[3.0, 12.0, 27.0]]
    v = tf.Variable(x)
    with tf.GradientTape() as tape:
        y = Slope()(v)
    assert tape.gradient(y, v).numpy().tolist() == [[6.0, 12.0, 18.0]]


def test_a_tape_used_inside_no_recording_stays_used():
    x = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = x * x
        with no_recording():
            assert float(tape.gradient(y, x)) == 6.0
        z = x * x
    assert z.node.tapes == ()


def test_reset_forgets_what_was_recorded_and_watched():
    x, c = tf.Variable(3.0), tf.constant(2.0)
    with tf.GradientTape() as tape:
        tape.watch(c)
        y = c * x
        tape.reset()
        z = x * x * c
    with pytest.warns(UserWarning, match="source 1 is a tensor that the tape did not watch"):
        assert tape.gradient([y, z], [x, c])[1] is None
    tape.reset()
    with tape:
        z = x * x * c
    assert float(tape.gradient(z, x)) == 12.0


def test_recording_can_be_stopped_in_the_block_only():
    x = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = x * x
        with tape.stop_recording():
            assert float(tape.gradient(y, x)) == 6.0
        assert not tf.constant(2.0).tracked
        assert (x * x).node.tapes == ()  # it was used up
    with (
        pytest.raises(ArgumentError, match=r"does not record; .*tape's block"),
        tape.stop_recording(),
    ):
        pass


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))]
)
def test_a_copy_of_a_result_is_its_numbers(copied):
    x = tf.Variable([[1.0, 2.0, 3.0]])
    with tf.GradientTape() as tape:
        y = ops.exp(x)
    twin = copied(y)
    assert not twin.tracked
    np.testing.assert_array_equal(twin, y)
    np.testing.assert_array_equal(tape.gradient(y, x), y)


@pytest.mark.cpu_only  # the GPU that the CPU plays has one queue for all threads
def test_tapes_of_threads_do_not_see_each_other():
    model = keras.Sequential([layers.Input((3, 5, 1)), layers.Conv2D(2, (2, 3)), layers.Flatten()])
    rng = np.random.default_rng(2)
    images = rng.normal(size=(4, 2, 3, 5, 1)).astype("float32")

    def gradients(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x)))
        return [g.numpy() for g in tape.gradient(loss, model.trainable_variables)]

    expected = [gradients(x) for x in images]
    found = [[] for _ in images]
    start = threading.Barrier(len(images))

    def work(i):
        start.wait()
        found[i] += [gradients(images[i]) for _ in range(30)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(images))]
    for thread in threads:
        thread.start()
    with tf.GradientTape() as tape:  # of this thread: it records nothing of the others
        for thread in threads:
            thread.join()
    assert tape._trace.results == []
    for want, rounds in zip(expected, found, strict=True):
        assert len(rounds) == 30
        for got in rounds:
            for a, b in zip(want, got, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-6)
