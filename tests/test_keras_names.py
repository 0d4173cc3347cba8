"""The names under which listings look things up: values as TensorFlow's, imports, lightness."""

import base64
import importlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minicnn as tf
from minicnn import keras
from minicnn.errors import ArgumentError, ImageWarning
from tests.helpers import run_python

STORED = json.loads((Path(__file__).parent / "oracles" / "tensorflow_names.json").read_text())
ARRAYS = {name: np.array(a["values"], a["dtype"]) for name, a in STORED["arrays"].items()}


@pytest.mark.parametrize("expression", STORED["expressions"])
def test_expressions_give_what_tensorflow_gives(expression):
    found = eval(expression, {"tf": tf, "np": np, **ARRAYS}).numpy()
    expected = STORED["expressions"][expression]
    assert list(found.shape) == expected["shape"]
    assert found.dtype.name == expected["dtype"]
    np.testing.assert_allclose(found.ravel(), expected["values"], rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("case", STORED["png"])
def test_png_files_are_decoded_as_tensorflow_decodes_them(case):
    contents = base64.b64decode(case["file"])
    found = tf.io.decode_png(contents, channels=case["channels"], dtype=case["dtype"]).numpy()
    assert (list(found.shape), found.dtype.name) == (case["shape"], case["dtype"])
    assert found.ravel().tolist() == case["values"]


def test_random_numbers():
    tf.random.set_seed(5)
    first = [tf.random.normal((40, 50), 2.0, 0.5), tf.random.uniform((40, 50), -1, 3)]
    tf.random.set_seed(5)
    second = [tf.random.normal((40, 50), 2.0, 0.5), tf.random.uniform((40, 50), -1, 3)]
    for a, b in zip(first, second, strict=True):
        assert a.dtype == tf.float32
        np.testing.assert_array_equal(a, b)
    normal, uniform = (a.numpy() for a in first)
    assert (normal.mean(), normal.std()) == pytest.approx((2, 0.5), abs=0.05)
    assert (uniform.min(), uniform.max()) == pytest.approx((-1, 3), abs=0.05)
    whole = tf.random.uniform((100,), 2, 6, dtype=tf.int32).numpy()
    assert set(whole) == {2, 3, 4, 5}
    same = [tf.random.normal((3,), seed=1).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*same)
    order = tf.random.shuffle(np.arange(30)).numpy()
    assert sorted(order) == list(range(30))
    assert order.tolist() != list(range(30))
    with pytest.raises(ArgumentError, match="integers need maxval"):
        tf.random.uniform((3,), dtype=tf.int32)


@pytest.mark.parametrize(
    ("flip", "axis"),
    [(tf.image.random_flip_left_right, 1), (tf.image.random_flip_up_down, 0)],
)
def test_random_flips_are_of_each_image(flip, axis):
    tf.random.set_seed(2)
    images = np.random.default_rng(3).uniform(size=(40, 3, 5, 2))
    turned = [np.flip(image, axis) for image in images]
    results = flip(images).numpy()
    hits = [np.array_equal(r, t) for r, t in zip(results, turned, strict=True)]
    kept = [np.array_equal(r, i) for r, i in zip(results, images, strict=True)]
    assert all(h != k for h, k in zip(hits, kept, strict=True))
    assert 8 < sum(hits) < 32
    assert flip(images[0]).shape == (3, 5, 2)


def test_image_files(tmp_path):
    pixels = np.arange(4 * 6 * 3, dtype="uint8").reshape(4, 6, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    contents = tf.io.read_file(str(tmp_path / "a.png"))
    np.testing.assert_array_equal(tf.image.decode_png(contents), pixels)
    assert tf.io.decode_jpeg(contents, channels=1).shape == (4, 6, 1)
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0]).save(buffer, "PNG")
    assert tf.image.decode_image(buffer.getvalue()).shape == (4, 6, 1)
    assert tf.image.decode_image(buffer.getvalue(), channels=3).shape == (4, 6, 3)
    with pytest.raises(ArgumentError, match="channels=2, but it must be"):
        tf.image.decode_image(contents, channels=2)


