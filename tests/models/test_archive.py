"""Whole models in files: what comes back, what Keras wrote, and files that do not fit."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from minicnn import Input, Model, Sequential, config, layers, losses, models, ops, optimizers
from minicnn.errors import ArgumentError, OutputError, WeightsError
from minicnn.initializers import HeNormal
from minicnn.keras import saving

ORACLES = Path(__file__).resolve().parents[1] / "oracles"
rng = np.random.default_rng(23)


def branched():
    """Two inputs and outputs, a shared layer, a model inside, a branch that a sum joins."""
    image, code = Input((6, 8, 2), name="image"), Input((3,), name="code")
    x = layers.Conv2D(4, (3, 2), padding="same", activation="relu", name="first")(image)
    skip = x
    x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Conv2DTranspose(4, (2, 3), strides=2, padding="same")(x)
    x = layers.BatchNormalization(momentum=0.8)(x) + skip
    inner = Sequential([Input((3,)), layers.Dense(4, "tanh"), layers.Reshape((1, 1, 4))])
    x = layers.Concatenate()([x, layers.UpSampling2D((6, 8))(inner(code))])
    shared = layers.Conv2D(2, 1, name="shared", kernel_initializer=HeNormal(3))
    a = layers.GlobalMaxPooling2D(name="largest")(shared(x))
    b = layers.GlobalAveragePooling2D(name="mean")(shared(layers.Activation("relu")(x)))
    return Model([image, code], [a, b], name="two_by_two")


def samples(count=5):
    x = [rng.normal(size=(count, 6, 8, 2)), rng.normal(size=(count, 3))]
    return x, [rng.normal(size=(count, 2)), rng.normal(size=(count, 2))]


def same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


# There and back


def test_a_branched_network_comes_back_with_its_weights(tmp_path):
    model, (x, _) = branched(), samples()
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.weights])
    model.save(tmp_path / "net.keras")
    other = models.load_model(tmp_path / "net.keras")
    same(other.predict(x, verbose=0), model.predict(x, verbose=0))
    assert other.name == "two_by_two"
    assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]
    assert [w.name for w in other.weights] == [w.name for w in model.weights]
    assert other.get_layer("shared").kernel_initializer.seed == 3
    assert other.get_layer("first").activation is layers.Conv2D(1, 1, activation="relu").activation
    assert len(other.get_layer("shared").calls) == 2


@pytest.mark.parametrize(
    "optimizer",
    [lambda: "adam", lambda: optimizers.Adam(0.02, beta_1=0.7), lambda: optimizers.SGD(0.1, 0.9)],
)
def test_training_goes_on_as_if_it_had_never_stopped(tmp_path, optimizer):
    model, (x, y) = branched(), samples()
    mae = losses.MeanAbsoluteError()
    model.compile(optimizer(), ["mse", mae], loss_weights=[1, 0.5], metrics=[["mae"], []])
    for _ in range(3):
        model.train_on_batch(x, y)
    model.save(tmp_path / "net.keras")
    other = models.load_model(tmp_path / "net.keras")
    for _ in range(3):
        first, second = model.train_on_batch(x, y), other.train_on_batch(x, y)
        assert first == second
    assert len(first) == 4  # loss, that of each output, mae
    same(other.get_weights(), model.get_weights())


def test_without_compiling(tmp_path):
    model = Sequential([layers.Dense(2, input_shape=(3,))])
    model.compile("adam", "mse")
    model.save(tmp_path / "net.keras")
    assert models.load_model(tmp_path / "net.keras", compile=False).optimizer is None


def test_frozen_layers_stay_frozen(tmp_path):
    model = branched()
    model.get_layer("shared").trainable = False
    model.save(tmp_path / "net.keras")
    other = models.load_model(tmp_path / "net.keras")
    assert not other.get_layer("shared").trainable
    assert len(other.trainable_weights) == len(model.trainable_weights) < len(model.weights)


@pytest.mark.parametrize("said", [None, False, True])
def test_what_a_layer_was_told_of_training_holds(said):
    x = Input((4, 5, 2))
    drop = layers.Dropout(0.5)
    model = models.clone_model(Model(x, drop(x) if said is None else drop(x, training=said)))
    values = np.ones((2, 4, 5, 2), "float32")
    changed = {mode: (model(values, training=mode).numpy() != 1).any() for mode in (False, True)}
    assert changed == {False: said is True, True: said is not False}


class Doubled(layers.Layer):
    """Keeps its arguments in its own way and has no get_config."""

    def __init__(self, times, shift=0.0, **kwargs):
        super().__init__(**kwargs)
        self.factor, self.offset = times, shift

    def call(self, inputs):
        return inputs * self.factor + self.offset


@saving.register_keras_serializable(package="tests")
class Registered(layers.Layer):
    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, inputs):
        return self.inner(inputs)

    def get_config(self):
        return {**super().get_config(), "inner": saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config):
        config["inner"] = saving.deserialize_keras_object(config["inner"])
        return cls(**config)


class Net(Model):
    def __init__(self, units):
        super().__init__()
        self.stem = layers.Dense(units, "tanh")
        self.ends = [Doubled(2.0, shift=1.0), layers.Dense(2)]

    def call(self, inputs, training=False):
        x = self.stem(inputs)
        for layer in self.ends:
            x = layer(x)
        return x


def shifted(x):
    return ops.tanh(x) + 0.25


def test_layers_and_functions_of_ones_own(tmp_path):
    x = Input((4,))
    y = layers.Dense(3, activation=shifted)(Doubled(3.0, shift=0.5)(x))
    model = Model(x, Registered(layers.Dense(2, name="inner"))(y))
    model.save(tmp_path / "net.keras")
    data = rng.normal(size=(3, 4))
    with pytest.raises(ArgumentError, match=r"'Doubled' is not known here; give it by custom_obj"):
        models.load_model(tmp_path / "net.keras")
    known = {"Doubled": Doubled, "shifted": shifted}
    other = models.load_model(tmp_path / "net.keras", custom_objects=known)
    same(other.predict(data, verbose=0), model.predict(data, verbose=0))
    with saving.custom_object_scope(known):
        same(models.load_model(tmp_path / "net.keras").get_weights(), model.get_weights())
    assert "shifted" not in saving.get_custom_objects()
    assert "tests>Registered" in saving.get_custom_objects()


def test_a_class_of_ones_own_is_never_taken_for_a_built_in_one(tmp_path):
    class Dense(Doubled):
        pass

    Sequential([Dense(2.0, input_shape=(3,))]).save(tmp_path / "net.keras")
    with pytest.raises(ArgumentError, match="'Dense' is not known"):
        models.load_model(tmp_path / "net.keras")


def test_a_subclass_comes_back_by_the_arguments_it_was_made_with(tmp_path):
    model, x = Net(5), rng.normal(size=(3, 4))
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((3, 2)), verbose=0)
    model.save(tmp_path / "net.keras")
    other = models.load_model(tmp_path / "net.keras", {"Net": Net, "Doubled": Doubled})
    same(other.predict(x, verbose=0), model.predict(x, verbose=0))
    assert other.evaluate(x, np.zeros((3, 2)), verbose=0) == pytest.approx(
        model.evaluate(x, np.zeros((3, 2)), verbose=0), rel=1e-6
    )


# Copies and texts


def test_a_clone_has_the_drawing_and_weights_of_its_own():
    config.set_random_seed(3)
    model = branched()
    other = models.clone_model(model)
    assert other.to_json() == model.to_json()
    assert not any(a is b for a, b in zip(model.layers, other.layers, strict=True))
    kernels = [m.get_layer("first").kernel.numpy() for m in (model, other)]
    assert not np.array_equal(*kernels)
    lambda_layer = Sequential([layers.Dense(2, activation=lambda x: x * 2, input_shape=(3,))])
    assert models.clone_model(lambda_layer).output_shape == (None, 2)


def test_json_tells_the_drawing():
    model = branched()
    other = models.model_from_json(model.to_json(indent=1))
    assert other.output_shape == model.output_shape == [(None, 2), (None, 2)]
    assert [w.shape for w in other.weights] == [w.shape for w in model.weights]
    chain = Sequential([layers.Conv2D(3, (3, 2), input_shape=(5, 7, 2)), layers.Flatten()])
    config = chain.get_config()
    assert config["build_input_shape"] == [None, 5, 7, 2]
    assert Sequential.from_config(config).output_shape == (None, 54)
    with pytest.raises(ArgumentError, match="the text is no JSON"):
        models.model_from_json("{")


def test_a_chain_that_is_not_built_yet():
    other = models.clone_model(Sequential([layers.Dense(2)], name="open"))
    assert (other.name, other.built, len(other.layers)) == ("open", False, 1)


def test_what_cannot_be_stored():
    with pytest.raises(ArgumentError, match="a lambda cannot be stored"):
        Sequential([layers.Dense(2, activation=lambda x: x, input_shape=(3,))]).to_json()


# What Keras wrote


def keras_values():
    with np.load(ORACLES / "keras_models.npz") as stored:
        return dict(stored)


def test_a_model_that_keras_saved_predicts_and_goes_on_training():
    stored = keras_values()
    model = models.load_model(ORACLES / "keras_functional.keras")
    x = [stored["functional/x0"], stored["functional/x1"]]
    y = [stored["functional/y0"], stored["functional/y1"]]
    for i, result in enumerate(model.predict(x, verbose=0)):
        np.testing.assert_allclose(result, stored[f"functional/predicted{i}"], rtol=1e-5)
    assert (model.optimizer.beta_1, int(model.optimizer.iterations)) == (0.8, 3)
    model.get_layer("dropout").rate = 0.0
    model.train_on_batch(x, y)
    for i, result in enumerate(model.predict(x, verbose=0)):
        np.testing.assert_allclose(result, stored[f"functional/after{i}"], rtol=1e-4)


def test_layers_stand_in_keras_order():
    content = json.loads((ORACLES / "keras_models.json").read_text())
    assert len(content["orders"]) == 6
    for case in content["orders"]:
        tensors = {name: Input((4, 5, 2), name=name) for name in case["inputs"]}
        for name, *sources in case["steps"]:
            given = [tensors[s] for s in sources]
            layer = layers.Add(name=name) if len(given) > 1 else layers.Conv2D(2, 1, name=name)
            tensors[name] = layer(given if len(given) > 1 else given[0])
        ends = [[tensors[name] for name in case[key]] for key in ("inputs", "outputs")]
        assert [layer.name for layer in Model(*ends).layers] == case["layers"]


# Files that do not fit


def test_other_names_and_places_are_refused(tmp_path):
    model = Sequential([layers.Dense(2, input_shape=(3,))])
    with pytest.raises(ArgumentError, match=r"ends in '\.keras'; save_weights writes weights"):
        model.save(tmp_path / "net.h5")
    with pytest.raises(OutputError, match="cannot write"):
        model.save(tmp_path / "missing" / "net.keras")
    with pytest.raises(ArgumentError, match="is not built yet"):
        Sequential([layers.Dense(2)]).save(tmp_path / "net.keras")
    model.save(tmp_path / "net.keras")
    before = (tmp_path / "net.keras").read_bytes()
    with pytest.raises(OutputError, match="it exists, and overwrite=False"):
        model.save(tmp_path / "net.keras", overwrite=False)
    assert (tmp_path / "net.keras").read_bytes() == before
    with pytest.raises(WeightsError, match="there is no model file"):
        models.load_model(tmp_path / "other.keras")


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.999])
def test_a_file_cut_off(tmp_path, kept):
    model, path = branched(), tmp_path / "net.keras"
    model.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    before = model.get_weights()
    with pytest.raises(WeightsError, match=r"net.keras is no \.keras file, or it is damaged"):
        models.load_model(path)
    with pytest.raises(WeightsError, match=r"net.keras is no \.keras file, or it is damaged"):
        model.load_weights(path)
    same(model.get_weights(), before)


def rewritten(path, change):
    """Write an archive again with a changed configuration."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    content = json.loads(parts["config.json"])
    change(content)
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in {**parts, "config.json": json.dumps(content)}.items():
            archive.writestr(name, part)


def change_units(content):
    content["config"]["layers"][1]["config"]["units"] = 7


def ask_for_more(content):
    content["config"]["layers"][1]["config"]["sparkle"] = 3


def forget_a_layer(content):
    del content["config"]["layers"][1]


def forget_the_layers(content):
    del content["config"]["output_layers"]


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (change_units, WeightsError, r"shape \(3, 2\) instead of \(3, 7\)"),
        (ask_for_more, ArgumentError, "Dense has no argument 'sparkle'"),
        (forget_a_layer, ArgumentError, "the layer 'end' needs"),
        (forget_the_layers, WeightsError, "its configuration cannot be followed"),
    ],
)
def test_a_configuration_that_cannot_be_followed(tmp_path, change, error, told):
    x = Input((3,))
    Model(x, layers.Dense(4, name="end")(layers.Dense(2, name="first")(x))).save(
        tmp_path / "n.keras"
    )
    rewritten(tmp_path / "n.keras", change)
    with pytest.raises(error, match=told):
        models.load_model(tmp_path / "n.keras")
