"""The variational autoencoder: a code with a distribution, from which new images can be drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config, losses, metrics, ops
from minicnn.applications.digit_autoencoder import check_image_shape
from minicnn.autograd import Tensor, convert_to_tensor
from minicnn.autograd.tensor import alongside, beside
from minicnn.errors import ArgumentError
from minicnn.layers import Conv2D, Conv2DTranspose, Dense, Flatten, Input, Layer, Reshape
from minicnn.models import Model, Sequential

__all__ = [
    "Sampling",
    "VariationalAutoencoder",
    "grid_of_codes",
    "kl_divergence",
    "reparameterize",
    "variational_autoencoder",
]

Array = NDArray[Any]


def reparameterize(mean: Any, log_variance: Any, noise: Any) -> Tensor:
    """Return numbers with this mean and variance, through which gradients reach both.

    mean + exp(log_variance / 2) * noise

    Args:
        mean: any shape.
        log_variance: the same shape.
        noise: standard normal numbers of the same shape.

    Source: D. P. Kingma and M. Welling, Auto-Encoding Variational Bayes, 2014, section 2.4.

    >>> reparameterize([[1.0, -1.0]], np.log([[4.0, 9.0]]), [[0.5, 1.0]]).numpy().round(3).tolist()
    [[2.0, 2.0]]
    """
    return convert_to_tensor(mean) + ops.exp(convert_to_tensor(log_variance) * 0.5) * noise


def kl_divergence(mean: Any, log_variance: Any) -> Tensor:
    """Return how far each sample's normal distribution is from the standard normal one, (N,).

    sum over the code of (mean**2 + variance - 1 - log_variance) / 2, in nats

    Args:
        mean: (N,K).
        log_variance: (N,K).

    Source: D. P. Kingma and M. Welling, Auto-Encoding Variational Bayes, 2014, appendix B.

    >>> kl_divergence([[0.0, 0.0], [3.0, -1.0]], np.zeros((2, 2))).numpy().tolist()
    [0.0, 5.0]
    """
    mean, log_variance = convert_to_tensor(mean), convert_to_tensor(log_variance)
    parts = ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance  # (N,K)
    return ops.sum(parts, axis=1) * 0.5


class Sampling(Layer):
    """In training, codes drawn by their means and logarithms of variance; the means otherwise.

    Called on a list of both, (N,K) each; `reparameterize` has the formula.

    Args:
        seed: start of random numbers of its own, an integer >= 0; those of the process by default.

    >>> codes = Sampling(seed=3)([np.zeros((1, 2)), np.full((1, 2), -50.0)], training=True)
    >>> codes.numpy().round(6).tolist()
    [[0.0, 0.0]]
    """

    takes_list = True

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self._random = config.SeededGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        """Return the codes (N,K)."""
        mean, log_variance = inputs
        if not training:
            return mean
        noise = self._random().standard_normal(mean.shape, dtype=np.float32)
        return reparameterize(mean, log_variance, alongside(noise, mean, mean.dtype))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the means."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make another layer like this one."""
        return {**super().get_config(), "seed": self.seed}


