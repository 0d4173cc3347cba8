"""Every operation is one object: where it is defined, in `minicnn.ops`, and in a network."""

import importlib
import inspect
import pickle

import numpy as np
import pytest

from minicnn import Input, Model, activations, ops

rng = np.random.default_rng(3)
IMAGES = rng.uniform(0.2, 0.9, (2, 5, 7, 3)).astype("float32")
KERNEL = rng.normal(size=(3, 2, 3, 4)).astype("float32")
ROW = rng.uniform(0.5, 2, (7, 1)).astype("float32")
TURN = np.array([[0.9, 0.1, 0.2, -0.1, 1.1, 0.3, 0, 0]] * 2, "float32")

#: How to call each operation on images (N,5,7,3), if not on them alone.
CALLS = {
    "add": (ROW,),
    "affine_transform": (TURN,),
    "average_pool2d": ((2, 3),),
    "broadcast_to": ((2, 5, 7, 3),),
    "cast": ("float64",),
    "clip": (0.3, 0.6),
    "conv2d": (KERNEL,),
    "conv2d_transpose": (KERNEL.transpose(0, 1, 3, 2),),
    "convolve2d": (KERNEL[..., 0, 0],),
    "crop2d": (((1, 0), (2, 1)),),
    "cross_correlate2d": (KERNEL[..., 0, 0],),
    "divide": (ROW,),
    "getitem": ((slice(None), 2),),
    "matmul": (rng.normal(size=(3, 4)).astype("float32"),),
    "max_pool2d": ((2, 3),),
    "maximum": (0.5,),
    "mean_squared_error": (0.5 * IMAGES,),
    "minimum": (ROW,),
    "multiply": (ROW,),
    "pad2d": (((1, 0), (2, 1)),),
    "power": (ROW,),
    "reshape": ((2, -1, 3),),
    "resize2d": ((4, 9),),
    "squeeze": ((),),
    "subtract": (ROW,),
    "transpose": ((0, 2, 1, 3),),
}


def call(name, x):
    if name == "where":
        return ops.where(ROW > 1, x, 0.0)
    if name in ("concatenate", "stack"):
        return getattr(ops, name)([x, IMAGES], axis=1)
    return getattr(ops, name)(x, *CALLS.get(name, ()))


@pytest.mark.parametrize("name", ops.__all__)
def test_an_operation_is_one_object(name):
    function = getattr(ops, name)
    assert getattr(importlib.import_module(function.__module__), name) is function
    assert pickle.loads(pickle.dumps(function)) is function
    assert function.__qualname__ == name
    assert list(inspect.signature(function).parameters)


#: Of these, one call gives images of the batch that stands in the call itself.
MATRICES = {"convolve2d", "cross_correlate2d"}


@pytest.mark.parametrize("name", sorted({*ops.__all__} - MATRICES))
def test_an_operation_is_drawn_as_itself_and_computes_the_same(name):
    x = Input(batch_shape=IMAGES.shape)
    y = call(name, x)
    several = isinstance(y, tuple)
    drawn, expected = (y[0], call(name, IMAGES)[0]) if several else (y, call(name, IMAGES))
    assert drawn.call.layer.operation == f"ops.{name}"
    assert drawn.shape == expected.shape
    np.testing.assert_allclose(Model(x, drawn)(IMAGES), expected, rtol=1e-6)


@pytest.mark.parametrize("name", sorted({*activations.__all__} - {"get", "serialize", "glu"}))
def test_an_activation_is_drawn_as_itself(name):
    function = getattr(activations, name)
    x = Input((5, 6, 4))
    layer = (function(x, 0.4, 0.1) if name == "threshold" else function(x)).call.layer
    room = "activations" if function.__module__ == activations.__name__ else "ops"
    assert layer.operation == f"{room}.{function.__name__}"
