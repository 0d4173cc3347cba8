"""Labels, norms, splits, single images and folders of images, beside what Keras gives for them."""

import io
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from minicnn import Sequential, config, layers, utils
from minicnn.data import Dataset, TensorSpec
from minicnn.errors import ArgumentError, DataError, ImageWarning, OutputError, ShapeError

ORACLES = Path(__file__).parents[1] / "oracles"
STORED = json.loads((ORACLES / "keras_pipeline.json").read_text())


@pytest.fixture(scope="module")
def arrays():
    with np.load(ORACLES / "keras_pipeline.npz") as file:
        return {name: file[name] for name in file.files if name.startswith("folder")}


@pytest.fixture(scope="module")
def folder(arrays, tmp_path_factory):
    """The folder of files that Keras read."""
    root = tmp_path_factory.mktemp("images")
    for name, pixels in arrays.items():
        if name.startswith("folder/"):
            path = root / name.removeprefix("folder/")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(path)
    (root / "a/notes.txt").touch()
    return root


@pytest.mark.parametrize("case", STORED["utilities"], ids=lambda case: case["code"])
def test_utilities_give_what_keras_does(case):
    value = eval(case["code"], {"U": utils, "np": np})
    if isinstance(value, list):
        assert value == case["value"]
    else:
        np.testing.assert_allclose(value, case["value"], rtol=1e-6)


# Folders of images.


@pytest.mark.parametrize("index", range(len(STORED["folders"])))
def test_images_labels_and_files_are_those_of_keras(folder, arrays, index):
    case = STORED["folders"][index]
    data = utils.image_dataset_from_directory(
        folder, image_size=(5, 8), batch_size=None, shuffle=False, verbose=False, **case["options"]
    )
    assert [str(Path(p).relative_to(folder)) for p in data.file_paths] == case["files"]
    assert data.class_names == case["class_names"]
    elements = list(data.as_numpy_iterator())
    assert len(data) == len(elements)
    labelled = case["dtype"] is not None
    images = np.stack([e[0] if labelled else e for e in elements])
    assert images.dtype == np.float32
    np.testing.assert_allclose(images, arrays[f"folder{index}/x"], atol=1e-3)
    if labelled:
        labels = np.stack([e[1] for e in elements])
        assert labels.dtype == case["dtype"]
        np.testing.assert_array_equal(labels, arrays[f"folder{index}/y"])


@pytest.mark.parametrize("seed", STORED["mixed"])
def test_files_are_mixed_as_keras_mixes_them(folder, seed):
    data = utils.image_dataset_from_directory(folder, seed=int(seed), verbose=False)
    assert [str(Path(p).relative_to(folder)) for p in data.file_paths] == STORED["mixed"][seed]


def test_padding_keeps_proportions_in_the_middle(tmp_path):
    (tmp_path / "a").mkdir()
    Image.fromarray(np.full((4, 4, 3), 90, np.uint8)).save(tmp_path / "a" / "square.png")
    data = utils.image_dataset_from_directory(
        tmp_path, image_size=(4, 8), pad_to_aspect_ratio=True, batch_size=None, verbose=False
    )
    image, _ = data.get_single_element()
    expected = np.zeros((4, 8, 3))
    expected[:, 2:6] = 90
    np.testing.assert_array_equal(image.numpy(), expected)