def test_what_decoders_decide_is_said_and_grey_of_photographs_is_their_brightness():
    dim = io.BytesIO()
    Image.fromarray(np.array([[0, 5, 4000]], np.uint16)).save(dim, "PNG")
    with pytest.warns(ImageWarning, match=r"reach 4000 of 65535, .* dtype=tf\.uint16\) keeps"):
        upper = tf.io.decode_png(dim.getvalue())
    assert upper.numpy().ravel().tolist() == [0, 0, 15]
    whole = tf.image.decode_image(dim.getvalue(), dtype=tf.uint16)
    assert whole.numpy().ravel().tolist() == [0, 5, 4000]
    shares = tf.image.decode_image(dim.getvalue(), dtype=tf.float32).numpy()
    np.testing.assert_allclose(shares.ravel(), np.array([0, 5, 4000]) / 65535, rtol=1e-6)
    with pytest.raises(ArgumentError, match="dtype=float64, but it must be uint8 or uint16"):
        tf.io.decode_png(dim.getvalue(), dtype=tf.float64)
    photograph = io.BytesIO()
    pixels = np.kron(np.array([[[200, 40, 90], [10, 220, 30]]], np.uint8), np.ones((8, 8, 1), "u1"))
    Image.fromarray(pixels).save(photograph, "JPEG", quality=100, subsampling=0)
    grey = tf.io.decode_jpeg(photograph.getvalue(), channels=1).numpy()[..., 0]
    np.testing.assert_allclose(grey, pixels @ [0.299, 0.587, 0.114], atol=2)


def test_random_images_keep_their_type_and_their_bounds():
    tf.random.set_seed(3)
    image = np.full((4, 6, 3), 100, np.uint8)
    image[::2] = 50
    bright = [tf.image.random_brightness(image, 0.2).numpy() for _ in range(200)]
    added = np.array([y[1, 0, 0] for y in bright]) - 100.0
    assert bright[0].dtype == np.uint8
    assert -51.5 <= added.min() < -40 < 40 < added.max() <= 51.5
    apart = {int(y[1, 0, 0]) - int(y[0, 0, 0]) for y in bright if y[0, 0, 0] > 0}
    assert apart <= {49, 50, 51}
    factors = [tf.image.random_contrast(image, 0.5, 1.5).numpy() for _ in range(200)]
    distances = np.array([int(y[1, 0, 0]) - int(y[0, 0, 0]) for y in factors]) / 50
    assert 0.48 <= distances.min() < 0.6 < 1.4 < distances.max() <= 1.52
    numbers = np.arange(4 * 6 * 3).reshape(4, 6, 3)
    parts = [tf.image.random_crop(numbers, (2, 5, 3)).numpy() for _ in range(60)]
    places = {(p[0, 0, 0] // 18, p[0, 0, 0] % 18 // 3) for p in parts}
    assert places == {(row, column) for row in range(3) for column in range(2)}
    assert all(np.array_equal(p[1] - p[0], np.full((5, 3), 18)) for p in parts)
    for call in (
        lambda: tf.image.random_brightness(image, -0.1),
        lambda: tf.image.random_contrast(image, 0.5, 0.5),
        lambda: tf.image.random_crop(image, (5, 2, 3)),
    ):
        with pytest.raises(ArgumentError, match="random_"):
            call()


def test_gradients_flow_through_named_operations():
    w = tf.Variable([[1.0, 2.0, 4.0]])
    with tf.GradientTape(persistent=True) as tape:
        parts = tf.split(w, [1, 2], axis=1)
        y = tf.reduce_sum(tf.gather(w, [2, 2], axis=1)) + tf.norm(w) + tf.reduce_sum(parts[1])
        z = tf.reduce_sum(tf.stop_gradient(w) * w)
    norm = 21**0.5
    expected = [1 / norm, 1 + 2 / norm, 3 + 4 / norm]
    np.testing.assert_allclose(tape.gradient(y, w).numpy()[0], expected, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(z, w).numpy(), w.numpy())


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("tf.split(np.ones((2, 5)), 2, axis=1)", "does not divide the 5 of axis 1"),
        ("tf.split(np.ones(5), [2, 2])", r"lengths \[2, 2\] do not add up to 5"),
        ("tf.nn.conv2d(x, w, [2, 1, 1, 1], 'SAME')", "strides=.* must be 1"),
        ("tf.image.resize(x, (2, 3), method='area')", "method='area' is not known"),
    ],
)
def test_what_is_refused(expression, told):
    with pytest.raises(ArgumentError, match=told):
        eval(expression, {"tf": tf, "np": np, **ARRAYS})


