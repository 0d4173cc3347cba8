"""A training that is interrupted and continued ends as one that never stopped, bit for bit."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minicnn import Sequential, config, layers
from minicnn import optimizers as opt
from minicnn.autograd.tensor import as_numpy
from minicnn.callbacks import BackupAndRestore, Callback
from minicnn.errors import OutputError, WeightsError
from minicnn.models.saving import read_arrays

rng = np.random.default_rng(23)
X = rng.normal(size=(22, 5, 7, 1)).astype(np.float32)
Y = rng.normal(size=(22, 2)).astype(np.float32)
EPOCHS = 5

NETWORKS = {
    "plain": lambda: [],
    "dropout": lambda: [layers.Dropout(0.3)],
    "seeded dropout": lambda: [layers.Dropout(0.3, seed=3), layers.Dropout(0.2, seed=3)],
    "noise": lambda: [layers.GaussianNoise(0.1), layers.GaussianNoise(0.1, seed=5)],
    "normalized": lambda: [layers.BatchNormalization(momentum=0.7)],
    "nested": lambda: [Sequential([layers.Dropout(0.3, seed=2), layers.Dense(3)])],
}

OPTIMIZERS = {
    "sgd": lambda: opt.SGD(0.05),
    "momentum": lambda: opt.SGD(0.02, momentum=0.9, nesterov=True),
    "adam": lambda: opt.Adam(opt.CosineDecay(0.01, 12), clipnorm=1.0),
    "amsgrad": lambda: opt.Adam(0.01, amsgrad=True, weight_decay=0.01),
}


class Interrupt(Callback):
    """Presses Ctrl-C after some batches of an epoch."""

    def __init__(self, epoch, batch):
        self.place = epoch, batch
        self.epoch = -1

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            raise KeyboardInterrupt


def made(network="plain", optimizer="adam", seed=0):
    """Return a compiled model as a program makes it that has just been started."""
    config.set_random_seed(seed)
    model = Sequential(
        [
            layers.Conv2D(3, (3, 2), activation="relu", input_shape=(5, 7, 1)),
            *NETWORKS[network](),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    model.compile(OPTIMIZERS[optimizer](), "mse", metrics=["mae"])
    return model


def trained(model, *callbacks, epochs=EPOCHS):
    return model.fit(
        X,
        Y,
        batch_size=6,
        epochs=epochs,
        callbacks=list(callbacks),
        validation_split=0.2,
        verbose=0,
    )


def slots(model):
    """Return what the optimizer keeps, in the order of the weights."""
    kept = [model.optimizer.state.get(id(w), {}) for w in model.weights]
    return [as_numpy(array) for slot in kept for array in slot.values()]


def assert_equal(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(slots(one), slots(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.optimizer.iterations == other.optimizer.iterations
    assert one.history.history == other.history.history
    assert one.history.epoch == other.history.epoch == list(range(EPOCHS))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_interrupted_training_continues_as_if_nothing_had_happened(tmp_path, network, optimizer):
    whole = made(network, optimizer)
    trained(whole)
    assert len(whole.history.history["val_loss"]) == EPOCHS

    with pytest.raises(KeyboardInterrupt):
        trained(made(network, optimizer), BackupAndRestore(tmp_path / "b"), Interrupt(2, 1))
    # Another seed: all that matters is in the file.
    continued, backup = made(network, optimizer, seed=99), BackupAndRestore(tmp_path / "b")
    trained(continued, backup)
    assert backup.epochs_done == EPOCHS
    assert_equal(continued, whole)
    # What comes after is the same too: the random numbers go on from one state.
    following = config.random_generator().random()
    restored = made(network, optimizer, seed=98)
    trained(restored, BackupAndRestore(tmp_path / "b"))
    assert config.random_generator().random() == following
    assert_equal(restored, whole)


def test_an_interruption_before_the_first_backup_begins_anew(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trained(made(), BackupAndRestore(tmp_path / "b"), Interrupt(0, 1))
    assert not (tmp_path / "b").exists()
    whole = made()
    trained(whole)
    again = made()
    trained(again, BackupAndRestore(tmp_path / "b"))
    assert_equal(again, whole)


def test_several_interruptions(tmp_path):
    for epoch in (1, 1, 3):
        with pytest.raises(KeyboardInterrupt):
            trained(made("dropout"), BackupAndRestore(tmp_path / "b"), Interrupt(epoch, 0))
    continued = made("dropout")
    trained(continued, BackupAndRestore(tmp_path / "b"))
    whole = made("dropout")
    trained(whole)
    assert_equal(continued, whole)


def test_more_epochs_may_be_asked_for(tmp_path):
    trained(made(), BackupAndRestore(tmp_path / "b"), epochs=2)
    continued = made()
    seen = []

    class Note(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(epoch)

    trained(continued, BackupAndRestore(tmp_path / "b"), Note())
    assert seen == [2, 3, 4]
    whole = made()
    trained(whole)
    assert_equal(continued, whole)


def test_a_finished_training_is_not_repeated(tmp_path):
    model = made()
    trained(model, BackupAndRestore(tmp_path / "b"))
    again = made(seed=5)
    history = trained(again, BackupAndRestore(tmp_path / "b"))
    assert_equal(again, model)
    assert len(history.history["loss"]) == EPOCHS


def test_a_backup_need_not_be_restored(tmp_path):
    trained(made(), BackupAndRestore(tmp_path / "b"), epochs=2)
    fresh = made(seed=7)
    trained(fresh, BackupAndRestore(tmp_path / "b", restore=False))
    whole = made(seed=7)
    trained(whole)
    assert_equal(fresh, whole)


def test_a_model_saves_and_restores_its_training_by_hand(tmp_path):
    model = made()
    trained(model, epochs=3)
    model.save_training(tmp_path / "b", 3)
    other = made(seed=1)
    other.fit(X, Y, epochs=1, verbose=0)
    assert other.restore_training(tmp_path / "b") == 3
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert other.history.epoch == [0, 1, 2]
    assert other.optimizer.iterations == model.optimizer.iterations == 9


def test_frozen_layers_stay_frozen_and_equal(tmp_path):
    def half_frozen():
        model = made("normalized", "momentum")
        model.layers[0].trainable = False
        return model

    whole = half_frozen()
    trained(whole)
    with pytest.raises(KeyboardInterrupt):
        trained(half_frozen(), BackupAndRestore(tmp_path / "b"), Interrupt(3, 0))
    continued = half_frozen()
    trained(continued, BackupAndRestore(tmp_path / "b"))
    assert_equal(continued, whole)


# Files that cannot be used


def refused(model, path, text):
    before, state = model.get_weights(), config.random_state()
    with pytest.raises(WeightsError, match=text):
        trained(model, BackupAndRestore(path))
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert model.optimizer.iterations == 0
    assert config.random_state() == state


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.999])
def test_a_damaged_backup_is_refused(tmp_path, kept):
    trained(made(), BackupAndRestore(tmp_path / "b"), epochs=1)
    whole = (tmp_path / "b").read_bytes()
    (tmp_path / "b").write_bytes(whole[: int(kept * len(whole))])
    refused(made(), tmp_path / "b", "b is no safetensors file, or it is damaged")


def test_weights_alone_are_no_training(tmp_path):
    made().save_weights(tmp_path / "w")
    refused(made(), tmp_path / "w", "holds weights alone, not a training that can be continued")
    save_file({"a": np.ones(2)}, tmp_path / "a")
    refused(made(), tmp_path / "a", "holds weights alone")


def test_a_training_of_another_network_is_refused(tmp_path):
    trained(made("normalized"), BackupAndRestore(tmp_path / "b"), epochs=1)
    refused(made(), tmp_path / "b", r"unexpected batch_normalization/gamma")


def test_a_training_by_another_optimizer_is_refused(tmp_path):
    trained(made(optimizer="momentum"), BackupAndRestore(tmp_path / "b"), epochs=1)
    refused(
        made(optimizer="adam"),
        tmp_path / "b",
        r"a training by SGD with momentum, but the model is compiled with Adam with momentum, vel",
    )
    refused(made(optimizer="sgd"), tmp_path / "b", "SGD with momentum, but .* with SGD;")


def test_a_training_with_other_seeds_is_refused(tmp_path):
    trained(made("seeded dropout"), BackupAndRestore(tmp_path / "b"), epochs=1)
    refused(
        made("dropout"),
        tmp_path / "b",
        r"a seed in the layers \['dropout', 'dropout_1'\], but the model has seeds in \[\];",
    )


def test_a_training_is_no_file_of_weights_alone(tmp_path):
    trained(made(), BackupAndRestore(tmp_path / "b"), epochs=1)
    with pytest.raises(WeightsError, match="missing conv2d/kernel"):
        made().load_weights(tmp_path / "b")


def test_a_backup_that_cannot_be_written_ends_the_training(tmp_path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(OutputError, match=r"cannot write .*b"):
        trained(made(), BackupAndRestore(tmp_path / "file" / "b"))


def test_a_backup_that_fails_leaves_the_one_before(tmp_path, monkeypatch):
    import safetensors.numpy

    trained(made(), BackupAndRestore(tmp_path / "b"), epochs=2)
    old = (tmp_path / "b").read_bytes()

    def fail(arrays, path, metadata):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.numpy, "save_file", fail)
        with pytest.raises(KeyboardInterrupt):
            trained(made(), BackupAndRestore(tmp_path / "b"))
    assert (tmp_path / "b").read_bytes() == old
    continued = made()
    trained(continued, BackupAndRestore(tmp_path / "b"))
    whole = made()
    trained(whole)
    assert_equal(continued, whole)


def test_what_the_file_holds(tmp_path):
    model = made(optimizer="momentum")
    trained(model, BackupAndRestore(tmp_path / "b"), epochs=2)
    arrays, texts = read_arrays(tmp_path / "b")
    weights = ["conv2d/bias", "conv2d/kernel", "dense/bias", "dense/kernel"]
    assert sorted(arrays) == [
        *[f"model/{name}" for name in weights],
        *[f"optimizer/{name}/momentum" for name in weights],
    ]
    assert load_file(tmp_path / "b").keys() == arrays.keys()
    assert (texts["epochs"], texts["iterations"]) == ("2", "6")
    assert json.loads(texts["history"]) == model.history.history
    np.testing.assert_array_equal(arrays["model/dense/bias"], model.layers[-1].bias.numpy())
