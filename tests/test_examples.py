"""The examples run, on rendered images, and reach their figures on real ones."""

import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from minicnn.applications import Settings, TrainingRun
from minicnn.datasets import save_rendered_cells, slide_of
from tests.helpers import ROOT

#: The pictures that each example writes, and some of its figures with their bounds on little data.
EXAMPLES: dict[str, list[str]] = {
    "unet_nuclei": ["masks.png"],
    "fcn_nuclei": ["masks.png"],
    "landcover": ["classes.png"],
    "grown_autoencoder": ["losses.png", "reconstructions.png"],
    "checkerboard": ["checkerboard.png"],
    "translate_cells": ["colour.png", "denoise.png", "sharpen.png"],
    "signs_classifier": ["confusion.png", "training.png"],
    "signs_residual": ["losses.png"],
    "malaria_pipeline": ["augmented.png", "confusion.png"],
    "cells_augmented": ["psnr.png"],
    "digit_autoencoder": ["codes.png", "grid.png", "reconstructions.png"],
    "sparse_autoencoder": [
        "reconstructions.png",
        *(f"units_{kind}.png" for kind in ("relu_L1", "sigmoid_CodeOrthogonality")),
        "units_sigmoid_KLSparsity.png",
    ],
    "variational_autoencoder": ["codes.png", "grid.png", "interpolation.png", "new.png"],
    "latent_pictures": ["cells.png", "digits.png"],
}


