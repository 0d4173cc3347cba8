"""Noise, filters and PSNR, against SciPy and numbers worked by hand."""

import numpy as np
import pytest
from scipy import ndimage

from minicnn import config
from minicnn.applications.denoising import (
    NoisyBatches,
    add_noise,
    best_gaussian_filter,
    gaussian_filter,
    median_filter,
    psnr,
)
from minicnn.errors import ArgumentError
from minicnn.layers import RandomFlip


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).random((5, 13, 18, 3), np.float32)


def test_psnr_by_hand() -> None:
    clean = np.zeros((2, 2, 5, 1))
    other = np.zeros((2, 2, 5, 1))
    other[0, 0, 0] = 1.0  # mean squared error 1/10
    other[1] = -3.0  # limited to 0: perfect
    assert psnr(clean, other).tolist() == pytest.approx([10.0, np.inf])


@pytest.mark.parametrize("sigma", [0.4, 0.7, 1.3, 2.0])
def test_gaussian_filter_equals_scipys(images: np.ndarray, sigma: float) -> None:
    # SciPy rounds its reach; the same reach is asked for.
    reach = np.ceil(4 * sigma) / sigma
    expected = ndimage.gaussian_filter(
        images.astype(np.float64), (0, sigma, sigma, 0), mode="nearest", truncate=reach
    )
    np.testing.assert_allclose(gaussian_filter(images, sigma), expected, atol=1e-6)


@pytest.mark.parametrize("size", [3, 5])
def test_median_filter_equals_scipys(images: np.ndarray, size: int) -> None:
    expected = ndimage.median_filter(images, (1, size, size, 1), mode="nearest")
    np.testing.assert_array_equal(median_filter(images, size), expected)


def test_best_gaussian_filter_is_the_best_of_its_grid(images: np.ndarray) -> None:
    smooth = ndimage.gaussian_filter(images, (0, 2, 2, 0))
    noisy = add_noise(smooth, 0.1, seed=2)
    sigma, best = best_gaussian_filter(smooth, noisy)
    others = [psnr(smooth, gaussian_filter(noisy, s)).mean() for s in (0.3, sigma - 0.1, 2.0)]
    assert all(best >= other - 1e-9 for other in others)
    assert best > psnr(smooth, noisy).mean() + 3


def test_add_noise_has_the_strength_asked_for_and_stays_in_range() -> None:
    grey = np.full((4, 40, 50, 3), 0.5, np.float32)
    noisy = add_noise(grey, 0.1, seed=4)
    assert noisy.dtype == np.float32
    assert float((noisy - grey).std()) == pytest.approx(0.1, rel=0.03)
    assert np.array_equal(noisy, add_noise(grey, 0.1, seed=4))
    strong = add_noise(grey, 2.0)
    assert strong.min() == 0
    assert strong.max() == 1
    with pytest.raises(ArgumentError, match=r"sigma=-0\.1"):
        add_noise(grey, -0.1)


def test_batches_hold_every_image_once_with_noise_of_many_strengths() -> None:
    images = np.linspace(0.4, 0.6, 50, dtype=np.float32)[:, None, None, None]
    images = np.broadcast_to(images, (50, 12, 14, 1))
    config.set_random_seed(0)
    batches = NoisyBatches(images, 16, 0.2)
    assert len(batches) == 4
    found = list(batches)
    assert [len(clean) for _, clean in found] == [16, 16, 16, 2]
    clean = np.concatenate([c for _, c in found])
    noisy = np.concatenate([n for n, _ in found])
    assert sorted(clean[:, 0, 0, 0].tolist()) == images[:, 0, 0, 0].tolist()
    strengths = (noisy - clean).reshape(50, -1).std(axis=1)
    assert strengths.min() < 0.05
    assert 0.15 < strengths.max() < 0.25
    again = np.concatenate([c for _, c in batches])
    assert not np.array_equal(clean, again)


def test_batches_without_noise_are_the_images_themselves(images: np.ndarray) -> None:
    for noisy, clean in NoisyBatches(images, 2, 0.0):
        assert noisy is clean


def test_batches_change_images_before_the_noise(images: np.ndarray) -> None:
    config.set_random_seed(0)
    flipped = 0
    for noisy, clean in NoisyBatches(images, 2, 0.1, RandomFlip("vertical")):
        assert noisy.shape == clean.shape
        assert 0 < np.abs(noisy - clean).mean() < 0.1
        for image in clean:
            same = [i for i, x in enumerate(images) if np.array_equal(x, image)]
            turned = [i for i, x in enumerate(images) if np.array_equal(x[::-1], image)]
            assert len(same) + len(turned) == 1
            flipped += len(turned)
    assert 0 < flipped < 5
