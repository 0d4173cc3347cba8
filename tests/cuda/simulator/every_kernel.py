"""A program that runs every kernel on odd shapes, in memory that the address sanitizer watches."""

import sys

import numpy as np

from benchmarks.gpu_matmul import conv2d_by_matmul
from minicnn.geometry import conv2d_geometry
from minicnn.kernels import MAPS, cuda
from minicnn.kernels.cuda import tiles
from minicnn.kernels.masked_gradient import MaskedGradient
from tests.cuda import maps
from tests.cuda.simulator import stand_in
from tests.cuda.simulator.cpu_module import SANITIZER, compiler_flags
from tests.strategies import Case

GEOMETRIES = [
    conv2d_geometry((7, 10), (3, 2), (2, 3), ((0, 5), (3, 1)), (2, 3)),
    conv2d_geometry((5, 13), (2, 4), (1, 2), padding="same"),
    conv2d_geometry((1, 3), (2, 1), padding=((4, 0), (5, 0))),
]


def run_maps(cupy, dtype):
    for g in GEOMETRIES:
        for name in MAPS:
            groups = 2 if name.startswith("conv2d") else 1
            for channels, filters in ((1, 3), (5, 2), (4, 8)):
                case = Case(g._replace(groups=groups), 2, channels * groups, filters * groups, 1)
                values = maps.given(name, case, dtype)
                maps.assert_alike(
                    name, maps.run(cupy, name, values), maps.oracle(name, values), 1e-5
                )


def run_training(cupy):
    for shape in ((3, 7, 5, 1), (2, 3, 1, 33), (9001, 3)):
        x = cupy.asarray(np.linspace(-1, 1, int(np.prod(shape)), dtype="f4").reshape(shape))
        y, mean, variance = cuda.batch_normalization(x, None, None, 1e-3, True)
        cuda.batch_normalization_gradient(y, y, x, mean, mean, variance, 1e-3)
        cuda.squared_error(x, y)
        cuda.adam(x, y, cupy.zeros(shape, "f4"), cupy.zeros(shape, "f4"), 0.1, 0.1, 0.1, 1e-7)
        cuda.column_sums(x)
        cuda.ready(MaskedGradient(x, y), None)
        cuda.normalize_by(x, mean, variance, mean, mean, 1e-3, True)
        cuda.move_statistics((mean, variance), (mean, variance), 0.9)
        cuda.softmax_gradient(x, cuda.softmax(x, True), True)
        cuda.crossentropy(x, x, None, None)
        cuda.crossentropy(x, None, x[..., 0], (0.1, 0.9))
        cuda.joined([x, mean, x[1:]])
        cuda.erf(x)
        rows = x.reshape(-1, shape[-1])
        cuda.add_at(cupy.arange(len(rows)) % 5, rows, 7)


def main(which):
    with stand_in.installed() as cupy, compiler_flags(*SANITIZER):
        if which == "plain":
            with maps.only():
                run_maps(cupy, "float32")
            run_training(cupy)
            g = GEOMETRIES[0]
            values = maps.given("conv2d", Case(g, 2, 5, 3, 1), "float32")
            conv2d_by_matmul(*maps.on_the_card(cupy, values))
        else:
            for tile in tiles.TILES[which]:
                with maps.only(tile, which):
                    run_maps(cupy, "float64" if which == "float64" else "float32")
    print("done")


if __name__ == "__main__":
    main(sys.argv[1])
