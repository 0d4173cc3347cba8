"""What all optimizers share: clipping, weight decay, averages, and what is kept for a variable."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import configs
from minicnn.autograd.tensor import Variable, as_numpy, plain
from minicnn.errors import (
    ArgumentError,
    ShapeError,
    Worded,
    argument_names,
    check_whole,
    check_within,
    unknown_argument,
)
from minicnn.kernels.arrays import joined
from minicnn.optimizers import schedules
from minicnn.optimizers.gradients import beside_variable, clipped, no_gradients
from minicnn.optimizers.row import Row
from minicnn.optimizers.schedules import LearningRateSchedule
from minicnn.runtime.devices import device_of, to_cpu, to_device

__all__ = ["Optimizer", "Rate", "RateNow"]

Array = NDArray[Any]

#: A step size, a schedule of step sizes, or a function without arguments that gives one.
Rate = float | LearningRateSchedule | Callable[[], float]


class RateNow(float):
    """The rate of the next step: a number that can also be asked and set as a variable."""

    owner: Optimizer

    def numpy(self) -> Any:
        """Return the number as NumPy's."""
        return np.asarray(float(self))

    def assign(self, value: float) -> None:
        """Set the optimizer's rate."""
        self.owner.learning_rate = float(value)


class StepsDone(int):
    """The number of steps done, which can also be asked as a variable."""

    def numpy(self) -> Any:
        """Return the number as NumPy's."""
        return np.asarray(int(self))


