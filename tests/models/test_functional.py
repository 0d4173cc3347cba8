"""Functional models: branches, several ends, shared layers, sub-models, and their summary."""

import copy
import gc
import os
import re
import subprocess
import sys
import weakref

import numpy as np
import pytest

from minicnn import GradientTape, Input, Model, Sequential, config, layers, optimizers
from minicnn.errors import ArgumentError, ShapeError
from minicnn.layers import Add, Concatenate, Conv2D, Conv2DTranspose, Dense, Dropout, Flatten
from minicnn.models.summary import summary_text

rng = np.random.default_rng(5)


def data(*shape):
    return rng.normal(size=shape).astype(np.float32)


def is_close(actual, desired):
    np.testing.assert_allclose(np.asarray(actual), desired, rtol=1e-5, atol=1e-6)


# Shapes of networks


def test_branches_meet_again():
    x = Input((3,))
    left, right = Dense(4, "relu")(x), Dense(2)(x)
    model = Model(x, Concatenate()([left, right]))
    a, b = data(5, 3), model.get_weights()
    assert model.output_shape == (None, 6)
    is_close(model(a), np.concatenate([np.maximum(a @ b[0] + b[1], 0), a @ b[2] + b[3]], -1))


def test_a_residual_connection():
    x = Input((5, 7, 2))
    y = Conv2D(2, (3, 2), padding="same")(x)
    model = Model(x, x + y)
    images = data(2, 5, 7, 2)
    is_close(model(images), images + Model(x, y)(images).numpy())


def test_several_inputs_and_outputs():
    a, b = Input((3,), name="a"), Input((2,), name="b")
    total, product = Dense(1, name="one")(Concatenate()([a, b])), Dense(4, name="two")(b)
    model = Model([a, b], [total, product])
    assert model.input_shape == [(None, 3), (None, 2)]
    assert model.output_shape == [(None, 1), (None, 4)]
    assert model.input == [a, b]
    assert model.output == [total, product]
    xs = [data(5, 3), data(5, 2)]
    one, two = model(xs)
    k1, b1, k2, b2 = model.get_weights()
    is_close(one, np.concatenate(xs, -1) @ k1 + b1)
    is_close(two, xs[1] @ k2 + b2)
    assert model.compute_output_shape([(5, 3), (5, 2)]) == [(5, 1), (5, 4)]


def test_an_input_may_be_an_output_too():
    x = Input((3,))
    same, double = Model(x, [x, x + x])(a := data(2, 3))
    is_close(same, a)
    is_close(double, 2 * a)


def test_an_operation_in_a_tuple():
    x = Input((3,))
    model = Model((x,), (Dense(2)(x),))
    assert model(data(4, 3)).shape == (4, 2)


def test_a_shared_layer_counts_once_and_collects_both_gradients():
    a, b = Input((3,)), Input((3,))
    shared = Dense(2, name="shared")
    model = Model([a, b], Add()([shared(a), shared(b)]))
    assert model.count_params() == 3 * 2 + 2
    assert len(model.weights) == 2
    assert [layer.name for layer in model.layers].count("shared") == 1
    xs = [data(5, 3), data(5, 3)]
    with GradientTape() as tape:
        y = model(xs)
    kernel, bias = tape.gradient(y, model.trainable_weights)
    is_close(kernel, (xs[0] + xs[1]).sum(0)[:, None] * np.ones((1, 2)))
    is_close(bias, [10.0, 10.0])


def test_models_are_layers():
    encoder = Sequential([Dense(2, input_shape=(3,))], name="encoder")
    decoder = Sequential([Dense(3, input_shape=(2,))], name="decoder")
    both = Sequential([encoder, decoder])
    assert both.output_shape == (None, 3)
    assert both.count_params() == 8 + 9
    x = data(4, 3)
    is_close(both(x), decoder(encoder(x)).numpy())
    k1, b1, k2, b2 = both.get_weights()
    is_close(both(x), (x @ k1 + b1) @ k2 + b2)


def test_the_autoencoder_of_keras_guide():
    encoder = Sequential([Conv2D(4, (3, 2), 2, "same", input_shape=(6, 8, 1)), Flatten()])
    latent = Input((48,))
    upwards = layers.Reshape((3, 4, 4))(latent)
    decoder = Model(latent, Conv2DTranspose(1, (3, 2), 2, "same")(upwards))
    autoencoder = Model(inputs=encoder.input, outputs=decoder(encoder.output))
    assert autoencoder.output_shape == (None, 6, 8, 1)
    assert autoencoder.count_params() == encoder.count_params() + decoder.count_params()
    x = data(2, 6, 8, 1)
    is_close(autoencoder(x), decoder(encoder(x)).numpy())
    # The parts are the same weights: changing one changes the whole.
    encoder.set_weights([np.zeros_like(w) for w in encoder.get_weights()])
    is_close(autoencoder(x), decoder(np.zeros((2, 48))).numpy())


