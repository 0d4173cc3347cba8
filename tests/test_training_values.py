"""Optimizers, losses, metrics, callbacks and fits against further values of Keras 3."""

import inspect
import json
from ast import literal_eval
from pathlib import Path

import numpy as np
import pytest

from minicnn import (
    GradientTape,
    Input,
    Model,
    Tensor,
    Variable,
    callbacks,
    config,
    layers,
    losses,
    metrics,
    optimizers,
)
from minicnn.optimizers import schedules

ORACLES = Path(__file__).parent / "oracles"
ORACLE = json.loads((ORACLES / "keras_more_training.json").read_text())


def every(kind):
    return pytest.mark.parametrize("case", ORACLE[kind], ids=lambda case: case["id"])


@pytest.fixture(scope="module")
def arrays():
    with np.load(ORACLES / "keras_more_training.npz") as file:
        more = {name: np.asarray(file[name], np.float64) for name in file.files}
    with np.load(ORACLES / "keras_training.npz") as file:
        shared = [
            name for name in file.files if name.startswith(("optimizer/start", "optimizer/g"))
        ]
        return more | {name: np.asarray(file[name], np.float64) for name in shared}


@pytest.fixture(autouse=True)
def float64():
    with config.use_floatx("float64"):
        yield


# Optimizers and schedules


def schedule(entry):
    return getattr(schedules, entry["class"])(**entry["config"])


def run(case, arrays, dtype):
    """Return the variables after every step, the optimizer, and the variables themselves."""
    arguments = dict(case["config"])
    if isinstance(arguments.get("learning_rate"), dict):
        arguments["learning_rate"] = schedule(arguments["learning_rate"])
    optimizer = getattr(optimizers, case["class"])(**arguments)
    if case["spared"]:
        optimizer.exclude_from_weight_decay(var_names=case["spared"])
    variables = [
        Variable(arrays[f"optimizer/start{i}"].astype(dtype), name=name)
        for i, name in enumerate(("kernel", "bias"))
    ]
    history = []
    for step in range(20):
        gradients = [arrays[f"optimizer/grad{i}"][step].astype(dtype) for i in range(2)]
        optimizer.apply(gradients, variables)
        history.append([v.numpy() for v in variables])
    return history, optimizer, variables


@every("optimizers")
def test_twenty_steps_are_those_of_keras(case, arrays):
    place = f"optimizer/{case['id']}"
    history, optimizer, variables = run(case, arrays, "float64")
    for i in range(2):
        found = np.stack([values[i] for values in history])
        np.testing.assert_allclose(found, arrays[f"{place}/var{i}"], rtol=1e-8, atol=1e-10)
    assert optimizer.iterations == case["iterations"]
    optimizer.finalize_variable_values(variables)
    for i, variable in enumerate(variables):
        expected = arrays[f"{place}/final{i}"]
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-8, atol=1e-10)


@every("optimizers")
def test_in_float32_twenty_steps_end_where_those_of_keras_do(case, arrays):
    for values, place in zip(run(case, arrays, "float32")[0][-1], ("last0", "last1"), strict=True):
        assert values.dtype == np.float32
        expected = arrays[f"optimizer/{case['id']}/{place}"]
        np.testing.assert_allclose(values, expected, rtol=2e-5, atol=2e-6)


@every("optimizers")
def test_an_optimizer_made_of_its_configuration_does_the_same(case, arrays):
    optimizer = run(case, arrays, "float64")[1]
    stored = json.loads(json.dumps(optimizers.serialize(optimizer)))
    again = optimizers.deserialize(stored)
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    assert again.iterations == 0


@pytest.mark.parametrize("case", ORACLE["schedules"], ids=lambda case: case["class"])
def test_schedules_are_those_of_keras(case):
    rate = schedule(case)
    found = [rate(step) for step in ORACLE["schedule_steps"]]
    np.testing.assert_allclose(found, case["values"], rtol=1e-9, atol=1e-12)
    again = schedules.deserialize(json.loads(json.dumps(schedules.serialize(rate))))
    assert [again(step) for step in ORACLE["schedule_steps"]] == found


# Losses


