"""Callbacks: what they hear, when they stop a training, and which weights stay."""

import numpy as np
import pytest

from minicnn import Sequential, callbacks, config, layers, optimizers
from minicnn.callbacks import Callback, EarlyStopping, History, ModelCheckpoint, TerminateOnNaN
from minicnn.callbacks.history import draw_history
from minicnn.errors import ArgumentError

X = np.array([[1.0], [2.0], [3.0], [4.0]])
Y = np.array([[2.0], [4.0], [6.0], [8.0]])


def line(rate=0.01, w=0.0, **compile_arguments):
    """Return y = w * x, compiled."""
    model = Sequential([layers.Dense(1, use_bias=False, input_shape=(1,))])
    model.set_weights([[[w]]])
    model.compile(optimizers.SGD(rate), "mse", **compile_arguments)
    return model


def weight(model):
    return float(model.get_weights()[0][0, 0])


class Script(Callback):
    """Plays a list of figures into the logs, and sets the weight to the epoch's number."""

    def __init__(self, values, monitor="val_loss"):
        self.values, self.monitor = values, monitor

    def on_epoch_end(self, epoch, logs=None):
        logs[self.monitor] = self.values[epoch]
        self.model.set_weights([[[float(epoch)]]])


def play(values, stopping, monitor="val_loss"):
    """Return (epochs done, the weight at the end) of a training with these figures."""
    model = line()
    script = Script(values, monitor)
    history = model.fit(X, Y, epochs=len(values), callbacks=[script, stopping], verbose=0)
    return len(history.epoch), weight(model)


# What callbacks hear


class Diary(Callback):
    def __init__(self):
        self.entries = []

    def on_train_begin(self, logs=None):
        self.entries.append("begin")

    def on_train_end(self, logs=None):
        self.entries.append("end")

    def on_epoch_begin(self, epoch, logs=None):
        self.entries.append(f"epoch {epoch}")

    def on_epoch_end(self, epoch, logs=None):
        self.entries.append(f"/epoch {epoch} {sorted(logs)}")

    def on_train_batch_begin(self, batch, logs=None):
        self.entries.append(f"batch {batch}")

    def on_train_batch_end(self, batch, logs=None):
        self.entries.append(f"/batch {batch} {sorted(logs)}")


def test_callbacks_hear_of_everything_in_order():
    diary = Diary()
    model = line(metrics=["mae"])
    model.fit(X, Y, 2, epochs=2, callbacks=[diary], verbose=0, validation_data=(X[:1], Y[:1]))
    one_epoch = [
        *["batch 0", "/batch 0 ['loss', 'mae']", "batch 1", "/batch 1 ['loss', 'mae']"],
    ]
    figures = "['loss', 'mae', 'val_loss', 'val_mae']"
    assert diary.entries == [
        "begin",
        *["epoch 0", *one_epoch, f"/epoch 0 {figures}"],
        *["epoch 1", *one_epoch, f"/epoch 1 {figures}"],
        "end",
    ]
    assert diary.model is model


def test_the_base_class_does_nothing():
    assert line().fit(X, Y, epochs=2, callbacks=[Callback()], verbose=0).epoch == [0, 1]


