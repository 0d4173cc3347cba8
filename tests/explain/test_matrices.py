"""Matrices are explained as matrices by every operation on images that takes them."""

import re

import numpy as np
import pytest

import minicnn as mc
from minicnn.errors import ArgumentError, ShapeError

X, K = np.arange(1.0, 21).reshape(4, 5), np.array([[1.0, -2], [0, 3], [2, 1]])
CALLS = {
    "conv2d": (mc.conv2d, (X, K), {}),
    "strides_and_bias": (mc.conv2d, (X, K, 2.0), {"strides": (1, 2), "padding": (0, 1)}),
    "relu_and_pool": (mc.conv2d, (X, -K), {"relu": True, "max_pool": 2}),
    "conv2d_transpose": (mc.conv2d_transpose, (X, K), {"strides": 2}),
    "max_pool2d": (mc.max_pool2d, (X, (2, 3)), {}),
    "average_pool2d": (mc.average_pool2d, (X,), {"strides": 1}),
    "upsample2d": (mc.upsample2d, (X, (2, 3)), {}),
    "resize2d": (mc.ops.resize2d, (X, (3, 7)), {"interpolation": "bilinear"}),
}


def as_images(operation, args, options):
    x, *others = args
    if operation in (mc.conv2d, mc.conv2d_transpose):
        others[0] = others[0][:, :, None, None]
    others = [[o] if isinstance(o, float) else o for o in others]
    return mc.explain(operation, x[None, :, :, None], *others, **options)


@pytest.mark.parametrize("name", CALLS)
def test_a_matrix_has_the_numbers_of_one_image_and_two_indices(name):
    operation, args, options = CALLS[name]
    found, whole = mc.explain(operation, *args, **options), as_images(operation, args, options)
    assert found.choices == whole.choices
    y = found.records[-1].choice.get("stage")
    last = found.record(**({"stage": y} if y else {}), direction="forward")
    np.testing.assert_array_equal(last.result.values, operation(*args, **options).numpy())
    for record, image in zip(found.records, whole.records, strict=True):
        assert record.result.values.ndim == (1 if image.result.name == "dbias" else 2)
        np.testing.assert_array_equal(record.result.values.ravel(), image.result.values.ravel())
        for terms, others in zip(record.terms, image.terms, strict=True):
            np.testing.assert_array_equal(terms, others)
        assert not re.search(r"\bn\b|\bc\b|\bf\b", record.formula.replace("sum of dy", ""))


def test_letters_that_count_for_nothing_are_left_out():
    formula = mc.explain(mc.conv2d, X, K).records[0].formula
    assert formula == "y[r,s] = sum over i,j of x[r + i, s + j] * kernel[i,j]"
    formula = mc.explain(mc.conv2d, X, K, strides=2, padding=1).records[0].formula
    assert formula == "y[r,s] = sum over i,j of x[r*S - P + i, s*S - P + j] * kernel[i,j]"
    assert mc.explain("conv2d", X, K).text((1, 2)) == mc.explain(
        "cross_correlate2d", X, K, "valid"
    ).text((1, 2))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"direction": "backward"}, "did you mean 'gradient of x'"),
        ({"direction": "dw"}, "did you mean 'gradient of kernel'"),
        ({"direction": "gradient of kernels"}, "did you mean 'gradient of kernel'"),
        ({"directions": "forward"}, "did you mean 'direction'"),
        ({"kernel": "flipped"}, "choose one of 'as it stands', 'turned by 180°'"),
        ({"cell": (0, 0, 0, 0)}, "an index of 2 numbers, 4 came"),
    ],
)
def test_a_choice_that_is_not_there_is_answered(words, said):
    with pytest.raises(ArgumentError, match=re.escape(said)):
        mc.explain(mc.conv2d, X, K).text(**words)


def test_what_cannot_be_explained_is_named():
    with pytest.raises(
        ArgumentError, match=r"op=MeanSquaredError cannot be .* a layer, a model or"
    ):
        mc.explain(mc.losses.MeanSquaredError(), X, X)
    with pytest.raises(ShapeError, match=r"3 channels, .* image\[..., 0\].* image.mean\(axis=-1\)"):
        mc.explain(mc.cross_correlate2d, np.ones((4, 5, 3)), K)


def test_a_model_has_the_readings_of_every_explanation(tmp_path):
    model = mc.Sequential([mc.Input((6, 8, 1)), mc.layers.Conv2D(2, 3, name="edges")])
    chain = mc.explain(model, np.ones((1, 6, 8, 1)))
    assert "edges (Conv2D)" in chain.text()
    assert "edges (Conv2D)" in chain.figure().texts[0].get_text()
    for name in ("m.png", "m.svg", "m.pdf", "m.txt", "m.html"):
        chain.save(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 500
    with pytest.raises(ArgumentError, match=r"one of \.html, \.txt, \.png"):
        chain.save(tmp_path / "m.jpg")
