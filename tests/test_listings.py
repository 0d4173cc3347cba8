"""The forms in which listings call the library, with the names under which they look it up."""

import numpy as np
import pytest
from minicnn.keras.models import Sequential

import minicnn as tf
from minicnn import keras
from minicnn.errors import ArgumentError, DataError
from minicnn.keras import layers

rng = np.random.default_rng(31)


def images(count=12, classes=3):
    x = rng.uniform(size=(count, 6, 8, 1)).astype("float32")
    return x, rng.integers(0, classes, count)


def classifier(classes=3, **last):
    return tf.keras.models.Sequential(
        [
            tf.keras.layers.Conv2D(4, (3, 2), activation="relu", input_shape=(6, 8, 1)),
            tf.keras.layers.MaxPooling2D(),
            tf.keras.layers.Conv2D(5, 2, padding="SAME", activation="relu", input_shape=(9, 9, 9)),
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(classes, **last),
        ]
    )


# Building


def test_input_and_model_by_place_and_by_name():
    inputs = keras.Input(shape=(28, 30, 1), name="img")
    x = layers.Conv2D(8, 3, activation="relu")(inputs)
    outputs = layers.GlobalMaxPooling2D()(x)
    encoder = keras.Model(inputs, outputs, name="encoder")
    again = keras.Model(inputs=inputs, outputs=outputs, name="again")
    assert (encoder.name, again.name, encoder.input.name) == ("encoder", "again", "img")
    assert encoder.output_shape == again.output_shape == (None, 8)


def test_unnamed_functional_models_are_numbered():
    keras.backend.clear_session()
    x = keras.Input((3,))
    assert [keras.Model(x, layers.Dense(2)(x)).name for _ in range(2)] == [
        "functional",
        "functional_1",
    ]
    assert [Sequential().name for _ in range(2)] == ["sequential", "sequential_1"]


def test_a_sum_of_symbolic_tensors_skips_a_layer():
    x = keras.Input(shape=(6, 8, 4))
    conv2 = layers.Conv2D(4, 3, padding="same")(layers.Conv2D(4, 3, padding="SAME")(x))
    model = keras.Model(x, layers.Activation("relu")(conv2 + x))
    data = np.maximum(rng.normal(size=(2, 6, 8, 4)), 0)
    model.set_weights([np.zeros(w.shape) for w in model.weights])
    np.testing.assert_allclose(model(data).numpy(), data, rtol=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: layers.MaxPooling2D(), (3, 4)),
        (lambda: layers.MaxPooling2D(3), (2, 2)),
        (lambda: layers.MaxPool2D(pool_size=(2, 2), strides=2), (3, 4)),
    ],
)
def test_forms_of_pooling(layer, shape):
    assert layer()(np.ones((1, 6, 8, 2), "float32")).shape == (1, *shape, 2)


def test_layers_by_their_place():
    model = classifier()
    short = keras.Model(inputs=model.inputs, outputs=model.layers[-2].output)
    assert short.output_shape == (None, 2 * 3 * 5)
    assert model.layers[1].output.shape == (None, 2, 3, 4)


def test_a_chain_built_by_its_input_shape_alone_has_input_and_output():
    encoder = Sequential([layers.Dense(5, input_shape=(7,)), layers.Dense(2)])
    decoder = Sequential([layers.Dense(5, input_shape=(2,)), layers.Dense(7)])
    assert (encoder.input.shape, encoder.output.shape) == ((None, 7), (None, 2))
    result = decoder(encoder.output)
    model = keras.Model(inputs=encoder.input, outputs=result)
    data = rng.normal(size=(3, 7))
    latent = encoder.predict(data, verbose=0)
    np.testing.assert_allclose(decoder(latent).numpy(), model.predict(data, verbose=0), rtol=1e-5)
    stacked = Sequential([encoder, decoder])
    np.testing.assert_allclose(stacked(data).numpy(), model(data).numpy(), rtol=1e-5)


