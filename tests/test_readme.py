"""The README keeps its word: its code runs, its messages and files are there."""

import re
from pathlib import Path

import numpy as np
import pytest

import minicnn as mc
from minicnn.errors import DeviceError, ShapeError
from minicnn.models.saving import read_arrays, weights_of
from tests.cuda import cpu_module, stand_in
from tests.helpers import ROOT

TEXT = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    return [content for name, content in found if name == language]


def test_python_examples_run_and_give_what_their_comments_say(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn, see, build, listing, _ = blocks("python")
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
        exec(blocks("python")[-1], space)
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
    assert shown_after("DeviceError") == str(refused.value)


def shown_after(error: str) -> str:
    """The message of an error that the README shows, in one line."""
    shown = next(b for b in blocks("") if f"\n{error}: " in b)
    return " ".join(shown.split(f"{error}: ")[1].split())


def test_links_and_pictures_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target


def test_two_commands_do_all_the_set_up() -> None:
    commands = [b.strip() for b in blocks("sh") if "venv" in b]
    assert [c.rsplit(" ", 1)[-1] for c in commands] == ["demo", ".venv/bin/pytest"]
    assert all(c.startswith("python3 -m venv .venv && ") for c in commands)
