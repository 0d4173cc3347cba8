"""What users do with their arrays on the GPU: own loops and layers, files, copies, mistakes."""

import copy
import inspect
import itertools
import pickle

import matplotlib.pyplot as plt
import numpy as np
import pytest
from typer.testing import CliRunner

import minicnn as tf
from minicnn import config, layers, losses, ops
from minicnn.applications import TrainingRun
from minicnn.applications.runs import load_model
from minicnn.autograd import tensor
from minicnn.callbacks import ModelCheckpoint
from minicnn.cli import app
from minicnn.datasets import save_rendered_cells
from minicnn.errors import ArgumentError, DeviceError
from minicnn.kernels import Availability

RNG = np.random.default_rng(8)
IMAGES = RNG.random((10, 8, 10, 3), np.float32)
KINDS = RNG.integers(0, 3, 10)
KINDS[:3] = 0, 1, 2
MATRIX = np.linspace(0.1, 0.9, 6, dtype="float32").reshape(2, 3)
CHANNELS = MATRIX[1]
IDENTITY = np.tile(np.float32([1, 0, 0, 0, 1, 0, 0, 0]), (10, 1))

# Two tensors that do not meet.

#: Every operation on several tensors, with some for it.
MEETING = {
    **{name: (getattr(ops, name), MATRIX, MATRIX) for name in (
        "add", "divide", "maximum", "mean_squared_error", "minimum", "multiply", "power",
        "subtract")},
    "affine_transform": (ops.affine_transform, IMAGES, IDENTITY),
    "batch_normalization": (ops.batch_normalization, MATRIX, CHANNELS, CHANNELS),
    "concatenate": (lambda *parts: ops.concatenate(parts), MATRIX, MATRIX, MATRIX),
    "conv2d": (ops.conv2d, IMAGES, RNG.random((3, 2, 3, 4), np.float32), MATRIX[0, :1].repeat(4)),
    "conv2d_transpose": (ops.conv2d_transpose, IMAGES, RNG.random((3, 2, 2, 3), np.float32),
                         MATRIX[0, :2]),
    "getitem": (ops.getitem, MATRIX, np.array([1, 0, 1])),
    "matmul": (ops.matmul, MATRIX, RNG.random((3, 4), np.float32)),
    "stack": (lambda *parts: ops.stack(parts), MATRIX, MATRIX, MATRIX),
    "where": (ops.where, MATRIX > 0.5, MATRIX, MATRIX),
}  # fmt: skip
#: All others, which have one tensor, or make NumPy's arrays of what they get.
ALONE = {
    *("abs", "average_pool2d", "broadcast_to", "cast", "clip", "convolve2d", "crop2d"),
    *("cross_correlate2d", "erf", "exp", "expm1", "log", "log1p", "log_softmax", "max"),
    *("max_pool2d", "mean", "min", "negative", "pad2d", "relu", "reshape", "resize2d", "sigmoid"),
    *("sign", "softmax", "softplus", "sqrt", "square", "squeeze", "standardize", "sum", "tanh"),
    *("transpose", "upsample2d", "variance"),
}


def in_all_places(*arrays):
    """Yield the arrays as tensors, some of them on the GPU and some not, in all ways."""
    for there in itertools.product((False, True), repeat=len(arrays)):
        if len(set(there)) > 1:
            tensors = [tf.Tensor(a) for a in arrays]
            yield [t.gpu() if up else t for t, up in zip(tensors, there, strict=True)]


def test_every_operation_is_known_here():
    assert set(ops.__all__) == {*MEETING, *ALONE}


@pytest.mark.parametrize("setting", ["auto", "cupy"])
@pytest.mark.parametrize("name", MEETING)
def test_an_operation_on_two_places_names_both_arrays(cupy, setting, name):
    operation, *arrays = MEETING[name]
    with config.use_backend(setting):
        for given in in_all_places(*arrays):
            with pytest.raises(DeviceError) as caught:
                operation(*given)
            for device, place in (("gpu", "on the GPU"), ("cpu", "in the computer's memory")):
                shapes = [t.shape for t in given if t.device == device]
                assert any(f" {shape} is {place}" in str(caught.value) for shape in shapes)
            assert str(caught.value).startswith(f"{name}: ")


