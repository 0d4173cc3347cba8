"""The command, as somebody types it."""

import csv
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import minicnn
from minicnn.applications.likeness import PARTS
from minicnn.applications.runs import load_settings
from minicnn.cli import app
from minicnn.datasets import read_image, save_rendered_cells
from minicnn.saving.safetensors import read_arrays

COMMAND = [sys.executable, "-m", "minicnn.cli"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cells")
    save_rendered_cells(path, 36, slides=9, seed=1)
    return path


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "cells"
    result = run("train", "--data", folder, "--output", path, "--image-size", 17, "--epochs", 2,
                 "--noise", 0.1, "--batch", 8)  # fmt: skip
    assert result.exit_code == 0, result.output
    return path


def first_image(folder: Path) -> Path:
    return sorted(folder.glob("*/*.png"))[0]


def test_train_writes_a_run_with_pictures(trained: Path) -> None:
    assert {p.name for p in trained.iterdir()} == {
        "settings.json", "training.safetensors", "model.safetensors", "loss.png",
        "reconstructions.png", "denoising.png", "search.png", "codes.png",
    }  # fmt: skip


def test_a_run_knows_the_size_of_the_images_before_they_were_resized(
    folder: Path, trained: Path
) -> None:
    sizes = [read_image(path).shape[:2] for path in folder.glob("*/*.png")]
    settings = load_settings(trained)
    assert settings.original_size == tuple(np.median(sizes, axis=0).astype(int))
    assert settings.original_size != settings.image_size == (17, 17)


def test_train_refuses_to_overwrite_and_to_change_what_it_resumes(
    folder: Path, trained: Path
) -> None:
    again = run("train", "--data", folder, "--output", trained)
    assert again.exit_code == 1
    assert "holds a run already; continue it with --resume" in again.output
    for option, value, kept in (
        ("--augment", "all", "with --augment none"),
        ("--preset", "denoiser", "with --preset standard"),
        ("--image-size", 16, "with --image-size 17"),
        ("--batch", 9, "with --batch 8"),
        ("--limit", 9, "without --limit"),
        ("--split", "random", "with --split auto"),
    ):
        other = run("train", "--resume", "--output", trained, option, value)
        assert other.exit_code == 1
        assert f"{kept}, not {value}; leave {option} out" in other.output


def test_resuming_a_finished_run_changes_nothing(trained: Path) -> None:
    before = (trained / "model.safetensors").read_bytes()
    result = run("train", "--resume", "--output", trained)
    assert result.exit_code == 0, result.output
    assert "this run of 2 epochs is finished; --epochs N, with N above 2" in result.output
    assert (trained / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--output", "out"], "train needs --data DIR"),
        (["--data", "nowhere", "--output", "out"], "there is no folder"),
        (["--data", ".", "--output", "out"], r"holds nothing that is not hidden; expected are"),
        (["--resume", "--output", "out"], "out holds no run"),
        (["--data", ".", "--preset", "standart"], "--preset='standart'.*did you mean 'standard'"),
        (["--data", ".", "--augment", "miror"], "--augment='miror'.*did you mean 'mirror'"),
        (["--data", ".", "--decoder", "unet"], "--decoder='unet' is not known"),
        (["--data", ".", "--split", "slides"], "--split='slides'.*did you mean 'slide'"),
        (["--data", ".", "--noise", "20"], r"--noise=20\.0, .* 0 and 1.*20 of 255 is 0\.08\."),
        (["--data", ".", "--noise", "nan"], "--noise=nan, but it must lie between 0 and 1"),
    ],
)
def test_train_words_what_is_wrong_and_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".hidden").touch()
    result = run("train", *arguments)
    assert result.exit_code == 1
    assert re.search(text, result.output), result.output
    assert "Traceback" not in result.output
    assert [path.name for path in tmp_path.iterdir()] == [".hidden"]