@every("losses")
def test_losses_and_their_gradients_are_those_of_keras(case, arrays):
    place = f"loss/{case['id']}"
    arguments = dict(case["config"])
    if isinstance(arguments.get("axis"), list):
        arguments["axis"] = tuple(arguments["axis"])
    loss = getattr(losses, case["class"])(**arguments)
    prediction = Tensor(arrays[f"{place}/y_pred"])
    weights = arrays.get(f"{place}/weight")
    assert (weights is not None) == case["weighted"]
    with GradientTape() as tape:
        tape.watch(prediction)
        value = loss(arrays[f"{place}/y_true"], prediction, sample_weight=weights)
    expected = arrays[f"{place}/value"]
    assert value.shape == expected.shape
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-6, atol=1e-9)
    gradient = tape.gradient(value, prediction).numpy()
    np.testing.assert_allclose(gradient, arrays[f"{place}/grad"], rtol=2e-6, atol=1e-8)


def test_every_loss_has_values_of_keras():
    assert {case["class"] for case in ORACLE["losses"]} == set(losses.CLASSES)
    reductions = {case["config"]["reduction"] for case in ORACLE["losses"]}
    assert reductions == {"sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", None}


@pytest.mark.parametrize("name", sorted(losses.CLASSES))
def test_a_loss_made_of_its_configuration_is_the_same(name):
    loss = losses.CLASSES[name](reduction="sum", name="mine")
    stored = json.loads(json.dumps(losses.serialize(loss)))
    again = losses.deserialize(stored)
    assert type(again) is type(loss)
    assert vars(again) == vars(loss)
    assert losses.deserialize(losses.serialize(losses.huber)) is losses.huber


# Metrics


@every("metrics")
def test_metrics_after_each_batch_are_those_of_keras(case, arrays):
    place = f"metric/{case['id']}"
    metric = getattr(metrics, case["class"])(**case["config"])
    for batch, part in enumerate((slice(0, 5), slice(5, 8), slice(8, 12))):
        weights = arrays.get(f"{place}/weight")
        assert (weights is not None) == case["weighted"]
        weights = None if weights is None else weights[part]
        if weights is not None and "IoU" in case["class"]:
            weights = weights.astype(int)
        truth, prediction = (arrays[f"{place}/y_{name}"][part] for name in ("true", "pred"))
        if case["class"] in ("Sum", "Mean"):
            metric.update_state(prediction, sample_weight=weights)
        else:
            metric.update_state(truth, prediction, sample_weight=weights)
        expected = case["results"][batch]
        assert metric.result().shape == np.shape(expected)
        np.testing.assert_allclose(metric.result(), expected, rtol=3e-7, atol=1e-9)
    metric.reset_state()
    assert all((v.numpy() == 0).all() for v in metric.variables)
    again = metrics.deserialize(json.loads(json.dumps(metrics.serialize(metric))))
    assert again.get_config() == metric.get_config()


def test_every_metric_has_values_of_keras():
    first = json.loads((ORACLES / "keras_training.json").read_text())["metrics"]
    names = {case["class"] for case in (*first, *ORACLE["metrics"])} | {"MeanMetricWrapper"}
    assert names == set(metrics.CLASSES)


# Callbacks


class StandIn:
    """A model whose weight is the number of the epoch."""

    def __init__(self):
        self.optimizer = optimizers.SGD(0.5)
        self.stop_training, self.weights = False, 0

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights = weights


@pytest.mark.parametrize(
    "case", ORACLE["callbacks"], ids=lambda c: f"{c['class']}-{c['config']}-{c['script']}"
)
def test_callbacks_that_watch_do_as_those_of_keras(case):
    callback = getattr(callbacks, case["class"])(**case["config"])
    model, rates = StandIn(), []
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(ORACLE["scripts"][case["script"]]):
        rates.append(float(model.optimizer.learning_rate))
        model.weights = epoch
        callback.on_epoch_begin(epoch, {})
        callback.on_epoch_end(epoch, {"val_loss": value})
        if model.stop_training:
            break
    callback.on_train_end({})
    np.testing.assert_allclose(rates, case["rates"], rtol=1e-6)
    assert len(rates) == case["epochs"]
    assert model.weights == case["weights"]


# Fits


