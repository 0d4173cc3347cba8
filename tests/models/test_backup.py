"""A training that is interrupted and continued ends as one that never stopped, bit for bit."""

import functools
import json
import random

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minicnn import Sequential, config, layers, metrics
from minicnn import optimizers as opt
from minicnn.autograd.tensor import as_numpy
from minicnn.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    SwapEMAWeights,
    TerminateOnNaN,
)
from minicnn.data import Dataset
from minicnn.errors import ArgumentError, OutputError, WeightsError
from minicnn.saving.safetensors import read_arrays

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


kept = functools.partial(BackupAndRestore, delete_checkpoint=False)


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
        trained(made(network, optimizer), kept(tmp_path / "b.safetensors"), Interrupt(2, 1))
    # Another seed: all that matters is in the file.
    continued, backup = made(network, optimizer, seed=99), kept(tmp_path / "b.safetensors")
    trained(continued, backup)
    assert backup.epochs_done == EPOCHS
    assert_equal(continued, whole)
    # What comes after is the same too: the random numbers go on from one state.
    following = config.random_generator().random()
    restored = made(network, optimizer, seed=98)
    trained(restored, kept(tmp_path / "b.safetensors"))
    assert config.random_generator().random() == following
    assert_equal(restored, whole)


def test_an_interruption_before_the_first_backup_begins_anew(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trained(made(), kept(tmp_path / "b.safetensors"), Interrupt(0, 1))
    assert not (tmp_path / "b.safetensors").exists()
    whole = made()
    trained(whole)
    again = made()
    trained(again, kept(tmp_path / "b.safetensors"))
    assert_equal(again, whole)


def test_several_interruptions(tmp_path):
    for epoch in (1, 1, 3):
        with pytest.raises(KeyboardInterrupt):
            trained(made("dropout"), kept(tmp_path / "b.safetensors"), Interrupt(epoch, 0))
    continued = made("dropout")
    trained(continued, kept(tmp_path / "b.safetensors"))
    whole = made("dropout")
    trained(whole)
    assert_equal(continued, whole)


def test_more_epochs_may_be_asked_for(tmp_path):
    trained(made(), kept(tmp_path / "b.safetensors"), epochs=2)
    continued = made()
    seen = []

    class Note(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(epoch)

    trained(continued, kept(tmp_path / "b.safetensors"), Note())
    assert seen == [2, 3, 4]
    whole = made()
    trained(whole)
    assert_equal(continued, whole)


def test_a_finished_training_is_not_repeated(tmp_path):
    model = made()
    trained(model, kept(tmp_path / "b.safetensors"))
    again = made(seed=5)
    history = trained(again, kept(tmp_path / "b.safetensors"))
    assert_equal(again, model)
    assert len(history.history["loss"]) == EPOCHS


def test_a_backup_need_not_be_restored(tmp_path):
    trained(made(), kept(tmp_path / "b.safetensors"), epochs=2)
    fresh = made(seed=7)
    trained(fresh, kept(tmp_path / "b.safetensors", restore=False))
    whole = made(seed=7)
    trained(whole)
    assert_equal(fresh, whole)


def test_a_model_saves_and_restores_its_training_by_hand(tmp_path):
    model = made()
    trained(model, epochs=3)
    model.save_training(tmp_path / "b.safetensors", 3)
    other = made(seed=1)
    other.fit(X, Y, epochs=1, verbose=0)
    assert other.restore_training(tmp_path / "b.safetensors") == 3
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
        trained(half_frozen(), kept(tmp_path / "b.safetensors"), Interrupt(3, 0))
    continued = half_frozen()
    trained(continued, kept(tmp_path / "b.safetensors"))
    assert_equal(continued, whole)


# Files that cannot be used


def refused(model, path, text):
    before, state = model.get_weights(), config.random_state()
    with pytest.raises(WeightsError, match=text):
        trained(model, kept(path))
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert model.optimizer.iterations == 0
    assert config.random_state() == state


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_damaged_backup_is_refused(tmp_path, share):
    trained(made(), kept(tmp_path / "b.safetensors"), epochs=1)
    whole = (tmp_path / "b.safetensors").read_bytes()
    (tmp_path / "b.safetensors").write_bytes(whole[: int(share * len(whole))])
    refused(made(), tmp_path / "b.safetensors", "b.safetensors is no safetensors file")


def test_weights_alone_are_no_training(tmp_path):
    made().save_weights(tmp_path / "w")
    refused(made(), tmp_path / "w", "holds weights alone, not a training that can be continued")
    save_file({"a": np.ones(2)}, tmp_path / "a")
    refused(made(), tmp_path / "a", "holds weights alone")


def test_a_training_of_another_network_is_refused(tmp_path):
    trained(made("normalized"), kept(tmp_path / "b.safetensors"), epochs=1)
    refused(made(), tmp_path / "b.safetensors", r"unexpected batch_normalization/gamma")


def test_a_training_by_another_optimizer_is_refused(tmp_path):
    trained(made(optimizer="momentum"), kept(tmp_path / "b.safetensors"), epochs=1)
    refused(
        made(optimizer="adam"),
        tmp_path / "b.safetensors",
        r"a training by SGD with momentum, but the model is compiled with Adam with momentum, vel",
    )
    refused(
        made(optimizer="sgd"), tmp_path / "b.safetensors", "SGD with momentum, but .* with SGD;"
    )


def test_a_training_with_other_seeds_is_refused(tmp_path):
    trained(made("seeded dropout"), kept(tmp_path / "b.safetensors"), epochs=1)
    refused(
        made("dropout"),
        tmp_path / "b.safetensors",
        r"a seed in the layers \['dropout', 'dropout_1'\], but the model has seeds in \[\];",
    )


def test_a_training_is_no_file_of_weights_alone(tmp_path):
    trained(made(), kept(tmp_path / "b.safetensors"), epochs=1)
    with pytest.raises(WeightsError, match="missing conv2d/kernel"):
        made().load_weights(tmp_path / "b.safetensors")


def test_a_backup_that_cannot_be_written_ends_the_training(tmp_path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(OutputError, match=r"cannot write .*b"):
        trained(made(), kept(tmp_path / "file" / "b.safetensors"))


def test_a_backup_that_fails_leaves_the_one_before(tmp_path, monkeypatch):
    import safetensors.numpy

    trained(made(), kept(tmp_path / "b.safetensors"), epochs=2)
    old = (tmp_path / "b.safetensors").read_bytes()

    def fail(arrays, path, metadata):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.numpy, "save_file", fail)
        with pytest.raises(KeyboardInterrupt):
            trained(made(), kept(tmp_path / "b.safetensors"))
    assert (tmp_path / "b.safetensors").read_bytes() == old
    continued = made()
    trained(continued, kept(tmp_path / "b.safetensors"))
    whole = made()
    trained(whole)
    assert_equal(continued, whole)


def test_what_the_file_holds(tmp_path):
    model = made(optimizer="momentum")
    trained(model, kept(tmp_path / "b.safetensors"), epochs=2)
    arrays, texts = read_arrays(tmp_path / "b.safetensors")
    weights = ["conv2d/bias", "conv2d/kernel", "dense/bias", "dense/kernel"]
    assert sorted(arrays) == [
        *[f"model/{name}" for name in weights],
        *[f"optimizer/{name}/momentum" for name in weights],
    ]
    assert load_file(tmp_path / "b.safetensors").keys() == arrays.keys()
    assert (texts["epochs"], texts["iterations"]) == ("2", "6")
    assert json.loads(texts["history"]) == model.history.history
    np.testing.assert_array_equal(arrays["model/dense/bias"], model.layers[-1].bias.numpy())


# What else a training keeps


def network(optimizer, *more):
    """Return a model whose loss goes up and down, so that what watches it has something to do."""
    model = Sequential([layers.Flatten(input_shape=(5, 7, 1)), *more, layers.Dense(2)])
    model.compile(optimizer, "mse", metrics=["mae", metrics.F1Score(name="f1")])
    return model


class Own(Callback):
    """A callback of one's own, which halves the rate at every other epoch."""

    kept = ("count", "seen")

    def __init__(self):
        self.count, self.seen = 0, [np.zeros(2)]

    def on_epoch_begin(self, epoch, logs=None):
        self.count += 1
        if self.count % 2 == 0:
            self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) / 2

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(self.model.get_weights()[-1])
        logs["sum"] = float(np.sum(self.seen))


def pairs():
    return Dataset.from_tensor_slices((X, Y))


def drawn():
    """Yield batches without end, out of NumPy's and Python's own random numbers."""
    while True:
        chosen = np.random.permutation(len(X))[:6]  # noqa: NPY002
        yield X[chosen] * random.random(), Y[chosen]


def flipped():
    change = layers.RandomFlip(seed=5)
    return pairs().map(lambda x, y: (change(x, training=True), y)).shuffle(22, seed=3).batch(6)


def sgd():
    return opt.SGD(0.05)


#: The optimizer, further layers, callbacks (of a folder), and what is given to fit.
TRAININGS = {
    "rate on a plateau": (
        lambda: opt.SGD(0.3),
        list,
        lambda folder: [ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=5, cooldown=1)],
        dict,
    ),
    "scheduled rate": (
        sgd,
        list,
        lambda folder: [LearningRateScheduler(lambda epoch, rate: rate * 0.7)],
        dict,
    ),
    "early stopping": (
        sgd,
        list,
        lambda folder: [EarlyStopping("loss", min_delta=9, patience=3, restore_best_weights=True)],
        dict,
    ),
    "best checkpoint": (
        sgd,
        list,
        lambda folder: [
            ModelCheckpoint(folder / "{epoch}.keras", "loss", save_best_only=True, verbose=1),
            ModelCheckpoint(folder / "{epoch}-{batch}", save_weights_only=True, save_freq=3),
        ],
        dict,
    ),
    "table": (sgd, list, lambda folder: [CSVLogger(folder / "log.csv")], dict),
    "own callback": (sgd, list, lambda folder: [Own()], dict),
    "averages": (
        lambda: opt.Adam(0.01, use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=3),
        list,
        lambda folder: [],
        dict,
    ),
    "swapped averages": (
        lambda: opt.SGD(0.05, use_ema=True, ema_momentum=0.7),
        list,
        lambda folder: [SwapEMAWeights(swap_on_epoch=True)],
        dict,
    ),
    "accumulated gradients": (
        lambda: opt.Adam(0.01, gradient_accumulation_steps=3, loss_scale_factor=8.0),
        list,
        lambda folder: [],
        dict,
    ),
    "nadam": (lambda: opt.Nadam(0.01), list, lambda folder: [], dict),
    "schedule": (
        lambda: opt.SGD(opt.ExponentialDecay(0.1, 3, 0.8), momentum=0.5),
        list,
        lambda folder: [],
        dict,
    ),
    "seeded layers": (
        sgd,
        lambda: [layers.Dropout(0.3, seed=1), layers.Dense(8), layers.GaussianNoise(0.1)],
        lambda folder: [],
        dict,
    ),
    "part of the data an epoch": (
        sgd,
        list,
        lambda folder: [],
        lambda: {"batch_size": 4, "steps_per_epoch": 3},
    ),
    "seeded data set": (sgd, list, lambda folder: [], lambda: {"x": flipped()}),
    "part of a data set an epoch": (
        sgd,
        list,
        lambda folder: [],
        lambda: {"x": flipped().repeat(), "steps_per_epoch": 3},
    ),
    "data set": (
        sgd,
        list,
        lambda folder: [],
        lambda: {"x": pairs().shuffle(9).batch(6), "validation_data": flipped()},
    ),
    "one order": (
        sgd,
        list,
        lambda folder: [],
        lambda: {"x": pairs().shuffle(22, reshuffle_each_iteration=False).batch(6)},
    ),
    "generator": (sgd, list, lambda folder: [], lambda: {"x": drawn(), "steps_per_epoch": 3}),
}


