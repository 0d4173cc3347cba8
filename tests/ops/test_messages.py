"""What operations say when shapes do not fit."""

import re

import numpy as np
import pytest

from minicnn import ops
from minicnn.errors import ArgumentError, ShapeError


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: ops.matmul(np.ones((2, 3, 4)), np.ones((3, 4, 2))),
            r"leading axes of shapes \(2, 3",
        ),
        (lambda: ops.squeeze(np.ones((2, 3)), 1), r"axis=1 of shape \(2, 3\)"),
        (
            lambda: ops.transpose(np.ones((2, 3, 4)), (0, 1)),
            r"axes=\(0, 1\) must name each of the 3",
        ),
        (lambda: ops.stack([np.ones((2, 3)), np.ones((3, 2))]), r"shapes \(2, 3\), \(3, 2\)"),
        (lambda: ops.pad2d(np.ones((2, 3)), ((1, 1), (0, 2))), r"pad2d: x has shape \(2, 3\)"),
        (lambda: ops.crop2d(np.ones((2, 3)), ((1, 1), (0, 2))), r"crop2d: x has shape \(2, 3\)"),
        (
            lambda: ops.conv2d(np.ones((1, 5, 6, 2)), np.ones((3, 2, 2, 0))),
            r"kernel has shape \(3, 2, 2, 0\), but each axis",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_named(call, text):
    with pytest.raises(ShapeError, match=text):
        call()


def test_integers_follow_the_float_they_meet():
    image, kernel = np.arange(20).reshape(1, 4, 5, 1), np.ones((2, 3, 1, 1))
    assert ops.conv2d(image, kernel).dtype == np.float64
    assert ops.conv2d(image.astype(np.float64), kernel.astype(int)).dtype == np.float64
    assert ops.conv2d_transpose(image, kernel.astype(np.float32)).dtype == np.float32
    assert ops.conv2d(image, kernel.astype(int)).dtype == np.float32


@pytest.mark.parametrize("strides", [True, 1.0, (1.0, 1), (1, True)])
@pytest.mark.parametrize(
    ("function", "kernel"), [(ops.conv2d, (3, 2, 1, 4)), (ops.conv2d_transpose, (3, 2, 4, 1))]
)
def test_what_was_asked_before_does_not_change_what_is_refused(function, kernel, strides):
    # In Python, 1 == True == 1.0; a memory of earlier geometries must tell them apart.
    x = np.ones((1, 8, 9, 1))
    for allowed in (1, (1, 1)):
        assert function(x, np.ones(kernel), strides=allowed).shape[0] == 1
    with pytest.raises(ArgumentError, match=re.escape(f"strides={strides}")):
        function(x, np.ones(kernel), strides=strides)
