"""What `compile` chooses: losses and metrics for each output, as two objects that a model has."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from minicnn import config
from minicnn import losses as loss_registry
from minicnn import metrics as metric_registry
from minicnn.autograd.tensor import Tensor, as_numpy
from minicnn.errors import ArgumentError
from minicnn.layers.graph import check_names
from minicnn.layers.weights import members, unique
from minicnn.metrics import Metric
from minicnn.nested import flatten
from minicnn.registry import free_name
from minicnn.training.advice import check_no_texts, told_as_y

__all__ = ["CompileLoss", "CompileMetrics", "OutputNames", "Parts", "in_order", "kept_figures",
           "known_arguments", "speaks_of_several"]  # fmt: skip

#: Losses of several outputs, each with the figure that they are added to and the number of samples.
Parts = list[tuple[Any, Tensor, int]]


class OutputNames:
    """The names of a model's outputs, by which losses, metrics, truths and weights are given.

    Args:
        where: the model's name, for messages.
        names: in the order of the outputs; none where they are not known yet.
        listed: whether the outputs have an order of their own, as in a list; else names are all.
    """

    def __init__(self, where: str, names: list[str], listed: bool = False) -> None:
        self.where, self.names, self.listed = where, names, listed
        #: Outputs that something is measured of; for others truth need not be given.
        self.measured: set[str] = set()

    @classmethod
    def of(cls, model: Any, y_pred: Any = None) -> OutputNames:
        """Return those of a drawn network, or of what a subclass gave out."""
        graph = model.graph
        if graph is None:
            if isinstance(y_pred, dict):
                return cls(model.name, sorted(y_pred))
            several = isinstance(y_pred, list | tuple)
            count = len(flatten(y_pred)) if several else 0
            return cls(model.name, [f"output_{i}" for i in range(count)] if several else ["output"])
        arranged = graph.arranged_outputs
        if isinstance(arranged, dict) and len(arranged) == len(graph.outputs):
            return cls(model.name, sorted(arranged))
        names: list[str] = []
        for output in graph.outputs:  # a layer called twice may give two outputs
            names.append(free_name(output.name, names))
        return cls(model.name, names, not isinstance(arranged, dict))

    def measure(self, measures: list[Any]) -> None:
        """Note for which outputs there are any of these."""
        each = zip(self.names, measures, strict=True)
        self.measured |= {name for name, measure in each if measure}

    def entries(self, argument: str, value: Any, one_list: bool = False) -> list[Any]:
        """Return one entry of an argument of `compile` for each output."""
        names = self.names
        if isinstance(value, dict):
            unknown = [k for k in value if k not in names]
            if unknown:
                raise ArgumentError(
                    f"{self.where}: compile got {argument} for {unknown[0]!r}, but the outputs are "
                    f"{', '.join(map(repr, names))}."
                )
            return [value.get(name) for name in names]
        if len(names) == 1:
            nested = one_list and isinstance(value, list) and value and isinstance(value[0], list)
            single = isinstance(value, list) and len(value) == 1 and (nested or not one_list)
            return [value[0] if single else value]
        if not isinstance(value, list | tuple):
            return [value] * len(names)
        if len(value) != len(names):
            raise ArgumentError(
                f"{self.where}: compile got {len(value)} entries of {argument} for {len(names)} "
                f"outputs."
            )
        return list(value)

    def in_order(self, argument: str, value: Any) -> list[Any]:
        """Return results, or truths for them, in the order of the outputs; a list is in it.

        Raises:
            ArgumentError: a name is unknown or missing.
        """
        if not isinstance(value, dict) or any(isinstance(v, dict | list) for v in value.values()):
            return flatten(value)
        if argument == "y":
            spared = [name for name in self.names if name not in self.measured]
            value = {**dict.fromkeys(spared), **value}
        check_names(self.where, argument, value, self.names)
        return [value[name] for name in self.names]

    def weights(self, sample_weight: Any) -> list[Any]:
        """Return the sample weights of each output: its own by name or place, or one for all."""
        names = self.names
        if isinstance(sample_weight, dict):
            whole = {**dict.fromkeys(names), **sample_weight}
            return self.in_order("sample_weight", whole)
        if isinstance(sample_weight, list | tuple) and len(sample_weight) == len(names) > 1:
            return list(sample_weight)
        return [sample_weight] * len(names)


def known_arguments(model: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what a model's `compile` takes of these arguments.

    Raises:
        ArgumentError: they ask for something that it does not take.
    """
    known = inspect.signature(model.compile).parameters
    defaults = {"run_eagerly", "steps_per_execution", "jit_compile", "auto_scale_loss"}
    asked = {k for k, v in arguments.items() if k not in known and k not in defaults and v}
    if asked:
        raise ArgumentError(f"{model.name}: compile has no argument {sorted(asked)[0]!r}.")
    return {k: v for k, v in arguments.items() if k in known}


def in_order(logs: dict[str, Any], metrics: list[Metric]) -> Any:
    """Return figures as Keras lists them: loss, metrics, then the others by name."""
    names = list(dict.fromkeys(m.name for m in metrics))
    first = [logs[name] for name in names if name in logs]
    values = first + [value for name, value in sorted(logs.items()) if name not in names]
    return values[0] if len(values) == 1 else values