def test_the_end_is_told_after_an_interruption_too():
    class Interrupt(Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    diary = Diary()
    with pytest.raises(KeyboardInterrupt):
        line().fit(X, Y, epochs=5, callbacks=[diary, Interrupt()], verbose=0)
    assert diary.entries[-2:] == ["/epoch 0 ['loss']", "end"]


def test_history_lists_every_figure():
    history = History()
    history.on_epoch_end(4, {"loss": 3.0})
    history.on_epoch_end(5, {"loss": 2.0, "val_loss": 1.0})
    assert history.epoch == [4, 5]
    assert history.history == {"loss": [3.0, 2.0], "val_loss": [1.0]}


# Early stopping

FALLING_THEN_RISING = [5.0, 4.0, 3.0, 3.5, 3.25, 3.125, 2.0]


@pytest.mark.parametrize(
    ("patience", "epochs"), [(0, 4), (1, 4), (2, 5), (3, 6), (4, 7)], ids=lambda n: str(n)
)
def test_patience_counts_the_epochs_without_a_change_for_the_better(patience, epochs):
    stopping = EarlyStopping(patience=patience)
    assert play(FALLING_THEN_RISING, stopping) == (epochs, epochs - 1)
    assert stopping.stopped_epoch == (epochs - 1 if epochs < 7 else 0)


def test_patience_begins_anew_with_every_improvement():
    assert play([5.0, 6.0, 4.0, 6.0, 3.0, 6.0, 2.0], EarlyStopping(patience=2))[0] == 7


def test_min_delta_is_the_least_change_that_counts():
    values = [5.0, 4.75, 4.5, 4.25, 4.0, 3.75]
    assert play(values, EarlyStopping(patience=1))[0] == 6
    # A change of exactly min_delta does not count, as in Keras.
    assert play(values, EarlyStopping(min_delta=0.25, patience=1))[0] == 2
    assert play(values, EarlyStopping(min_delta=-0.25, patience=1))[0] == 2
    # Small steps add up to one that counts: 5 - 4.5 > 0.3.
    assert play(values, EarlyStopping(min_delta=0.3, patience=2))[0] == 6


@pytest.mark.parametrize(
    ("monitor", "mode", "epochs"),
    [
        ("val_loss", "auto", 2),
        ("val_loss", "max", 4),
        ("val_accuracy", "auto", 4),
        ("acc", "auto", 4),
        ("val_accuracy", "min", 2),
    ],
)
def test_mode_says_which_way_is_better(monitor, mode, epochs):
    stopping = EarlyStopping(monitor, mode=mode)
    assert play([1.0, 2.0, 3.0, 2.5, 9.0], stopping, monitor)[0] == epochs


def test_start_from_epoch_ignores_the_first_ones():
    values = [1.0, 9.0, 8.0, 7.0, 8.0, 9.0]
    assert play(values, EarlyStopping())[0] == 2
    assert play(values, EarlyStopping(start_from_epoch=2))[0] == 5


def test_nan_is_no_improvement():
    assert play([3.0, float("nan"), float("nan"), 1.0], EarlyStopping(patience=2))[0] == 3
    # The first epoch never ends a training, as in Keras.
    assert play([float("nan"), 3.0, 2.0, 2.5, 1.0], EarlyStopping())[0] == 4


def test_the_best_weights_are_restored_after_an_early_stop():
    stopping = EarlyStopping(patience=2, restore_best_weights=True)
    assert play(FALLING_THEN_RISING, stopping) == (5, 2.0)
    assert stopping.best_epoch == 2
    assert stopping.best == 3.0


def test_the_best_weights_are_restored_after_all_epochs():
    stopping = EarlyStopping(patience=10, restore_best_weights=True)
    assert play(FALLING_THEN_RISING[:-1], stopping) == (6, 2.0)


def test_the_best_weights_are_restored_after_an_interruption():
    class Interrupt(Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if weight(self.model) == 4.0:
                raise KeyboardInterrupt

    model = line()
    stopping = EarlyStopping(patience=10, restore_best_weights=True)
    told = [Script(FALLING_THEN_RISING), stopping, Interrupt()]
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=7, callbacks=told, verbose=0)
    assert weight(model) == 2.0


def test_without_being_asked_the_last_weights_stay():
    assert play(FALLING_THEN_RISING, EarlyStopping(patience=2)) == (5, 4.0)


def test_a_second_training_forgets_the_first():
    stopping = EarlyStopping(patience=1, restore_best_weights=True)
    assert play([1.0, 2.0], stopping) == (2, 0.0)
    assert play([9.0, 8.0, 7.0], stopping) == (3, 2.0)


def test_statistics_are_restored_with_the_weights():
    config.set_random_seed(0)
    model = Sequential([layers.BatchNormalization(momentum=0.5, input_shape=(2,))])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(5.0, 1.0, (8, 2))
    seen = []

    class Watch(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = [2.0, 1.0, 3.0][epoch]
            seen.append(self.model.get_weights())

    stopping = EarlyStopping(patience=9, restore_best_weights=True)
    model.fit(x, x, epochs=3, callbacks=[Watch(), stopping], verbose=0)
    for now, best, last in zip(model.get_weights(), seen[1], seen[2], strict=True):
        np.testing.assert_array_equal(now, best)
        assert (now != last).all()


def test_an_unknown_figure_is_told_with_those_that_there_are():
    text = r"EarlyStopping: monitor='val_loss' is not .*: loss, mae\."
    with pytest.warns(UserWarning, match=text):
        line(metrics=["mae"]).fit(X, Y, callbacks=[EarlyStopping()], verbose=0)
    with pytest.raises(ArgumentError, match=r"EarlyStopping: mode='maximum' .*did you mean 'max'"):
        EarlyStopping(mode="maximum")
    with pytest.raises(
        ArgumentError, match=r"a larger or a smaller 'val_x' is better is not known"
    ):
        play([1.0, 2.0], EarlyStopping("val_x"), "val_x")


# Checkpoints


def test_a_checkpoint_holds_the_weights_of_its_epoch(tmp_path):
    path = tmp_path / "w-{epoch:02d}-{val_loss:.2f}.safetensors"
    play([5.0, 4.0, 4.5], ModelCheckpoint(path, save_weights_only=True))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "w-01-5.00.safetensors",
        "w-02-4.00.safetensors",
        "w-03-4.50.safetensors",
    ]
    model = line()
    model.load_weights(tmp_path / "w-02-4.00.safetensors")
    assert weight(model) == 1.0


def test_a_checkpoint_of_one_name_is_replaced(tmp_path):
    play([5.0, 4.0, 4.5], ModelCheckpoint(tmp_path / "w", save_weights_only=True))
    model = line()
    model.load_weights(tmp_path / "w")
    assert weight(model) == 2.0


@pytest.mark.parametrize(
    ("monitor", "mode", "best"),
    [("val_loss", "auto", 1.0), ("val_loss", "max", 3.0), ("val_accuracy", "auto", 3.0)],
)
def test_only_the_best_epoch_is_kept(tmp_path, monitor, mode, best):
    checkpoint = ModelCheckpoint(
        tmp_path / "w", monitor, save_best_only=True, save_weights_only=True, mode=mode
    )
    play([5.0, 4.0, 4.5, 7.0, 6.0, float("nan")], checkpoint, monitor)
    model = line()
    model.load_weights(tmp_path / "w")
    assert weight(model) == best


def test_better_epochs_alone_are_saved(tmp_path):
    path = str(tmp_path / "{epoch}")
    play(
        [5.0, 4.0, 4.0, 4.5, 3.0],
        ModelCheckpoint(path, save_best_only=True, save_weights_only=True),
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "2", "5"]


def test_a_checkpoint_asks_only_for_figures_that_there_are(tmp_path):
    def fit(name, **arguments):
        checkpoint = ModelCheckpoint(tmp_path / name, save_weights_only=True, **arguments)
        line().fit(X, Y, callbacks=[checkpoint], verbose=0)

    with pytest.raises(ArgumentError, match=r"asks for 'val_loss', .* gives: epoch, loss\."):
        fit("{epoch}-{val_loss:.2f}")
    assert list(tmp_path.iterdir()) == []
    # As in Keras: what cannot be judged is saved.
    with pytest.warns(UserWarning, match="ModelCheckpoint: monitor='val_loss' is not among"):
        fit("w", save_best_only=True)
    assert [p.name for p in tmp_path.iterdir()] == ["w"]


# A loss that is no number

#: A rate so large that the weight leaves the range of float32 in a few steps.
BROKEN = 1e12


def test_training_stops_at_the_first_batch_whose_loss_is_no_number():
    diary = Diary()
    with np.errstate(over="ignore", invalid="ignore"):
        history = line(BROKEN).fit(
            X, Y, batch_size=1, epochs=9, callbacks=[TerminateOnNaN(), diary], verbose=0
        )
    assert len(history.epoch) == 1
    assert not np.isfinite(history.history["loss"][0])
    batches = sum(entry.startswith("batch") for entry in diary.entries)
    assert 1 < batches < 4
    assert len(line().fit(X, Y, epochs=3, callbacks=[TerminateOnNaN()], verbose=0).epoch) == 3


def test_a_broken_training_is_saved_nowhere(tmp_path):
    told = [
        ModelCheckpoint(tmp_path / "w.keras"),
        callbacks.BackupAndRestore(tmp_path / "training.safetensors"),
    ]
    with pytest.warns(UserWarning, match="the loss became inf"):
        line(BROKEN).fit(X, Y, batch_size=1, epochs=2, callbacks=told, verbose=0)
    assert list(tmp_path.iterdir()) == []


# What evaluate and predict tell


class Listener(Callback):
    """Writes down every method that is called, with the names of the figures."""

    def __init__(self):
        self.heard = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            return lambda *given: self.heard.append((name, *(_names(g) for g in given)))
        return super().__getattribute__(name)


def _names(value):
    return " ".join(value) if isinstance(value, dict) else value


def test_evaluate_and_predict_tell_of_every_batch():
    model = line(metrics=["mae"])
    listener = Listener()
    model.evaluate(X, Y, batch_size=3, verbose=0, callbacks=[listener])
    assert listener.heard == [
        ("on_test_begin", ""),
        ("on_test_batch_begin", 0, ""),
        ("on_test_batch_end", 0, "loss mae"),
        ("on_test_batch_begin", 1, ""),
        ("on_test_batch_end", 1, "loss mae"),
        ("on_test_end", "loss mae"),
    ]
    listener.heard.clear()
    model.predict(X, batch_size=3, verbose=0, callbacks=listener)
    assert listener.heard == [
        ("on_predict_begin", ""),
        ("on_predict_batch_begin", 0, ""),
        ("on_predict_batch_end", 0, "outputs"),
        ("on_predict_batch_begin", 1, ""),
        ("on_predict_batch_end", 1, "outputs"),
        ("on_predict_end", ""),
    ]


def test_validation_is_told_within_its_epoch():
    listener = Listener()
    line(metrics=["mae"]).fit(
        X, Y, batch_size=4, validation_data=(X, Y), verbose=0, callbacks=[listener]
    )
    assert [name for name, *_ in listener.heard] == [
        *["on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end"],
        *["on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_end"],
        *["on_epoch_end", "on_train_end"],
    ]
    assert listener.heard[-2] == ("on_epoch_end", 0, "loss mae val_loss val_mae")
    assert listener.heard[-1] == ("on_train_end", "loss mae val_loss val_mae")
    assert listener.params == {"verbose": 0, "epochs": 1, "steps": 1}


# Rates


def test_a_schedule_sets_the_rate_of_each_epoch_and_the_history_lists_it():
    for schedule, expected in [
        (lambda epoch: 0.5 / (epoch + 1), [0.5, 0.25, 0.5 / 3]),
        (lambda epoch, rate: rate / 2, [0.005, 0.0025, 0.00125]),
    ]:
        told = [callbacks.LearningRateScheduler(schedule)]
        history = line().fit(X, Y, epochs=3, callbacks=told, verbose=0).history
        np.testing.assert_allclose(history["learning_rate"], expected, rtol=1e-12)
    with pytest.raises(ArgumentError, match="schedule gave 1 for epoch 0, but must give a float"):
        line().fit(X, Y, callbacks=[callbacks.LearningRateScheduler(lambda epoch: 1)], verbose=0)


def test_a_plateau_lowers_the_rate(capsys):
    told = [Script([1.0, 1.0, 1.0]), callbacks.ReduceLROnPlateau(factor=0.5, patience=1, verbose=1)]
    history = line().fit(X, Y, epochs=3, callbacks=told, verbose=0).history
    # The rate is listed as it was in the epoch, before it is lowered.
    assert history["learning_rate"] == [0.01, 0.01, 0.005]
    assert "Epoch 3: ReduceLROnPlateau: the learning rate is now 0.0025." in capsys.readouterr().out
    with pytest.raises(ArgumentError, match=r"factor=1\.5 must be a number in"):
        callbacks.ReduceLROnPlateau(factor=1.5)


# Figures and functions


def test_figures_are_written_as_a_table(tmp_path):
    path = tmp_path / "log.csv"
    line(metrics=["mae"]).fit(
        X, Y, epochs=2, callbacks=[callbacks.CSVLogger(path, separator=";")], verbose=0
    )
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch;loss;mae;val_loss;val_mae"
    assert [row.split(";")[0] for row in lines[1:]] == ["0", "1"]
    assert lines[1].endswith(";NA;NA")
    history = line().fit(
        X,
        Y,
        validation_data=(X, Y),
        initial_epoch=2,
        epochs=3,
        callbacks=[callbacks.CSVLogger(path, ";", append=True)],
        verbose=0,
    )
    more = path.read_text().splitlines()
    assert more[:3] == lines
    figures = [history.history[name][0] for name in ("loss", "val_loss")]
    assert [float(part) for part in more[3].split(";")] == [2, *figures]


def test_functions_make_a_callback():
    heard = []
    callback = callbacks.LambdaCallback(
        on_train_begin=lambda logs: heard.append("begin"),
        on_epoch_end=lambda epoch, logs: heard.append((epoch, sorted(logs))),
        on_test_end=lambda logs: heard.append("tested"),
    )
    line().fit(X, Y, validation_data=(X, Y), callbacks=callback, verbose=0)
    assert heard == ["begin", "tested", (0, ["loss", "val_loss"])]


def test_an_error_is_raised_for_a_broken_loss_if_so_wished():
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(RuntimeError, match=r"the loss of batch \d is"),
    ):
        line(BROKEN).fit(X, Y, batch_size=1, callbacks=[TerminateOnNaN(raise_error=True)])