def test_a_sequential_that_was_never_called_has_an_output():
    # As in Keras 2: the input_shape of the first layer is enough.
    encoder = Sequential([Dense(5, input_shape=(3,)), Dense(2, name="code")])
    assert encoder.output.shape == (None, 2)
    assert encoder.input.shape == (None, 3)
    assert encoder.get_layer("code").output is encoder.output
    head = Model(encoder.input, Dense(4)(encoder.output))
    assert head(data(6, 3)).shape == (6, 4)


def test_a_part_of_a_network_is_a_model():
    x = Input((3,))
    hidden = Dense(4, "tanh", name="hidden")(x)
    whole = Model(x, Dense(1)(hidden))
    part = Model(whole.input, whole.get_layer("hidden").output)
    a = data(2, 3)
    kernel, bias, *_ = whole.get_weights()
    is_close(part(a), np.tanh(a @ kernel + bias))
    rest = Model(hidden, whole.output)
    is_close(rest(part(a)), whole(a).numpy())


def test_only_the_layers_on_the_way_belong_to_a_model():
    x = Input((3,))
    hidden = Dense(4)(x)
    Dense(100)(hidden)
    model = Model(x, Dense(1)(hidden))
    assert [type(layer).__name__ for layer in model.layers] == ["InputLayer", "Dense", "Dense"]
    assert model.count_params() == 16 + 5


def test_training_reaches_the_layers_of_sub_models():
    inner = Sequential([Dropout(0.5, input_shape=(40,))])
    x = Input((40,))
    model = Model(x, inner(x))
    ones = np.ones((50, 40), np.float32)
    assert (model(ones, training=True).numpy() == 0).any()
    assert (model(ones).numpy() == 1).all()
    assert (model.predict(ones, verbose=0) == 1).all()


# Inputs


def test_a_missing_or_superfluous_channel_axis_is_put_right():
    x = Input((5, 7, 1))
    model = Model(x, Flatten()(x))
    images = data(2, 5, 7)
    is_close(model(images), images.reshape(2, 35))
    is_close(model(images[..., None]), images.reshape(2, 35))
    flat = Input((5,))
    is_close(Model(flat, flat + flat)(images[:, :, :1]), 2 * images[:, :, 0])


@pytest.mark.parametrize(
    "shape", [(2, 7, 5, 1), (2, 5, 7, 3), (5, 7), (5, 7, 1), (5, 7, 3), (2, 5, 7, 1, 1, 1)]
)
def test_another_input_shape_is_refused(shape):
    x = Input((5, 7, 1), name="photo")
    model = Model(x, Flatten()(x), name="net")
    text = f"net: the input 'photo' got shape {shape}, but must have (None, 5, 7, 1); None stands"
    with pytest.raises(ShapeError, match=re.escape(text)):
        model(np.zeros(shape))


def test_another_number_of_inputs_is_refused():
    a, b = Input((3,), name="a"), Input((3,), name="b")
    model = Model([a, b], a + b, name="net")
    with pytest.raises(ArgumentError, match="net: got 1 inputs, but the model has 2: 'a', 'b'"):
        model([data(2, 3)])
    single = Model(a, a + a, name="single")
    is_close(single([ones := np.ones((2, 3))]), 2 * ones)
    with pytest.raises(ArgumentError, match="single: got 2 inputs, but the model has 1"):
        single([data(2, 3), data(2, 3)])


def test_outputs_that_do_not_come_from_the_inputs_are_refused():
    a, b = Input((3,), name="a"), Input((3,), name="b")
    with pytest.raises(ArgumentError, match=r"net: the outputs need the input 'b', .* \('a'\)"):
        Model(a, a + b, name="net")
    encoder = Sequential([Dense(2, input_shape=(3,))], name="encoder")
    with pytest.raises(ArgumentError, match="is not among the model's inputs"):
        Model(a, encoder.output)  # the encoder was never called on what comes from a


def test_arguments_that_are_no_symbolic_tensors_are_refused():
    x = Input((3,))
    with pytest.raises(ArgumentError, match="outputs holds a Dense"):
        Model(x, Dense(2))
    with pytest.raises(ArgumentError, match="inputs holds a ndarray"):
        Model(np.ones(3), x)
    with pytest.raises(ArgumentError, match="both inputs and outputs, or neither"):
        Model(x)


