"""Errors as they are shown: the user's lines and the sentence."""

import traceback

import numpy as np
import pytest

import minicnn as mc
from minicnn import tracebacks
from tests.helpers import run_python

SCRIPT = """
import numpy as np, minicnn as mc
def mine():
    mc.conv2d(np.ones((1, 4, 5, 1)), np.ones((5, 2, 1, 1)))
{before}
{line}
"""
FIT = """m = mc.Sequential([mc.layers.Dense(3, activation="softmax")])
m.compile("adam", "sparse_categorical_crossentropy"{more})
m.fit(np.ones((4, 2)), np.array([0, 1, 2, {last}]), verbose=0{callbacks})"""


def shown(line, before=""):
    """The lines of a script's traceback: (functions of its frames, the rest after them)."""
    lines = run_python(SCRIPT.format(line=line, before=before)).stderr.splitlines()
    frames = [text.split(", ")[-1] for text in lines if text.startswith("  File ")]
    return frames, [text for text in lines if not text.startswith(("  ", "Traceback"))]


@pytest.mark.parametrize(
    ("line", "frames"),
    [
        ("mine()", ["in <module>", "in mine"]),
        ('mc.layers.Conv2D(2, 3, padding="sane")', ["in <module>"]),
        (FIT.format(last=5, more="", callbacks=""), ["in <module>"]),
        ("list(mc.data.Dataset.from_tensor_slices(np.ones(3)).batch(-1))", ["in <module>"]),
        ("mc.Variable(np.ones((2, 3))) @ mc.Variable(np.ones((2, 3)))", ["in <module>"]),
    ],
)
def test_a_script_shows_the_users_lines_and_the_sentence(line, frames):
    found, rest = shown(line)
    assert found == frames
    assert len(rest) == 1
    assert rest[0].startswith("minicnn.errors.")


def test_the_switch_shows_every_frame():
    frames, _ = shown("mine()", "mc.config.disable_traceback_filtering()")
    assert len(frames) > 3
    assert "in conv2d" in frames
    frames, _ = shown("mine()", "mc.keras.config.disable_traceback_filtering()")
    assert len(frames) > 3
    on_again = "mc.config.disable_traceback_filtering(); mc.config.enable_traceback_filtering()"
    assert len(shown("mine()", on_again)[0]) == 2


def test_what_a_user_wrote_and_the_library_called_stays():
    callback = """
class Mine(mc.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise KeyError("mine")
"""
    frames, rest = shown(FIT.format(last=1, more="", callbacks=", callbacks=[Mine()]"), callback)
    assert frames == ["in <module>", "in on_epoch_end"]
    assert rest == ["KeyError: 'mine'"]


def test_an_error_that_is_not_worded_here_tells_of_the_frames_left_out():
    frames, rest = shown("mc.ops.sum(np.ones((2, 3)), axis='rows')")
    assert frames == ["in <module>"]
    assert rest[-1].startswith("(Lines of minicnn itself are left out; minicnn.config.disable_")


def test_reasons_within_the_library_are_left_out_and_the_users_stay():
    line = """
try:
    mine()
except ValueError as error:
    raise RuntimeError("worse") from error
"""
    frames, rest = shown(line)
    assert frames == ["in <module>", "in mine", "in <module>"]
    assert [text.split(":")[0] for text in rest if text] == [
        "minicnn.errors.ShapeError",
        "The above exception was the direct cause of the following exception",
        "RuntimeError",
    ]
    # A file that is missing inside the library is no second error for the user.
    frames, rest = shown("mc.models.load_model('nowhere.keras')")
    assert frames == ["in <module>"]
    assert len(rest) == 1


def test_the_error_itself_stays_whole():
    def fail():
        try:
            mc.conv2d(np.ones((1, 4, 5, 1)), np.ones((5, 2, 1, 1)))
        except ValueError as error:
            raise KeyError("mine") from error

    with pytest.raises(KeyError) as caught:
        fail()
    before = traceback.format_exception(caught.value)
    with tracebacks._shortened(caught.value):
        during = traceback.format_exception(caught.value)
    assert traceback.format_exception(caught.value) == before
    assert any("minicnn/ops" in text for text in before)
    assert not any("minicnn/ops" in text for text in during)
    assert caught.value.__cause__ is not None