def all_losses():
    classes = [c for _, c in inspect.getmembers(losses, inspect.isclass)]
    bases = (losses.Loss, losses.LossFunctionWrapper)
    return [c for c in classes if issubclass(c, losses.Loss) and c not in bases]


@pytest.mark.parametrize("loss", all_losses(), ids=lambda c: c.__name__)
def test_a_loss_on_two_places_names_both_arrays(cupy, loss):
    by_number = "Sparse" in loss.__name__ or "GeneralizedCross" in loss.__name__
    for y_true, y_pred in in_all_places(np.array([2, 0]) if by_number else MATRIX, MATRIX):
        with pytest.raises(DeviceError, match=r"is on the GPU|is in the computer's memory"):
            loss()(y_true, y_pred)


@pytest.mark.parametrize("kind", [layers.Dense, layers.BatchNormalization, layers.PReLU])
def test_a_layer_that_its_input_does_not_meet_gives_its_name(cupy, kind):
    x = tf.Tensor(MATRIX)
    for here, there in ((x, x.gpu()), (x.gpu(), x)):
        layer = kind(4, name="mine") if kind is layers.Dense else kind(name="mine")
        with config.use_backend("auto" if here.device == "cpu" else "cupy"):
            layer(here)
        with pytest.raises(DeviceError) as caught:
            tf.Sequential([layer])(there)
        said = str(caught.value)
        assert said.startswith(f"{kind.__name__} 'mine': the input (2, 3) is ")
        assert f"{layer.weights[0].name} {layer.weights[0].shape} is " in said


def test_plain_arrays_follow_what_they_meet(cupy):
    x = tf.Tensor(MATRIX)
    for setting in ("auto", "cupy"):
        with config.use_backend(setting):
            for at in (x, x.gpu()):
                found = [at[np.array([1, 0])], tf.gather(at, [1, 0]), tf.gather(at, np.int64(1))]
                assert {t.device for t in found} == {at.device}
                np.testing.assert_array_equal(found[1].numpy(), MATRIX[[1, 0]])


# Programs as users write them: on the GPU they give the numbers that they give on the CPU.


def network():
    return tf.keras.Sequential(
        [
            tf.keras.layers.Input((8, 10, 3)),
            tf.keras.layers.Conv2D(4, (3, 2), activation="relu"),
            tf.keras.layers.MaxPooling2D((2, 3)),
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(3),
        ]
    )


def loop_by_hand():
    model, optimizer = network(), tf.keras.optimizers.Adam(0.01)
    from_logits = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    hits, mean = tf.keras.metrics.SparseCategoricalAccuracy(), tf.keras.metrics.Mean()
    data = tf.data.Dataset.from_tensor_slices((IMAGES, KINDS)).shuffle(10, seed=1)
    data = data.map(lambda x, y: (tf.image.flip_left_right(x) * 2.0 - 1.0, y)).batch(4)
    told = []
    for _ in range(2):
        for x, y in data.prefetch(tf.data.AUTOTUNE):
            with tf.GradientTape() as tape:
                y_pred = model(x, training=True)
                loss = from_logits(y, y_pred) + sum(model.losses)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            hits.update_state(y, y_pred)
            mean.update_state(loss)
            told += [float(loss), loss.numpy(), float(f"{loss:.6f}"), np.asarray(loss)]
    return [*told, float(hits.result()), mean.result().numpy(), np.mean(told)]


class Drift(tf.keras.layers.Layer):
    """Adds NumPy's numbers, counts its calls, and adds a loss."""

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1],), initializer="ones", name="w")
        self.count = tf.Variable(np.zeros(3, "float32"), trainable=False)

    def call(self, x, training=None):
        if training:
            x = x + np.linspace(-0.1, 0.1, x.shape[2], dtype="float32")[:, None]
        self.add_loss(1e-3 * tf.reduce_sum(tf.square(self.w)))
        self.count.assign_add(np.ones(3))
        return x * self.w + np.linspace(0, 1, 3, dtype="float32")