@pytest.mark.parametrize(
    ("size", "wanted", "there"),  # from Keras 3.15.1
    [
        ((8, 10), (6, 6), np.s_[:4, :]),
        ((9, 10), (6, 6), np.s_[:5, :]),
        ((5, 9), (7, 4), np.s_[2:4, :]),
        ((10, 7), (4, 9), np.s_[:, 3:5]),
        ((3, 8), (6, 10), np.s_[1:4, :]),
        ((7, 7), (5, 6), np.s_[:, :5]),
    ],
)
def test_a_padded_image_is_resized_first_and_lies_where_keras_lays_it(
    tmp_path, size, wanted, there
):
    (tmp_path / "a").mkdir()
    Image.fromarray(np.full((*size, 3), 100, np.uint8)).save(tmp_path / "a" / "1.png")
    data = utils.image_dataset_from_directory(
        tmp_path, image_size=wanted, pad_to_aspect_ratio=True, batch_size=None, verbose=False
    )
    expected = np.zeros((*wanted, 3))
    expected[there] = 100
    np.testing.assert_allclose(data.get_single_element()[0].numpy(), expected, rtol=1e-6)


def test_what_is_hidden_is_no_class_and_no_image(tmp_path, capsys):
    pixels = Image.fromarray(np.full((4, 6, 3), 90, np.uint8))
    places = (".ipynb_checkpoints", "Parasitized", "Uninfected", "Uninfected/.git", ".empty")
    for name in places:
        (tmp_path / name).mkdir()
        if name != ".empty":
            pixels.save(tmp_path / name / "x.png")
    pixels.save(tmp_path / "Parasitized" / "y.TIF")
    pixels.save(tmp_path / "Parasitized" / ".z.png")
    for name in ("Parasitized/._x.png", "Uninfected/Thumbs.db", "Uninfected/.DS_Store"):
        (tmp_path / name).write_bytes(b"x")
    data = utils.image_dataset_from_directory(tmp_path, label_mode="binary", shuffle=False)
    assert data.class_names == ["Parasitized", "Uninfected"]
    names = ["Parasitized/x.png", "Parasitized/y.TIF", "Uninfected/x.png"]
    assert [Path(p).relative_to(tmp_path).as_posix() for p in data.file_paths] == names
    assert next(iter(data))[1].numpy().ravel().tolist() == [0, 0, 1]
    assert "1 file was not read (1 .db)." in capsys.readouterr().out
    unlabelled = utils.image_dataset_from_directory(tmp_path, labels=None, verbose=False)
    assert len(unlabelled.file_paths) == 3


def test_a_cameras_bits_are_those_of_the_whole_folder(tmp_path):
    (tmp_path / "a").mkdir()
    numbers = np.array([[0, 100, 900], [1, 2, 3]], np.uint16)
    Image.fromarray(numbers).save(tmp_path / "a" / "1.png")
    tifffile.imwrite(tmp_path / "a" / "2.tif", numbers + 3000)
    Image.fromarray(numbers.astype(np.uint8)).save(tmp_path / "a" / "3.png")
    with pytest.warns(ImageWarning, match=r"0 to 3900 were taken for 12 bits .* times 0\.06248"):
        data = utils.image_dataset_from_directory(
            tmp_path, image_size=(2, 3), shuffle=False, color_mode="grayscale", verbose=False
        )
    images = next(iter(data))[0].numpy()[..., 0]
    np.testing.assert_allclose(images[0], numbers / 4095 * 255, rtol=1e-6)
    np.testing.assert_allclose(images[1], (numbers + 3000) / 4095 * 255, rtol=1e-6)
    np.testing.assert_array_equal(images[2], numbers.astype(np.uint8))


@pytest.mark.parametrize("subset", [None, "training", "validation"])
def test_mixed_images_keep_their_labels(folder, subset):
    def pixels(path):
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB").resize((8, 5), Image.Resampling.NEAREST))

    share = None if subset is None else 0.5
    data = utils.image_dataset_from_directory(
        folder, image_size=(5, 8), seed=2, batch_size=None, interpolation="nearest",
        validation_split=share, subset=subset, verbose=False,
    )  # fmt: skip
    by_sight = {pixels(path).tobytes(): Path(path) for path in data.file_paths}
    seen = 0
    for image, label in data.as_numpy_iterator():
        path = by_sight.get(image.astype(np.uint8).tobytes())
        if path is not None:  # Pillow's nearest pixel may be another one where two are as near
            assert path.relative_to(folder).parts[0] == data.class_names[label]
            seen += 1
    assert seen >= 3


