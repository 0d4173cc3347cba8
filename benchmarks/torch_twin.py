"""The same network in PyTorch, from the same weights and batches: are the losses the same?

    pip install torch
    python benchmarks/torch_twin.py

trains the standard cell autoencoder on rendered cells, beside its twin in float64 and in float32,
and prints how far both float32 losses are from the float64 one. The exit status says whether
minicnn's stay within the limit. PyTorch's own convolutions, pools, normalization and automatic
gradients are used; Adam is written out after Keras' formula, because PyTorch adds epsilon at
another place. Small networks with batch normalization magnify every rounding, the more the larger
the learning rate: `--dtype float64` shows that nothing but rounding is behind a difference.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

import minicnn
from minicnn import config
from minicnn.applications import cell_autoencoder
from minicnn.datasets import render_cells
from minicnn.optimizers import Adam
from minicnn.saving.safetensors import weight_paths

STAGES = 3


def images_first(kernel: np.ndarray) -> torch.Tensor:
    """Return a kernel (KH,KW,A,B) as PyTorch's (B,A,KH,KW); both kinds of convolution agree."""
    return torch.tensor(kernel.transpose(3, 2, 0, 1).copy())


class Twin:
    """The standard cell autoencoder with PyTorch's functions."""

    def __init__(self, model: minicnn.Model, dtype: str) -> None:
        self.dtype = getattr(torch, dtype)
        self.weights = {}
        for path, variable in weight_paths(model).items():
            if variable.trainable:
                value = variable.numpy()
                tensor = images_first(value) if value.ndim == 4 else torch.tensor(value.copy())
                self.weights[path] = tensor.to(self.dtype).requires_grad_()
        self.moments = {p: (torch.zeros_like(w), torch.zeros_like(w))
                        for p, w in self.weights.items()}  # fmt: skip
        self.steps = 0

    def normalized_relu(self, x: torch.Tensor, stage: str) -> torch.Tensor:
        """Return batch normalization by the batch's own statistics, and ReLU."""
        gamma, beta = self.weights[f"{stage}_norm/gamma"], self.weights[f"{stage}_norm/beta"]
        return F.relu(F.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-3))

    def convolve(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """Return a 3x3 convolution of the same size."""
        bias = self.weights.get(f"{name}/bias")
        return F.conv2d(x, self.weights[f"{name}/kernel"], bias, padding=1)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the network's result for images (N,C,H,W)."""
        sizes = []
        for number in range(1, STAGES + 1):
            sizes.append(x.shape[2:])
            x = self.normalized_relu(self.convolve(x, f"encoder{number}_conv"), f"encoder{number}")
            x = F.max_pool2d(x, 2, ceil_mode=True)
        x = self.convolve(x, "code")
        for number in range(STAGES, 0, -1):
            kernel = self.weights[f"decoder{number}_up/kernel"]
            bias = self.weights.get(f"decoder{number}_up/bias")
            x = F.conv_transpose2d(x, kernel, bias, stride=2)
            height, width = sizes[number - 1]
            # "same" crops what the natural size has too much: the odd pixel at the end.
            top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
            x = x[:, :, top : top + height, left : left + width]
            if number > 1:
                x = self.normalized_relu(x, f"decoder{number}")
        return torch.sigmoid(x)

    def train_on_batch(self, images: np.ndarray, rate: float) -> float:
        """Do one step of Adam on the reconstruction error and return the loss before it."""
        x = torch.tensor(images.transpose(0, 3, 1, 2).copy()).to(self.dtype)
        loss = F.mse_loss(self(x), x)
        gradients = torch.autograd.grad(loss, list(self.weights.values()))
        self.steps += 1
        t = self.steps
        alpha = rate * (1 - 0.999**t) ** 0.5 / (1 - 0.9**t)
        with torch.no_grad():
            for (path, weight), g in zip(self.weights.items(), gradients, strict=True):
                m, v = self.moments[path]
                m += (g - m) * 0.1
                v += (g * g - v) * 0.001
                weight -= alpha * m / (v.sqrt() + 1e-7)
        return float(loss.detach())


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the losses and return 0 if they agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--limit", type=float, default=1e-4, help="relative difference allowed")
    options = parser.parse_args(argv)

    config.set_random_seed(0)
    # An odd height and another width: every stage's cropping is put to the test.
    cells = render_cells(options.batch * 8, (45, 52)).images
    with config.use_floatx(options.dtype):
        model = cell_autoencoder(cells.shape[1:])
        model.compile(Adam(options.rate), "mse")
    exact, twin = Twin(model, "float64"), Twin(model, options.dtype)
    print(f"minicnn {minicnn.__version__} in {options.dtype}, torch {torch.__version__}")
    print(f" step  torch float64   minicnn differs by   torch {options.dtype} differs by")
    worst = [0.0, 0.0]
    for step in range(options.steps):
        first = step * options.batch % len(cells)
        batch = cells[first : first + options.batch]
        truth = exact.train_on_batch(batch, options.rate)
        losses = (
            float(model.train_on_batch(batch, batch)),
            twin.train_on_batch(batch, options.rate),
        )
        differences = [abs(loss - truth) / truth for loss in losses]
        worst = [max(pair) for pair in zip(worst, differences, strict=True)]
        if step % 10 == 0 or step == options.steps - 1:
            print(f"{step + 1:5d} {truth:14.8f} {differences[0]:20.1e} {differences[1]:27.1e}")
    print(f"largest relative difference: minicnn {worst[0]:.1e}, torch {worst[1]:.1e}")
    return 0 if worst[0] <= options.limit else 1


if __name__ == "__main__":
    sys.exit(main())