class Largest(tf.keras.metrics.Metric):
    def __init__(self, name="largest", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(tf.reduce_sum(tf.reduce_max(y_pred, axis=-1)))
        self.count.assign_add(float(len(y_true)))

    def result(self):
        return self.total / self.count


def squares(y_true, y_pred):
    wanted = tf.one_hot(tf.cast(y_true, "int32"), 3)
    return tf.reduce_mean(tf.square(y_pred - wanted), axis=-1)


def share_by_numpy(y_true, y_pred):
    return np.mean(np.argmax(y_pred, -1) == np.asarray(y_true).reshape(-1))


def share(y_true, y_pred):
    best = tf.equal(tf.argmax(y_pred, -1), tf.cast(tf.reshape(y_true, [-1]), "int64"))
    return tf.reduce_mean(tf.cast(best, "float32"))


def parts_of_ones_own():
    inside = [tf.keras.layers.Lambda(lambda x: tf.reduce_mean(x, axis=[1, 2]))]
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input((8, 10, 3)), Drift(), tf.keras.layers.Conv2D(2, (3, 2)), *inside,
            tf.keras.layers.Dense(3, activation="softmax"),
        ]
    )  # fmt: skip
    model.compile("adam", squares, metrics=[share_by_numpy, share, Largest(), "accuracy"])
    model.fit(IMAGES, KINDS, batch_size=4, epochs=2, validation_split=0.2, verbose=0)
    return [v for name in sorted(model.history.history) for v in model.history.history[name]]


class Scaled(tf.keras.Model):
    """A model with a step of its own."""

    def __init__(self):
        super().__init__()
        self.inner, self.seen = network(), tf.keras.metrics.Mean(name="loss")
        self.heat, self.scale = tf.constant(2.0), np.full(3, 3, "float32")

    def call(self, x, training=False):
        return self.inner(x, training=training) / self.heat * self.scale

    def error(self, x, y, training):
        crossentropy = tf.keras.losses.sparse_categorical_crossentropy
        return tf.reduce_mean(crossentropy(y, self(x, training=training), from_logits=True))

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss = self.error(*data, training=True)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.seen.update_state(loss)
        return {"loss": self.seen.result(), "raw": loss}

    def test_step(self, data):
        self.seen.update_state(self.error(*data, training=False))
        return {"loss": self.seen.result()}

    @property
    def metrics(self):
        return [self.seen]


def step_of_ones_own():
    model = Scaled()
    model.compile(tf.keras.optimizers.SGD(0.1))
    data = (IMAGES, KINDS)
    history = model.fit(*data, batch_size=4, epochs=2, validation_data=data, verbose=0).history
    return [*history["loss"], *history["raw"], *history["val_loss"]]


