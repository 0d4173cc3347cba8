"""The loaders of the data sets: real files by their published figures, stand-ins, bad files."""

import gzip
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minicnn import datasets
from minicnn.datasets import landcover, malaria, mnist, nuclei, signs, write_image
from minicnn.errors import ArgumentError, DataError, ShapeError
from minicnn.images import Picture, write_picture
from tests.helpers import ROOT


@pytest.fixture
def real(monkeypatch):
    data = Path(os.environ.get("MINICNN_DATA", ROOT.parent / "shared" / "data"))
    if not (data / "segmentation").exists():
        pytest.skip(f"no data sets in {data}; set MINICNN_DATA to a folder that holds them")
    monkeypatch.setenv("MINICNN_DATA", str(data))
    return data


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """A machine without data."""
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


# The real data, by figures that their README gives.


def test_mnist_is_the_published_set(real):
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    assert (x_train.shape, x_test.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert np.bincount(y_train).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert (
        round(float(x_train.mean()) / 255, 4) == 0.1307
    )  # the figure that everybody normalizes by
    assert x_train.flags.writeable


def test_signs_and_the_test_images_that_are_in_the_training_set(real):
    (x_train, y_train), (x_test, y_test) = signs.load_data()
    assert np.bincount(y_train).tolist() == [180] * 6
    assert np.bincount(y_test).tolist() == [20] * 6
    clean = signs.clean_test_indices(x_train, x_test)
    copies = [2, 5, 36, 40, 42, 48, 55, 70, 81, 91, 92, 102, 106]  # in the README of the data
    assert clean.tolist() == [i for i in range(120) if i not in copies]


def test_malaria_cells(real):
    cells = malaria.load_data(size=(8, 12), limit=3)
    assert cells.images.shape == (6, 8, 12, 3)
    assert cells.class_names == ("Parasitized", "Uninfected")
    assert malaria.folder() == real / "malaria"


def test_nuclei_cover_their_share(real):
    images, masks = nuclei.load_data()
    assert images.shape == masks.shape == (200, 256, 256, 1)
    assert masks.max() == 1
    assert round(100 * float(masks.mean()), 2) == 7.84
    assert nuclei.load_data(limit=3)[0].shape[0] == 3


def test_landcover_counts_its_pixels(real):
    samples = landcover.load_data()
    counts = np.sum([np.bincount(labels.ravel(), minlength=16) for _, labels in samples], axis=0)
    assert dict(enumerate(counts.tolist())) | {15: 0} == dict.fromkeys(range(16), 0) | {
        1: 810, 2: 858420, 3: 248629, 4: 81, 5: 5633, 6: 2603,
    }  # fmt: skip
    assert {image.shape for image, _ in samples} == {(256, 256, 4), (260, 260, 4)}
    parts = {name: len(landcover.load_data(subset=name)) for name in ("train", "validation")}
    assert parts == {"train": 8, "validation": 8}
    only_red_green_blue = landcover.load_data(bands=("images",), subset="test")
    assert only_red_green_blue[0][0].shape == (260, 260, 3)


# Files made here.


def write_idx(path, array, packed):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    data = head + array.tobytes()
    path.write_bytes(gzip.compress(data) if packed else data)


@pytest.fixture
def digits(tmp_path):
    """Digits of unequal height and width, as idx files, one of them not packed."""
    x = np.arange(4 * 3 * 5, dtype=np.uint8).reshape(4, 3, 5)
    y = np.array([3, 1, 4, 1], np.uint8)
    folder = tmp_path / "mnist"
    folder.mkdir()
    write_idx(folder / "train-images-idx3-ubyte.gz", x, True)
    write_idx(folder / "train-labels-idx1-ubyte.gz", y, True)
    write_idx(folder / "t10k-images-idx3-ubyte", x[:2], False)
    write_idx(folder / "t10k-labels-idx1-ubyte.gz", y[:2], True)
    return folder


def test_idx_files_and_npz_give_the_same(digits, tmp_path):
    (x_train, y_train), (x_test, y_test) = mnist.load_data(digits)
    np.testing.assert_array_equal(x_train, np.arange(60).reshape(4, 3, 5))
    assert y_train.tolist() == [3, 1, 4, 1]
    assert x_test.shape == (2, 3, 5)
    file = tmp_path / "some.npz"
    np.savez(file, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    again = mnist.load_data(file)
    np.testing.assert_array_equal(again[0][0], x_train)
    np.testing.assert_array_equal(again[1][1], y_test)


def test_mnist_npz_alone_means_the_default_as_in_keras(digits, monkeypatch):
    monkeypatch.setenv("MINICNN_DATA", str(digits.parent))
    assert mnist.load_data("mnist.npz")[0][0].shape == (4, 3, 5)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p.unlink(), "holds neither mnist.npz nor train-images-idx3-ubyte.gz"),
        (lambda p: p.write_bytes(p.read_bytes()[:-9]), r"train-images.* is damaged"),
        (lambda p: p.write_bytes(gzip.compress(b"\0\0\x0d\x01\0\0\0\x01")), "begins with 0, 0, 8"),
        (lambda p: p.write_bytes(b""), r"train-images.* is damaged"),
        (lambda p: (p.parent / "mnist.npz").write_bytes(b"PK"), r"mnist.npz is damaged"),
    ],
)
def test_damaged_digits_are_named(digits, spoil, message):
    spoil(digits / "train-images-idx3-ubyte.gz")
    with pytest.raises(DataError, match=message):
        mnist.load_data(digits)


