"""Random changes of images: Keras' results for Keras' random numbers, and what chance does."""

import json
from pathlib import Path

import numpy as np
import pytest

from minicnn import GradientTape, Sequential, config, convert_to_tensor, layers
from minicnn.data import Dataset
from minicnn.errors import ArgumentError, ShapeError

ORACLES = Path(__file__).parents[1] / "oracles"
STORED = json.loads((ORACLES / "keras_pipeline.json").read_text())
RANDOM = [
    layers.RandomFlip(seed=1),
    layers.RandomTranslation(0.3, 0.2, seed=1),
    layers.RandomRotation(0.2, seed=1),
    layers.RandomZoom(0.3, seed=1),
    layers.RandomContrast(0.5, seed=1),
    layers.RandomBrightness(0.3, seed=1),
    layers.RandomCrop(5, 7, seed=1),
]


@pytest.fixture(scope="module")
def arrays():
    with np.load(ORACLES / "keras_pipeline.npz") as file:
        return {name: file[name] for name in file.files}


def anew(layer):
    return type(layer).from_config(layer.get_config())


def drawn(arrays, case):
    own = f"{case['id']}/"
    names = [n[len(own) :] for n in arrays if n.startswith(own)]
    return {n: arrays[own + n] for n in names if n not in ("x", "m", "y", "ym")}


def images(seed=0, shape=(4, 8, 11, 2)):
    return np.random.default_rng(seed).uniform(50, 200, shape).astype(np.float32)


@pytest.mark.parametrize("case", STORED["layers"], ids=lambda c: f"{c['id']}-{c['layer']}")
def test_images_and_masks_are_those_of_keras(case, arrays):
    layer = getattr(layers, case["layer"])(*case["args"], **case["options"])
    numbers = drawn(arrays, case)
    if "flips" in numbers:
        numbers = {layer.mode: numbers["flips"]}
    x, m = (convert_to_tensor(arrays[f"{case['id']}/{name}"]) for name in "xm")
    y = layer.transform_images(x, numbers).numpy()
    np.testing.assert_allclose(y, arrays[f"{case['id']}/y"], atol=1e-4)
    masks = layer.transform_segmentation_masks(m, numbers).numpy()
    np.testing.assert_array_equal(masks, arrays[f"{case['id']}/ym"])


@pytest.mark.parametrize("case", STORED["layers"], ids=lambda c: f"{c['id']}-{c['layer']}")
def test_random_numbers_have_the_range_of_keras(case):
    layer = getattr(layers, case["layer"])(*case["args"], **case["options"], seed=0)
    numbers = layer.get_random_transformation((4000, 2, 3, 1))
    for name, (least, most) in case["range"].items():
        if name == "flips":
            continue
        if case["layer"] == "RandomContrast" and case["args"] == [0.4]:
            least = 0.6  # as Keras documents; Keras 3.15 itself takes 0 for the lower of a number
        assert numbers[name].min() == pytest.approx(least, abs=0.01 * (most - least))
        assert numbers[name].max() == pytest.approx(most, abs=0.01 * (most - least))
    assert case["off"]


@pytest.mark.parametrize("case", STORED["crops"], ids=lambda c: c["id"])
def test_middle_parts_are_those_of_keras(case, arrays):
    layer = getattr(layers, case["layer"])(*case["args"])
    at_random = layers.RandomCrop(*case["args"])  # without training, the middle, too
    y = at_random(arrays[f"{case['id']}/x"], training=False)
    np.testing.assert_allclose(y.numpy(), arrays[f"{case['id']}/y"], atol=1e-4)
    y = layer(arrays[f"{case['id']}/x"], training=False)
    np.testing.assert_allclose(y.numpy(), arrays[f"{case['id']}/y"], atol=1e-4)
    assert layer.compute_output_shape((None, 7, 10, 2)) == (None, *case["args"], 2)