def data_from_generators():
    def pairs():
        yield from zip(IMAGES, KINDS, strict=True)

    def batches():
        while True:
            yield tf.constant(IMAGES[:4]), tf.constant(KINDS[:4])

    form = (tf.TensorSpec((8, 10, 3), "float32"), tf.TensorSpec((), "int64"))
    data = tf.data.Dataset.from_generator(pairs, output_signature=form).batch(4).prefetch(1)
    model = network()
    model.compile("adam", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    first = model.fit(data, epochs=2, verbose=0).history["loss"]
    return [*first, *model.fit(batches(), steps_per_epoch=3, verbose=0).history["loss"]]


def pictures_of_tensors():
    x = tf.constant(IMAGES)
    figure, axes = plt.subplots()
    shown = axes.imshow(x[0]).get_array()
    line = axes.plot(x[0, 0, :, 0])[0].get_ydata()
    plt.close(figure)
    image = np.asarray(tf.keras.utils.array_to_img(x[1]))
    whole = tf.keras.utils.img_to_array(x[2])
    rows = tf.keras.utils.to_categorical(tf.constant(KINDS), 3)
    return [shown, line, image, whole, rows, tf.keras.utils.normalize(x[3])]


def search_by_codes():
    encoder = tf.keras.Sequential(network().layers[:-1])
    codes = encoder.predict(IMAGES, verbose=0)
    query = encoder(IMAGES[3:4])
    far = tf.reduce_sum((codes - query) ** 2, axis=1)
    return [np.argsort(far), np.linalg.norm(codes - query.numpy(), axis=1), IMAGES[tf.argmin(far)],
            min(float(f) for f in far)]  # fmt: skip


PROGRAMS = [loop_by_hand, parts_of_ones_own, step_of_ones_own, data_from_generators,
            pictures_of_tensors, search_by_codes]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_a_program_gives_on_the_card_what_it_gives_on_the_cpu(cupy, program):
    results = []
    for backend in ("numpy", "cupy"):
        with config.use_backend(backend):
            tf.keras.utils.set_random_seed(5)
            results.append(program())
    for here, there in zip(*results, strict=True):
        np.testing.assert_allclose(there, here, rtol=2e-4, atol=1e-6)


def test_arrays_of_cupy_are_data_like_others(cupy):
    x, y = cupy.asarray(IMAGES), cupy.asarray(KINDS)
    found = {}
    for setting, given in (("numpy", (IMAGES, KINDS)), ("numpy", (x, y)), ("cupy", (x, y))):
        with config.use_backend(setting):
            tf.keras.utils.set_random_seed(6)
            model = network()
            loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile("sgd", loss, metrics=["accuracy"])
            model.fit(*given, batch_size=4, verbose=0, validation_split=0.3)
            model.fit(tf.data.Dataset.from_tensor_slices(given).batch(4), verbose=0)
            figures = [*model.evaluate(*given, verbose=0), *model.predict(given[0], verbose=0)[5]]
            found[setting, type(given[0])] = figures
            assert isinstance(model.predict(given[0], verbose=0), np.ndarray)
    first, *others = found.values()
    for other in others:
        np.testing.assert_allclose(other, first, rtol=2e-4, atol=1e-6)
    np.testing.assert_array_equal(
        ops.convolve2d(cupy.asarray(MATRIX), np.ones((1, 2))), ops.convolve2d(MATRIX, [[1, 1]])
    )


def test_arrays_that_lie_in_other_orders_or_with_gaps_give_the_same(cupy):
    kernel = tf.Tensor(RNG.random((3, 2, 3, 4), np.float32)).gpu()
    wide = cupy.asarray(IMAGES.repeat(2, axis=2))[:, :, ::2]
    turned = cupy.asarray(IMAGES.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)
    fortran = cupy.asarray(np.asfortranarray(IMAGES))
    plain = tf.Tensor(IMAGES).gpu()
    for function in (
        lambda x: ops.conv2d(x, kernel, padding="same"),
        lambda x: ops.max_pool2d(x, (2, 3)),
        lambda x: ops.batch_normalization(x)[0],
        lambda x: ops.softmax(x),
        lambda x: ops.resize2d(x, (5, 7), "bilinear"),
        lambda x: ops.mean_squared_error(x, plain),
    ):
        expected = function(plain).numpy()
        for odd in (wide, turned, fortran):
            np.testing.assert_allclose(function(tf.Tensor(odd)).numpy(), expected, rtol=1e-6)


def test_half_precision_is_told_what_to_become_and_layers_take_it(cupy):
    half = tf.Tensor(IMAGES.astype("float16")).gpu()
    with pytest.raises(ArgumentError, match="take float32 and float64: cast it to one of them"):
        ops.max_pool2d(half, 2)
    with config.use_backend("cupy"):
        assert network()(half).dtype == np.float32


@pytest.mark.parametrize("setting", ["numpy", "cupy"])
def test_classes_of_pixels_are_weighted_by_sample_weight(cupy, setting):
    maps, weights = RNG.integers(0, 3, (4, 6, 8)), np.float32([0.2, 1, 3])
    with config.use_backend(setting):
        tf.keras.utils.set_random_seed(8)
        model = tf.keras.Sequential([tf.keras.layers.Conv2D(3, (3, 2), padding="same",
                                     activation="softmax", input_shape=(6, 8, 3))])  # fmt: skip
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        images = IMAGES[:4, :6, :8]
        for y in (maps, maps[..., None]):
            with pytest.raises(ArgumentError, match=r"one class for each sample, but y has shape"):
                model.fit(images, y, class_weight={0: 0.2, 1: 1, 2: 3}, verbose=0)
        right = np.take_along_axis(model.predict(images, verbose=0), maps[..., None], -1)[..., 0]
        for each in (np.take(weights, maps), tf.gather(tf.constant(weights), maps)):
            loss = model.evaluate(images, maps, sample_weight=each, verbose=0)[0]
            expected = -(np.take(weights, maps) * np.log(right)).mean()
            assert loss == pytest.approx(expected, rel=1e-5)


def test_a_block_that_fails_leaves_the_setting_as_it_was(cupy):
    with config.use_backend("cupy"):
        with pytest.raises(ZeroDivisionError), config.use_backend("numpy"):
            _ = 1 / 0
        data = tf.data.Dataset.from_tensor_slices(IMAGES).map(lambda x: 1 / 0).prefetch(2)
        with pytest.raises(ZeroDivisionError):
            list(data)
        assert config.device() == "gpu"


# Copies.


def trained_steps(model, steps=2):
    return [float(model.train_on_batch(IMAGES, KINDS)) for _ in range(steps)]


@pytest.fixture(params=["numpy", "cupy"])
def compiled(cupy, request):
    """A model in the middle of its training."""
    with config.use_backend(request.param):
        tf.keras.utils.set_random_seed(7)
        model = network()
        optimizer = tf.keras.optimizers.Adam(0.02, weight_decay=0.1)
        optimizer.exclude_from_weight_decay(var_list=[model.layers[0].bias])
        loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, jit_compile=request.param == "cupy")
        trained_steps(model, 3)
        yield model


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_of_a_model_learns_on_by_itself(compiled, copied):
    before = compiled.get_weights()
    other = copied(compiled)
    assert other.device == compiled.device
    theirs = trained_steps(other)
    for ours, kept in zip(compiled.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, kept)
    assert trained_steps(compiled) == theirs
    for ours, learned in zip(compiled.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, learned)


