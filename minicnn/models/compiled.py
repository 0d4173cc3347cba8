"""Steps with what `compile` chose: one batch learned from, or measured."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config
from minicnn.autograd import GradientTape, Tensor, no_recording
from minicnn.autograd.tensor import as_numpy
from minicnn.errors import ArgumentError, DataError
from minicnn.kernels import backend_module
from minicnn.models.advice import check_no_texts, told_as_y, warn_of_loss
from minicnn.models.batches import moved, to_arrays, to_weights, unpack
from minicnn.models.choices import Choices
from minicnn.models.faults import card_watched
from minicnn.models.replay import Computed, Parts, track
from minicnn.models.saving import free_name
from minicnn.models.steps import flat_logs
from minicnn.models.weighting import class_weights
from minicnn.nested import flatten, mapped
from minicnn.runtime.devices import gpu_in_sight
from minicnn.runtime.threads import one_blas_thread

if TYPE_CHECKING:
    from minicnn.autograd import Variable

__all__ = ["Compiled"]

Array = NDArray[Any]


class Compiled(Choices):
    """How a model learns from one batch; a part of `Trainer`."""

    # What the other side, `Layer`, brings.
    name: str
    trainable_variables: list[Variable]
    losses: list[Tensor]
    home: Variable | None
    device: str
    _parts: Parts | None = None  # of a step's loss, until it has been computed

    if TYPE_CHECKING:

        def __call__(
            self, inputs: Any, *others: Any, training: bool | None = None, **named: Any
        ) -> Any:
            """Return the model's result."""

    # One batch.

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Return the outputs' losses, each times its weight, plus the penalties of the layers."""
        penalties = self.losses
        if self._compile_arguments["loss"] is not None:
            penalties = [self._loss_of_outputs(y, y_pred, sample_weight), *penalties]
        if not penalties:
            raise ArgumentError(
                f"{self.name}: training needs a loss; give one to compile, or let a layer add one "
                f"by add_loss."
            )
        total = penalties[0]
        for part in penalties[1:]:
            total = total + part
        return total

    def _loss_of_outputs(self, y: Any, y_pred: Any, sample_weight: Any) -> Any:
        """Return the sum of the outputs' losses, each times its weight."""
        if y is None:
            raise ArgumentError(
                f"{self.name}: there is no truth y to compare the results with; give y, or for an "
                f"autoencoder x twice."
            )
        self._name_outputs(y_pred)
        truths, predictions = self.by_output("y", y), self.by_output("y_pred", y_pred)
        check_no_texts(self.name, truths)
        if len(truths) != len(predictions):
            raise ArgumentError(
                f"{self.name}: y has {len(truths)} parts, but the model has {len(predictions)} "
                f"outputs."
            )
        total: Any = None
        tracked = []
        weights = self.weights_by_output(sample_weight)
        for loss, weight, tracker, t, p, w in zip(
            *(self._losses, self._loss_weights, self._output_losses),
            *(truths, predictions, weights),
            strict=True,
        ):
            if loss is not None:
                with told_as_y(self.name):
                    part = loss(t, p, w)
                if tracker is not None:
                    tracked.append((tracker, part, len(p)))
                part = part if weight == 1 else part * weight
                total = part if total is None else total + part
        if self._parts is None:
            track(tracked)
        else:
            self._parts += tracked
        return total

    def compiled_loss(
        self, y: Any, y_pred: Any, sample_weight: Any = None, regularization_losses: Any = None
    ) -> Tensor:
        """Return the loss of `compile`, and the sum of further ones; an older name."""
        total = self._loss_of_outputs(y, y_pred, sample_weight)
        for loss in regularization_losses or []:
            total = total + loss
        return total

    def train_step(self, data: Any) -> dict[str, Any]:
        """Do one step of training and return the loss and metrics so far in this epoch.

        Args:
            data: x, (x, y) or (x, y, sample_weight) of one batch.
        """
        x, y, sample_weight = unpack(data)
        loss, y_pred, pairs, parts = self._computed(x, y, sample_weight)
        if self._not_finite is not None:
            self._check_loss(loss)  # before a weight becomes NaN
        if pairs:
            self.optimizer.apply_gradients(pairs)
        track(parts)
        self._update_metrics(x, loss, y, y_pred, sample_weight)
        return self.get_metrics_result()

    #: Which samples of `fit` or `evaluate` hold NaN or infinity, in words; None if none does.
    _not_finite: str | None = None

    def _check_loss(self, loss: Any) -> None:
        """Refuse a loss that is no number if some samples are not, and name these."""
        if self._not_finite is not None and not np.isfinite(as_numpy(loss)).all():
            raise DataError(
                f"{self._not_finite}, and the loss became {float(as_numpy(loss))}; leave these out "
                f"or replace the values, or use a loss that masks them."
            )

    def _compute(self, x: Any, y: Any, sample_weight: Any) -> Computed:
        """Return the loss, the results, the gradients with their variables, the outputs' losses."""
        parts: Parts = []
        self._parts = parts
        try:
            with GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(x, y, y_pred, sample_weight)
                scaled = self.optimizer.scale_loss(loss)
        finally:
            self._parts = None
        variables = self.trainable_variables
        gradients = tape.gradient(scaled, variables) if variables else []
        return loss, y_pred, list(zip(gradients, variables, strict=True)), parts

    def _computed(self, x: Any, y: Any, sample_weight: Any) -> Computed:
        """Return the same, by a recorded step where `jit_compile` asks for it."""
        if self._replays is None:
            return self._compute(x, y, sample_weight)
        return self._replays(self, self._compute, (x, y, sample_weight))

    def test_step(self, data: Any) -> dict[str, Any]:
        """Return the loss and metrics so far without learning; `data` as in `train_step`."""
        x, y, sample_weight = unpack(data)
        with no_recording():
            y_pred = self(x, training=False)
            loss = self.compute_loss(x, y, y_pred, sample_weight, training=False)
        self._update_metrics(x, loss, y, y_pred, sample_weight)
        return self.get_metrics_result()

    def predict_step(self, data: Any) -> Any:
        """Return the model's results for one batch; `data` as in `train_step`."""
        return self(unpack(data)[0], training=False)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Add a batch to the metrics of `compile` and return all figures so far."""
        self._add_to_metrics(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def _add_to_metrics(self, y: Any, y_pred: Any, sample_weight: Any) -> None:
        """Add a batch; as in Keras, sample weights count in the loss and in weighted metrics."""
        self._name_outputs(y_pred)
        truths, predictions = self.by_output("y", y), self.by_output("y_pred", y_pred)
        weights = self.weights_by_output(sample_weight)
        groups = zip(
            *(self._metrics, self._weighted_metrics, truths, predictions, weights), strict=True
        )
        with config.use_cpu(), told_as_y(self.name):
            for plain_ones, weighted, t, p, w in groups:
                for metric in plain_ones:
                    metric.update_state(t, p)
                for metric in weighted:
                    metric.update_state(t, p, w)

    def get_metrics_result(self) -> dict[str, Any]:
        """Return all running figures by name."""
        return self._logs()

    def _update_metrics(
        self, x: Any, loss: Tensor, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Add a batch to the loss and the metrics."""
        self._loss_mean.add(float(loss.data), len(flatten(x)[0]))
        if any(self._metrics) or any(self._weighted_metrics):
            self._add_to_metrics(y, y_pred, sample_weight)

    def _logs(self) -> dict[str, Any]:
        """Return all figures so far, in the order of their names, as Keras does."""
        logs = {"loss": self._loss_mean.result()}
        several = len(self._metrics) > 1
        for prefix, groups in (("", self._metrics), ("weighted_", self._weighted_metrics)):
            for output, group in zip(self._resolved_names, groups, strict=True):
                first = f"{output}_" if several else ""
                for metric in group:
                    name = first + metric.name
                    name = f"{first}{prefix}{metric.name}" if name in logs else name
                    logs[free_name(name, logs)] = metric.result()
        trackers = [m for m in self._output_losses if m is not None]
        logs |= {m.name: m.result() for m in trackers}
        known = {id(m) for m in self._compiled_metrics()}
        for metric in self._figures or self.running_figures():
            if id(metric) not in known:  # kept as an attribute
                logs[free_name(metric.name, logs)] = metric.result()
        return dict(sorted(logs.items()))

    def _in_order_of_compile(self, logs: dict[str, Any]) -> Any:
        """Return figures as Keras lists them: loss, metrics, then the others by name."""
        names = list(dict.fromkeys(m.name for m in self._compiled_metrics()))
        first = [logs[name] for name in names if name in logs]
        values = first + [value for name, value in sorted(logs.items()) if name not in names]
        return values[0] if len(values) == 1 else values

    @card_watched
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Do one step of training on one batch; return the loss, and metrics if there are any."""
        self._check_compiled("train_on_batch")
        if class_weight is not None:
            sample_weight = class_weights(class_weight, y, sample_weight)
        logs = self._on_batch(self.train_step, x, y, sample_weight)
        warn_of_loss(self, logs.get("loss", 0.0), stacklevel=4)
        return logs if return_dict else self._in_order_of_compile(logs)

    @card_watched
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Return the loss of one batch without learning, and metrics if there are any."""
        self._check_compiled("test_on_batch")
        logs = self._on_batch(self.test_step, x, y, sample_weight)
        return logs if return_dict else self._in_order_of_compile(logs)

    @one_blas_thread()
    def _on_batch(self, step: Any, x: Any, y: Any, sample_weight: Any) -> dict[str, float]:
        self.reset_metrics()
        self._check_given(x)
        x, y = to_arrays(x), None if y is None else to_arrays(y)
        sample_weight = to_weights(sample_weight, y)
        return self._stepped(step, x, y, sample_weight)

    def _stepped(self, step: Any, x: Any, y: Any, sample_weight: Any) -> dict[str, float]:
        """Return what a step gives for a batch; a user's step gets no parts that are None."""
        parts = x if y is None else (x, y)
        data = parts if sample_weight is None else (x, y, sample_weight)
        with np.errstate(over="ignore", invalid="ignore"):  # one sentence says it better
            logs = flat_logs(self.name, step(self._beside_weights(data)))
        if self._replays is not None and step == self.train_step:
            self._replays.after_step(self.home)
        return logs

    def _batch_device(self) -> str:
        """Return where the weights live; without weights, where new ones would be put."""
        home = self.home if gpu_in_sight() else None
        return config.device() if home is None else home.device

    def _check_one_place(self) -> None:
        """Refuse weights of which some are on the GPU and some are not."""
        _ = gpu_in_sight() and self.device  # which looks at all

    def _beside_weights(self, batch: Any) -> Any:
        """Return a batch where the weights live."""
        return moved(batch, self._batch_device()) if gpu_in_sight() else batch

    def _ahead(self, batches: Iterable[Any]) -> Iterable[Any]:
        """Return batches; on the GPU, each is copied there while the one before is worked with."""
        if self._batch_device() == "cpu":
            return batches
        return backend_module("cupy").ahead(batches, functools.partial(moved, device="gpu"))

    @card_watched
    @one_blas_thread()
    def predict_on_batch(self, x: Any) -> Any:
        """Return the model's results for one batch as arrays in the computer's memory."""
        return self._predicted(x)

    def _predicted(self, x: Any) -> Any:
        with no_recording():
            results = self.predict_step((self._beside_weights(x),))
        return mapped(as_numpy, list(results) if isinstance(results, tuple) else results)
