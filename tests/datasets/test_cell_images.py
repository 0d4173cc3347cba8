"""The loader of image folders, beside Pillow called by hand, and with every kind of bad file."""

import math
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from minicnn.datasets import (
    CellImages,
    load_cell_images,
    read_image,
    slide_of,
    split_at_random,
    split_by_slide,
)
from minicnn.datasets.cell_images import why_no_slides
from minicnn.errors import ArgumentError, DataError

ROOT = Path(__file__).resolve().parents[2]


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def save(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path):
    """Two classes, three slides, images of unequal sizes."""
    root = tmp_path / "cells"
    save(root / "Uninfected" / "C2_cell_9.png", picture(14, 31, 0))
    save(root / "Parasitized" / "C2_cell_1.png", picture(9, 7, 1))
    save(root / "Parasitized" / "C1_cell_1.png", picture(40, 23, 2))
    save(root / "Parasitized" / "C3_cell_1.JPEG", picture(12, 12, 3))
    save(root / "Uninfected" / "C1_cell_2.JPG", picture(64, 48, 4))
    return root


def made(slides):
    count = len(slides)
    return CellImages(
        images=np.arange(count * 6, dtype=np.float32).reshape(count, 1, 2, 3),
        labels=np.arange(count) % 2,
        class_names=("a", "b"),
        slides=tuple(slides),
        files=tuple(Path(f"{slide}_{i}.png") for i, slide in enumerate(slides)),
    )


def test_images_are_those_of_pillow_resized_by_hand(folder):
    cells = load_cell_images(folder, (10, 16))
    assert cells.images.shape == (5, 10, 16, 3)
    assert cells.images.dtype == np.float32
    for image, path in zip(cells.images, cells.files, strict=True):
        by_hand = Image.open(path).convert("RGB").resize((16, 10), Image.Resampling.BILINEAR)
        expected = np.asarray(by_hand, np.float64) / 255
        assert np.abs(image - expected).max() < 1e-6


def test_classes_files_and_slides_come_in_order(folder):
    cells = load_cell_images(folder, 8)
    assert len(cells) == 5
    assert cells.class_names == ("Parasitized", "Uninfected")
    assert [path.relative_to(folder).as_posix() for path in cells.files] == [
        "Parasitized/C1_cell_1.png",
        "Parasitized/C2_cell_1.png",
        "Parasitized/C3_cell_1.JPEG",
        "Uninfected/C1_cell_2.JPG",
        "Uninfected/C2_cell_9.png",
    ]
    assert cells.labels.tolist() == [0, 0, 0, 1, 1]
    assert cells.labels.dtype == np.int64
    assert cells.slides == ("C1", "C2", "C3", "C1", "C2")
    assert cells.unreadable == ()


def test_order_is_kept_among_many_files_of_unequal_effort(tmp_path):
    for i in range(40):
        shade = np.full((400, 300, 3) if i % 3 == 0 else (2, 3, 3), 6 * i, np.uint8)
        save(tmp_path / "grey" / f"S_{i:02d}.png", shade)
    cells = load_cell_images(tmp_path, (2, 3))
    assert np.rint(cells.images[:, 0, 0, 0] * 255).tolist() == [6 * i for i in range(40)]


def test_other_and_hidden_files_and_empty_folders_are_ignored(folder):
    (folder / "Parasitized" / "Thumbs.db").write_bytes(b"x")
    (folder / "Parasitized" / "._C1_cell_1.png").write_bytes(b"x")
    (folder / "Parasitized" / "folder.png").mkdir()
    (folder / "notes.txt").write_text("x")
    (folder / "empty").mkdir()
    save(folder / ".cache" / "C9_1.png", picture(3, 4))
    cells = load_cell_images(folder, 8)
    assert len(cells) == 5
    assert cells.class_names == ("Parasitized", "Uninfected")
    assert cells.unreadable == ()


def test_a_folder_with_the_images_themselves_is_one_class(folder, monkeypatch):
    cells = load_cell_images(folder / "Uninfected", (4, 6))
    assert cells.class_names == ("Uninfected",)
    assert cells.labels.tolist() == [0, 0]
    monkeypatch.chdir(folder / "Uninfected")
    assert load_cell_images(".", (4, 6)).class_names == ("Uninfected",)


