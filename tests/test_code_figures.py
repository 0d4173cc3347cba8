"""Pictures of codes: what stands where."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.offsetbox import AnnotationBbox

from minicnn.errors import ShapeError
from tests.test_examples import load

code_figures = load("examples/code_figures")
draw_grid, draw_latent = code_figures.draw_grid, code_figures.draw_latent
draw_scatter = code_figures.draw_scatter
rng = np.random.default_rng(0)


def test_no_thumbnail_covers_another_or_leaves_its_map() -> None:
    places = rng.normal(size=(300, 2)) * [4.0, 1.0]
    images, labels = rng.random((300, 12, 20, 3)), np.arange(300) % 2
    figure = draw_latent(images, [("a", places), ("b", places[::-1])], labels, ["x", "y"])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for axes in figure.axes:
        boxes = [a for a in axes.artists if isinstance(a, AnnotationBbox)]
        assert len(boxes) > 10
        frames = [box.patch.get_window_extent(canvas.get_renderer()) for box in boxes]
        for i, one in enumerate(frames):
            assert axes.bbox.x0 < one.x0 < one.x1 < axes.bbox.x1
            assert axes.bbox.y0 < one.y0 < one.y1 < axes.bbox.y1
            assert not any(one.overlaps(other) for other in frames[:i])


def test_a_thumbnail_has_its_image_and_the_colour_of_its_class() -> None:
    images = np.stack([np.full((4, 6, 1), level) for level in (0.25, 0.75)])
    places = np.array([[0.0, 0.0], [1.0, 2.0]])
    figure = draw_latent(images, [("a", places)], np.array([1, 0]), ["x", "y"])
    (axes,) = figure.axes
    boxes = [a for a in axes.artists if isinstance(a, AnnotationBbox)]
    assert [box.offsetbox.get_data()[0, 0, 0] for box in boxes] == [0.25, 0.75]
    legend = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    for box, name in zip(boxes, ("y", "x"), strict=True):
        assert box.patch.get_edgecolor()[:3] == tuple(legend[name].get_facecolor()[0, :3])


def test_a_grid_has_its_images_in_order_and_its_numbers_beside_them() -> None:
    images = np.arange(6).reshape(2, 3, 1, 1, 1) * np.full((4, 5, 1), 0.1)  # (2,3,4,5,1)
    (axes,) = draw_grid(images, [1.0, 2.0, 3.0], [7.0, 6.0], "title").axes
    sheet = axes.images[0].get_array()
    assert sheet.shape == (8, 15)
    np.testing.assert_allclose(sheet[[1, 6]][:, [2, 7, 12]], [[0, 0.1, 0.2], [0.3, 0.4, 0.5]])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "3"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["7", "6"]
    np.testing.assert_allclose(axes.get_yticks(), [1.5, 5.5])


def test_a_scatter_shows_each_class_and_the_chosen_code() -> None:
    codes, labels = rng.normal(size=(9, 2)), np.arange(9) % 3
    names, image = ["one", "five", "six"], np.zeros((4, 6, 1))
    axes, picture = draw_scatter(codes, labels, names, ([0.5, -2.0], image)).axes
    drawn = {c.get_label(): c.get_offsets() for c in axes.collections}
    for number, name in enumerate(names):
        np.testing.assert_allclose(drawn[name], codes[labels == number])
    assert any(np.allclose(offsets, [[0.5, -2.0]]) for offsets in drawn.values())
    assert "(0.5, -2)" in picture.get_title()
    with pytest.raises(ShapeError, match=r"codes have shape \(9, 3\)"):
        draw_scatter(np.zeros((9, 3)), labels, names)


def test_maps_of_classes_have_a_key_of_the_classes_in_them() -> None:
    landcover = load("examples/landcover")
    labels = rng.integers(1, 4, (12, 20))
    drawn = landcover.coloured(labels)
    np.testing.assert_array_equal(drawn[3, 5], landcover.CLASS_COLOURS[labels[3, 5]])
    samples = [(rng.random((12, 20, 3)), labels, labels)]
    figure = landcover.draw_classes(samples, {1: "a", 2: "b", 9: "no"})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
