"""The cell autoencoder: shapes for every size, learning, and what its parts are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn import Model, config
from minicnn.applications import cell_autoencoder, encoder_of
from minicnn.errors import ArgumentError
from minicnn.optimizers import Adam


@settings(max_examples=15, deadline=None)
@given(
    height=st.integers(1, 21),
    width=st.integers(1, 21),
    channels=st.sampled_from([1, 3]),
    stages=st.integers(1, 4),
    decoder=st.sampled_from(["transpose", "smooth", "upsample"]),
    skips=st.booleans(),
)
def test_the_output_always_has_the_shape_of_the_input(
    height: int, width: int, channels: int, stages: int, decoder: str, skips: bool
) -> None:
    model = cell_autoencoder(
        (height, width, channels), (2, 3, 4, 5)[:stages], 2, decoder, skips=skips
    )
    image = np.random.default_rng(0).random((2, height, width, channels), np.float32)
    result = model.predict(image, verbose=0)
    assert result.shape == image.shape
    assert model.output_shape == (None, height, width, channels)
    assert (result >= 0).all()
    assert (result <= 1).all()
    small = (-(-height // 2**stages), -(-width // 2**stages))
    assert encoder_of(model).predict(image, verbose=0).shape == (2, *small, 2)


def test_the_standard_network_has_the_layers_that_are_described() -> None:
    model = cell_autoencoder((64, 48, 3))
    kernels = 9 * (3 * 8 + 8 * 16 + 16 * 32 + 32 * 8 + 8 * 32 + 32 * 16 + 16 * 3)
    biases = 8 + 3  # of the code and of the pixels; elsewhere beta takes their part
    normalized = 4 * (8 + 16 + 32 + 32 + 16)
    assert model.count_params() == kernels + biases + normalized
    assert encoder_of(model).output_shape == (None, 8, 6, 8)


def test_opponent_colours_are_mixed_before_the_first_stage_and_stay_as_they_are() -> None:
    config.set_random_seed(2)
    model = cell_autoencoder((8, 16, 3), (2, 3), 2, opponent=True)
    image = np.random.default_rng(0).random((4, 8, 16, 3), np.float32)
    mixed = Model(model.input, model.get_layer("opponent_colours").output)
    red, green, blue = np.moveaxis(image, -1, 0)
    expected = [(red + green + blue) / 3, 4 * (red - blue), 4 * green - 2 * (red + blue)]
    np.testing.assert_allclose(
        mixed.predict(image, verbose=0), np.stack(expected, axis=-1), atol=1e-5
    )
    model.compile(Adam(0.1), "mse")
    model.fit(image, image, epochs=2, verbose=0)
    np.testing.assert_allclose(
        mixed.predict(image, verbose=0), np.stack(expected, axis=-1), atol=1e-5
    )
    with pytest.raises(ArgumentError, match="opponent=True, but the images have 1 channels"):
        cell_autoencoder((8, 16, 1), (2, 3), opponent=True)


def test_the_same_weights_serve_every_size() -> None:
    config.set_random_seed(1)
    small, large = cell_autoencoder((16, 24, 3)), cell_autoencoder((32, 40, 3))
    large.set_weights(small.get_weights())
    image = np.random.default_rng(0).random((1, 16, 24, 3), np.float32)
    spread = np.zeros((1, 32, 40, 3), np.float32)
    spread[:, :16, :24] = image
    near, far = small.predict(image, verbose=0), large.predict(spread, verbose=0)
    # Far from the new border the larger image is treated alike. The network is untrained, so its
    # codes mix little; 3 stages and 3x3 kernels look at most 22 pixels around.
    np.testing.assert_allclose(near[0, 0, 0], far[0, 0, 0], atol=0.05)


@pytest.mark.parametrize("decoder", ["transpose", "smooth", "upsample"])
@pytest.mark.parametrize("skips", [False, True])
def test_a_picture_keeps_its_place_at_every_size(decoder: str, skips: bool) -> None:
    """Away from the lower and the right edge nobody can know where the image ends."""
    config.set_random_seed(4)
    whole = cell_autoencoder((88, 96, 3), (4, 5, 6), 3, decoder, skips=skips)
    image = np.random.default_rng(1).random((1, 88, 96, 3), np.float32)
    expected = whole.predict(image, verbose=0)
    assert expected[:, :17, :17].std() > 0.001
    for height, width in [*zip(range(57, 81), range(80, 56, -1), strict=True), (57, 80), (61, 83)]:
        model = cell_autoencoder((height, width, 3), (4, 5, 6), 3, decoder, skips=skips)
        model.set_weights(whole.get_weights())
        part = model.predict(image[:, :height, :width], verbose=0)
        sees = 40  # pixels around it decide a pixel, at most
        near = (slice(None), slice(height - sees), slice(width - sees))
        np.testing.assert_allclose(part[near], expected[near], atol=1e-5)


@pytest.mark.parametrize("decoder", ["transpose", "upsample"])
@pytest.mark.parametrize("skips", [False, True])
def test_every_size_gives_what_an_image_with_repeated_edges_gives(
    decoder: str, skips: bool
) -> None:
    config.set_random_seed(4)
    padded = cell_autoencoder((24, 32, 3), (4, 5, 6), 3, decoder, skips=skips)
    for height, width in [(17, 32), (24, 25), (18, 27), (19, 31), (21, 26), (23, 30)]:
        model = cell_autoencoder((height, width, 3), (4, 5, 6), 3, decoder, skips=skips)
        model.set_weights(padded.get_weights())
        image = np.random.default_rng(1).random((2, height, width, 3), np.float32)
        sides = ((0, 0), (0, 24 - height), (0, 32 - width), (0, 0))
        expected = padded.predict(np.pad(image, sides, "edge"), verbose=0)
        result = model.predict(image, verbose=0)
        np.testing.assert_allclose(result, expected[:, :height, :width], atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"input_shape": (16, 24)}, "input_shape=\\(16, 24\\)"),
        ({"decoder": "transposed"}, "did you mean 'transpose'"),
        ({"filters": ()}, "filters is empty"),
        ({"filters": (4, 0)}, "filters=0"),
        ({"code_channels": 0}, "filters=0"),
    ],
)
def test_arguments_outside_their_rule_are_named(arguments: dict, text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        cell_autoencoder(**arguments)


def test_it_overfits_one_batch() -> None:
    config.set_random_seed(0)
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:16, :24]
    centres = rng.uniform(4, 12, (8, 2))
    images = np.stack([np.exp(-((y - a) ** 2 + (x - b) ** 2) / 20) for a, b in centres])
    images = np.repeat(images[..., None], 3, axis=3).astype(np.float32)
    model = cell_autoencoder((16, 24, 3))
    model.compile(Adam(1e-2), "mse")
    losses = [model.train_on_batch(images, images) for _ in range(300)]
    variance = float(images.var())
    assert losses[-1] < 0.05 * variance
