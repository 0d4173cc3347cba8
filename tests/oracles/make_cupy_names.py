"""Writes which names CuPy has, for the stand-in of tests/cuda: run where CuPy is installed.

    python tests/oracles/make_cupy_names.py

CuPy is imported, but needs no GPU for this.
"""

import json
from pathlib import Path

import cupy
import numpy

OUT = Path(__file__).parent / "cupy_names.json"


def main():
    public = [n for n in dir(cupy) if not n.startswith("_") and hasattr(numpy, n)]
    names = {
        "cupy": cupy.__version__,
        "functions": [n for n in public if callable(getattr(cupy, n))],
        "array": [n for n in dir(cupy.ndarray) if not n.startswith("_")],
        "runtime": [n for n in dir(cupy.cuda.runtime) if not n.startswith("_")],
        "cuda": [n for n in dir(cupy.cuda) if not n.startswith("_")],
    }
    OUT.write_text(json.dumps(names) + "\n")


if __name__ == "__main__":
    main()
