"""Training, data and files with the arrays on the GPU, against the same on the CPU."""

import threading

import numpy as np
import pytest

from minicnn import Sequential, Variable, config, constant, constraints, layers, optimizers
from minicnn.applications.cell_autoencoder import cell_autoencoder
from minicnn.autograd import recording
from minicnn.autograd.tensor import as_numpy
from minicnn.callbacks import BackupAndRestore, Callback, EarlyStopping, SwapEMAWeights
from minicnn.data import AUTOTUNE, Dataset
from minicnn.errors import ArgumentError, DataError, DeviceError
from minicnn.models import load_model
from minicnn.runtime import devices
from minicnn.training import batches

RNG = np.random.default_rng(6)
CELLS = RNG.uniform(size=(11, 12, 16, 3)).astype("float32")
DIGITS = RNG.normal(size=(22, 8, 10, 1)).astype("float32")
KINDS = RNG.integers(0, 3, 22)


def autoencoder(optimizer=None):
    model = cell_autoencoder((12, 16, 3), filters=(3, 4), code_channels=2)
    model.compile(optimizer or optimizers.Adam(0.01), "mse", metrics=["mae"])
    return model, CELLS, CELLS


def classifier(optimizer=None):
    model = Sequential(
        [
            layers.Conv2D(4, (3, 2), activation="relu", input_shape=(8, 10, 1)),
            layers.MaxPooling2D((2, 3)),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(3, activation="softmax"),
        ]
    )
    optimizer = optimizer or optimizers.SGD(0.1, 0.9, global_clipnorm=0.5)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, DIGITS, KINDS


def made(network, backend="numpy", moved=False, **arguments):
    """Return a network with its data, always of the same first weights."""
    with config.use_backend(backend):
        config.set_random_seed(3)
        model, x, y = network(**arguments)
        return (model.gpu() if moved else model), x, y


def trained(network, backend="numpy", moved=False, epochs=3, callbacks=None, **arguments):
    model, x, y = made(network, backend, moved, **arguments)
    with config.use_backend(backend):
        config.set_random_seed(4)
        model.fit(x, y, 8, epochs, callbacks=callbacks, validation_split=0.2, verbose=0)
    return model


def assert_same_training(one, other, rtol):
    assert list(one.history.history) == list(other.history.history)
    for name, values in one.history.history.items():
        np.testing.assert_allclose(other.history.history[name], values, rtol, err_msg=name)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol, atol=rtol)
    for a, b in zip(one.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol, atol=rtol, err_msg=a.name)


NETWORKS = pytest.mark.parametrize("network", [autoencoder, classifier])


@NETWORKS
@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-3), ("float64", 1e-9)])
def test_a_training_on_the_card_is_that_on_the_cpu(cupy, network, dtype, rtol):
    with config.use_floatx(dtype):
        here = trained(network)
        for backend, moved in (("auto", True), ("cupy", False)):
            there = trained(network, backend, moved)
            assert there.device == "gpu"
            assert {type(a) for s in there.optimizer.state.values() for a in s.values()} == {
                cupy.ndarray
            }
            assert_same_training(here, there, rtol)


@NETWORKS
def test_two_trainings_on_the_card_give_the_same_bits(cupy, network):
    one, other = (trained(network, "cupy") for _ in range(2))
    assert one.history.history == other.history.history
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


class Moving(Callback):
    """Moves the model to the GPU after the first epoch, and back after the second."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.gpu() if epoch == 0 else self.model.cpu()
        kept = [a for s in self.model.optimizer.state.values() for a in s.values()]
        assert {constant(a).device for a in kept} == {self.model.device}


class MovingLayers(Callback):
    """Does so with the layers, which know nothing of the model's optimizer."""

    def on_epoch_end(self, epoch, logs=None):
        for layer in self.model.layers:
            layer.gpu() if epoch == 0 else layer.cpu()


