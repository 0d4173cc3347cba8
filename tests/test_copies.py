"""Whatever has a name in Keras can be pickled, copied and made again of its configuration."""

import copy
import inspect
import json
import pickle

import numpy as np
import pytest

from minicnn import Variable, activations, keras, layers, ops
from minicnn.data import Dataset
from minicnn.errors import ArgumentError, ShapeError
from minicnn.training.cuda_graphs import Replays
from tests.helpers import ROOT

draw = np.random.default_rng(4)
TRUTH = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 0]], "float32")
GUESS = draw.random((4, 3), "float32")
NUMBERS = draw.integers(0, 3, 4)
IMAGES, ROWS = draw.random((2, 6, 8, 3), "float32"), draw.random((2, 6, 3), "float32")
INPUTS = IMAGES, ROWS, [IMAGES, IMAGES], [ROWS[:, 0], ROWS[:, 1]], ROWS[:, 0]
#: Arguments without a default.
NEEDED = {
    "num_classes": 3, "specificity": 0.5, "sensitivity": 0.5, "precision": 0.5, "recall": 0.5,
    "target_class_ids": [1], "fn": keras.losses.mean_squared_error, "initial_learning_rate": 0.1,
    "decay_steps": 5, "decay_rate": 0.5, "boundaries": [2, 4], "values": [0.3, 0.2, 0.1],
    "first_decay_steps": 3, "filepath": "a.keras", "filename": "a.csv", "schedule": len,
    "backup_dir": "a", "units": 3, "filters": 4, "kernel_size": 2, "rate": 0.3, "stddev": 0.2,
    "target_shape": (-1,), "dims": (2, 1, 3), "n": 3, "scale": 2.0, "factor": 0.3, "height": 4,
    "width": 5, "height_factor": 0.2, "width_factor": 0.1, "axes": 1, "activation": "relu",
}  # fmt: skip


def everything(room, base):
    found = {n: getattr(room, n) for n in dir(room) if inspect.isclass(getattr(room, n))}
    return [
        c
        for n, c in sorted(found.items())
        if issubclass(c, base) and n == c.__name__ and c is not base
    ]


def make(cls, **more):
    known = inspect.signature(cls).parameters
    needed = {n: NEEDED[n] for n, p in known.items() if p.default is p.empty and n in NEEDED}
    return cls(**{**needed, **{n: v for n, v in more.items() if n in known}})


def copies(obj):
    found = [copy.deepcopy(obj), pickle.loads(pickle.dumps(obj))]
    stored = json.loads(json.dumps(keras.saving.serialize_keras_object(obj)))
    anew = type(obj).from_config(obj.get_config())
    return [*found, anew, keras.saving.deserialize_keras_object(stored)]


def same(first, second):
    np.testing.assert_array_equal(np.asarray(first), np.asarray(second))


@pytest.mark.parametrize("cls", everything(keras.losses, keras.losses.Loss))
def test_losses(cls):
    if cls is keras.losses.LossFunctionWrapper:
        return
    loss = make(cls, reduction="sum", name="mine")
    truth = NUMBERS if "Sparse" in cls.__name__ or "Generalized" in cls.__name__ else TRUTH
    for twin in copies(loss):
        same(loss(truth, GUESS), twin(truth, GUESS))
        assert (twin.name, twin.reduction) == ("mine", "sum")


def given_to(cls):
    if "values" in inspect.signature(cls.update_state).parameters:
        return (GUESS,)
    if "IoU" in cls.__name__ and "OneHot" not in cls.__name__:
        return TRUTH, TRUTH[::-1]
    return (NUMBERS if "Sparse" in cls.__name__ else TRUTH), GUESS


@pytest.mark.parametrize("cls", everything(keras.metrics, keras.metrics.Metric))
def test_metrics_with_what_they_have_counted(cls):
    metric = make(cls, name="mine")
    metric.update_state(*given_to(cls))
    before, twins = metric.result(), copies(metric)
    for twin in twins[:2]:
        same(before, twin.result())
        twin.reset_state()
    same(before, metric.result())
    for twin in twins:
        twin.update_state(*given_to(cls))
        same(before, twin.result())
        assert twin.name == "mine"


