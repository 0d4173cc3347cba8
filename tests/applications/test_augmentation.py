"""Random changes: what they leave alone, and that each image gets its own."""

import numpy as np
import pytest

from minicnn import config
from minicnn.applications.augmentation import cell_changes, hand_changes


def disc(height: int, width: int, radius: float) -> np.ndarray:
    """A white disc with a soft edge on black (H,W,1)."""
    y, x = np.mgrid[:height, :width]
    away = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)
    return np.clip((radius - away) / 3 + 0.5, 0, 1)[..., None].astype(np.float32)


def test_a_disc_looks_the_same_however_it_is_turned_and_mirrored() -> None:
    config.set_random_seed(0)
    images = np.stack([disc(33, 41, 11.0)] * 6)
    changed = cell_changes(zoom=0.0)(images, training=True).numpy()
    away = np.abs(changed - images)
    assert 1e-3 < away.max() < 0.1  # reading between pixels makes the edge softer
    assert away.mean() < 5e-3


def test_zoom_keeps_the_middle_and_the_proportions() -> None:
    config.set_random_seed(0)
    images = np.stack([disc(33, 41, 11.0)] * 40)
    areas = cell_changes(zoom=0.2)(images, training=True).numpy().sum(axis=(1, 2, 3))
    shares = areas / images[0].sum()
    assert 0.8**2 < 1 / shares.max() < 0.75  # a zoom by z shows the disc 1 / z times as large
    assert 1.35 < 1 / shares.min() < 1.2**2


@pytest.mark.parametrize("chain", [cell_changes, hand_changes])
def test_each_image_gets_its_own_and_only_in_training(chain) -> None:
    images = np.stack([np.random.default_rng(0).random((12, 18, 3), np.float32)] * 3)
    changes = chain()
    config.set_random_seed(3)
    changed = changes(images, training=True).numpy()
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(changed[i] - changed[j]).max() > 0.1
    np.testing.assert_array_equal(changes(images, training=False).numpy(), images)
    config.set_random_seed(3)
    np.testing.assert_array_equal(changes(images, training=True).numpy(), changed)


def test_hands_are_never_mirrored() -> None:
    # A wedge, thick at its left: what is shifted, turned and zoomed a little stays thick there.
    config.set_random_seed(0)
    y, x = np.mgrid[:32, :40]
    wedge = ((np.abs(y - 15.5) < (36 - x) / 4) & (x > 4)).astype(np.float32)[..., None]
    changed = hand_changes()(np.stack([wedge] * 30), training=True).numpy()
    columns = changed.sum(axis=(1, 3))  # (N,W)
    assert (columns[:, :20].sum(axis=1) > columns[:, 20:].sum(axis=1)).all()
