"""Where a running training stands, beside its weights: data, callbacks, figures, random numbers."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn import config
from minicnn.optimizers.base import RateNow

__all__ = ["Course", "Passes"]

State = dict[str, Any]


def _random_now() -> State:
    """Return the states of the generators that belong to the process."""
    version, numbers, gauss = random.getstate()
    old = np.random.get_state(legacy=False)  # noqa: NPY002 - what a user's own code may draw from
    old = {**old, "state": {**old["state"], "key": old["state"]["key"].tolist()}}
    return {
        "process": config.random_state(),
        "numpy": old,
        "python": [version, list(numbers), gauss],
    }


def _restore_random(state: State) -> None:
    config.restore_random_state(state["process"])
    if "numpy" in state:
        key = np.asarray(state["numpy"]["state"]["key"], np.uint32)
        inner = {**state["numpy"]["state"], "key": key}
        np.random.set_state({**state["numpy"], "state": inner})  # noqa: NPY002
        version, numbers, gauss = state["python"]
        random.setstate((version, tuple(numbers), gauss))


class Passes:
    """Batches, and how far the present pass through them has come.

    Args:
        source: what gives batches when iterated over.
    """

    def __init__(self, source: Any) -> None:
        self.source = source
        self.given = 0
        #: What began this pass: random numbers, and the numbers of passes of data sets.
        self.begun: State | None = None
        #: A pass to go on with: what began it, the batches given, the random numbers after them.
        self.resumed: tuple[State, int, State] | None = None

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[Any]:
        resumed, self.resumed = self.resumed, None
        skipped = 0 if resumed is None else resumed[1]
        if resumed is None:
            self.begun = {"random": _random_now(), "passes": self.numbers()}
        else:
            self.begun = resumed[0]
            _restore_random(self.begun["random"])
            self.set_numbers(self.begun["passes"])
        batches = iter(self.source)
        for _ in itertools.islice(batches, skipped):
            pass
        if resumed is not None:
            _restore_random(resumed[2])
        self.given = skipped
        for batch in batches:
            self.given += 1
            yield batch
        self.begun, self.given = None, 0

    def _counters(self) -> list[Any]:
        """Return what counts the passes of the data set behind these batches, if there is one."""
        source = self.source
        while hasattr(source, "source"):
            source = source.source
        counters = getattr(source, "pass_counters", None)
        return [] if counters is None else counters()

    def numbers(self) -> list[Any]:
        """Return the start of each step that counts its passes, and how many were begun."""
        return [[counter.start, counter.begun] for counter in self._counters()]

    def set_numbers(self, numbers: list[Any]) -> None:
        """Go on counting passes from these numbers."""
        for counter, (start, begun) in zip(self._counters(), numbers, strict=False):
            counter.start, counter.begun = start, begun


class Course:
    """A running `fit`: what one that continues it needs beside weights and optimizer.

    Args:
        model: the model that is trained.
        callbacks: all that are told.
        batches: of training, `Passes` or a `Limited` of such.
        validation: of validation, or None.
    """

    def __init__(self, model: Any, callbacks: list[Any], batches: Any, validation: Any) -> None:
        self.model, self.callbacks = model, callbacks
        self.limited = batches if isinstance(getattr(batches, "batches", None), Passes) else None
        self.passes: Passes = batches if self.limited is None else batches.batches
        self.validation = validation
        #: Batches done in the epoch that is under way; 0 between epochs.
        self.step = 0
        self._before = 0  # batches of this pass that belong to earlier epochs
        self._figures: list[Any] | None = None
        self._late: State = {}
        self._rate: float | None = None

    def begin_epoch(self) -> int:
        """Note that an epoch begins, and return the batches of it that are done already."""
        if self._figures is None:
            self._before = 0 if self.limited is None else self.passes.given
            self.step = 0
            return 0
        # What callbacks did at the beginning of an epoch was done before the interruption.
        self._restore_callbacks()
        if self._rate is not None:
            self.model.optimizer.learning_rate = self._rate
        self._restore_figures(self._figures)
        self._figures = None
        return self.step

    def end_epoch(self) -> None:
        """Note that the batches of an epoch are done."""
        self._before = self.passes.given if self.limited is not None else 0
        self.step = 0

    def _rate_now(self) -> float | None:
        """Return the rate of the next step if it is a number that a callback may change."""
        rate = self.model.optimizer.learning_rate
        return float(rate) if isinstance(rate, RateNow) else None

    def _figure_states(self) -> list[list[Any]]:
        """Return the variables of each figure: the attribute, the name, the value."""
        states = []
        for figure in self.model.running_figures():
            attributes = {id(v): name for name, v in vars(figure).items()}
            states.append([[attributes.get(id(v)), v.name, v.numpy()] for v in figure.variables])
        return states

    def _restore_figures(self, states: list[list[Any]]) -> None:
        for figure, state in zip(self.model.running_figures(), states, strict=False):
            mine = figure.variables
            for i, (attribute, name, value) in enumerate(state):
                if i < len(mine):
                    mine[i].assign(value)
                elif attribute is not None:  # made with the first batch, which was before
                    variable = figure.add_variable(np.shape(value), "zeros", value.dtype, name)
                    variable.assign(value)
                    setattr(figure, attribute, variable)

    def _keyed(self) -> Iterator[tuple[str, Any]]:
        """Yield the callbacks with keys that a program that is started again gives them, too."""
        counts: Counter[str] = Counter()
        for callback in self.callbacks:
            name = type(callback).__name__
            yield f"{name}_{counts[name]}", callback
            counts[name] += 1

    def state(self) -> State:
        """Return all of this as numbers, texts, arrays, lists and dictionaries."""
        kept = {
            key: {name: getattr(callback, name) for name in getattr(callback, "kept", ())}
            for key, callback in self._keyed()
        }
        given = self._before + self.step if self.step or self.limited is not None else 0
        begun = self.passes.begun if given else None
        return {
            "callbacks": {key: state for key, state in kept.items() if state},
            "step": self.step,
            "figures": self._figure_states() if self.step else None,
            "rate": self._rate_now(),
            "before": self._before,
            "begun": begun,
            "given": given if begun is not None else 0,
            "passes": self.passes.numbers(),
            "validation": [] if self.validation is None else Passes(self.validation).numbers(),
            "random": _random_now(),
            "stopped": bool(self.model.stop_training) and not self.step,
        }

    def resume(self, state: State | None) -> bool:
        """Continue from what `state` gave, once all callbacks know that training begins.

        Returns:
            Whether there may be epochs to do: that training was not stopped by a callback.
        """
        if state is None:
            return True
        self._late, self._rate = state["callbacks"], state["rate"]
        self._restore_callbacks()
        self.step, self._before = state["step"], state["before"]
        self._figures = state["figures"] if self.step else None
        self.passes.set_numbers(state["passes"])
        if self.validation is not None:
            Passes(self.validation).set_numbers(state["validation"])
        if state["begun"] is not None:
            self.passes.given = state["given"]
            self.passes.resumed = state["begun"], state["given"], state["random"]
        if self.limited is not None:
            self.limited.done = self.step
        return not state["stopped"]

    def _restore_callbacks(self) -> None:
        for key, callback in self._keyed():
            for name, value in self._late.get(key, {}).items():
                with contextlib.suppress(AttributeError):  # another version's name
                    setattr(callback, name, value)
