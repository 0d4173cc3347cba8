"""Names of TensorFlow and Keras that notebooks begin with, against NumPy and mathematics."""

import numpy as np
import pytest

import minicnn as tf
from minicnn import GradientTape, Variable, keras, ops
from minicnn.errors import ArgumentError, ShapeError
from minicnn.runtime.backends import availability

X = np.arange(24.0).reshape(2, 3, 4)


def test_gradients_flow_through_tile():
    v = Variable(X)
    with GradientTape() as tape:
        y = ops.sum(tf.tile(v, [3, 1, 2]))
    assert (tape.gradient(y, v).numpy() == 6.0).all()
    with pytest.raises(ShapeError, match=r"multiples=\[2\], .* needs 3 numbers"):
        tf.tile(X, [2])


def test_tile_and_unstack_are_numpys():
    for times in ([2, 1, 3], [1, 1, 1], [1, 0, 2]):
        np.testing.assert_array_equal(tf.tile(X, times), np.tile(X, times))
    for axis in (0, 1, -1):
        parts = tf.unstack(X, axis=axis)
        np.testing.assert_array_equal(tf.stack(parts, axis), X)
    a, b = tf.unstack(X, 2)
    assert a.shape == b.shape == (3, 4)
    with pytest.raises(ArgumentError, match=r"num=3, but axis 0 of \(2, 3, 4\) has 2 parts"):
        tf.unstack(X, 3)


def test_gradients_are_clipped_by_the_norm_of_all():
    gradients = [np.array([[3.0, 0.0]]), None, np.array([4.0, 12.0])]
    clipped, norm = tf.clip_by_global_norm(gradients, 6.5)
    assert norm.item() == 13.0
    assert clipped[1] is None
    np.testing.assert_allclose([*clipped[0].numpy()[0], *clipped[2].numpy()], [1.5, 0.0, 2.0, 6.0])
    same, _ = tf.clip_by_global_norm(gradients, 100.0)
    np.testing.assert_array_equal(same[2], gradients[2])
    spoiled, norm = tf.clip_by_global_norm([np.array([np.inf, 1.0])], 1.0)
    assert np.isnan(spoiled[0].numpy()).all()
    with pytest.raises(ArgumentError, match="every gradient is None"):
        tf.clip_by_global_norm([None], 1.0)


def test_devices_are_those_that_are_there():
    names = [device.device_type for device in tf.config.list_physical_devices()]
    assert names == ["CPU"] + ["GPU"] * availability("cupy").usable
    assert [d.name for d in tf.config.list_physical_devices("CPU")] == ["/physical_device:CPU:0"]
    assert len(tf.config.list_physical_devices("GPU")) == availability("cupy").usable
    with pytest.raises(ArgumentError, match=r"device_type='TPU'.*'cpu', 'gpu'"):
        tf.config.list_physical_devices("TPU")


# keras.ops and keras.random.


def test_arrays_by_keras_names():
    k = keras.ops
    assert k.convert_to_tensor([1, 2, 3], dtype="float32").dtype == np.float32
    x = Variable([[1.0, 2.0, 3.0]])
    with GradientTape() as tape:
        y = ops.sum(k.convert_to_tensor(x, "float64") * 2.0)
    assert tape.gradient(y, x).numpy().tolist() == [[2.0, 2.0, 2.0]]
    assert type(k.convert_to_numpy(x)) is np.ndarray
    assert k.zeros_like(X).numpy().sum() == 0
    assert k.ones_like(X, dtype="int32").dtype == np.int32
    assert tuple(k.shape(X).numpy()) == (2, 3, 4)
    assert k.sigmoid is ops.sigmoid


def test_random_numbers_by_keras_names():
    r = keras.random
    x = r.normal((200, 300), mean=3.0, stddev=2.0, seed=1).numpy()
    assert x.dtype == np.float32
    assert abs(x.mean() - 3.0) < 0.05
    assert abs(x.std() - 2.0) < 0.05
    u = r.uniform((200, 300), minval=-1.0, maxval=3.0, dtype="float64", seed=1).numpy()
    assert -1 <= u.min() < -0.99 < 2.99 < u.max() < 3
    seed = r.SeedGenerator(1337)
    first, second = (r.normal(keras.ops.shape(X), seed=seed).numpy() for _ in range(2))
    assert first.shape == (2, 3, 4)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, r.normal((2, 3, 4), seed=r.SeedGenerator(1337)))
    tf.config.set_random_seed(4)
    drawn = r.normal((3, 5)).numpy()
    tf.config.set_random_seed(4)
    np.testing.assert_array_equal(drawn, r.normal((3, 5)))


@pytest.mark.parametrize("mode", ["constant", "REFLECT", "SYMMETRIC"])
def test_padding_is_numpys_and_gradients_flow_through_it(mode):
    pads = [(1, 0), (0, 2), (2, 1)]
    v = Variable(X)
    with GradientTape() as tape:
        y = tf.pad(v, pads, mode)
        loss = ops.sum(y * y)
    np.testing.assert_array_equal(y, np.pad(X, pads, mode.lower()))
    copies = np.pad(np.arange(24.0).reshape(X.shape) + 1, pads, mode.lower())
    counts = [int((copies == n + 1).sum()) for n in range(24)]
    np.testing.assert_allclose(tape.gradient(loss, v).numpy().ravel(), 2 * X.ravel() * counts)
    assert keras.ops.pad(np.ones((2, 3), "int32"), 1, constant_values=7).dtype == np.int32
    with pytest.raises(ShapeError, match=r"shape \(2, 3, 4\) needs 3 pairs"):
        tf.pad(X, [(1, 1), (1, 1)])


def test_places_of_the_largest_and_classes_by_keras_names():
    x = np.array([[3, 9, 1], [8, 2, 7]])
    for name in ("argmax", "argmin"):
        found, numpys = getattr(keras.ops, name), getattr(np, name)
        for more in ({}, {"axis": 1}, {"axis": 0, "keepdims": True}):
            np.testing.assert_array_equal(found(Variable(x), **more), numpys(x, **more))
        assert found(x, axis=-1).dtype == np.int32
    rows = keras.ops.one_hot([2, 0], num_classes=3)
    assert (rows.numpy().tolist(), rows.dtype) == ([[0, 0, 1], [1, 0, 0]], np.float32)
    assert keras.ops.any(keras.ops.isnan([1.0, np.nan])).numpy()
    assert tf.math.is_finite([1.0, np.inf]).numpy().tolist() == [True, False]


def test_printing_and_devices(capsys):
    tf.print("loss", tf.constant([1.0, 2.5]), 3)
    assert capsys.readouterr().err == "loss [1.  2.5] 3\n"
    for name in ("/CPU:0", "/device:CPU:0", tf.config.list_physical_devices("CPU")[0]):
        with tf.device(name):
            assert tf.zeros((2, 3)).device == "cpu"
    with pytest.raises(ArgumentError, match=r"device_name='TPU'.*'cpu', 'gpu'"):
        tf.device("TPU")
    assert tf.is_tensor(tf.zeros(2))
    assert not tf.is_tensor(X)