def test_limit_takes_evenly_spaced_files_of_each_class(tmp_path):
    for name, count in (("a", 10), ("b", 3)):
        for i in range(count):
            save(tmp_path / name / f"S_{i}.png", picture(2, 3))
    cells = load_cell_images(tmp_path, 2, limit=4)
    assert [path.stem for path in cells.files] == ["S_0", "S_2", "S_5", "S_7", "S_0", "S_1", "S_2"]
    assert cells.labels.tolist() == [0] * 4 + [1] * 3


def test_progress_is_told_after_every_file(folder):
    (folder / "Uninfected" / "C4_bad.png").write_bytes(b"")
    calls = []
    load_cell_images(folder, 4, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 6) for i in range(1, 7)]


def test_an_error_in_progress_ends_the_reading_soon(tmp_path, monkeypatch):
    for i in range(60):
        save(tmp_path / "a" / f"S_{i}.png", picture(30, 20))
    opened = []
    really_open = Image.open

    def slow_open(path, *args, **kwargs):
        opened.append(path)
        time.sleep(0.005)
        return really_open(path, *args, **kwargs)

    def stop(done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr(Image, "open", slow_open)
    with pytest.raises(KeyboardInterrupt):
        load_cell_images(tmp_path, progress=stop)
    assert len(opened) < 30


# Numbers of more than eight bits, and what is said


def test_a_cameras_bits_are_those_of_the_whole_folder(folder):
    values = np.random.default_rng(0).integers(0, 900, (9, 7), np.uint16)
    save(folder / "Parasitized" / "D1_dim.png", values)
    values[3, 4] = 4000
    tifffile.imwrite(folder / "Uninfected" / "D2_bright.tif", values)
    cells = load_cell_images(folder, (9, 7))
    dim, bright = (cells.images[cells.slides.index(slide)] for slide in ("D1", "D2"))
    np.testing.assert_allclose(bright[..., 1], values / 4095, rtol=1e-6)
    values[3, 4] = dim[3, 4, 0] * 4095 + 0.5
    np.testing.assert_allclose(dim[..., 2], values / 4095, rtol=1e-5)
    assert any(
        re.match(r"2 images: 16-bit integers from \d+ to 4000 were taken for 12 bits", note)
        for note in cells.notes
    )
    assert cells.value_ranges == {"uint16": (0, 4095)}
    whole = load_cell_images(folder, (9, 7), value_range=(0, 65535))
    assert np.isclose(whole.images[whole.slides.index("D2")].max(), 4000 / 65535)
    np.testing.assert_array_equal(whole.images[0], cells.images[0])  # of 8 bits, as it was
    assert whole.notes == ("5 images: uint8 numbers cannot hold the range and keep their own.",)
    assert whole.value_ranges == {"uint16": (0, 65535)}
    with pytest.raises(ArgumentError, match=r"\(5000, 6000\) leaves nothing .*2 images of uint16"):
        load_cell_images(folder, (9, 7), value_range=(5000, 6000))
    with pytest.raises(
        ArgumentError, match=r"value_range=\(3, 3\) must be two numbers that differ"
    ):
        load_cell_images(folder, value_range=(3, 3))


def test_all_formats_are_read_and_the_rest_is_said(folder):
    pixels = picture(9, 7)
    tifffile.imwrite(folder / "Uninfected" / "E1_a.TIF", pixels)
    tifffile.imwrite(folder / "Uninfected" / "E2_a.tiff", np.stack([pixels] * 2), metadata=None)
    save(folder / "Parasitized" / "E3_a.bmp", pixels)
    save(folder / "Parasitized" / "E4_a.webp", pixels, lossless=True)
    for name in ("Parasitized/a.csv", "notes.txt", "Uninfected/b.CSV"):
        (folder / name).write_text("x")
    save(folder / "Parasitized" / "deeper" / "E5.png", pixels)
    cells = load_cell_images(folder, (9, 7))
    for slide in ("E1", "E2", "E3", "E4"):
        image = cells.images[cells.slides.index(slide)]
        np.testing.assert_allclose(image * 255, pixels, atol=1e-4)
    assert set(cells.notes) == {
        f"{Path('Uninfected/E2_a.tiff')}: of 2 pages the first was read.",
        "3 files were not read (2 .csv, 1 .txt).",
        f"folders inside class folders were not read: {Path('Parasitized/deeper')}.",
    }


# Bad files


def bad_files(folder):
    """Write one bad file of each kind; return what each must be told to be."""
    whole = save(folder / "whole.png", picture(60, 50)).read_bytes()
    jpeg = save(folder / "whole.jpg", picture(60, 50)).read_bytes()
    gif = save(folder / "whole.gif", Image.new("P", (5, 4))).read_bytes()
    broken = bytearray(whole)
    broken[len(whole) // 2 : len(whole) // 2 + 400] = bytes(400)
    bad = {
        "empty.png": (b"", "the file is empty"),
        "short.png": (whole[: len(whole) // 2], "the file is truncated"),
        "short.jpg": (jpeg[: len(jpeg) // 2], "the file is truncated"),
        "head.png": (whole[:20], "the file is truncated|neither a PNG"),
        "broken.png": (bytes(broken), "the file is damaged"),
        "text.png": (b"<html>404 not found</html>", "neither a PNG, JPEG, TIFF, BMP, WebP nor GIF"),
        "short.gif": (gif[:20], "truncated|index out of range|neither"),
    }
    for name in ("whole.png", "whole.jpg", "whole.gif"):
        (folder / name).unlink()
    for name, (content, _) in bad.items():
        (folder / name).write_bytes(content)
    return {name: reason for name, (_, reason) in bad.items()}


def test_bad_files_are_named_and_the_others_loaded(folder):
    expected = bad_files(folder / "Parasitized")
    good = load_cell_images(folder / "Uninfected", 8)
    cells = load_cell_images(folder, 8)
    assert len(cells) == 5
    assert np.array_equal(cells.images[3:], good.images)
    assert cells.labels.tolist() == [0, 0, 0, 1, 1]
    assert cells.files[3:] == good.files
    assert cells.slides[3:] == good.slides
    found = {path.name: reason for path, reason in cells.unreadable}
    assert found.keys() == expected.keys()
    for name, pattern in expected.items():
        assert re.search(pattern, found[name]), (name, found[name])
        assert len(found[name]) < 90
        assert "\n" not in found[name]


def test_a_link_to_nothing_and_a_forbidden_file_are_named(folder):
    (folder / "Uninfected" / "gone.png").symlink_to(folder / "nowhere.png")
    secret = save(folder / "Uninfected" / "secret.png", picture(3, 4))
    secret.chmod(0)
    found = {path.name: text for path, text in load_cell_images(folder, 8).unreadable}
    assert found.pop("gone.png") == "no such file"
    if not os.access(secret, os.R_OK):  # the administrator may read everything
        assert found.pop("secret.png") == "Permission denied"
    assert found == {}


@pytest.mark.parametrize("limit", [150, 80])
def test_an_image_of_very_many_pixels_is_refused(folder, monkeypatch, limit):
    """Pillow warns above its limit and raises above twice the limit: here both are refusals."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    save(folder / "Parasitized" / "bomb.png", picture(17, 11))
    cells = load_cell_images(folder / "Parasitized", 4)
    assert dict(cells.unreadable)[folder / "Parasitized" / "bomb.png"] == "too many pixels"
    with pytest.raises(DataError, match=r"read_image: cannot read .*bomb\.png: too many pixels\."):
        read_image(folder / "Parasitized" / "bomb.png")


# Folders that cannot be used


def one_sentence(error):
    text = str(error.value)
    assert text.startswith("load_cell_images: ")
    assert text.endswith(".")
    assert "\n" not in text
    return text


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no folder .*nowhere; expected are") as error:
        load_cell_images(tmp_path / "nowhere")
    one_sentence(error)


def test_a_file_instead_of_a_folder_is_named(folder):
    path = folder / "Parasitized" / "C1_cell_1.png"
    with pytest.raises(DataError, match=r"C1_cell_1\.png is a file, not a folder") as error:
        load_cell_images(path)
    one_sentence(error)


def test_a_folder_without_images_tells_what_it_holds(tmp_path):
    with pytest.raises(DataError, match="holds nothing; expected are"):
        load_cell_images(tmp_path)
    (tmp_path / ".hidden").touch()
    with pytest.raises(DataError, match="holds nothing that is not hidden; expected are"):
        load_cell_images(tmp_path)
    for name in ("cell_images", "masks"):
        (tmp_path / name / "deeper").mkdir(parents=True)
    for name in ("d.doc", "a.txt", "b.csv", "c.zip"):
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError) as error:
        load_cell_images(tmp_path)
    text = one_sentence(error)
    assert "2 folders without images (cell_images, masks)" in text
    assert "4 other files (a.txt, b.csv, c.zip and 1 more)" in text


def test_images_beside_class_folders_are_refused(folder):
    save(folder / "loose.png", picture(3, 4))
    with pytest.raises(DataError, match="1 image of its own beside 2 folders with images") as error:
        load_cell_images(folder)
    one_sentence(error)


def test_a_folder_of_unreadable_images_only_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    expected = bad_files(tmp_path / "a")
    with pytest.raises(DataError, match=f"none of the {len(expected)} images") as error:
        load_cell_images(tmp_path)
    assert "broken.png" in one_sentence(error)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_wrong_limit_is_named(folder, limit):
    with pytest.raises(ArgumentError, match=f"load_cell_images: limit={limit} must be at least 1"):
        load_cell_images(folder, limit=limit)


@pytest.mark.parametrize("size", [0, (3, -1), (1, 2, 3), "big", None, 1.5])
def test_a_wrong_size_is_named(folder, size):
    with pytest.raises(ArgumentError, match=re.escape(f"load_cell_images: size={size!r} must be")):
        load_cell_images(folder, size)


# Slides


@pytest.mark.parametrize(
    ("name", "slide"),
    [
        ("C100P61ThinF_IMG_20150918_144104_cell_162.png", "C100P61ThinF"),
        (Path("a_b/R012P03ThinF_cell_7.png"), "R012P03ThinF"),
        ("single.png", "single"),
        ("_odd.png", "_odd"),
        ("v1.2_x.png", "v1.2"),
    ],
)
def test_the_slide_is_the_name_up_to_the_first_underscore(name, slide):
    assert slide_of(name) == slide


slide_lists = st.lists(st.sampled_from([f"C{i}" for i in range(12)]), min_size=2).filter(
    lambda slides: len(set(slides)) > 1
)


@given(slide_lists, st.floats(0.01, 0.99), st.integers(0, 5))
def test_no_slide_is_on_both_sides_of_a_split(slides, fraction, seed):
    cells = made(slides)
    train, test = split_by_slide(cells, fraction, seed=seed)
    assert set(train.slides).isdisjoint(test.slides)
    assert sorted(train.files + test.files) == sorted(cells.files)
    for part in (train, test):
        assert len(part) > 0
        for i, path in enumerate(part.files):
            position = cells.files.index(path)
            assert np.array_equal(part.images[i], cells.images[position])
            assert part.labels[i] == cells.labels[position]
        positions = [cells.files.index(path) for path in part.files]
        assert positions == sorted(positions)
    share, total = len(set(test.slides)), len(set(slides))
    assert share >= min(fraction * total, total - 1) - 1e-9
    assert share < fraction * total + 1


@pytest.mark.parametrize(
    ("total", "fraction", "expected"),
    [(10, 0.2, 2), (10, 0.7, 7), (3, 0.1, 1), (3, 0.99, 2), (2, 0.5, 1), (100, 0.07, 7)],
)
def test_the_test_part_has_its_share_of_the_slides(total, fraction, expected):
    cells = made([f"C{i:03d}" for i in range(total)])
    assert len(split_by_slide(cells, fraction)[1]) == expected


def test_a_split_is_repeatable_and_depends_on_the_seed_alone():
    cells = made([f"C{i}" for i in range(20)])
    shuffled = cells.take(np.random.default_rng(1).permutation(20))
    parts = {seed: set(split_by_slide(cells, seed=seed)[1].slides) for seed in range(6)}
    assert len({frozenset(part) for part in parts.values()}) > 3
    for seed, part in parts.items():
        assert set(split_by_slide(shuffled, seed=seed)[1].slides) == part


def test_a_single_slide_cannot_be_split():
    with pytest.raises(DataError, match="all 3 images are of slide 'C7'; a split without a common"):
        split_by_slide(made(["C7"] * 3))
    with pytest.raises(DataError, match="no images came"):
        split_by_slide(made([]))


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 20, float("nan")])
def test_a_wrong_fraction_is_named(fraction):
    with pytest.raises(ArgumentError, match=f"test_fraction={fraction} must lie between 0 and 1"):
        split_by_slide(made(["a", "b"]), fraction)


def test_take_follows_positions_and_masks():
    cells = made(["C1", "C2", "C3"])
    assert cells.take([2, 0, 2]).slides == ("C3", "C1", "C3")
    assert cells.take([-1]).files == (Path("C3_2.png"),)
    masked = cells.take(np.array([True, False, True]))
    assert masked.slides == ("C1", "C3")
    assert np.array_equal(masked.images, cells.images[[0, 2]])
    assert masked.class_names == ("a", "b")
    assert len(cells.take([])) == 0
    masked.images[...] = -1
    assert cells.images.min() == 0
    with pytest.raises(ArgumentError, match="there is no image 3; there are 3 images"):
        cells.take([0, 3])
    with pytest.raises(ArgumentError, match=r"a mask of shape \(2,\) came for 3 images"):
        cells.take([True, False])


# The real images


@pytest.fixture(scope="module")
def malaria():
    data = Path(os.environ.get("MINICNN_DATA", ROOT.parent / "shared" / "data"))
    if not (data / "malaria" / "Parasitized").is_dir():
        pytest.skip(f"no malaria cells in {data}; set MINICNN_DATA to a folder that holds malaria/")
    return data / "malaria"


def test_the_real_cells_load_and_split(malaria):
    cells = load_cell_images(malaria, (48, 64), limit=150)
    assert cells.images.shape == (300, 48, 64, 3)
    assert cells.class_names == ("Parasitized", "Uninfected")
    assert np.bincount(cells.labels).tolist() == [150, 150]
    assert cells.unreadable == ()
    assert re.fullmatch(r"C\d+P\d+(ThinF|thinF|threshold)?\w*", cells.slides[0])
    assert 60 < len(set(cells.slides)) <= 201
    colours = [image[image.max(-1) > 0.3].mean(0) for image in cells.images]
    assert np.allclose(np.mean(colours, axis=0), [0.73, 0.6, 0.63], atol=0.05)
    train, test = split_by_slide(cells)
    assert set(train.slides).isdisjoint(test.slides)
    assert len(train) + len(test) == 300
    assert 20 < len(test) < 110


# Splits that know no slides


@given(st.integers(2, 40), st.floats(0.01, 0.99), st.integers(0, 5))
def test_a_random_split_takes_every_image_once(count, fraction, seed):
    cells = made(["cell"] * count)
    train, test = split_at_random(cells, fraction, seed=seed)
    assert sorted(train.files + test.files) == sorted(cells.files)
    assert len(train) >= 1
    assert len(test) == min(max(1, math.ceil(count * fraction - 1e-9)), count - 1)
    assert split_at_random(cells, fraction, seed=seed)[1].files == test.files


def test_a_random_split_depends_on_its_seed_and_names_what_is_wrong():
    cells = made(["cell"] * 20)
    assert len({split_at_random(cells, seed=seed)[1].files for seed in range(6)}) == 6
    with pytest.raises(DataError, match="1 image came; a split needs 2 or more"):
        split_at_random(made(["cell"]))
    with pytest.raises(ArgumentError, match=r"split_at_random: test_fraction=1\.5 must lie"):
        split_at_random(cells, 1.5)


@pytest.mark.parametrize(
    ("names", "labels", "reason"),
    [
        (["cell_1", "cell_2", "cell_3", "cell_4"], [0, 0, 1, 1], "all names begin with 'cell'"),
        (["1_a", "2_a", "3_a", "4_a"], [0, 0, 1, 1], "no two names begin alike"),
        (["1", "2", "3", "1", "2", "3"], [0, 0, 0, 1, 1, 1], "no name has an underscore"),
        (["a_1", "a_2", "b_1", "b_2"], [0, 0, 1, 1], "names begin alike within a class only"),
        (["x_1", "x_2", "x_3", "y_1", "z"], [0] * 5, "more than half of the names begin with 'x'"),
        (["C1_1", "C1_2", "C2_1", "C2_2"], [0, 0, 0, 0], None),
        (["C1_1", "C1_2", "C2_1", "C2_2", "C3_1"], [0, 1, 0, 1, 1], None),
    ],
)  # fmt: skip
def test_names_that_tell_no_slides_are_recognised(names, labels, reason):
    assert why_no_slides([f"{name}.png" for name in names], labels) == reason
