"""The networks and layers of the speed targets, described once and built in both libraries.

Each module here imports PyTorch only where it is needed: what starts or measures minicnn in a
process of its own must not pay for another library.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import minicnn
from minicnn import layers
from minicnn.geometry import Geometry, conv2d_geometry, conv2d_transpose_geometry
from minicnn.kernels import backend
from minicnn.saving.safetensors import weight_paths

if TYPE_CHECKING:
    import torch

BATCH = 32
#: Adam's, the defaults of minicnn.
LEARNING_RATE, EPSILON = 1e-3, 1e-7


class Stage(NamedTuple):
    """One layer: a convolution, a transposed convolution, or a max-pool with stride `size`."""

    kind: str  # "conv", "transposed" or "pool"
    size: int
    filters: int = 0
    stride: int = 1
    padding: str = "same"
    relu: bool = False


class Network(NamedTuple):
    """A chain of stages for images (height, width, channels)."""

    name: str
    image: tuple[int, int, int]
    stages: tuple[Stage, ...]


def mnist_network() -> Network:
    """Return the autoencoder of 28x28 digits: strided convolutions down to two numbers."""
    return Network(
        "MNIST autoencoder",
        (28, 28, 1),
        (
            Stage("conv", 3, 32, 2, relu=True),
            Stage("conv", 3, 64, 2, relu=True),
            Stage("conv", 7, 2, padding="valid"),
            Stage("transposed", 7, 64, padding="valid", relu=True),
            Stage("transposed", 3, 32, 2, relu=True),
            Stage("transposed", 7, 1, 2),
        ),
    )


def cell_network(height: int = 96, width: int = 96, filters: int = 16) -> Network:
    """Return the autoencoder of cell images.

    Args:
        height: rows of the image, a multiple of 8.
        width: columns of the image, a multiple of 8.
        filters: filters of the first stage; those of the others are in proportion.
    """
    encoder = [
        stage
        for number in (filters, filters * 2, filters // 2)
        for stage in (Stage("conv", 3, number, relu=True), Stage("pool", 2))
    ]
    return Network(
        "cell autoencoder",
        (height, width, 3),
        (
            *encoder,
            Stage("transposed", 3, filters * 2, 2, relu=True),
            Stage("transposed", 3, filters, 2, relu=True),
            Stage("transposed", 3, 3, 2),
        ),
    )


NETWORKS = {"mnist": mnist_network, "cell": cell_network}


MAPS = ("forward", "input gradient", "kernel gradient")


class Layer(NamedTuple):
    """A convolution without bias, "same" padding; a transposed one if so said."""

    height: int
    width: int
    channels: int
    filters: int
    size: int = 3
    stride: int = 1
    transposed: bool = False
    batch: int = BATCH
    groups: int = 1

    @property
    def name(self) -> str:
        """What tables call the layer."""
        kind = "transposed " if self.transposed else ""
        kind += "depthwise " if self.groups == self.channels > 1 else ""
        stride = f"/{self.stride}" if self.stride > 1 else ""
        batch = f", batch {self.batch}" if self.batch != BATCH else ""
        return (
            f"{kind}{self.channels}->{self.filters}, {self.size}x{self.size}{stride}, "
            f"{self.height}x{self.width}{batch}"
        )

    @property
    def geometry(self) -> Geometry:
        """The window arithmetic."""
        function = conv2d_transpose_geometry if self.transposed else conv2d_geometry
        found = function((self.height, self.width), self.size, self.stride, "same")
        return found._replace(groups=self.groups)

    @property
    def multiply_adds(self) -> int:
        """The products of the whole batch."""
        g = self.geometry
        pairs = self.channels * self.filters // self.groups
        return self.batch * g.out_height * g.out_width * g.kernel_height * g.kernel_width * pairs


WIDE = (
    Layer(48, 48, 16, 32),
    Layer(14, 14, 32, 64, stride=2),
    Layer(28, 28, 64, 64),
    Layer(28, 28, 128, 128, batch=8),
    Layer(24, 24, 32, 16, stride=2, transposed=True),
)
THIN = (
    Layer(96, 96, 3, 16),
    Layer(28, 28, 1, 32, stride=2),
    Layer(48, 48, 16, 3, stride=2, transposed=True),
    Layer(14, 14, 32, 1, size=7, stride=2, transposed=True),
)


def images(network: Network, batch: int = BATCH) -> np.ndarray:
    """Return a batch of random images (N,H,W,C), always the same."""
    shape = (batch, *network.image)
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def in_minicnn(network: Network) -> minicnn.Sequential:
    """Return the network as a model of minicnn, compiled with Adam and mean squared error."""
    chain: list[Any] = [minicnn.Input(network.image)]
    for stage in network.stages:
        if stage.kind == "pool":
            chain.append(layers.MaxPooling2D(stage.size))
            continue
        kind = layers.Conv2D if stage.kind == "conv" else layers.Conv2DTranspose
        chain.append(
            kind(
                stage.filters,
                stage.size,
                strides=stage.stride,
                padding=stage.padding,
                activation="relu" if stage.relu else None,
            )
        )
    model = minicnn.Sequential(chain)
    model.compile("adam", "mse")
    return model


def in_torch(network: Network) -> torch.nn.Sequential:
    """Return the network as a module of PyTorch, in the memory format that is fastest there.

    With stride 2, "same" padding has its odd pixel at the end, PyTorch's at the beginning. So this
    network is the mirror image of minicnn's: it sees images turned round in both axes, with
    kernels turned likewise, and every product is the same.
    """
    import torch
    from torch import nn

    chain: list[nn.Module] = []
    channels = network.image[2]
    for stage in network.stages:
        if stage.kind == "pool":
            chain.append(nn.MaxPool2d(stage.size))
            continue
        shape = (channels, stage.filters, stage.size, stage.stride)
        pad = stage.size // 2 if stage.padding == "same" else 0
        if stage.kind == "conv":
            chain.append(nn.Conv2d(*shape, padding=pad))
        else:
            chain.append(nn.ConvTranspose2d(*shape, padding=pad, output_padding=stage.stride - 1))
        if stage.relu:
            chain.append(nn.ReLU(inplace=True))
        channels = stage.filters
    return nn.Sequential(*chain).to(memory_format=torch.channels_last)


def torch_images(x: np.ndarray) -> torch.Tensor:
    """Return images (N,H,W,C) as PyTorch's (N,C,H,W), mirrored, channels last in memory."""
    import torch

    tensor = torch.from_numpy(x[:, ::-1, ::-1].copy()).permute(0, 3, 1, 2)
    return tensor.contiguous(memory_format=torch.channels_last)


