"""The sentences about sizes, against a walk over the windows themselves."""

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn.errors import ShapeError
from minicnn.explain.records.words import convolution_notes
from minicnn.geometry import conv2d_geometry
from minicnn.kernels import loops


def told(notes, noun):
    """The positions that the sentences call never used."""
    text = next((n for n in notes if re.match(rf"Never used: {noun}s? \d", n)), "")
    return {int(i) for i in re.findall(r"\d+", text)}


def pairs(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high))


@settings(max_examples=150, deadline=None)
@given(pairs(1, 8), pairs(1, 4), pairs(1, 4), pairs(1, 3), pairs(0, 2), pairs(0, 2))
def test_what_is_never_used_is_what_no_window_meets(size, kernel, strides, dilation, rows, columns):
    try:
        g = conv2d_geometry(size, kernel, strides, (rows, columns), dilation)
    except ShapeError:
        return
    met = [
        (h, w)
        for at in np.ndindex(g.out_height, g.out_width)
        for _, _, h, w in loops.window(g, *at)
    ]
    notes = convolution_notes(g)
    # Where all windows lie beside the image along one axis, nothing is met along the other either.
    if met:
        assert told(notes, "row") == set(range(size[0])) - {h for h, _ in met}
        assert told(notes, "column") == set(range(size[1])) - {w for _, w in met}
