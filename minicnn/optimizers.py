"""Optimizers and learning-rate schedules under Keras' names and defaults."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.autograd.tensor import Variable, plain
from minicnn.errors import ArgumentError, ShapeError, check_choice
from minicnn.kernels import fused

__all__ = [
    "SGD",
    "Adam",
    "CosineDecay",
    "ExponentialDecay",
    "LearningRateSchedule",
    "Optimizer",
    "get",
]

Array = NDArray[Any]


#: Operations of NumPy in one update of Adam, each a pass over all numbers.
PASSES = 12


class LearningRateSchedule:
    """A learning rate that depends on the number of steps done."""

    def __call__(self, step: int) -> float:
        """Return the learning rate of the step after `step` steps."""
        raise TypeError(f"{type(self).__name__} does not define __call__")


class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate * decay_rate ** (step / decay_steps).

    Args:
        initial_learning_rate: rate at step 0.
        decay_steps: steps after which the rate has been multiplied once by `decay_rate`.
        decay_rate: factor.
        staircase: change the rate only after whole `decay_steps`, default False.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps, self.decay_rate, self.staircase = decay_steps, decay_rate, staircase

    def __call__(self, step: int) -> float:
        times = step / self.decay_steps
        power = math.floor(times) if self.staircase else times
        return float(self.initial_learning_rate * self.decay_rate**power)


class CosineDecay(LearningRateSchedule):
    """From the initial rate down to alpha times it along half a cosine wave.

    Args:
        initial_learning_rate: rate at step 0.
        decay_steps: steps until the lowest rate is reached.
        alpha: the lowest rate as a share of the initial one, default 0.

    Source: I. Loshchilov and F. Hutter, SGDR, 2016, equation 5.

    >>> CosineDecay(0.1, decay_steps=100)(50)
    0.05
    """

    def __init__(self, initial_learning_rate: float, decay_steps: int, alpha: float = 0.0) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps, self.alpha = decay_steps, alpha

    def __call__(self, step: int) -> float:
        done = min(step, self.decay_steps) / self.decay_steps
        wave = 0.5 * (1 + math.cos(math.pi * done))
        return float(self.initial_learning_rate * ((1 - self.alpha) * wave + self.alpha))


class Optimizer:
    """Changes variables along their gradients; the base of all optimizers.

    Args:
        learning_rate: step size, or a schedule of step sizes.
        weight_decay: share of each weight that is taken off at every step, times the rate.
        clipnorm: upper limit of the norm of each gradient.
        clipvalue: upper limit of the size of each gradient's elements.
        global_clipnorm: upper limit of the norm of all gradients together.
        name: shown in messages.
    """

    #: Names of the arrays that are kept for each variable.
    slots: tuple[str, ...] = ()
    #: Whether `update` treats every number alike, so that one call may serve all variables.
    elementwise = False

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ) -> None:
        self.name = name or type(self).__name__.lower()
        limits = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = [key for key, value in limits.items() if value is not None]
        if len(given) > 1:
            raise ArgumentError(f"{self.name}: give only one of {' and '.join(given)}.")
        self._rate = learning_rate
        if not callable(learning_rate) and not learning_rate >= 0:
            raise ArgumentError(f"{self.name}: learning_rate={learning_rate!r} must be >= 0.")
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue = clipnorm, clipvalue
        self.global_clipnorm = global_clipnorm
        self.iterations = 0
        self.state: dict[int, dict[str, Array]] = {}
        self._owners: dict[int, Variable] = {}
        self._row: _Row | None = None

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(self._rate(self.iterations) if callable(self._rate) else self._rate)

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule) -> None:
        self._rate = value

    def slots_of(self, variable: Variable) -> dict[str, Array]:
        """Return the arrays kept for a variable, zeros at first."""
        if id(variable) not in self.state:
            self.state[id(variable)] = {s: np.zeros_like(variable.data) for s in self.slots}
            self._owners[id(variable)] = variable  # keeps the id from being given to another
        return self.state[id(variable)]

    def update(self, weight: Array, gradient: Array, slots: dict[str, Array]) -> Array:
        """Return the new weight."""
        raise TypeError(f"{type(self).__name__} does not define update")

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> None:
        """Do one step.

        Args:
            grads_and_vars: pairs (gradient, variable); pairs with the gradient None are left out.

        Raises:
            ShapeError: a gradient has not its variable's shape.
        """
        pairs = [(np.asarray(plain(g)), v) for g, v in grads_and_vars if g is not None]
        for gradient, variable in pairs:
            if gradient.shape != variable.shape:
                raise ShapeError(
                    f"{self.name}: the gradient for {variable.name!r} has shape "
                    f"{gradient.shape}, but the variable has {variable.shape}."
                )
        gradients = self._clipped([g for g, _ in pairs])
        variables = [v for _, v in pairs]
        if self.elementwise and _Row.holds(variables, gradients):
            if self._row is None or not self._row.is_of(variables):
                self._row = _Row(self, variables)
            weights = self._row.joined([v.data for v in variables])
            new = self._updated(weights, self._row.joined(gradients), self._row.slots)
            for variable, weight in zip(variables, self._row.parts(new), strict=True):
                variable.data = weight
        else:
            for gradient, variable in zip(gradients, variables, strict=True):
                slots = self.slots_of(variable)
                variable.data = self._updated(variable.data, gradient, slots)
        for variable in variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable.value))
        self.iterations += 1

    def _updated(self, weight: Array, gradient: Array, slots: dict[str, Array]) -> Array:
        if self.weight_decay:
            share = self.weight_decay * self.learning_rate
            weight = weight - weight * np.asarray(share, weight.dtype)
        return self.update(weight, gradient, slots)

    def _clipped(self, gradients: list[Array]) -> list[Array]:
        if self.clipvalue is not None:
            return [np.clip(g, -self.clipvalue, self.clipvalue) for g in gradients]
        if self.clipnorm is not None:
            return [_limited(g, self.clipnorm, _norm([g])) for g in gradients]
        if self.global_clipnorm is not None:
            norm = _norm(gradients)
            return [_limited(g, self.global_clipnorm, norm) for g in gradients]
        return gradients


class _Row:
    """The variables of a step laid end to end, so that one update serves all.

    A small network has a dozen variables of a few hundred numbers: one call of NumPy for each
    would take much longer than the arithmetic.
    """

    #: Above so many numbers, the arithmetic outweighs the calls, and joining would cost memory.
    MOST = 1 << 20

    def __init__(self, optimizer: Optimizer, variables: list[Variable]) -> None:
        self._variables = variables
        self._edges = np.cumsum([0, *(v.size for v in variables)]).tolist()
        each = [optimizer.slots_of(v) for v in variables]
        self.slots = {name: self.joined([s[name] for s in each]) for name in optimizer.slots}
        # What is kept for each variable are from now on parts of the row.
        for name, row in self.slots.items():
            for slots, part in zip(each, self.parts(row), strict=True):
                slots[name] = part

    @classmethod
    def holds(cls, variables: list[Variable], gradients: list[Array]) -> bool:
        """Return whether these variables can be laid end to end and are worth it."""
        alike = len({a.dtype for a in (*gradients, *(v.data for v in variables))}) == 1
        different = len({id(v) for v in variables}) == len(variables)
        return alike and different and sum(v.size for v in variables) <= cls.MOST

    def is_of(self, variables: list[Variable]) -> bool:
        """Return whether the row is of just these variables."""
        return len(variables) == len(self._variables) and all(
            a is b for a, b in zip(variables, self._variables, strict=True)
        )

    def joined(self, arrays: list[Array]) -> Array:
        """Return the variables' arrays end to end."""
        return np.concatenate([a.reshape(-1) for a in arrays])

    def parts(self, row: Array) -> list[Array]:
        """Return each variable's part of a row, in its shape."""
        return [
            row[first:last].reshape(v.shape)
            for first, last, v in zip(self._edges, self._edges[1:], self._variables, strict=False)
        ]


