"""What a step is given and gives: batches in the model's order, and figures by name."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from minicnn.autograd.tensor import as_numpy
from minicnn.errors import ArgumentError
from minicnn.layers.weights import members, unique
from minicnn.metrics import Mean, Metric
from minicnn.models.batches import Batch, elements_of, is_iterable_of_batches, to_array
from minicnn.models.graph import as_list

__all__ = ["Limited", "StepNames", "by_output", "check_end", "flat_logs", "unpack"]


def unpack(data: Any) -> Batch:
    """Return (x, y, sample_weight) of what a step is given, None for what is missing.

    >>> unpack(([1.0, 2.0], [0.0, 1.0]))
    ([1.0, 2.0], [0.0, 1.0], None)
    """
    parts = data if isinstance(data, tuple) else (data,)
    if not 1 <= len(parts) <= 3:
        raise ArgumentError(
            f"unpack_x_y_sample_weight: data has {len(parts)} parts, but must be x, (x, y) or "
            f"(x, y, sample_weight)."
        )
    x, y, sample_weight = (*parts, None, None)[:3]
    return x, y, sample_weight


def flat_logs(where: str, logs: Any) -> dict[str, Any]:
    """Return what a step gave as numbers by name; dictionaries inside are taken apart.

    Raises:
        ArgumentError: it is no dictionary.
    """
    if not isinstance(logs, dict):
        raise ArgumentError(
            f"{where}: the step returned a {type(logs).__name__}, but must return a dictionary of "
            f"figures by name, as {{'loss': loss}}."
        )
    flat: dict[str, Any] = {}
    for key, value in logs.items():
        if isinstance(value, dict):
            flat |= flat_logs(where, value)
        else:
            array = as_numpy(value)
            flat[key] = array if array.ndim else float(array)
    return flat


class Limited:
    """So many batches at a time, out of batches that may go on forever or end before, and warn.

    Args:
        batches: what gives at least one batch when iterated over, or an error.
        steps: batches at a time, at least 1.
        argument: the argument that gave `steps`, for messages.
        continued: go on where the last time ended, default True, instead of from the beginning.
    """

    def __init__(self, batches: Any, steps: int, argument: str, continued: bool = True) -> None:
        if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
            raise ArgumentError(f"{argument}={steps!r}, but it must be an integer >= 1.")
        self.batches, self.steps, self.argument = batches, int(steps), argument
        self.continued = continued
        #: Batches of the next turn that were given before a training was continued.
        self.done = 0
        self._running: Iterator[Batch] | None = None

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        if self._running is None or not self.continued:
            self._running = iter(self.batches)
        first = next(self._running, None)
        if first is None:  # gone through: begin again; without batches that is an error
            self._running = iter(self.batches)
            first = next(self._running)
        given, self.done = self.done + 1, 0
        yield first
        for batch in itertools.islice(self._running, self.steps - given):
            given += 1
            yield batch
        if given < self.steps:
            self._running = None
            warnings.warn(
                f"{self.argument}={self.steps}, but the data ended after {given} more; "
                f"give more batches, or let the data set repeat.",
                stacklevel=2,
            )


def check_end(argument: str, batches: Any) -> None:
    """Refuse a data set that never ends where no number of steps ends it.

    Args:
        argument: the argument that would, for the message.
        batches: what is to be gone through; `Limited` ends.
    """
    while hasattr(batches, "source"):
        batches = batches.source
    count = getattr(batches, "cardinality", None)
    if callable(count) and int(count()) == -1:  # as data sets say that they are infinite
        raise ArgumentError(
            f"{argument} is needed: the data set repeats without end; say how many batches to take."
        )


class _Arranged:
    """Batches whose dictionaries are put into the model's order."""

    def __init__(self, source: Iterable[Any], model: Any, shuffle: bool) -> None:
        self.source, self.model, self.shuffle = source, model, shuffle

    def __len__(self) -> int:
        return len(self.source)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        for item in elements_of(self.source, self.shuffle):
            if isinstance(item, tuple) and len(item) in (2, 3):
                yield self.model.arranged(*item)[: len(item)]
            else:
                yield self.model.arranged(item)[0] if isinstance(item, dict) else item