def test_frozen_parts_and_the_summary():
    base = classifier()
    base.trainable = False
    model = Sequential([base, layers.Dense(2)], name="head")
    lines = []
    model.summary(print_fn=lines.append)
    frozen, total = base.count_params(), model.count_params()
    assert f"{total:,} ({total - frozen:,} trainable, {frozen:,} not trainable)" in lines[0]
    assert "Conv2D" not in lines[0]
    model.summary(line_length=70, expand_nested=True, show_trainable=True, print_fn=lines.append)
    assert max(map(len, lines[1].splitlines())) <= 70
    rows = [line for line in lines[1].splitlines() if "Conv2D" in line]
    assert len(rows) == 2
    assert all("no" in row for row in rows)
    names = [layer.name for layer in base.layers]
    base.summary(layer_range=(names[1], names[3]), print_fn=lines.append)
    assert [name in lines[2] for name in names] == [False, True, True, True, False]
    with pytest.raises(ArgumentError, match=r"positions=.*give line_length"):
        model.summary(positions=[0.4, 1.0])
    with pytest.raises(ArgumentError, match="must be the names of two layers"):
        model.summary(layer_range=("a", "b"))


# Training by hand


def test_a_loop_with_the_gradient_inside_the_block():
    x, labels = images()
    y = np.eye(3, dtype="float32")[labels]
    model = classifier()
    loss_object = tf.keras.losses.CategoricalCrossentropy(from_logits=True)
    optimizer = tf.keras.optimizers.Adam(0.01)
    losses = []
    for _ in range(15):
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            loss = loss_object(y, logits)
            gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        losses.append(loss.numpy())
    assert losses[-1] < 0.9 * losses[0]
    hits = tf.equal(tf.argmax(model(x), axis=1), tf.argmax(y, axis=1))
    accuracy = tf.reduce_mean(tf.cast(hits, tf.float32))
    assert 0 <= float(accuracy) <= 1
    sparse = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, model(x))
    assert float(sparse) == pytest.approx(float(loss_object(y, model(x))), rel=1e-5)


@tf.function
def squared(x):
    return tf.square(x)


@tf.function(jit_compile=True)
def cubed(x):
    return x * squared(x)


def test_functions_variables_and_tapes():
    w = tf.Variable([[1.0, 2.0, 3.0]])
    with tf.GradientTape(persistent=True) as tape:
        y = tf.reduce_sum(cubed(w))
    assert tape.gradient(y, w).numpy().tolist() == [[3.0, 12.0, 27.0]]
    assert w.assign_add([[1.0, 1.0, 1.0]]).numpy().tolist() == [[2.0, 3.0, 4.0]]
    assert w.assign_sub([[2.0, 2.0, 2.0]]).numpy().tolist() == [[0.0, 1.0, 2.0]]


def test_tensors_as_numbers_and_arrays():
    t = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert (len(t), float(t[1, 2]), [float(row[0]) for row in t]) == (2, 6.0, [1.0, 4.0])
    assert np.array(t).tolist() == t.numpy().tolist()
    assert (t > 2.5).numpy().tolist() == [[False, False, True], [True, True, True]]
    assert ((t > 2) & ~(t >= 5)).numpy().sum() == 2
    assert t[t > 4].numpy().tolist() == [5.0, 6.0]
    assert float(tf.reduce_mean(tf.cast(t == 2.0, tf.float32))) == pytest.approx(1 / 6)
    assert t.shape == (2, 3)
    assert tf.shape(t).numpy().tolist() == [2, 3]
    assert t.dtype == tf.float32


# Training by fit


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "SGD", "Adam"])
@pytest.mark.parametrize(
    ("loss", "metric", "one_hot"),
    [
        ("categorical_crossentropy", "accuracy", True),
        ("sparse_categorical_crossentropy", "sparse_categorical_accuracy", False),
        ("mse", "mae", True),
        ("binary_crossentropy", "binary_accuracy", True),
    ],
)
def test_compile_by_names(optimizer, loss, metric, one_hot):
    x, labels = images()
    y = np.eye(3)[labels] if one_hot else labels
    model = classifier(activation="softmax")
    model.compile(optimizer=optimizer, loss=loss, metrics=[metric])
    history = model.fit(x, y, epochs=2, batch_size=5, validation_data=(x, y), verbose=0)
    assert set(history.history) == {"loss", metric, "val_loss", f"val_{metric}"}
    values = model.evaluate(x, y, verbose=0)
    assert values == pytest.approx(
        [history.history[f"val_{name}"][-1] for name in ("loss", metric)], rel=1e-5
    )
    assert model.evaluate(x, y, verbose=0, return_dict=True) == {
        "loss": values[0],
        metric: values[1],
    }
    assert set(model.train_on_batch(x, y, return_dict=True)) == {"loss", metric}