def folder_of(path: Path, *names: str) -> Path:
    """Return a folder with the same picture under these names, or with broken files."""
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(PICTURE if "broken" not in name else PICTURE[:60])
    return path


def _picture() -> bytes:
    written = io.BytesIO()
    Image.fromarray(np.arange(11 * 14 * 3, dtype=np.uint8).reshape(11, 14, 3)).save(written, "PNG")
    return written.getvalue()


PICTURE = _picture()


@pytest.mark.parametrize(
    ("names", "options", "text"),
    [
        (["a/x.png"], [], "holds 1 image that can be read; 2 or more are needed"),
        (["a/x.png", "a/y.png"], ["--limit", 1], "holds 1 image that can be read"),
        (["a/x.png", "b/broken.png"], [], "holds 1 image that can be read"),
        (["broken1.png", "broken2.png"], [], "none of the 2 images in"),
        (["a/c_1.png", "b/c_2.png"], ["--split", "slide"], "--split slide: all names begin with"),
        (["a/x.png", "y.png"], [], "holds 1 image of its own beside 1 folder with images"),
        (["a/.x.png", ".y.png"], [], "holds no images but 1 folder without images"),
    ],
)
def test_faults_of_the_data_are_told_and_leave_no_folder(
    tmp_path: Path, names: list[str], options: list[object], text: str
) -> None:
    data = folder_of(tmp_path / "data", *names)
    output = tmp_path / "new" / "run"
    result = run("train", "--data", data, "--output", output, "--image-size", 8, *options)
    assert result.exit_code == 1
    assert text in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_faults_of_the_data_come_before_those_of_the_folder_for_the_run(
    tmp_path: Path, trained: Path
) -> None:
    for names, text in ((["notes.txt"], "holds no images"), (["a/x.png"], "holds 1 image")):
        data = folder_of(tmp_path / names[0].replace("/", "-"), *names)
        result = run("train", "--data", data, "--output", trained)
        assert result.exit_code == 1
        assert text in result.output
        assert "holds a run already" not in result.output


def test_a_run_among_the_images_is_refused(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "cells", "a/x.png", "a/y.png")
    for output in (data, data / "run"):
        result = run("train", "--data", data, "--output", output)
        assert result.exit_code == 1
        assert "lies among the images" in result.output
    assert [path.name for path in data.iterdir()] == ["a"]


def test_train_takes_any_file_names_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    data = folder_of(
        tmp_path / "cells",
        *(f"{c}/cell_{i}.png" for c in "ab" for i in range(1, 6)),
        "a/.cell_6.png", ".git/x.png", "a/deep/cell_7.png", "a/notes.csv", "c/broken.png",
    )  # fmt: skip
    (data / "d").mkdir()
    small = ["--data", data, "--image-size", 8, "--epochs", 1]
    result = run("train", *small, "--output", tmp_path / "auto")
    assert result.exit_code == 0, result.output
    for text in (
        "read 10 images: 5 a, 5 b, 0 c\n",
        "note: no image of c can be read.",
        "note: 1 file was not read (1 .csv).",
        "note: folders inside class folders were not read: a/deep.",
        "note: 1 folder without images: d.",
        "file names tell no slides (all names begin with 'cell'), so the test images are chosen",
        "training on 8 images, testing on 2 chosen at random",
        "PSNR in dB on the 2 test images",
    ):
        assert text in result.output, result.output
    asked = run("train", *small, "--output", tmp_path / "random", "--split", "random")
    assert "chosen at random" in asked.output
    assert "tell no slides" not in asked.output
    first, second = (
        read_arrays(tmp_path / name / "model.safetensors")[0] for name in ("auto", "random")
    )
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_train_says_when_a_median_filter_denoises_better_and_what_to_do(
    folder: Path, tmp_path: Path
) -> None:
    small = ["--data", folder, "--image-size", 16, "--epochs", 1, "--limit", 6]
    for options, remedy in (
        ([], "it was trained without noise; to denoise, train with --preset denoiser"),
        (["--noise", 0.05], "it was trained with noise up to 0.05 only; raise --noise"),
        (["--noise", 0.2], "--preset denoiser hands details past the code; or train longer"),
        (["--preset", "denoiser"], "train longer, with"),
    ):
        output = tmp_path / "-".join(map(str, ["run", *options]))
        result = run("train", *small, *options, "--output", output)
        assert result.exit_code == 0, result.output
        assert "the network is still worse than a median filter: " + remedy in result.output
        if "longer" in remedy:
            assert f"minicnn train --output {output} --resume --epochs 2" in result.output