# Whole models, and every so many batches


def test_a_checkpoint_saves_the_whole_model(tmp_path, monkeypatch):
    saved = []
    model = line()
    monkeypatch.setattr(model, "save", lambda path: saved.append(path), raising=False)
    checkpoint = ModelCheckpoint(tmp_path / "new" / "{epoch}-{batch}.keras", save_freq=3)
    model.fit(X, Y, batch_size=2, epochs=4, callbacks=[checkpoint], verbose=0)
    # Two batches in an epoch: the third and the sixth are saved, then the ninth would be.
    assert saved == [str(tmp_path / "new" / name) for name in ("2-1.keras", "3-2.keras")]
    assert (tmp_path / "new").is_dir()
    for arguments, text in [
        ({"filepath": "w"}, r"'w' must end in '\.keras' for a whole model"),
        ({"filepath": "w.keras", "save_freq": "batch"}, "must be 'epoch' or a number of batches"),
    ]:
        with pytest.raises(ArgumentError, match=text):
            ModelCheckpoint(**arguments)


def test_the_first_save_may_have_to_surpass_a_figure(tmp_path):
    checkpoint = ModelCheckpoint(
        str(tmp_path / "{epoch}"),
        save_best_only=True,
        save_weights_only=True,
        initial_value_threshold=4.0,
    )
    play([5.0, 4.0, 3.5, 3.75, 3.0], checkpoint)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["3", "5"]


