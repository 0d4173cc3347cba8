"""Codes on a plane, and the thumbnails that find room there."""

import sys

import numpy as np
import pytest

from minicnn.applications.latent import latent_places, spaced
from minicnn.applications.search import classify_by_neighbours
from minicnn.errors import ArgumentError, BackendError, ShapeError

METHODS = ("pca", "tsne", "isomap")


def blobs():
    """Return codes (60,2,3,1) in three groups far from each other, and their groups."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    return (rng.normal(size=(3, 2, 3, 1)) * 5)[labels] + rng.normal(size=(60, 2, 3, 1)), labels


def manifold():
    return pytest.importorskip("sklearn.manifold", reason="scikit-learn is not installed")


@pytest.mark.parametrize("method", METHODS)
def test_groups_stay_together(method):
    if method != "pca":
        manifold()
    codes, labels = blobs()
    places = latent_places(codes, method, neighbours=None if method == "pca" else 25)
    assert places.shape == (60, 2)
    found = classify_by_neighbours(places, labels, places, 5)
    assert (found == labels).all()


def test_isomap_unrolls_a_spiral_that_pca_leaves_rolled():
    manifold()
    along = np.linspace(4, 14, 300)
    spiral = np.stack([along * np.cos(along), along * np.sin(along)], axis=1)
    order = [
        abs(np.corrcoef(latent_places(spiral, method, neighbours=n)[:, 0], along)[0, 1])
        for method, n in (("pca", None), ("isomap", 6))
    ]
    assert order[1] > 0.95 > 0.8 > order[0]


def test_tsne_repeats_exactly():
    manifold()
    codes, _ = blobs()
    first, second = (latent_places(codes, "tsne", neighbours=9) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("method", ["tsne", "isomap"])
def test_without_scikit_learn_one_sentence_says_what_to_install(method, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(BackendError, match=r"needs scikit-learn; .*pip install minicnn\[latent\]"):
        latent_places(blobs()[0], method)


def test_squares_around_chosen_places_do_not_overlap_and_none_is_left_out():
    places = np.random.default_rng(5).random((400, 2)) * [3.0, 1.0]
    chosen = spaced(places, 0.2)
    away = np.abs(places[:, None] - places[chosen]).max(axis=2)  # (N,chosen)
    between = away[chosen] + np.eye(len(chosen))
    assert between.min() >= 0.2
    rest = np.setdiff1d(np.arange(400), chosen)
    assert away[rest].min(axis=1).max() < 0.2
    assert spaced(places, 0.2, 7).tolist() == chosen[:7].tolist()


def test_wrong_arguments_are_named():
    codes, _ = blobs()
    with pytest.raises(ArgumentError, match="'tsne'"):
        latent_places(codes, "tsna")
    with pytest.raises(ArgumentError, match=r"neighbours=60 of method='isomap' .* 1 to 59"):
        latent_places(codes, "isomap", neighbours=60)
    with pytest.raises(ArgumentError, match="neighbours=5, but PCA knows none"):
        latent_places(codes, "pca", neighbours=5)
    with pytest.raises(ShapeError, match=r"\(4, 3\)"):
        spaced(np.zeros((4, 3)), 1.0)
    with pytest.raises(ArgumentError, match="apart=0"):
        spaced(np.zeros((4, 2)), 0)