def test_a_copy_runs_its_own_joined_layers(compiled):
    other = copy.deepcopy(compiled)
    expected = compiled.predict(IMAGES, verbose=0)
    other.set_weights([np.zeros_like(w) for w in other.get_weights()])
    assert not other.predict(IMAGES, verbose=0).any()
    np.testing.assert_array_equal(compiled.predict(IMAGES, verbose=0), expected)


def test_a_pickle_from_the_card_is_read_without_one(cupy, monkeypatch):
    x = tf.Variable(tf.Tensor(MATRIX).gpu(), name="kept")
    written = pickle.dumps(x)
    assert type(x.data).__module__.encode() not in written
    again = pickle.loads(written)
    assert (again.device, again.name) == ("gpu", "kept")
    np.testing.assert_array_equal(again.numpy(), MATRIX)
    assert copy.deepcopy(x).device == "gpu"
    monkeypatch.setattr(tensor, "availability", lambda name: Availability(False, "no GPU"))
    there = pickle.loads(written)
    assert there.device == "cpu"
    np.testing.assert_array_equal(there.numpy(), MATRIX)


# The command.


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_run_is_begun_on_the_gpu_and_ended_on_the_cpu(cupy, tmp_path, monkeypatch):
    save_rendered_cells(tmp_path / "cells", 12, slides=4, seed=1)
    given = ["--data", tmp_path / "cells", "--image-size", 17, "--epochs", 3, "--batch", 4]
    where, fit = [], TrainingRun.fit

    class Interrupted(ModelCheckpoint):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            where.append(self.model.device)

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1 and config.device() == "gpu":
                raise KeyboardInterrupt

    def watched(self, *args, callbacks=(), **kwargs):
        seen = Interrupted(tmp_path / "seen.safetensors", save_weights_only=True)
        return fit(self, *args, callbacks=[*callbacks, seen], **kwargs)

    monkeypatch.setattr(TrainingRun, "fit", watched)
    begun = run("train", *given, "--output", tmp_path / "run", "--device", "gpu")
    assert begun.exit_code == 130, begun.output
    assert where == ["gpu"]
    assert config.device() == "cpu"
    with config.use_backend("cupy"):  # the option has the last word
        ended = run("train", "--resume", "--output", tmp_path / "run", "--device", "cpu")
    assert ended.exit_code == 0, ended.output
    assert where == ["gpu", "cpu", "cpu"]
    image = next((tmp_path / "cells").glob("*/*.png"))
    cells, results = np.random.default_rng(1).random((2, 17, 17, 3), np.float32), []
    for device in ("cpu", "gpu"):
        done = run("denoise", image, "--model", tmp_path / "run", "--output", tmp_path / device,
                   "--device", device)  # fmt: skip
        assert done.exit_code == 0, done.output
        with config.use_backend("cupy" if device == "gpu" else "auto"):
            model = load_model(tmp_path / "run")
            assert model.device == device
            results.append(model.predict(cells, verbose=0))
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-6)
