"""Cards without room and cards that are gone, in the middle of training, played by the stand-in."""

import gc
import re
import sys
import types

import numpy as np
import pytest

from minicnn import Sequential, config, layers
from minicnn.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    ModelCheckpoint,
    SwapEMAWeights,
)
from minicnn.errors import BackendError, DeviceLostError, DeviceMemoryError
from minicnn.kernels.cuda import faults
from minicnn.layers.weights import forget_losses
from minicnn.runtime import backends
from minicnn.saving.safetensors import read_arrays
from tests.cuda.simulator import stand_in, streams

IMAGES = np.random.default_rng(2).normal(size=(64, 12, 16, 3)).astype("float32")
CODES = IMAGES[:, 0, 0]


def network():
    config.set_random_seed(1)
    chain = [
        layers.Conv2D(4, (3, 5), activation="relu", input_shape=(12, 16, 3)),
        layers.Activation("tanh", activity_regularizer="l2"),
        layers.Flatten(),
        layers.Dense(3),
    ]
    model = Sequential(chain)
    model.compile("adam", "mse")
    return model.gpu()


@pytest.fixture
def model(cupy, card):
    if not hasattr(cupy.ndarray, "_array"):
        pytest.skip("the card is played")
    return network()


class At(Callback):
    """Does something at a batch, counted over all epochs."""

    def __init__(self, batch, action):
        self.left, self.action = batch, action

    def on_train_batch_begin(self, batch, logs=None):
        self.left -= 1
        if self.left < 0:
            self.action()


def leave(free):
    """Return an action after which the card has only so many bytes left."""

    def act():
        stand_in.card.total_bytes = used() + free

    return act


def used():
    """Return how much of the card arrays need, without what is kept for later ones."""
    gc.collect()
    streams.default_pool.free_all_blocks()
    return stand_in.card.used_bytes


@pytest.mark.parametrize("free", [100, 20_000, 60_000, 150_000, 300_000, 600_000])
def test_a_card_without_room_says_how_much_is_needed_and_works_on(model, card, free):
    model.fit(IMAGES, CODES, batch_size=8, verbose=0)
    forget_losses(model)  # what the last step left
    before = used()
    callbacks = [At(0, leave(free)), ended := Ended()]
    with pytest.raises(DeviceMemoryError) as caught:
        model.fit(IMAGES, CODES, 64, callbacks=callbacks, verbose=0)
    assert card.used_bytes == before  # while the error is still there: it holds no arrays
    assert ended.used == before  # callbacks that give weights back have room for it, too
    assert re.fullmatch(
        rf"{model.name}: fit: (\w+: an array \([\d, ]+\) of float\d\d|an array) needs [\d,]+ "
        rf"bytes, but [\d,]+ of the GPU's {card.total_bytes:,} bytes are free. Use fewer images at "
        rf"a time. A smaller batch_size does so.",
        str(caught.value),
    )
    card.total_bytes = before + 400_000
    history = model.fit(IMAGES, CODES, 4, verbose=0).history
    assert np.isfinite(history["loss"][0])


class Ended(Callback):
    """Notes how much of the card is used when training has ended."""

    def on_train_end(self, logs=None):
        self.used = stand_in.card.used_bytes


def test_measuring_and_predicting_without_room_is_told_likewise(model, card):
    model.predict(IMAGES[:2], verbose=0)
    leave(5_000)()
    for method, arguments, end in (
        ("predict", (IMAGES,), " A smaller batch_size does so."),
        ("evaluate", (IMAGES, CODES), " A smaller batch_size does so."),
        ("predict_on_batch", (IMAGES,), "Use fewer images at a time."),
        ("train_on_batch", (IMAGES, CODES), "Use fewer images at a time."),
    ):
        with pytest.raises(DeviceMemoryError) as caught:
            getattr(model, method)(*arguments)
        assert str(caught.value).startswith(f"{model.name}: {method}: ")
        assert str(caught.value).endswith(end)


def test_moving_to_a_full_card_leaves_the_weights_where_they_are(model, card):
    model.cpu()
    leave(300)()
    with pytest.raises(DeviceMemoryError, match="needs"):
        model.gpu()
    assert model.device == "cpu"


def test_other_errors_pass_as_they_are(model):
    def fail():
        raise RuntimeError("mine")

    def fill():
        raise MemoryError("of the computer")

    for error, action, said in ((RuntimeError, fail, "mine"), (MemoryError, fill, "of the comp")):
        with pytest.raises(error, match=said) as caught:
            model.fit(IMAGES, CODES, callbacks=[At(0, action)], verbose=0)
        assert type(caught.value) is error


def lose():
    stand_in.card.lost = True