class Optimizer(Worded):
    """Changes variables along their gradients; the base of all optimizers.

    A subclass names in `slots` what it keeps for each variable and writes `update`.

    Args:
        learning_rate: step size, a schedule of step sizes, or a function that gives the next one.
        weight_decay: share of each weight that is taken off at every step, times the rate.
        clipnorm: upper limit of the norm of each gradient.
        clipvalue: upper limit of the size of each gradient's elements.
        global_clipnorm: upper limit of the norm of all gradients together.
        use_ema: keep a running average of the variables, which they get when `fit` ends; default
            False.
        ema_momentum: share of the average that is kept at each step, default 0.99.
        ema_overwrite_frequency: steps after which the variables get their average during training,
            default never.
        loss_scale_factor: `scale_loss` multiplies the loss by it, and a step divides the gradients
            by it; default none.
        gradient_accumulation_steps: gradients whose mean makes one step, at least 2; default none.
        name: shown in messages.

    Raises:
        ArgumentError: an argument is outside its rule.
    """

    #: Names of the arrays that are kept for each variable.
    slots: tuple[str, ...] = ()
    #: Whether `update` treats every number alike, so that one call may serve all variables.
    elementwise = False

    def __init__(
        self, learning_rate: Rate = 0.001, weight_decay: float | None = None,
        clipnorm: float | None = None, clipvalue: float | None = None,
        global_clipnorm: float | None = None, use_ema: bool = False, ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None, loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None, name: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.name = name or type(self).__name__.lower()
        if kwargs:
            raise unknown_argument(self.name, next(iter(kwargs)), argument_names(type(self)))
        limits = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = [key for key, value in limits.items() if value is not None]
        if len(given) > 1:
            raise ArgumentError(f"{self.name}: give only one of {' and '.join(given)}.")
        check_within(self.name, "ema_momentum", ema_momentum, "[0, 1]")
        for argument, value, least in (
            ("ema_overwrite_frequency", ema_overwrite_frequency if use_ema else None, 1),
            ("gradient_accumulation_steps", gradient_accumulation_steps, 2),
        ):
            if value is not None:
                check_whole(self.name, argument, value, least)
        self._rate = self._checked_rate(learning_rate)
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue = clipnorm, clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema, self.ema_momentum = use_ema, ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self._calls = 0
        self.state: dict[int, dict[str, Array]] = {}
        self._owners: dict[int, Variable] = {}
        self._row: Row | None = None
        self._spared: list[Variable] = []
        self._spared_names: re.Pattern[str] | None = None
        self.built = False
        self.keep()

    def keep(self, **first_values: float) -> None:
        """Name what is kept for each variable, with the value that it has at first."""
        self._first_values = {
            **({"average": 0.0} if self.use_ema else {}),
            **({"gradient_accumulator": 0.0} if self.gradient_accumulation_steps else {}),
            **first_values,
        }
        self.slots = tuple(self._first_values)

    # The rate, and the number of steps.

    def _checked_rate(self, rate: Any) -> Rate:
        rate = plain(rate)
        if callable(rate):
            return rate
        return float(check_within(self.name, "learning_rate", rate, "[0, inf)"))

    @property
    def learning_rate(self) -> Any:
        """The rate of the next step."""
        if isinstance(self._rate, LearningRateSchedule):
            return float(self._rate(self._calls))
        if callable(self._rate):
            return float(self._rate())
        rate = RateNow(self._rate)
        rate.owner = self
        return rate

    @learning_rate.setter
    def learning_rate(self, value: Rate) -> None:
        if isinstance(self._rate, LearningRateSchedule) and not callable(value):
            raise TypeError(
                f"{self.name}: the learning rate follows {type(self._rate).__name__}, so it cannot "
                f"be set to {float(value)}; make the optimizer with a number instead."
            )
        self._rate = self._checked_rate(value)

    @property
    def iterations(self) -> int:
        """The number of steps done; with accumulated gradients, of whole ones."""
        return StepsDone(self._calls // (self.gradient_accumulation_steps or 1))

    @iterations.setter
    def iterations(self, value: int) -> None:
        self._calls = int(value) * (self.gradient_accumulation_steps or 1)

    @property
    def calls(self) -> int:
        """How often gradients were applied or accumulated."""
        return self._calls

    @calls.setter
    def calls(self, value: int) -> None:
        self._calls = int(value)

    # What is kept.

    def build(self, variables: Sequence[Variable]) -> None:
        """Fix the variables that this optimizer changes."""
        if not self.built:
            for variable in variables:
                self.slots_of(variable)
            self._variables = list(variables)
            self.built = True

    def slots_of(self, variable: Variable) -> dict[str, Array]:
        """Return the arrays kept for a variable."""
        slots = self.state.get(id(variable))
        if slots is None:
            slots = self.state[id(variable)] = {
                name: np.full_like(variable.data, value)
                for name, value in self._first_values.items()
            }
            self._owners[id(variable)] = variable  # keeps the id from being given to another
        elif any(type(array) is not type(variable.data) for array in slots.values()):
            slots |= {name: to_device(a, variable.device) for name, a in slots.items()}
            self._row = None  # of which they are no parts any more
        return slots

    def follow(self) -> None:
        """Bring what is kept to where its variables live, on the GPU or off it.

        A step does so, too; this gives the memory back on the side that they left.

        Raises:
            DeviceMemoryError: the card has no room for it.
        """
        for variable in self._owners.values():
            self.slots_of(variable)

    @property
    def variables(self) -> list[Variable]:
        """Copies of all that is kept: the number of calls, the rate, the arrays by variable."""
        found = [Variable(np.asarray(self._calls), trainable=False, name="iteration")]
        if not callable(self._rate):
            rate = np.asarray(float(self._rate))
            found.append(Variable(rate, trainable=False, name="learning_rate"))
        for key, array in self._kept():
            found.append(Variable(array, trainable=False, name=key))
        return found

    def _kept(self) -> list[tuple[str, Array]]:
        common = [s for s in ("average", "gradient_accumulator") if s in self.slots]
        own = [s for s in self.slots if s not in common]
        owners = list(self._owners.values())
        order = [*((s, v) for s in common for v in owners), *((s, v) for v in owners for s in own)]
        return [(f"{v.name}_{slot}", self.slots_of(v)[slot]) for slot, v in order]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replace all that is kept, in the order of `variables`.

        Raises:
            ArgumentError: the optimizer is not built, or the number of weights differs.
            ShapeError: a shape differs; nothing is changed then.
        """
        if not self.built:
            raise ArgumentError(f"{self.name}: call build(variables) before set_weights.")
        arrays, mine = [as_numpy(w) for w in weights], self.variables
        if len(arrays) != len(mine):
            raise ArgumentError(
                f"{self.name}: set_weights got {len(arrays)} arrays, but {len(mine)} are kept."
            )
        for array, variable in zip(arrays, mine, strict=True):
            if array.shape != variable.shape:
                raise ShapeError(
                    f"{self.name}: set_weights got shape {array.shape} for {variable.name!r} of "
                    f"shape {variable.shape}."
                )
        self._calls = int(arrays.pop(0))
        if not callable(self._rate):
            self._rate = float(arrays.pop(0))
        for array, (_, kept) in zip(arrays, self._kept(), strict=True):
            kept[...] = to_device(array, device_of(kept))

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Spare variables from weight decay.

        Args:
            var_list: variables.
            var_names: patterns; a variable is spared whose name holds one of them.
        """
        self._spared = list(var_list or [])
        names = list(var_names or [])
        self._spared_names = re.compile("|".join(names)) if names else None

    def _decays(self, variable: Variable) -> bool:
        named = self._spared_names is not None and self._spared_names.search(variable.name)
        return not named and not any(variable is v for v in self._spared)

    # A step.

    def update(self, weight: Array, gradient: Array, slots: dict[str, Array]) -> Array:
        """Return the new weight."""
        raise TypeError(f"{type(self).__name__} does not define update")

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> int:
        """Do one step and return the number of calls so far.

        Args:
            grads_and_vars: pairs (gradient, variable); pairs with the gradient None are left out.

        Raises:
            ArgumentError: there is no gradient at all, or a variable that was not there when the
                optimizer was built.
            ShapeError: a gradient has not its variable's shape.
        """
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return StepsDone(self._calls)

    def apply(self, grads: Iterable[Any], trainable_variables: Any = None) -> None:
        """Do one step.

        Args:
            grads: gradients, or None where a variable has none.
            trainable_variables: their variables, default those that the optimizer was built with.

        Raises:
            ArgumentError: see `apply_gradients`.
            ShapeError: a gradient has not its variable's shape.
        """
        grads = list(grads)
        if not grads:
            return
        if trainable_variables is None:
            if not self.built:
                raise ArgumentError(f"{self.name}: apply needs the variables, or build before it.")
            trainable_variables = self._variables
        variables = list(trainable_variables)
        if len(grads) != len(variables):
            raise ArgumentError(
                f"{self.name}: there are {len(grads)} gradients for {len(variables)} variables."
            )
        self.build(variables)
        pairs = [
            (beside_variable(self.name, g, v), v)
            for g, v in zip(grads, variables, strict=True)
            if g is not None
        ]
        if not pairs:
            raise ArgumentError(f"{self.name}: {no_gradients(variables)}")
        self._check(pairs)
        gradients, variables = [g for g, _ in pairs], [v for _, v in pairs]
        if self.loss_scale_factor is not None:
            gradients = [g / g.dtype.type(self.loss_scale_factor) for g in gradients]
        due = True
        if self.gradient_accumulation_steps:
            gradients, due = self._accumulated(gradients, variables)
        if due:
            self._step(
                clipped(gradients, self.clipvalue, self.clipnorm, self.global_clipnorm), variables
            )
        if self.use_ema:
            self._average()
        for variable in variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable.value))
        self._calls += 1

    def _check(self, pairs: list[tuple[Array, Variable]]) -> None:
        for gradient, variable in pairs:
            if id(variable) not in self.state:
                raise ArgumentError(
                    f"{self.name}: the variable {variable.name!r} of shape {variable.shape} was "
                    f"not there when the optimizer was built; make a new optimizer for it."
                )
            if gradient.shape != variable.shape:
                raise ShapeError(
                    f"{self.name}: the gradient for {variable.name!r} has shape "
                    f"{gradient.shape}, but the variable has {variable.shape}."
                )

    def _step(self, gradients: list[Array], variables: list[Variable]) -> None:
        spared = self._spared or self._spared_names
        if self.elementwise and not spared and Row.holds(variables, gradients):
            if self._row is None or not self._row.is_of(variables):
                self._row = Row(variables, [self.slots_of(v) for v in variables], self.slots)
            weights = self._decayed(self._row.weights())
            self._row.give(self.update(weights, joined(gradients), self._row.slots))
            return
        for gradient, variable in zip(gradients, variables, strict=True):
            weight = variable.data
            if self._decays(variable):
                weight = self._decayed(weight)
            gradient = gradient.astype(weight.dtype, copy=False)
            variable.data = self.update(weight, gradient, self.slots_of(variable))

    def _decayed(self, weight: Array) -> Array:
        if not self.weight_decay:
            return weight
        return weight - weight * weight.dtype.type(self.weight_decay * self.learning_rate)

    def _accumulated(
        self, gradients: list[Array], variables: list[Variable]
    ) -> tuple[list[Array], bool]:
        """Return the mean of the gradients so far, and whether it is time for a step."""
        steps = self.gradient_accumulation_steps or 1
        sums = [self.slots_of(v)["gradient_accumulator"] for v in variables]
        for kept, gradient in zip(sums, gradients, strict=True):
            kept += gradient
        if (self._calls + 1) % steps:
            return [], False
        means = [kept / kept.dtype.type(steps) for kept in sums]
        for slots in self.state.values():
            slots["gradient_accumulator"][...] = 0
        return means, True

    def _average(self) -> None:
        """Bring the running averages up to date; the first one is the variable itself."""
        share = self.ema_momentum if self.iterations else 0.0
        for variable in self._owners.values():
            average = self.slots_of(variable)["average"]
            average *= average.dtype.type(share)
            average += variable.data * average.dtype.type(1 - share)
        often = self.ema_overwrite_frequency
        if often and (self.iterations + 1) % often == 0:
            self.finalize_variable_values(self._owners.values())

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """Give variables their running average, if there is one; `fit` does so at its end."""
        if self.use_ema:
            for variable in var_list:
                if id(variable) in self.state:
                    variable.assign(self.slots_of(variable)["average"])

    # Losses.

    def scale_loss(self, loss: Any) -> Any:
        """Return the loss times `loss_scale_factor`."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def minimize(self, loss: Any, var_list: Any, tape: Any = None) -> int:
        """Compute gradients and do one step, as in Keras 2.

        Args:
            loss: a function without arguments that returns the loss; or the loss, with its tape.
            var_list: the variables to change, or a function that returns them.
            tape: the tape that recorded the loss.

        Raises:
            ArgumentError: the loss is a tensor, and there is no tape.
        """
        if not callable(loss) and tape is None:
            raise ArgumentError(f"{self.name}: minimize needs a function loss(), or a tape.")
        if tape is None:
            from minicnn.autograd.tape import GradientTape

            tape = GradientTape()
        if callable(loss):
            with tape:
                loss = loss()
        variables = var_list() if callable(var_list) else list(var_list)
        return self.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    # Configurations.

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make another optimizer like this one."""
        config = configs.arguments_of(self, "learning_rate")
        rate: Any = self._rate
        if isinstance(rate, LearningRateSchedule):
            rate = schedules.serialize(rate)
        return {"name": config.pop("name"), "learning_rate": rate, **config}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Optimizer:
        """Return a new optimizer with these arguments."""
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = schedules.deserialize(config["learning_rate"], custom_objects)
        return cls(**config)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of: what is kept stands beside its variable.

        A copy has variables of its own, and the arrays come to them with the next step.
        """
        kept = [
            (variable, {name: to_cpu(array) for name, array in self.state[key].items()})
            for key, variable in self._owners.items()
        ]
        return {**vars(self), "state": kept, "_owners": None, "_row": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.state = {id(variable): slots for variable, slots in state["state"]}
        self._owners = {id(variable): variable for variable, _ in state["state"]}
