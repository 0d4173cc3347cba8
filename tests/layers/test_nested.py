"""Layers, weights and figures in lists, tuples, dictionaries and sets that lie in each other."""

import copy
import pickle

import numpy as np
import pytest

from minicnn import Input, Model, Sequential, layers, metrics, models
from minicnn import optimizers as opt
from minicnn.autograd.tensor import Variable
from minicnn.layers.weights import parts_of

rng = np.random.default_rng(31)
X, Y = rng.normal(size=(2, 7, 3)).astype(np.float32)


def dense():
    return layers.Dense(3)


CONTAINERS = {
    "list of lists": lambda: [[dense(), dense()], [dense()]],
    "list of tuples": lambda: [(dense(), dense()), (dense(),)],
    "dictionary of lists": lambda: {"a": [dense()], "b": [dense(), dense()]},
    "list of dictionaries": lambda: [{"x": dense()}, {"y": dense(), "z": dense()}],
    "set": lambda: {dense(), dense(), dense()},
    "list of sets": lambda: [{dense(), dense()}, {dense()}],
    "deep": lambda: ({"a": [[dense()], (dense(), [{"b": dense()}])]},),
}
#: The groups in which Keras 3.15.1 stores the weights of such an attribute `blocks`.
GROUPS = {
    "list of lists": ["container/dense", "container/dense_1", "container_1/dense"],
    "dictionary of lists": ["container/dense", "container_1/dense", "container_1/dense_1"],
    "list of dictionaries": ["container/dense", "container_1/dense", "container_1/dense_1"],
}


def flat(value):
    parts = parts_of(value)
    return [value] if parts is None else [x for part in parts for x in flat(part)]


class Blocks(layers.Layer):
    def __init__(self, kind, **kwargs):
        super().__init__(**kwargs)
        self.blocks = CONTAINERS[kind]()

    def call(self, x):
        for layer in flat(self.blocks):
            x = layer(x)
        return x


class Net(Model):
    def __init__(self, kind, **kwargs):
        super().__init__(**kwargs)
        self.blocks = CONTAINERS[kind]()

    call = Blocks.call


MAKERS = {"layer": lambda kind: Sequential([Input((3,)), Blocks(kind)]), "model": Net}


def trained(kind, maker):
    model = MAKERS[maker](kind)
    model.compile(opt.Adam(0.01), "mse")
    model.fit(X, Y, verbose=0)
    return model


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("kind", CONTAINERS)
def test_layers_in_nested_containers_are_trained_saved_and_copied(tmp_path, kind, maker):
    model = trained(kind, maker)
    before = model.get_weights()
    assert [w.shape for w in before] == [(3, 3), (3,)] * 3
    model.fit(X, Y, verbose=0)
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    result = model.predict(X, verbose=0)
    model.save(tmp_path / "whole.keras")
    known = {"Blocks": Blocks, "Net": Net}
    found = [models.load_model(tmp_path / "whole.keras", known)]
    for name in ("net.weights.h5", "net.safetensors"):
        model.save_weights(tmp_path / name)
        other = trained(kind, maker)
        other.load_weights(tmp_path / name)
        found.append(other)
    found += [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for other in found:
        np.testing.assert_array_equal(other.predict(X, verbose=0), result)
        other.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(model.predict(X, verbose=0), result)
    model.trainable = False
    assert (len(model.trainable_weights), len(model.non_trainable_weights)) == (0, 6)
    assert not any(layer.trainable for layer in flat(getattr(model, "blocks", [])))


@pytest.mark.parametrize("kind", GROUPS)
def test_nested_layers_are_stored_where_keras_looks_for_them(tmp_path, kind):
    trained(kind, "model").save_weights(tmp_path / "net.weights.h5")
    h5py = pytest.importorskip("h5py", reason="not installed: Python 3.15 has no wheel yet")
    with h5py.File(tmp_path / "net.weights.h5") as file:
        assert all(f"blocks/{name}/vars/1" in file for name in GROUPS[kind])


def test_what_is_put_into_a_container_later_is_a_part_too():
    net = Net("list of lists")
    net(X)
    net.blocks[1].append(dense())
    net.more = {"a": [Variable(np.ones((2, 5)))]}
    net(X)
    assert net.count_params() == 4 * 12 + 10


def test_attributes_of_models_that_were_drawn_are_parts_too():
    class Drawn(Model):
        def __init__(self):
            entry = Input((3,))
            super().__init__(entry, layers.Dense(2)(entry))
            self.heads = [[layers.Dense(4)]]

        def call(self, x):
            return self.heads[0][0](super().call(x))

    class Chain(Sequential):
        def __init__(self):
            super().__init__([layers.Dense(2, input_shape=(3,))])
            self.heads = {0: (layers.Dense(4),)}

        def call(self, x):
            return self.heads[0][0](super().call(x))

    for model in (Drawn(), Chain()):
        assert model(X).shape == (7, 4)
        assert model.count_params() == 3 * 2 + 2 + 2 * 4 + 4


def test_what_a_layer_was_given_is_no_part_of_it():
    class Critic(layers.Layer):
        def __init__(self, judges, **kwargs):
            super().__init__(**kwargs)
            self.judged = len(judges)

        def call(self, x):
            return x

    judge = dense()
    judge(X)
    assert Critic([judge]).weights == []


def test_figures_in_layers_and_containers_begin_anew_and_are_told():
    class Counting(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.figures = [{"seen": metrics.Sum(name="seen")}]

        def call(self, x):
            self.figures[0]["seen"].update_state(np.ones(len(x)))
            return x

    model = Sequential([Input((3,)), Counting(), layers.Dense(3)])
    model.compile("sgd", "mse")
    assert "seen" in model.metrics_names
    history = model.fit(X, Y, batch_size=2, epochs=3, verbose=0).history
    assert history["seen"] == [7, 7, 7]


def test_variables_of_a_metric_may_be_attributes_and_in_containers():
    class Own(metrics.Metric):
        def __init__(self):
            super().__init__(name="own")
            self.counts = [[Variable(0.0, trainable=False)], metrics.Sum()]

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.counts[0][0].assign_add(1.0)
            self.counts[1].update_state([2.0])

        def result(self):
            return self.counts[0][0] + self.counts[1].result()

    own = Own()
    own.update_state([1.0], [1.0])
    assert (float(own.result()), len(own.variables)) == (3, 2)
    own.reset_state()
    assert float(own.result()) == 0


def test_a_weight_of_a_single_number_is_stored_as_such(tmp_path):
    class Scale(layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(), initializer="ones")

        def call(self, x):
            return x * self.scale

    model = Sequential([Input((3,)), Scale()])
    model.layers[0].scale.assign(2.5)
    model.save_weights(tmp_path / "w")
    other = Sequential([Input((3,)), Scale()])
    other.load_weights(tmp_path / "w")
    assert float(other.layers[0].scale) == 2.5
