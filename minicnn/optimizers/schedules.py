"""Learning rates that depend on the number of steps done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minicnn import configs
from minicnn.errors import ArgumentError, Worded

__all__ = ["CosineDecay", "CosineDecayRestarts", "ExponentialDecay",
           "InverseTimeDecay", "LearningRateSchedule", "PiecewiseConstantDecay",
           "PolynomialDecay", "deserialize", "serialize"]  # fmt: skip


class LearningRateSchedule(Worded):
    """The base of all schedules: a subclass writes `__call__`, and `get_config` to be saved."""

    def __call__(self, step: Any) -> float:
        """Return the learning rate of the step after `step` steps."""
        raise TypeError(f"{type(self).__name__} does not define __call__")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make another schedule like this one."""
        return configs.arguments_of(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        """Return a new schedule with these arguments."""
        return cls(**config)


def _positive(schedule: Any, argument: str, value: float) -> float:
    if not value > 0:
        raise ArgumentError(f"{type(schedule).__name__}: {argument}={value!r} must be > 0 steps.")
    return value


class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate * decay_rate ** (step / decay_steps).

    Args:
        initial_learning_rate: rate at step 0.
        decay_steps: steps after which the rate has been multiplied once by `decay_rate`.
        decay_rate: factor.
        staircase: change the rate only after whole `decay_steps`, default False.
        name: shown in configurations.

    Raises:
        ArgumentError: `decay_steps` is not positive.

    >>> ExponentialDecay(0.8, decay_steps=10, decay_rate=0.5)(20)
    0.2
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(self, "decay_steps", decay_steps)
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def __call__(self, step: Any) -> float:
        times = float(step) / self.decay_steps
        power = math.floor(times) if self.staircase else times
        return float(self.initial_learning_rate * self.decay_rate**power)


class InverseTimeDecay(LearningRateSchedule):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps).

    Args:
        initial_learning_rate: rate at step 0.
        decay_steps: steps after which `decay_rate` has been added once to the divisor.
        decay_rate: what is added.
        staircase: change the rate only after whole `decay_steps`, default False.
        name: shown in configurations.

    Raises:
        ArgumentError: `decay_steps` is not positive.

    >>> InverseTimeDecay(0.9, decay_steps=10, decay_rate=0.5)(40)
    0.3
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(self, "decay_steps", decay_steps)
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def __call__(self, step: Any) -> float:
        times = float(step) / self.decay_steps
        times = math.floor(times) if self.staircase else times
        return float(self.initial_learning_rate / (1 + self.decay_rate * times))


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] up to and including the step boundaries[0], then values[1], and so on.

    Args:
        boundaries: the last step of each rate but the last, increasing.
        values: the rates, one more than boundaries.
        name: shown in configurations.

    Raises:
        ArgumentError: their numbers do not fit each other.

    >>> rate = PiecewiseConstantDecay([10, 20], [0.1, 0.01, 0.001])
    >>> rate(10), rate(11), rate(21)
    (0.1, 0.01, 0.001)
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        if len(boundaries) != len(values) - 1:
            raise ArgumentError(
                f"PiecewiseConstantDecay: there are {len(boundaries)} boundaries and "
                f"{len(values)} values; there must be one value more than boundaries."
            )
        self.boundaries, self.values, self.name = boundaries, values, name

    def __call__(self, step: Any) -> float:
        place = sum(float(step) > boundary for boundary in self.boundaries)
        return float(self.values[place])


