"""The loader of image folders, beside Pillow called by hand, and with every kind of bad file."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from minicnn.datasets import (
    CellImages,
    load_cell_images,
    read_image,
    slide_of,
    split_by_slide,
    write_image,
)
from minicnn.errors import ArgumentError, DataError, OutputError

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
        "broken.png": (bytes(broken), "broken PNG|broken data|checksum"),
        "text.png": (b"<html>404 not found</html>", "neither a PNG nor a JPEG image"),
        "gif.png": (gif, "neither a PNG nor a JPEG image"),
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


# Kinds of images


def test_grey_and_palette_images_become_rgb(tmp_path):
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    expected = np.repeat(grey[..., None], 3, axis=2) / np.float32(255)
    assert np.allclose(read_image(save(tmp_path / "grey.png", grey)), expected)
    palette = Image.fromarray(grey).convert("P")
    assert np.allclose(read_image(save(tmp_path / "palette.png", palette)), expected)
    bits = Image.fromarray(grey > 100)
    black_white = np.repeat((grey > 100)[..., None], 3, axis=2).astype(np.float32)
    assert np.allclose(read_image(save(tmp_path / "bits.png", bits)), black_white)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "palette"])
def test_transparent_parts_become_black(tmp_path, mode):
    if mode == "palette":
        image = Image.fromarray(np.array([[0, 1, 1], [1, 1, 0]], np.uint8)).convert("P")
        image.putpalette([200, 100, 50, 10, 20, 30])
        path = save(tmp_path / "clear.png", image, transparency=0)
        expected = np.array([[[0, 0, 0], [10, 20, 30]], [[10, 20, 30], [10, 20, 30]]])
        assert np.rint(read_image(path)[:, :2] * 255).tolist() == expected.tolist()
        return
    colour = (200, 100, 50) if mode == "RGBA" else (200,)
    image = Image.new(mode, (3, 2), (*colour, 255))
    image.putpixel((1, 0), (*colour, 0))
    image.putpixel((2, 1), (*colour, 102))  # 40 %
    pixels = read_image(save(tmp_path / "clear.png", image)) * 255
    full = np.array(colour if mode == "RGBA" else colour * 3)
    assert np.allclose(pixels[0, 0], full)
    assert np.allclose(pixels[0, 1], 0)
    assert np.allclose(pixels[1, 2], 0.4 * full, atol=1)


def test_16_bit_grey_keeps_its_whole_range(tmp_path):
    values = np.array([[0, 257, 51400], [65535, 12850, 300]], np.uint16)
    pixels = read_image(save(tmp_path / "deep.png", values)) * 255
    assert np.rint(pixels[..., 0]).tolist() == [[0, 1, 200], [255, 50, 1]]
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


def test_cmyk_becomes_rgb(tmp_path):
    image = Image.new("CMYK", (16, 8), (0, 255, 255, 0))  # no cyan: red
    red, green, blue = read_image(save(tmp_path / "print.jpg", image)).mean((0, 1))
    assert red > 0.9
    assert green < 0.1
    assert blue < 0.1


def test_the_cameras_orientation_is_followed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    stored = picture(5, 8)
    upright = read_image(save(tmp_path / "turned.png", stored, exif=exif))
    assert np.allclose(upright * 255, np.rot90(stored, -1), atol=1e-4)


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
    with pytest.raises(DataError, match="holds no images but nothing; expected are"):
        load_cell_images(tmp_path)
    for name in ("cell_images", "masks"):
        (tmp_path / name / "deeper").mkdir(parents=True)
    for name in ("d.tif", "a.txt", "b.csv", "c.zip"):
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError) as error:
        load_cell_images(tmp_path)
    text = one_sentence(error)
    assert "2 folders without images (cell_images, masks)" in text
    assert "4 other files (a.txt, b.csv, c.zip, ...)" in text


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


# Single images


def test_an_image_is_written_and_read_back(tmp_path):
    values = np.random.default_rng(0).random((5, 9, 3))
    values[0, 0] = (-3, 7, 0.5)
    write_image(tmp_path / "image.png", values)
    back = read_image(tmp_path / "image.png")
    assert back.dtype == np.float32
    assert np.abs(back - values.clip(0, 1)).max() <= 0.5 / 255 + 1e-6
    assert back[0, 0, 1] == 1
    raw = picture(4, 6)
    write_image(str(tmp_path / "raw.PNG"), raw)
    assert np.array_equal(np.rint(read_image(tmp_path / "raw.PNG") * 255), raw)
    for grey in (values[..., 0], values[..., :1]):
        write_image(tmp_path / "grey.png", grey)
        with Image.open(tmp_path / "grey.png") as image:
            assert (image.mode, image.size) == ("L", (9, 5))
    assert read_image(tmp_path / "image.png", (3, 4)).shape == (3, 4, 3)


def test_writing_leaves_no_other_file_and_the_usual_permissions(tmp_path):
    write_image(tmp_path / "image.png", np.zeros((2, 3, 3)))
    (tmp_path / "plain").write_text("x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.png", "plain"]
    assert (tmp_path / "image.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_failed_write_keeps_the_former_file(tmp_path, monkeypatch):
    write_image(tmp_path / "image.png", np.zeros((2, 3, 3)))
    before = (tmp_path / "image.png").read_bytes()

    def fail(self, stream, *args, **kwargs):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OutputError, match=r"cannot write .*image\.png: No space left on device\."):
        write_image(tmp_path / "image.png", np.ones((2, 3, 3)))
    assert (tmp_path / "image.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["image.png"]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 4)), "an array of shape (2, 3, 4) came for image.png"),
        (np.zeros((1, 2, 3, 3)), "an array of shape (1, 2, 3, 3) came for image.png"),
        (np.zeros((0, 3, 3)), "an array of shape (0, 3, 3) came for image.png"),
        (np.zeros((2, 3, 3), np.int64), "an array of int64 came for image.png"),
        (np.full((2, 3), np.nan), "6 of the 6 values for image.png are not numbers"),
    ],
)
def test_arrays_that_are_no_images_are_named(tmp_path, array, message):
    with pytest.raises(DataError, match=re.escape(message)):
        write_image(tmp_path / "image.png", array)
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_named(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*no.image\.png: No such file or dir"):
        write_image(tmp_path / "no" / "image.png", np.zeros((2, 3)))
    with pytest.raises(ArgumentError, match=r"image\.jpg must end in \.png"):
        write_image(tmp_path / "image.jpg", np.zeros((2, 3)))


def test_reading_names_the_file_and_the_reason(tmp_path):
    with pytest.raises(DataError, match=r"read_image: cannot read .*gone\.png: no such file\."):
        read_image(tmp_path / "gone.png")
    with pytest.raises(DataError, match="a folder"):
        read_image(tmp_path)
    with pytest.raises(ArgumentError, match=r"read_image: size=\(0, 3\) must be"):
        read_image(tmp_path, (0, 3))


def test_pillow_is_not_imported_before_it_is_needed():
    code = "import sys, minicnn.datasets; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


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
