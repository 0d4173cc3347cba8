"""Chains of layers: added, popped, built at once or when data comes."""

import numpy as np
import pytest

from minicnn import Input, Model, Sequential, layers
from minicnn.errors import ArgumentError, ShapeError
from minicnn.layers import Conv2D, Dense, Flatten

rng = np.random.default_rng(7)


def data(*shape):
    return rng.normal(size=shape).astype(np.float32)


WAYS = {
    "input_shape": lambda: Sequential([Dense(4, "tanh", input_shape=(3,)), Dense(2)]),
    "Input": lambda: Sequential([Input((3,)), Dense(4, "tanh"), Dense(2)]),
    "InputLayer": lambda: Sequential([layers.InputLayer((3,)), Dense(4, "tanh"), Dense(2)]),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_known_input_builds_the_chain_at_once(way):
    model = WAYS[way]()
    assert model.built
    assert model.input_shape == (None, 3)
    assert model.output_shape == (None, 2)
    assert model.count_params() == 16 + 10
    assert [type(layer) for layer in model.layers] == [Dense, Dense]
    x = data(5, 3)
    k1, b1, k2, b2 = model.get_weights()
    np.testing.assert_allclose(model(x).numpy(), np.tanh(x @ k1 + b1) @ k2 + b2, rtol=1e-5)


def test_a_chain_is_built_when_it_first_sees_data():
    model = Sequential([Conv2D(4, (3, 2)), Flatten(), Dense(2)])
    assert not model.built
    assert model.weights == []
    with pytest.raises(ArgumentError, match="has no outputs: the shape of its input is not known"):
        _ = model.output
    assert model(data(6, 5, 7, 1)).shape == (6, 2)
    assert model.built
    assert model.input_shape == (None, 5, 7, 1)
    assert model.count_params() == 3 * 2 * 4 + 4 + 3 * 6 * 4 * 2 + 2
    assert model(data(2, 5, 7, 1)).shape == (2, 2)
    with pytest.raises(ShapeError, match=r"\(2, 7, 5, 1\), but must have \(None, 5, 7, 1\)"):
        model(data(2, 7, 5, 1))


def test_a_chain_is_built_by_hand():
    model = Sequential([Dense(2)])
    model.build((None, 3))
    assert model.output_shape == (None, 2)
    with pytest.raises(ArgumentError, match="without layers cannot be built"):
        Sequential().build((None, 3))


def test_fit_builds_the_chain():
    model = Sequential([Dense(2), Dense(1)])
    model.compile("sgd", "mse")
    model.fit(data(8, 3), data(8, 1), verbose=0)
    assert model.count_params() == 8 + 3


def test_layers_are_added_one_by_one():
    model = Sequential(name="net")
    model.add(Input((3,)))
    assert model.layers == []
    model.add(Dense(4))
    assert model.output_shape == (None, 4)
    model.add(Dense(2))
    assert model.output_shape == (None, 2)
    assert model(data(5, 3)).shape == (5, 2)
    lazy = Sequential()
    lazy.add(Dense(4))
    lazy(data(5, 3))
    lazy.add(Dense(1))
    assert lazy.output_shape == (None, 1)
    assert lazy(data(5, 3)).shape == (5, 1)


def test_the_last_layer_is_popped():
    model = Sequential([Dense(4, input_shape=(3,)), Dense(2), Dense(1)])
    x = data(5, 3)
    hidden = Model(model.input, model.layers[1].output)(x).numpy()
    last = model.pop()
    assert last.units == 1
    assert model.output_shape == (None, 2)
    np.testing.assert_array_equal(model(x).numpy(), hidden)
    assert len(model.weights) == 4
    model.add(Dense(7))
    assert model.output_shape == (None, 7)
    for _ in range(3):
        model.pop()
    assert model.layers == []
    assert not model.built
    with pytest.raises(ArgumentError, match="has no outputs"):
        _ = model.output
    with pytest.raises(ArgumentError, match="no layer to pop"):
        model.pop()
    model.add(Dense(6))
    assert model.output_shape == (None, 6)


def test_popping_before_the_chain_is_built():
    model = Sequential([Dense(4), Dense(2)])
    model.pop()
    assert model(data(5, 3)).shape == (5, 4)


def test_a_model_may_stand_first_and_inside():
    x = Input((6,))
    inner = Model(x, layers.Concatenate()([Dense(1)(x), x]))
    model = Sequential([inner, Dense(2)])
    assert model.built
    assert model.input_shape == (None, 6)
    assert model.output_shape == (None, 2)
    nested = Sequential([Dense(6, input_shape=(3,)), Sequential([inner, Dense(5)]), Dense(1)])
    assert nested.output_shape == (None, 1)
    assert nested(data(4, 3)).shape == (4, 1)
    assert len(nested.weights) == 2 + 4 + 2


def test_two_chains_may_share_a_layer():
    shared = Dense(2)
    one = Sequential([shared], name="one")
    other = Sequential([Dense(3, input_shape=(5,)), shared], name="other")
    one(data(1, 3))
    assert one.weights[0] is other.weights[2]


def test_what_is_no_layer_is_refused():
    with pytest.raises(ArgumentError, match="net: a Sequential holds layers, not a str"):
        Sequential(["dense"], name="net")
    with pytest.raises(ArgumentError, match="an Input can only come first"):
        Sequential([Dense(2), Input((3,))])
    with pytest.raises(ArgumentError, match="an Input can only come first"):
        Sequential([Input((3,)), Input((3,))])


def test_an_input_that_does_not_fit_names_the_layer():
    with pytest.raises(ShapeError, match=r"Conv2D 'c': .*height has only 2"):
        Sequential([Conv2D(1, 2, name="a", input_shape=(3, 9, 1)), Conv2D(1, 3, name="c")])
    with pytest.raises(ShapeError, match=r"'d': .*\(None, 4\)"):
        Sequential([Dense(4, input_shape=(3,)), Conv2D(1, 2, name="d")])
