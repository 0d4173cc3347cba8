"""Adam and its family: steps scaled by running means of the gradient and its size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.errors import ArgumentError
from minicnn.kernels import backend
from minicnn.optimizers.base import Optimizer, Rate

__all__ = ["Adam", "AdamW", "Adamax", "Nadam"]

Array = NDArray[Any]

#: Operations of NumPy in one update of Adam, each a pass over all numbers.
PASSES = 12


class Adam(Optimizer):
    """Steps scaled by running means of the gradient and of its square.

    m <- b1*m + (1-b1)*g;  v <- b2*v + (1-b2)*g**2
    w <- w - rate * sqrt(1-b2**t)/(1-b1**t) * m / (sqrt(v) + epsilon)

    Args:
        learning_rate: step size or schedule, default 0.001.
        beta_1: b1, default 0.9.
        beta_2: b2, default 0.999.
        epsilon: default 1e-7, added as above (the "epsilon hat" of the paper).
        amsgrad: use the largest v so far, default False.

    Further arguments are those of `Optimizer`.

    Source: D. Kingma and J. Ba, Adam, 2014, end of section 2.
    """

    elementwise = True

    def __init__(
        self, learning_rate: Rate = 0.001, beta_1: float = 0.9, beta_2: float = 0.999,
        epsilon: float = 1e-7, amsgrad: bool = False, weight_decay: float | None = None,
        clipnorm: float | None = None, clipvalue: float | None = None,
        global_clipnorm: float | None = None, use_ema: bool = False, ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None, loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None, name: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
                         ema_momentum, ema_overwrite_frequency, loss_scale_factor,
                         gradient_accumulation_steps, name, **kwargs)  # fmt: skip
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad
        self.keep(momentum=0.0, velocity=0.0, **({"velocity_max": 0.0} if amsgrad else {}))

    def update(self, weight: Array, gradient: Array, slots: dict[str, Array]) -> Array:
        t = self.iterations + 1
        m, v = slots["momentum"], slots["velocity"]
        alpha = self.learning_rate * math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        chosen = backend(PASSES * weight.size, weight)
        if not self.amsgrad and chosen.has_tile(weight.dtype):
            rests = 1 - self.beta_1, 1 - self.beta_2
            return chosen.adam(weight, gradient, m, v, *rests, alpha, self.epsilon)
        number = m.dtype.type
        m += (gradient - m) * number(1 - self.beta_1)
        v += (np.square(gradient) - v) * number(1 - self.beta_2)
        if self.amsgrad:
            v = np.maximum(slots["velocity_max"], v, out=slots["velocity_max"])
        step = m * number(alpha)
        step /= np.sqrt(v) + number(self.epsilon)
        return weight - step


class AdamW(Adam):
    """Adam with weight decay apart from the gradient.

    w <- w - rate * weight_decay * w before each step of Adam

    Args:
        learning_rate: step size or schedule, default 0.001.
        weight_decay: share of each weight that is taken off at every step, times the rate;
            default 0.004.
        beta_1: as in `Adam`, default 0.9.
        beta_2: as in `Adam`, default 0.999.
        epsilon: as in `Adam`, default 1e-7.
        amsgrad: as in `Adam`, default False.

    Further arguments are those of `Optimizer`.

    Raises:
        ArgumentError: `weight_decay` is None.

    Source: I. Loshchilov and F. Hutter, Decoupled Weight Decay Regularization, 2017, algorithm 2.
    """

    def __init__(
        self, learning_rate: Rate = 0.001, weight_decay: float = 0.004, beta_1: float = 0.9,
        beta_2: float = 0.999, epsilon: float = 1e-7, amsgrad: bool = False,
        clipnorm: float | None = None, clipvalue: float | None = None,
        global_clipnorm: float | None = None, use_ema: bool = False, ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None, loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None, name: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, clipnorm, clipvalue,
            global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, loss_scale_factor,
            gradient_accumulation_steps, name, **kwargs,
        )  # fmt: skip
        if weight_decay is None:
            raise ArgumentError(f"{self.name}: weight_decay=None, but it must be a number.")


class Adamax(Optimizer):
    """Adam with the largest size of the gradient, slowly forgotten, in place of its mean square.

    m <- b1*m + (1-b1)*g;  u <- max(b2*u, |g|);  w <- w - rate * m / ((1-b1**t) * (u + epsilon))

    Args:
        learning_rate: step size or schedule, default 0.001.
        beta_1: b1, default 0.9.
        beta_2: b2, default 0.999.
        epsilon: default 1e-7.

    Further arguments are those of `Optimizer`.

    Source: D. Kingma and J. Ba, Adam, 2014, section 7.1.
    """

    elementwise = True

    def __init__(
        self, learning_rate: Rate = 0.001, beta_1: float = 0.9, beta_2: float = 0.999,
        epsilon: float = 1e-7, weight_decay: float | None = None, clipnorm: float | None = None,
        clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
        ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
        name: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
                         ema_momentum, ema_overwrite_frequency, loss_scale_factor,
                         gradient_accumulation_steps, name, **kwargs)  # fmt: skip
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.keep(momentum=0.0, norm=0.0)

    def update(self, weight: Array, gradient: Array, slots: dict[str, Array]) -> Array:
        number = weight.dtype.type
        m, u = slots["momentum"], slots["norm"]
        m += (gradient - m) * number(1 - self.beta_1)
        np.maximum(u * number(self.beta_2), np.abs(gradient), out=u)
        rate = self.learning_rate / (1 - self.beta_1 ** (self.iterations + 1))
        return weight - number(rate) * m / (u + number(self.epsilon))


class Nadam(Optimizer):
    """Adam with Nesterov's look ahead.

    u_t = b1 * (1 - 0.96**t / 2);  p_t = u_1 * ... * u_t;  m and v as in Adam
    d = u_t+1 * m / (1-p_t+1) + (1-u_t) * g / (1-p_t)
    w <- w - rate * d / (sqrt(v / (1-b2**t)) + epsilon)

    Args:
        learning_rate: step size or schedule, default 0.001.
        beta_1: b1, default 0.9.
        beta_2: b2, default 0.999.
        epsilon: default 1e-7.

    Further arguments are those of `Optimizer`.

    Source: T. Dozat, Incorporating Nesterov Momentum into Adam, 2016, algorithm 2.
    """

    elementwise = True

    def __init__(
        self, learning_rate: Rate = 0.001, beta_1: float = 0.9, beta_2: float = 0.999,
        epsilon: float = 1e-7, weight_decay: float | None = None, clipnorm: float | None = None,
        clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
        ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
        name: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
                         ema_momentum, ema_overwrite_frequency, loss_scale_factor,
                         gradient_accumulation_steps, name, **kwargs)  # fmt: skip
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.keep(momentum=0.0, velocity=0.0)
        self._product = (0, 1.0)

    def _share(self, t: int) -> float:
        """Return u_t."""
        return self.beta_1 * (1 - 0.5 * 0.96**t)

    def _product_of_shares(self, t: int) -> float:
        """Return p_t, from the last one where that was a step before."""
        done, product = self._product
        if done > t:
            done, product = 0, 1.0
        for i in range(done + 1, t + 1):
            product *= self._share(i)
        self._product = (t, product)
        return product

    def update(self, weight: Array, gradient: Array, slots: dict[str, Array]) -> Array:
        number, t = weight.dtype.type, self.iterations + 1
        m, v = slots["momentum"], slots["velocity"]
        now, ahead, product = self._share(t), self._share(t + 1), self._product_of_shares(t)
        m += (gradient - m) * number(1 - self.beta_1)
        v += (np.square(gradient) - v) * number(1 - self.beta_2)
        step = m * number(ahead / (1 - product * ahead)) + gradient * number(
            (1 - now) / (1 - product)
        )
        size = np.sqrt(v / number(1 - self.beta_2**t)) + number(self.epsilon)
        return weight - step * number(self.learning_rate) / size