# Layers by name


def test_layers_are_found_by_name_and_place():
    x = Input((3,), name="in")
    model = Model(x, Dense(1, name="last")(Dense(4, name="first")(x)), name="net")
    assert [layer.name for layer in model.layers] == ["in", "first", "last"]
    assert model.get_layer("first").units == 4
    assert model.get_layer(index=2).units == 1
    assert model.get_layer(index=-1) is model.get_layer("last")
    with pytest.raises(
        ArgumentError, match="net: there is no layer 'frist'; there are 'in', 'firs"
    ):
        model.get_layer("frist")
    with pytest.raises(ArgumentError, match="index=3, but there are 3 layers"):
        model.get_layer(index=3)


# Summary


def rows(text):
    """Return the cells of a summary's lines, and the line of totals."""
    lines = text.splitlines()
    return [[c.strip() for c in line.split("│")[1:-1]] for line in lines if "│" in line], lines[-1]


def test_the_summary_of_a_chain():
    model = Sequential(
        [
            Conv2D(4, (3, 2), 2, input_shape=(7, 9, 3), name="c"),
            layers.BatchNormalization(name="b"),
            Flatten(name="f"),
            Dense(1000, name="d"),
        ],
        name="net",
    )
    model.get_layer("c").trainable = False
    table, totals = rows(summary_text(model))
    # 3*2*3*4 + 4 = 76; 4*4 = 16, half of them statistics; 3*4*4 = 48 inputs: 48*1000 + 1000
    assert table[0] == ["Layer (type)", "Output shape", "Parameters"]
    assert table[2:] == [
        ["c (Conv2D)", "(None, 3, 4, 4)", "76"],
        ["b (BatchNormalization)", "(None, 3, 4, 4)", "16"],
        ["f (Flatten)", "(None, 48)", "0"],
        ["d (Dense)", "(None, 1000)", "49,000"],
    ]
    assert table[1][1:] == ["(None, 7, 9, 3)", "0"]
    assert totals == "Parameters: 49,092 (49,008 trainable, 84 not trainable)"
    assert summary_text(model).startswith('Model: "net"')


def test_the_summary_of_branches_says_where_inputs_come_from():
    a, b = Input((3,), name="a"), Input((3,), name="b")
    shared = Dense(2, name="shared")
    joined = Concatenate(name="join")([shared(a), shared(b)])
    table, totals = rows(summary_text(Model([a, b], joined)))
    assert table[0] == ["Layer (type)", "Output shape", "Parameters", "Connected to"]
    assert table[1:] == [
        ["a (InputLayer)", "(None, 3)", "0", ""],
        ["b (InputLayer)", "(None, 3)", "0", ""],
        ["shared (Dense)", "(None, 2)", "8", "a"],
        ["shared (Dense)", "(None, 2)", "0", "b"],
        ["join (Concatenate)", "(None, 4)", "0", "shared, shared"],
    ]
    assert totals.startswith("Parameters: 8 (8 trainable")


def test_the_summary_is_printed_or_handed_over(capsys):
    model = Sequential([Dense(2, input_shape=(3,), name="[b]d[/b]")], name="net")
    model.summary()
    printed = capsys.readouterr().out
    assert "[b]d[/b] (Dense)" in printed
    given = []
    model.summary(print_fn=given.append)
    assert "\n".join(given) + "\n" == printed
    assert capsys.readouterr().out == ""


def test_the_summary_is_plain_text_whatever_the_terminal():
    code = """
from minicnn import Sequential, layers
Sequential([layers.Dense(2, input_shape=(3,))]).summary()
"""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "30", "PYTHONIOENCODING": "utf-8"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True
    )
    text = run.stdout.decode()
    assert "\x1b" not in text
    assert "dense (Dense)" in text


def test_the_summary_of_a_network_whose_input_is_not_known():
    table, totals = rows(summary_text(Sequential([Dense(2, name="d")])))
    assert table[1] == ["d (Dense)", "?", "0"]
    assert totals == "Parameters: 0 (0 trainable, 0 not trainable)"


# Subclasses


class TwoHeads(Model):
    """As students write it: layers in the constructor, `call` without `training`."""

    def __init__(self):
        super().__init__()
        self.hidden = Dense(8, "tanh")
        self.dropout = Dropout(0.5)
        self.heads = [Dense(1), Dense(2)]

    def call(self, inputs):
        x = self.dropout(self.hidden(inputs))
        return Concatenate()([head(x) for head in self.heads])


