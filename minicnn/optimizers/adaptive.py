"""Optimizers that divide each step by the size of past gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.errors import check_within
from minicnn.optimizers.base import Optimizer, Rate

__all__ = ["Adadelta", "Adagrad", "Ftrl", "RMSprop"]

Array = NDArray[Any]


class RMSprop(Optimizer):
    """Steps divided by the running root mean square of the gradient.

    v <- rho*v + (1-rho)*g**2;  step = rate * g / sqrt(v + epsilon);  w <- w - step

    With `centered`, the square of the running mean of g is subtracted from v in the root. With
    `momentum`, the step is added to momentum times the last one.

    Args:
        learning_rate: step size or schedule, default 0.001.
        rho: share of the running means that is kept, default 0.9.
        momentum: share of the last step that is kept, default 0.
        epsilon: default 1e-7.
        centered: divide by the standard deviation, default False.

    Further arguments are those of `Optimizer`.

    Source: T. Tieleman and G. Hinton, Lecture 6.5, 2012; A. Graves, Generating Sequences With
    Recurrent Neural Networks, 2013, equation 38.
    """

    elementwise = True

    def __init__(
        self, learning_rate: Rate = 0.001, rho: float = 0.9, momentum: float = 0.0,
        epsilon: float = 1e-7, centered: bool = False, weight_decay: float | None = None,
        clipnorm: float | None = None, clipvalue: float | None = None,
        global_clipnorm: float | None = None, use_ema: bool = False, ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None, loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None, name: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
                         ema_momentum, ema_overwrite_frequency, loss_scale_factor,
                         gradient_accumulation_steps, name, **kwargs)  # fmt: skip
        self.momentum = check_within(self.name, "momentum", momentum, "[0, 1]")
        self.rho, self.epsilon, self.centered = rho, epsilon, centered
        more = {"momentum": momentum > 0, "average_gradient": centered}
        self.keep(velocity=0.0, **{name: 0.0 for name, kept in more.items() if kept})

    def update(self, weight: Array, gradient: Array, slots: dict[str, Array]) -> Array:
        number, v = weight.dtype.type, slots["velocity"]
        keep, rest = number(self.rho), number(1 - self.rho)
        v *= keep
        v += rest * np.square(gradient)
        size = v
        if self.centered:
            mean = slots["average_gradient"]
            mean *= keep
            mean += rest * gradient
            size = v - np.square(mean)
        step = number(self.learning_rate) * gradient / np.sqrt(size + number(self.epsilon))
        if self.momentum > 0:
            velocity = slots["momentum"]
            velocity *= number(self.momentum)
            velocity += step
            step = velocity
        return weight - step


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients so far.

    a <- a + g**2;  w <- w - rate * g / sqrt(a + epsilon)

    Args:
        learning_rate: step size or schedule, default 0.001.
        initial_accumulator_value: a at the beginning, default 0.1.
        epsilon: default 1e-7.

    Further arguments are those of `Optimizer`.

    Source: J. Duchi et al., Adaptive Subgradient Methods, 2011, section 1.1.
    """

    elementwise = True

    def __init__(
        self, learning_rate: Rate = 0.001, initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7, weight_decay: float | None = None, clipnorm: float | None = None,
        clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
        ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
        name: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
                         ema_momentum, ema_overwrite_frequency, loss_scale_factor,
                         gradient_accumulation_steps, name, **kwargs)  # fmt: skip
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon
        self.keep(accumulator=initial_accumulator_value)

    def update(self, weight: Array, gradient: Array, slots: dict[str, Array]) -> Array:
        number, total = weight.dtype.type, slots["accumulator"]
        total += np.square(gradient)
        step = number(self.learning_rate) * gradient
        return weight - step / np.sqrt(total + number(self.epsilon))


