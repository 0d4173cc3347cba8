"""Whole training steps on a GPU: forward, loss, backward and Adam, from equal weights."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import minicnn
from benchmarks import gpu_torch, networks
from benchmarks.gpu_layers import Plan
from benchmarks.gpu_timing import OURS, TF32_FROM, THEIRS, Case, Contestant, Pairing
from benchmarks.networks import Network, Stage
from minicnn import config, layers
from minicnn.geometry import conv2d_geometry
from minicnn.kernels import cuda
from minicnn.kernels.cuda.device import card, cupy
from minicnn.losses import CategoricalCrossentropy

if TYPE_CHECKING:
    import torch
    from torch import nn

#: First those that the targets speak of, for a machine that does not get through all in time.
BATCHES = (32, 512, 128)
#: Targets for the ratio of a recorded step, by batch.
TARGETS = {32: 1.0, 512: 0.7}
#: Losses that are compared, of as many steps; a recorded one is replayed from the third step on.
LOSSES = 4

#: Names of contestants.
PLAIN, REPLAYED, REPLAYED_TF32 = "as it is", "replayed", "replayed, tf32"
EAGER, EAGER_TF32, COMPILED = "eager", "eager, TF32", "torch.compile"
#: Rounding may also decide which of two nearly equal numbers a max-pool or ReLU passes.
LIMITS = {PLAIN: 1e-3, REPLAYED: 1e-3, REPLAYED_TF32: 1e-2}
LIMITS |= {EAGER: 1e-3, EAGER_TF32: 1e-2, COMPILED: 1e-3}


class Training(NamedTuple):
    """A network and what it learns: the image itself, or one of some classes behind its stages."""

    network: Network
    classes: int = 0

    @property
    def seen(self) -> tuple[int, int, int]:
        """(H,W,C) of what the stages leave of an image, for a dense layer."""
        height, width, channels = self.network.image
        for stage in self.network.stages:
            stride = stage.size if stage.kind == "pool" else stage.stride
            padding = "valid" if stage.kind == "pool" else stage.padding
            g = conv2d_geometry((height, width), stage.size, stride, padding)
            height, width, channels = g.out_height, g.out_width, stage.filters or channels
        return height, width, channels


def mnist_classifier(height: int = 28, width: int = 28, filters: int = 32) -> Training:
    """Return the classifier of ten digits: two convolutions with max-pools, a dense layer."""
    stages = tuple(
        stage
        for number in (filters, 2 * filters)
        for stage in (Stage("conv", 3, number, relu=True), Stage("pool", 2))
    )
    return Training(Network("MNIST classifier", (height, width, 1), stages), 10)


TRAININGS = (mnist_classifier(), Training(networks.cell_network()))


def plans(
    trainings: tuple[Training, ...], batches: tuple[int, ...], device: str | None,
    compiled: bool = True, backend: str = "cupy",
) -> list[Plan]:  # fmt: skip
    """Return the steps of each network with each size of batch.

    Args:
        trainings: the networks.
        batches: images in a batch.
        device: PyTorch's, or None for none.
        compiled: whether torch.compile takes part.
        backend: minicnn's.
    """
    return [
        Plan(
            f"{training.network.name}, batch {batch}",
            functools.partial(step_cases, training, batch, device, compiled, backend),
        )
        for batch in batches
        for training in trainings
    ]


def step_cases(
    training: Training, batch: int, device: str | None, compiled: bool = True, backend: str = "cupy"
) -> list[Case]:
    """Return the step of one network."""
    contestants: dict[str, Contestant] = {}
    tensor_cores = card().capability >= TF32_FROM
    if device:
        ways = {EAGER: (False, False)}
        if tensor_cores:
            ways[EAGER_TF32] = (True, False)
        if compiled:
            ways[COMPILED] = (False, True)
        for label, (tf32, recorded) in ways.items():
            setting = functools.partial(gpu_torch.precision, tf32)
            begin = functools.partial(in_torch, training, batch, device, recorded)
            contestants[label] = _contestant(label, THEIRS, begin, setting)
    mine = {PLAIN: ("float32", False), REPLAYED: ("float32", True)}
    if tensor_cores:
        mine[REPLAYED_TF32] = ("tf32", True)
    for label, (precision, recorded) in mine.items():
        setting = functools.partial(cuda.use_precision, precision)
        begin = functools.partial(in_minicnn, training, batch, recorded, backend)
        contestants[label] = _contestant(label, OURS, begin, setting)
    pairings = [
        Pairing(PLAIN, EAGER),
        Pairing(REPLAYED, EAGER, ratio=TARGETS.get(batch)),
    ]
    if tensor_cores:
        pairings.append(Pairing(REPLAYED_TF32, EAGER_TF32, "tf32"))
    if COMPILED in contestants:
        pairings.append(Pairing(REPLAYED, COMPILED))
    return [Case((training.network.name, f"batch {batch}"), contestants, pairings)]


#: A step that returns the loss before it as anything that becomes a float.
Step = Callable[[], Any]


def _contestant(
    label: str, library: str, begin: Callable[[], tuple[Step, Step]], setting: Callable[[], Any]
) -> Contestant:
    """Return a contestant that builds its network when its first losses are asked for."""
    steps: list[Step] = []

    def losses() -> Any:
        first, later = begin()
        steps.append(later)
        return cupy().asarray(np.array([float(first()) for _ in range(LOSSES)]))

    return Contestant(library, lambda: steps[0](), losses, LIMITS[label], setting)


def data(training: Training, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a batch of images and what is to be learnt of them, classes as rows of 0 and 1.

    By rows, because the check of class numbers waits for the GPU, and such steps are not recorded.
    """
    x = networks.images(training.network, batch)
    if not training.classes:
        return x, x
    return x, np.eye(training.classes, dtype=np.float32)[np.arange(batch) % training.classes]


