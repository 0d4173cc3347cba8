"""The rendered cells, judged from outside: as pictures, as a data set and as files."""

import re
from pathlib import Path

import numpy as np
import pytest

from minicnn.datasets import (
    load_cell_images,
    render_cells,
    save_rendered_cells,
    slide_of,
    split_by_slide,
)
from minicnn.errors import ArgumentError, OutputError

PARASITIZED = 0  # the label: class names are sorted


def stained_share(images):
    """Share of a cell's pixels (N,) that are much darker in green than the cell as a whole."""
    shares = []
    for image in images:
        green = image[..., 1][image.max(-1) > 0.3]
        shares.append((green < 0.78 * np.median(green)).mean())
    return np.array(shares)


def chance_to_rank(scores, positive):
    """Chance that a positive image has the higher score of two (the area under the ROC curve)."""
    higher = scores[positive][:, None] > scores[~positive][None, :]
    return higher.mean()


def cell_colours(images):
    return np.array([np.median(image[image.max(-1) > 0.3], axis=0) for image in images])


def shrink(image, height, width):
    parts = image.reshape(height, image.shape[0] // height, width, image.shape[1] // width, 3)
    return parts.mean((1, 3))


@pytest.fixture(scope="module")
def cells():
    return render_cells(120, 64, seed=5)


@pytest.mark.parametrize("size", [(40, 72), (72, 40), (64, 1), (1, 300), 17, (200, 96)])
def test_images_have_the_asked_size_and_values_between_0_and_1(size):
    cells = render_cells(3, size)
    images, labels = cells.images, cells.labels
    height, width = size if isinstance(size, tuple) else (size, size)
    assert images.shape == (3, height, width, 3)
    assert images.dtype == np.float32
    assert labels.shape == (3,)
    assert labels.dtype == np.int64
    assert np.isfinite(images).all()
    assert images.min() >= 0
    assert 0.3 < images.max() <= 1


def test_no_images_can_be_asked_for():
    cells = render_cells(0, (4, 6))
    assert len(cells) == 0
    assert cells.images.shape == (0, 4, 6, 3)
    assert cells.labels.shape == (0,)
    assert cells.labels.dtype == np.int64
    assert cells.slides == cells.files == ()
    assert cells.class_names == ("Parasitized", "Uninfected")


def test_same_seed_gives_the_same_bits_and_another_seed_other_cells(cells):
    again = render_cells(120, 64, seed=5)
    assert np.array_equal(again.images, cells.images)
    assert np.array_equal(again.labels, cells.labels)
    assert again.files == cells.files
    others = render_cells(10, 64, seed=6)
    assert (np.abs(others.images - cells.images[:10]).mean((1, 2, 3)) > 0.01).all()


def test_an_image_does_not_depend_on_the_count(cells):
    fewer = render_cells(7, 64, seed=5)
    assert np.array_equal(fewer.images, cells.images[:7])
    assert np.array_equal(fewer.labels, cells.labels[:7])
    assert fewer.files == cells.files[:7]


def test_no_two_cells_are_alike(cells):
    flat = cells.images.reshape(len(cells), -1)
    distance = np.abs(flat[:, None, ::7] - flat[None, :, ::7]).mean(-1)
    np.fill_diagonal(distance, 1)
    assert distance.min() > 0.01


@pytest.mark.parametrize("fraction", [0, 0.07, 0.3, 0.5, 1])
def test_every_prefix_has_the_asked_share_of_parasitized_cells(fraction):
    cells = render_cells(60, 4, parasitized_fraction=fraction)
    asked = fraction * np.arange(1, 61)
    assert np.abs(np.cumsum(cells.labels == PARASITIZED) - asked).max() <= 0.5 + 1e-9
    assert cells.class_names == ("Parasitized", "Uninfected")


def test_cells_lie_on_black_and_reach_all_four_sides(cells):
    brightest = cells.images.max(-1)
    for side in (brightest[:, 0], brightest[:, -1], brightest[:, :, 0], brightest[:, :, -1]):
        assert (side.max(-1) > 0.05).all()
    corners = brightest[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 0).mean() > 0.85
    filled = (brightest > 0.15).mean((1, 2))
    assert filled.min() > 0.4
    assert 0.68 < filled.mean() < 0.8  # 0.74 and 0.75 in the two real classes
    assert filled.std() > 0.02


def test_outlines_are_irregular(cells):
    """A disc would fill its picture as an ellipse; the real cells differ in 9 % of the pixels."""
    y, x = (np.mgrid[:64, :64] - 31.5) / 32
    disc = y * y + x * x < 1
    differing = np.array([(disc != (image.max(-1) > 0.15)).mean() for image in cells.images])
    assert 0.07 < np.median(differing) < 0.12
    assert 0.13 < np.percentile(differing, 90) < 0.25


def test_the_cut_lies_over_its_cell(cells):
    """Beside the cell the light is bright: a cut that is turned or moved would show it."""
    bright = []
    for image in cells.images:
        green = image[..., 1][image.max(-1) > 0.3]
        bright.append((green > 1.12 * np.median(green)).mean())
    assert np.mean(bright) < 0.065  # which is the mean of the real cells


def test_colours_are_those_of_stained_cells():
    """Percentiles of the cells' median colours, beside those measured on the real set."""
    images = render_cells(400, 32, seed=2, slides=400).images
    found = np.percentile(cell_colours(images), [10, 50, 90], axis=0)
    real = [[0.62, 0.49, 0.55], [0.745, 0.59, 0.61], [0.83, 0.66, 0.72]]
    assert np.abs(found - real).max() < 0.05


def test_parasitized_cells_are_told_by_their_stain(cells):
    parasitized = cells.labels == PARASITIZED
    assert chance_to_rank(stained_share(cells.images), parasitized) > 0.85


def test_stain_is_purple():
    """Chromatin takes green away above all: less red and hardly any blue."""
    images = render_cells(60, 64, seed=3, parasitized_fraction=1).images
    lost = []
    for image, colour in zip(images, cell_colours(images), strict=True):
        pixels = image[image.max(-1) > 0.35]
        darkest = pixels[np.argsort(pixels[:, 1])[:12]].mean(0)
        lost.append(1 - darkest / colour)
    red, green, blue = np.median(lost, axis=0)
    assert green > 0.35
    assert green > 1.8 * red
    assert red > blue


def test_height_and_width_are_not_exchanged():
    square = render_cells(12, 64, seed=4).images
    wide = render_cells(12, (40, 72), seed=4).images
    for one, other in zip(square, wide, strict=True):
        small, same = shrink(one, 8, 8), shrink(other, 8, 8)
        assert np.abs(small - same).mean() < 0.02
        assert np.abs(small - same).mean() < 0.6 * np.abs(small - same.swapaxes(0, 1)).mean()


def test_a_small_image_is_the_average_of_a_large_one():
    large = render_cells(8, 64, seed=8).images
    small = render_cells(8, 16, seed=8).images
    averaged = np.stack([shrink(image, 16, 16) for image in large])
    assert np.abs(averaged - small).max() < 0.06


def test_files_are_named_by_slide_and_differ_in_size(tmp_path):
    calls = []
    paths = save_rendered_cells(
        tmp_path / "new" / "cells",
        24,
        seed=1,
        slides=5,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(i, 24) for i in range(1, 25)]
    assert [path.parent.name for path in paths[:4]] == ["Parasitized", "Uninfected"] * 2
    for number, path in enumerate(paths):
        match = re.fullmatch(r"R(\d{3})P(\d\d)ThinF_cell_(\d+)\.png", path.name)
        assert match
        slide, patient, image = map(int, match.groups())
        assert slide < 5
        assert patient == slide // 4
        assert image == number
    assert sorted(paths) == sorted(p for p in (tmp_path / "new").rglob("*") if p.is_file())
    from PIL import Image

    sizes = []
    for path in paths:
        with Image.open(path) as image:
            assert image.mode == "RGB"
            sizes.append(image.size)
    assert len(set(sizes)) > 12
    assert len({width for width, _ in sizes}) > 5
    assert any(width != height for width, height in sizes)
    assert 90 < np.mean(sizes) < 170


def test_saved_cells_load_as_the_rendered_ones(tmp_path):
    paths = save_rendered_cells(tmp_path, 20, seed=7)
    rendered = render_cells(20, (48, 64), seed=7)
    loaded = load_cell_images(tmp_path, (48, 64))
    assert [path.relative_to(tmp_path) for path in paths] == list(rendered.files)
    assert loaded.class_names == rendered.class_names
    assert loaded.unreadable == rendered.unreadable == ()
    assert len(loaded) == len(rendered)
    in_order = loaded.take([loaded.files.index(path) for path in paths])
    assert in_order.slides == rendered.slides
    assert in_order.labels.tolist() == rendered.labels.tolist()
    assert (np.abs(in_order.images - rendered.images).mean((1, 2, 3)) < 0.02).all()


def test_rendered_cells_split_by_slide(cells):
    train, test = split_by_slide(cells, 0.25)
    assert len(train) + len(test) == 120
    assert set(train.slides).isdisjoint(test.slides)
    assert {file.parent.name for file in test.files} == {"Parasitized", "Uninfected"}
    for file, slide, label in zip(cells.files, cells.slides, cells.labels, strict=True):
        assert slide_of(file) == slide
        assert file.parent.name == cells.class_names[label]
        assert not file.exists()


def test_cells_of_one_slide_share_their_tint(tmp_path):
    save_rendered_cells(tmp_path, 120, seed=3, slides=10)
    loaded = load_cell_images(tmp_path, 32)
    colours = cell_colours(loaded.images)
    slides = np.array(loaded.slides)
    names = sorted(set(loaded.slides))
    assert len(names) == 10
    within = np.mean([colours[slides == name].std(0) for name in names], axis=0)
    between = np.std([colours[slides == name].mean(0) for name in names], axis=0)
    assert (between > 1.5 * within).all()


def test_saving_again_replaces_files_and_leaves_others_alone(tmp_path):
    mine = tmp_path / "Uninfected" / "mine.png"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    first = save_rendered_cells(tmp_path, 3, seed=1)
    before = [path.read_bytes() for path in first]
    first[0].write_bytes(b"damaged")
    assert save_rendered_cells(tmp_path, 3, seed=1) == first
    assert [path.read_bytes() for path in first] == before
    assert mine.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": -1}, "count=-1 must be at least 0"),
        ({"seed": -2}, "seed=-2 must be at least 0"),
        ({"slides": 0}, "slides=0 must be at least 1"),
        ({"parasitized_fraction": 1.5}, "parasitized_fraction=1.5 must lie between 0 (none) and"),
        ({"parasitized_fraction": float("nan")}, "parasitized_fraction=nan must lie between"),
    ],
)
def test_wrong_arguments_are_named(arguments, message, tmp_path):
    with pytest.raises(ArgumentError, match=re.escape(f"render_cells: {message}")):
        render_cells(**{"count": 1, **arguments})
    with pytest.raises(ArgumentError, match=re.escape(f"save_rendered_cells: {message}")):
        save_rendered_cells(tmp_path / "new", **{"count": 1, **arguments})
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("size", [0, -3, (4, 0), (4, 5, 6), 2.5, "large", None])
def test_a_wrong_size_is_named(size):
    with pytest.raises(ArgumentError, match=re.escape(f"render_cells: size={size!r} must be")):
        render_cells(1, size)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match=r"cannot write to the folder .*taken: it is a file"):
        save_rendered_cells(tmp_path / "taken", 1)
    assert isinstance(save_rendered_cells(str(tmp_path / "text"), 1)[0], Path)