def torch_kernel(kernel: np.ndarray) -> torch.Tensor:
    """Return a kernel (KH,KW,A,B) as PyTorch's (B,A,KH,KW), mirrored, channels last in memory."""
    import torch

    tensor = torch.from_numpy(kernel[::-1, ::-1].transpose(3, 2, 0, 1).copy())
    return tensor.contiguous(memory_format=torch.channels_last)


def from_torch_images(y: torch.Tensor) -> np.ndarray:
    """Return PyTorch's mirrored images as (N,H,W,C)."""
    return y.detach().numpy().transpose(0, 2, 3, 1)[:, ::-1, ::-1]


def from_torch_kernel(kernel: torch.Tensor) -> np.ndarray:
    """Return PyTorch's mirrored kernel as (KH,KW,A,B)."""
    return kernel.detach().numpy().transpose(2, 3, 1, 0)[::-1, ::-1]


def copy_weights(
    model: minicnn.Sequential, module: torch.nn.Module, seen: tuple[int, ...] = ()
) -> None:
    """Give PyTorch's network the weights of minicnn's.

    Args:
        model: minicnn's.
        module: PyTorch's.
        seen: (H,W,C) of the images that a dense layer sees flattened, if there is one.
    """
    import torch

    weights = weight_paths(model).values()
    with torch.no_grad():
        for weight, parameter in zip(weights, module.parameters(), strict=True):
            value = weight.numpy()
            if value.ndim == 2:  # its rows are the pixels of mirrored images
                parameter.copy_(torch_kernel(value.reshape(*seen, -1)).flatten(1))
            else:
                parameter.copy_(torch_kernel(value) if value.ndim == 4 else torch.from_numpy(value))