@every("fits")
def test_fits_are_those_of_keras(case, arrays):
    place = f"fit/{case['id']}"
    start = Input((3,))
    heads = [layers.Dense(2, name=n)(start) for n in ("left", "right")[: case["outputs"]]]
    model = Model(start, heads if len(heads) > 1 else heads[0])
    model.set_weights([arrays[f"{place}/w{i}"] for i in range(2 * len(heads))])
    x, ys = arrays[f"{place}/x"], [arrays[f"{place}/y{i}"] for i in range(len(heads))]
    cls, arguments = case["optimizer"]
    if isinstance(arguments.get("learning_rate"), dict):
        arguments = {**arguments, "learning_rate": schedule(arguments["learning_rate"])}
    model.compile(
        getattr(optimizers, cls)(**arguments),
        case["loss"],
        loss_weights=case.get("loss_weights"),
        metrics=case.get("metrics"),
        weighted_metrics=case.get("weighted_metrics"),
    )
    y, y_val = (ys, [a[:5] for a in ys]) if len(ys) > 1 else (ys[0], ys[0][:5])
    weights = arrays.get(f"{place}/weight")
    history = model.fit(
        x,
        y,
        batch_size=4,
        epochs=3,
        shuffle=False,
        verbose=0,
        sample_weight=weights,
        validation_data=(x[:5], y_val),
    ).history
    assert list(history) == list(case["history"])
    for name, values in case["history"].items():
        np.testing.assert_allclose(history[name], values, rtol=1e-6, err_msg=name)
    for i, weight in enumerate(model.get_weights()):
        np.testing.assert_allclose(weight, arrays[f"{place}/new_w{i}"], rtol=1e-7, atol=1e-9)
    evaluated = model.evaluate(x, y, batch_size=4, verbose=0, sample_weight=weights)
    expected = case["evaluated"]
    if case["id"] == "weighted":  # Keras lists a figure twice whose name is given twice
        expected = expected[:3] + expected[4:]
    np.testing.assert_allclose(evaluated, expected, rtol=1e-6)


# Signatures

#: Names of Keras that are not here, and why.
ABSENT = {
    "optimizers": {
        **dict.fromkeys(["Adafactor", "Lamb", "Muon", "ScheduleFreeAdamW"], "for large models"),
        **dict.fromkeys(["MultiOptimizer", "OptimizerMap"], "one optimizer for each model"),
        "LossScaleOptimizer": "there are no half-precision floats",
    },
    "losses": {
        **dict.fromkeys(["CTC", "ctc"], "for sequences"),
        **dict.fromkeys(["Circle", "circle"], "for learned distances"),
    },
    "callbacks": {
        "OrbaxCheckpoint": "a format of JAX",
        "ProgbarLogger": "the display of `verbose`",
        **dict.fromkeys(["RemoteMonitor", "TensorBoard"], "a server of another project"),
    },
}
#: Names whose arguments differ, and why.
OTHER = {
    "CallbackList": "the trainer's own",
    "Optimizer": "Keras hides its arguments",
}


def public():
    for room, names in ORACLE["signatures"].items():
        module = schedules if room.endswith("schedules") else globals()[room]
        for name, parameters in names.items():
            if name not in ABSENT.get(room, {}):
                yield pytest.param(module, name, parameters, id=f"{room}.{name}")


@pytest.mark.parametrize(("module", "name", "parameters"), list(public()))
def test_names_take_the_arguments_of_keras(module, name, parameters):
    thing = getattr(module, name)
    if name in OTHER:
        return
    mine = {
        p.name: repr(p.default) if p.default is not p.empty else "required"
        for p in inspect.signature(thing).parameters.values()
        if p.kind is p.POSITIONAL_OR_KEYWORD
    }
    theirs = {key: value for key, value in parameters.items() if value != "more"}
    assert list(mine) == list(theirs)
    for key, value in theirs.items():
        same = mine[key] == value
        if not same and "required" not in (mine[key], value):  # 0 and 0.0
            same = literal_eval(mine[key]) == literal_eval(value)
        assert same, f"{key}: {mine[key]} instead of {value}"


def test_absent_names_are_absent():
    for room, names in ABSENT.items():
        module = globals()[room]
        assert all(name in ORACLE["signatures"][room] for name in names)
        assert not any(hasattr(module, name) for name in names)
