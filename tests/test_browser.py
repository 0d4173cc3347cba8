"""What works in a browser, where there is no Numba and no thread can be started."""

from tests.helpers import run_python


def printed(code):
    """Return what a program prints in a browser, and outside with NumPy's kernels: the same."""
    outside = run_python(code, MINICNN_BACKEND="numpy")
    assert (outside.returncode, outside.stderr) == (0, ""), outside.stderr
    browser = run_python("import tests.browser\n" + code)
    assert (browser.returncode, browser.stderr) == (0, ""), browser.stderr
    assert browser.stdout == outside.stdout
    return browser.stdout.splitlines()


def test_large_convolutions_are_computed():
    assert printed("""
import numpy as np, minicnn as mc
from minicnn import ops
from minicnn.kernels import vectorized

x = np.random.default_rng(0).random((40, 33, 31, 3), np.float32)
kernel = np.random.default_rng(1).random((5, 4, 3, 8), np.float32)
assert 40 * 29 * 28 * 60 * 4 > 5 * vectorized.BLOCK_BYTES
x, kernel = mc.Variable(x), mc.Variable(kernel)
with mc.GradientTape() as tape:
    y = mc.conv2d(x, kernel)
print(y.shape, float(ops.sum(y)))
print([float(ops.sum(g * g)) for g in tape.gradient(y, [x, kernel])])
print(mc.explain("conv2d", x[:1, :6, :7], kernel, window=((0, 1), (0, 2))).text()[:500])
""")[0].startswith("(40, 29, 28, 8)")


def test_pipelines_do_the_work_when_it_is_asked_for():
    assert printed("""
import numpy as np
from minicnn.data import AUTOTUNE, Dataset

numbers = Dataset.range(5)
show = lambda data: print([int(x) for x in data.as_numpy_iterator()])
show(numbers.map(lambda x: x * x, num_parallel_calls=3))
show(numbers.map(lambda x: x + 1, num_parallel_calls=AUTOTUNE, deterministic=True).prefetch(2))
show(numbers.interleave(lambda x: Dataset.range(x), 2, num_parallel_calls=AUTOTUNE))

def failing(x):
    if int(x) == 2:
        raise KeyError("the element 2")
    return x

elements = iter(numbers.map(failing, num_parallel_calls=2).prefetch(3))
print(int(next(elements)), int(next(elements)))
try:
    next(elements)
except Exception as error:
    print("the element 2" in str(error))
""") == ["[0, 1, 4, 9, 16]", "[1, 2, 3, 4, 5]", "[0, 0, 1, 0, 1, 0, 2, 1, 2, 3]", "0 1", "True"]


def test_the_demos_network_trains_on_images_from_files_and_finds_neighbours(tmp_path):
    lines = printed(f"""
import contextlib, io
import numpy as np, minicnn as mc
from minicnn.applications.cell_autoencoder import cell_autoencoder, encoder_of
from minicnn.applications.search import nearest
from minicnn.datasets import load_cell_images
from minicnn.datasets.rendered_cells import save_rendered_cells
from minicnn.keras.utils import image_dataset_from_directory

mc.config.set_random_seed(0)
folder = {str(tmp_path)!r}
save_rendered_cells(folder, 12, seed=3)
cells = load_cell_images(folder, (24, 32))
print(cells.images.shape, cells.unreadable)
model = cell_autoencoder((24, 32, 3))
model.compile("adam", "mse")
with contextlib.redirect_stdout(io.StringIO()):  # what is shown has times in it
    history = model.fit(cells.images, cells.images, batch_size=5, epochs=2, verbose=1).history
    data = image_dataset_from_directory(folder, label_mode=None, image_size=(24, 32))
    model.predict(data.map(lambda x: x / 255).prefetch(1), verbose=2)
print({{name: np.round(values, 4).tolist() for name, values in history.items()}})
codes = encoder_of(model).predict(cells.images, verbose=0)
print(codes.shape, nearest(codes, codes, 2)[0].tolist())
model.save(folder + "/cells.keras")
print(len(mc.explain(model, cells.images[:1]).html()) > 10_000)
""")
    assert lines[0] == "(12, 24, 32, 3) ()"
    assert lines[-1] == "True"