def test_grey_images(folder):
    data = utils.image_dataset_from_directory(
        folder, color_mode="grayscale", image_size=(5, 9), shuffle=False, verbose=False
    )
    images, _ = data.get_single_element()
    assert images.shape == (9, 5, 9, 1)
    with Image.open(folder / "c/3.png") as image:  # grey, and of this size already
        np.testing.assert_array_equal(images.numpy()[8, :, :, 0], np.asarray(image))


def test_subsets_share_no_file_and_say_their_numbers(folder, capsys):
    train, test = utils.image_dataset_from_directory(
        folder, validation_split=0.4, subset="both", seed=7, batch_size=2, image_size=(5, 8)
    )
    assert capsys.readouterr().out == (
        "Found 9 files belonging to 3 classes.\n1 file was not read (1 .txt).\n"
        "Using 6 files for training.\nUsing 3 files for validation.\n"
    )
    assert (len(train), len(test)) == (3, 2)
    assert not set(train.file_paths) & set(test.file_paths)
    passes = [
        [float(x.numpy().sum()) for x, _ in data.unbatch()] for data in 8 * [test] + 8 * [train]
    ]
    assert all(each == passes[0] for each in passes[:8])  # Keras mixes only what is learned from
    assert not all(each == passes[8] for each in passes[8:])
    alone = utils.image_dataset_from_directory(
        folder, validation_split=0.4, subset="validation", seed=7, verbose=False
    )
    assert alone.file_paths == test.file_paths
    assert capsys.readouterr().out == ""


def test_epochs_are_mixed_anew_and_repeat_by_the_seed(folder):
    def epochs():
        data = utils.image_dataset_from_directory(
            folder, labels=list(range(9)), seed=3, image_size=(4, 6), verbose=False
        )
        return [next(iter(data))[1].numpy().tolist() for _ in range(2)]

    first = epochs()
    assert first == epochs()
    assert first[0] != first[1]
    assert sorted(first[0]) == list(range(9))


def test_the_result_is_a_data_set_like_any_other(folder):
    data = utils.image_dataset_from_directory(folder, image_size=(5, 8), batch_size=4, seed=0,
                                              verbose=False)  # fmt: skip
    scaled = data.map(lambda x, y: (x / 255.0, y)).cache().prefetch(1)
    assert scaled.element_spec == (
        TensorSpec((4, 5, 8, 3), np.dtype("float32")), TensorSpec((4,), np.dtype("int32")),
    )  # fmt: skip
    model = Sequential([layers.Input((5, 8, 3)), layers.Flatten(), layers.Dense(3)])
    model.compile("sgd", "mse")
    one_hot = scaled.map(lambda x, y: (x, utils.to_categorical(y, 3)))
    assert len(model.fit(one_hot, epochs=2, verbose=0).history["loss"]) == 2
    assert model.predict(scaled.map(lambda x, y: x), verbose=0).shape == (9, 3)