class PolynomialDecay(LearningRateSchedule):
    """(initial - end) * (1 - step / decay_steps) ** power + end.

    Args:
        initial_learning_rate: rate at step 0.
        decay_steps: steps until the end is reached.
        end_learning_rate: rate from then on, default 0.0001.
        power: 1, the default, is a straight line.
        cycle: instead of staying at the end, begin anew with the smallest multiple of
            `decay_steps` that is not passed yet; default False.
        name: shown in configurations.

    Raises:
        ArgumentError: `decay_steps` is not positive.

    >>> PolynomialDecay(1.0, decay_steps=10, end_learning_rate=0.5)(5)
    0.75
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(self, "decay_steps", decay_steps)
        self.end_learning_rate, self.power = end_learning_rate, power
        self.cycle, self.name = cycle, name

    def __call__(self, step: Any) -> float:
        done, length = float(step), float(self.decay_steps)
        if self.cycle:
            length *= max(1, math.ceil(done / length))
        left = 1 - min(done, length) / length
        span = self.initial_learning_rate - self.end_learning_rate
        return float(span * left**self.power + self.end_learning_rate)


class CosineDecay(LearningRateSchedule):
    """From the initial rate down to alpha times it along half a cosine wave.

    With `warmup_target` the rate first rises along a straight line to the target, in
    `warmup_steps` steps, and then falls from there.

    Args:
        initial_learning_rate: rate at step 0.
        decay_steps: steps of the fall.
        alpha: the lowest rate as a share of the highest one, default 0.
        name: shown in configurations.
        warmup_target: rate at the end of the rise, default no rise.
        warmup_steps: steps of the rise, default 0.

    Raises:
        ArgumentError: `decay_steps` is not positive.

    Source: I. Loshchilov and F. Hutter, SGDR, 2016, equation 5.

    >>> CosineDecay(0.1, decay_steps=100)(50)
    0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(self, "decay_steps", decay_steps)
        self.alpha, self.name = alpha, name
        self.warmup_target, self.warmup_steps = warmup_target, warmup_steps

    def __call__(self, step: Any) -> float:
        done, top = float(step), self.initial_learning_rate
        if self.warmup_target is not None:
            if done < self.warmup_steps:
                rise = self.warmup_target - self.initial_learning_rate
                return float(rise * done / self.warmup_steps + self.initial_learning_rate)
            done, top = done - self.warmup_steps, self.warmup_target
        share = min(done, self.decay_steps) / self.decay_steps
        wave = 0.5 * (1 + math.cos(math.pi * share))
        return float(top * ((1 - self.alpha) * wave + self.alpha))


class CosineDecayRestarts(LearningRateSchedule):
    """Falls along half a cosine wave again and again, each time from the top.

    Args:
        initial_learning_rate: rate at step 0.
        first_decay_steps: steps of the first fall.
        t_mul: each fall is so many times longer than the one before, default 2.
        m_mul: each fall begins at so many times the height of the one before, default 1.
        alpha: the lowest rate as a share of the initial one, default 0.
        name: shown in configurations.

    Raises:
        ArgumentError: `first_decay_steps` is not positive.

    Source: I. Loshchilov and F. Hutter, SGDR, 2016, section 3.

    >>> rate = CosineDecayRestarts(0.1, first_decay_steps=10)
    >>> rate(5), rate(10), rate(20)
    (0.05, 0.1, 0.05)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = _positive(self, "first_decay_steps", first_decay_steps)
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def __call__(self, step: Any) -> float:
        done = float(step) / self.first_decay_steps
        if self.t_mul == 1:
            falls = math.floor(done)
            share = done - falls
        else:  # the falls before took 1 + t + t**2 + ... = (1 - t**falls) / (1 - t) first ones
            logarithms = math.log(1 - done * (1 - self.t_mul)) / math.log(self.t_mul)
            falls = math.floor(logarithms + 1e-9)  # log(243) / log(3) comes out below 5
            before = (1 - self.t_mul**falls) / (1 - self.t_mul)
            share = (done - before) / self.t_mul**falls
        wave = 0.5 * self.m_mul**falls * (1 + math.cos(math.pi * share))
        return float(self.initial_learning_rate * ((1 - self.alpha) * wave + self.alpha))


CLASSES: dict[str, type[LearningRateSchedule]] = {
    cls.__name__: cls
    for cls in (
        CosineDecay,
        CosineDecayRestarts,
        ExponentialDecay,
        InverseTimeDecay,
        PiecewiseConstantDecay,
        PolynomialDecay,
    )
}


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """Return a schedule's name and arguments."""
    return configs.described(learning_rate_schedule, "keras.optimizers.schedules")


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the schedule that `serialize` gave.

    >>> deserialize(serialize(CosineDecay(0.2, 30))).get_config()["decay_steps"]
    30
    """
    return configs.made("schedules.deserialize", "schedule", config, CLASSES, custom_objects)
