"""The parts of a rendered cell's shape, each beside a slow and plain calculation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from scipy.interpolate import BSpline

from minicnn.datasets.cell_shapes import (
    EXTENT,
    Circle,
    Shape,
    connected,
    coverage,
    draw_shape,
    pixel_places,
    segment,
    smooth_noise,
)


def whole_field(rows, columns):
    y = pixel_places(0, rows, rows, rows)[:, None]
    x = pixel_places(0, columns, columns, columns)[None, :]
    return y, x


def disc(**parts):
    fields = {"waves": np.zeros(6, complex), "flats": [], "dents": [], "bites": [], "lobes": []}
    return Shape(**(fields | parts))


@given(st.integers(1, 9), st.integers(1, 11), st.floats(0.3, 0.9), st.integers(0, 10**6))
def test_connected_parts_are_those_of_scipy(height, width, share, seed):
    rng = np.random.default_rng(seed)
    mask, start = rng.random((2, height, width)) < [[[share]], [[0.1]]]
    names, _ = ndimage.label(mask)
    reached = np.setdiff1d(names[start], 0)
    assert np.array_equal(connected(mask, start), np.isin(names, reached))


@given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 10**6))
def test_coverage_is_the_mean_over_each_pixel(count, pixels, seed):
    blocks = np.random.default_rng(seed).integers(0, 5, (count, 3))
    fine = np.repeat(blocks, pixels, axis=0)  # pixels and blocks both end at these steps
    expected = fine.reshape(pixels, count, 3).mean(1)
    assert np.allclose(coverage(blocks, pixels), expected, atol=1e-4)


def test_a_disc_has_its_depth_and_its_neighbours_change_it():
    y, x = whole_field(40, 56)
    radius = np.hypot(y, x)
    assert np.allclose(disc().depth(y, x), 1 - radius, atol=1e-5)
    wave = np.zeros(6, complex)
    wave[1] = 0.2  # three bumps, one of them on the x axis
    bumps = 1 + 0.2 * np.cos(3 * np.arctan2(y, x)) - radius
    assert np.allclose(disc(waves=wave).depth(y, x), bumps, atol=1e-4)
    below, right = Circle(1.5, 0.0, 0.8), Circle(0.0, 1.1, 0.3)
    dented = disc(dents=[below]).depth(y, x)
    assert np.allclose(dented, np.minimum(1 - radius, np.hypot(y - 1.5, x) - 0.8), atol=1e-5)
    grown = disc(lobes=[right]).depth(y, x)
    assert np.allclose(grown, np.maximum(1 - radius, 0.3 - np.hypot(y, x - 1.1)), atol=1e-5)
    flat = disc(flats=[(0.6, 0.8, 0.5)]).depth(y, x)
    assert np.allclose(flat, np.minimum(1 - radius, 0.5 - 0.6 * y - 0.8 * x), atol=1e-5)


@pytest.mark.parametrize("nodes", [9, 22, 50])
def test_noise_is_scipys_spline_through_random_nodes_and_of_unit_spread(nodes):
    y, x = whole_field(150, 220)
    noise = smooth_noise(np.random.default_rng(nodes), nodes, y, x)
    values = np.random.default_rng(nodes).standard_normal((nodes + 4, nodes + 4), np.float32)
    bump = BSpline.basis_element(np.arange(5), extrapolate=False)

    def weights(places):
        steps = (places.ravel().astype(float) / EXTENT + 1) * nodes / 2
        return np.nan_to_num(bump(steps[:, None] - np.arange(nodes + 4) + 3))

    # The values come column by column. Of one axis, the squares of the weights sum up to 151 / 315
    # on average.
    expected = weights(y) @ values.T @ weights(x).T / (151 / 315)
    assert noise.dtype == np.float32
    assert np.abs(noise - expected).max() < 0.01 * np.abs(expected).max()
    assert 0.8 < noise.std() < 1.25


@pytest.mark.parametrize("seed", range(20))
def test_a_cut_is_one_piece_in_its_frame(seed):
    rng = np.random.default_rng(seed)
    cut = segment(rng, draw_shape(rng, crowded=0.6), 64.0)
    assert cut.kept.shape == (round(2 * EXTENT * 64 / 3),) * 2
    assert ndimage.label(cut.kept)[1] == 1
    assert cut.kept.sum() == cut.kept[cut.top : cut.bottom, cut.left : cut.right].sum()
    assert cut.kept[[cut.top, cut.bottom - 1]].any(1).all()
    assert cut.kept[:, [cut.left, cut.right - 1]].any(0).all()
    assert cut.inner.any()
    assert not (cut.inner & ~cut.kept).any()
