"""README and documents keep their word: their code runs, their messages and files are there."""

import re
from pathlib import Path

import numpy as np
import pytest

import minicnn as mc
from minicnn.errors import DeviceError, ShapeError
from minicnn.saving.safetensors import read_arrays, weights_of
from tests.cuda.simulator import cpu_module, stand_in
from tests.helpers import ROOT
from tests.test_structure import FLOOR

#: Of the way from the formula to the GPU in ARCHITECTURE.md.
LINES_OF_AN_EVENING = 3_300

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str, page: str = "README.md") -> list[str]:
    text = (ROOT / page).read_text()
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [content for name, content in found if name == language]


def test_python_examples_run_and_give_what_their_comments_say(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn, see, build = blocks("python")
    (listing,) = blocks("python", "docs/listings.md")
    space: dict = {}
    exec(learn, space)
    g = space["g"]
    assert (g.out_height, g.out_width, g.pad_top, g.pad_right) == (4, 4, 1, 1)
    x = space["x"].numpy()
    np.testing.assert_allclose(space["first"].numpy(), 3 * x**2)
    np.testing.assert_allclose(space["second"].numpy(), 6 * x)
    monkeypatch.chdir(tmp_path)
    exec(see, space)
    assert space["e"].text((0, 1, 1, 0)) in see
    assert {p.name for p in tmp_path.iterdir()} == {"transposed.html", "summands.png"}
    exec(build, space)
    assert space["model"].output_shape == (None, 28, 28, 1)
    assert "conv2d_transpose" in capsys.readouterr().out
    exec(listing, space)
    assert all(g is not None and np.abs(g.numpy()).max() > 0 for g in space["gradients"])


@pytest.mark.skipif(bool(cpu_module.missing()), reason=str(cpu_module.missing()))
def test_the_example_of_a_gpu_runs_where_the_cpu_plays_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space: dict = {}
    with stand_in.installed():
        exec(blocks("python", "docs/gpu.md")[-1], space)
    model = space["model"]
    assert (space["code"].device, model.device) == ("gpu", "cpu")
    assert len(model.history.history["loss"]) == 2
    assert model.history.history["loss"][1] < model.history.history["loss"][0]
    stored = read_arrays(tmp_path / "here.safetensors")[0]
    for name, weight in weights_of(model).items():
        np.testing.assert_array_equal(stored[name], weight.numpy())


def test_the_message_shown_is_the_message_raised() -> None:
    with pytest.raises(ShapeError) as raised:
        mc.conv2d(np.ones((1, 7, 8, 1)), np.ones((3, 2, 1, 1)), strides=3, strict=True)
    assert shown_after("ShapeError") == str(raised.value)
    x = np.zeros((2, 3), "float32")
    with stand_in.installed(), pytest.raises(DeviceError) as refused:
        mc.constant(x).gpu() - mc.constant(x)
    assert shown_after("DeviceError", "docs/gpu.md") == str(refused.value)


def shown_after(error: str, page: str = "README.md") -> str:
    """The message of an error that a page shows, in one line."""
    shown = next(b for b in blocks("", page) if f"\n{error}: " in b)
    return " ".join(shown.split(f"{error}: ")[1].split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_an_operation_is_added_as_contributing_says() -> None:
    (code,) = blocks("python", "CONTRIBUTING.md")
    space: dict = {}
    names = "minicnn.autograd.operators import operation", "typing import Any"
    for line in (*names, "minicnn.ops import mean, square", "minicnn.autograd import *"):
        exec(f"from {line}", space)
    exec(code, space)
    own = space["mean_of_squares"]
    x = mc.Variable([[1.0, -2.0, 2.0]])
    with mc.GradientTape() as tape:
        y = own(x)
    assert float(y) == 3
    np.testing.assert_allclose(tape.gradient(y, x).numpy(), 2 * x.numpy() / 3)


def test_the_first_evening_is_an_evening() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    way = text.partition("## A convolution")[2].partition("\n## ")[0]
    files = re.findall(r"^\d+\. `(.*?)`", way, re.MULTILINE)
    lines = sum(len((ROOT / name).read_text().splitlines()) for name in files)
    assert 10 < len(files) <= 20
    assert 1_000 < lines <= LINES_OF_AN_EVENING


def test_files_that_the_architecture_names_exist() -> None:
    for name in re.findall(r"`(\w+/[\w./]+)`", (ROOT / "ARCHITECTURE.md").read_text()):
        places = [ROOT / name, ROOT / "minicnn" / name]
        assert any(place.exists() for place in places), name


def test_the_floors_are_those_of_the_imports() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", text, re.MULTILINE)
    told = {
        room.strip("/").removesuffix(".py"): int(floor)
        for floor, rooms in rows
        for room in re.findall(r"`(.*?)`", rooms)
    }
    assert told.keys() >= {"ops", "autograd", "kernels", "runtime", "geometry", "cli"}
    assert told == {room: FLOOR[room] for room in told}


def test_two_commands_do_all_the_set_up() -> None:
    commands = [b.strip() for b in blocks("sh") if "venv" in b]
    assert [c.rsplit(" ", 1)[-1] for c in commands] == ["demo", ".venv/bin/pytest"]
    assert all(c.startswith("python3 -m venv .venv && ") for c in commands)