class ThereAndBack(Callback):
    """Moves the model to the GPU and back before the next step."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.gpu().cpu()


@NETWORKS
@pytest.mark.parametrize("moving", [Moving, MovingLayers, ThereAndBack])
def test_a_model_that_moves_in_the_middle_continues(cupy, network, moving):
    with config.use_floatx("float64"):
        stayed, moved = trained(network), trained(network, callbacks=[moving()])
    assert_same_training(stayed, moved, 1e-9)


def test_there_and_back_changes_no_bit_and_returns_the_layer(cupy):
    model, _, _ = made(autoencoder)
    before = model.get_weights()
    assert model.gpu() is model
    assert {w.device for w in model.weights} == {"gpu"}
    assert all(type(a) is np.ndarray for a in model.get_weights())
    layer = model.get_layer("code")
    assert layer.cpu() is layer
    assert {w.device for w in layer.weights} == {"cpu"}
    assert layer.kernel.grad is None
    model.cpu()
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_gradient_goes_with_its_weight(cupy):
    layer = layers.Dense(2)
    with recording():
        layer(np.ones((3, 4), "float32"))[0, 0].backward()
    before = layer.kernel.grad.numpy()
    layer.gpu()
    assert layer.kernel.grad.device == "gpu"
    np.testing.assert_array_equal(layer.kernel.grad.numpy(), before)


def test_what_is_not_built_cannot_be_moved(cupy):
    with pytest.raises(ArgumentError, match=r"gpu\(\) found no weights, .*not built yet"):
        Sequential([layers.Dense(3)]).gpu()


# Optimizers


OPTIMIZERS = {
    "sgd": lambda: optimizers.SGD(0.1),
    "nesterov": lambda: optimizers.SGD(0.1, 0.9, nesterov=True, weight_decay=0.1),
    "lion": lambda: optimizers.Lion(0.1, clipnorm=0.5),
    "adam": lambda: optimizers.Adam(0.1, global_clipnorm=1.0),
    "amsgrad": lambda: optimizers.Adam(0.1, amsgrad=True, clipvalue=0.5),
    "adamw": lambda: optimizers.AdamW(0.1, use_ema=True, ema_overwrite_frequency=2),
    "adamax": lambda: optimizers.Adamax(0.1),
    "nadam": lambda: optimizers.Nadam(0.1, loss_scale_factor=4.0),
    "rmsprop": lambda: optimizers.RMSprop(0.1, momentum=0.5, centered=True),
    "adagrad": lambda: optimizers.Adagrad(0.1),
    "adadelta": lambda: optimizers.Adadelta(1.0, gradient_accumulation_steps=2),
    "ftrl": lambda: optimizers.Ftrl(0.1, l1_regularization_strength=0.1),
}


def stepped(make, place, spared):
    """Return variables, and what is kept for them, after some steps."""
    rng = np.random.default_rng(5)
    shapes = [(3, 2), (4,), (2, 3, 5)]
    variables = [Variable(place(rng.normal(size=shape))) for shape in shapes]
    variables[1].constraint = constraints.NonNeg()
    optimizer = make()
    if spared:
        optimizer.exclude_from_weight_decay(variables[:1])
    for _ in range(4):
        gradients = [place(rng.normal(size=shape)) for shape in shapes]
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return [*variables, *optimizer.variables[2:]]


@pytest.mark.parametrize("spared", [False, True], ids=["in a row", "one at a time"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_do_on_the_card_what_they_do_on_the_cpu(cupy, name, spared):
    with config.use_backend("numpy"):
        here = stepped(OPTIMIZERS[name], np.asarray, spared)
        there = stepped(OPTIMIZERS[name], cupy.asarray, spared)
    assert {v.device for v in there} == {"gpu"}
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-12, atol=1e-15)


def test_plain_gradients_go_to_the_variable_and_tensors_stay_away(cupy):
    w, optimizer = Variable(cupy.asarray(np.ones((2, 3)))), optimizers.SGD(1.0)
    optimizer.apply_gradients([([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], w), (None, w)])
    np.testing.assert_array_equal(w.numpy(), [[0, -1, -2], [1, 1, 1]])
    with pytest.raises(DeviceError, match=r"\(2, 3\) for 'variable' is in the computer's memory"):
        optimizer.apply_gradients([(constant(np.ones((2, 3))), w)])
    v = Variable(np.ones((2, 3)))
    with pytest.raises(DeviceError, match=r"is on the GPU, but the variable \(2, 3\) is in the"):
        optimizers.SGD(1.0).apply_gradients([(w.value, v)])


def test_what_is_kept_passes_from_one_device_to_the_other(cupy):
    here, there = Variable(np.ones(5)), Variable(cupy.asarray(np.ones(5)))
    one, other = optimizers.Adam(0.1), optimizers.Adam(0.1)
    one.apply_gradients([(np.arange(5.0), here)])
    other.build([there])
    other.set_weights(one.variables)
    assert {constant(a).device for a in other.slots_of(there).values()} == {"gpu"}
    for slot, array in one.slots_of(here).items():
        np.testing.assert_array_equal(as_numpy(other.slots_of(there)[slot]), array)


# Files


def assert_bits(model, other):
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("there_first", [True, False], ids=["from the card", "to the card"])
@pytest.mark.parametrize("name", ["w.safetensors", "w.weights.h5", "whole.keras"])
def test_weights_saved_on_one_device_load_on_the_other(cupy, tmp_path, name, there_first):
    model = trained(autoencoder, epochs=1, moved=there_first)
    other = trained(autoencoder, epochs=2, moved=not there_first)
    path = tmp_path / name
    model.save(path) if name.endswith(".keras") else model.save_weights(path)
    other.load_weights(path)
    assert {model.device, other.device} == {"cpu", "gpu"}
    assert_bits(model, other)


@pytest.mark.parametrize(("saved", "loaded"), [("cupy", "numpy"), ("numpy", "cupy")])
def test_whole_models_come_back_on_either_device(cupy, tmp_path, saved, loaded):
    model = trained(autoencoder, saved)
    model.save(tmp_path / "whole.keras")
    with config.use_backend(loaded):
        other = load_model(tmp_path / "whole.keras")
    assert {model.device, other.device} == {"cpu", "gpu"}
    assert_bits(model, other)
    for a, b in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize(("first", "then"), [("numpy", "cupy"), ("cupy", "numpy")])
def test_a_training_continues_on_the_other_device(cupy, tmp_path, first, then):
    backup = tmp_path / "training.safetensors"
    with config.use_floatx("float64"):
        whole = trained(classifier)
        trained(
            classifier,
            first,
            epochs=2,
            callbacks=[BackupAndRestore(backup, delete_checkpoint=False)],
        )
        other = trained(
            classifier, then, callbacks=[BackupAndRestore(backup, delete_checkpoint=False)]
        )
    assert other.device == ("gpu" if then == "cupy" else "cpu")
    assert_same_training(whole, other, 1e-9)


def test_callbacks_that_keep_weights_work_on_the_card(cupy):
    found = []
    for backend in ("numpy", "cupy"):
        best = EarlyStopping("val_loss", patience=5, restore_best_weights=True)
        optimizer = optimizers.SGD(2.0, use_ema=True, ema_momentum=0.5)
        with config.use_floatx("float64"):
            found.append(
                trained(
                    classifier, backend, optimizer=optimizer, callbacks=[SwapEMAWeights(), best]
                )
            )
        assert all(type(a) is np.ndarray for a in best.best_weights)
    assert found[1].device == "gpu"
    assert_same_training(*found, 1e-8)


# Data


def history_of(x, y, weights=None, *, moved):
    model, _, _ = made(classifier, moved=moved)
    config.set_random_seed(4)
    return model.fit(x, y, 8, 2, sample_weight=weights, verbose=0).history


def test_batches_go_to_the_weights_wherever_the_data_are(cupy):
    weights = np.linspace(0.5, 2, 22)
    given = {
        "numpy": (DIGITS, KINDS, weights),
        "cupy": tuple(map(cupy.asarray, (DIGITS, KINDS, weights))),
        "tensors": tuple(constant(cupy.asarray(a)) for a in (DIGITS, KINDS, weights)),
        "mixed": (DIGITS, cupy.asarray(KINDS), constant(weights)),
    }
    expected = history_of(*given.pop("numpy"), moved=False)
    for name, parts in given.items():
        for moved in (True, False):
            for figure, values in history_of(*parts, moved=moved).items():
                np.testing.assert_allclose(values, expected[figure], rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("setting", ["numpy", "cupy"])
def test_measuring_and_predicting_follow_the_weights_whatever_the_setting(cupy, setting):
    here, x, y = made(classifier)
    there, _, _ = made(classifier, moved=True)
    with config.use_backend(setting):
        for method in ("evaluate", "test_on_batch", "train_on_batch"):
            figures = []
            for model in (here, there):
                config.set_random_seed(4)
                figures.append(getattr(model, method)(x, y, return_dict=True))
            assert figures[0] == pytest.approx(figures[1], rel=1e-4), method
        for method in ("predict", "predict_on_batch"):
            a, b = (getattr(model, method)(x) for model in (here, there))
            assert type(b) is np.ndarray
            np.testing.assert_allclose(b, a, rtol=1e-3)
            np.testing.assert_array_equal(getattr(there, method)(cupy.asarray(x)), b)
    assert (here.device, there.device) == ("cpu", "gpu")


def test_a_model_without_weights_works_where_the_setting_says(cupy):
    seen = []

    class Looking(layers.Layer):
        def call(self, inputs):
            seen.append(inputs.device)
            return 2 * inputs

    model = Sequential([layers.Input((2, 3)), Looking()])
    for backend in ("cupy", "auto"):
        with config.use_backend(backend):
            model.predict(np.ones((4, 2, 3), "float32"), verbose=0)
    assert seen[-2:] == ["gpu", "cpu"]


def test_values_that_are_no_numbers_are_found_on_the_card(cupy):
    x = cupy.asarray(np.where(np.arange(22)[:, None, None, None] == 5, np.nan, DIGITS))
    model, _, _ = made(classifier, moved=True)
    with pytest.raises(DataError, match="x holds NaN or infinity in 1 of 22 samples, the first"):
        model.fit(x, KINDS, verbose=0)


def test_weights_in_two_places_are_named(cupy):
    model, x, y = made(classifier)
    model.layers[0].gpu()
    said = r"bias \(3,\)|kernel \(\d+, 3\) of 'dense.*' is in the computer's memory, but kernel"
    for use in (lambda: model.fit(x, y), lambda: model.evaluate(x, y), lambda: model.predict(x)):
        with pytest.raises(DeviceError, match=said):
            use()


def test_a_call_takes_plain_data_to_the_weights_but_no_tensors(cupy):
    model, x, _ = made(classifier, moved=True)
    expected = made(classifier)[0](x).numpy()
    for given in (x, x.tolist(), cupy.asarray(x), constant(x).gpu()):
        y = model(given)
        assert y.device == "gpu"
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-3)
    with pytest.raises(DeviceError, match=r"x \(22, 8, 10, 1\) is in the computer's memory, but"):
        model(constant(x))
    with pytest.raises(DeviceError, match=r"x \(22, 8, 10, 1\) is on the GPU, but"):
        model.cpu()(constant(x).gpu())


def test_the_card_is_waited_for_once_in_a_step_and_for_metrics_once_more(cupy, monkeypatch):
    if not hasattr(cupy.ndarray, "_array"):
        pytest.skip("counts the waits of the stand-in")
    model, x, y = made(autoencoder, moved=True)
    waits = []
    for name in ("get", "__float__", "__bool__", "__int__"):
        real = getattr(cupy.ndarray, name)
        monkeypatch.setattr(
            cupy.ndarray, name, lambda a, r=real, n=name: (waits.append(n), r(a))[1]
        )
    model.train_on_batch(x, y)
    assert sorted(waits) == ["__float__", "get"]  # the loss; a number of the metric for each sample
    model.compile(optimizers.Adam(global_clipnorm=1.0), "mse")
    waits.clear()
    model.train_on_batch(x, y)
    assert sorted(waits) == ["__float__", "get"]  # the loss; the norm of the gradients
    model.compile("adam", "mse")
    waits.clear()
    model.train_on_batch(x, y)
    assert waits == ["__float__"]


# Data sets


def everywhere(seen):
    """Return a data set whose functions note where they work, in which thread, and that note."""

    def note(*given):
        main = threading.current_thread() is threading.main_thread()
        seen.append((config.device(), main, constant(1.0).device))
        return given[0] if len(given) == 1 else given

    def generated():
        for n in range(6):
            note()
            yield constant([n, n + 0.5])

    data = Dataset.from_generator(generated).map(note).map(note, AUTOTUNE)
    kept = data.filter(lambda x: note(x) is x).cache()
    return kept.map(lambda x: (x, x * constant(2.0))).batch(2), note


@pytest.mark.parametrize("ahead", [0, 2], ids=["alone", "prefetch"])
def test_a_pipeline_works_on_the_cpu_and_gives_what_the_setting_asks_for(cupy, ahead):
    seen = []
    data, note = everywhere(seen)
    data = data.prefetch(ahead)
    for backend, device in (("cupy", "gpu"), ("auto", "cpu"), ("numpy", "cpu")):
        with config.use_backend(backend):
            for x, y in data:
                assert (x.device, y.device) == (device, device)
                assert config.device() == device  # for who goes through it
                np.testing.assert_array_equal(y.numpy(), 2 * x.numpy())
            for x, y in data.as_numpy_iterator():
                assert type(x) is type(y) is np.ndarray
            with config.use_cpu():
                assert next(iter(data))[0].device == "cpu"
            total = data.reduce(0.0, lambda s, xy: note(s + xy[0].numpy().sum()))
            assert total.device == device
            assert float(total) == 33.0
    assert {(place, made_on) for place, _, made_on in seen} == {("cpu", "cpu")}
    assert {main for _, main, _ in seen} == {True, False}


def test_what_is_on_the_card_enters_a_pipeline_as_a_copy(cupy):
    x = constant(cupy.asarray(np.arange(6.0).reshape(3, 2)))
    data = Dataset.from_tensor_slices(x).map(lambda row: row.gpu() * 2)
    assert [row.device for row in data] == ["cpu"] * 3
    np.testing.assert_array_equal(
        next(Dataset.from_tensors(x).as_numpy_iterator()), np.arange(6.0).reshape(3, 2)
    )


def test_elements_make_no_way_over_the_card_to_a_model_on_the_cpu(cupy, monkeypatch):
    model, x, y = made(classifier)
    data = Dataset.from_tensor_slices({"x": x, "y": y}).map(lambda d: (d["x"], d["y"])).batch(5)
    monkeypatch.setattr(devices, "to_gpu", None)
    with config.use_backend("cupy"):
        model.fit(data, verbose=0)
        model.evaluate(data, verbose=0)
        model.predict(data.map(lambda a, b: a), verbose=0)


@pytest.mark.parametrize("setting", ["numpy", "cupy"])
def test_training_on_a_data_set_goes_by_the_model(cupy, setting):
    found = []
    for moved in (False, True):
        model, x, y = made(classifier, moved=moved)
        with config.use_backend(setting):
            data = (
                Dataset.from_tensor_slices((x, y)).shuffle(22, seed=1).batch(5).prefetch(AUTOTUNE)
            )
            config.set_random_seed(4)
            model.fit(data, epochs=2, validation_data=data, verbose=0)
            predicted = model.predict(data.map(lambda a, b: a), verbose=0)
        assert type(predicted) is np.ndarray
        found.append(model)
    assert_same_training(*found, 1e-3)


def test_texts_and_plain_numbers_have_no_place_on_the_card(cupy):
    names = np.array(["a", "bc"])
    batch = batches.moved({"x": np.ones((2, 3)), "names": names, "more": (None, [1.5, 2])}, "gpu")
    assert type(batch["x"]) is cupy.ndarray
    assert batch["names"] is names
    assert batch["more"] == (None, [1.5, 2])
    assert batches.moved(constant(batch["x"]), "cpu").device == "cpu"