def test_flips_of_both_axes_are_independent():
    x = np.tile(np.arange(6.0, dtype=np.float32).reshape(1, 2, 3, 1), (2000, 1, 1, 1))
    y = layers.RandomFlip(seed=3)(x).numpy()
    kinds, counts = np.unique(y.reshape(2000, -1), axis=0, return_counts=True)
    a = np.arange(6).reshape(2, 3)
    expected = sorted(v.ravel().tolist() for v in (a, a[::-1], a[:, ::-1], a[::-1, ::-1]))
    assert kinds.tolist() == expected
    assert abs(counts - 500).max() < 100


def test_random_parts_come_from_everywhere_and_masks_with_them():
    x = np.arange(9 * 12, dtype=np.float32).reshape(1, 9, 12, 1)
    batch = np.tile(x, (600, 1, 1, 1))
    both = layers.RandomCrop(6, 8, seed=0)({"images": batch, "segmentation_masks": batch})
    y = both["images"].numpy()
    np.testing.assert_array_equal(y, both["segmentation_masks"].numpy())
    corners = {int(v) for v in y[:, 0, 0, 0]}
    assert corners == {12 * row + column for row in range(4) for column in range(5)}
    np.testing.assert_array_equal(np.diff(y[:, :, :, 0], axis=1), 12)
    np.testing.assert_array_equal(np.diff(y[:, :, :, 0], axis=2), 1)


@pytest.mark.parametrize("layer", RANDOM, ids=lambda layer: type(layer).__name__)
class TestEvery:
    def test_samples_differ_and_seeds_repeat(self, layer):
        x = np.tile(images(shape=(1, 8, 11, 2)), (6, 1, 1, 1))
        first = anew(layer)
        y, again = first(x).numpy(), first(x).numpy()
        assert len(np.unique(y.reshape(6, -1), axis=0)) > 1
        assert (y != again).any()
        second = anew(layer)
        np.testing.assert_array_equal(second(x).numpy(), y)
        np.testing.assert_array_equal(second(x).numpy(), again)

    def test_without_a_seed_the_process_decides(self, layer, monkeypatch):
        monkeypatch.setitem(config._settings, "generator", None)
        free = type(layer).from_config({**layer.get_config(), "seed": None})
        results = []
        for _ in range(2):
            config.set_random_seed(5)
            results.append(free(images()).numpy())
        np.testing.assert_array_equal(*results)

    def test_only_training_changes_images(self, layer):
        x = images(shape=(5, 5, 7, 1) if isinstance(layer, layers.RandomCrop) else (5, 8, 11, 1))
        model = Sequential([layers.Input(x.shape[1:]), anew(layer)])
        np.testing.assert_array_equal(model.predict(x, verbose=0), x)
        np.testing.assert_array_equal(model(x, training=False).numpy(), x)
        if not isinstance(layer, layers.RandomCrop):
            assert (model(x, training=True).numpy() != x).any()
            assert (model(x).numpy() != x).any()  # as Keras does
        assert model.output_shape == (None, *x.shape[1:])

    def test_one_image_is_a_batch_of_one(self, layer):
        x = images()[0]
        np.testing.assert_array_equal(anew(layer)(x).numpy(), anew(layer)(x[None]).numpy()[0])

    def test_integers_become_floats_and_the_input_stays(self, layer):
        x = images().astype(np.uint8)
        before = x.copy()
        y = anew(layer)(x)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(x, before)

    def test_gradients_reach_the_images(self, layer):
        x = convert_to_tensor(images().astype(np.float64))
        with GradientTape() as tape:
            tape.watch(x)
            loss = anew(layer)(x)
            total = (loss * loss).numpy().sum()
        assert np.isfinite(total)
        gradient = tape.gradient(loss, x)
        assert gradient.shape == x.shape
        assert np.abs(gradient.numpy()).max() > 0

    def test_masks_keep_their_classes_and_labels_pass(self, layer):
        x = images()
        masks = np.random.default_rng(1).integers(0, 5, (4, 8, 11)).astype(np.uint8)
        labels = np.arange(4)
        out = anew(layer)({"images": x, "segmentation_masks": masks, "labels": labels})
        assert out["labels"] is labels
        assert out["segmentation_masks"].shape == out["images"].shape[:3]
        assert set(np.unique(out["segmentation_masks"].numpy())) <= set(range(5))
        np.testing.assert_array_equal(out["images"].numpy(), anew(layer)(x).numpy())

    def test_in_a_pipeline_with_threads_it_repeats(self, layer):
        def epochs():
            own = anew(layer)
            data = Dataset.from_tensor_slices(images()).map(lambda x: own(x, training=True), 3)
            return [np.stack(list(data.prefetch(1).as_numpy_iterator())) for _ in range(2)]

        one, two = epochs(), epochs()
        np.testing.assert_array_equal(one, two)
        assert (one[0] != one[1]).any()