def test_links_are_followed_only_when_asked(folder, tmp_path):
    (tmp_path / "one").mkdir()
    shutil.copy(folder / "a/2.png", tmp_path / "one")
    (tmp_path / "one" / "more").symlink_to(folder / "b")
    counts = [
        len(
            utils.image_dataset_from_directory(
                tmp_path, follow_links=follow, batch_size=None, verbose=False
            )
        )
        for follow in (False, True)
    ]
    assert counts == [1, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "foo"}, "labels='foo' is not known"),
        ({"labels": 3}, "labels=3 must be"),
        ({"labels": [1, 2]}, "labels has 2 entries, but there are 9 files"),
        (
            {"labels": [0, 2] * 4 + [0], "label_mode": "categorical"},
            "needs labels from 0 to 1 for 2 classes, but 0 to 2 came",
        ),
        ({"labels": None, "class_names": ["a"]}, "says nothing with labels=None"),
        ({"label_mode": "foo"}, "label_mode='foo'"),
        ({"label_mode": "binary"}, "needs 2 classes, but there are 3: a, b, c"),
        ({"class_names": ["a", "zz"]}, "names 'zz', but the folders are 'a', 'b', 'c'"),
        ({"color_mode": "foo"}, "color_mode='foo'"),
        ({"interpolation": "bicubic"}, "choose one of 'bilinear', 'nearest'"),
        ({"validation_split": 0.2}, "must be given together"),
        ({"subset": "training"}, "must be given together"),
        ({"subset": "foo", "validation_split": 0.2, "seed": 1}, "subset='foo'"),
        ({"subset": "both", "validation_split": 1.5, "seed": 1}, "a number in"),
        ({"subset": "both", "validation_split": 0.2}, "needs a seed"),
        ({"subset": "validation", "validation_split": 0.01, "seed": 1}, "leaves none for valid"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "exclude each other"),
        ({"data_format": "channels_first"}, "channels last"),
    ],
)
def test_messages_of_a_folder(folder, options, message):
    with pytest.raises(ArgumentError, match=message):
        utils.image_dataset_from_directory(folder, verbose=False, **options)


def test_missing_empty_and_damaged_folders(tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        utils.image_dataset_from_directory(tmp_path / "nowhere")
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="holds no images in 1 folders"):
        utils.image_dataset_from_directory(tmp_path)
    (tmp_path / "a" / "bad.png").write_bytes(b"no image")
    data = utils.image_dataset_from_directory(tmp_path, verbose=False)
    with pytest.raises(DataError, match=r"cannot read .*bad\.png: neither a PNG"):
        list(data)


# Labels, splits, seeds.


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: utils.to_categorical([1, 5], 3),
            "x holds 5, but class numbers must be 0 to 2 for",
        ),
        (lambda: utils.to_categorical([-1, 2]), "x holds -1"),
        (lambda: utils.to_categorical([]), "x is empty; give num_classes"),
        (lambda: utils.split_dataset(np.arange(10)), "give left_size or right_size"),
        (
            lambda: utils.split_dataset(np.arange(10), 1.5),
            "left_size=1.5 must be an integer from 1",
        ),
        (lambda: utils.split_dataset(np.arange(10), 11), "left_size=11"),
        (lambda: utils.split_dataset(np.arange(10), 0), "left_size=0"),
        (lambda: utils.split_dataset(np.arange(10), 8, 5), "parts of 8 and 5 of 10"),
        (lambda: utils.split_dataset(np.arange(10), 0.9, 0.9), "parts of 9 and 9 of 10"),
        (lambda: utils.split_dataset(np.arange(10), 0.01), "parts of 0 and 10 of 10"),
        (lambda: utils.split_dataset(Dataset.range(3).repeat(), 0.5), "has no end"),
        (lambda: utils.set_random_seed(2**32), "must be less than"),
    ],
)
def test_messages_of_utilities(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def test_splits_of_several_arrays_and_shuffled_ones():
    x, y = np.arange(10), np.arange(10) * 2
    for several in ((x, y), [x, y]):
        left, right = utils.split_dataset(several, 0.7)
        assert [tuple(map(int, e)) for e in left] == [(i, 2 * i) for i in range(7)]
        assert [int(b) for _, b in right] == [14, 16, 18]
    left, right = utils.split_dataset(Dataset.range(10).filter(lambda i: i > 1), 0.5)
    assert [int(i) for i in left], [int(i) for i in right] == ([2, 3, 4, 5], [6, 7, 8, 9])
    parts = [utils.split_dataset(x, 0.6, shuffle=True, seed=4) for _ in range(2)]
    orders = [[int(i) for part in pair for i in part] for pair in parts]
    assert orders[0] == orders[1] != list(range(10))
    assert sorted(orders[0]) == list(range(10))


def test_a_seed_starts_all_random_numbers(monkeypatch):
    monkeypatch.setitem(config._settings, "generator", None)

    def numbers():
        utils.set_random_seed(8)
        ours = config.random_generator().random()
        return random.random(), np.random.rand(), ours  # noqa: NPY002

    state, theirs = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        assert numbers() == numbers()
    finally:
        random.setstate(state)
        np.random.set_state(theirs)  # noqa: NPY002


# Single images.


def test_images_go_to_files_and_back(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 9, 3), np.uint8)
    utils.save_img(tmp_path / "a.png", pixels, scale=False)
    image = utils.load_img(tmp_path / "a.png")
    np.testing.assert_array_equal(utils.img_to_array(image), pixels)
    assert utils.img_to_array(image).dtype == np.float32
    assert utils.img_to_array(image, dtype="uint8").dtype == np.uint8
    grey = utils.load_img(tmp_path / "a.png", color_mode="grayscale", target_size=(4, 6))
    assert (grey.mode, grey.size) == ("L", (6, 4))
    clear = np.concatenate([pixels, pixels[..., :1]], -1)
    utils.save_img(tmp_path / "b.jpg", clear)  # JPEG has no transparency
    assert utils.load_img(tmp_path / "b.jpg", color_mode="rgba").mode == "RGBA"
    utils.save_img(tmp_path / "c", pixels, file_format="jpg", scale=False)
    with Image.open(tmp_path / "c") as image:
        assert image.format == "JPEG"
    with pytest.raises(OutputError, match="choose a folder that exists"):
        utils.save_img(tmp_path / "nowhere" / "a.png", pixels)


