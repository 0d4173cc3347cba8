"""What `compile` chooses: the optimizer, and losses and metrics for each output."""

from __future__ import annotations

import inspect
from typing import Any

from minicnn import losses as loss_registry
from minicnn import metrics as metric_registry
from minicnn import optimizers as optimizer_registry
from minicnn.errors import ArgumentError
from minicnn.metrics import Metric
from minicnn.models.replay import Replays
from minicnn.models.serialization import deserialize_keras_object
from minicnn.models.steps import StepNames
from minicnn.nested import flatten

__all__ = ["Choices"]


class Choices(StepNames):
    """How a model is to learn; a part of `Compiled`."""

    optimizer: Any = None
    _replays: Replays | None = None

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Choose how the model learns.

        Args:
            optimizer: name or optimizer, default `"rmsprop"`.
            loss: name, loss or function (y_true, y_pred) -> losses; for several outputs a list,
                or a dictionary by the output's name.
            loss_weights: factors of the losses of several outputs, likewise; default 1.
            metrics: list of names, metrics or functions; for several outputs a list of lists, or
                a dictionary by the output's name.
            weighted_metrics: likewise; these count samples by their weight, as the loss does.
            run_eagerly: True keeps steps from being recorded by `jit_compile`; else it makes no
                difference here, where everything is run step by step.
            steps_per_execution: makes no difference here: callbacks are told of every batch.
            jit_compile: True records training steps on the GPU for shapes that come twice in a row
                and replays them, with the same bits, or warns why they cannot be recorded. As in
                tf.function, Python's values are fixed when recording, which a change of `trainable`
                and `compile` do anew. Default `"auto"`, which does not record.
            auto_scale_loss: makes no difference here: there are no half-precision floats.
        """
        self.run_eagerly, self.steps_per_execution = run_eagerly, steps_per_execution
        self.jit_compile, self.auto_scale_loss = jit_compile, auto_scale_loss
        self._compile_arguments = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        reason = "run_eagerly=True" if run_eagerly else None
        self._replays = Replays(self.name, reason) if jit_compile is True else None
        self.optimizer = optimizer_registry.get(optimizer)
        self._loss_mean = metric_registry.Mean("loss")
        self._resolved_names: list[str] = []
        self._figures = None
        self._metrics: list[list[Metric]] = []
        self._weighted_metrics: list[list[Metric]] = []
        self._output_losses: list[Metric | None] = []
        if self.graph is not None or not self._speaks_of_several():
            self._resolve(self._output_names())

    def _speaks_of_several(self) -> bool:
        """Return whether `compile` was told of several outputs."""
        given = self._compile_arguments
        lists = [v for v in (given["loss"], given["loss_weights"]) if isinstance(v, list | tuple)]
        groups = given["metrics"] if isinstance(given["metrics"], list | tuple) else []
        return (
            any(isinstance(given[key], dict) for key in ("loss", "loss_weights", "metrics"))
            or any(len(value) > 1 for value in lists)
            or (len(groups) > 1 and any(isinstance(g, list | tuple) for g in groups))
        )

    def get_compile_config(self) -> dict[str, Any]:
        """Return the arguments that `compile` was given, with the optimizer as it is now."""
        return {**self._compile_arguments, "optimizer": self.optimizer}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile the model as `get_compile_config` says.

        Raises:
            ArgumentError: it asks for something that `compile` does not take.
        """
        arguments = deserialize_keras_object(config)
        known = inspect.signature(self.compile).parameters
        defaults = {"run_eagerly", "steps_per_execution", "jit_compile", "auto_scale_loss"}
        asked = {k for k, v in arguments.items() if k not in known and k not in defaults and v}
        if asked:
            raise ArgumentError(f"{self.name}: compile has no argument {sorted(asked)[0]!r}.")
        self.compile(**{k: v for k, v in arguments.items() if k in known})

    def _resolve(self, names: list[str]) -> None:
        """Find the losses and metrics of outputs by these names."""
        self._resolved_names = names
        loss, loss_weights, metrics = (
            self._compile_arguments[key] for key in ("loss", "loss_weights", "metrics")
        )
        self._losses = [loss_registry.as_loss(x) for x in self._for_outputs("loss", loss)]
        weights = self._for_outputs("loss_weights", loss_weights)
        self._loss_weights = [1.0 if w is None else float(w) for w in weights]
        self._metrics = self._metrics_by_output("metrics", metrics)
        weighted = self._compile_arguments["weighted_metrics"]
        self._weighted_metrics = self._metrics_by_output("weighted_metrics", weighted)
        several = sum(x is not None for x in self._losses) > 1
        self._output_losses = [
            metric_registry.Mean(f"{name}_loss") if several and loss is not None else None
            for name, loss in zip(names, self._losses, strict=True)
        ]

    def _metrics_by_output(self, argument: str, value: Any) -> list[list[Metric]]:
        return [
            [metric_registry.as_metric(m) for m in flatten(group)] if group else []
            for group in self._for_outputs(argument, value, one_list=True)
        ]

    def _name_outputs(self, y_pred: Any) -> None:
        """Find losses and metrics again for what a subclass gives, which is known only now."""
        if self.graph is None:
            names = self._output_names()
            if isinstance(y_pred, dict):
                names = sorted(y_pred)
            elif isinstance(y_pred, list | tuple):
                names = [f"output_{i}" for i in range(len(flatten(y_pred)))]
            if names != self._resolved_names:
                self._resolve(names)

    def _for_outputs(self, argument: str, value: Any, one_list: bool = False) -> list[Any]:
        """Return one entry for each output."""
        names = self._resolved_names
        if isinstance(value, dict):
            unknown = [k for k in value if k not in names]
            if unknown:
                raise ArgumentError(
                    f"{self.name}: compile got {argument} for {unknown[0]!r}, but the outputs are "
                    f"{', '.join(map(repr, names))}."
                )
            return [value.get(name) for name in names]
        if len(names) == 1:
            nested = one_list and isinstance(value, list) and value and isinstance(value[0], list)
            single = isinstance(value, list) and len(value) == 1 and (nested or not one_list)
            return [value[0] if single else value]
        if value is None:
            return [None] * len(names)
        if not isinstance(value, list | tuple):
            return [value] * len(names)
        if len(value) != len(names):
            raise ArgumentError(
                f"{self.name}: compile got {len(value)} entries of {argument} for {len(names)} "
                f"outputs."
            )
        return list(value)

    def _check_compiled(self, where: str) -> None:
        if self.optimizer is None:
            raise ArgumentError(f"{self.name}: call compile(optimizer, loss) before {where}.")
