"""Recorded training steps give the bits of those that are run, and say why they cannot."""

import gc
import warnings

import numpy as np
import pytest

import minicnn as mc
from minicnn import config, kernels, layers
from minicnn.autograd.tensor import alongside
from minicnn.errors import DeviceMemoryError
from minicnn.kernels import cuda
from minicnn.kernels.cuda import transfer
from minicnn.models import Model, Sequential
from minicnn.training import trainer
from minicnn.training.cuda_graphs import Replays, _Replay
from tests.cuda.simulator import stand_in, streams

random = np.random.default_rng(4)
CELLS = random.random((22, 12, 10, 3), dtype=np.float32)
OTHERS = random.random((22, 12, 10, 3), dtype=np.float32)


def cells(*more):
    """A small cell autoencoder with batch normalization, from the same weights each time."""
    config.set_random_seed(5)
    return Sequential(
        [
            layers.Input((12, 10, 3)),
            layers.Conv2D(6, (3, 5), padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            *more,
            layers.Conv2D(4, 1, activation="relu", kernel_regularizer="l2"),
            layers.UpSampling2D(2, interpolation="bilinear"),
            layers.Conv2DTranspose(3, 3, padding="same", activation="sigmoid"),
        ]
    )


def digits():
    config.set_random_seed(5)
    return Sequential(
        [
            layers.Input((12, 10, 3)),
            layers.Conv2D(4, 3, strides=2),
            layers.Flatten(),
            layers.Dense(7, activation="relu"),
            layers.BatchNormalization(),
            layers.Dense(5, activation="softmax"),
        ]
    )


@pytest.fixture
def runs(monkeypatch):
    """Counts how often the lines of a training step are run."""
    counted = []
    compute = trainer.compute
    monkeypatch.setattr(trainer, "compute", lambda *given: (counted.append(0), compute(*given))[1])
    return counted


def trained(model, jit, **how):
    """Return the history and the weights of a training with a last batch that is smaller."""
    model.gpu().compile(how.pop("optimizer", "adam"), how.pop("loss", "mse"), jit_compile=jit)
    config.set_random_seed(6)
    data = how.pop("data", (CELLS, OTHERS))
    history = model.fit(*data, batch_size=8, epochs=4, verbose=0, **how).history
    return history, model.get_weights()


def run_as_recorded(model, **how):
    """The same steps, all of them run, with matrix products as recorded steps have them."""
    with kernels.backend_module("cupy").own_products():
        return trained(model, "auto", **how)


def same(one, other):
    assert one[0] == other[0]
    assert all(np.array_equal(a, b) for a, b in zip(one[1], other[1], strict=True))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_cell_autoencoder_learns_the_same_bits(cupy, runs, optimizer):
    expected = run_as_recorded(cells(), optimizer=optimizer)
    runs.clear()
    found = trained(cells(), True, optimizer=optimizer)
    same(found, expected)
    # Epochs of 8, 8 and 6: the first step, one in the graph's memory, its recording, the last ones.
    assert len(runs) == 3 + 4
    assert expected[0]["loss"][-1] < expected[0]["loss"][0]


def test_late_and_early_work_changes_nothing(cupy):
    if not cupy.__version__.endswith("(stand-in)"):
        pytest.skip("a card has its own order")
    expected = run_as_recorded(cells())
    for order in (("late", "late"), ("late", "early")):
        with streams.order(*order):
            same(trained(cells(), True), expected)


def test_a_classifier_learns_the_same_bits(cupy, runs):
    how = {
        "loss": "sparse_categorical_crossentropy",
        "data": (CELLS, np.arange(22) % 5),
        "sample_weight": np.linspace(0.5, 1.5, 22, dtype=np.float32),
    }
    expected = run_as_recorded(digits(), **dict(how))
    runs.clear()
    same(trained(digits(), True, **dict(how)), expected)
    assert len(runs) == 3 + 4


def test_losses_of_several_outputs_are_shown_as_always(cupy, runs):
    histories = []
    for jit in ("auto", True):
        config.set_random_seed(5)
        x = layers.Input((12, 10, 3))
        code = layers.Conv2D(4, 3, strides=2, name="code")(x)
        image = layers.Conv2DTranspose(3, 4, strides=2, name="image")(code)
        most = layers.GlobalMaxPooling2D(name="most")(code)
        model = Model(x, [image, most]).gpu()
        model.compile("sgd", ["mse", "mae"], loss_weights=[1.0, 0.5], jit_compile=jit)
        truths = [OTHERS, OTHERS[:, 0, :2].reshape(22, -1)[:, :4]]
        with kernels.backend_module("cupy").own_products():
            history = model.fit(CELLS, truths, batch_size=8, epochs=3, shuffle=False, verbose=0)
        histories.append(history.history)
    assert histories[0] == histories[1]
    assert sorted(histories[0]) == ["image_loss", "loss", "most_loss"]
    assert len(runs) == 9 + 3 + 3


def test_a_wrong_class_number_shows_as_nan_where_nobody_may_look(cupy):
    model = digits().gpu()
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    kinds = np.arange(8) % 5
    losses = [model.train_on_batch(CELLS[:8], kinds) for _ in range(4)]
    assert np.isfinite(losses).all()
    with pytest.warns(UserWarning, match="or, on a GPU, y holds a class number that is none"):
        assert np.isnan(model.train_on_batch(CELLS[:8], kinds + 1))


def test_a_metric_of_a_recorded_step_knows_what_is_behind_probabilities(cupy, runs):
    # Logits far beyond those that probabilities in float32 can tell apart.
    model = Sequential([layers.Input((6,)), layers.Dense(3, activation="softmax")]).gpu()
    kernel = np.full((6, 3), [0.0, 0.1, 0.3], "float32")
    model.layers[-1].set_weights([kernel, np.zeros(3, "float32")])
    metric = "sparse_categorical_crossentropy"
    model.compile("sgd", metric, metrics=[metric], jit_compile=True)
    x = np.random.default_rng(1).uniform(100, 200, (8, 6)).astype("float32")
    z = x.astype(float) @ kernel
    model.optimizer.learning_rate = 0.0
    for _ in range(5):
        loss, measured = model.train_on_batch(x, np.zeros(8, "int64"))
        np.testing.assert_allclose([loss, measured], (z.max(1) - z[:, 0]).mean(), rtol=1e-5)
    assert len(runs) == 3  # the last two are recorded


def test_the_setting_cupy_learns_the_same_bits(cupy):
    expected = run_as_recorded(cells())
    with config.use_backend("cupy"):
        same(trained(cells(), True), expected)


def steps(model, change=None, count=7):
    """Do some steps on one batch, with a change before the fifth."""
    losses = []
    for step in range(count):
        if step == 4 and change is not None:
            change(model)
        losses.append(model.train_on_batch(CELLS[:8], OTHERS[:8]))
    return losses, model.get_weights()


def halve(model):
    model.set_weights([w / 2 for w in model.get_weights()])


def load(model, folder):
    other = cells()
    halve(other)
    other.save_weights(folder / "w.safetensors")
    model.load_weights(folder / "w.safetensors")


def reset_statistics(model):
    model.layers[1].moving_mean.data[...] = 0.5


def freeze(model):
    model.layers[1].trainable = False


def there_and_back(model):
    model.cpu()
    assert model.train_on_batch(CELLS[:8], OTHERS[:8]) > 0
    model.gpu()


@pytest.mark.parametrize("change", [halve, load, reset_statistics, freeze, there_and_back])
def test_what_changes_in_between_is_seen(cupy, change, tmp_path):
    def changed(model):
        change(model, tmp_path) if change is load else change(model)

    results = []
    for jit in ("auto", True):
        model = cells().gpu()
        model.compile("adam", "mse", jit_compile=jit)
        with kernels.backend_module("cupy").own_products():
            results.append(steps(model, changed))
    same(*results)
    untouched = cells().gpu()
    untouched.compile("adam", "mse")
    with kernels.backend_module("cupy").own_products():
        weights = steps(untouched)[1]
    assert not all(map(np.array_equal, weights, results[0][1]))


def test_compiling_again_records_anew(cupy):
    results = []
    for jit in ("auto", True):
        model = cells().gpu()
        model.compile("adam", "mse", jit_compile=jit)
        with kernels.backend_module("cupy").own_products():
            first = steps(model)
            model.compile("sgd", "mae", jit_compile=jit)
            second = steps(model)
        results.append((first[0] + second[0], second[1]))
    same(*results)


def test_weights_that_somebody_holds_stay_as_they_are(cupy):
    model = cells().gpu()
    model.compile("adam", "mse", jit_compile=True)
    steps(model)
    held = [w.data for w in model.weights]
    before = [array.get() for array in held]
    steps(model)
    assert all(np.array_equal(a.get(), b) for a, b in zip(held, before, strict=True))
    assert not any(np.array_equal(w.numpy(), b) for w, b in zip(model.weights, before, strict=True))


def test_a_graph_for_every_shape_that_comes_twice_in_a_row(cupy, runs):
    model = cells().gpu()
    model.compile("adam", "mse", jit_compile=True)
    for count in (8, 8, 8, 8, 5, 8, 5, 5, 5, 5, 8):
        model.train_on_batch(CELLS[:count], OTHERS[:count])
    # 8: run, run, recorded, replayed; 5: run; 8: replayed; 5: the same from the start.
    assert len(runs) == 3 + 1 + 3
    assert len(model._replays._replays) == 2
    many = Replays.MOST + 1
    for count in np.repeat(np.arange(9, 9 + many), 3):
        model.train_on_batch(CELLS[:count], OTHERS[:count])
    assert len(model._replays._replays) == Replays.MOST


class OwnStep(Sequential):
    def train_step(self, data):
        x, y = data
        with mc.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


class SameStep(Sequential):
    def train_step(self, data):
        return super().train_step(data)


class Waiting(layers.Layer):
    def call(self, x):
        return x * 2 if float(mc.ops.sum(x)) > 0 else x


class Sending(layers.Layer):
    def call(self, x):
        return x * alongside(np.linspace(0.5, 1.5, 6, dtype=np.float32), x)


REASONS = [
    (lambda: cells(layers.Dropout(0.25)), {}, "random numbers"),
    (lambda: cells(layers.GaussianNoise(0.1, seed=3)), {}, "random numbers"),
    (lambda: cells(Waiting()), {}, "stream is capturing"),
    (lambda: cells(Sending()), {}, r"an array \(6,\) of float32 is sent to the GPU"),
    (lambda: OwnStep(cells().layers), {}, "train_step of its own"),
    (cells, {"run_eagerly": True}, "run_eagerly=True"),
]


@pytest.mark.parametrize(
    ("make", "how", "reason"),
    REASONS,
    ids=["dropout", "noise", "waits", "sends", "own", "eager"],
)
def test_what_cannot_be_recorded_says_why_once_and_runs(cupy, make, how, reason):
    plain = make().gpu()
    plain.compile("sgd", "mse")
    expected = steps(plain)
    model = make().gpu()
    model.compile("sgd", "mse", jit_compile=True, **how)
    with pytest.warns(UserWarning, match=f"jit_compile=True, but .*({reason})") as told:
        found = steps(model)
    assert len(told) == 1
    assert np.allclose(found[0], expected[0], rtol=1e-5)
    for a, b in zip(found[1], expected[1], strict=True):
        assert np.allclose(a, b, rtol=1e-4, atol=1e-6)


def test_a_step_that_calls_the_usual_one_is_recorded(cupy, runs):
    model = SameStep(cells().layers).gpu()
    model.compile("adam", "mse", jit_compile=True)
    steps(model)
    assert len(runs) == 3


def test_on_the_cpu_it_changes_nothing_and_says_nothing(runs):
    results = []
    for jit in ("auto", True):
        model = cells()
        with config.use_backend("numpy"):
            model.compile("adam", "mse", jit_compile=jit)
            results.append(steps(model, count=4))
    same(*results)
    assert len(runs) == 8


def test_nothing_is_recorded_unless_asked_for(cupy, runs):
    model = cells().gpu()
    model.compile("adam", "mse")
    steps(model)
    assert len(runs) == 7


def test_a_card_without_room_loses_the_graph_and_not_the_training(cupy, card, monkeypatch):
    if not cupy.__version__.endswith("(stand-in)"):
        pytest.skip("a card has its own memory")
    model = cells().gpu()
    model.compile("adam", "mse", jit_compile=True)
    model.train_on_batch(CELLS, OTHERS)
    before = model.get_weights()
    gc.collect()
    cupy.get_default_memory_pool().free_all_blocks()
    used = stand_in.card.used_bytes
    for share in (0.05, 0.3, 0.6, 0.9):  # in the way of what the graph's memory needs
        monkeypatch.setattr(card, "total_bytes", used + int(share * 400_000))
        with pytest.raises(DeviceMemoryError):
            model.train_on_batch(CELLS, OTHERS)
        assert not model._replays._replays
        gc.collect()
        assert all(map(np.array_equal, model.get_weights(), before))
    monkeypatch.setattr(card, "total_bytes", used + (1 << 24))
    losses = [model.train_on_batch(CELLS, OTHERS) for _ in range(4)]
    assert losses[-1] < losses[0]
    assert len(model._replays._replays) == 1


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict", "a data set"])
def test_the_next_batch_is_copied_while_a_step_runs(cupy, monkeypatch, method):
    """When a step begins, the batch after its own is on its way."""
    sent, steps_begun = [], []
    real = transfer.to_gpu
    monkeypatch.setattr(
        cuda, "to_gpu", lambda a: (sent.append(a.shape) if a.shape[1:] else None, real(a))[1]
    )

    class Watching(layers.Layer):
        def call(self, x):
            steps_begun.append(len(sent))
            return x * 1.0

    model = Sequential([layers.Input((12, 10, 3)), layers.Conv2D(3, 1), Watching()]).gpu()
    model.compile("sgd", "mse")
    sent.clear()
    steps_begun.clear()
    if method == "fit":
        model.fit(CELLS, OTHERS, batch_size=6, shuffle=False, verbose=0)
    elif method == "evaluate":
        model.evaluate(CELLS, OTHERS, batch_size=6, verbose=0)
    elif method == "predict":
        model.predict(CELLS, batch_size=6, verbose=0)
    else:
        with config.use_backend("cupy"):
            for batch in mc.data.Dataset.from_tensor_slices(CELLS).batch(6).prefetch(2):
                assert batch.device == "gpu"
                model(batch)
    parts = 1 if method in ("predict", "a data set") else 2
    assert steps_begun == [2 * parts, 3 * parts, 4 * parts, 4 * parts]


def test_memory_of_a_recorded_step_goes_with_it(cupy):
    model = cells().gpu()
    model.compile("adam", "mse", jit_compile=True)
    steps(model)
    gc.collect()
    alive = sum(type(o) is _Replay for o in gc.get_objects())
    model.compile("adam", "mse")
    gc.collect()
    assert sum(type(o) is _Replay for o in gc.get_objects()) == alive - 1


def test_a_model_without_built_weights_is_recorded_once_it_has_some(cupy, runs):
    with config.use_backend("cupy"), warnings.catch_warnings():
        config.set_random_seed(5)
        model = Sequential([layers.Conv2D(3, (3, 5), padding="same"), layers.BatchNormalization()])
        model.compile("adam", "mse", jit_compile=True)
        steps(model)
        assert model.layers[0].built
    assert len(runs) == 4  # without weights, with weights, in the graph's memory, recorded
