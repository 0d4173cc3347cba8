"""Image search, against SciPy's distances."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from minicnn.applications.search import nearest, neighbour_class_share, principal_components
from minicnn.errors import ArgumentError, ShapeError


def test_nearest_equals_a_full_search() -> None:
    rng = np.random.default_rng(0)
    codes, queries = rng.normal(size=(40, 3, 2, 4)), rng.normal(size=(7, 3, 2, 4))
    indices, distances = nearest(codes, queries, 6)
    full = cdist(queries.reshape(7, -1), codes.reshape(40, -1))
    np.testing.assert_array_equal(indices, full.argsort(axis=1)[:, :6])
    np.testing.assert_allclose(distances, np.sort(full, axis=1)[:, :6])


def test_an_image_is_nearest_to_itself_at_distance_zero() -> None:
    codes = np.random.default_rng(1).normal(size=(9, 2, 3, 1)).astype(np.float32) + 1000
    indices, distances = nearest(codes, codes[3:5], 1)
    assert indices.tolist() == [[3], [4]]
    assert distances.tolist() == [[0.0], [0.0]]


def test_wrong_shapes_and_counts_are_named() -> None:
    codes = np.zeros((4, 2, 3, 5))
    with pytest.raises(ShapeError, match=r"\(2, 3, 5\), but queries \(3, 2, 5\)"):
        nearest(codes, np.zeros((1, 3, 2, 5)))
    with pytest.raises(ArgumentError, match="count=5, but there are 4 codes"):
        nearest(codes, codes, 5)


def test_class_share_by_hand() -> None:
    codes = np.array([[0.0], [1.0], [10.0], [11.0]])
    labels = np.array([0, 1, 1, 1])
    share = neighbour_class_share(codes, labels, np.array([[0.4], [10.4]]), np.array([0, 1]), 2)
    assert share == pytest.approx(3 / 4)


def test_principal_components_keep_distances_of_flat_data() -> None:
    rng = np.random.default_rng(2)
    plane = rng.normal(size=(20, 2)) * [3, 1]
    turned = plane @ np.linalg.qr(rng.normal(size=(6, 6)))[0][:2]
    places = principal_components(turned.reshape(20, 1, 2, 3))
    np.testing.assert_allclose(cdist(places, places), cdist(plane, plane), atol=1e-9)
    assert places[:, 0].var() > places[:, 1].var()
