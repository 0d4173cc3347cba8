"""Order, number and values of a pipeline's elements, as TensorFlow's tf.data gives them."""

import json
from pathlib import Path

import numpy as np
import pytest

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
