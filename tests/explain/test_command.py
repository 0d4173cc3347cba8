"""The commands explain, explore and slides, as a person types them."""

import re

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import minicnn as mc
from minicnn.cli import app
from tests.explain.reading import read

IMAGE, KERNEL = "0 1 2; 3 4 5; 6 7 8", "0 1; 2 3"


def run(*arguments, code=0):
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    return done.output


def equations(output):
    lines = re.findall(r"^d?\w+\[[\d,]+\] [=≈] .*$", output, re.MULTILINE)
    assert lines
    return {name: value for name, value, _ in map(read, lines)}


def test_numbers_are_explained():
    output = run("explain", "conv2d", "--input", IMAGE, "--kernel", KERNEL)
    expected = {(0, 0): 19, (0, 1): 25, (1, 0): 37, (1, 1): 43}
    assert equations(output) == {f"y[{r},{s}]": v for (r, s), v in expected.items()}
    assert '"gradient of kernel"' in output


def test_all_options_reach_the_operation():
    kernel = "[[[1, 0], [0, 1], [1, 1], [2, 0]]]"  # (1,4,2): one filter of two channels
    x = np.arange(48).reshape(1, 4, 6, 2)
    options = ["--strides", "2,1", "--padding", "1,0,2,1", "--dilation", "1,2", "--bias", "3"]
    output = run(
        *("explain", "conv2d", "--input", str(x[0].tolist()), "--kernel", kernel),
        *(*options, "--cell", "0,1,2,0"),
    )
    k = np.array([[[1, 0], [0, 1], [1, 1], [2, 0]]]).reshape(1, 4, 2, 1)
    y = mc.conv2d(x, k, [3], (2, 1), ((1, 0), (2, 1)), (1, 2)).numpy()
    assert equations(output) == {"y[0,1,2,0]": y[0, 1, 2, 0]}


def test_every_kind_of_operation_takes_its_options():
    for op, options in (
        ("convolve2d", ["--kernel", KERNEL, "--mode", "full"]),
        ("conv2d_transpose", ["--kernel", KERNEL, "--stride", "2", "--output-padding", "1"]),
        ("max_pool2d", ["--pool-size", "2,1", "--strides", "1", "--padding", "same"]),
        ("average_pool2d", ["--pool-size", "2"]),
        ("upsample2d", ["--size", "2,1", "--interpolation", "bilinear"]),
        ("resize2d", ["--size", "2,5"]),
        ("dense", ["--kernel", "1 2; 3 4; 5 6", "--bias", "1 1"]),
        ("flatten", []),
        ("batch_normalization", []),
        ("leaky_relu", ["--direction", "gradient of x"]),
    ):
        output = run("explain", op, "--input", IMAGE, *options)
        assert output.startswith(op)


def test_a_gradient_comes_with_the_given_one():
    output = run(
        *("explain", "cross_correlate2d", "--input", IMAGE, "--kernel", KERNEL),
        *("--direction", "gradient of kernel", "--output-gradients", "1 0; 0 2"),
    )
    assert equations(output) == {
        "dkernel[0,0]": 8, "dkernel[0,1]": 11, "dkernel[1,0]": 17, "dkernel[1,1]": 20
    }  # fmt: skip


def test_files_go_in_and_come_out(tmp_path):
    grey = np.arange(30, dtype=np.uint8).reshape(5, 6) * 8
    Image.fromarray(grey).save(tmp_path / "in.png")
    (tmp_path / "kernel.csv").write_text("1,0,-1\n")
    outputs = {name: tmp_path / f"out.{name}" for name in ("html", "gif", "png", "text")}
    options = [a for name, path in outputs.items() for a in (f"--{name}", str(path))]
    options[-1] = str(tmp_path / "out.txt")
    said = run(
        *("explain", "conv2d", "--input", str(tmp_path / "in.png")),
        *("--kernel", str(tmp_path / "kernel.csv"), *options),
    )
    assert said.count("written: ") == 4
    assert "<!doctype html>" in (tmp_path / "out.html").read_text()
    with Image.open(tmp_path / "out.gif") as animation:
        assert animation.n_frames == 5 * 4
    with Image.open(tmp_path / "out.png") as figure:
        assert figure.width > 300
    assert equations((tmp_path / "out.txt").read_text())["y[2,1]"] == -16


def test_a_coloured_image_meets_a_plain_kernel(tmp_path):
    pixels = np.stack([np.full((4, 5), v, np.uint8) for v in (10, 20, 60)], axis=-1)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    output = run("explain", "conv2d", "--input", str(tmp_path / "in.png"), "--kernel", "1 1")
    assert "three are averaged" in output
    assert set(equations(output).values()) == {60}


