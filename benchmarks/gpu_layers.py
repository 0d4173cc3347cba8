"""Single convolutions on a GPU: the layers of the CPU table, and larger ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks import gpu_torch
from benchmarks.gpu_matmul import conv2d_by_matmul
from benchmarks.gpu_timing import OURS, TF32_FROM, THEIRS, Case, Contestant, Pairing
from benchmarks.networks import (
    MAPS,
    THIN,
    WIDE,
    Layer,
    layer_arrays,
    layer_in_minicnn,
    layer_in_torch,
)
from minicnn.kernels import cuda
from minicnn.kernels.cuda.device import card, cupy

LARGE = (
    Layer(28, 28, 64, 64, batch=128),
    Layer(28, 28, 128, 128, batch=128),
    Layer(28, 28, 256, 256, batch=128),
    Layer(56, 56, 64, 64, batch=256),
    Layer(28, 28, 64, 64, batch=512),
    Layer(56, 56, 64, 128, stride=2, batch=128),
    Layer(28, 28, 128, 256, stride=2, batch=256),
    Layer(28, 28, 256, 64, size=1, batch=128),
    Layer(28, 28, 64, 256, size=1, batch=512),
    Layer(28, 28, 64, 64, size=5, batch=128),
    Layer(28, 28, 128, 64, stride=2, transposed=True, batch=128),
    Layer(56, 56, 128, 128, groups=128, batch=128),
)
#: First those that the targets speak of, for a card that does not get through all in time.
LAYERS = (*LARGE, *WIDE, *THIN)
QUICK_LAYERS = (LARGE[0], LARGE[5], LARGE[10])

#: Names of contestants.
FLOAT32, TF32, THREE, PRODUCT = "float32", "tf32", "3xtf32", "by cuBLAS"
CUDNN, CUDNN_TF32 = "cuDNN", "cuDNN TF32"

#: Differences allowed, relative to the largest number. TF32 keeps 10 bits behind the point, so a
#: product is off by up to 2**-10, and sums of many by some 4e-4 of the largest one, which is too
#: much for what calls itself float32. cuDNN's Winograd filtering needs a part of the rest.
LIMITS = {TF32: 5e-3, CUDNN_TF32: 5e-3} | dict.fromkeys((FLOAT32, THREE, PRODUCT, CUDNN), 3e-4)

#: Targets for their time by ours, of layers with as many channels and filters at least.
WIDE_FROM = 64
TARGETS = {FLOAT32: 0.6, TF32: 0.4}


class Plan(NamedTuple):
    """Cases whose arrays are on the card together; they are made when their turn comes."""

    name: str
    build: Callable[[], list[Case]]


def target(layer: Layer, precision: str) -> float | None:
    """Return what the ratio of a layer must reach, or None if the targets do not speak of it."""
    wide = min(layer.channels, layer.filters) >= WIDE_FROM and layer.groups == 1
    return TARGETS.get(precision) if wide else None


def numbers_moved(layer: Layer) -> int:
    """Return how many numbers there are in the two images and the kernel of a layer.

    Each map reads two of the three and writes the third.
    """
    g = layer.geometry
    # Of a transposed layer, the geometry's inputs are its results.
    inner, outer = layer.channels, layer.filters
    large, small = (outer, inner) if layer.transposed else (inner, outer)
    images = g.in_height * g.in_width * large + g.out_height * g.out_width * small
    return layer.batch * images + layer.size**2 * inner * outer // layer.groups


def plans(layers: tuple[Layer, ...], device: str | None) -> list[Plan]:
    """Return the three maps of each layer, beside PyTorch's on a device unless it is None."""
    return [Plan(layer.name, functools.partial(layer_cases, layer, device)) for layer in layers]


def layer_cases(layer: Layer, device: str | None) -> list[Case]:
    """Return the three maps of a layer."""
    arrays = layer_arrays(layer)
    x, k, dy = map(cupy().asarray, arrays)
    ours = layer_in_minicnn(layer, x, k, dy)
    theirs = layer_in_torch(layer, *arrays, device=device) if device else {}
    tensor_cores = card().capability >= TF32_FROM
    cases = []
    for name in MAPS:
        contestants: dict[str, Contestant] = {}
        if theirs:
            back = gpu_torch.kernel_back if name == "kernel gradient" else gpu_torch.images_back
            for label, tf32 in ((CUDNN, False), (CUDNN_TF32, True))[: 1 + tensor_cores]:
                contestants[label] = _contestant(
                    label, theirs[name], back, functools.partial(gpu_torch.precision, tf32)
                )
        for label in (FLOAT32, TF32, THREE) if tensor_cores else (FLOAT32,):
            contestants[label] = _contestant(
                label, ours[name], _itself, functools.partial(cuda.use_precision, label)
            )
        pairings = [Pairing(FLOAT32, CUDNN, "float32", target(layer, FLOAT32))]
        if tensor_cores:
            pairings.append(Pairing(TF32, CUDNN_TF32, "tf32", target(layer, TF32)))
            pairings.append(Pairing(THREE, CUDNN, "tf32"))
        if name == "forward" and not layer.transposed and layer.groups == 1:
            call = functools.partial(conv2d_by_matmul, x, k, layer.geometry)
            contestants[PRODUCT] = _contestant(PRODUCT, call, _itself)
            pairings.append(Pairing(PRODUCT, CUDNN))
        cases.append(
            Case(
                (layer.name, name), contestants, pairings,
                operations=2 * layer.multiply_adds, moved=4 * numbers_moved(layer),
            )
        )  # fmt: skip
    return cases


def _itself(array: Any) -> Any:
    return array


def _contestant(
    label: str, call: Callable[[], Any], back: Callable[[Any], Any], *setting: Any
) -> Contestant:
    library = THEIRS if label in (CUDNN, CUDNN_TF32) else OURS
    return Contestant(library, call, lambda: back(call()), LIMITS[label], *setting)