def test_a_lost_card_says_which_files_are_intact(model, card, tmp_path):
    backup, whole = tmp_path / "training.safetensors", tmp_path / "{epoch}.keras"
    best = EarlyStopping("loss", restore_best_weights=True)
    table = CSVLogger(tmp_path / "figures.csv")
    callbacks = [
        best,
        table,
        ModelCheckpoint(whole),
        BackupAndRestore(backup, delete_checkpoint=False),
        At(5, lose),
    ]
    with pytest.raises(DeviceLostError) as caught:
        model.fit(IMAGES, CODES, 16, epochs=3, callbacks=callbacks, verbose=0)
    assert str(caught.value) == (
        f"{model.name}: fit: the GPU does not answer any more (cudaErrorIllegalAddress: an illegal "
        f"memory access was found); this process cannot use it again. What was saved before is "
        f"intact: {tmp_path / '1.keras'}, {backup}."
    )
    assert isinstance(caught.value, BackendError)
    # What could not be done any more is noted, and hides nothing; the others were told.
    assert [note.split(":")[0] for note in caught.value.__notes__] == [
        "EarlyStopping.on_train_end failed, too"
    ]
    assert table._file is None
    card.lost = False
    assert read_arrays(backup)[1]["epochs"] == "1"
    model.fit(
        IMAGES,
        CODES,
        16,
        epochs=3,
        callbacks=[BackupAndRestore(backup, delete_checkpoint=False)],
        verbose=0,
    )
    assert model.history.epoch == [0, 1, 2]


@pytest.mark.parametrize("callbacks", [[], [SwapEMAWeights()]])
def test_a_lost_card_without_files_names_the_callback_that_saves(model, card, callbacks):
    model.compile("adam", "mse")
    model.optimizer.use_ema = False
    with pytest.raises(DeviceLostError, match="Nothing was saved before; the callback Backup"):
        model.fit(IMAGES, CODES, 16, callbacks=[*callbacks, At(2, lose)], verbose=0)


def test_a_card_that_is_lost_while_a_backup_is_written_leaves_the_one_before(model, card, tmp_path):
    backup = tmp_path / "training.safetensors"

    class Losing(BackupAndRestore):
        def on_epoch_end(self, epoch, logs=None):
            card.lost = epoch == 1
            super().on_epoch_end(epoch, logs)

    with pytest.raises(DeviceLostError, match=f"intact: {backup}"):
        model.fit(IMAGES, CODES, 16, epochs=3, callbacks=[Losing(backup)], verbose=0)
    assert read_arrays(backup)[1]["epochs"] == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["training.safetensors"]


def test_a_lost_card_is_told_outside_of_training(model, card):
    card.lost = True
    with pytest.raises(DeviceLostError, match="predict: the GPU does not answer any more"):
        model.predict(IMAGES, verbose=0)


def test_cuda_says_in_two_ways_that_there_is_no_room(model):
    error = stand_in.CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")
    assert faults.no_room(error) is None
    error.status = 2
    assert faults.no_room(error).startswith("an array needs more memory, but ")
    assert faults.no_room(ValueError("2")) is None


def test_an_interrupted_training_hides_no_error_behind_those_of_callbacks(cupy):
    class Failing(Callback):
        def on_train_end(self, logs=None):
            raise ValueError("at the end")

    ended = Ended()
    with pytest.raises(RuntimeError, match="first") as caught:
        network().fit(IMAGES, CODES, callbacks=[Failing(), ended, At(0, broken)], verbose=0)
    assert caught.value.__notes__ == ["Failing.on_train_end failed, too: at the end"]
    assert ended.used is not None


def broken():
    raise RuntimeError("first")


class Evaluating(Callback):
    """Measures the model on all images after the first epoch, on a card that `action` changed."""

    def __init__(self, action):
        self.action = action

    def on_epoch_end(self, epoch, logs=None):
        self.action()
        self.model.evaluate(IMAGES, CODES, 64, verbose=0)


def test_what_a_measurement_within_a_training_told_is_not_told_again(model, card, tmp_path):
    with pytest.raises(DeviceMemoryError) as caught:
        model.fit(IMAGES, CODES, 8, callbacks=[Evaluating(leave(1000))], verbose=0)
    assert str(caught.value).startswith(f"{model.name}: evaluate: ")
    assert str(caught.value).count("A smaller batch_size does so.") == 1
    stand_in.card.total_bytes = 1 << 30
    callbacks = [BackupAndRestore(path := tmp_path / "backup.safetensors"), Evaluating(lose)]
    callbacks.reverse()  # a backup is told of an epoch after all others, so nothing is written
    with pytest.raises(DeviceLostError) as caught:
        model.fit(IMAGES, CODES, 8, callbacks=callbacks, verbose=0)
    assert re.fullmatch(
        rf"{model.name}: evaluate: the GPU does not answer any more .* again. Nothing was saved "
        rf"before; the callback BackupAndRestore saves every epoch.",
        str(caught.value),
    )
    assert not path.exists()


def test_a_package_without_a_card_hides_no_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", types.ModuleType("cupy"))
    backends.availability.cache_clear()
    chain = [layers.Flatten(input_shape=(12, 16, 3)), layers.Dense(3)]
    model = Sequential(chain)
    model.compile("sgd", "mse")
    try:
        with pytest.raises(RuntimeError, match="first"):
            model.fit(IMAGES, CODES, callbacks=[At(0, broken)], verbose=0)
    finally:
        backends.availability.cache_clear()
