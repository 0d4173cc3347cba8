"""Inputs, outputs and data in dictionaries and nested lists; figures are Keras 3.15.1's."""

import copy
import pickle

import numpy as np
import pytest

from minicnn import GradientTape, Model, Sequential, Variable, explain, layers
from minicnn import optimizers as opt
from minicnn.data import Dataset
from minicnn.errors import ArgumentError, DataError
from minicnn.models import load_model

draw = np.random.default_rng(0)
X = {"img": draw.random((6, 4, 5, 1), "float32"), "age": draw.random((6, 2), "float32")}
Y = {"cls": draw.integers(0, 3, 6), "mask": draw.random((6, 4, 5, 1), "float32")}
LOSS = {"mask": "mse", "cls": "sparse_categorical_crossentropy"}
METRICS = {"cls": ["accuracy"], "mask": ["mae"]}
#: Two epochs of two batches.
HISTORY = {
    "cls_accuracy": [0.5, 0.3333333432674408],
    "loss": [1.4212664365768433, 1.286581039428711],
    "mask_mae": [0.42989468574523926, 0.33162441849708557],
}
#: The loss, those of both outputs in the order in which `compile` got them, and the metrics.
BEFORE = [1.3821382522583008, 0.3024917542934418, 1.0796464681625366, 0.5, 0.45841971039772034]


def drawn():
    image, age = layers.Input((4, 5, 1), name="img"), layers.Input((2,), name="age")
    conv = layers.Conv2D(2, 3, padding="same", name="conv")(image)
    joined = layers.Concatenate()([layers.Flatten()(conv), age])
    classes = layers.Dense(3, "softmax", kernel_initializer="identity", name="dense")(joined)
    mask = layers.Conv2D(1, 1, name="out")(conv)
    return {"img": image, "age": age}, {"mask": mask, "cls": classes}


def named():
    model = Model(*drawn())
    for name in ("conv", "out"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([np.full_like(kernel, 0.1), bias])
    model.compile(opt.SGD(0.1), LOSS, metrics=METRICS)
    return model


def test_training_by_names_is_keras_training():
    model = named()
    assert [x.name for x in model.inputs] == ["age", "img"]
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(BEFORE, rel=1e-5)
    assert model.test_on_batch(X, Y) == pytest.approx(BEFORE, rel=1e-5)
    data = Dataset.from_tensor_slices((X, Y)).batch(4)
    for given in (
        {"x": X, "y": Y, "batch_size": 4, "validation_split": 0.0},
        {"x": data, "validation_data": (X, Y)},
    ):
        model = named()
        history = model.fit(**given, epochs=2, shuffle=False, verbose=0).history
        for name, values in HISTORY.items():
            assert history[name] == pytest.approx(values, rel=1e-5)
    halves = named().fit(X, Y, validation_split=0.5, shuffle=False, verbose=0).history
    assert halves["val_loss"][0] == pytest.approx(1.270639181137085, rel=1e-5)


def test_results_by_name_survive_all_ways_of_copying(tmp_path):
    model = named()
    model.fit(X, Y, verbose=0)
    expected = model.predict(X, batch_size=4, verbose=0)
    assert {k: v.shape for k, v in expected.items()} == {"mask": (6, 4, 5, 1), "cls": (6, 3)}
    again = Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    model.save(tmp_path / "model.keras")
    age, image = layers.Input((2,)), layers.Input((4, 5, 1))
    inside = Model([age, image], model({"img": image, "age": age}))
    for found in (
        again.predict_on_batch(X),
        load_model(tmp_path / "model.keras").predict(X, verbose=0),
        copy.deepcopy(model).predict(Dataset.from_tensor_slices(X).batch(4), verbose=0),
        pickle.loads(pickle.dumps(model))(X),
        inside([X["age"], X["img"]]),
    ):
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-7)


