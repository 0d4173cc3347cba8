"""The course's autoencoder of digits."""

import numpy as np
import pytest

from minicnn import config
from minicnn.applications.digit_autoencoder import digit_autoencoder
from minicnn.applications.search import classify_by_neighbours
from minicnn.datasets import render_digits
from minicnn.errors import ArgumentError
from minicnn.explain.course.worked import slide_examples


def slide(name):
    examples = slide_examples()
    return next(e for e in examples if e["id"] == name)["expected"]


def test_it_is_the_network_of_the_course():
    model, encoder, decoder = digit_autoencoder()
    assert [m.count_params() for m in (encoder, decoder, model)] == slide("cae_params")
    for half, name in ((encoder, "cae_encoder_shapes"), (decoder, "cae_decoder_shapes")):
        shapes = [half.input_shape, *(layer.output.shape for layer in half.layers)]
        assert [list(shape[1:]) for shape in shapes] == slide(name)


def test_the_halves_share_the_weights_of_the_whole():
    config.set_random_seed(0)
    model, encoder, decoder = digit_autoencoder((12, 20, 2), code_size=3, filters=(4, 5))
    images = np.random.default_rng(0).random((6, 12, 20, 2)).astype(np.float32)
    model.compile("adam", "mse")
    before = encoder.predict(images, verbose=0)
    model.fit(images, images, verbose=0)
    codes = encoder.predict(images, verbose=0)
    assert codes.shape == (6, 1, 1, 3)
    assert np.abs(codes - before).max() > 1e-4
    np.testing.assert_allclose(
        decoder.predict(codes, verbose=0), model.predict(images, verbose=0), rtol=1e-5, atol=1e-6
    )


def test_codes_of_rendered_digits_tell_the_classes_apart():
    images, labels = render_digits(900, seed=1)
    chosen = np.isin(labels, (1, 5))
    images, labels = images[chosen, :, :, None] / np.float32(255), labels[chosen].astype(int)
    config.set_random_seed(0)
    model, encoder, _ = digit_autoencoder()
    model.compile("adam", "mse")
    model.fit(images[:120], images[:120], batch_size=16, epochs=5, verbose=0)
    codes = encoder.predict(images, verbose=0)
    found = classify_by_neighbours(codes[:120], labels[:120], codes[120:], 15)
    assert (found == labels[120:]).mean() > 0.9


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"input_shape": (28, 28)}, r"must be \(height, width, channels\)"),
        (
            {"input_shape": (28, 30, 1)},
            "width 30 is no multiple of 4.*divided by 2 2 times.*28 or 32",
        ),
        ({"input_shape": (2, 28, 1)}, "height 2 is no multiple of 4.*use 4 or 8"),
        ({"code_size": 0}, "code_size=0"),
        ({"filters": (8,)}, r"filters=\(8,\)"),
    ],
)
def test_what_does_not_fit_is_named(arguments, told):
    with pytest.raises(ArgumentError, match=told):
        digit_autoencoder(**arguments)
