"""Write the stored SciPy values of plane convolutions that the tests compare against.

Run it with a Python that has NumPy and SciPy:

    python tests/oracles/make_scipy.py

It was run with Python 3.11.7, NumPy 2.4.6 and SciPy 1.17.1.  It writes, beside itself,
``scipy_convolution.json``.  SciPy is not needed to run the tests.

Each case holds integer arrays as nested lists: "image", "kernel", and in "correlate2d" and
"convolve2d" the results of the two functions of scipy.signal (zero fill) for the modes "full",
"same" and "valid".  SciPy's "same" is the part of "full" that is as large as the image; along an
axis of kernel size k it starts at k // 2 for correlate2d and at (k - 1) // 2 for convolve2d.
"""

import json
import platform
from pathlib import Path

import numpy as np
import scipy
from scipy import signal

HERE = Path(__file__).resolve().parent
MODES = ("full", "same", "valid")
SIZES = (
    ((1, 1), (1, 1)),
    ((4, 6), (1, 1)),
    ((5, 7), (3, 3)),
    ((5, 7), (3, 2)),
    ((6, 4), (2, 3)),
    ((4, 9), (2, 4)),
    ((7, 5), (4, 1)),
    ((3, 8), (1, 5)),
    ((6, 5), (6, 5)),
    ((5, 3), (5, 2)),
    ((9, 7), (4, 6)),
)


def case(image_shape, kernel_shape, rng):
    image = rng.integers(-9, 9, image_shape, endpoint=True)
    kernel = rng.integers(-5, 5, kernel_shape, endpoint=True)
    entry = {"image": image.tolist(), "kernel": kernel.tolist()}
    for function in (signal.correlate2d, signal.convolve2d):
        results = {mode: function(image, kernel, mode=mode).tolist() for mode in MODES}
        entry[function.__name__] = results
    return entry


def main():
    rng = np.random.default_rng(11)
    versions = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
    lines = ",\n".join("  " + json.dumps(case(*sizes, rng)) for sizes in SIZES)
    text = f'{{\n "versions": {json.dumps(versions)},\n "cases": [\n{lines}\n ]\n}}\n'
    (HERE / "scipy_convolution.json").write_text(text)


if __name__ == "__main__":
    main()
