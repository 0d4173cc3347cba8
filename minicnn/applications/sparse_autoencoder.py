"""Sparse autoencoders: many numbers in the code, few of them in use for any one image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.applications.digit_autoencoder import Autoencoder, check_image_shape
from minicnn.errors import ArgumentError, ShapeError
from minicnn.layers import Dense, Flatten, Reshape
from minicnn.models import Model, Sequential

__all__ = ["mean_correlation", "share_near_zero", "sparse_autoencoder"]

Array = NDArray[Any]


def sparse_autoencoder(
    input_shape: Sequence[int] = (28, 28, 1),
    code_size: int = 64,
    penalty: Any = None,
    activation: Any = "sigmoid",
) -> Autoencoder:
    """Return an autoencoder (N,H,W,C) -> (N,H,W,C) of two dense layers, with a penalised code.

    code = activation(W x + b), image = sigmoid(V code + c), both flat

    Args:
        input_shape: (height, width, channels) of images in [0, 1].
        code_size: units of the code; there may be more than needed, as the penalty limits their
            use.
        penalty: the code's `activity_regularizer`: `regularizers.L1` (with `activation="relu"`,
            so that units become exactly 0), `KLSparsity` (with `"sigmoid"`, as it compares shares
            of time that a unit is on), `CodeOrthogonality`, or None.
        activation: of the code, default `"sigmoid"`.

    Returns:
        The autoencoder, its encoder (N,H,W,C) -> (N,code_size) and its decoder back.

    Raises:
        ArgumentError: an argument is outside its rule.

    Source: A. Ng, Sparse autoencoder (CS294A lecture notes).

    >>> model, encoder, decoder = sparse_autoencoder((12, 20, 1), 7, "l1", "relu")
    >>> encoder.output_shape, decoder.output_shape
    ((None, 7), (None, 12, 20, 1))
    """
    check_image_shape("sparse_autoencoder", input_shape, code_size, 1)
    shape = tuple(input_shape)
    code = Dense(code_size, activation, activity_regularizer=penalty, name="code")
    encoder = Sequential([Flatten(input_shape=shape), code], name="encoder")
    decoder = Sequential(
        [Dense(math.prod(shape), "sigmoid", input_shape=(code_size,)), Reshape(shape)],
        name="decoder",
    )
    model = Model(encoder.input, decoder(encoder.output), name="sparse_autoencoder")
    return Autoencoder(model, encoder, decoder)


def share_near_zero(codes: Array, threshold: float = 0.05) -> float:
    """Return the share of a code's numbers whose absolute value is below a threshold.

    Args:
        codes: (N,...) of any shape.
        threshold: above 0, in the code's own unit; default 0.05.

    Raises:
        ArgumentError: the threshold is not above 0.

    >>> share_near_zero(np.array([[0.0, 0.5, -0.01], [0.04, -2.0, 0.0]]))
    0.6666666666666666
    """
    if not threshold > 0:
        raise ArgumentError(f"share_near_zero: threshold={threshold!r}, but it must be above 0.")
    return float((np.abs(codes) < threshold).mean())


def mean_correlation(codes: Array) -> float:
    """Return how much the units of a code go together: 0 not at all, 1 all in step or opposition.

    mean over all pairs i < j of |correlation of unit i and unit j over the samples|

    A unit that never changes correlates with nothing.

    Args:
        codes: (N,units), 2 units or more.

    Raises:
        ShapeError: the codes have another shape.

    >>> codes = np.array([[0.0, 1.0, 4.0], [1.0, 0.0, 4.0], [2.0, -1.0, 4.0]])
    >>> round(mean_correlation(codes), 3)
    0.333
    """
    if codes.ndim != 2 or codes.shape[1] < 2:
        raise ShapeError(
            f"mean_correlation: codes have shape {codes.shape}, but must be (N,units) with 2 units "
            f"or more; reshape them to (N,-1)."
        )
    centred = codes.astype(np.float64) - codes.mean(axis=0, dtype=np.float64)  # (N,units)
    length = np.linalg.norm(centred, axis=0)
    scaled = centred / np.where(length > 0, length, 1)
    correlation = scaled.T @ scaled  # (units,units)
    return float(np.abs(correlation[np.triu_indices(len(correlation), 1)]).mean())
