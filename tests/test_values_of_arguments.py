"""Every value of an argument that a docstring names works; any other is refused at once."""

import inspect
import re

import numpy as np
import pytest

from minicnn import keras, layers, ops, utils
from minicnn.errors import ArgumentError
from tests.test_copies import GUESS, IMAGES, INPUTS, NUMBERS, TRUTH, everything, given_to, make

OWNERS = [
    cls
    for room, base in [
        (layers, layers.Layer),
        (keras.losses, keras.losses.Loss),
        (keras.metrics, keras.metrics.Metric),
        (keras.callbacks, keras.callbacks.Callback),
        (keras.initializers, keras.initializers.Initializer),
        (keras.regularizers, keras.regularizers.Regularizer),
        (keras.optimizers, keras.optimizers.Optimizer),
    ]
    for cls in everything(room, base)
    if cls.__name__ != "Operation"
]
FUNCTIONS = {
    ops.affine_transform: lambda **a: ops.affine_transform(
        IMAGES, [1, 0, 0.5, 0, 1, 0.5, 0, 0], **a
    ),
    ops.average_pool2d: lambda **a: ops.average_pool2d(IMAGES, **a),
    ops.conv2d: lambda **a: ops.conv2d(IMAGES, np.ones((2, 3, 3, 1)), **a),
    ops.conv2d_transpose: lambda **a: ops.conv2d_transpose(IMAGES, np.ones((2, 3, 1, 3)), **a),
    ops.convolve2d: lambda **a: ops.convolve2d(IMAGES[0, ..., 0], np.ones((2, 3)), **a),
    ops.cross_correlate2d: lambda **a: ops.cross_correlate2d(IMAGES[0, ..., 0], GUESS[:2], **a),
    ops.max_pool2d: lambda **a: ops.max_pool2d(IMAGES, **a),
    ops.resize2d: lambda **a: ops.resize2d(IMAGES, (4, 5), **a),
    utils.array_to_img: lambda **a: utils.array_to_img(IMAGES[0], **a),
    utils.img_to_array: lambda **a: utils.img_to_array(IMAGES[0], **a),
}
#: Texts that stand for much else, or that are only looked for while training.
FREE = {"monitor", "filepath", "filename", "separator", "name", "fill_value", "package"}


def documented(obj):
    """Return the texts that a docstring names for each argument, and those that are defaults."""
    found = {}
    bases = obj.__mro__ if inspect.isclass(obj) else [obj]
    for doc in [base.__doc__ or "" for base in bases]:
        part = re.search(r"\n\s*Args:\n(.*?)(\n\s*\n|\Z)", doc, re.DOTALL)
        lines = re.split(r"\n(?= {4,8}\w)", f"\n{part[1]}" if part else "")
        for name, _, text in (line.strip().partition(":") for line in lines):
            found.setdefault(name, set()).update(re.findall(r'`"([\w.]+)"`', text))
    known = inspect.signature(obj).parameters
    for name, parameter in known.items():
        if isinstance(parameter.default, str):
            found.setdefault(name, set()).add(parameter.default)
    return {n: sorted(v) for n, v in found.items() if v and n in known and n not in FREE}


CHOICES = [(obj, name, value) for obj in [*OWNERS, *FUNCTIONS]
           for name, values in documented(obj).items() for value in values]  # fmt: skip


def use(obj, cls):
    if isinstance(obj, layers.Layer):
        for x in INPUTS:
            try:
                return obj(x, training=True)
            except (ArgumentError, ValueError):
                continue
        return pytest.fail(f"nothing enters {obj!r}")
    if isinstance(obj, keras.losses.Loss):
        sparse = "Sparse" in cls.__name__ or "Generalized" in cls.__name__
        return obj(NUMBERS if sparse else TRUTH, GUESS)
    if isinstance(obj, keras.metrics.Metric):
        return obj(*given_to(cls))
    if isinstance(obj, keras.initializers.Initializer):
        return obj((3, 4))
    return obj(GUESS) if isinstance(obj, keras.regularizers.Regularizer) else None


def test_all_choices_are_looked_at():
    assert len(CHOICES) > 240
    names = {name for _, name, _ in CHOICES}
    assert {"padding", "reduction", "mode", "average", "interpolation", "curve", "fill_mode",
            "distribution", "data_format", "summation_method", "save_freq"} <= names  # fmt: skip


@pytest.mark.parametrize(("obj", "name", "value"), CHOICES)
def test_documented_values_work(obj, name, value):
    if obj in FUNCTIONS:
        FUNCTIONS[obj](**{name: value})
    else:
        use(make(obj, **{name: value}), obj)


@pytest.mark.parametrize(("obj", "name"), dict.fromkeys(c[:2] for c in CHOICES))
@pytest.mark.parametrize("value", ["nonsense", "SAM", ["same"]])
def test_other_values_are_refused_at_once(obj, name, value):
    with pytest.raises(ArgumentError):
        FUNCTIONS[obj](**{name: value}) if obj in FUNCTIONS else make(obj, **{name: value})


#: Arguments with a rule, by what lies outside it; a class has those of its signature.
NUMBERS_OUTSIDE = {
    "dtype": ["zz", "bfloat16", 7.5],
    "rate": [1, -0.1, "0.5", None],
    "stddev": [-1.0, "a"],
    "label_smoothing": [1.5, "a"],
    "num_thresholds": [0, 2.5, "a"],
    "num_classes": [0, 2.5, "a"],
    "thresholds": [1.5, "a", [0.5, None]],
    "momentum": [1.5, "a"],
    "learning_rate": [-1.0, "fast"],
    "patience": [-1, 1.5, "a"],
    "filters": [0, 1.5],
    "units": [0, True],
    "kernel_size": [0, (1, 2, 3), "a"],
    "pool_size": [0, (1, 2, 3), "a"],
    "strides": [0, "a"],
    "dilation_rate": [0, "a"],
    "padding": [-1, (1, 2, 3, 4, 5)],
}
RULES = [(cls, name, value) for cls in OWNERS for name in inspect.signature(cls).parameters
         for value in NUMBERS_OUTSIDE.get(name, ())]  # fmt: skip


@pytest.mark.parametrize(("cls", "name", "value"), RULES)
def test_numbers_outside_their_rule_are_refused_at_once(cls, name, value):
    with pytest.raises(ArgumentError, match=name):
        make(cls, **{name: value})
