"""`minicnn denoise`, as somebody types it on folders of images of all kinds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner, Result

from minicnn import config
from minicnn.applications.denoising import add_noise, denoise_at, median_filter, psnr
from minicnn.applications.runs import Settings, build, fitting_scale, load_model, save_settings
from minicnn.cli import app
from minicnn.datasets import render_cells
from minicnn.images import read_picture, resize

SETTINGS = Settings(
    image_size=(20, 28), filters=(2, 3), code_channels=2, skips=True, noise=0.2, data="cells",
    original_size=(40, 56),
)  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose network knows nothing; where results go does not depend on it."""
    folder = tmp_path_factory.mktemp("run")
    save_settings(SETTINGS, folder)
    config.set_random_seed(3)
    build(SETTINGS).save_weights(folder / "model.safetensors")
    return folder


@pytest.fixture
def cell() -> np.ndarray:
    return np.rint(255 * render_cells(1, (21, 26), seed=3).images[0]).astype(np.uint8)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["denoise", *(str(a) for a in arguments)])


def save(image: np.ndarray, *paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def written(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_a_folder_keeps_its_folders_and_what_cannot_be_read_is_named(
    tmp_path: Path, cell: np.ndarray, model: Path
) -> None:
    data = tmp_path / "data"
    save(cell, data / "top.png", data / "a" / "deep" / "x.bmp", data / ".git" / "hidden.png")
    (data / "a" / "broken.png").write_bytes(b"no image")
    (data / "a" / "notes.csv").write_text("1,2")
    (tmp_path / "link").symlink_to(data)  # the same images once more, which are taken once
    result = run(data, tmp_path / "link", "--model", model, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert f"skipped: cannot read {data / 'a' / 'broken.png'}: neither a PNG" in result.output
    assert "1 file was not read (1 .csv)" in result.output
    assert written(tmp_path / "out") == {
        "top-denoised.png", "top-before-after.png", "a/deep/x-denoised.bmp",
        "a/deep/x-before-after.png",
    }  # fmt: skip


def test_each_image_keeps_its_format_and_its_bits(
    tmp_path: Path, cell: np.ndarray, model: Path
) -> None:
    data, grey = tmp_path / "data", cell[..., 1]
    save(cell, data / "a.png", data / "b.jpeg", data / "c.webp")
    save(grey, data / "d.png")
    save(grey.astype(np.uint16) * 257, data / "e.png")
    tifffile.imwrite(data / "f.TIF", cell.astype(np.uint16) * 257, photometric="rgb")
    tifffile.imwrite(data / "g.tiff", grey.astype(np.uint16) * 15)  # a camera of 12 bits
    tifffile.imwrite(data / "h.tif", grey.astype(np.float32) / 255)
    result = run(data, "--model", model, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "taken for 12 bits" in result.output
    for path in sorted(data.iterdir()):
        before = read_picture("test", path)
        after = read_picture("test", tmp_path / "out" / f"{path.stem}-denoised{path.suffix}")
        assert (after.form, after.bits) == (before.form, before.bits), path
        assert after.pixels.shape == before.pixels.shape
        assert after.pixels.dtype == before.pixels.dtype
    camera = read_picture("test", tmp_path / "out" / "g-denoised.tiff").numbers
    assert 256 < camera.max() < 4096


def test_a_part_is_denoised_as_in_the_whole_picture(tmp_path: Path, model: Path) -> None:
    """Away from the edges that were cut, whatever the sizes; so nothing is displaced."""
    cells = np.rint(65535 * render_cells(1, (44, 48), seed=3).images[0]).astype(np.uint16)
    sizes = [(44, 48), (43, 45), (41, 47), (42, 46)]
    for height, width in sizes:
        part = cells[:height, :width]
        tifffile.imwrite(tmp_path / f"{height}.tif", part, photometric="rgb")
    result = run(tmp_path, "--model", model, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    whole, *parts = (
        tifffile.imread(tmp_path / "out" / f"{height}-denoised.tif").astype(int)[:22, :26]
        for height, _ in sizes
    )
    drawn = load_model(model, (44, 48)).predict(cells[None] / np.float32(65535), verbose=0)
    assert drawn.std() > 0.005
    assert np.abs(whole - 65535 * drawn[0, :22, :26]).max() <= 1
    for part in parts:
        assert np.abs(part - whole).max() <= 1


@pytest.mark.parametrize(
    "names",
    [
        ("a/1.png", "b/1.png"),
        ("a/x.png", "b/x.jpg"),
        ("a/x.gif", "a/x.png", "a/x.jpg"),
        ("a/1.png", "b/c/1.png", "b/1.bmp"),
        ("X.png", "x.png"),
    ],
)
def test_two_images_never_become_one_file(
    tmp_path: Path, cell: np.ndarray, model: Path, names: tuple[str, ...]
) -> None:
    images = [tmp_path / name for name in names]
    save(cell, *images)
    out = tmp_path / "out"
    result = run(*images, images[0], "--model", model, "--output", out)
    assert result.exit_code == 0, result.output
    results = {name.casefold() for name in written(out)}
    assert len(results) == 2 * len(names)
    assert sum("-denoised" in name for name in results) == len(names)
    if "a/x.gif" in names:  # which is written as PNG, but has not the name of the PNG's result
        assert {"x-denoised.png", "x-denoised.jpg", "x.gif-denoised.png"} < results
    if names == ("a/1.png", "b/1.png"):  # the folders tell which is which
        assert {"a/1-denoised.png", "b/1-denoised.png"} < results


def test_an_image_is_not_replaced_by_the_result_of_another(
    tmp_path: Path, cell: np.ndarray, model: Path
) -> None:
    save(cell, tmp_path / "x.png", tmp_path / "x-denoised.png")
    before = (tmp_path / "x-denoised.png").read_bytes()
    result = run(tmp_path, "--model", model, "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "x-denoised.png").read_bytes() == before
    assert {"x.png-denoised.png", "x-denoised-denoised.png"} < written(tmp_path)


def test_earlier_results_inside_the_folder_are_left_out(
    tmp_path: Path, cell: np.ndarray, model: Path
) -> None:
    save(cell, tmp_path / "x.png")
    for text in ("1 as NAME-denoised", "1 replaced earlier ones"):
        result = run(tmp_path, "--model", model, "--output", tmp_path / "denoised")
        assert result.exit_code == 0, result.output
        assert text in result.output
    assert written(tmp_path / "denoised") == {"x-denoised.png", "x-before-after.png"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--noise", 20], "20 of 255 is 0.08"),
        (["--noise", -0.1], "between 0 and 1"),
        (["--scale", 0], "must lie above 0"),
        (["--scale", 50], "50 % is 0.5"),
        (["--scale", "nan"], "must lie above 0"),
        (["--model", "nowhere"], "holds no run"),
        (["--device", "tpu"], "did you mean"),
    ],
)
def test_a_refused_call_reads_no_image_and_leaves_no_folder(
    tmp_path: Path, model: Path, arguments: list[object], text: str
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    out = tmp_path / "deep" / "out"
    given = [] if "--model" in arguments else ["--model", model]
    result = run(tmp_path / "broken.png", *given, *arguments, "--output", out)
    assert result.exit_code == 1
    assert "skipped" not in result.output
    if "tpu" not in arguments:
        assert text in result.output
    assert not out.parent.exists()


def test_a_folder_without_images_and_unreadable_ones_leave_no_folder(
    tmp_path: Path, model: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.csv").write_text("1,2")
    (tmp_path / "broken.png").write_bytes(b"no image")
    for given, text in (("data", "holds no images (1 file"), ("broken.png", "none of the 1")):
        result = run(tmp_path / given, "--model", model, "--output", tmp_path / "out")
        assert result.exit_code == 1
        assert text in result.output
        assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    result = run(tmp_path / "broken.png", "--model", model, "--output", tmp_path / "file")
    assert "cannot write to the folder" in result.output
    assert "skipped" not in result.output


def test_an_image_of_another_scale_is_told_with_the_value_that_fits(
    tmp_path: Path, cell: np.ndarray, model: Path
) -> None:
    large = tmp_path / "large.png"
    save(cell.repeat(2, axis=0).repeat(2, axis=1), large)  # 42 x 52
    save(cell, tmp_path / "small.png")
    arguments = ("--model", model, "--output", tmp_path / "out")
    result = run(large, *arguments)
    assert "large.png has 42 x 52 pixels, but the network learned from images" in result.output
    assert "20 x 28 pixels, to which 40 x 56 had been resized: --scale 0.51" in result.output
    assert "--scale" not in run(large, *arguments, "--scale", 0.51).output
    assert "--scale" not in run(tmp_path / "small.png", *arguments).output


def test_the_scale_of_a_wide_view_is_that_of_the_training_and_older_runs_know_none() -> None:
    assert fitting_scale(SETTINGS, (40, 56)) == pytest.approx(0.5)
    assert fitting_scale(SETTINGS, (400, 500)) == pytest.approx(0.5)
    older = replace(SETTINGS, original_size=None)
    assert fitting_scale(older, (200, 280)) == pytest.approx(0.1)
    assert fitting_scale(replace(older, data=""), (200, 280)) == 1  # rendered at its own size


class _Median:
    """Takes off noise of single pixels only, as a network that learned such noise does."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def predict(self, x: np.ndarray, verbose: int) -> np.ndarray:
        assert x.shape[1:3] == self.size
        return median_filter(x, 3)


def test_the_scale_helps_where_noise_was_enlarged_with_the_image() -> None:
    clean = render_cells(1, (40, 52), seed=2).images[0]
    noisy = add_noise(clean, 0.2)
    clean, noisy = (resize(x, (80, 104)) for x in (clean, noisy))
    without, scaled = (denoise_at(scale, noisy, _Median) for scale in (1, 0.5))  # type: ignore[arg-type]
    assert scaled.shape == noisy.shape
    gain = psnr(clean[None], scaled[None]) - psnr(clean[None], without[None])
    assert gain > 1.5
