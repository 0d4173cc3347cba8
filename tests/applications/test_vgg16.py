"""VGG16: layers where Keras has them, weights from files, and what it is told without them."""

import numpy as np
import pytest

import minicnn as tf
from minicnn.applications.vgg16 import ADDRESS, VGG16, preprocess_input, weights_file
from minicnn.errors import ArgumentError, WeightsError

SMALL = {"weights": None, "width": 1 / 16}


@pytest.fixture(autouse=True)
def no_published_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("MINICNN_DATA", raising=False)


def test_layers_stand_where_keras_has_them():
    model = VGG16(**SMALL)
    # The published description: 13 convolutions in blocks of 2, 2, 3, 3, 3, then three dense ones.
    assert len(model.layers) == 23
    assert model.layers[14].name == model.layers[14].output.name == "block4_pool"
    assert model.layers[-5].output.name == "block5_pool"
    assert model.layers[-5].output.shape == (None, 7, 7, 32)
    assert [layer.name for layer in model.layers[-4:]] == ["flatten", "fc1", "fc2", "predictions"]
    assert model.inputs[0].shape == (None, 224, 224, 3)
    assert model.output_shape == (None, 1000)
    top = tf.keras.Model(inputs=model.inputs, outputs=model.layers[14].output)
    assert top.output_shape == (None, 14, 14, 32)


def test_the_number_of_parameters_of_the_paper():
    with pytest.warns(UserWarning, match="the published weights are not on this machine") as told:
        model = tf.keras.applications.vgg16.VGG16()
    assert f"{ADDRESS}vgg16_weights_tf_dim_ordering_tf_kernels.h5" in str(told[0].message)
    assert model.count_params() == 138_357_544  # 138 million, table 2 of the paper
    model.trainable = False
    assert model.trainable_weights == []


def test_without_the_top():
    model = VGG16(include_top=False, input_shape=(64, 96, 3), **SMALL)
    assert (model.output_shape, len(model.layers)) == ((None, 2, 3, 32), 19)
    image = tf.keras.Input((32, 48, 3))
    pooled = VGG16(include_top=False, input_tensor=image, pooling="avg", **SMALL)
    assert (pooled.input is image, pooled.output_shape) == (True, (None, 32))
    shares = VGG16(classes=7, input_shape=(32, 64, 3), **SMALL)
    np.testing.assert_allclose(shares.predict(np.ones((2, 32, 64, 3)), verbose=0).sum(1), 1, 1e-5)


def test_images_of_any_size_without_the_top():
    model = VGG16(include_top=False, **SMALL)
    assert model.output_shape == (None, None, None, 32)
    assert model.predict(np.ones((1, 40, 71, 3)), verbose=0).shape == (1, 1, 2, 32)


def test_weights_from_a_file(tmp_path, monkeypatch):
    options = {"include_top": False, "input_shape": (32, 64, 3)}
    model = VGG16(**options, **SMALL)
    model.save_weights(tmp_path / "w.weights.h5")
    same = VGG16(**options, weights=tmp_path / "w.weights.h5", width=1 / 16)
    for a, b in zip(model.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(WeightsError, match="another network"):
        VGG16(**options, weights=tmp_path / "w.weights.h5", width=1 / 8)
    assert weights_file(False) is None
    folder = tmp_path / "data" / "vgg16"
    folder.mkdir(parents=True)
    target = folder / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    (tmp_path / "w.weights.h5").rename(target)
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path / "data"))
    assert (weights_file(False), weights_file(True)) == (target, None)
    # A thin network's file is there under the published name: it is read, and does not fit.
    with pytest.raises(WeightsError, match=r"block1_conv1|vars/0 has shape \(3, 3, 3, 4\)"):
        VGG16(**options)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"width": 0.5}, "weights='imagenet' are for classes=1000 and width=1"),
        ({"classes": 10}, "weights='imagenet' are for classes=1000 and width=1"),
        ({"weights": None, "width": 0}, "width=0, but it must be above 0"),
        ({"weights": None, "pooling": "sum"}, "pooling='sum' is not known"),
        ({"weights": None, "input_shape": (31, 64, 3)}, "at least 32 x 32 pixels"),
        ({"weights": None, "input_shape": (None, 64, 3)}, "must be numbers"),
        ({"weights": None, "input_shape": (64, 64)}, r"must be \(height, width, channels\)"),
    ],
)
def test_what_is_refused(arguments, told):
    with pytest.raises(ArgumentError, match=told):
        VGG16(**arguments)


def test_images_are_prepared_as_the_weights_were_trained():
    images = np.array([[[[10, 20, 30]]]], "uint8")
    expected = [30 - 103.939, 20 - 116.779, 10 - 123.68]
    found = preprocess_input(images)
    assert (type(found), found.dtype) == (np.ndarray, np.float32)
    np.testing.assert_allclose(found[0, 0, 0], expected, rtol=1e-6)
    assert isinstance(preprocess_input(tf.constant(images)), tf.Tensor)
    with pytest.raises(ArgumentError, match=r"must be \(\.\.\.,3\)"):
        preprocess_input(np.ones((2, 3, 4)))