# Running averages


def averaging(**arguments):
    model = line()
    model.compile(optimizers.SGD(0.01, use_ema=True, ema_momentum=0.5, **arguments), "mse")
    return model


def test_the_weights_become_their_average_when_training_ends():
    rates = []
    spy = callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: rates.append(weight(model)))
    model = averaging()
    model.fit(X, Y, batch_size=2, epochs=2, shuffle=False, callbacks=[spy], verbose=0)
    average = rates[0]
    for value in rates[1:]:
        average = 0.5 * average + 0.5 * value
    assert weight(model) == pytest.approx(average, rel=1e-6)


def test_evaluation_may_see_the_averages():
    seen, model = [], averaging()
    told = [
        callbacks.SwapEMAWeights(),
        callbacks.LambdaCallback(
            on_test_batch_end=lambda b, logs: seen.append(weight(model)),
            on_train_batch_end=lambda b, logs: seen.append(weight(model)),
        ),
    ]
    model.fit(X, Y, batch_size=2, shuffle=False, validation_data=(X, Y), callbacks=told, verbose=0)
    first, second, tested = seen[:3]
    assert tested == pytest.approx((first + second) / 2, rel=1e-6)
    with pytest.raises(ArgumentError, match="must be made with use_ema=True"):
        line().evaluate(X, Y, callbacks=[callbacks.SwapEMAWeights()], verbose=0)


