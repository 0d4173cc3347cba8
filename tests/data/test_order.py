"""Order, number and values of a pipeline's elements, as TensorFlow's tf.data gives them."""

import json
from pathlib import Path

import numpy as np
import pytest

from minicnn import Input, Model, layers
from minicnn.data import Dataset

CASES = json.loads((Path(__file__).parents[1] / "oracles" / "tf_data.json").read_text())["cases"]

#: TensorFlow does not know the number of windows' batches and the like; nor must it be told here.
NAMES = {"D": Dataset, "np": np, "R": lambda: (list(range(n, 2 * n)) for n in range(5))}


def plain(element):
    if isinstance(element, tuple):
        return ["tuple", *map(plain, element)]
    if isinstance(element, dict):
        return {key: plain(part) for key, part in element.items()}
    return np.asarray(element).tolist()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["code"])
def test_elements_and_their_number_are_those_of_tensorflow(case):
    data = eval(case["code"], dict(NAMES))
    assert int(data.cardinality()) == case["cardinality"]
    assert [plain(e) for e in data.as_numpy_iterator()] == case["elements"]
    assert [plain(e) for e in data.as_numpy_iterator()] == case["elements"]  # and again


#: Whether two passes give one order in TensorFlow.
SAME = {
    "D.range(50).shuffle(50)": False,
    "D.range(50).shuffle(50, seed=2)": False,
    "D.range(50).shuffle(50, reshuffle_each_iteration=False)": True,
    "D.range(50).shuffle(50).cache()": True,
    "D.range(50).cache().shuffle(50)": False,
    "D.range(50).shuffle(50).batch(4).unbatch().prefetch(2)": False,
    "D.range(50).map(lambda n: n, num_parallel_calls=4).prefetch(2)": True,
    "D.range(9).interleave(lambda n: D.range(3).map(lambda m: 9 * n + m), 2)": True,
}


@pytest.mark.parametrize("code", SAME)
def test_two_passes_have_one_order_where_they_have_in_tensorflow(code):
    data = eval(code, dict(NAMES))
    first, second = ([int(n) for n in data.as_numpy_iterator()] for _ in range(2))
    assert sorted(first) == sorted(second)
    assert (first == second) is SAME[code]


def test_a_model_sees_samples_in_the_order_in_which_they_are_read():
    entry = Input((1,))
    model = Model(entry, layers.Identity()(entry))
    model.compile("sgd", "mse")
    x = np.arange(30.0)[:, None]
    still = Dataset.from_tensor_slices((x, x)).shuffle(30, reshuffle_each_iteration=False).batch(4)
    labels = np.concatenate([y.numpy() for _, y in still])
    np.testing.assert_array_equal(model.predict(still, verbose=0), labels)
    mixed = Dataset.from_tensor_slices((x, x)).shuffle(30, seed=1).batch(4)
    labels = np.concatenate([y.numpy() for _, y in mixed])
    assert (model.predict(mixed, verbose=0) != labels).any()
    assert model.evaluate(mixed, verbose=0) == 0.0
    np.testing.assert_array_equal(model.predict(x, batch_size=4, verbose=0), x)