def test_a_mask_moves_with_its_image():
    x = images(shape=(6, 12, 17, 1))
    mask = (x > 125).astype(np.float32)
    for layer in (
        layers.RandomTranslation((-0.5, 0.5), (-0.5, 0.5), interpolation="nearest", seed=2),
        layers.RandomRotation(0.5, interpolation="nearest", seed=2),
        layers.RandomZoom(0.5, interpolation="nearest", seed=2),
        layers.RandomFlip(seed=2),
    ):
        out = layer({"images": x, "segmentation_masks": mask})
        np.testing.assert_array_equal(
            out["images"].numpy() > 125, out["segmentation_masks"].numpy() == 1
        )


def test_an_augmenting_map_before_a_cache_is_warned_of():
    flip = layers.RandomFlip(seed=1)
    data = Dataset.from_tensor_slices(images()).map(lambda x: flip(x, training=True)).cache()
    with pytest.warns(UserWarning, match="draws random numbers"):
        list(data)


def test_training_with_augmentation_repeats_exactly():
    def train():
        config.set_random_seed(3)
        x = images(shape=(10, 8, 11, 1)) / 255
        model = Sequential(
            [
                layers.Input((8, 11, 1)),
                layers.RandomFlip(),
                layers.RandomRotation(0.1, seed=4),
                layers.Conv2D(2, 3),
                layers.Flatten(),
                layers.Dense(1),
            ]
        )
        model.compile("sgd", "mse")
        return model.fit(x, x.mean((1, 2)), epochs=2, batch_size=4, verbose=0).history["loss"]

    assert train() == train()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.RandomFlip("diagonal"), "mode='diagonal' is not known"),
        (lambda: layers.RandomTranslation(1.5, 0.1), r"height_factor=1.5 must be a number"),
        (lambda: layers.RandomTranslation(0.1, (0, -2)), r"width_factor=\(0, -2\)"),
        (lambda: layers.RandomTranslation(0.1, 0.1, "mirror"), "fill_mode='mirror'"),
        (lambda: layers.RandomRotation((0.1, 0.2, 0.3)), r"factor=\(0.1, 0.2, 0.3\)"),
        (lambda: layers.RandomRotation(0.1, interpolation="cubic"), "interpolation='cubic'"),
        (lambda: layers.RandomZoom(-1.5), "height_factor=-1.5"),
        (lambda: layers.RandomContrast(1.5), "factor=1.5 must be a number or a pair"),
        (lambda: layers.RandomContrast(-0.5), "from 0 to 1"),
        (lambda: layers.RandomContrast(0.5, value_range=(1, 0)), r"value_range=\(1, 0\)"),
        (lambda: layers.RandomBrightness(1.5), "factor=1.5"),
        (lambda: layers.RandomCrop(0, 3), "height=0"),
        (lambda: layers.RandomFlip(seed=-1), "seed=-1"),
        (lambda: layers.RandomFlip(data_format="channels_first"), "channels last"),
        (lambda: layers.RandomFlip()({"labels": 1}), "must have 'images'"),
        (lambda: layers.RandomFlip()({"images": 1, "bounding_boxes": 2}), "'bounding_boxes' came"),
    ],
)  # fmt: skip
def test_messages(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_images_must_be_images():
    with pytest.raises(ShapeError, match=r"shape \(2, 3\), but must have axes"):
        layers.RandomFlip()(np.zeros((2, 3)))