class Adadelta(Optimizer):
    """Steps in the unit of the weights: past steps over past gradients.

    a <- rho*a + (1-rho)*g**2;  d = -g * sqrt(b + epsilon) / sqrt(a + epsilon)
    b <- rho*b + (1-rho)*d**2;  w <- w + rate * d

    Args:
        learning_rate: step size or schedule, default 0.001; 1 is the paper's.
        rho: share of the running means that is kept, default 0.95.
        epsilon: default 1e-7.

    Further arguments are those of `Optimizer`.

    Source: M. Zeiler, ADADELTA, 2012, algorithm 1.
    """

    elementwise = True

    def __init__(
        self, learning_rate: Rate = 0.001, rho: float = 0.95, epsilon: float = 1e-7,
        weight_decay: float | None = None, clipnorm: float | None = None,
        clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
        ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
        name: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
                         ema_momentum, ema_overwrite_frequency, loss_scale_factor,
                         gradient_accumulation_steps, name, **kwargs)  # fmt: skip
        self.rho, self.epsilon = rho, epsilon
        self.keep(accumulated_grad=0.0, accumulated_delta_var=0.0)

    def update(self, weight: Array, gradient: Array, slots: dict[str, Array]) -> Array:
        number = weight.dtype.type
        keep, rest, epsilon = number(self.rho), number(1 - self.rho), number(self.epsilon)
        squares, steps = slots["accumulated_grad"], slots["accumulated_delta_var"]
        squares *= keep
        squares += rest * np.square(gradient)
        step = -np.sqrt(steps + epsilon) * gradient / np.sqrt(squares + epsilon)
        steps *= keep
        steps += rest * np.square(step)
        return weight + number(self.learning_rate) * step


class Ftrl(Optimizer):
    """Follow the regularized leader: keeps weights at exactly zero under an L1 penalty.

    a' = a + g**2;  z <- z + g + 2*shrinkage*w - (a'**p - a**p) / rate * w;  a <- a'
    w <- (clip(z, -l1, l1) - z) / (a**p / rate + 2*l2 + beta/rate)  with p = -learning_rate_power

    Args:
        learning_rate: step size or schedule, default 0.001.
        learning_rate_power: at most 0, default -0.5.
        initial_accumulator_value: a at the beginning, at least 0, default 0.1.
        l1_regularization_strength: l1, at least 0, default 0.
        l2_regularization_strength: l2, at least 0, default 0.
        l2_shrinkage_regularization_strength: penalty on large weights, at least 0, default 0.
        beta: beta of the paper, default 0.

    Further arguments are those of `Optimizer`.

    Source: H. McMahan et al., Ad Click Prediction, 2013, algorithm 1.
    """

    elementwise = True

    def __init__(
        self, learning_rate: Rate = 0.001, learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1, l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0, l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0, weight_decay: float | None = None, clipnorm: float | None = None,
        clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
        ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
        name: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
                         ema_momentum, ema_overwrite_frequency, loss_scale_factor,
                         gradient_accumulation_steps, name, **kwargs)  # fmt: skip
        check_within(self.name, "learning_rate_power", learning_rate_power, "(-inf, 0]")
        for argument, value in {
            "initial_accumulator_value": initial_accumulator_value,
            "l1_regularization_strength": l1_regularization_strength,
            "l2_regularization_strength": l2_regularization_strength,
            "l2_shrinkage_regularization_strength": l2_shrinkage_regularization_strength,
        }.items():
            check_within(self.name, argument, value, "[0, inf)")
        self.learning_rate_power, self.beta = learning_rate_power, beta
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.keep(accumulator=initial_accumulator_value, linear=0.0)

    def update(self, weight: Array, gradient: Array, slots: dict[str, Array]) -> Array:
        number, rate = weight.dtype.type, float(self.learning_rate)
        power, limit = number(-self.learning_rate_power), number(self.l1_regularization_strength)
        total, linear = slots["accumulator"], slots["linear"]
        before = total**power
        total += np.square(gradient)
        after = total**power
        linear += gradient + number(2 * self.l2_shrinkage_regularization_strength) * weight
        linear -= (after - before) / number(rate) * weight
        curve = after / number(rate) + number(
            2 * self.l2_regularization_strength + self.beta / rate
        )
        return (np.clip(linear, -limit, limit) - linear) / curve