def run(training, folder, *callbacks, seed=0):
    """Train as a program does that has just been started."""
    config.set_random_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    optimizer, more, others, data = TRAININGS[training]
    model = network(optimizer(), *more())
    given = {"x": X, "y": Y, "batch_size": 6, "validation_data": (X[:5], Y[:5])} | data()
    if "x" in data():
        given |= {"y": None, "batch_size": None}
    chosen = [*callbacks, *others(folder)]
    model.fit(**given, epochs=EPOCHS, callbacks=chosen, verbose=0)
    return model


@pytest.mark.parametrize(("save_freq", "place"), [("epoch", (2, 1)), (2, (3, 2)), (4, (2, 1))])
@pytest.mark.parametrize("training", TRAININGS)
def test_nothing_is_forgotten(tmp_path, capsys, training, save_freq, place):
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    whole = run(training, one)
    state = config.random_state()
    backup = tmp_path / "backup"
    try:
        run(training, other, BackupAndRestore(backup, save_freq), Interrupt(*place))
    except KeyboardInterrupt:
        assert list(backup.iterdir()) == [backup / "training.safetensors"]
    else:
        pytest.fail("the training was not interrupted")
    continued = run(training, other, BackupAndRestore(backup, save_freq), seed=99)
    assert not backup.exists()
    for a, b in zip(continued.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(slots(continued), slots(whole), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_equal(continued.history.history, whole.history.history)
    assert continued.history.epoch == whole.history.epoch
    assert float(continued.optimizer.learning_rate) == float(whole.optimizer.learning_rate)
    assert config.random_state() == state
    assert sorted(p.name for p in one.iterdir()) == sorted(p.name for p in other.iterdir())
    for table in one.glob("*.csv"):
        assert table.read_bytes() == (other / table.name).read_bytes()


def test_a_training_that_stopped_early_is_not_gone_on_with(tmp_path):
    def once():
        config.set_random_seed(1)
        model = network(sgd())
        stop = EarlyStopping("loss", min_delta=9, patience=1)
        backup = kept(tmp_path / "b")
        model.fit(X, Y, epochs=EPOCHS, callbacks=[stop, backup], verbose=0)
        return model.history.history

    np.testing.assert_equal(once(), once())


def test_a_folder_is_taken_and_goes_when_the_training_is_done(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    for folder in (tmp_path / "new" / "inner", tmp_path / "mine"):
        with pytest.raises(KeyboardInterrupt):
            trained(made(), BackupAndRestore(backup_dir=folder), Interrupt(2, 1))
        assert (folder / "training.safetensors").exists()
        again = BackupAndRestore(backup_dir=str(folder))
        model = made(seed=7)
        trained(model, again)
        assert len(model.history.epoch) == EPOCHS
        assert not (folder / "training.safetensors").exists()
        # A program that is run twice trains twice.
        third = BackupAndRestore(folder)
        trained(made(), third, epochs=1)
        assert third.epochs_done == 1
    assert not (tmp_path / "new" / "inner").exists()
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_the_backup_before_the_last_one_serves_when_that_is_damaged(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trained(made(), BackupAndRestore(tmp_path, double_checkpoint=True), Interrupt(3, 1))
    (tmp_path / "training.safetensors").write_bytes(b"half")
    whole = made()
    trained(whole)
    continued = made(seed=3)
    trained(continued, BackupAndRestore(tmp_path, double_checkpoint=True))
    assert_equal(continued, whole)
    assert not tmp_path.exists()


@pytest.mark.parametrize("save_freq", [0, -1, 2.5, True, "batch", None])
def test_a_save_freq_outside_its_rule_is_refused(tmp_path, save_freq):
    with pytest.raises(ArgumentError, match=r"BackupAndRestore: save_freq=.* 'epoch' or a number"):
        BackupAndRestore(tmp_path, save_freq)


def test_a_loss_that_is_no_number_keeps_the_backup(tmp_path):
    class Spoil(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                self.model.set_weights([w * np.nan for w in self.model.get_weights()])

    trained(made(), BackupAndRestore(tmp_path), Spoil(), TerminateOnNaN())
    _, texts = read_arrays(tmp_path / "training.safetensors")
    assert texts["epochs"] == "2"
