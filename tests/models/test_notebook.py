"""What a student sees in Jupyter: the same cells, run by a kernel, and what is stored of them."""

import os
import re

import pytest

from tests.helpers import ROOT

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

MODEL = """
import numpy as np, minicnn as mc
x = np.ones((40, 3), "float32")
model = mc.Sequential([mc.layers.Input((3,)), mc.layers.Dense(2)])
model.compile("sgd", "mse", metrics=["mae"])
y = x[:, :2]
"""
TIME = r"[\d.]+ (ms|s)( \([\d.]+ (ms|s) of it compiling\))?"
FIGURES = r"loss: [\d.e-]+ - mae: [\d.e-]+"


class Watching(nbclient.NotebookClient):
    """Keeps what a cell showed on the way, besides what is left of it."""

    def process_message(self, message, cell, cell_index):
        if message["msg_type"] in ("display_data", "update_display_data"):
            self.shown.append(message["content"]["data"]["text/plain"])
        return super().process_message(message, cell, cell_index)


@pytest.fixture(scope="module")
def kernel():
    """Run cells in one kernel and return their outputs and all that was shown on the way."""
    notebook = nbformat.v4.new_notebook()
    client = Watching(notebook, timeout=120, allow_errors=True, kernel_name="python3")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), before]))

    def run(source):
        client.shown = []
        cell = nbformat.v4.new_code_cell(source)
        notebook.cells.append(cell)
        client.execute_cell(cell, len(notebook.cells) - 1)
        return cell.outputs, client.shown

    try:
        with client.setup_kernel():
            run(MODEL)
            yield run
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@pytest.mark.parametrize("verbose", ["'auto'", "1"])
def test_a_training_shows_its_progress_and_leaves_one_output(kernel, verbose):
    outputs, shown = kernel(f"model.fit(x, y, batch_size=2, epochs=3, verbose={verbose});")
    # No widgets, no empty blocks, nothing in red: one text with a line for each epoch.
    assert [o.output_type for o in outputs] == ["display_data"]
    lines = outputs[0].data["text/plain"].split("\n")
    assert len(lines) == 3
    for number, line in enumerate(lines, 1):
        assert re.fullmatch(rf"Epoch {number}/3 - {TIME} - {TIME}/step - {FIGURES}", line), line
    # On the way each epoch had a bar.
    for number in (1, 2, 3):
        assert any(re.search(rf"^Epoch {number}/3 [━╌]{{24}} \d+/20", s, re.M) for s in shown)


def test_evaluate_and_predict_leave_a_line(kernel):
    outputs, shown = kernel("found = model.evaluate(x, y, batch_size=4)")
    assert re.fullmatch(rf"{TIME} - {TIME}/step - {FIGURES}", outputs[0].data["text/plain"])
    assert len(outputs) == 1
    assert len(shown) >= 2
    outputs, _ = kernel("found = model.predict(x, batch_size=4)")
    assert re.fullmatch(rf"{TIME} - {TIME}/step", outputs[0].data["text/plain"])


def test_an_interrupted_training_says_how_far_it_came(kernel):
    outputs, _ = kernel("""
class Stop(mc.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 6:
            raise KeyboardInterrupt
model.fit(x, y, batch_size=2, epochs=3, callbacks=Stop())
""")
    text = outputs[0].data["text/plain"]
    pattern = rf"Epoch 1/3 - stopped at step 7 of 20 - {TIME} - {TIME}/step - {FIGURES}"
    assert re.fullmatch(pattern, text), text
    assert outputs[1].ename == "KeyboardInterrupt"
    assert "minicnn" not in "\n".join(outputs[1].traceback)


def test_a_history_is_shown_as_table_and_curves(kernel):
    outputs, _ = kernel("model.fit(x, y, epochs=2, verbose=0)")
    data = outputs[0].data
    assert re.match(r"epoch +loss +mae\n +1 ", data["text/plain"])
    assert "<table>" in data["text/html"]
    assert "<svg" in data["text/html"]


def test_errors_show_the_users_line_and_the_sentence(kernel):
    for source in (
        "mc.layers.Conv2D(3, 3, padding='sane')",
        "model.fit(x, np.ones((40, 5)), verbose=0)",
        "mc.conv2d(np.ones((1, 4, 5, 1)), np.ones((7, 2, 1, 1)))",
    ):
        outputs, _ = kernel(source)
        lines = "\n".join(outputs[0].traceback).split("\n")
        assert len(lines) <= 8, lines
        assert not any(str(ROOT) in line for line in lines)
    full, _ = kernel(
        "mc.config.disable_traceback_filtering()\nmc.layers.Conv2D(3, 3, padding='sane')"
    )
    assert "check_choice" in "\n".join(full[0].traceback)
    kernel("mc.config.enable_traceback_filtering()")


def test_what_was_made_is_told_in_a_line(kernel):
    outputs, _ = kernel("model")
    assert outputs[0].data["text/plain"] == (
        "<Sequential 'sequential': 1 layer, 8 parameters, (None, 3) -> (None, 2)>"
    )
    outputs, _ = kernel("mc.explain(mc.cross_correlate2d, [[1, 2, 3], [4, 5, 6]], [[1, 0]])")
    assert "y[0,0] = 1*1 + 2*0 = 1" in outputs[0].data["text/plain"]
    assert outputs[0].data["text/html"].startswith("<iframe")