def load(name: str) -> ModuleType:
    """Return a script as a module; as when it is run, its neighbours can be imported."""
    folder = str((ROOT / name).parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(name, ROOT / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.usefixtures("no_data")
@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run_without_data(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = load(f"examples/{name}").main(["--fast", "--output", str(tmp_path / "out")])
    assert all(np.isfinite(value) for value in figures.values())
    printed = capsys.readouterr().out
    for figure, value in figures.items():
        assert re.search(f"^{re.escape(figure)} +{value:.4g}$", printed, re.MULTILINE)
    pictures = [p.name for p in sorted((tmp_path / "out").glob("*.png"))]
    assert pictures == EXAMPLES[name]
    check = {"signs_classifier": check_twins, "malaria_pipeline": check_pipeline}.get(name)
    if check is not None:
        check(figures, tmp_path / "out", printed)


@pytest.mark.slow
@pytest.mark.usefixtures("no_data")
@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_repeat_exactly(name: str, tmp_path: Path) -> None:
    main = load(f"examples/{name}").main
    first, second = (main(["--fast", "--output", str(tmp_path / str(i))]) for i in range(2))
    assert first == second


@pytest.mark.usefixtures("no_data")
@pytest.mark.parametrize(
    "name", ["unet_nuclei", pytest.param("variational_autoencoder", marks=pytest.mark.slow)]
)
def test_an_example_repeats_exactly_and_another_seed_differs(name: str, tmp_path: Path) -> None:
    main = load(f"examples/{name}").main
    options = ["--fast", "--output", str(tmp_path), "--seed"]
    first, second, other = (main([*options, seed]) for seed in ("3", "3", "4"))
    assert first == second != other


def check_twins(figures: dict[str, float], folder: Path, said: str) -> None:
    """The loop by hand and fit train the same network."""
    assert figures["largest difference of the losses"] < 1e-6
    assert figures["accuracy by hand"] == figures["accuracy by fit"]


def check_pipeline(figures: dict[str, float], folder: Path, said: str) -> None:
    """Both ways of reading a folder agree, and a random map before the cache is warned of."""
    assert figures["largest difference to image_dataset_from_directory"] < 1e-6
    told = [line for line in said.splitlines() if "before the cache" in line]
    assert len(told) == 1
    assert "cache first and augment afterwards" in told[0]
    assert (folder / "cells.cache").stat().st_size > 15 * 48 * 48 * 3 * 4


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_say_where_missing_data_can_be_had(name: str, tmp_path: Path) -> None:
    options = ["--data", str(tmp_path / "none"), "--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match=r"the data are not in .*none.*--fast"):
        load(f"examples/{name}").main(options)


def real_data(folder: str) -> list[str]:
    """Return the options for real data, or skip the test."""
    root = Path(os.environ.get("MINICNN_DATA", ROOT.parent / "shared" / "data"))
    if not (root / folder).exists():
        pytest.skip(f"there is no folder {root / folder}; set MINICNN_DATA to test on real data")
    return ["--data", str(root / folder)]


@pytest.mark.slow
def test_the_unet_finds_nuclei(tmp_path: Path) -> None:
    options = [*real_data("segmentation/dsb2018_nuclei"), "--output", str(tmp_path)]
    assert load("examples/unet_nuclei").main(options)["mean IoU, U-Net"] >= 0.84


@pytest.mark.slow
def test_the_fcn_finds_nuclei(tmp_path: Path) -> None:
    options = [*real_data("segmentation/dsb2018_nuclei"), "--output", str(tmp_path)]
    assert load("examples/fcn_nuclei").main(options)["mean IoU, FCN"] >= 0.7


@pytest.mark.slow
def test_forest_and_fields_are_told_apart(tmp_path: Path) -> None:
    options = [*real_data("segmentation/chesapeake_landcover"), "--output", str(tmp_path)]
    figures = load("examples/landcover").main(options)
    assert figures["pixels named rightly"] > 0.85
    assert next(v for k, v in figures.items() if k.startswith("IoU of tree")) > 0.8


@pytest.mark.slow
def test_grown_checkered_and_translated_cells(tmp_path: Path) -> None:
    options = [*real_data("malaria"), "--output", str(tmp_path), "--epochs", "3"]
    grown = load("examples/grown_autoencoder").main(options)
    errors = [value for key, value in grown.items() if key.startswith("stage")]
    assert errors[0] < errors[-1] < 0.02  # the smaller the code, the more is lost
    board = load("examples/checkerboard").main(options)
    shares = [board[f"{name}, trained: share of pattern"] for name in (
        "transposed convolution", "upsampling + convolution")]  # fmt: skip
    assert shares[0] > 3 * shares[1]
    translated = load("examples/translate_cells").main(options)
    for target in ("denoise", "colour"):
        assert translated[f"{target}: PSNR after, dB"] > translated[f"{target}: PSNR before, dB"]


def test_malaria_table_prints_a_row_for_each_method(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_rendered_cells(tmp_path / "cells", 24, slides=6)
    options = ["--data", str(tmp_path / "cells"), "--output", str(tmp_path / "runs")]
    load("examples/malaria_table").main([*options, "--epochs", "1", "--limit", "9"])
    rows = re.findall(r"^\| ([^|]+) \|(.*)\|$", capsys.readouterr().out, re.MULTILINE)
    names = [name for name, _ in rows]
    assert names[:4] == ["noisy image", "best Gaussian filter", "median filter", "raw pixels"]
    networks = ["standard", "standard, noise 0.25", "faithful", "denoiser"]
    parts = ["colour", "stain", "size", 'all, shape from "standard"']
    search = [f"search by {part}" for part in parts]
    assert names[5:14] == ["standard", *search, *networks[1:], "chance"]
    assert names[14:] == ["noisy image", "median filter 3 x 3", "median filter 5 x 5", *networks]
    noisy, gaussian = (list(map(float, re.findall(r"\d+\.\d", rows[i][1]))) for i in (0, 1))
    assert gaussian[1] > noisy[1] > 13  # any smoothing helps at noise 0.2


def test_the_twin_in_pytorch_has_the_same_losses() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    twin = load("benchmarks/torch_twin")
    assert twin.main(["--steps", "12", "--limit", "1e-5"]) == 0
    assert twin.main(["--steps", "12", "--dtype", "float64", "--limit", "1e-12"]) == 0


def test_slides_are_on_one_side_only(tmp_path: Path) -> None:
    save_rendered_cells(tmp_path, 60, slides=12)
    learned, tested = load("examples/malaria_pipeline").split_by_slide(tmp_path, None)
    learned, tested = (list(part.as_numpy_iterator()) for part in (learned, tested))
    assert len(learned) + len(tested) == 60
    assert len({slide_of(str(p)) for p in tested}) == 3  # of 12 slides each fifth
    assert not {slide_of(str(p)) for p in learned} & {slide_of(str(p)) for p in tested}


@pytest.mark.slow
def test_hands_are_told_apart(tmp_path: Path) -> None:
    options = [*real_data("signs"), "--output", str(tmp_path)]
    figures = load("examples/signs_classifier").main(options)
    assert min(figures["accuracy by hand"], figures["accuracy by fit"]) >= 0.97


@pytest.mark.slow
def test_the_network_with_skips_learns_more_than_its_plain_twin(tmp_path: Path) -> None:
    options = [*real_data("signs"), "--output", str(tmp_path)]
    figures = load("examples/signs_residual").main(options)
    with_skips, plain = (figures[f"loss of the last epoch, {n}"] for n in ("with skips", "plain"))
    assert with_skips < 0.2 * plain


@pytest.mark.slow
def test_infected_cells_are_found_on_unseen_slides(tmp_path: Path) -> None:
    options = [*real_data("malaria"), "--output", str(tmp_path)]
    assert load("examples/malaria_pipeline").main(options)["accuracy on unseen slides"] >= 0.9


@pytest.mark.slow
def test_mirrored_cells_help_the_autoencoder_on_unseen_slides(tmp_path: Path) -> None:
    options = [*real_data("malaria"), "--output", str(tmp_path)]
    figures = load("examples/cells_augmented").main(options)
    none, mirror = (
        figures[f"PSNR in dB on unseen slides, augment {a}"] for a in ("none", "mirror")
    )
    assert mirror > none + 0.2


def test_codes_of_cells_are_those_of_a_given_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    settings = Settings(image_size=(64, 64), filters=(3, 4), code_channels=2, epochs=1)
    images = np.random.default_rng(0).random((8, 64, 64, 3), np.float32)
    TrainingRun(settings, tmp_path / "run", images, images, resume=False).fit(verbose=0)
    options = ["--fast", "--of", "cells", "--output", str(tmp_path), "--epochs", "1"]
    main = load("examples/latent_pictures").main
    untrained, given = main(options), main([*options, "--run", str(tmp_path / "run")])
    assert given.keys() == untrained.keys() == {key for key in given if key.startswith("cells")}
    assert given != untrained


@pytest.mark.slow
def test_digits_in_two_numbers(tmp_path: Path) -> None:
    options = [*real_data("mnist"), "--output", str(tmp_path), "--code", "0.5", "-2"]
    figures = load("examples/digit_autoencoder").main(options)
    assert figures["training loss"] <= 0.0290
    assert figures["classified rightly by 15 neighbours, test digits"] >= 0.965


@pytest.mark.slow
def test_sparse_codes_of_digits(tmp_path: Path) -> None:
    options = [*real_data("mnist"), "--output", str(tmp_path)]
    figures = load("examples/sparse_autoencoder").main(options)
    assert abs(figures["sigmoid, KL to 0.05: mean of the code"] - 0.05) < 0.01
    assert figures["relu, L1: share near zero"] > 0.5 > 2 * figures["relu: share near zero"]
    assert figures["sigmoid, orthogonal: mean correlation"] < 0.1
    assert figures["sigmoid: mean correlation"] > 0.2


@pytest.mark.slow
def test_a_distribution_of_digits(tmp_path: Path) -> None:
    options = [*real_data("mnist"), "--output", str(tmp_path)]
    figures = load("examples/variational_autoencoder").main(options)
    assert figures["training loss, nats"] < 165
    assert 3 < figures["of it KL divergence, nats"] < 10
    assert 0.8 < figures["standard deviation of the test digits' codes"] < 1.2


@pytest.mark.slow
def test_codes_on_a_plane(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    options = [*real_data("mnist"), "--output", str(tmp_path), "--of", "digits"]
    figures = load("examples/latent_pictures").main(options)
    shares = {key.split(":")[0].split(", ")[1]: value for key, value in figures.items()}
    assert shares["t-SNE"] > shares["Isomap"] > shares["PCA"] > 0.3
    assert shares["t-SNE"] > 0.8