def test_names_and_orders_that_do_not_fit_are_refused():
    model = named()
    before = model.get_weights()
    for x, told in (
        ({"img": X["img"]}, "x has the names 'img', but the model has 'age', 'img'"),
        ({**X, "b": X["age"]}, "x has the names 'img', 'age', 'b'"),
        ([X["age"], X["img"]], "2 inputs without names; give a dictionary of 'age', 'img'"),
    ):
        with pytest.raises(ArgumentError, match=told):
            model.fit(x, Y, verbose=0)
    with pytest.raises(ArgumentError, match="y has the names 'cls', but the model has"):
        model.fit(X, {"cls": Y["cls"]}, verbose=0)
    with pytest.raises(ArgumentError, match="sample_weight has the names"):
        model.fit(X, Y, sample_weight={"clas": np.ones(6)}, verbose=0)
    broken = {**X, "age": np.full((6, 2), np.nan)}
    with pytest.raises(DataError, match=r"x\['age'\] holds NaN"):
        model.fit(broken, Y, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_output_that_is_not_measured_needs_no_truth():
    model = named()
    model.compile("sgd", {"mask": "mse"})
    for x, y in ((X, {"mask": Y["mask"]}), (Dataset.from_tensors((X, {"mask": Y["mask"]})), None)):
        history = model.fit(x, y, validation_data=(X, Y), verbose=0).history
        assert set(history) == {"loss", "val_loss"}
    found = [explain(model, x).rows[-1].output for x in (X, [X["age"], X["img"]])]
    np.testing.assert_array_equal(*found)


def test_lists_inside_lists():
    inputs, outputs = drawn()
    model = Model([inputs["img"], [inputs["age"]]], [outputs["mask"], {"a": outputs["cls"]}])
    model.compile("sgd", [LOSS["mask"], LOSS["cls"]])
    mask, classes = model.predict([X["img"], [X["age"]]], verbose=0)
    history = model.fit([X["img"], [X["age"]]], [Y["mask"], {"a": Y["cls"]}], verbose=0).history
    assert (mask.shape, classes["a"].shape) == ((6, 4, 5, 1), (6, 3))
    assert set(history) == {"loss", "out_loss", "dense_loss"}
    again = Model.from_config(model.get_config())
    assert again([X["img"], [X["age"]]])[1]["a"].shape == (6, 3)


class Both(layers.Layer):
    def call(self, x):
        return {"b": x * 2.0, "a": x[:, :1]}


class Scaled(layers.Layer):
    def call(self, q, v=None, scale=1.0):
        return q["q"] * v * scale


def test_layers_that_take_and_return_dictionaries():
    x = layers.Input((3,))
    found = Sequential([Both()])(x)
    assert (found["a"].shape, found["b"].shape) == ((None, 1), (None, 3))
    other = layers.Input((3,))
    y = Scaled()({"q": found["b"]}, v=other, scale=2.0)
    model = Model([x, other], layers.Concatenate()([y, found["a"]]))
    objects = {"Both": Both, "Scaled": Scaled}
    again = Model.from_config(model.get_config(), custom_objects=objects)
    given = [np.array([[1.0, 2.0, 3.0]]), np.array([[3.0, 1.0, 2.0]])]
    for twin in (model, again, copy.deepcopy(model)):
        assert twin(given).numpy().tolist() == [[12.0, 8.0, 24.0, 1.0]]
    variable = Variable(given[0])
    with GradientTape() as tape:
        result = model([variable, given[1]])
    assert tape.gradient(result, {"x": variable})["x"].numpy().tolist() == [[13.0, 4.0, 8.0]]


class Heads(Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3, "softmax")

    def call(self, x):
        return {"mask": x["img"] * 1.0, "cls": self.dense(x["age"])}


def test_a_model_of_ones_own_gets_what_was_given():
    model = Heads()
    model.compile("sgd", LOSS)
    history = model.fit(X, Y, sample_weight={"cls": np.zeros(6)}, verbose=0).history
    expected = np.mean((X["img"] - Y["mask"]) ** 2)
    assert history["cls_loss"] == [0.0]
    assert history["mask_loss"][0] == pytest.approx(expected, rel=1e-5)
    assert model.predict(X, verbose=0)["cls"].shape == (6, 3)
    assert set(model.fit(Dataset.from_tensors((X, Y)), verbose=0).history) == set(history)
