"""What a training is given: weights for each output, validation, NaN, batches by number."""

import numpy as np
import pytest

from minicnn import Model, Sequential, config, layers, ops
from minicnn import optimizers as opt
from minicnn.autograd.tensor import Tensor, as_numpy
from minicnn.callbacks import EarlyStopping
from minicnn.data import Dataset
from minicnn.errors import ArgumentError, DataError, ShapeError
from minicnn.utils import PyDataset

# Weights of samples for each of several outputs


def two_outputs():
    entry = layers.Input((2,))
    heads = [layers.Dense(1, name=n, kernel_initializer="ones")(entry) for n in ("left", "right")]
    model = Model(entry, heads)
    model.compile(opt.SGD(0.0), ["mse", "mse"], weighted_metrics=[["mae"], ["mae"]])
    return model


FORMS = {
    "list": lambda one, other: [one, other],
    "tuple": lambda one, other: (one, other),
    "columns": lambda one, other: [one[:, None], other[:, None]],
    "names": lambda one, other: {"right": other, "left": one},
    "plain lists": lambda one, other: [one.tolist(), other.tolist()],
    "integers": lambda one, other: [one.astype(int), other.astype(np.uint8)],
}


@pytest.mark.parametrize("samples", [1, 2, 5])
@pytest.mark.parametrize("form", FORMS)
def test_each_output_may_have_weights_of_its_own(form, samples):
    draw = np.random.default_rng(samples)
    x = draw.normal(size=(samples, 2))
    y = [draw.normal(size=(samples, 1)) for _ in range(2)]
    one, other = draw.integers(1, 4, samples).astype(float), np.zeros(samples)
    errors = [(x.sum(1) - truth[:, 0]) ** 2 * w for truth, w in zip(y, (one, other), strict=True)]
    expected = {"left_loss": errors[0].mean(), "right_loss": 0.0, "loss": errors[0].mean()}
    given = FORMS[form](one, other)
    named = dict(zip(("left", "right"), y, strict=True))
    model = two_outputs()
    figures = [
        model.evaluate(x, y, sample_weight=given, verbose=0, return_dict=True),
        model.test_on_batch(x, y, sample_weight=given, return_dict=True),
        model.evaluate(x, named, sample_weight=given, verbose=0, return_dict=True),
    ]
    history = two_outputs().fit(
        x, y, sample_weight=given, validation_data=(x, named, given), shuffle=False, verbose=0
    )
    last = {name: values[-1] for name, values in history.history.items()}
    figures.append(last)
    figures.append({name: last[f"val_{name}"] for name in expected})
    if form not in ("plain lists", "names"):
        data = Dataset.from_tensor_slices((x, tuple(y), tuple(given))).batch(samples)
        figures.append(model.evaluate(data, verbose=0, return_dict=True))
    for found in figures:
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-5)


def test_a_share_for_validation_keeps_the_weights_of_each_output():
    x = np.arange(8.0).reshape(4, 2)
    y = [np.zeros((4, 1)), np.zeros((4, 1))]
    weights = [np.array([1.0, 2, 3, 4]), np.zeros(4)]
    history = two_outputs().fit(
        x, y, sample_weight=weights, validation_split=0.5, shuffle=False, verbose=0
    )
    squares = (x.sum(1) ** 2 * weights[0]).reshape(2, 2).mean(1)
    assert history.history["loss"] == pytest.approx([squares[0]])
    assert history.history["val_loss"] == pytest.approx([squares[1]])


def test_an_output_without_weights_weighs_one():
    x, y = np.ones((3, 2)), [np.zeros((3, 1))] * 2
    model = two_outputs()
    for given in ({"left": np.zeros(3)}, [np.zeros(3), None]):
        found = model.evaluate(x, y, sample_weight=given, verbose=0, return_dict=True)
        assert (found["left_loss"], found["right_loss"]) == (0, 4)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ([np.ones(3)] * 3, ArgumentError, "sample_weight has 3 parts, but y has 2"),
        ({"up": np.ones(3)}, ArgumentError, "sample_weight has the names .*'up', but the model"),
        (
            [np.ones(3), np.ones(2)],
            ShapeError,
            r"sample_weight\[0\] has 3, sample_weight\[1\] has 2 samples",
        ),
    ],
)
def test_weights_that_fit_no_output_are_refused(given, error, text):
    with pytest.raises(error, match=text):
        two_outputs().fit(np.ones((3, 2)), [np.zeros((3, 1))] * 2, sample_weight=given, verbose=0)


def test_a_class_without_a_weight_weighs_one():
    model = Sequential([layers.Dense(3, activation="softmax", input_shape=(2,))])
    model.compile(opt.SGD(0.0), "sparse_categorical_crossentropy")
    x, labels = np.arange(8.0).reshape(4, 2) / 8, np.array([0, 1, 2, 1])
    found = model.fit(x, labels, class_weight={1: 3.0}, sample_weight=np.ones((4, 1)), verbose=0)
    whole = model.evaluate(x, labels, sample_weight=[1, 3, 1, 3], verbose=0)
    assert found.history["loss"] == pytest.approx([whole])


# Data for validation without targets