@pytest.mark.parametrize("cls", everything(keras.optimizers, keras.optimizers.Optimizer))
def test_optimizers_beside_their_weights(cls):
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    optimizer, weight = cls(rate, clipnorm=1.0, use_ema=True), Variable(np.ones((2, 3)))
    optimizer.apply_gradients([(GUESS[:2], weight)])
    assert all(twin.get_config() == optimizer.get_config() for twin in copies(optimizer))
    pair = optimizer, weight
    pairs = [pair, copy.deepcopy(pair), pickle.loads(pickle.dumps(pair))]
    for each, own in pairs:
        for _ in range(3):
            each.apply_gradients([(TRUTH[:2], own)])
        each.finalize_variable_values([own])
        same(own, weight)


SCHEDULES = everything(keras.optimizers.schedules, keras.optimizers.schedules.LearningRateSchedule)


@pytest.mark.parametrize("cls", SCHEDULES)
def test_schedules(cls):
    schedule = make(cls)
    rates = [float(schedule(i)) for i in range(8)]
    for twin in copies(schedule):
        assert [float(twin(i)) for i in range(8)] == rates


KEPT = [
    ("initializers", "Initializer"),
    ("regularizers", "Regularizer"),
    ("constraints", "Constraint"),
]
KEPT = {c: room for n, base in KEPT for room in [getattr(keras, n)]
        for c in everything(room, getattr(room, base))}  # fmt: skip


@pytest.mark.parametrize("cls", KEPT)
def test_what_makes_and_keeps_weights(cls):
    room = KEPT[cls]
    thing = make(cls, seed=3)
    value = (3, 3) if room is keras.initializers else GUESS[:3]
    spelled = room.deserialize(room.serialize(thing))
    for twin in [spelled, *copies(thing)]:
        same(make(cls, seed=3)(value), twin(value))


@pytest.mark.parametrize("name", keras.activations.NAMES)
def test_activations(name):
    function = keras.activations.get(name)
    assert keras.activations.deserialize(keras.activations.serialize(function)) is function


def entering(layer):
    for x in INPUTS:
        try:
            layer(x, training=True)
        except (ShapeError, ArgumentError):
            continue
        return x
    return pytest.fail(f"nothing enters {layer!r}")


@pytest.mark.parametrize("cls", everything(layers, layers.Layer))
def test_layers_with_their_weights_and_random_numbers(cls):
    if cls.__name__ in ("InputLayer", "Lambda", "Operation"):
        return
    layer = make(cls, seed=5)
    x = entering(layer)
    twins, weights = copies(layer), layer.get_weights()
    y, trained = layer(x), layer(x, training=True)
    for twin in twins[:2]:
        same(y, twin(x))
        same(trained, twin(x, training=True))
    for twin in twins[2:]:
        twin(x)
        twin.set_weights(weights)
        same(y, twin(x))


@pytest.mark.parametrize("cls", everything(keras.callbacks, keras.callbacks.Callback))
def test_callbacks(cls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    callback = make(cls)
    for twin in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
        assert vars(twin).keys() == vars(callback).keys()


def test_data_sets_say_that_they_cannot_be_pickled():
    data = Dataset.range(5).map(lambda n: 2 * n).shuffle(5, seed=1).batch(2)
    for twin in (copy.copy(data), copy.deepcopy({"data": data})["data"]):
        assert sum(int(n) for batch in twin for n in batch) == 20
    with pytest.raises(TypeError, match=r"Dataset: .* cannot be pickled; make it anew"):
        pickle.dumps(data)


def test_what_version_0_1_0_pickled_is_read():
    with (ROOT / "tests/oracles/models_of_0_1_0.pickle").open("rb") as file:
        found = pickle.load(file)
    for result, expected in zip(found["drawn"](found["x"]), found["drawn_y"], strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-5)
    trained = found["trained"]
    np.testing.assert_allclose(
        trained.predict(found["x"], verbose=0), found["trained_y"], rtol=1e-5
    )
    assert trained.history.history == found["history"]
    assert trained.optimizer.iterations == found["iterations"] == 6
    assert trained.fit(found["x"], np.array([0, 1]), verbose=0).history["loss"][0] < 2
    assert pickle.loads(b"cminicnn.models.replay\nReplays\n.") is Replays
    names = ["conv2d", "cross_correlate2d", "mean_squared_error", "concatenate"]
    assert found["operations"] == [*(getattr(ops, n) for n in names), activations.gelu]
