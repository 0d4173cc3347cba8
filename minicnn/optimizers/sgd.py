"""Gradient descent, with momentum if wanted, and by signs alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.errors import check_within
from minicnn.optimizers.base import Optimizer, Rate

__all__ = ["SGD", "Lion"]

Array = NDArray[Any]


class SGD(Optimizer):
    """Gradient descent, with momentum if wanted.

    v <- momentum*v - rate*g;  w <- w + v, or with Nesterov's look ahead w + momentum*v - rate*g

    Args:
        learning_rate: step size or schedule, default 0.01.
        momentum: share of the last step that is kept, default 0.
        nesterov: look ahead, default False.

    Further arguments are those of `Optimizer`.

    >>> from minicnn import Variable
    >>> w = Variable([1.0, 2.0, 3.0])
    >>> SGD(0.5).apply_gradients([([1.0, 0.0, -2.0], w)])
    1
    >>> w.numpy().tolist()
    [0.5, 2.0, 4.0]
    """

    elementwise = True

    def __init__(
        self, learning_rate: Rate = 0.01, momentum: float = 0.0, nesterov: bool = False,
        weight_decay: float | None = None, clipnorm: float | None = None,
        clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
        ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
        name: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
                         ema_momentum, ema_overwrite_frequency, loss_scale_factor,
                         gradient_accumulation_steps, name, **kwargs)  # fmt: skip
        check_within(self.name, "momentum", momentum, "[0, 1]")
        self.momentum, self.nesterov = momentum, nesterov
        if momentum:
            self.keep(momentum=0.0)

    def update(self, weight: Array, gradient: Array, slots: dict[str, Array]) -> Array:
        step = gradient * weight.dtype.type(self.learning_rate)
        if not self.momentum:
            return weight - step
        velocity = slots["momentum"]
        velocity *= self.momentum
        velocity -= step
        if self.nesterov:
            return weight + velocity * weight.dtype.type(self.momentum) - step
        return weight + velocity


class Lion(Optimizer):
    """Steps of one size: only the sign of a mixture of momentum and gradient counts.

    w <- w - rate * sign(b1*m + (1-b1)*g);  m <- b2*m + (1-b2)*g

    Args:
        learning_rate: step size or schedule, default 0.001.
        beta_1: b1, in (0, 1], default 0.9.
        beta_2: b2, default 0.99.

    Further arguments are those of `Optimizer`.

    Source: X. Chen et al., Symbolic Discovery of Optimization Algorithms, 2023, program 1.
    """

    elementwise = True

    def __init__(
        self, learning_rate: Rate = 0.001, beta_1: float = 0.9, beta_2: float = 0.99,
        weight_decay: float | None = None, clipnorm: float | None = None,
        clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
        ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
        name: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
                         ema_momentum, ema_overwrite_frequency, loss_scale_factor,
                         gradient_accumulation_steps, name, **kwargs)  # fmt: skip
        check_within(self.name, "beta_1", beta_1, "(0, 1]")
        self.beta_1, self.beta_2 = beta_1, beta_2
        self.keep(momentum=0.0)

    def update(self, weight: Array, gradient: Array, slots: dict[str, Array]) -> Array:
        number, m = weight.dtype.type, slots["momentum"]
        mixture = m * number(self.beta_1) + gradient * number(1 - self.beta_1)
        m *= number(self.beta_2)
        m += gradient * number(1 - self.beta_2)
        return weight - np.sign(mixture) * number(self.learning_rate)