class TorchTraining:
    """PyTorch's side of a whole training step: fused Adam and mean squared error."""

    def __init__(self, module: torch.nn.Module, x: torch.Tensor) -> None:
        import torch

        self.module, self.x = module, x
        self.optimizer = torch.optim.Adam(
            module.parameters(), LEARNING_RATE, eps=EPSILON, fused=True
        )

    def loss(self) -> torch.Tensor:
        """Return the mean squared error of the reconstruction."""
        from torch.nn import functional

        return functional.mse_loss(self.module(self.x), self.x)

    def step(self) -> torch.Tensor:
        """Do one step and return the loss before it."""
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def predict(self) -> torch.Tensor:
        """Return the network's result without keeping what a gradient needs."""
        import torch

        with torch.inference_mode():
            return self.module(self.x)


def layer_arrays(layer: Layer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return random images, a kernel and a gradient of the result, as minicnn lays them out."""
    rng = np.random.default_rng(0)
    g = layer.geometry
    sizes = (g.in_height, g.in_width), (g.out_height, g.out_width)
    taken, given = sizes[::-1] if layer.transposed else sizes
    window = (layer.size, layer.size)
    ends = (layer.channels // layer.groups, layer.filters)
    shapes = (
        (layer.batch, *taken, layer.channels),
        (*window, *(ends[::-1] if layer.transposed else ends)),
        (layer.batch, *given, layer.filters),
    )
    x, k, dy = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
    return x, k, dy


def layer_in_minicnn(layer: Layer, x: Any, k: Any, dy: Any) -> dict[str, Callable[[], Any]]:
    """Return minicnn's three maps of a layer, computed where its arrays are."""
    g, work = layer.geometry, layer.multiply_adds
    forward = backend(work, x).conv2d
    back = backend(work, x).conv2d_input_gradient
    kernel_gradient = backend(work, x).conv2d_kernel_gradient
    if layer.transposed:
        functions = (
            lambda: back(x, k, g), lambda: forward(dy, k, g), lambda: kernel_gradient(dy, x, g)
        )  # fmt: skip
    else:
        functions = (
            lambda: forward(x, k, g), lambda: back(dy, k, g), lambda: kernel_gradient(x, dy, g)
        )  # fmt: skip
    return dict(zip(MAPS, functions, strict=True))


def layer_in_torch(
    layer: Layer, x: np.ndarray, k: np.ndarray, dy: np.ndarray, device: str = "cpu"
) -> dict[str, Callable[[], torch.Tensor]]:
    """Return PyTorch's three maps of a layer, on the mirrored images and kernel."""
    import torch
    from torch.nn import functional

    tx, tk, tdy = (
        tensor.to(device) for tensor in (torch_images(x), torch_kernel(k), torch_images(dy))
    )
    stride, pad, groups = layer.stride, layer.size // 2, layer.groups
    extra = stride - 1 if layer.transposed else 0

    def forward() -> torch.Tensor:
        if layer.transposed:
            return functional.conv_transpose2d(tx, tk, None, stride, pad, extra, groups)
        return functional.conv2d(tx, tk, None, stride, pad, 1, groups)

    def backward(which: int) -> torch.Tensor:
        wanted = [number == which for number in range(3)]
        gradients = torch.ops.aten.convolution_backward(
            tdy, tx, tk, None, [stride] * 2, [pad] * 2, [1, 1], layer.transposed, [extra] * 2,
            groups, wanted,
        )  # fmt: skip
        return gradients[which]

    backwards = (functools.partial(backward, which) for which in (0, 1))
    return dict(zip(MAPS, (forward, *backwards), strict=True))