@pytest.mark.parametrize(
    ("load", "wanted"),
    [
        (signs.load_data, "render_signs"),
        (malaria.load_data, "minicnn datasets download malaria.*render_cells"),
        (nuclei.load_data, "minicnn datasets download nuclei.*render_nuclei"),
        (landcover.load_data, "lila.science.*render_landcover"),
    ],
)
def test_missing_data_are_told_in_one_sentence(nothing, load, wanted):
    with pytest.raises(DataError, match=wanted) as raised:
        load()
    said = str(raised.value)
    assert str(nothing / "data") in said
    assert str(nothing / "cache" / "minicnn") in said
    assert re.findall(r"\.(?= |$)", said) == ["."]  # one full stop, at the end
    with pytest.raises(DataError, match=re.escape(str(nothing / "elsewhere"))):
        load(nothing / "elsewhere")


def test_every_stand_in_exists():
    for entry in datasets.DATASETS.values():
        assert callable(getattr(datasets, entry.stand_in))


def test_the_folder_of_the_environment_comes_before_the_cache(nothing):
    for place in ("data", "cache/minicnn"):
        for kind in ("images", "labels"):
            (nothing / place / "segmentation/chesapeake_landcover" / kind).mkdir(parents=True)
    cached = nothing / "cache/minicnn/segmentation/chesapeake_landcover"
    for kind in ("images", "labels"):
        write_image(cached / kind / "a.png", np.zeros((2, 3), np.uint8))
    assert datasets.find_folder("landcover") == cached  # the other one is empty
    given = nothing / "data/segmentation/chesapeake_landcover"
    for kind in ("images", "labels"):
        shutil.copy(cached / kind / "a.png", given / kind / "a.png")
    assert datasets.find_folder("landcover") == given
    assert datasets.find_folder("signs") is None
    with pytest.raises(ArgumentError, match="did you mean 'landcover'"):
        datasets.find_folder("landcove")


def test_nuclei_of_the_published_archive_are_joined_into_masks(tmp_path):
    sizes = {"a": (4, 6), "b": (5, 3)}
    for name, size in sizes.items():
        for kind in ("images", "masks"):
            (tmp_path / name / kind).mkdir(parents=True)
        write_image(tmp_path / name / "images" / f"{name}.png", np.full((*size, 3), 40, np.uint8))
        for row in (0, 2):
            one = np.zeros(size, np.uint8)
            one[row] = 255
            write_image(tmp_path / name / "masks" / f"{row}.png", one)
    images, masks = nuclei.load_data(tmp_path)
    assert [image.shape for image in images] == [(4, 6, 1), (5, 3, 1)]  # of unequal size: a list
    assert masks[0][..., 0].tolist() == [[1] * 6, [0] * 6, [1] * 6, [0] * 6]
    assert nuclei.load_data(tmp_path, limit=1)[0].shape == (1, 4, 6, 1)


def test_nuclei_without_images_are_refused(tmp_path):
    (tmp_path / "other").touch()
    with pytest.raises(DataError, match=r"holds no images/\*\.png"):
        nuclei.load_data(tmp_path)


def test_landcover_patches_and_what_does_not_fit(tmp_path):
    datasets.save_rendered_landcover(tmp_path, 2, (24, 36), seed=5)
    images, labels = datasets.render_landcover(2, (24, 36), seed=5)
    samples = landcover.load_data(tmp_path)
    np.testing.assert_array_equal(samples[1][0], images[1])
    image, label = samples.patch(1, 3, 20, (5, 7))
    np.testing.assert_array_equal(image, images[1, 3:8, 20:27])
    np.testing.assert_array_equal(label, labels[1, 3:8, 20:27])
    assert len(samples[1:]) == 1
    with pytest.raises(ArgumentError, match=r"patch of 5 x 7 at \(20, 0\) reaches over"):
        samples.patch(0, 20, 0, (5, 7))
    with pytest.raises(DataError, match=r"has labels/rendered-00000\.png but no height"):
        landcover.load_data(tmp_path, bands=("images", "height"))
    with pytest.raises(DataError, match=r"holds no labels/wv_1m"):
        landcover.load_data(tmp_path, subset="train")
    write_image(tmp_path / "nir" / "rendered-00000.png", np.zeros((24, 35), np.uint8))
    with pytest.raises(ShapeError, match="24 x 35 pixels, but its labels 24 x 36"):
        samples[0]


