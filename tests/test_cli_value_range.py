"""Which numbers of a file are black and white: asked for, or decided for a whole folder, and kept.

The networks here know nothing; `denoise` is looked at with one that gives back what came.
"""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner, Result

from minicnn.applications.runs import load_settings
from minicnn.cli import app

SMALL = ["--image-size", 8, "--epochs", 1, "--noise", 0.1]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def numbers(top: float, kind: str = "u2", seed: int = 0) -> np.ndarray:
    """Return an image (9,12) of numbers up to `top`, which is there."""
    image = np.random.default_rng(seed).uniform(0, top, (9, 12)).astype(kind)
    image[2, 3] = top
    return image


def folder_of(path: Path, images: dict[str, np.ndarray]) -> Path:
    for name, image in images.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".tif"):
            tifffile.imwrite(path / name, image)
        else:
            Image.fromarray(image).save(path / name)
    return path


def trained(path: Path, images: dict[str, np.ndarray], *options: object) -> Path:
    data = folder_of(path / "data", images)
    result = run("train", "--data", data, "--output", path / "run", *SMALL, *options)
    assert result.exit_code == 0, result.output
    return path / "run"


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on two images of a 12-bit camera, of which one alone would fit into 10 bits."""
    images = {"a/dim.tif": numbers(900), "a/bright.tif": numbers(4000, seed=1)}
    return trained(tmp_path_factory.mktemp("camera"), images)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What the network gets of each image that is denoised; it gives this back."""
    images: list[np.ndarray] = []

    def unchanged(scale: float, image: np.ndarray, network_of: Callable[..., object]) -> np.ndarray:
        images.append(image)
        return image

    monkeypatch.setattr("minicnn.applications.denoising.denoise_at", unchanged)
    return images


def test_an_image_is_read_and_written_in_the_range_of_its_runs_folder(
    camera: Path, seen: list[np.ndarray], tmp_path: Path
) -> None:
    assert load_settings(camera).value_ranges == {"uint16": (0, 4095)}
    data = folder_of(tmp_path, {"dim.tif": numbers(900), "over.tif": numbers(5000)})
    result = run("denoise", *sorted(data.iterdir()), "--model", camera, "--output", data / "out")
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(seen[0][..., 1], numbers(900) / 4095, rtol=1e-6)
    written = tifffile.imread(data / "out" / "dim-denoised.tif")
    np.testing.assert_array_equal(written, numbers(900))
    assert written.dtype == np.uint16
    assert re.search(r"over\.tif: .* to 5000 were .* 4095 \(white\); .* cut off", result.output)
    assert tifffile.imread(data / "out" / "over-denoised.tif").max() == 4095


def test_another_type_of_numbers_keeps_its_own_range(
    camera: Path, seen: list[np.ndarray], tmp_path: Path
) -> None:
    images = {"a.png": numbers(200, "u1"), "b.tif": numbers(1, "f4")}
    data = folder_of(tmp_path, images)
    run("denoise", *sorted(data.iterdir()), "--model", camera, "--output", data / "out")
    np.testing.assert_allclose(seen[0][..., 0], images["a.png"] / 255, rtol=1e-6)
    np.testing.assert_allclose(seen[1][..., 0], images["b.tif"], rtol=1e-6)


def test_search_reads_its_query_as_it_reads_the_folder(camera: Path, tmp_path: Path) -> None:
    query = folder_of(tmp_path, {"copy.tif": numbers(900)}) / "copy.tif"
    result = run("search", query, "--model", camera, "--data", camera.parent / "data",
                 "--output", tmp_path / "found.png")  # fmt: skip
    assert result.exit_code == 0, result.output
    with (tmp_path / "found.csv").open(newline="") as file:
        first = next(csv.DictReader(file))
    assert (Path(first["image"]).name, float(first["distance"])) == ("dim.tif", 0)


@pytest.mark.parametrize(
    ("kind", "top", "asked", "name"),
    [("u2", 900, (0, 4095), "uint16"), ("f4", 800, (0, 1000), "float32"),
     ("i2", 300, (-100, 400), "int16"), ("u1", 50, (0, 63), "uint8")],
)  # fmt: skip
def test_the_range_that_is_asked_for_holds_for_training_and_for_denoising(
    kind: str, top: float, asked: tuple[int, int], name: str, tmp_path: Path, seen: list[np.ndarray]
) -> None:
    images = {f"a/{i}.tif": numbers(top, kind, seed=i) for i in range(3)}
    folder = trained(tmp_path, images, "--value-range", *asked)
    assert load_settings(folder).value_ranges == {name: asked}
    image = tmp_path / "data" / "a" / "1.tif"
    run("denoise", image, "--model", folder, "--output", tmp_path / "out")
    black, white = asked
    expected = (images["a/1.tif"].astype(float) - black) / (white - black)
    np.testing.assert_allclose(seen[0][..., 2], np.maximum(expected, 0), rtol=1e-5)
    written = tifffile.imread(tmp_path / "out" / "1-denoised.tif")
    assert written.dtype == np.dtype(kind)
    np.testing.assert_allclose(written, images["a/1.tif"], rtol=1e-5)


def test_what_is_resumed_keeps_its_range(tmp_path: Path) -> None:
    images = {f"a/{i}.tif": numbers(900, seed=i) for i in range(3)}
    folder = trained(tmp_path, images, "--value-range", 0, 4095)
    other = run("train", "--resume", "--output", folder, "--value-range", 0, 1023)
    assert other.exit_code == 1
    assert "with --value-range 0 4095, not 0 1023; leave --value-range out" in other.output
    for same in ([], ["--value-range", 0, 4095]):
        result = run("train", "--resume", "--output", folder, *same)
        assert result.exit_code == 0, result.output
        assert load_settings(folder).value_ranges == {"uint16": (0, 4095)}
    found = json.loads((folder / "settings.json").read_text())
    del found["value_ranges"]  # as runs were from before it was kept
    (folder / "settings.json").write_text(json.dumps(found))
    assert load_settings(folder).value_ranges == {}


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ((4095, 0), "--value-range 4095 0, but the first number, black, must be below the second"),
        ((7, 7), "--value-range 7 7, but the first number"),
        (("nan", 1), "--value-range nan 1, but"),
        ((0, "inf"), "--value-range 0 inf, but"),
        (
            (0, 4095),
            "value_range=(0, 4095) is beyond their types; there are 2 images of uint8 from 0",
        ),
        (
            (-1, 255),
            "value_range=(-1, 255) is beyond their types; there are 2 images of uint8 from 0",
        ),
        ((0, 1), "value_range=(0, 1) leaves nothing between black and white; there are 2 images"),
    ],
)
def test_a_range_that_fits_nothing_is_refused_and_leaves_no_folder(
    tmp_path: Path, asked: tuple[object, object], text: str
) -> None:
    data = folder_of(tmp_path / "data", {"1.png": numbers(200, "u1"), "2.png": numbers(90, "u1")})
    output = tmp_path / "run"
    result = run("train", "--data", data, "--output", output, *SMALL, "--value-range", *asked)
    assert result.exit_code == 1
    assert text in result.output
    assert not output.exists()