def test_large_inputs_are_shown_by_a_window(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((200, 150)))
    ask = ["explain", "conv2d", "--input", str(tmp_path / "x.npy"), "--kernel", KERNEL]
    assert "--window 0:3,0:4 is this part" in run(*ask)
    assert "--window 0:3,0:4, or --max-terms" in run(*ask, "--max-terms", "500", code=1)
    output = run(*ask, "--window", "100:102,7:10")
    assert "Shown: rows 100 to 101, columns 7 to 9 of y" in output
    assert len(equations(output)) == 6
    assert len(equations(run(*ask, "--window", "3:4,:", "--max-terms", "1000"))) == 40


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["conv2"], "did you mean 'conv2d'"),
        (["conv2d"], "needs --input"),
        (["conv2d", "--input", "1 2; 3"], "--input: the rows have"),
        (["conv2d", "--input", IMAGE], "explain conv2d needs --kernel"),
        (["max_pool2d", "--input", IMAGE, "--kernel", KERNEL], "it takes --input, --pool-size"),
        (["conv2d", "--input", IMAGE, "--kernel", KERNEL, "--strides", "a"], "--strides a"),
        (["conv2d", "--input", IMAGE, "--kernel", KERNEL, "--cell", "9,9,9,9"], "is not shown"),
        (["conv2d", "--input", IMAGE, "--kernel", KERNEL, "--cell", "x"], "--cell x"),
        (["conv2d", "--input", IMAGE, "--kernel", KERNEL, "--window", "1"], "--window 1"),
        (["conv2d", "--input", IMAGE, "--kernel", KERNEL, "--direction", "up"], "forward"),
        (["conv2d", "--input", IMAGE, "--kernel", KERNEL, "--html", "a.doc"], "must end in"),
        (["conv2d", "--input", IMAGE, "--kernel", KERNEL, "--html", "a.txt"], "must end in .html"),
        (["conv2d", "--input", IMAGE, "--kernel", KERNEL, "--png", "a.gif"], ".png or .svg or"),
        (["conv2d", "--input", IMAGE, "--kernel", KERNEL, "--reading", "scatter"], "add --gif"),
        (["conv2d", "--input", IMAGE, "--kernel", KERNEL, "--strides", "9" * 20], "cannot be"),
    ],
)
def test_mistakes_are_told_in_a_sentence(arguments, told):
    assert told in run("explain", *arguments, code=1)


def test_implementations_stand_side_by_side():
    output = run("explain", "max_pool2d", "--implementations")
    assert "kernels/loops.py" in output
    assert "np.full(shape, -np.inf, x.dtype)" in output


def test_the_explorer_is_written(tmp_path):
    output = run("explore", "--output", str(tmp_path / "e.html"))
    assert "open it in a browser" in output  # there is no screen here
    output = run("explore", "--output", str(tmp_path / "e.html"), "--no-open")
    assert "browser" not in output
    assert "minicnnArithmetic" in (tmp_path / "e.html").read_text()
    assert "cannot write" in run("explore", "--output", str(tmp_path / "no" / "e.html"), code=1)


def test_the_gallery_is_written(tmp_path):
    output = run("slides", "--output", str(tmp_path), "--no-open")
    assert str(tmp_path / "index.html") in output
    assert (tmp_path / "cs231n_two_filters.html").exists()


def test_the_first_screens_say_where_to_begin():
    assert "New here? minicnn explore" in run(code=2)
    output = run("explain")
    command = re.search(r'explain conv2d --input "(.*)" --kernel "(.*)"', output)
    assert equations(run("explain", "conv2d", "--input", command[1], "--kernel", command[2]))
    for name in ("cross_correlate2d", "max_pool2d", "softmax", "minicnn explain --help"):
        assert name in output


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("convolution", "'conv2d' or 'convolve2d'"),
        ("correlation", "'cross_correlate2d'"),
        ("deconvolution", "'conv2d_transpose'"),
        ("pooling", "'max_pool2d'"),
        ("batchnorm", "'batch_normalization'"),
        ("conv2", "'conv2d'"),
    ],
)
def test_an_operation_by_another_name_is_recognised(word, meant):
    output = run("explain", word, "--input", IMAGE, code=1)
    assert f"did you mean {meant}" in output


@pytest.mark.parametrize("operation", ["conv2d", "cross_correlate2d", "convolve2d"])
def test_a_photograph_is_explained_where_it_answers_most(tmp_path, operation):
    shades = np.zeros((90, 120, 3), np.uint8)
    shades[70:, 100:] = [90, 150, 210]  # a corner, grey 150
    Image.fromarray(shades).save(tmp_path / "photo.png")
    page = tmp_path / "page.html"
    numbers = ["--input", str(tmp_path / "photo.png"), "--kernel", "1 0 -1; 2 0 -2; 1 0 -1"]
    output = run("explain", operation, *numbers)
    assert "the image's three are averaged" in output
    assert "--window" in output
    assert 600 in np.abs(list(equations(output).values()))
    run("explain", operation, *numbers, "--html", str(page))
    assert page.stat().st_size > 10_000
    assert equations(run("explain", operation, *numbers, "--window", "0:1,0:2"))