class Rebuilding(Model):
    """A model that brings its own loss, as variational autoencoders do."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, x):
        result = self.dense(x)
        self.add_loss(ops.mean(ops.square(result - x)))
        return result


@pytest.mark.parametrize(
    "given",
    [lambda x: (x,), lambda x: x, lambda x: [x], lambda x: Tensor(x), lambda x: (x, None)],
)
def test_data_for_validation_may_be_without_targets(given):
    x = np.random.default_rng(2).normal(size=(6, 2)).astype(np.float32)
    model = Rebuilding()
    model.compile(opt.SGD(0.1))
    history = model.fit(x, validation_data=given(x), epochs=2, verbose=0).history
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(x, verbose=0))


def test_data_for_validation_of_four_parts_are_refused():
    model = Rebuilding()
    model.compile("sgd")
    with pytest.raises(ArgumentError, match="validation_data has 4 parts, but must be x"):
        model.fit(np.ones((3, 2)), validation_data=(np.ones((3, 2)), None, None, None), verbose=0)


# NaN that a loss masks, or a layer replaces


class Filled(layers.Layer):
    def call(self, x):
        return ops.where(np.isnan(as_numpy(x)), np.zeros(x.shape, x.dtype), x)


def masked(y_true, y_pred):
    known = ~np.isnan(as_numpy(y_true))
    return ops.square(np.nan_to_num(as_numpy(y_true)) - y_pred) * known.astype(np.float32)


def with_nan():
    x = np.arange(10.0, dtype=np.float32).reshape(5, 2) / 10
    y = x.sum(1, keepdims=True)
    y[3] = np.nan
    return x, y


def test_nan_that_the_loss_masks_is_taken():
    x, y = with_nan()
    model = Sequential([layers.Dense(1, input_shape=(2,))])
    model.compile(opt.SGD(0.1), masked)
    history = model.fit(x, y, validation_data=(x, y), batch_size=2, epochs=30, verbose=0).history
    assert history["val_loss"][-1] < history["val_loss"][0] / 2
    whole = model.evaluate(x, y, verbose=0)
    known = [0, 1, 2, 4]
    assert whole == pytest.approx(model.evaluate(x[known], y[known], verbose=0) * 4 / 5, rel=1e-5)


def test_nan_that_a_layer_replaces_is_taken():
    x, _ = with_nan()
    x[1, 0] = np.nan
    model = Sequential([layers.Input((2,)), Filled(), layers.Dense(1)])
    np.testing.assert_array_equal(
        model.predict(x, verbose=0), model.predict(np.nan_to_num(x), verbose=0)
    )


def test_nan_that_makes_the_loss_nan_is_told_with_its_samples_before_a_weight_changes():
    x, y = with_nan()
    model = Sequential([layers.Dense(1, input_shape=(2,))])
    model.compile(opt.SGD(0.1), "mse")
    before = model.get_weights()
    said = r"y holds NaN or infinity in 1 of 5 samples, the first at index 3, and the loss became"
    with pytest.raises(DataError, match=f"fit: {said}"):
        model.fit(x, y, verbose=0)
    with pytest.raises(DataError, match=f"evaluate: {said}"):
        model.evaluate(x, y, verbose=0)
    with pytest.raises(DataError, match=rf"fit \(validation_data\): {said}"):
        model.fit(x, np.nan_to_num(y), validation_data=(x, y), verbose=0)
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)
    x[2] = np.nan
    with pytest.warns(UserWarning, match="predict: x holds .* the first at index 2, and so do the"):
        assert np.isfinite(model.predict(x, verbose=0)[:2]).all()


# Batches by number


class Numbered(PyDataset):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.asked = []
        self.passes = [0, 0]

    def __len__(self):
        return 7

    def __getitem__(self, index):
        self.asked.append(index)
        return np.full((2, 3), index), np.full((2, 1), index)

    def on_epoch_begin(self):
        self.passes[0] += 1

    def on_epoch_end(self):
        self.passes[1] += 1


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_by_number_are_shuffled_as_wholes(workers):
    config.set_random_seed(3)
    model = Sequential([layers.Dense(1, input_shape=(3,), kernel_initializer="ones")])
    model.compile(opt.SGD(0.0), "mse")
    data = Numbered(workers=workers)
    model.fit(data, epochs=3, verbose=0)
    epochs = [data.asked[i : i + 7] for i in (0, 7, 14)]
    assert data.passes == [3, 3]
    if workers == 1:
        assert len({tuple(order) for order in epochs}) == 3
    assert all(sorted(order) == list(range(7)) for order in epochs)
    found = model.predict(Numbered(workers=workers), verbose=0)[::2, 0]
    np.testing.assert_array_equal(found, 3 * np.arange(7))
    fixed = Numbered()
    model.fit(fixed, shuffle=False, verbose=0, validation_data=Numbered())
    assert fixed.asked == list(range(7))


def test_what_only_gives_samples_by_number_is_refused():
    class Cells:
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return np.ones(2), 1.0

    model = Sequential([layers.Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    for call in (model.fit, model.evaluate, model.predict):
        with pytest.raises(ArgumentError, match=r"a Cells came, .* Derive it from keras.utils.PyD"):
            call(Cells(), verbose=0)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            EarlyStopping,
            r"the class EarlyStopping, .* object of it: EarlyStopping\(...\)",
        ),
        ([EarlyStopping], r"the class EarlyStopping, but needs an object of it"),
        ([print], "holds a builtin_function_or_method, which is no callback"),
        ("stop", "holds a str, which is no callback"),
    ],
)
def test_what_is_no_callback_is_refused(given, text):
    model = Sequential([layers.Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match=text):
        model.fit(np.ones((2, 2)), np.ones((2, 1)), callbacks=given, verbose=0)