class StepNames:
    """The names by which a model's inputs, outputs and figures are known; a part of `Trainer`."""

    graph: Any
    name: str
    _metrics: list[list[Metric]]
    _weighted_metrics: list[list[Metric]]
    _output_losses: list[Metric | None]
    _loss_mean: Mean
    built: bool
    #: The running figures, since they were last begun anew by a model that was built.
    _figures: list[Metric] | None = None

    def arranged(
        self, x: Any, y: Any = None, sample_weight: Any = None, shuffle: bool = False
    ) -> tuple[Any, Any, Any]:
        """Return inputs, truth and weights given by name in the order of the model's own.

        Outputs without weights of their own have None. A `PyDataset` may be shuffled.

        Raises:
            ArgumentError: a name is unknown or missing, or the model has no names.
        """
        if x is None:
            raise ArgumentError(f"{self.name}: x is missing; give arrays, or batches (x, y).")
        if is_iterable_of_batches(x) and not isinstance(x, dict):
            return _Arranged(x, self, shuffle), y, sample_weight
        if isinstance(x, dict):
            if self.graph is None:
                raise ArgumentError(
                    f"{self.name}: x is a dictionary, but the model has no named inputs; build it "
                    f"of Inputs with names, or give a list."
                )
            x = self._in_order("x", x, [place.name for place in self.graph.inputs])
        names = self._output_names() if self.graph is not None or not isinstance(y, dict) else None
        if isinstance(y, dict):
            names = names or sorted(y)
            y = self._in_order("y", y, names)
        if isinstance(sample_weight, dict):
            if self.graph is None and isinstance(y, list | tuple):
                names = names if names and len(names) == len(y) else sorted(sample_weight)
            whole = {**dict.fromkeys(names or []), **sample_weight}
            sample_weight = self._in_order("sample_weight", whole, names or [])
        return x, y, sample_weight

    def _in_order(self, argument: str, values: dict[str, Any], names: list[str]) -> Any:
        if sorted(values) != sorted(names):
            raise ArgumentError(
                f"{self.name}: {argument} has the names {', '.join(map(repr, values))}, but the "
                f"model has {', '.join(map(repr, names))}."
            )
        ordered = [None if values[name] is None else to_array(values[name]) for name in names]
        return ordered[0] if len(ordered) == 1 else ordered

    def _output_names(self) -> list[str]:
        return ["output"]

    @property
    def metrics(self) -> list[Metric]:
        """The running figures: the loss, those of `compile`, and those kept as attributes.

        Layers inside may keep some, too; models inside have theirs for trainings of their own.
        """
        return self.running_figures()

    def running_figures(self) -> list[Metric]:
        """Return them also where a subclass has a `metrics` of its own."""
        owners: list[Any] = [self]
        own: list[Metric] = []
        while owners:
            owner = owners.pop(0)
            own += members(owner, Metric)
            owners += [x for x in owner.sublayers if not isinstance(x, StepNames)]
        return unique([*self._compiled_metrics(), *own])

    def _compiled_metrics(self) -> list[Metric]:
        """Return the figures that `compile` made."""
        if not hasattr(self, "_loss_mean"):
            return []
        groups = [*self._metrics, *self._weighted_metrics]
        losses = [m for m in self._output_losses if m is not None]
        return [self._loss_mean, *(m for group in groups for m in group), *losses]

    @property
    def metrics_names(self) -> list[str]:
        """The names of the running figures."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Begin all running figures anew."""
        for metric in self.metrics:
            metric.reset_state()
        self._figures = self.running_figures() if self.built else None


def by_output(y_pred: Any) -> list[Any]:
    """Return the results of a model in a row; those of a dictionary by name."""
    if isinstance(y_pred, dict):
        return [y_pred[name] for name in sorted(y_pred)]
    return as_list(y_pred)