def test_numbers_do_not_wrap_on_their_way_to_an_image(tmp_path):
    colours = np.array([[[-20.0, 300.5, 100.7], [0.0, 255.4, 256.0]]])  # (1,2,3)
    found = utils.array_to_img(colours, scale=False)
    assert np.asarray(found).tolist() == [[[0, 255, 100], [0, 255, 255]]]
    blurred = utils.array_to_img(colours[..., :2].reshape(1, 4, 1), scale=False)
    assert np.asarray(blurred).tolist() == [[0, 255, 0, 255]]
    numbers = np.array([[1, 200, 300], [1000, 65535, 0]], np.uint16)[..., None]
    for given in (numbers, utils.img_to_array(numbers)):
        utils.save_img(tmp_path / "objects.png", given, scale=False)
        again = utils.load_img(tmp_path / "objects.png", color_mode="grayscale")
        np.testing.assert_array_equal(utils.img_to_array(again), numbers)
    assert np.asarray(utils.array_to_img(numbers * np.int64(9), scale=False)).max() == 9 * 65535


def test_keeping_proportions_cuts_the_middle_out(tmp_path):
    stripes = np.zeros((4, 12, 1), np.uint8)
    stripes[:, 4:8] = 200
    utils.save_img(tmp_path / "a.png", stripes, scale=False)
    options = {"target_size": (2, 2), "interpolation": "bilinear", "color_mode": "grayscale"}
    cut = utils.load_img(tmp_path / "a.png", keep_aspect_ratio=True, **options)
    assert np.asarray(cut).tolist() == [[200, 200], [200, 200]]
    squeezed = utils.load_img(tmp_path / "a.png", **options)
    assert np.asarray(squeezed).max() < 120