class VariationalAutoencoder(Model):
    """Encoder, sampling and decoder, learned together: `fit(images)` after `compile(optimizer)`.

    loss = binary cross-entropy, summed over an image, + kl_weight * `kl_divergence`, both in nats
    and meant over the batch. `fit` reports `loss`, `reconstruction` and `kl`. Images are
    reconstructed from a sampled code in training and from the mean otherwise.

    Args:
        encoder: images (N,H,W,C) -> [mean (N,K), log_variance (N,K)].
        decoder: codes (N,K) -> images (N,H,W,C) in [0, 1].
        kl_weight: 1 for the bound of the likelihood; more for codes that are nearer to normal.
        seed: of the sampling; by default the random numbers are the process's.
        kwargs: `name`, `trainable` and `dtype`, as for any layer.

    Raises:
        ArgumentError: the weight is below 0.

    Source: D. P. Kingma and M. Welling, Auto-Encoding Variational Bayes, 2014; I. Higgins et al.,
    beta-VAE, 2017, for the weight.

    >>> model = variational_autoencoder((12, 20, 1), code_size=3, filters=(4, 6))
    >>> model.compile("adam")
    >>> history = model.fit(np.zeros((4, 12, 20, 1)), verbose=0).history
    >>> sorted(history), model.decoder(np.zeros((5, 3))).shape
    (['kl', 'loss', 'reconstruction'], (5, 12, 20, 1))
    """

    def __init__(
        self,
        encoder: Any,
        decoder: Any,
        kl_weight: float = 1.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not kl_weight >= 0:
            raise ArgumentError(f"{self.name}: kl_weight={kl_weight!r}, but it must be >= 0.")
        self.encoder, self.decoder, self.kl_weight = encoder, decoder, kl_weight
        self.sampling = Sampling(seed)
        self.reconstruction, self.kl = metrics.Mean("reconstruction"), metrics.Mean("kl")

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the reconstructed images, and add the divergence to the loss."""
        mean, log_variance = self.encoder(inputs)
        self.add_loss(ops.mean(kl_divergence(mean, log_variance)))
        return self.decoder(self.sampling([mean, log_variance]))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Return the loss of a batch, and count its parts; without `y`, the images are the truth.

        Raises:
            ArgumentError: there are sample weights, which the divergence does not know.
        """
        if sample_weight is not None:
            raise ArgumentError(f"{self.name}: sample weights are not supported.")
        truth = beside(x if y is None else y, y_pred)
        count, size = len(truth), math.prod(truth.shape[1:])
        truth, drawn = (ops.reshape(image, (count, size)) for image in (truth, y_pred))
        reconstruction = ops.mean(losses.binary_crossentropy(truth, drawn)) * size
        kl = self.losses[0]
        self.reconstruction.update_state(reconstruction.data, np.asarray(count, np.float64))
        self.kl.update_state(kl.data, np.asarray(count, np.float64))
        return reconstruction + kl * self.kl_weight


def variational_autoencoder(
    input_shape: Sequence[int] = (28, 28, 1),
    code_size: int = 2,
    filters: Sequence[int] = (16, 32),
    *,
    kl_weight: float = 1.0,
    seed: int | None = None,
) -> VariationalAutoencoder:
    """Return a variational autoencoder of strided convolutions, and transposed ones back.

    Args:
        input_shape: (height, width, channels) of images in [0, 1]; sides are multiples of 4.
        code_size: numbers in the code of an image, K.
        filters: channels of the first and the second convolution.
        kl_weight: see `VariationalAutoencoder`.
        seed: likewise.

    Raises:
        ArgumentError: an argument is outside its rule.

    >>> model = variational_autoencoder((28, 36, 1), code_size=3)
    >>> model.encoder.output_shape, model.decoder.output_shape
    ([(None, 3), (None, 3)], (None, 28, 36, 1))
    """
    check_image_shape("variational_autoencoder", input_shape, code_size, 4)
    height, width, channels = input_shape
    first, second = filters
    image = Input(tuple(input_shape), name="image")
    x = Conv2D(first, 3, 2, padding="same", activation="relu")(image)
    x = Conv2D(second, 3, 2, padding="same", activation="relu")(x)
    x = Dense(HIDDEN, "relu")(Flatten()(x))
    heads = [Dense(code_size, name=name)(x) for name in ("mean", "log_variance")]
    left = (height // 4, width // 4, second)  # what two strides of 2 leave
    decoder = Sequential(
        [
            Dense(HIDDEN, "relu", input_shape=(code_size,)),
            Dense(math.prod(left)),  # a ReLU here could die, and leave a hole in all images
            Reshape(left),
            Conv2DTranspose(first, 3, 2, padding="same", activation="relu"),
            Conv2DTranspose(channels, 7, 2, padding="same", activation="sigmoid"),
        ],
        name="decoder",
    )
    encoder = Model(image, heads, name="encoder")
    return VariationalAutoencoder(encoder, decoder, kl_weight, seed, name="variational_autoencoder")


#: Units of the dense layers beside the code.
HIDDEN = 128


def grid_of_codes(rows: int, columns: int) -> Array:
    """Return codes of two numbers (rows,columns,2) that part the normal distribution evenly.

    Equally many of all codes lie between neighbours: the number at place i of n is the one below
    which the share (i + 1/2) / n of the standard normal distribution lies. The first number grows
    to the right, the second upwards.

    Args:
        rows: 1 or more.
        columns: 1 or more.

    Raises:
        ArgumentError: there are no rows or columns.

    Source: D. P. Kingma and M. Welling, Auto-Encoding Variational Bayes, 2014, appendix A.

    >>> grid_of_codes(1, 3).round(2).tolist()
    [[[-0.97, 0.0], [0.0, 0.0], [0.97, 0.0]]]
    """
    if min(rows, columns) < 1:
        raise ArgumentError(
            f"grid_of_codes: rows={rows}, columns={columns}, but both must be at least 1."
        )
    across, up = (
        [NormalDist().inv_cdf((i + 0.5) / count) for i in range(count)] for count in (columns, rows)
    )
    return np.stack(np.meshgrid(across, up[::-1]), axis=-1)  # (rows,columns,2)
