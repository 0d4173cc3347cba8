"""What is measured in one process: each piece of work in both libraries, checked to be the same."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import networks
import numpy as np
import torch
from networks import BATCH, MAPS, NETWORKS, Layer, Network
from timing import Case
from torch.nn import functional

import minicnn
from minicnn import ops
from minicnn.geometry import conv2d_geometry
from minicnn.kernels import backend

OURS, THEIRS = "minicnn", "PyTorch"
#: A further column where it is installed.
TENSORFLOW = "TensorFlow"
HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None
if HAS_TENSORFLOW:
    import tensorflow_side
#: The kernel of an operation, called without it.
ALONE = "arithmetic"

#: Differences allowed, relative to the largest number: sums of some 10**5 float32 products. In a
#: network, rounding may also decide which of two nearly equal numbers a max-pool or ReLU passes.
ROUNDING, NETWORK_ROUNDING = 1e-4, 1e-3


def check(what: str, ours: Any, theirs: Any, limit: float = ROUNDING, who: str = THEIRS) -> None:
    """Compare two results.

    Raises:
        ValueError: they differ by more than rounding.
    """
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        raise ValueError(f"{what}: minicnn's shape is {ours.shape}, {who}'s {theirs.shape}")
    difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    if not difference <= limit:
        raise ValueError(f"{what}: minicnn and {who} differ by {difference:.1e}")


def layer_in_tensorflow(layer: Layer) -> dict[str, Callable[[], np.ndarray]]:
    """Return TensorFlow's three maps of a layer."""
    calls = tensorflow_side.layer_calls(
        *networks.layer_arrays(layer), layer.stride, layer.transposed
    )
    return dict(zip(MAPS, calls, strict=True))


def beside_tensorflow(what: str, ours: Any, call: Callable[[], Any]) -> dict[str, Any]:
    """Return TensorFlow's candidate for a case, checked against minicnn's result."""
    check(what, ours, call(), who=TENSORFLOW)
    return {TENSORFLOW: call}


def layer_cases(layers: tuple[Layer, ...]) -> Iterator[Case]:
    """Yield the three maps of each layer, checked."""
    for layer in layers:
        arrays = networks.layer_arrays(layer)
        ours = networks.layer_in_minicnn(layer, *arrays)
        theirs = networks.layer_in_torch(layer, *arrays)
        third = layer_in_tensorflow(layer) if HAS_TENSORFLOW else {}
        for name in MAPS:
            kernels = name == "kernel gradient"
            convert = networks.from_torch_kernel if kernels else networks.from_torch_images
            what, result = f"{layer.name}, {name}", ours[name]()
            check(what, result, convert(theirs[name]()))
            case = Case((layer.name, name), {OURS: ours[name], THEIRS: theirs[name]})
            if third:
                case.candidates |= beside_tensorflow(what, result, third[name])
            yield case


def pool_cases() -> Iterator[Case]:
    """Yield the 2x2 max-pool and its gradient, checked."""
    shape, half = (BATCH, 96, 96, 16), (BATCH, 48, 48, 16)
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal(s, dtype=np.float32) for s in (shape, half))
    tx, tdy = (torch.from_numpy(a).permute(0, 3, 1, 2) for a in (x, dy))
    g = conv2d_geometry(shape[1:3], 2, 2)
    pool, scatter = backend(x.size, x).max_pool2d, backend(x.size, x).scatter
    window = ([2, 2], [2, 2], [0, 0], [1, 1], False)
    torch_pool = torch.ops.aten.max_pool2d_with_indices
    torch_gradient = torch.ops.aten.max_pool2d_with_indices_backward
    values, where = pool(x, g)
    torch_values, indices = torch_pool(tx, *window)
    dx = torch_gradient(tdy, tx, *window, indices)
    check("max-pool", values, torch_values.permute(0, 2, 3, 1))
    check("max-pool, gradient", scatter(dy, where, g), dx.permute(0, 2, 3, 1))
    name = "x".join(map(str, shape))
    forward = Case(
        (name, "forward"), {OURS: lambda: pool(x, g), THEIRS: lambda: torch_pool(tx, *window)}
    )
    gradient = Case(
        (name, "gradient"),
        {
            OURS: lambda: scatter(dy, where, g),
            THEIRS: lambda: torch_gradient(tdy, tx, *window, indices),
        },
    )
    if HAS_TENSORFLOW:
        calls = tensorflow_side.pool_calls(x, dy)
        for case, result, call in zip(
            (forward, gradient), (values, scatter(dy, where, g)), calls, strict=True
        ):
            case.candidates |= beside_tensorflow(f"max-pool, {case.name[1]}", result, call)
    yield from (forward, gradient)