def test_grey_of_16_bits_keeps_its_numbers_as_in_keras(tmp_path):
    numbers = np.array([[1, 2, 200, 300, 1000], [0, 65535, 40000, 7, 9]], np.uint16)
    Image.fromarray(numbers).save(tmp_path / "ids.png")
    tifffile.imwrite(tmp_path / "ids.tif", numbers, byteorder=">")
    for path in (tmp_path / "ids.png", tmp_path / "ids.tif"):
        image = utils.load_img(path, color_mode="grayscale")
        np.testing.assert_array_equal(utils.img_to_array(image)[..., 0], numbers)
        smaller = utils.load_img(path, "grayscale", target_size=(3, 4), interpolation="bilinear")
        assert utils.img_to_array(smaller)[..., 0].tolist() == [  # from Keras 3.15.1
            [1, 85, 258, 825], [8193, 27490, 8465, 417], [16384, 54895, 16671, 9],
        ]  # fmt: skip
        colours = np.asarray(utils.load_img(path))
        np.testing.assert_array_equal(colours[..., 1], np.rint(numbers / 257))
    opened = io.BytesIO((tmp_path / "ids.png").read_bytes())
    assert utils.load_img(opened, "grayscale").size == (5, 2)


def test_deep_images_are_neither_black_nor_white_and_what_was_decided_is_said(tmp_path):
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    tifffile.imwrite(tmp_path / "float.tif", values)
    shown = np.asarray(utils.load_img(tmp_path / "float.tif"))
    np.testing.assert_array_equal(shown[..., 2], np.rint(values * 255))
    grey = utils.img_to_array(utils.load_img(tmp_path / "float.tif", "grayscale"))
    np.testing.assert_array_equal(grey[..., 0], values)
    tifffile.imwrite(tmp_path / "camera.tif", np.rint(values * 4095).astype("u2"))
    with pytest.warns(ImageWarning, match=r"camera\.tif: 16-bit .* taken for 12 bits and scaled"):
        shown = np.asarray(utils.load_img(tmp_path / "camera.tif"))
    np.testing.assert_allclose(shown[..., 0], values * 255, atol=0.6)
    tifffile.imwrite(tmp_path / "nan.tif", np.full((2, 3), np.nan, np.float32))
    with pytest.raises(DataError, match=r"load_img: cannot read .*nan\.tif: 6 of its 6 numbers"):
        utils.load_img(tmp_path / "nan.tif")


def test_the_cameras_mark_and_opacity(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    pixels = np.random.default_rng(0).integers(0, 256, (5, 9, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    for mode, channels in (("rgb", 3), ("rgba", 4)):
        shown = np.asarray(utils.load_img(tmp_path / "a.png", mode))
        np.testing.assert_array_equal(shown, np.rot90(pixels[..., :channels], -1))
    Image.fromarray(pixels[..., :3]).save(tmp_path / "b.png", exif=exif)
    (tmp_path / "data" / "one").mkdir(parents=True)
    (tmp_path / "b.png").rename(tmp_path / "data" / "one" / "b.png")
    data = utils.image_dataset_from_directory(
        tmp_path / "data", image_size=(9, 5), batch_size=None, verbose=False
    )
    image, _ = data.get_single_element()
    np.testing.assert_array_equal(image.numpy(), np.rot90(pixels[..., :3], -1))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: utils.load_img(p, color_mode="foo"), ArgumentError, "color_mode='foo'"),
        (lambda p: utils.load_img(p, interpolation="foo"), ArgumentError, "interpolation='foo'"),
        (lambda p: utils.load_img(p), DataError, "cannot read .*: no such file"),
        (lambda p: utils.img_to_array(np.zeros(3)), ShapeError, r"shape \(3,\)"),
        (lambda p: utils.array_to_img(np.full((2, 3, 1), np.nan)), DataError, "NaN .* in 6 of 6"),
        (lambda p: utils.array_to_img(np.zeros((2, 3))), ShapeError, r"shape \(2, 3\)"),
        (lambda p: utils.array_to_img(np.zeros((2, 3, 2))), ShapeError, "1, 3 or 4 channels"),
        (lambda p: utils.img_to_array(0, "channels_first"), ArgumentError, "channels last"),
    ],
)
def test_messages_of_images(tmp_path, call, error, message):
    with pytest.raises(error, match=message):
        call(tmp_path / "a.png")
