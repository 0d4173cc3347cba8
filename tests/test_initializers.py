"""Initializers against the distributions that Keras 3 draws from."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from minicnn import config, initializers
from minicnn.errors import ArgumentError, ShapeError
from minicnn.registry import snake_case

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


NAMES = sorted({snake_case(cls.__name__) for cls in initializers.NAMES.values()} - {"identity"})


@pytest.mark.parametrize("name", NAMES)
def test_seeds_shapes_and_types(name):
    cls = initializers.NAMES[name]
    config.set_random_seed(1)
    first = initializers.get(name)((3, 2, 4, 5))
    assert first.shape == (3, 2, 4, 5)
    assert first.dtype == np.float32
    assert initializers.get(name)((3, 2), "float64").dtype == np.float64
    config.set_random_seed(1)
    np.testing.assert_array_equal(initializers.get(name)((3, 2, 4, 5)), first)
    assert initializers.serialize(initializers.get(name)) == name
    if issubclass(cls, initializers.Constant):
        return
    assert (initializers.get(name)((3, 2, 4, 5)) != first).any()
    seeded = cls(seed=6)
    np.testing.assert_array_equal(seeded((3, 4)), seeded((3, 4)))
    np.testing.assert_array_equal(cls(seed=6)((3, 4)), seeded((3, 4)))
    assert (cls(seed=7)((3, 4)) != seeded((3, 4))).any()
    assert initializers.serialize(seeded)["config"]["seed"] == 6


def test_initializers_pass_through_and_unknown_names_are_refused():
    mine = initializers.Constant(3.0)
    assert initializers.get(mine) is mine
    with pytest.raises(ArgumentError, match=r"initializer='glorot_unifrm' .*'glorot_uniform'\?"):
        initializers.get("glorot_unifrm")
    with pytest.raises(TypeError, match="Initializer does not say how"):
        initializers.Initializer()((2,))


MORE = json.loads((ORACLES / "keras_more_layers.json").read_text())["initializers"]


@pytest.mark.parametrize("case", MORE, ids=lambda case: f"{case['class']}-{len(case['config'])}")
def test_given_arguments_draw_as_in_keras(case):
    shape = tuple(case["shape"])
    initializer = getattr(initializers, case["class"])(**case["config"])
    values = samples(initializer, shape)
    assert abs(values.mean() - case["mean"]) < 8 * case["std"] / 316
    assert values.std() == pytest.approx(case["std"], rel=0.015)
    if case["config"].get("distribution") != "untruncated_normal" and case["class"] != "Orthogonal":
        assert values.max() == pytest.approx(case["max"], rel=0.01)
        assert values.min() == pytest.approx(case["min"], rel=0.01)
    twin = initializers.get(initializers.serialize(initializer))
    assert twin.get_config() == initializer.get_config()


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (3, 2, 4, 5)])
def test_orthogonal_rows_or_columns(shape):
    matrix = initializers.Orthogonal(3.0, seed=2)(shape, "float64").reshape(-1, shape[-1])
    small = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(small, 9 * np.eye(len(small)), atol=1e-12)
    with pytest.raises(ShapeError, match="at least two axes"):
        initializers.Orthogonal()((4,))
    with pytest.raises(ShapeError, match="must have two axes"):
        initializers.Identity()((4, 3, 2))


def test_functions_and_configs_initialize():
    def ramp(shape, dtype=None):
        return np.arange(float(np.prod(shape))).reshape(shape)

    assert initializers.get(ramp) is ramp
    made = initializers.get({"class_name": "Constant", "config": {"value": 2.0}})
    assert made((2,)).tolist() == [2.0, 2.0]
    with pytest.raises(ArgumentError, match="mode='fan'"):
        initializers.VarianceScaling(mode="fan")
    with pytest.raises(ArgumentError, match="scale=0"):
        initializers.VarianceScaling(0)