class Sides(NamedTuple):
    """One network with equal weights in both libraries, and its images."""

    network: Network
    model: minicnn.Sequential
    training: networks.TorchTraining
    x: np.ndarray


def sides(network: Network) -> Sides:
    """Return a network in both libraries."""
    minicnn.config.set_random_seed(0)
    x = networks.images(network)
    model, module = networks.in_minicnn(network), networks.in_torch(network)
    networks.copy_weights(model, module)
    return Sides(network, model, networks.TorchTraining(module, networks.torch_images(x)), x)


def check_network(side: Sides) -> None:
    """Compare results, all gradients, and the losses of three steps of both libraries.

    Raises:
        ValueError: something differs by more than rounding.
    """
    network, model, training, x = side
    prediction = networks.from_torch_images(training.predict())
    check(f"{network.name}, result", model.predict_on_batch(x), prediction)
    with minicnn.GradientTape() as tape:
        loss = model.compute_loss(x, x, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    training.loss().backward()
    parameters = training.module.parameters()
    for number, (ours, parameter) in enumerate(zip(gradients, parameters, strict=True)):
        theirs = parameter.grad
        theirs = networks.from_torch_kernel(theirs) if theirs.ndim == 4 else theirs
        what = f"{network.name}, gradient of weight {number}"
        check(what, ours.numpy(), theirs, NETWORK_ROUNDING)
    for number in range(3):
        # PyTorch adds epsilon after a division that minicnn, after Keras, does last.
        scale = (1 - 0.999 ** (number + 1)) ** 0.5
        training.optimizer.param_groups[0]["eps"] = networks.EPSILON / scale
        ours, theirs = float(model.train_on_batch(x, x)), float(training.step())
        check(f"{network.name}, loss of step {number}", ours, theirs, NETWORK_ROUNDING)


def network_cases() -> tuple[list[Case], list[Case]]:
    """Return the whole training steps and the predictions of the networks, checked."""
    steps, predictions = [], []
    for make in NETWORKS.values():
        side = sides(make())
        start = side.model.get_weights()
        prediction = side.model.predict_on_batch(side.x)
        check_network(side)
        train = functools.partial(side.model.train_on_batch, side.x, side.x)
        predict = functools.partial(side.model.predict_on_batch, side.x)
        name = (side.network.name,)
        steps.append(Case(name, {OURS: train, THEIRS: side.training.step}))
        predictions.append(Case(name, {OURS: predict, THEIRS: side.training.predict}))
        if HAS_TENSORFLOW:
            step, call = tensorflow_side.network_calls(side.network, start, side.x)
            steps[-1].candidates[TENSORFLOW] = step
            predictions[-1].candidates |= beside_tensorflow(
                f"{side.network.name}, result", prediction, call
            )
    return steps, predictions


def call_cases() -> Iterator[Case]:
    """Yield public operations on tiny arrays, each beside its arithmetic alone and PyTorch's."""
    rng = np.random.default_rng(0)
    x, k = rng.random((1, 5, 5, 1), np.float32), rng.random((3, 3, 1, 1), np.float32)
    ours_x, ours_k = minicnn.constant(x), minicnn.constant(k)
    tx, tk = networks.torch_images(x), networks.torch_kernel(k)
    window = conv2d_geometry((5, 5), (3, 3))
    pool = conv2d_geometry((5, 5), (2, 2), (2, 2))
    calls: dict[str, tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any]]] = {
        "conv2d": (
            lambda: ops.conv2d(ours_x, ours_k),
            lambda: backend(1, x).conv2d(x, k, window),
            lambda: functional.conv2d(tx, tk),
        ),
        "max_pool2d": (
            lambda: ops.max_pool2d(ours_x),
            lambda: backend(1, x).max_pool2d(x, pool),
            lambda: functional.max_pool2d(tx, 2),
        ),
        "relu": (
            lambda: ops.relu(ours_x), lambda: np.maximum(x, 0), lambda: functional.relu(tx),
        ),
        "add": (lambda: ops.add(ours_x, ours_x), lambda: x + x, lambda: torch.add(tx, tx)),
        "mean": (lambda: ops.mean(ours_x), x.mean, lambda: torch.mean(tx)),
    }  # fmt: skip
    for name, (ours, alone, theirs) in calls.items():
        yield Case((f"ops.{name}",), {OURS: ours, ALONE: alone, THEIRS: theirs})
