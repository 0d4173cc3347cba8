"""The variational autoencoder, against Keras, SciPy and differences."""

import json

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from minicnn import check_gradients, config, convert_to_tensor, ops, optimizers
from minicnn.applications.variational_autoencoder import (
    Sampling,
    grid_of_codes,
    kl_divergence,
    reparameterize,
    variational_autoencoder,
)
from minicnn.errors import ArgumentError
from tests.helpers import ROOT

KERAS = json.loads((ROOT / "tests" / "oracles" / "keras_autoencoders.json").read_text())
SHAPE = (8, 12, 1)


def small(**more):
    return variational_autoencoder(SHAPE, 3, (2, 3), **more)


def images_of_keras():
    return np.random.default_rng(1).random((5, *SHAPE)).astype(np.float32)


def test_training_is_that_of_keras_with_the_same_noise():
    model = small(kl_weight=0.5, seed=7)
    for half in (model.encoder, model.decoder):
        rng = np.random.default_rng(2)
        half.set_weights([rng.normal(0, 0.3, w.shape) for w in half.weights])
    model.compile(optimizers.Adam(0.01))
    found = [
        model.train_on_batch(images_of_keras(), return_dict=True) for _ in KERAS["variational"]
    ]
    found = [[parts[name] for name in ("reconstruction", "kl", "loss")] for parts in found]
    np.testing.assert_allclose(found, KERAS["variational"], rtol=2e-5)


def test_gradients_reach_mean_and_variance_through_the_sampling():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4, 3))
    decoder = convert_to_tensor(rng.normal(size=(3, 5)))

    def loss(mean, log_variance):
        code = reparameterize(mean, log_variance, noise)
        drawn = ops.tanh(ops.matmul(code, decoder))  # (4,5)
        return ops.concatenate([drawn, ops.reshape(kl_divergence(mean, log_variance), (4, 1))], 1)

    check_gradients(loss, rng.normal(size=(4, 3)), rng.normal(size=(4, 3)))


def test_gradients_of_the_whole_loss_with_fixed_noise():
    rng = np.random.default_rng(1)
    images = rng.random((2, *SHAPE))
    with config.use_floatx("float64"):
        model = small(kl_weight=2.0)
        model.compile("adam")
        model(images)
        layer = model.encoder.get_layer("log_variance")

        def loss(kernel):
            layer.kernel = kernel
            model.sampling = Sampling(seed=5, dtype="float64")  # the same noise at each call
            return model.compute_loss(images, None, model(images, training=True))

        start = layer.kernel.numpy()
        check_gradients(loss, start + rng.normal(0, 0.1, start.shape), order=1)


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (1.5, 0.3), (-0.7, 2.5)])
def test_the_divergence_is_the_integral(mean, deviation):
    def integrand(z):
        p = norm(mean, deviation)
        return p.pdf(z) * (p.logpdf(z) - norm.logpdf(z))

    expected, _ = quad(integrand, mean - 12 * deviation, mean + 12 * deviation)
    found = float(kl_divergence([[mean]], [[2 * np.log(deviation)]]).numpy()[0])
    assert found == pytest.approx(expected, abs=1e-6)


def test_sampling_has_the_mean_and_variance_that_were_asked():
    mean, variance = np.array([1.0, -2.0]), np.array([0.25, 4.0])
    inputs = [np.tile(mean, (20000, 1)), np.tile(np.log(variance), (20000, 1))]
    codes = Sampling(seed=0)(inputs, training=True).numpy()
    np.testing.assert_allclose(codes.mean(axis=0), mean, atol=0.05)
    np.testing.assert_allclose(codes.var(axis=0), variance, rtol=0.05)
    assert abs(np.corrcoef(codes.T)[0, 1]) < 0.03
    np.testing.assert_array_equal(Sampling(seed=0)(inputs, training=False), inputs[0])


def test_a_seed_repeats_the_sampling_and_no_seed_follows_the_process():
    inputs = [np.zeros((3, 2)), np.zeros((3, 2))]

    def codes(seed):
        return Sampling(seed)(inputs, training=True).numpy()

    np.testing.assert_array_equal(codes(4), codes(4))
    assert not np.array_equal(codes(4), codes(5))
    config.set_random_seed(4)
    first, second = codes(None), codes(None)
    assert not np.array_equal(first, second)
    config.set_random_seed(4)
    np.testing.assert_array_equal(codes(None), first)


def test_loss_parts_are_reported_for_each_epoch_and_for_validation():
    config.set_random_seed(0)
    model = small(kl_weight=3.0)
    model.compile("adam")
    x = np.random.default_rng(0).random((23, *SHAPE))
    history = model.fit(x, batch_size=5, epochs=2, validation_data=(x, x), verbose=0).history
    for first in ("", "val_"):
        loss, reconstruction, kl = (history[first + n] for n in ("loss", "reconstruction", "kl"))
        assert len(loss) == 2
        np.testing.assert_allclose(loss, np.add(reconstruction, np.multiply(3, kl)), rtol=1e-5)
    # Validation takes the means for codes, so that the figures can be computed from outside.
    mean, log_variance = (z.astype(float) for z in model.encoder.predict(x, verbose=0))
    drawn = model.predict(x, verbose=0).astype(float)
    error = -(x * np.log(drawn) + (1 - x) * np.log(1 - drawn)).sum(axis=(1, 2, 3)).mean()
    kl = ((mean**2 + np.exp(log_variance) - 1 - log_variance) / 2).sum(axis=1).mean()
    assert history["val_reconstruction"][-1] == pytest.approx(error, rel=1e-5)
    assert history["val_kl"][-1] == pytest.approx(kl, rel=1e-4)


def test_weights_are_stored_and_read(tmp_path):
    x = images_of_keras()
    one, two = small(), small()
    expected = one.predict(x, verbose=0)
    assert not np.allclose(two.predict(x, verbose=0), expected)
    one.save_weights(tmp_path / "digits.safetensors")
    two.load_weights(tmp_path / "digits.safetensors")
    np.testing.assert_array_equal(two.predict(x, verbose=0), expected)


def test_the_grid_parts_the_normal_distribution_evenly():
    grid = grid_of_codes(3, 5)
    assert grid.shape == (3, 5, 2)
    np.testing.assert_allclose(grid[0, :, 0], norm.ppf([0.1, 0.3, 0.5, 0.7, 0.9]))
    np.testing.assert_allclose(grid[:, 0, 1], norm.ppf([5 / 6, 1 / 2, 1 / 6]), atol=1e-12)


def test_wrong_arguments_are_named():
    with pytest.raises(ArgumentError, match="rows=0, columns=4"):
        grid_of_codes(0, 4)
    with pytest.raises(ArgumentError, match="kl_weight=-1"):
        small(kl_weight=-1)
    with pytest.raises(ArgumentError, match="width 30 is no multiple of 4"):
        variational_autoencoder((28, 30, 1))
    model = small()
    model.compile("adam")
    with pytest.raises(ArgumentError, match="sample weights"):
        model.train_on_batch(images_of_keras(), images_of_keras(), sample_weight=np.ones(5))
