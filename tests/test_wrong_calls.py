"""What people call wrongly: the message names what came, and a cure that works."""

import re
import warnings

import numpy as np
import pytest

import minicnn as mc
from minicnn import layers, ops
from minicnn.errors import ArgumentError, ShapeError

IMAGES = np.random.default_rng(3).random((2, 12, 9, 3), np.float32)
LABELS = np.array([0, 2])
FIRST = IMAGES.transpose(0, 3, 1, 2)  # (N,C,H,W)


def classifier(loss="sparse_categorical_crossentropy", *before, **compiled):
    parts = [*before, layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3, "softmax")]
    model = mc.Sequential([layers.Input(IMAGES.shape[1:]), *parts])
    model.compile("sgd", loss, **compiled)
    return model


def mapper():
    model = mc.Sequential([layers.Input(IMAGES.shape[1:]), layers.Conv2D(3, 3)])
    model.compile("sgd", "mse")
    return model


def message(function, kind=ArgumentError):
    with pytest.raises(kind) as caught:
        function()
    return str(caught.value)


def silent(function):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function()


# What goes into a model or a layer.

#: What is given instead of a batch of images, and what makes one of it.
GIVEN = {
    "no batch": (IMAGES[0], "x[None]"),
    "channels first": (FIRST, "x.transpose(0, 2, 3, 1)"),
    "channels first, no batch": (FIRST[0], "x.transpose(1, 2, 0)[None]"),
    "another size": (IMAGES[:, 3:, 2:], "minicnn.ops.resize2d(x, (12, 9))"),
    "grey": (IMAGES[..., :1], "np.repeat(x, 3, axis=-1)"),
    "a list": ([IMAGES[0], IMAGES[1]], "np.stack(x)"),
}
WAYS = {
    "call": lambda model, x: model(x),
    "predict": lambda model, x: model.predict(x, verbose=0),
    "fit": lambda model, x: model.fit(x, LABELS, verbose=0),
    "evaluate": lambda model, x: model.evaluate(x, LABELS, verbose=0),
    "train_on_batch": lambda model, x: model.train_on_batch(x, LABELS),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("given", GIVEN)
def test_a_model_says_what_makes_its_batch_of_what_came(given, way):
    x, cure = GIVEN[given]
    assert cure in message(lambda: WAYS[way](classifier(), x))
    fitting = eval(cure, {"x": x, "np": np, "minicnn": mc})
    assert tuple(fitting.shape[1:]) == IMAGES.shape[1:]


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(2, 3),
        layers.Conv2DTranspose(2, 3),
        layers.SeparableConv2D(2, 3),
        layers.MaxPooling2D(),
        layers.GlobalAveragePooling2D(),
        layers.UpSampling2D(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_says_how_an_image_becomes_a_batch(layer):
    assert "x[None] is a batch of this one image, (1, 12, 9, 3)" in message(
        lambda: layer(IMAGES[0])
    )


def test_further_shapes_have_their_cures():
    flat = mc.Sequential([layers.Input((24,)), layers.Dense(2)])
    assert "x.reshape(len(x), -1)" in message(lambda: flat.predict(np.ones((5, 4, 6)), verbose=0))
    assert "x[None] is a batch of this one sample" in message(lambda: flat(np.ones(24)))
    assert "x[None] is a batch" in message(lambda: layers.Conv1D(2, 3)(np.ones((9, 4))))
    assert "x[None] is a batch" in message(lambda: ops.pad2d(IMAGES[0], ((1, 1), (0, 2))))


def test_images_of_several_sizes_are_told_how_to_become_one_batch():
    ragged = [IMAGES[0], IMAGES[1, :5], IMAGES[1]]
    for way in ("call", "predict", "fit"):
        said = message(lambda way=way: WAYS[way](classifier(), ragged))
        assert "samples of shapes (5, 9, 3), (12, 9, 3)" in said
        assert "resize2d(image[None], (12, 9))[0]" in said
    one_size = [np.asarray(ops.resize2d(image[None], (12, 9))[0]) for image in ragged]
    assert classifier()(np.stack(one_size)).shape == (3, 3)


@pytest.mark.parametrize("x", ["cell.png", None, [[1.0, 2.0], [3.0]]])
def test_what_are_no_numbers_is_said_of_x(x):
    assert re.search(r"\bx is ", message(lambda: layers.Dense(2)(x)))
    if not isinstance(x, list):
        assert re.search(r"\bx is .*image", message(lambda: classifier().predict(x)))
    else:
        assert "rows are of different lengths" in message(lambda: classifier().predict(x))


def test_an_input_is_told_of_a_batch_and_of_channels_in_its_shape():
    with pytest.warns(UserWarning, match=r"without the batch: Input\(\(12, 9, 3\)\) takes images"):
        layers.Input((None, 12, 9, 3))
    with pytest.warns(UserWarning, match=r"seem to be \(C,H,W\).*: \(12, 9, 3\)"):
        layers.Input((3, 12, 9))
    with pytest.warns(UserWarning, match=r"seem to be \(C,H,W\)"):
        layers.Conv2D(2, 3)(FIRST)
    for shape in [(12, 9, 3), (3, 3, 64), (1, 40, 16), (None, None, 3), (None, 12)]:
        silent(lambda shape=shape: layers.Input(shape))


# Truth.


@pytest.mark.parametrize(
    ("loss", "y", "words"),
    [
        ("categorical_crossentropy", LABELS, "sparse_categorical_crossentropy takes these"),
        ("categorical_crossentropy", LABELS[:, None], "minicnn.utils.to_categorical(y, 3)"),
        ("categorical_focal_crossentropy", LABELS, "y seems to hold class numbers"),
        ("mse", LABELS, "y seems to hold class numbers"),
        ("sparse_categorical_crossentropy", np.eye(3)[LABELS], "categorical_crossentropy takes"),
        (
            "sparse_categorical_crossentropy",
            LABELS + 1,
            "from 1 to 3, but the model's result has 3",
        ),
        ("sparse_categorical_crossentropy", np.array(["cat", "dog"]), "y holds no numbers but '"),
        ("categorical_crossentropy", np.ones((2, 4)), "gives 3 numbers for 4"),
    ],
)
def test_fit_speaks_of_y_and_says_what_would_take_it(loss, y, words):
    said = message(lambda: classifier(loss).fit(IMAGES, y, verbose=0))
    assert words in said
    assert not re.search("y_true|y_pred", said)


def test_images_of_another_size_are_told_of_padding():
    said = message(lambda: mapper().fit(IMAGES, IMAGES, verbose=0))
    assert "mse: y has shape (2, 12, 9, 3), but the model's result has (2, 10, 7, 3)" in said
    assert "12 x 9 pixels are not 10 x 7: padding='same'" in said


def test_metrics_say_which_one_takes_class_numbers():
    model = classifier(metrics=["categorical_accuracy"])
    said = message(lambda: model.fit(IMAGES, LABELS, verbose=0))
    assert "y seems to hold class numbers: sparse_categorical_accuracy takes these" in said
    assert "sparse_categorical_crossentropy takes these" in message(
        lambda: mc.losses.CategoricalCrossentropy()(LABELS, np.ones((2, 3)) / 3)
    )


def test_only_what_was_given_is_counted():
    said = message(lambda: classifier().fit(IMAGES, np.zeros(5), verbose=0))
    assert said == "fit: x has 2, y has 5 samples; all must have the same number."
    said = message(lambda: classifier().fit(IMAGES, LABELS, sample_weight=np.ones(3), verbose=0))
    assert "x has 2, y has 2, sample_weight has 3 samples" in said


# Trainings that cannot go well.


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_pixels_up_to_255_are_told_once(kind):
    x = (255 * IMAGES).astype(kind)
    x[:, 0, 0] = 255
    with pytest.warns(UserWarning, match=r"up to 255, .* x / 255, .*Rescaling\(1 / 255\)") as told:
        classifier().fit(x, LABELS, epochs=2, batch_size=1, verbose=0)
    assert len(told) == 1
    with pytest.warns(UserWarning, match="up to 255"):
        classifier().fit(mc.data.Dataset.from_tensors((x, LABELS)), verbose=0)


@pytest.mark.parametrize(
    "first",
    [
        layers.Rescaling(1 / 255),
        layers.LayerNormalization(),
        layers.BatchNormalization(),
        layers.Lambda(lambda x: x / 255),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_model_that_makes_pixels_small_is_let_alone(first):
    x = (255 * IMAGES).astype("uint8")
    turned = layers.RandomFlip()
    silent(
        lambda: classifier("sparse_categorical_crossentropy", turned, first).fit(
            x, LABELS, verbose=0
        )
    )


def test_small_and_centred_numbers_are_let_alone():
    for x in (IMAGES, 100 * IMAGES - 50, np.round(IMAGES).astype("uint8")):
        silent(lambda x=x: classifier().fit(x, LABELS, verbose=0))


def test_a_loss_that_is_no_number_is_one_sentence_without_numpys():
    model = mapper()
    model.compile(mc.optimizers.SGD(1e9), "mse")
    with pytest.warns(UserWarning, match="loss became") as told:
        model.fit(IMAGES, IMAGES[:, 1:-1, 1:-1], epochs=6, verbose=0)
    assert len(told) == 1
    assert re.search("loss became .* learning_rate 1e[+]09 is too large", str(told[0].message))
    with pytest.warns(UserWarning, match="the data hold NaN or infinity") as of_batch:
        mapper().train_on_batch(IMAGES * np.nan, IMAGES[:, 1:-1, 1:-1])
    assert told[0].filename == of_batch[0].filename == __file__  # the line of the call is shown


# Models and layers.


def test_exchanged_inputs_and_outputs_are_recognised():
    x = layers.Input((12, 9, 3), name="pixels")
    y = layers.Conv2D(2, 3, name="conv")(layers.Activation("relu")(x))
    said = message(lambda: mc.Model(y, x))
    assert "exchanged: 'conv' is computed from 'pixels'; give Model(inputs, outputs)" in said


@pytest.mark.parametrize(
    ("layer", "name", "words"),
    [
        (layers.Conv2D(2, 3), "kernel", "makes 'kernel' when it first sees an input"),
        (layers.Conv2D(2, 3), "weight", "makes 'kernel' when"),
        (layers.Dense(2), "bias", "makes 'bias' when"),
        (layers.BatchNormalization(), "moving_mean", "makes 'moving_mean' when"),
        (layers.Conv2D(2, 3), "filtres", "did you mean 'filters'?"),
        (layers.Conv2D(2, 3), "stride", "did you mean 'strides'?"),
        (mc.Sequential([layers.Dense(2)]), "layer", "did you mean 'layers'"),
    ],
)
def test_an_attribute_that_is_missing_is_explained(layer, name, words):
    with pytest.raises(AttributeError) as caught:
        getattr(layer, name)
    assert words in str(caught.value)
    assert not hasattr(layer, name)


def test_a_property_that_meets_an_error_tells_that_one():
    class Broken(layers.Layer):
        @property
        def size(self):
            return self.witdh

    with pytest.raises(AttributeError, match="no attribute 'witdh'"):
        _ = Broken().size


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (
            lambda: mc.max_pool2d(IMAGES, 20),
            "pool_size=20 spans 20 pixels, but the height has only",
        ),
        (lambda: layers.MaxPooling2D((2, 20))(IMAGES), "pool_size=20 spans .* width .* at most 9"),
        (lambda: layers.AveragePooling2D(20)(layers.Input((12, 9, 3))), "pool_size=20"),
        (lambda: mc.conv2d(IMAGES, np.ones((2, 11, 3, 1))), "a kernel of 11 spans 11"),
        (
            lambda: mc.conv2d(IMAGES, np.ones((2, 4, 3, 1)), dilation_rate=4),
            "a kernel of 4 with dilation_rate 4 spans 13 .* Use at most 3",
        ),
    ],
)
def test_windows_that_are_too_large_are_called_by_their_argument(operation, words):
    assert re.search(words, message(operation, ShapeError))


@pytest.mark.parametrize(("word", "ours"), [("cuda", "cupy"), ("gpu", "cupy"), ("cpu", "auto")])
def test_backends_are_known_by_their_other_names(word, ours):
    assert f"did you mean '{ours}'?" in message(lambda: mc.config.set_backend(word))


@pytest.mark.parametrize("name", ["w.pt", "w.PTH", "w.npz", "w.onnx", "w.keras", "w.pkl"])
def test_weights_are_not_written_under_another_programs_name(tmp_path, name):
    said = message(lambda: classifier().save_weights(tmp_path / name))
    assert "'w.safetensors' or 'w.weights.h5'" in said
    assert not any(tmp_path.iterdir())


#: Further calls, and what is said of them.
TOLD = {
    "a class among the layers": (lambda: mc.Sequential([layers.Flatten]), r"write Flatten\(...\)"),
    "layers without a list": (
        lambda: mc.Sequential(layers.Flatten(), layers.Dense(2)),
        r"one list, Sequential\(\[...\]\)",
    ),
    "a layer made of its input": (
        lambda: layers.Flatten(layers.Input((4, 5))),
        r"first, then call it: Flatten\(...\)\(x\)",
    ),
    "a shape without brackets": (lambda: layers.Input(28, 30, 1), r"give Input\(\(28, 30, 1\)\)"),
    "an optimizer's class": (
        lambda: mapper().compile(mc.optimizers.Adam, "mse"),
        r"the class Adam; give Adam\(...\)",
    ),
    "an activation's class": (
        lambda: layers.Conv2D(2, 3, activation=layers.ReLU),
        "the class ReLU; give the function's name",
    ),
    "lr": (lambda: mc.optimizers.Adam(lr=0.1), "'lr' is not known; did you mean 'learning_rate'"),
    "a rate as a text": (lambda: mc.optimizers.SGD("0.1"), "learning_rate='0.1' must be a number"),
    "half an epoch": (
        lambda: mapper().fit(IMAGES, IMAGES, epochs=2.5),
        r"fit: epochs=2.5, but it must be an integer >= 0",
    ),
    "weights in a list": (
        lambda: classifier().fit(IMAGES, LABELS, class_weight=[1, 2, 3]),
        r"class_weight is a list, .* dict\(enumerate\(weights\)\)",
    ),
    "a pair": (lambda: classifier().fit((IMAGES, LABELS)), r"as two arguments, fit\(x, y\)"),
    "maps for one label": (lambda: mapper().fit(IMAGES, np.ones((2, 3))), r"layers.Flatten\(\) or"),
    "a batch to slide over": (
        lambda: mc.cross_correlate2d(IMAGES, np.ones((3, 2))),
        r"image\[0\] is the first of a batch; conv2d takes all",
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_was_meant_is_said(name):
    call, words = TOLD[name]
    assert re.search(words, message(call))


@pytest.mark.parametrize(
    ("name", "words"),
    [("mean", r"minicnn\.ops\.mean\(x"), ("T", r"ops\.transpose\(x"), ("nump", "'numpy'")],
)
def test_a_tensor_says_which_function_a_method_is(name, words):
    x = mc.Tensor(IMAGES)
    with pytest.raises(AttributeError, match=words):
        getattr(x, name)
    assert not hasattr(x, name)


# Names of arguments and of things in modules.

SET = mc.data.Dataset.from_tensor_slices(LABELS)
#: Calls with an argument that is none, where they are, and what was meant.
MISNAMED = {
    "compile": (lambda: mapper().compile(optimiser="adam"), "Sequential.compile", "optimizer"),
    "fit": (lambda: mapper().fit(IMAGES, IMAGES, epoch=2), "Sequential.fit", "epochs"),
    "predict": (lambda: mapper().predict(IMAGES, batch=2), "Sequential.predict", "batch_size"),
    "save": (lambda: mapper().save("a.keras", overwrit=1), "Sequential.save", "overwrite"),
    "summary": (lambda: mapper().summary(lenght=3), "Sequential.summary", "line_length"),
    "batch": (lambda: SET.batch(2, drop_reminder=True), "Dataset.batch", "drop_remainder"),
    "tape": (lambda: mc.GradientTape(persistant=True), "GradientTape", "persistent"),
    "Variable": (lambda: mc.Variable([1.0], trainble=False), "Variable", "trainable"),
    "constant": (lambda: mc.constant(1, dtpe="float32"), "constant", "dtype"),
    "Input": (lambda: mc.Input(shpe=(2,)), "Input", "shape"),
    "load_model": (lambda: mc.models.load_model("a", compil=0), "load_model", "compile"),
    "load_img": (lambda: mc.utils.load_img("a", mode="L"), "load_img", "color_mode"),
    "folder": (
        lambda: mc.utils.image_dataset_from_directory("a", imagesize=3),
        *("image_dataset_from_directory", "image_size"),
    ),
    "cells": (lambda: mc.datasets.load_cell_images("a", sise=3), "load_cell_images", "size"),
}


@pytest.mark.parametrize("name", MISNAMED)
def test_the_argument_that_was_meant_is_named_wherever_one_is_misspelt(name):
    call, where, meant = MISNAMED[name]
    assert re.match(
        rf"{where}: the argument '\w+' is not known; did you mean.*'{meant}'", message(call)
    )


def test_a_type_error_of_a_users_own_function_stays_what_it_is():
    assert message(lambda: SET.map(lambda x: x["a"], lenient=1), TypeError).startswith(
        "Dataset.map"
    )
    model = mapper()
    model.train_step = lambda data: len(3)
    with pytest.raises(TypeError, match="object of type 'int' has no len"):
        model.fit(IMAGES, IMAGES[:, 1:-1, 1:-1], verbose=0)


@pytest.mark.parametrize(
    ("module", "name", "meant"),
    [
        (mc, "reduce_men", "reduce_mean"),
        (mc, "conv2dd", "conv2d"),
        (mc.nn, "conv2dd", "conv2d"),
        (mc.image, "resiz", "resize"),
        (mc.random, "normall", "normal"),
        (mc.datasets, "load_cell_image", "load_cell_images"),
        (mc.applications, "cell_autoencoders", "cell_autoencoder"),
    ],
)
def test_the_name_that_was_meant_is_told_of_every_module(module, name, meant):
    assert f"did you mean '{meant}'" in message(lambda: getattr(module, name), AttributeError)


def test_axes_that_would_not_fit_are_not_advised():
    assert "adds the missing" not in message(lambda: classifier().predict(np.eye(3), verbose=0))