@pytest.mark.parametrize("dtype", ["float64", "int64", "uint8"])
def test_predicting_from_numbers_of_any_type(dtype):
    data = rng.integers(0, 9, (4, 6, 8, 1)).astype(dtype)
    model = classifier()
    expected = model.predict(data.astype("float32"), verbose=0)
    found = model.predict(data, verbose=0)
    assert (found.dtype, found.shape) == (np.float32, (4, 3))
    np.testing.assert_array_equal(found, expected)


class Batches:
    """Goes on forever, and counts what it gave."""

    def __init__(self, x, y):
        self.x, self.y, self.starts, self.given = x, y, 0, 0

    def __iter__(self):
        self.starts += 1
        while True:
            self.given += 1
            yield self.x, self.y


def test_steps_limit_batches_that_go_on_forever():
    x, labels = images()
    train, valid = Batches(x, labels), Batches(x, labels)
    model = classifier()
    model.compile("sgd", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(
        train, epochs=4, steps_per_epoch=3, validation_data=valid, validation_steps=2,
        validation_freq=2, initial_epoch=1, verbose=0,
    )  # fmt: skip
    assert (train.given, train.starts) == (3 * 3, 1)
    assert (valid.given, valid.starts) == (2 * 2, 2)
    assert [len(history.history[k]) for k in ("loss", "val_loss")] == [3, 2]
    assert model.predict(Batches(x, labels), steps=2, verbose=0).shape == (24, 3)
    assert isinstance(model.evaluate(Batches(x, labels), steps=1, verbose=0), float)
    with pytest.raises(ArgumentError, match="steps_per_epoch=0, but it must be an integer >= 1"):
        model.fit(train, steps_per_epoch=0, verbose=0)
    with pytest.raises(DataError, match=r"x gave no batches\. A generator"):
        model.fit(iter([(x, labels)] * 2), steps_per_epoch=2, epochs=2, verbose=0)


def test_steps_go_on_through_arrays_where_they_ended():
    x, labels = images(count=10)
    seen = []

    class Seen(keras.Model):
        def train_step(self, data):
            seen.append(data[1].tolist())
            return super().train_step(data)

    i = keras.Input((6, 8, 1))
    model = Seen(i, layers.Dense(3)(layers.Flatten()(i)))
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.warns(UserWarning, match="steps_per_epoch=2, but the data ended after 1 more"):
        model.fit(x, labels, batch_size=4, epochs=3, steps_per_epoch=2, shuffle=False, verbose=0)
    batches = [labels[:4], labels[4:8], labels[8:], labels[:4], labels[4:8]]
    assert seen == [batch.tolist() for batch in batches]


def test_class_and_sample_weights_and_validation_split():
    x, labels = images()
    model = classifier()
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    model.fit(
        x, labels, class_weight={0: 1.0, 1: 2.0, 2: 0.5}, sample_weight=np.ones(12), shuffle=True,
        validation_split=0.25, validation_batch_size=2, callbacks=[], verbose=0,
    )  # fmt: skip
    whole = model.test_on_batch(x, labels, sample_weight=np.full(12, 2.0))
    assert whole == pytest.approx(2 * model.test_on_batch(x, labels), rel=1e-6)


# Steps of one's own


class OwnStep(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


class OlderStep(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compiled_loss(y, y_pred, regularization_losses=[])
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"loss": loss, **self.compute_metrics(x, y, y_pred), "loss": loss}  # noqa: F601


@pytest.mark.parametrize("kind", [OwnStep, OlderStep])
def test_a_step_of_ones_own_trains_as_the_usual_one(kind):
    x, y = rng.normal(size=(12, 4)), rng.normal(size=(12, 2))

    def made(cls):
        i = keras.Input((4,))
        model = cls(i, layers.Dense(2)(layers.Dense(3, "tanh")(i)))
        model.compile("adam", "mse", metrics=["mae"])
        return model

    own, usual = made(kind), made(keras.Model)
    own.set_weights(usual.get_weights())
    options = {"epochs": 2, "batch_size": 12, "shuffle": False, "verbose": 0}
    first, second = own.fit(x, y, **options), usual.fit(x, y, **options)
    assert first.history.keys() == second.history.keys() == {"loss", "mae"}
    for name, values in first.history.items():
        assert values == pytest.approx(second.history[name], rel=1e-5)


class Autoencoder(keras.Model):
    """Learns by figures of its own, without a loss from compile."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder = layers.Dense(2), layers.Dense(5)
        self.total = keras.metrics.Mean(name="total")

    def call(self, x):
        return self.decoder(self.encoder(x))

    @property
    def metrics(self):
        return [self.total]

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(data - self(data, training=True)))
        variables = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.total.update_state(loss)
        return {"total": self.total.result()}


def test_a_model_with_figures_of_its_own():
    x = rng.normal(size=(20, 5)).astype("float32")
    model = Autoencoder()
    model.compile(optimizer=keras.optimizers.Adam(0.05))
    history = model.fit(x, epochs=6, batch_size=10, verbose=0).history
    assert list(history) == ["total"]
    assert history["total"][-1] < history["total"][0]
    last = np.mean((x - model.predict(x, verbose=0)) ** 2)
    assert last < history["total"][-1]
    model.reset_metrics()
    assert model.total.result() == 0
    bad = type("Bad", (Autoencoder,), {"train_step": lambda self, data: 1.0})()
    bad.compile("sgd")
    with pytest.raises(ArgumentError, match="must return a dictionary of figures by name"):
        bad.train_on_batch(x)


# Several outputs


class Two(keras.Model):
    def __init__(self, by_name):
        super().__init__()
        self.a, self.b, self.by_name = layers.Dense(2), layers.Dense(3), by_name

    def call(self, x):
        return {"u": self.a(x), "b": self.b(x)} if self.by_name else [self.a(x), self.b(x)]


def test_a_subclass_with_several_outputs():
    x, u, v = (rng.normal(size=(8, n)).astype("float32") for n in (4, 2, 3))
    named, listed = Two(True), Two(False)
    named.compile(
        "sgd", loss={"u": "mse", "b": "mae"}, loss_weights={"u": 1, "b": 2.0},
        metrics={"u": ["mae"]},
    )  # fmt: skip
    listed.compile("sgd", loss=["mse", "mae"], loss_weights=[1, 2.0], metrics=[["mae"], []])
    named(x), listed(x)
    listed.set_weights(named.get_weights())
    for _ in range(2):
        first = named.fit(x, {"u": u, "b": v}, verbose=0, shuffle=False).history
        second = listed.fit(x, [u, v], verbose=0, shuffle=False).history
        assert first["loss"] == pytest.approx(second["loss"], rel=1e-6)
    found = named.predict(x, verbose=0)
    assert {name: part.shape for name, part in found.items()} == {"u": (8, 2), "b": (8, 3)}
    expected = np.mean((found["u"] - u) ** 2) + 2 * np.mean(abs(found["b"] - v))
    figures = named.evaluate(x, {"u": u, "b": v}, verbose=0, return_dict=True)
    assert figures["loss"] == pytest.approx(expected, rel=1e-5)
    assert figures["u_mae"] == pytest.approx(np.mean(abs(found["u"] - u)), rel=1e-5)
    np.testing.assert_allclose(listed.predict(x, verbose=0)[0], found["u"], rtol=1e-5)


def test_inputs_and_truth_by_name():
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    both = layers.Concatenate()([a, b])
    model = keras.Model([a, b], [layers.Dense(1, name="p")(both), layers.Dense(2, name="q")(both)])
    model.compile("sgd", {"p": "mse", "q": "mae"})
    x = {"b": rng.normal(size=(6, 2)), "a": rng.normal(size=(6, 4))}
    y = {"q": rng.normal(size=(6, 2)), "p": rng.normal(size=(6, 1))}
    by_name = model.evaluate(x, y, verbose=0)
    assert by_name == model.evaluate([x["a"], x["b"]], [y["p"], y["q"]], verbose=0)
    assert by_name == model.evaluate([(x, y)].__iter__(), verbose=0)
    assert model.fit(x, y, validation_data=(x, y), verbose=0).history.keys() >= {"loss", "val_loss"}
    with pytest.raises(ArgumentError, match=r"x has the names 'b', but the model has 'a', 'b'"):
        model.predict({"b": x["b"]}, verbose=0)