# Imports


def test_modules_are_the_same_however_they_are_reached():
    import minicnn.keras.layers as by_path

    from minicnn.keras import layers as by_name

    assert by_path is by_name is keras.layers is tf.keras.layers is tf.layers
    assert importlib.import_module("minicnn.layers") is tf.layers
    assert tf.layers.__name__ == tf.layers.__spec__.name == "minicnn.layers"
    deep = importlib.import_module("minicnn.keras.applications.vgg16")
    assert deep is importlib.import_module("minicnn.applications.vgg16")
    assert tf.keras.applications.vgg16 is deep


@pytest.mark.parametrize("name", ["Input", "Layer", "Loss", "Metric", "Model", "Optimizer",
                                  "Sequential", "Variable", "Initializer"])  # fmt: skip
def test_names_at_the_top(name):
    assert isinstance(getattr(keras, name), type) or name == "Input"
    assert name in dir(keras)


@pytest.mark.parametrize(
    "expression",
    [
        "tf.TensorSpec",
        "tf.data.Dataset.from_tensor_slices",
        "tf.keras.datasets.mnist.load_data",
        "tf.keras.preprocessing.image_dataset_from_directory",
        "tf.keras.preprocessing.image.img_to_array",
        "tf.keras.regularizers.l2(0.02)",
        "tf.keras.utils.image_dataset_from_directory",
        "tf.keras.utils.register_keras_serializable",
        "tf.keras.utils.to_categorical",
        "tf.keras.optimizers.schedules.ExponentialDecay",
        "tf.keras.callbacks.EarlyStopping",
        "tf.keras.constraints.NonNeg",
    ],
)
def test_names_deep_down(expression):
    assert callable(eval(expression, {"tf": tf}))


def test_names_that_are_nowhere():
    for expression in ("keras.nowhere", "tf.nowhere", "keras.backend.nowhere", "tf.math.nowhere"):
        with pytest.raises(AttributeError, match="has no attribute 'nowhere'"):
            eval(expression, {"tf": tf, "keras": keras})
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        importlib.import_module("minicnn.keras.nowhere")


def test_settings():
    from minicnn.keras import backend as K  # noqa: N812

    assert (K.epsilon(), K.floatx(), K.image_data_format()) == (1e-7, "float32", "channels_last")
    assert float(K.mean([1.0, 2.0])) == 1.5
    K.set_image_data_format("channels_last")
    with pytest.raises(ArgumentError, match="data_format='channels_first' is not known"):
        K.set_image_data_format("channels_first")
    K.clear_session()
    assert [keras.layers.Dense(1).name for _ in range(2)] == ["dense", "dense_1"]
    assert {"load_model", "register_keras_serializable"} <= set(dir(keras.saving))


def test_looking_names_up_loads_no_more_than_is_asked_for():
    done = run_python(
        "import sys, minicnn as tf\n"
        "assert 'minicnn.keras' not in sys.modules\n"
        "tf.keras.layers.Dense, tf.keras.models.load_model, tf.reduce_mean, tf.nn.relu\n"
        "print([m for m in ('PIL', 'h5py', 'matplotlib', 'rich') if m in sys.modules])"
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize(
    "line",
    [
        "from minicnn.keras.optimizers.schedules import CosineDecay",
        "from minicnn.keras.datasets import mnist; mnist.load_data",
        "from minicnn.keras.preprocessing.image import load_img",
        "from minicnn.keras.utils import to_categorical, custom_object_scope",
        "import minicnn.keras.models",
        "from minicnn.keras.models import Sequential, load_model",
        "from minicnn.keras.applications.vgg16 import VGG16",
        "from minicnn.keras.backend import clear_session",
        "import minicnn.keras.saving as s; s.load_model",
        "from minicnn.keras import backend as K, optimizers, losses, metrics, callbacks",
    ],
)
def test_imports_in_a_fresh_process(line):
    done = run_python(line)
    assert (done.returncode, done.stderr) == (0, "")