def _norm(arrays: list[Array]) -> float:
    return math.sqrt(sum(float(np.vdot(a, a)) for a in arrays))


def _limited(gradient: Array, limit: float, norm: float) -> Array:
    scale = limit / norm if norm > limit else 1.0
    return gradient * np.asarray(scale, gradient.dtype)


class SGD(Optimizer):
    """Gradient descent, with momentum if wanted.

    v <- momentum*v - rate*g;  w <- w + v, or with Nesterov's look ahead w + momentum*v - rate*g

    Args:
        learning_rate: step size or schedule, default 0.01.
        momentum: share of the last step that is kept, default 0.
        nesterov: look ahead, default False.

    Further arguments are those of `Optimizer`.

    >>> w = Variable([1.0, 2.0, 3.0])
    >>> SGD(0.5).apply_gradients([([1.0, 0.0, -2.0], w)])
    >>> w.numpy().tolist()
    [0.5, 2.0, 4.0]
    """

    elementwise = True

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not 0 <= momentum <= 1:
            raise ArgumentError(f"{self.name}: momentum={momentum!r} must be in [0, 1].")
        self.momentum, self.nesterov = momentum, nesterov
        self.slots = ("momentum",) if momentum else ()

    def update(self, weight: Array, gradient: Array, slots: dict[str, Array]) -> Array:
        step = gradient * np.asarray(self.learning_rate, weight.dtype)
        if not self.momentum:
            return weight - step
        velocity = slots["momentum"]
        velocity *= self.momentum
        velocity -= step
        if self.nesterov:
            return weight + velocity * np.asarray(self.momentum, weight.dtype) - step
        return weight + velocity


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
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad
        self.slots = ("momentum", "velocity", *(("velocity_max",) if amsgrad else ()))

    def update(self, weight: Array, gradient: Array, slots: dict[str, Array]) -> Array:
        t = self.iterations + 1
        m, v = slots["momentum"], slots["velocity"]
        alpha = self.learning_rate * math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        backend = None if self.amsgrad else fused(PASSES * weight.size)
        if backend is not None and backend.has_tile(weight.dtype):
            rests = 1 - self.beta_1, 1 - self.beta_2
            return backend.adam(weight, gradient, m, v, *rests, alpha, self.epsilon)
        m += (gradient - m) * np.asarray(1 - self.beta_1, m.dtype)
        v += (np.square(gradient) - v) * np.asarray(1 - self.beta_2, v.dtype)
        if self.amsgrad:
            v = np.maximum(slots["velocity_max"], v, out=slots["velocity_max"])
        step = m * np.asarray(alpha, m.dtype)
        step /= np.sqrt(v) + np.asarray(self.epsilon, v.dtype)
        return weight - step


NAMES: dict[str, Callable[[], Optimizer]] = {"sgd": SGD, "adam": Adam}


def get(identifier: str | Optimizer) -> Optimizer:
    """Return the optimizer of a name with its defaults; optimizers pass through.

    >>> get("adam").learning_rate
    0.001
    """
    if isinstance(identifier, Optimizer):
        return identifier
    return NAMES[check_choice("optimizers.get", "optimizer", identifier, NAMES)]()
