"""Measure how far reading images overlaps with training, with prefetch and without.

    python benchmarks/decoding.py [FOLDER]

FOLDER holds class folders of images; by default the malaria cells in MINICNN_DATA or the cache, or
rendered cells where there are none.  Printed are the seconds of an epoch: reading alone, training
alone on images in memory, both one after the other, both with threads and prefetch, and the share
of the shorter part that is hidden.
"""

import sys
import tempfile
import time

import minicnn as mc
from minicnn.applications.cell_autoencoder import cell_autoencoder
from minicnn.data import AUTOTUNE, Dataset
from minicnn.datasets import find_folder, save_rendered_cells
from minicnn.utils import img_to_array, load_img

SIZE, BATCH, IMAGES = (64, 64), 32, 960


def read(path):
    return img_to_array(load_img(path, target_size=SIZE, interpolation="bilinear")) / 255.0


def seconds(work, repeats=3):
    """Return the least of several durations."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def measure(folder):
    files = Dataset.list_files(f"{folder}/*/*.png", seed=0).take(IMAGES)
    plain = files.map(read).batch(BATCH)
    ahead = files.map(read, num_parallel_calls=AUTOTUNE).batch(BATCH).prefetch(AUTOTUNE)
    model = cell_autoencoder((*SIZE, 3))
    model.compile("adam", "mse")

    def train(data):
        pairs = data.map(lambda x: (x, x))
        return lambda: model.fit(pairs, verbose=0)

    kept = plain.cache()
    train(kept)()  # compiles the kernels and fills the cache
    times = {
        "reading alone": seconds(lambda: sum(1 for _ in plain)),
        "reading alone, in threads": seconds(lambda: sum(1 for _ in ahead)),
        "training alone": seconds(train(kept)),
        "one after the other": seconds(train(plain)),
        "with threads and prefetch": seconds(train(ahead)),
    }
    for name, value in times.items():
        print(f"{name:26} {value:6.2f} s")
    both, overlapped = times["one after the other"], times["with threads and prefetch"]
    print(f"{'ratio':26} {both / overlapped:6.2f}")
    hidden = (times["reading alone"] + times["training alone"] - overlapped) / min(
        times["reading alone"], times["training alone"]
    )
    print(f"{'hidden of the shorter part':26} {100 * hidden:5.0f} %")


def main():
    mc.config.set_random_seed(0)
    folder = sys.argv[1] if len(sys.argv) > 1 else find_folder("malaria")
    if folder is not None:
        measure(folder)
        return
    with tempfile.TemporaryDirectory() as place:
        save_rendered_cells(place, IMAGES)
        measure(place)


if __name__ == "__main__":
    main()