def test_a_finished_run_goes_on_to_more_epochs(folder: Path, tmp_path: Path) -> None:
    options = ["--data", folder, "--image-size", 8, "--limit", 6, "--output", tmp_path / "run"]
    run("train", *options, "--epochs", 2)
    longer = run("train", "--resume", "--output", tmp_path / "run", "--epochs", 4)
    assert longer.exit_code == 0, longer.output
    assert "continuing to 4 epochs; so far the learning rate fell as in a run of 2" in longer.output
    assert "Epoch 3/4" in longer.output
    assert "Epoch 2/4" not in longer.output
    assert "learned from" not in longer.output
    moved = shutil.copytree(folder, tmp_path / "moved")
    other = run("train", "--resume", "--output", tmp_path / "run", "--epochs", 5, "--data", moved)
    assert f"so far the run learned from {folder.resolve()}" in other.output
    again = run("train", "--resume", "--output", tmp_path / "run", "--epochs", 5)
    assert "this run of 5 epochs is finished" in again.output
    fewer = run("train", "--resume", "--output", tmp_path / "run", "--epochs", 3)
    assert fewer.exit_code == 1
    assert "has 5 epochs done already, and --epochs counts all; give more than 5" in fewer.output


def test_train_names_unreadable_files_and_goes_on(tmp_path: Path) -> None:
    save_rendered_cells(tmp_path / "cells", 12, slides=4)
    broken = first_image(tmp_path / "cells")
    broken.write_bytes(broken.read_bytes()[:300])
    result = run("train", "--data", tmp_path / "cells", "--output", tmp_path / "run",
                 "--image-size", 8, "--epochs", 1)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"skipped {broken}" in result.output
    assert "read 11 images" in result.output


def test_denoise_keeps_each_images_size(folder: Path, trained: Path, tmp_path: Path) -> None:
    images = sorted(folder.glob("*/*.png"))[:2]
    (tmp_path / "broken.png").write_bytes(b"no image")
    result = run("denoise", *images, tmp_path / "broken.png", "--model", trained,
                 "--output", tmp_path / "out", "--noise", 0.1)  # fmt: skip
    assert result.exit_code == 1  # one of three could not be read; the others are done
    assert "broken.png: neither a PNG, JPEG, TIFF, BMP, WebP nor GIF image" in result.output
    for path in images:
        written = tmp_path / "out" / f"{path.stem}-denoised.png"
        assert read_image(written).shape == read_image(path).shape
        assert (tmp_path / "out" / f"{path.stem}-before-after.png").exists()