def test_a_subclass_is_a_model():
    model = TwoHeads()
    assert model.layers == [model.hidden, model.dropout, *model.heads]
    with pytest.raises(ArgumentError, match="has no outputs: the shape of its input is not known"):
        _ = model.outputs
    x = data(6, 3)
    k, b, k1, b1, k2, b2 = (model(x), model.get_weights())[1]
    hidden = np.tanh(x @ k + b)
    is_close(model(x), np.concatenate([hidden @ k1 + b1, hidden @ k2 + b2], -1))
    assert model.count_params() == 4 * 8 + 9 * 3
    assert (model(x, training=True).numpy() != model(x).numpy()).any()


def test_a_subclass_learns():
    config.set_random_seed(3)
    model = TwoHeads()
    x = data(64, 3)
    y = np.concatenate([x.sum(1, keepdims=True), x[:, :2]], -1)
    model.compile(optimizers.Adam(0.01), "mse", metrics=["mae"])
    history = model.fit(x, y, epochs=30, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert model.predict(x, verbose=0).shape == (64, 3)
    assert model.evaluate(x, y, verbose=0, return_dict=True).keys() == {"loss", "mae"}


def test_a_subclass_inside_a_functional_model():
    x = Input((3,))
    inner = TwoHeads()
    model = Model(x, inner(x))
    assert model.output_shape == (None, 3)
    assert model.count_params() == 59
    a = data(5, 3)
    is_close(model(a), inner(a).numpy())


def test_a_subclass_of_several_inputs():
    class Difference(Model):
        def __init__(self):
            super().__init__()
            self.dense = Dense(1)

        def call(self, inputs, training=False):
            left, right = inputs
            return self.dense(left - right)

    model = Difference()
    a, b = data(20, 3), data(20, 3)
    model.compile(optimizers.SGD(0.1), "mse")
    before = model.evaluate([a, b], np.zeros(20), verbose=0)
    model.fit([a, b], np.zeros(20), epochs=20, verbose=0)
    assert model.evaluate([a, b], np.zeros(20), verbose=0) < 0.5 * before
    assert model.predict([a, b], verbose=0).shape == (20, 1)


def test_a_model_without_call_says_so():
    with pytest.raises(ArgumentError, match="has no outputs"):
        Model()(np.ones((1, 2)))


# Parts of a whole made of models, and names


def halves():
    """Return an encoder, a decoder, both together, and images for them."""
    encoder = Sequential(
        [Input((6, 9, 1)), layers.Conv2D(2, 3, padding="same"), layers.MaxPooling2D(3)]
    )
    decoder = Sequential([Input((2, 3, 2)), layers.UpSampling2D(3), layers.Conv2D(1, 1)])
    images = np.random.default_rng(4).normal(size=(2, 6, 9, 1)).astype(np.float32)
    return encoder, decoder, Sequential([encoder, decoder]), images


@pytest.mark.parametrize("copied", [False, True])
def test_a_part_is_taken_out_of_a_whole_made_of_models(copied):
    encoder, decoder, whole, images = halves()
    if copied:
        whole = copy.deepcopy(whole)
    code, result = encoder(images), decoder(encoder(images))
    first = Model(whole.inputs, whole.layers[0].output)
    np.testing.assert_array_equal(first(images), code)
    both = Model(whole.input, [whole.layers[0].output, whole.layers[1].output])
    for found, expected in zip(both(images), (code, result), strict=True):
        np.testing.assert_array_equal(found, expected)
    entry = Input((6, 9, 1))
    drawn = Model(entry, decoder(encoder(entry)))
    np.testing.assert_array_equal(Model(drawn.inputs, encoder.output)(images), code)
    inside = Model(drawn.inputs, encoder.layers[0].output)
    np.testing.assert_array_equal(inside(images), encoder.layers[0](images))
    if not copied:
        assert first.layers[-1] is encoder


def test_a_model_lives_no_longer_than_it_is_used():
    entry = Input((3,))
    end = layers.Dense(2)(entry)
    seen = weakref.ref(Model(entry, end))
    gc.collect()
    assert seen() is None


def test_two_layers_of_one_name_are_refused_at_once():
    x, text = Input((3,)), "Dense and Dense are both named 'd'; the layers of a model need"
    with pytest.raises(ArgumentError, match=text):
        Model(x, layers.Dense(2, name="d")(layers.Dense(2, name="d")(x)))
    for more in ([], [Input((3,))]):
        with pytest.raises(ArgumentError, match=text):
            Sequential([*more, layers.Dense(2, name="d"), layers.Dense(2, name="d")])
    dense = layers.Dense(3)  # called twice, it is still one layer
    assert Model(x, dense(dense(x))).count_params() == 12
