"""Compiled kernels in forked processes and threads, and where their machine code is kept."""

import inspect
import os
import shutil
import sys
from pathlib import Path

import pytest

import minicnn
from minicnn.kernels import compiled
from minicnn.kernels.compiled import compiling, macrokernel, microkernel
from tests.helpers import run_python

TRAIN = """
import numpy as np, warnings
import minicnn as mc
from minicnn import layers, models
from minicnn.kernels.compiled import compiling

def train(seed):
    mc.config.set_random_seed(seed)
    x = np.random.default_rng(seed).random((8, 24, 18, 3), np.float32)
    model = models.Sequential([layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(2),
                               layers.BatchNormalization(), layers.Conv2D(4, (3, 2)),
                               layers.GlobalAveragePooling2D(), layers.Dense(2)])
    model.compile("adam", "mse")
    losses = model.fit(x, x[:, 0, 0, :2], batch_size=4, epochs=2, shuffle=False, verbose=0)
    return [*losses.history["loss"], compiling._forked]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_trains_as_its_parent_does():
    done = run_python(
        TRAIN
        + """
import multiprocessing, os
from concurrent.futures import ProcessPoolExecutor

warnings.simplefilter("ignore", DeprecationWarning)  # Python's word on forks beside threads
*expected, forked = train(1)
assert not forked
forking = multiprocessing.get_context("fork")
with forking.Pool(2) as pool:
    found = pool.map_async(train, [0, 1]).get(100)[1]
with ProcessPoolExecutor(1, mp_context=forking) as pool:
    again = pool.submit(train, 1).result(100)
child = os.fork()
if child == 0:
    os._exit(0 if train(1)[:2] == found[:2] else 3)
print(np.allclose(expected, found[:2], rtol=1e-6), found == again, found[2])
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), train(1)[:2] == expected)
"""
    )
    assert (done.stdout, done.returncode) == ("True True True\n0 True\n", 0), done.stderr


def test_two_threads_train_on_the_layer_that_takes_one_at_a_time():
    done = run_python(
        TRAIN
        + """
import numba
from concurrent.futures import ThreadPoolExecutor

expected = [train(0), train(0)]
x = np.random.default_rng(0).random((8, 40, 40, 8), np.float32)
kernel = np.ones((3, 3, 8, 8), np.float32)

def pooled(_):
    return [float(mc.max_pool2d(mc.conv2d(x, kernel), 2).numpy().sum()) for _ in range(40)]

with ThreadPoolExecutor(2) as pool:
    print(len({tuple(found) for found in pool.map(pooled, range(4))}), numba.threading_layer())
""",
        NUMBA_THREADING_LAYER="workqueue",
    )
    assert (done.stdout, done.returncode) == ("1 workqueue\n", 0), done.stderr


def test_a_threading_layer_that_is_not_there_is_told_with_the_remedy():
    code = (
        "import numpy as np, minicnn as mc\n"
        "x = np.ones((1, 200, 300, 2), 'float32')\n"
        "for _ in range(2): print(mc.max_pool2d(x, (2, 3)).shape)\n"
        "print(mc.backends()['numba'].usable)"
    )
    done = run_python(code, NUMBA_THREADING_LAYER="none")
    assert done.stdout == "(1, 100, 100, 2)\n(1, 100, 100, 2)\nFalse\n", done.stderr
    assert done.stderr.count("\n") == 1
    told = "NUMBA_THREADING_LAYER=none cannot be used (The threading layer requested 'none' is"
    assert told in done.stderr
    assert "leave it unset, or for tbb pip install tbb" in done.stderr
    done = run_python(code, NUMBA_THREADING_LAYER="none", MINICNN_BACKEND="numba")
    assert "minicnn.errors.BackendError: backend 'numba' is not usable here: NUMBA" in done.stderr


def test_a_second_process_compiles_what_a_training_needs_later(tmp_path):
    code = """
import sys, time
import numpy as np
import minicnn as mc
from numba.core import event
from minicnn.kernels.compiled.ahead import compiled_ahead
from minicnn.kernels.compiled.compiling import kept_in
from minicnn.models import Sequential

passes = event.RecordingListener()
with compiled_ahead():
    for _ in range(900):
        if any(kept_in().glob("training._adam*.nbc")):
            break
        time.sleep(0.1)
event.register("numba:run_pass", passes)
x = np.ones((8, 40, 60, 4), np.float32)
model = Sequential([mc.layers.Conv2D(4, 3, padding="same"), mc.layers.BatchNormalization(),
                    mc.layers.Activation("relu"), mc.layers.MaxPooling2D(2)])
