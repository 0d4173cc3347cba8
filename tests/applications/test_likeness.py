"""Likeness by parts, against SciPy's distances and colours measured another way."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from minicnn.applications.checkerboard import checkerboard_share
from minicnn.applications.denoising import psnr
from minicnn.applications.likeness import PARTS, comparable, describe, lab, rank, weights_of
from minicnn.applications.report import encode
from minicnn.applications.runs import TrainingRun, preset
from minicnn.applications.search import nearest
from minicnn.cli.demo import DEMO_SIZE, DRAWN
from minicnn.datasets import (
    load_cell_images,
    render_cells,
    save_rendered_cells,
    split_by_slide,
    write_image,
)
from minicnn.errors import ArgumentError

# CIELAB of sRGB's corners, as B. Lindbloom's calculator (brucelindbloom.com) gives them for D65.
CORNERS = {
    (1, 0, 0): (53.24, 80.09, 67.20),
    (0, 1, 0): (87.73, -86.18, 83.18),
    (0, 0, 1): (32.30, 79.19, -107.86),
    (1, 1, 0): (97.14, -21.55, 94.48),
    (1, 1, 1): (100, 0, 0),
    (0, 0, 0): (0, 0, 0),
}


def tint(images: np.ndarray) -> np.ndarray:
    """Return the median L, a, b of each cell, by the formulas as ITU and CIE print them."""
    found = []
    for image in images.astype(float):
        colours = image[image.max(axis=-1) > 0.2]
        low = colours <= 0.04045
        red, green, blue = np.where(low, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4).T
        x = (0.412453 * red + 0.357580 * green + 0.180423 * blue) / 0.950456
        y = 0.212671 * red + 0.715160 * green + 0.072169 * blue
        z = (0.019334 * red + 0.119193 * green + 0.950227 * blue) / 1.088754
        f = [np.where(t > 0.008856, t ** (1 / 3), 7.787 * t + 16 / 116) for t in (x, y, z)]
        places = np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
        found.append(np.median(places, axis=1))
    return np.array(found)


def apart(found: np.ndarray, asked: np.ndarray) -> float:
    """Return how far the tints of images found (Q,K,3) lie from those asked for (Q,3)."""
    return float(np.linalg.norm(found - asked[:, None], axis=-1).mean())


@pytest.fixture(scope="module")
def cells() -> tuple[np.ndarray, np.ndarray]:
    """Cells to search in and to search for, of other slides."""
    parts = split_by_slide(render_cells(360, (40, 48), seed=0), 0.2)
    return parts[0].images, parts[1].images


def test_lab_has_the_published_values_of_the_corners() -> None:
    np.testing.assert_allclose(
        lab(np.array(list(CORNERS), float)), list(CORNERS.values()), atol=0.03
    )


def test_a_distance_of_one_is_that_of_two_images_on_average() -> None:
    rng = np.random.default_rng(0)
    folder = {
        "shape": rng.normal(size=(30, 2, 3, 4)) * [1, 5, 0.1, 9] + 7,
        "colour": rng.normal(size=(30, 3)) * [40, 1, 2],
        "size": np.ones((30, 2)),
    }
    asked = {name: numbers[4:9] for name, numbers in folder.items()}
    found, queries = comparable(folder, asked)
    for name in ("shape", "colour"):
        assert (pdist(found[name]) ** 2).mean() == pytest.approx(30 / 29)  # no image with itself
        np.testing.assert_allclose(queries[name], found[name][4:9])
    assert (found["size"] == 0).all()  # nothing differs, so nothing counts


def test_ranking_equals_a_full_search_in_the_weighted_parts() -> None:
    rng = np.random.default_rng(1)
    folder = {
        "shape": rng.normal(size=(25, 2, 3, 4)),
        "colour": rng.normal(size=(25, 3)),
        "stain": rng.normal(size=(25, 18)),
    }
    asked = {
        "shape": rng.normal(size=(4, 2, 3, 4)),
        "colour": rng.normal(size=(4, 3)),
        "stain": folder["stain"][:4],
    }
    weights = {"shape": 0.25, "colour": 0.75}
    ours, theirs = comparable(folder, asked)
    full = sum(w * cdist(theirs[n], ours[n]) ** 2 for n, w in weights.items()) ** 0.5
    ranking = rank(folder, asked, weights)
    np.testing.assert_array_equal(ranking.indices, full.argsort(axis=1))
    np.testing.assert_allclose(ranking.distances, np.sort(full, axis=1))
    assert set(ranking.by_part) == {"shape", "colour"}  # stain was not asked for
    shape = cdist(theirs["shape"], ours["shape"])
    farther = [
        [(row > row[i]).mean() for i in order]
        for row, order in zip(shape, ranking.indices, strict=True)
    ]
    np.testing.assert_allclose(ranking.farther("shape"), farther)


def test_neighbours_by_parts_have_the_querys_tint_and_outline(
    cells: tuple[np.ndarray, np.ndarray],
) -> None:
    outlines = [(images.max(axis=-1, keepdims=True) > 0.2)[:, ::2, ::2] for images in cells]
    parts = [describe(x, o.astype(float)) for x, o in zip(cells, outlines, strict=True)]
    tints = [tint(images) for images in cells]

    def measured(by: str) -> tuple[float, float]:
        near = rank(*parts, weights_of(by)).indices[:, :5]
        a, b = outlines[0][near][..., 0], outlines[1][:, None, ..., 0]
        return apart(tints[0][near], tints[1]), ((a & b).sum((2, 3)) / (a | b).sum((2, 3))).mean()

    off, agree = measured("shape,colour,stain")
    assert off < 4.5
    assert measured("shape")[0] > 9  # the outline alone knows nothing of the tint
    assert measured("colour")[0] < 3
    assert agree > (measured("shape")[1] + measured("colour")[1]) / 2


@pytest.mark.slow
def test_the_demos_network_has_learned_tints_when_it_ends(tmp_path: Path) -> None:
    train, test = split_by_slide(render_cells(720, DEMO_SIZE, seed=0), 0.2, seed=0)
    settings = preset("standard", **DRAWN, image_size=DEMO_SIZE, seed=0)
    run = TrainingRun(settings, tmp_path, train.images, test.images, False)
    run.fit(verbose=0)
    drawn = run.model.predict(test.images, verbose=0)
    assert psnr(test.images, drawn).mean() >= 24
    tints, asked = tint(train.images), tint(test.images)
    codes, queries = encode(run.model, train.images), encode(run.model, test.images)
    # The code by itself knows the tint, too: that of cells at random is 14 away.
    assert apart(tints[nearest(codes, queries, 5)[0]], asked) <= 5.5
    found = rank(
        describe(train.images, codes),
        describe(test.images, queries),
        weights_of("shape,colour,stain"),
    )
    assert apart(tints[found.indices[:, :5]], asked) <= 4.5
    # Each cell is drawn in its own tint, where it is surely cell in both.
    both = (np.minimum(test.images.max(-1), drawn.max(-1)) > 0.2)[..., None]
    assert apart(tint(drawn * both)[:, None], tint(test.images * both)) <= 4
    # A checkerboard would add power at its frequencies.
    assert checkerboard_share(drawn) <= 0.5 * checkerboard_share(test.images)


def test_stain_is_seen_whatever_the_tint_of_the_cell() -> None:
    rng = np.random.default_rng(2)
    images = np.zeros((8, 20, 26, 3))
    colours = np.array([0.75, 0.55, 0.6]) + rng.uniform(-0.05, 0.05, size=(8, 1, 1, 3))
    images[:, 3:17, 3:23] = colours
    images[::2, 6:11, 8:14] -= 0.3, 0.4, 0.1  # every other cell has a dark spot
    parts = describe(images)
    asked = {name: numbers[:1] for name, numbers in parts.items()}
    near = rank(parts, asked, {"stain": 1.0}).indices[0]
    assert near[0] == 0
    assert set(near[:4]) == {0, 2, 4, 6}
    np.testing.assert_allclose(parts["colour"], tint(images), atol=0.1)


def test_size_is_that_of_the_file_and_not_of_the_resized_image(tmp_path: Path) -> None:
    cell = np.zeros((20, 30, 3))
    cell[5:15, 6:24] = 0.7
    for number, (rows, columns) in enumerate([(1, 1), (2, 2), (3, 1)]):
        bigger = cell.repeat(rows, axis=0).repeat(columns, axis=1)
        write_image(tmp_path / f"c{number}_cell.png", bigger)
    found = load_cell_images(tmp_path, (20, 30))
    assert found.sizes == ((20, 30), (40, 60), (60, 30))
    assert found.take([2, 0]).sizes == ((60, 30), (20, 30))
    size = describe(found.images, sizes=found.sizes)["size"]
    np.testing.assert_allclose(np.exp(size[:, 0]), [180, 720, 540], rtol=0.1)  # resizing blurs
    np.testing.assert_allclose(np.exp(size[:, 1]), [2 / 3, 2 / 3, 2])


def test_magnification_tells_rendered_files_apart(tmp_path: Path) -> None:
    save_rendered_cells(tmp_path, 36, slides=9, seed=3)
    found = load_cell_images(tmp_path, (24, 32))
    by_size = describe(found.images, sizes=found.sizes)
    near = rank(by_size, by_size, {"size": 1.0}).indices[:, 1:4]  # 0 is the image itself
    areas = np.array([h * w for h, w in found.sizes])
    off = np.abs(np.log(areas[near] / areas[:, None])).mean()
    assert off < 0.5 * np.abs(np.log(areas[:, None] / areas)).mean()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shape,color", r"--by: part='color' is not known.*did you mean 'colour'"),
        ("", r"--by: part='' is not known; choose one of 'shape', 'colour', 'stain', 'size'"),
        ("shape=0", r"--by shape=0: shape has the weight '0', but a weight is a number above 0"),
        ("stain=-1", "stain has the weight '-1'"),
        ("stain=nan", "stain has the weight 'nan'"),
        ("stain=inf", "stain has the weight 'inf'"),
        ("stain=much", "stain has the weight 'much'.*such as stain=2"),
        ("stain=", "stain has the weight 'nothing'"),
        ("size,size=2", "size is named twice"),
    ],
)
def test_what_is_wrong_with_weights_is_worded(text: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        weights_of(text)


def test_weights_are_shares_in_the_order_of_the_parts() -> None:
    assert list(weights_of("size, STAIN=1,shape,colour").items()) == [(p, 0.25) for p in PARTS]