def speaks_of_several(loss: Any, loss_weights: Any, metrics: Any) -> bool:
    """Return whether `compile` was told of several outputs."""
    lists = [v for v in (loss, loss_weights) if isinstance(v, list | tuple)]
    groups = metrics if isinstance(metrics, list | tuple) else []
    return (
        any(isinstance(given, dict) for given in (loss, loss_weights, metrics))
        or any(len(value) > 1 for value in lists)
        or (len(groups) > 1 and any(isinstance(g, list | tuple) for g in groups))
    )


class CompileLoss:
    """The losses of the outputs: called, it gives their sum, each times its weight.

    Args:
        outputs: the outputs' names.
        loss: as `compile` was given it.
        loss_weights: likewise.
    """

    def __init__(self, outputs: OutputNames, loss: Any, loss_weights: Any) -> None:
        self.outputs = outputs
        self.losses = [loss_registry.as_loss(x) for x in outputs.entries("loss", loss)]
        weights = outputs.entries("loss_weights", loss_weights)
        self.weights = [1.0 if w is None else float(w) for w in weights]
        several = sum(x is not None for x in self.losses) > 1
        #: The running figure of each output's own loss; None where there is only one.
        self.figures: list[Metric | None] = [
            metric_registry.Mean(f"{name}_loss") if several and one is not None else None
            for name, one in zip(outputs.names, self.losses, strict=True)
        ]
        self._order = list(loss) if isinstance(loss, dict) and not outputs.listed else outputs.names
        self._waiting: Parts = []

        outputs.measure(self.losses)

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the sum; the outputs' own losses wait to be counted."""
        where, outputs = self.outputs.where, self.outputs
        if y is None:
            raise ArgumentError(
                f"{where}: there is no truth y to compare the results with; give y, or for an "
                f"autoencoder x twice."
            )
        truths, predictions = outputs.in_order("y", y), outputs.in_order("y_pred", y_pred)
        check_no_texts(where, truths)
        if len(truths) != len(predictions):
            raise ArgumentError(
                f"{where}: y has {len(truths)} parts, but the model has {len(predictions)} outputs."
            )
        total: Any = None
        for loss, weight, figure, t, p, w in zip(
            *(self.losses, self.weights, self.figures),
            *(truths, predictions, outputs.weights(sample_weight)),
            strict=True,
        ):
            if loss is not None:
                with told_as_y(where):
                    part = loss(t, p, w)
                if figure is not None:
                    self._waiting.append((figure, part.detach(), len(p)))
                part = part if weight == 1 else part * weight
                total = part if total is None else total + part
        return total

    def taken(self) -> Parts:
        """Return the outputs' losses that wait, and let them wait no more."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def count(self, parts: Parts) -> None:
        """Add the outputs' losses to their running figures, once the GPU has been told of all."""
        for figure, part, samples in parts:
            figure.update_state(as_numpy(part), np.asarray(samples, np.float64))

    @property
    def metrics(self) -> list[Metric]:
        """The running figures of the outputs' losses, in the order that Keras' evaluate keeps."""
        if self._waiting:
            self.count(self.taken())
        by_name = dict(zip(self.outputs.names, self.figures, strict=True))
        return [m for m in map(by_name.get, self._order) if m is not None]


class CompileMetrics:
    """The metrics of the outputs, and those in which samples count by their weight.

    Args:
        outputs: the outputs' names.
        metrics: as `compile` was given them.
        weighted_metrics: likewise.
    """

    def __init__(self, outputs: OutputNames, metrics: Any, weighted_metrics: Any) -> None:
        self.outputs = outputs
        self.plain, self.weighted = (
            [
                [metric_registry.as_metric(m) for m in flatten(group)] if group else []
                for group in outputs.entries(argument, value, one_list=True)
            ]
            for argument, value in (("metrics", metrics), ("weighted_metrics", weighted_metrics))
        )
        outputs.measure(self.plain)
        outputs.measure(self.weighted)

    @property
    def metrics(self) -> list[Metric]:
        """All of them, in order."""
        return [m for group in (*self.plain, *self.weighted) for m in group]

    def update_state(self, y: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch; as in Keras, sample weights count in the loss and in weighted metrics."""
        outputs = self.outputs
        groups = zip(
            *(self.plain, self.weighted, outputs.in_order("y", y)),
            *(outputs.in_order("y_pred", y_pred), outputs.weights(sample_weight)),
            strict=True,
        )
        with config.use_cpu(), told_as_y(outputs.where):
            for plain, weighted, t, p, w in groups:
                for metric in plain:
                    metric.update_state(t, p)
                for metric in weighted:
                    metric.update_state(t, p, w)

    def result(self, logs: dict[str, Any]) -> dict[str, Any]:
        """Return figures, and these beside them under names that are free."""
        logs = dict(logs)
        for prefix, groups in (("", self.plain), ("weighted_", self.weighted)):
            for output, group in zip(self.outputs.names, groups, strict=True):
                first = f"{output}_" if len(groups) > 1 else ""
                for metric in group:
                    name = first + metric.name
                    name = f"{first}{prefix}{metric.name}" if name in logs else name
                    logs[free_name(name, logs)] = metric.result()
        return logs


def kept_figures(model: Any) -> list[Metric]:
    """Return the figures that are kept as attributes, here and in layers inside.

    Models inside have theirs for trainings of their own.
    """
    owners: list[Any] = [model]
    own: list[Metric] = []
    while owners:
        owner = owners.pop(0)
        own += members(owner, Metric)
        owners += [x for x in owner.sublayers if not hasattr(x, "fit")]
    known = {id(m) for m in model._compiled_metrics()}
    return [m for m in unique(own) if id(m) not in known]