def test_metrics_say_which_way_is_better():
    model = line(metrics=["mae", "r2_score"])
    for name, larger in (("val_r2_score", True), ("mae", False), ("val_loss", False)):
        stopping = EarlyStopping(name)
        stopping.set_model(model)
        assert stopping.larger_is_better() is larger


# History


def test_the_history_is_a_table_with_curves():
    history = History()
    assert repr(history) == "<History of no epochs>"
    for epoch in range(3):
        history.on_epoch_end(epoch, {"accuracy": 0.25 * epoch, "loss": 2.0**-epoch})
    assert repr(history).split("\n") == [
        "epoch  accuracy    loss",
        "    1    0.0000  1.0000",
        "    2    0.2500  0.5000",
        "    3    0.5000  0.2500",
    ]
    page = history._repr_html_()
    assert page.count("<tr>") == 4
    assert "<td>0.2500</td>" in page
    # Letters stay text, so the curves' names can be read and found.
    assert page.count("<svg") == 1
    assert ">loss</text>" in page
    assert ">accuracy</text>" in page


def test_the_table_of_many_epochs_is_short_and_has_the_first_and_the_last():
    history = History()
    for epoch in range(200):
        history.on_epoch_end(epoch, {"loss": 1 / (1 + epoch), "<b>": 1e-5})
    first, *rows, last = [line.split() for line in repr(history).split("\n")[1:]]
    assert (first[:2], last[:2], len(rows)) == (["1", "1.0000"], ["200", "0.0050"], 10)
    page = history._repr_html_()
    assert "188 more epochs lie between these." in page
    assert "<b>" not in page
    assert len(page) < 100_000


def test_curves_of_validation_end_where_the_epochs_end():
    history = {"loss": [4.0, 3.0, 2.0, 1.0], "val_loss": [5.0, 2.0], "lr": [0.1] * 4}
    axes = draw_history(history).axes
    assert [a.get_ylabel() for a in axes] == ["loss", "lr"]
    training, validation = axes[0].lines
    assert list(training.get_xdata()) == [1, 2, 3, 4]
    assert list(validation.get_xdata()) == [2, 4]
    assert list(validation.get_ydata()) == [5, 2]
