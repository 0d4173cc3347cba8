"""Sparse autoencoders, against Keras' training and by what their penalties ask for."""

import json

import numpy as np
import pytest

from minicnn import config, optimizers, regularizers
from minicnn.applications.sparse_autoencoder import (
    mean_correlation,
    share_near_zero,
    sparse_autoencoder,
)
from minicnn.datasets import render_digits
from minicnn.errors import ArgumentError, ShapeError
from tests.helpers import ROOT

KERAS = json.loads((ROOT / "tests" / "oracles" / "keras_autoencoders.json").read_text())
SHAPE = (8, 12, 1)


def images_of_keras(count=5):
    return np.random.default_rng(1).random((count, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize(
    ("case", "penalty", "activation"),
    [("sparse_l1", regularizers.L1(0.02), "relu"), ("sparse_none", None, "sigmoid")],
)
def test_training_is_that_of_keras(case, penalty, activation):
    model, _, _ = sparse_autoencoder(SHAPE, 6, penalty, activation)
    rng = np.random.default_rng(2)
    model.set_weights([rng.normal(0, 0.3, w.shape) for w in model.weights])
    model.compile(optimizers.Adam(0.01), "mse")
    x = images_of_keras()
    losses = [model.train_on_batch(x, x) for _ in KERAS[case]["losses"]]
    np.testing.assert_allclose(losses, KERAS[case]["losses"], rtol=2e-5)
    sums = [w.numpy().sum() for w in model.weights]
    np.testing.assert_allclose(sums, KERAS[case]["sums"], rtol=1e-3)


@pytest.mark.parametrize(
    ("penalty", "activation"),
    [
        (regularizers.L1(0.3), "relu"),
        (regularizers.KLSparsity(0.1), "sigmoid"),
        (regularizers.CodeOrthogonality(), "sigmoid"),
    ],
)
def test_the_penalty_does_not_grow_with_the_batch(penalty, activation):
    config.set_random_seed(0)
    model, _, _ = sparse_autoencoder(SHAPE, 6, penalty, activation)
    x = images_of_keras(7)
    found = []
    for times in (1, 4):
        model(np.repeat(x, times, axis=0))
        (loss,) = model.losses
        found.append(float(loss))
    assert found[0] > 1e-3
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def trained(penalty, activation):
    """Return the codes of digits after a short training."""
    images, _ = render_digits(400, seed=2)
    x = images[..., None] / np.float32(255)
    config.set_random_seed(0)
    model, encoder, _ = sparse_autoencoder((28, 28, 1), 24, penalty, activation)
    model.compile(optimizers.Adam(0.01), "binary_crossentropy")
    model.fit(x, x, batch_size=50, epochs=25, verbose=0)
    return encoder.predict(x, verbose=0)


@pytest.mark.parametrize("rho", [0.05, 0.2])
def test_kl_sparsity_brings_every_unit_to_the_wanted_mean(rho):
    codes = trained(regularizers.KLSparsity(rho, 0.3), "sigmoid")
    assert abs(codes.mean() / rho - 1) < 0.15
    assert np.abs(codes.mean(axis=0) / rho - 1).max() < 0.5


def test_l1_makes_more_zeros_the_larger_it_is():
    shares = [
        share_near_zero(trained(regularizers.L1(factor) if factor else None, "relu"))
        for factor in (0, 3e-4, 1e-3)
    ]
    assert shares[0] < 0.5 < shares[1] < shares[2] < 1


def test_orthogonality_makes_units_uncorrelated():
    without, asked = (
        mean_correlation(trained(penalty, "sigmoid"))
        for penalty in (None, regularizers.CodeOrthogonality(1.0))
    )
    assert asked < 0.1
    assert without > 2 * asked


def test_mean_correlation_is_numpys():
    codes = np.random.default_rng(3).normal(size=(40, 5)) @ np.diag([1, 10, 100, 0.1, 1])
    codes[:, 1] += 7 * codes[:, 0]
    full = np.corrcoef(codes.T)
    expected = np.mean([abs(full[i, j]) for i in range(5) for j in range(i)])
    assert mean_correlation(codes) == pytest.approx(expected, rel=1e-12)


def test_wrong_arguments_are_named():
    with pytest.raises(ShapeError, match=r"\(4, 1\), but must be \(N,units\)"):
        mean_correlation(np.zeros((4, 1)))
    with pytest.raises(ArgumentError, match="threshold=0"):
        share_near_zero(np.zeros(3), 0)
    with pytest.raises(ArgumentError, match="sparse_autoencoder: code_size=0"):
        sparse_autoencoder(SHAPE, 0)
