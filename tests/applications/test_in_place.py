"""Trained networks leave every cell in its place at every size: on real malaria cells."""

import itertools
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from minicnn.applications.denoising import add_noise, psnr
from minicnn.applications.runs import DECODERS, PRESETS, TrainingRun, load_model, preset
from minicnn.datasets import load_cell_images, read_image, split_by_slide
from tests.helpers import ROOT

#: All sizes between 64, at which the networks learned, and its neighbours, and oblong ones.
SIZES = [*((n, n) for n in range(57, 81)), (57, 80), (80, 57), (61, 70), (73, 58), (64, 79)]
FAR = 4  # rows and columns that a picture may be away from its place


class Denoised(NamedTuple):
    """What came of the images at one size: how far they moved, and mean PSNR in dB."""

    shift: tuple[int, int]
    noisy: float
    network: float
    padded: float


def shift_of(clean: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """Return by how many rows and columns `other` (N,H,W,C) lies away from `clean`."""
    height, width = (n - 2 * FAR for n in clean.shape[1:3])
    errors = {}
    for down, right in itertools.product(range(-FAR, FAR + 1), repeat=2):
        moved = other[:, FAR + down :, FAR + right :][:, :height, :width]
        errors[down, right] = np.square(moved - clean[:, FAR:-FAR, FAR:-FAR]).mean()
    return min(errors, key=lambda shift: errors[shift])


def denoise(run: Path, files: tuple[Path, ...], size: tuple[int, int]) -> Denoised:
    """Denoise images at a size, and with their edges repeated up to the next multiples of 8."""
    clean = np.stack([read_image(path, size) for path in files])  # (N,H,W,3)
    noisy = add_noise(clean, 0.2, seed=1)
    more = [-n % 8 for n in size]
    filled = np.pad(noisy, ((0, 0), (0, more[0]), (0, more[1]), (0, 0)), "edge")
    padded = load_model(run, filled.shape[1:3]).predict(filled, verbose=0)
    result = load_model(run, size).predict(noisy, verbose=0)
    others = (noisy, result, padded[:, : size[0], : size[1]])
    return Denoised(shift_of(clean, result), *(float(psnr(clean, x).mean()) for x in others))


@pytest.mark.slow
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", PRESETS)
def test_denoising_at_any_size_moves_nothing(name: str, decoder: str, tmp_path: Path) -> None:
    data = Path(os.environ.get("MINICNN_DATA", ROOT.parent / "shared" / "data")) / "malaria"
    if not data.is_dir():
        pytest.skip(f"there is no folder {data}; set MINICNN_DATA to test on real data")
    cells, unseen = split_by_slide(load_cell_images(data, 64, limit=300))
    settings = preset(name, decoder=decoder, noise=0.25, epochs=6, data=str(data))
    TrainingRun(settings, tmp_path, cells.images, unseen.images, resume=False).fit(verbose=0)
    files = unseen.files[:: len(unseen) // 16][:16]
    for size in SIZES:
        found = denoise(tmp_path, files, size)
        assert found.shift == (0, 0), size
        assert found.network == pytest.approx(found.padded, abs=0.3), size
        assert found.network > found.noisy + 5, size
