"""What a step is given and gives: parts in the order of the outputs, and figures by name."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minicnn.autograd.tensor import as_numpy
from minicnn.errors import ArgumentError, check_whole
from minicnn.layers.weights import members, unique
from minicnn.metrics import Mean, Metric
from minicnn.models.batches import Batch, is_iterable_of_batches, to_arrays
from minicnn.models.graph import check_names
from minicnn.nested import flatten

__all__ = ["Limited", "StepNames", "check_end", "flat_logs"]


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
        self.batches, self.argument = batches, argument
        self.steps = check_whole("", argument, steps)
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


class StepNames:
    """The names by which a model's inputs, outputs and figures are known; a part of `Trainer`."""

    graph: Any
    name: str
    _metrics: list[list[Metric]]
    _weighted_metrics: list[list[Metric]]
    _losses: list[Any]
    _output_losses: list[Metric | None]
    _loss_mean: Mean
    _resolved_names: list[str]
    _compile_arguments: dict[str, Any]
    built: bool
    #: The running figures, since they were last begun anew by a model that was built.
    _figures: list[Metric] | None = None

    def _check_given(self, x: Any) -> None:
        """Refuse what is no data, and arrays that are no batch of the model's inputs."""
        if x is None or isinstance(x, str | Path):
            came = "missing" if x is None else f"the text {str(x)!r}"
            raise ArgumentError(
                f"{self.name}: x is {came}; give arrays, or batches (x, y). "
                f"minicnn.utils.img_to_array(minicnn.utils.load_img(path))[None] reads an image, "
                f"and minicnn.utils.image_dataset_from_directory(path) a folder of them."
            )
        if self.graph is not None and not is_iterable_of_batches(x):
            self.graph.check(to_arrays(x))

    def by_output(self, argument: str, value: Any) -> list[Any]:
        """Return results, or truths for them, in the order of the outputs; a list is in it.

        Raises:
            ArgumentError: a name is unknown or missing.
        """
        names = self._resolved_names
        if not isinstance(value, dict) or any(isinstance(v, dict | list) for v in value.values()):
            return flatten(value)
        if argument == "y":  # what nothing is measured of need not be given
            used = zip(names, self._losses, self._metrics, self._weighted_metrics, strict=True)
            value = {**{n: None for n, loss, *more in used if not (loss or any(more))}, **value}
        check_names(self.name, argument, value, names)
        return [value[name] for name in names]

    def weights_by_output(self, sample_weight: Any) -> list[Any]:
        """Return the sample weights of each output: its own by name or place, or one for all."""
        names = self._resolved_names
        if isinstance(sample_weight, dict):
            whole = {**dict.fromkeys(names), **sample_weight}
            return self.by_output("sample_weight", whole)
        if isinstance(sample_weight, list | tuple) and len(sample_weight) == len(names) > 1:
            return list(sample_weight)
        return [sample_weight] * len(names)

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
        trackers = dict(zip(self._resolved_names, self._output_losses, strict=True))
        by_name = self.graph is None or isinstance(self.graph.arranged_outputs, dict)
        asked = self._compile_arguments["loss"]  # whose order Keras' evaluate keeps
        order = asked if by_name and isinstance(asked, dict) else trackers
        losses = [m for m in map(trackers.get, order) if m is not None]
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
