"""Noise, filters and PSNR, against SciPy and numbers worked by hand."""

import re
import tracemalloc

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


def test_psnr_of_integers_does_not_wrap() -> None:
    clean, other = np.zeros((1, 2, 5, 1), np.uint8), np.zeros((1, 2, 5, 1), np.uint8)
    other[0, 0, 0] = 1  # 0 - 1 is 255 in uint8
    assert psnr(clean, other).tolist() == pytest.approx([10.0])


@pytest.mark.parametrize("sigma", [0.4, 0.7, 1.3, 2.0])
def test_gaussian_filter_equals_scipys(images: np.ndarray, sigma: float) -> None:
    # SciPy rounds its reach; the same reach is asked for.
    reach = np.ceil(4 * sigma) / sigma
    expected = ndimage.gaussian_filter(
        images.astype(np.float64), (0, sigma, sigma, 0), mode="nearest", truncate=reach
    )
    np.testing.assert_allclose(gaussian_filter(images, sigma), expected, atol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_median_filter_equals_scipys(images: np.ndarray, size: int) -> None:
    expected = ndimage.median_filter(images, (1, size, size, 1), mode="nearest")
    np.testing.assert_array_equal(median_filter(images, size), expected)


def test_the_median_of_an_even_number_is_the_mean_of_the_two_in_the_middle() -> None:
    image = np.array([[4, 1, 3, 8, 2], [9, 5, 7, 6, 0]], np.float32)[None, ..., None]
    inner = median_filter(image, 2)[0, 1, 1:, 0]  # windows 4 1 9 5, 1 3 5 7, 3 8 7 6, 8 2 6 0
    assert inner.tolist() == [4.5, 4, 6.5, 4]


def test_the_median_filter_needs_little_more_memory_than_its_result() -> None:
    images = np.random.default_rng(0).random((40, 60, 80, 3), np.float32)
    tracemalloc.start()
    median_filter(images, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * images.nbytes  # all windows at once: 25 times


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
    strong = add_noise(grey, 1.0)
    assert strong.min() == 0
    assert strong.max() == 1
    with pytest.raises(ArgumentError, match=r"sigma=-0\.1"):
        add_noise(grey, -0.1)


@pytest.mark.parametrize(
    ("noise", "meant"),
    [(20, "; 20 of 255 is 0.08"), (255.0, "; 255 of 255 is 1"), (1.5, ""), (-0.1, ""),
     (300, ""), (float("nan"), "")],
)  # fmt: skip
def test_noise_outside_0_to_1_is_refused_with_what_was_meant(noise: float, meant: str) -> None:
    expected = f"noise={noise!r}, but it must lie between 0 and 1: it is a standard deviation"
    with pytest.raises(ArgumentError, match=re.escape(expected)) as error:
        NoisyBatches(np.zeros((1, 2, 3, 3), np.float32), 1, noise)
    assert str(error.value).endswith(f"values go from 0 to 1{meant}.")


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