model.compile("adam", "mse")
model.train_on_batch(x, x[:, ::2, ::2])
print(sorted({str(e.data["qualname"]) for _, e in passes.buffer} & {"micro_kernel", "_moments",
      "_gradient", "_scaled", "_slopes", "_scatter_blocks", "_squared_error", "_adam", "_run"}))
with compiled_ahead() as other:
    print(other)
"""
    done = run_python(code, NUMBA_CACHE_DIR=str(tmp_path))
    assert done.stdout == "[]\nNone\n", done.stderr


def test_where_no_folder_can_be_written_kernels_are_compiled_and_that_is_said():
    done = run_python(
        """
import numpy as np
from numba.core import caching
caching.CacheImpl._locator_classes = []  # as on a read-only disk without a home
import minicnn as mc

print(mc.max_pool2d(np.ones((1, 200, 300, 1), "float32"), (2, 3)).shape)
print(*mc.backends()["numba"])
""",
    )
    pooled, told = done.stdout.splitlines()
    assert pooled == "(1, 100, 100, 1)"
    assert told.startswith("True numba 0.")
    assert told.endswith("compiles anew; set NUMBA_CACHE_DIR to a folder that can")


# What the machine code of a function on disk is made of.

CACHED = {
    (module.__name__, name): value
    for module in sys.modules.copy().values()
    if getattr(module, "__name__", "").startswith(f"{compiled.__name__}.")
    for name, value in vars(module).items()
    if getattr(value, "__module__", "") == module.__name__
    and (isinstance(value, compiling.Compiled) or name in ("_adam", "_micro_tile"))
}


def files_of(function, found):
    """Collect the files whose functions a compiled one calls, as its code tells."""
    function = getattr(function, "py_func", getattr(function, "_defn", function))
    function = inspect.unwrap(function)
    if not inspect.isfunction(function) or function in found:
        return
    found[function] = Path(inspect.getfile(function))
    for code in (function.__code__, *filter(inspect.iscode, function.__code__.co_consts)):
        for name in code.co_names:
            value = function.__globals__.get(name)
            if getattr(value, "__module__", "").startswith("minicnn.kernels.compiled"):
                files_of(value, found)


@pytest.mark.parametrize("key", CACHED, ids=".".join)
def test_the_key_on_disk_changes_with_every_file_of_the_code(key, tmp_path, monkeypatch):
    found = {}
    files_of(CACHED[key], found)
    module = key[0]
    files = {*found.values(), Path(compiling.__file__)}
    if module.endswith(".pooling"):
        files.add(Path(minicnn.geometry.__file__))
    package = Path(minicnn.__file__).parent
    for file in (*package.glob("*.py"), *(package / "kernels/compiled").glob("*.py")):
        copy = tmp_path / "minicnn" / file.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    place = tmp_path / "minicnn" / Path(compiling.__file__).relative_to(package)
    monkeypatch.setattr(compiling, "__file__", str(place))
    digest = compiling.revision.__wrapped__
    before = digest(module)
    assert before == compiling.revision(module)
    for file in files:
        copy = tmp_path / "minicnn" / file.relative_to(package)
        text = copy.read_text()
        copy.write_text(f"{text}\n")
        assert digest(module) != before, f"{file.name} is part of {'.'.join(key)}"
        copy.write_text(text)
    assert digest(module) == before


def test_the_engine_is_made_of_six_files():
    found = {}
    files_of(macrokernel._macro_kernel, found)
    files_of(microkernel._micro_tile, found)
    names = {file.name for file in found.values()}
    kernels = {"microkernel.py", "macrokernel.py"}
    assert names == kernels | {"arguments.py", "tile.py", "bands.py", "winograd.py"}


def test_a_changed_helper_is_seen_in_spite_of_what_is_on_disk(tmp_path):
    package = Path(minicnn.__file__).parent
    shutil.copytree(package, tmp_path / "minicnn", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "import numpy as np, minicnn as mc\n"
        "x = np.arange(400 * 300, dtype='float32').reshape(1, 400, 300, 1)\n"
        "print(int(mc.max_pool2d(x, 2).numpy()[0, 0, 1, 0]))"
    )
    place = {"first_on_path": tmp_path, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    place["PYTHONSAFEPATH"] = "1"  # not the package of the folder that the tests run in
    assert run_python(code, **place).stdout == "303\n"
    tile = tmp_path / "minicnn/kernels/compiled/tile.py"
    text = tile.read_text()
    old = "return context.make_array(array)(context, builder, value=arguments[0]).data"
    assert old in text
    moved = old.replace("return ", "first = ") + (
        "\n        return builder.gep(first, [ir.Constant(_INT, 1)],"
        " source_etype=context.get_data_type(array.dtype))"
    )
    tile.write_text(text.replace(old, moved))
    # Images and results are read and written one number further on: the window of 1 and 2.
    assert run_python(code, **place).stdout == "302\n"
