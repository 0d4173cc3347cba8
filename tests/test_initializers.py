"""Initializers against the distributions that Keras 3 draws from."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from minicnn import config, initializers
from minicnn.errors import ArgumentError

ORACLES = Path(__file__).parent / "oracles"
CASES = json.loads((ORACLES / "keras_training.json").read_text())["initializers"]


def samples(initializer, shape, at_least=100_000):
    config.set_random_seed(17)
    draws = math.ceil(at_least / math.prod(shape))
    return np.stack([initializer(shape, "float64") for _ in range(draws)])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_range_mean_and_spread_are_those_of_keras(case):
    shape = tuple(case["shape"])
    assert initializers.fans(shape) == (case["fan_in"], case["fan_out"])
    values = samples(initializers.get(case["class"]), shape)
    assert values.size >= case["samples"] * 0.99
    # With 100000 values the mean is known to std / 316, the standard deviation to 0.3 %.
    assert abs(values.mean() - case["mean"]) < 6 * case["std"] / 316
    assert values.std() == pytest.approx(case["std"], rel=0.015)
    assert values.max() == pytest.approx(case["max"], rel=0.005)
    assert values.min() == pytest.approx(case["min"], rel=0.005)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_shape_of_the_distribution(case):
    values = samples(initializers.get(case["class"]), tuple(case["shape"]), 20_000).ravel()
    family, kind = case["class"].split("_")
    fans = {"glorot": (case["fan_in"] + case["fan_out"]) / 2, "he": case["fan_in"] / 2}
    deviation = 1 / math.sqrt(fans.get(family, case["fan_in"]))
    if kind == "uniform":
        limit = math.sqrt(3) * deviation
        distribution = stats.uniform(-limit, 2 * limit)
    else:
        distribution = stats.truncnorm(-2, 2, scale=deviation / stats.truncnorm(-2, 2).std())
    # The largest distance of the distribution functions: 2 / sqrt(n) is passed once in 1500 tries.
    assert stats.kstest(values, distribution.cdf).statistic < 2 / math.sqrt(values.size)


def test_normal_and_uniform_values_of_given_size():
    values = samples(initializers.RandomNormal(3.0, 0.5), (5, 7)).ravel()
    assert stats.kstest(values, stats.norm(3.0, 0.5).cdf).statistic < 2 / math.sqrt(values.size)
    values = samples(initializers.RandomUniform(-1.0, 3.0), (5, 7)).ravel()
    assert stats.kstest(values, stats.uniform(-1, 4).cdf).statistic < 2 / math.sqrt(values.size)
    assert samples(initializers.get("random_normal"), (5, 7)).std() == pytest.approx(0.05, rel=0.02)
    assert samples(initializers.get("random_uniform"), (5, 7)).max() == pytest.approx(
        0.05, rel=0.01
    )


def test_constants():
    assert initializers.Constant(2.5)((2, 3)).tolist() == [[2.5] * 3] * 2
    assert initializers.get("zeros")((2,)).tolist() == [0.0, 0.0]
    assert initializers.get("ones")((2,)).tolist() == [1.0, 1.0]


def test_fans_count_the_field_of_a_kernel():
    assert initializers.fans((3, 2, 4, 7)) == (24, 42)
    assert initializers.fans((2, 4, 7)) == (8, 14)
    assert initializers.fans((5,)) == (5, 5)
    assert initializers.fans(()) == (1, 1)


@pytest.mark.parametrize("name", initializers.NAMES)
def test_seeds_shapes_and_types(name):
    cls = initializers.NAMES[name]
    config.set_random_seed(1)
    first = initializers.get(name)((3, 2, 4, 5))
    assert first.shape == (3, 2, 4, 5)
    assert first.dtype == np.float32
    assert initializers.get(name)((3, 2), "float64").dtype == np.float64
    config.set_random_seed(1)
    np.testing.assert_array_equal(initializers.get(name)((3, 2, 4, 5)), first)
    assert initializers.name_of(initializers.get(name)) == name
    if issubclass(cls, initializers.Constant):
        return
    assert (initializers.get(name)((3, 2, 4, 5)) != first).any()
    seeded = cls(seed=6)
    np.testing.assert_array_equal(seeded((3, 4)), seeded((3, 4)))
    np.testing.assert_array_equal(cls(seed=6)((3, 4)), seeded((3, 4)))
    assert (cls(seed=7)((3, 4)) != seeded((3, 4))).any()
    assert initializers.name_of(seeded) is seeded


def test_initializers_pass_through_and_unknown_names_are_refused():
    mine = initializers.Constant(3.0)
    assert initializers.get(mine) is mine
    with pytest.raises(ArgumentError, match=r"initializer='glorot_unifrm' .*'glorot_uniform'\?"):
        initializers.get("glorot_unifrm")
    with pytest.raises(TypeError, match="Initializer does not say how"):
        initializers.Initializer()((2,))