def test_broken_h5_files_are_named(tmp_path):
    for name in ("train_signs.h5", "test_signs.h5"):
        (tmp_path / name).write_bytes(b"no h5")
    with pytest.raises(DataError, match=r"train_signs.h5 is damaged .*train_set_x"):
        signs.load_data(tmp_path)


def test_images_of_another_size_are_no_copies():
    with pytest.raises(ShapeError, match=r"\(2, 3, 1\) and x_test of \(3, 2, 1\)"):
        signs.clean_test_indices(np.zeros((1, 2, 3, 1)), np.zeros((1, 3, 2, 1)))


# The stand-ins.

RENDER = [
    datasets.render_digits, datasets.render_signs, datasets.render_nuclei,
    datasets.render_landcover,
]  # fmt: skip


@pytest.mark.parametrize("render", RENDER)
def test_stand_ins_depend_on_the_seed_and_not_on_the_count(render):
    images, truth = render(3, (20, 32), seed=4)
    more, more_truth = render(5, (20, 32), seed=4)
    np.testing.assert_array_equal(images, more[:3])
    np.testing.assert_array_equal(truth, more_truth[:3])
    assert images.dtype == np.uint8
    assert images.shape[:3] == (3, 20, 32)
    assert (render(3, (20, 32), seed=5)[0] != images).any()
    assert len(render(0, (20, 32))[0]) == 0
    for bad in ({"count": -1}, {"count": 1, "seed": -1}, {"count": 1, "size": 0}):
        with pytest.raises(ArgumentError, match=render.__name__):
            render(**bad)


@pytest.mark.parametrize("render", RENDER[:2])
def test_classes_of_a_stand_in_can_be_told_apart(render):
    images, labels = render(240, 24, seed=0)
    others, truth = render(120, 24, seed=1)
    flat, asked = (x.reshape(len(x), -1).astype(float) for x in (images, others))
    flat, asked = (x - x.mean(1, keepdims=True) for x in (flat, asked))
    nearest = ((asked[:, None] - flat[None]) ** 2).sum(-1).argmin(1)
    chance = 1 / len(np.unique(truth))
    assert (labels[nearest] == truth).mean() > 2.5 * chance


def test_rendered_nuclei_are_bright_and_their_masks_tight():
    images, masks = datasets.render_nuclei(6, (96, 128), seed=2)
    for image, mask in zip(images.astype(float), masks, strict=True):
        assert 0.005 < mask.mean() < 0.5
        assert image[mask == 1].mean() > 3 * image[mask == 0].mean()
    assert images.max(axis=(1, 2, 3)).std() > 20  # some are much dimmer than others


def test_rendered_land_differs_in_colour_by_its_class():
    images, labels = datasets.render_landcover(8, (64, 96), seed=1)
    means = {c: images[labels == c].mean(0) for c in np.unique(labels)}
    assert set(means) == {1, 2, 3, 4, 5, 6, landcover.NO_DATA}
    assert means[2][3] > means[1][3] + 80  # woods reflect near infrared, water does not
    assert not means[landcover.NO_DATA].any()


def test_class_numbers_stay_and_masks_of_any_depth_are_masks(tmp_path):
    labels = np.array([[1, 2, 6], [15, 3, 2]], np.uint8)
    for name in ("labels", "images", "masks"):
        (tmp_path / name).mkdir()
    palette = Image.fromarray(labels, "P")
    palette.putpalette(list(range(48)))
    palette.save(tmp_path / "labels" / "a.png")
    deep = np.repeat(labels[..., None].astype(np.uint16) * 4000, 3, axis=2)
    write_picture(tmp_path / "images" / "a.png", deep / 65535, Picture(deep, 16, "rgb", form="PNG"))
    image, found = landcover.load_data(tmp_path, bands=("images",))[0]
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_array_equal(image, deep >> 8)
    mask = labels > 2
    write_image(tmp_path / "images" / "a.png", labels)
    for kind in (mask, mask * np.uint8(255), mask * np.uint16(65535), mask * np.uint16(1000)):
        Image.fromarray(kind).save(tmp_path / "masks" / "a.png")
        np.testing.assert_array_equal(nuclei.load_data(tmp_path)[1][0, ..., 0], mask)
    Image.fromarray(np.full((2, 3), 300, np.uint16)).save(tmp_path / "labels" / "a.png")
    with pytest.raises(DataError, match="up to 300, but class numbers are integers"):
        landcover.load_data(tmp_path, bands=("images",))[0]
