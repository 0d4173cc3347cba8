"""What training steps put on the GPU is counted, so that nobody doubles it unseen."""

import math

import numpy as np
import pytest

from benchmarks import gpu_steps, networks
from minicnn import Tensor, Variable, layers, ops
from minicnn.kernels import cuda
from minicnn.losses import CategoricalCrossentropy
from minicnn.models import Sequential
from tests.cuda.simulator import counting, stand_in

BATCH = 8
CLASSIFIER = gpu_steps.mnist_classifier(20, 28, 16)
CELLS = gpu_steps.Training(networks.cell_network(24, 32))


@pytest.fixture(scope="module")
def cupy():
    """The stand-in: a real card does not tell what it is asked for."""
    with stand_in.installed() as module:
        yield module


def test_launches_copies_and_waits_are_told(cupy):
    x, y = np.ones((5, 3), "float32"), cupy.asarray(np.ones((5, 3), "float32"))
    with counting.counted() as counts:
        there = cupy.asarray(x)
        (there + y).reshape(3, 5)[1:]  # a view is no launch
        there *= 2
        there[1:3] = 0
        there.fill(7)
        np.exp(y, out=there)
        cuda.column_sums(there)
        there.sum().get()
    told = [event[:4] for event in counts.events]
    assert told == [
        (counting.SENT, "asarray", 0, 60),
        (counting.LAUNCH, "add", 120, 60),
        (counting.LAUNCH, "imul", 60, 60),
        (counting.LAUNCH, "setitem", 0, 24),
        (counting.LAUNCH, "fill", 0, 60),
        (counting.LAUNCH, "exp", 60, 60),
        (counting.LAUNCH, "column_sums", 60, 12),
        (counting.LAUNCH, "sum", 60, 4),
        (counting.FETCHED, "get", 4, 0),
    ]
    assert (counts.launches, counts.sent, counts.waits) == (7, 1, 1)
    assert counts.moved == sum(event[2] + event[3] for event in told)
    assert f"{counts.moved:,} bytes" in counts.table()[-1]


def test_joining_by_cupy_is_a_launch_for_each_array_or_tables_and_one(cupy):
    few, many = ([cupy.zeros(3, "float32") for _ in range(n)] for n in (8, 9))
    with counting.counted() as counts:
        cupy.concatenate(few)
    assert (counts.launches, counts.sent, counts.moved) == (8, 0, 8 * 24)
    with counting.counted() as counts:
        cupy.concatenate(many)
    assert (counts.launches, counts.sent) == (1, 3)
    with counting.counted() as counts:
        cuda.joined(many)
    assert (counts.launches, counts.sent) == (1, 0)


def floor(training):
    """Return the bytes that a step has to move.

    What a layer makes is written and read, once there and once again on the way back; its gradient
    is written and read. Adam reads four numbers for each weight and writes three.
    """
    model = gpu_steps.model_of(training, False)
    results = sum(math.prod(layer.output.shape[1:]) for layer in model.layers)
    return 4 * (5 * BATCH * results + 7 * model.count_params())


@pytest.mark.parametrize(
    ("training", "launches"), [(CLASSIFIER, 26), (CELLS, 42)], ids=["classifier", "cells"]
)
def test_a_step_starts_few_kernels_and_moves_little(cupy, training, launches):
    found = counting.steps(training, BATCH)
    step, replayed, prediction = (found[k] for k in ("step", "replayed step", "prediction"))
    assert step.launches <= launches
    assert step.moved <= 1.5 * floor(training)
    # The batch and the weights into the graph's memory, the graph, the gradients, Adam.
    assert replayed.launches <= 6
    assert replayed.moved <= 0.2 * floor(training)
    stages = training.network.stages
    assert prediction.launches <= len(stages) + 2 * bool(training.classes)
    for counts in found.values():
        assert (counts.sent, counts.waits) == (0, 1), "\n".join(counts.table())


def launches_of(call):
    call()  # compiles and fills tables
    with counting.counted() as counts:
        call()
    return counts.launches


def test_numbers_that_meet_a_tensor_are_no_launch(cupy):
    x, mask = Tensor(np.ones((2, 3), "float32")).gpu(), cupy.ones((2, 3), bool)
    for call in (
        *(lambda: x + 2, lambda: 2 - x, lambda: x * np.float64(2), lambda: 2 / x),
        *(lambda: x > 1, lambda: ops.where(mask, x, 0.0), lambda: ops.where(mask, 0.0, x)),
    ):
        assert launches_of(call) == 1


def test_layers_and_losses_are_few_launches(cupy):
    rng = np.random.default_rng(1)
    x, t = (Tensor(rng.random((6, 5), np.float32)).gpu() for _ in range(2))
    dense = Sequential([layers.Input((5,)), layers.Dense(4, activation="relu")]).gpu()
    norm = Sequential([layers.Input((3, 4, 5)), layers.BatchNormalization(), layers.ReLU()]).gpu()
    images = Tensor(rng.random((2, 3, 4, 5), np.float32)).gpu()
    assert launches_of(lambda: dense(x)) == 2  # the product, and its bias with the ReLU
    assert launches_of(lambda: norm.predict_on_batch(images)) == 1
    assert launches_of(lambda: norm(images, training=True)) == 4  # three, and the statistics
    for function in (ops.softmax, ops.log_softmax, ops.relu):
        variable = Variable(x)
        assert launches_of(lambda f=function: f(x)) == 1
        with_gradient = launches_of(lambda f=function, v=variable: ops.sum(f(v)).backward())
        # There, the sum, the seed, that one for each number, back, and both calls' gradients added.
        assert with_gradient <= 6
    assert launches_of(lambda: CategoricalCrossentropy()(t, x)) == 2