def model_of(training: Training, recorded: bool) -> minicnn.Sequential:
    """Return the network in minicnn, with weights that are always the same."""
    config.set_random_seed(0)
    model = networks.in_minicnn(training.network)
    loss: Any = "mse"
    if training.classes:
        dense = layers.Dense(training.classes)
        chain = [minicnn.Input(training.network.image), *model.layers, layers.Flatten(), dense]
        model, loss = minicnn.Sequential(chain), CategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=True if recorded else "auto")
    return model


def in_minicnn(
    training: Training, batch: int, recorded: bool, backend: str = "cupy"
) -> tuple[Step, Step]:
    """Return minicnn's step for the first losses, and for those that are measured."""
    with config.use_backend(backend):
        model = model_of(training, recorded)
        x, y = map(minicnn.constant, data(training, batch))

    def step() -> Any:
        return model.train_on_batch(x, y)

    def first() -> Any:
        with warnings.catch_warnings():
            if recorded:  # what says that it cannot be shall not be called a replay
                warnings.simplefilter("error")
            return step()

    return first, step


def in_torch(training: Training, batch: int, device: str, recorded: bool) -> tuple[Step, Step]:
    """Return PyTorch's step for the first losses, and for those that are measured.

    The losses that are measured stay on the card, and nobody waits for them.
    """
    import torch
    from torch import nn

    module = networks.in_torch(training.network)
    x, y = data(training, batch)
    if training.classes:
        numbers = int(np.prod(training.seen))
        module = nn.Sequential(*module, nn.Flatten(), nn.Linear(numbers, training.classes))
    with config.use_backend("numpy"):
        networks.copy_weights(model_of(training, False), module, training.seen)
    images = networks.torch_images(x).to(device)
    steps = networks.TorchTraining(module.to(device), images)
    if training.classes:
        labels = torch.from_numpy(y.argmax(1)).to(device)
        steps.loss = functools.partial(_classified, module, images, labels)
    if recorded:
        # Else it remembers the batch before, and compiles for batches of all sizes.
        torch.compiler.reset()
        steps.loss = torch.compile(steps.loss, mode="reduce-overhead", dynamic=False)
    done = 0

    def first() -> Any:
        # PyTorch adds epsilon after a division that minicnn, after Keras, does last.
        nonlocal done
        done += 1
        for group in steps.optimizer.param_groups:
            group["eps"] = networks.EPSILON / (1 - 0.999**done) ** 0.5
        return steps.step()

    return first, steps.step


def _classified(module: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    from torch.nn import functional

    return functional.cross_entropy(module(images), labels)