def test_denoise_with_a_network_trained_without_noise_says_so(folder: Path, tmp_path: Path) -> None:
    run("train", "--data", folder, "--output", tmp_path / "run", "--image-size", 8, "--epochs", 1)
    result = run("denoise", first_image(folder), "--model", tmp_path / "run", "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert "trained without noise" in result.output


def test_search_lists_other_images_in_order_of_distance(
    folder: Path, trained: Path, tmp_path: Path
) -> None:
    query = first_image(folder)
    result = run("search", query, "--model", trained, "--data", folder, "--count", 4,
                 "--output", tmp_path / "found.png")  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = re.findall(r"^ +(\d) +([\d.]+) +(\d+)% +(\d+)% +(\d+)% +(\d+)%  (.+)$",
                      result.output, re.MULTILINE)  # fmt: skip
    assert [r[0] for r in rows] == ["1", "2", "3", "4"]
    distances = [float(r[1]) for r in rows]
    assert distances == sorted(distances)
    assert 0 < distances[0] < 1
    assert read_image(tmp_path / "found.png").shape[1] > 400
    # The table holds every image but the query, with its full path, in the same order.
    with (tmp_path / "found.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    others = {str(path.resolve()) for path in folder.glob("*/*.png")} - {str(query.resolve())}
    assert len(table) == 35
    assert {row["image"] for row in table} == others
    assert [row["image"] for row in table[:4]] == [str(Path(r[-1]).resolve()) for r in rows]
    assert all(Path(row["image"]).parent.name == row["class"] for row in table)
    parts = np.array([[float(row[f"{p}_distance"]) for p in PARTS] for row in table])
    together = np.array([float(row["distance"]) for row in table])
    np.testing.assert_allclose(together, np.sqrt((parts**2).mean(axis=1)), rtol=1e-4)
    assert (np.diff(together) >= 0).all()
    farther = [(parts[:, 0] > own).mean() for own in parts[:, 0]]
    np.testing.assert_allclose([float(row["shape_farther"]) for row in table], farther, atol=1e-4)


def test_search_cuts_no_name_and_finds_a_copy_at_distance_zero(
    folder: Path, trained: Path, tmp_path: Path
) -> None:
    name = "C12_a copy with a name, quite long for a terminal of eighty columns [draft] é.png"
    (tmp_path / "data" / "kind").mkdir(parents=True)
    for path in [*folder.glob("*/*.png")][:7]:
        shutil.copy(path, tmp_path / "data" / "kind")
    query = first_image(tmp_path / "data")
    shutil.copy(query, tmp_path / "data" / "kind" / name)
    result = run("search", query, "--model", trained, "--data", tmp_path / "data",
                 "--by", "colour=2,stain", "--output", tmp_path / "s.png")  # fmt: skip
    assert result.exit_code == 0, result.output
    copy = tmp_path / "data" / "kind" / name
    assert re.search(rf"^ +1 +0\.000 .*{re.escape(str(copy))}$", result.output, re.MULTILINE)
    first = (tmp_path / "s.csv").read_text(encoding="utf-8").splitlines()[:2]
    assert first[0] == (
        "rank,image,class,distance,colour_distance,colour_farther,stain_distance,stain_farther"
    )
    assert f'1,"{copy.resolve()}",kind,0.0,0.0,' in first[1]


def test_search_checks_its_options_before_it_reads_images(
    folder: Path, trained: Path, tmp_path: Path
) -> None:
    image = tmp_path / "image.png"
    shutil.copy(first_image(folder), image)
    before = image.read_bytes()
    for options, text in [
        (["--by", "colours"], "did you mean 'colour'"),
        (["--output", tmp_path / "s.csv"], "give .*s.png"),
        (["--output", image], "is the image itself"),
        (["--output", tmp_path / "gone" / "s.png"], "there is no folder .*gone"),
        (["--output", tmp_path / "s.jpg"], "written as PNG; give .*s.png"),
    ]:
        result = run("search", image, "--model", trained, "--data", "nowhere", *options)
        assert result.exit_code == 1
        assert re.search(text, result.output), result.output
    assert image.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"image.png"}


def test_search_with_a_denoiser_is_by_all_but_the_shape(folder: Path, tmp_path: Path) -> None:
    run("train", "--data", folder, "--output", tmp_path / "run", "--image-size", 8, "--epochs", 1,
        "--preset", "denoiser")  # fmt: skip
    search = ["search", first_image(folder), "--model", tmp_path / "run", "--data", folder,
              "--output", tmp_path / "s.png"]  # fmt: skip
    result = run(*search)
    assert result.exit_code == 1
    assert "has skips" in result.output
    result = run(*search, "--by", "colour,stain,size")
    assert result.exit_code == 0, result.output


def test_info_tells_backends_and_why_one_is_missing() -> None:
    result = run("info")
    assert result.exit_code == 0
    assert minicnn.__version__ in result.output
    assert re.search(r"backend numpy +│ usable: numpy", result.output)
    usable = minicnn.backends()["cupy"].usable  # where not, tests/cuda knows the reasons
    assert re.search(rf"backend cupy +│ {'' if usable else 'not '}usable: \w+", result.output)
    assert "BLAS" in result.output


def test_info_tells_how_to_install_cupy_with_its_brackets() -> None:
    if "not installed" in minicnn.backends()["cupy"].detail:
        assert "minicnn[cuda12]" in run("info").output.replace("\n", "")


@pytest.mark.parametrize("command", ["demo", "train", "denoise", "search"])
def test_a_device_that_is_missing_or_unknown_is_told_in_one_line(
    command: str, folder: Path
) -> None:
    image = next(folder.rglob("*.png"))
    given = {
        "demo": [],
        "train": ["--data", folder],
        "denoise": [image, "--model", folder],
        "search": [image, "--model", folder, "--data", folder],
    }[command]
    result = run(command, *given, "--device", "tpu")
    assert result.exit_code == 1
    assert "--device: value='tpu' is not known; did you mean 'gpu'? Choose one of" in result.output
    if not minicnn.backends()["cupy"].usable:
        result = run(command, *given, "--device", "gpu")
        assert result.exit_code == 1
        assert result.output.startswith("error: --device gpu: no GPU can be used here: ")


def test_a_demo_folder_is_remade_but_a_real_run_is_not(trained: Path) -> None:
    before = (trained / "settings.json").read_bytes()
    result = run("demo", "--output", trained)
    assert result.exit_code == 1
    assert "holds a run already" in result.output
    assert (trained / "settings.json").read_bytes() == before


@pytest.mark.cpu_only  # the other program is on the CPU, and rounds in another order
@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C in another way")
def test_ctrl_c_keeps_the_last_epoch_and_resume_ends_the_same(folder: Path, tmp_path: Path) -> None:
    options = ["--data", folder, "--image-size", "24", "--epochs", "60", "--noise", "0.1"]
    start = [*COMMAND, "train", *options, "--output", tmp_path / "broken"]
    # Programs that are started in the background ignore Ctrl-C, and so would their children.
    process = subprocess.Popen(
        [str(a) for a in start],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Epoch 2/"):
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"interrupted: epoch \d+ of 60 is kept", said)
    assert "--resume" in said
    assert "Traceback" not in said
    time.sleep(0.1)
    resumed = run("train", "--output", tmp_path / "broken", "--resume")
    assert resumed.exit_code == 0, resumed.output
    whole = run("train", *options, "--output", tmp_path / "whole")
    assert whole.exit_code == 0, whole.output
    ours, theirs = (
        read_arrays(tmp_path / run_name / "training.safetensors")
        for run_name in ("broken", "whole")
    )
    assert ours[1] == theirs[1]  # history, random numbers, steps
    assert ours[0].keys() == theirs[0].keys()
    for name, array in ours[0].items():
        np.testing.assert_array_equal(array, theirs[0][name])


def test_the_denoised_image_is_closer_to_the_clean_one(folder: Path, tmp_path: Path) -> None:
    run("train", "--data", folder, "--output", tmp_path / "run", "--image-size", 32, "--epochs", 25,
        "--preset", "denoiser", "--batch", 4)  # fmt: skip
    path = sorted(folder.glob("Uninfected/*.png"))[0]
    small = np.asarray(Image.open(path).resize((32, 40)))
    Image.fromarray(small).save(tmp_path / "small.png")
    result = run("denoise", tmp_path / "small.png", "--model", tmp_path / "run", "--noise", 0.2,
                 "--output", tmp_path)  # fmt: skip
    noisy, denoised = map(float, re.findall(r"│ +(\d+\.\d) +│ +(\d+\.\d) │", result.output)[0])
    assert denoised > noisy + 4
