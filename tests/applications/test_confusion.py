"""Confusions: counted, and drawn with the wrong ones first."""

from collections import Counter

import numpy as np
import pytest

from minicnn.applications.confusion import confusion_matrix, draw_confusion
from minicnn.applications.figures import draw_curves
from minicnn.errors import ShapeError


def test_the_matrix_counts_pairs() -> None:
    truth, predicted = np.random.default_rng(0).integers(0, 4, (2, 50))
    matrix = confusion_matrix(truth, predicted, 5)
    counts = Counter(zip(truth.tolist(), predicted.tolist(), strict=True))
    assert {pair: int(n) for pair, n in np.ndenumerate(matrix) if n} == dict(counts)
    assert confusion_matrix([], [], 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("truth", "predicted", "told"),
    [
        ([0, 1], [0], r"truth has shape \(2,\), predicted \(1,\)"),
        ([[0]], [[0]], r"truth has shape \(1, 1\)"),
        ([0, 1], [0, 3], "class numbers from 0 to 3 came; with 3 classes"),
        ([-1], [0], "class numbers from -1 to 0"),
    ],
)
def test_numbers_that_are_no_classes_are_named(truth, predicted, told) -> None:
    with pytest.raises(ShapeError, match=f"confusion_matrix: {told}"):
        confusion_matrix(truth, predicted, 3)


def drawn(figure):
    figure.canvas.draw()
    matrix, *images = [axes for part in figure.subfigs for axes in part.axes]
    return matrix, [axes.get_title() for axes in images if axes.images]


def test_wrong_ones_come_first_and_unsure_ones_next() -> None:
    images = np.random.default_rng(0).random((4, 6, 9, 3))
    chances = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.3, 0.7]])
    figure = draw_confusion(images, [0, 0, 1, 1], chances, ["cat", "dog"], columns=2)
    matrix, titles = drawn(figure)
    assert titles == [
        "dog, taken for\ncat (80 %)",
        "rightly\ncat (60 %)",
        "rightly\ndog (70 %)",
        "rightly\ncat (90 %)",
    ]
    told = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in matrix.texts}
    assert told == {(0, 0): "2", (1, 0): "1", (1, 1): "1"}
    assert figure.subfigs[1]._suptitle.get_text().startswith("1 of 4 wrong; then right ones")


def test_few_images_leave_places_empty_and_many_are_left_out() -> None:
    for count in (1, 30):
        chances = np.tile([[0.9, 0.1]], (count, 1))
        figure = draw_confusion(np.ones((count, 5, 4, 1)), [1] * count, chances, ["a", "b"])
        assert len(drawn(figure)[1]) == min(count, 10)
        assert figure.subfigs[1]._suptitle.get_text() == f"{count} of {count} wrong"


def test_curves_are_drawn_over_epochs_from_one() -> None:
    figure = draw_curves(
        {"loss": {"a": [3.0, 2.0, 1.0], "b": [3.0]}, "accuracy": {"a": [0.5]}}, logarithmic=["loss"]
    )
    figure.canvas.draw()
    left, right = figure.axes
    assert [line.get_xdata().tolist() for line in left.lines] == [[1, 2, 3], [1]]
    assert left.lines[0].get_ydata().tolist() == [3.0, 2.0, 1.0]
    assert (left.get_yscale(), right.get_yscale()) == ("log", "linear")
    assert [t.get_text() for t in left.get_legend().get_texts()] == ["a", "b"]


def test_curves_may_begin_later() -> None:
    figure = draw_curves({"loss": {"a": [3.0, 2.0, 1.0]}}, first=2)
    line = figure.axes[0].lines[0]
    assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == ([2, 3], [2.0, 1.0])
