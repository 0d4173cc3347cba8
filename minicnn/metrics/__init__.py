"""Metrics under Keras' names: running figures over the batches of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minicnn import configs, losses
from minicnn.errors import ArgumentError, check_choice
from minicnn.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from minicnn.metrics import accuracy as _accuracy
from minicnn.metrics import base, confusion, curves, distance, overlap, scores
from minicnn.metrics.accuracy import (
    Accuracy,
    AccuracyByShape,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from minicnn.metrics.base import Mean, MeanMetricWrapper, Metric, Sum
from minicnn.metrics.confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
from minicnn.metrics.curves import AUC
from minicnn.metrics.distance import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    ConcordanceCorrelation,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    PearsonCorrelation,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    concordance_correlation,
    pearson_correlation,
)
from minicnn.metrics.overlap import BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from minicnn.metrics.scores import F1Score, FBetaScore, R2Score
from minicnn.registry import snake_case

__all__ = [
    "AUC", "Accuracy", "AccuracyByShape", "BinaryAccuracy", "BinaryCrossentropy", "BinaryIoU",
    "CategoricalAccuracy", "CategoricalCrossentropy", "CategoricalHinge", "ConcordanceCorrelation",
    "CosineSimilarity", "F1Score", "FBetaScore", "FalseNegatives", "FalsePositives", "Hinge", "IoU",
    "KLDivergence", "LogCoshError", "Mean", "MeanAbsoluteError", "MeanAbsolutePercentageError",
    "MeanIoU", "MeanMetricWrapper", "MeanSquaredError", "MeanSquaredLogarithmicError", "Metric",
    "OneHotIoU", "OneHotMeanIoU", "PearsonCorrelation", "Poisson", "Precision",
    "PrecisionAtRecall", "R2Score", "Recall", "RecallAtPrecision", "RootMeanSquaredError",
    "SensitivityAtSpecificity", "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy", "SpecificityAtSensitivity", "SquaredHinge", "Sum",
    "TopKCategoricalAccuracy", "TrueNegatives", "TruePositives", "as_metric", "binary_accuracy",
    "binary_crossentropy", "binary_focal_crossentropy", "categorical_accuracy",
    "categorical_crossentropy", "categorical_focal_crossentropy", "categorical_hinge",
    "concordance_correlation", "deserialize", "get", "hinge", "huber", "kl_divergence", "log_cosh",
    "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error",
    "mean_squared_logarithmic_error", "pearson_correlation", "poisson", "serialize",
    "sparse_categorical_accuracy", "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy", "squared_hinge", "top_k_categorical_accuracy",
]  # fmt: skip

CLASSES: dict[str, type[Metric]] = {
    name: value
    for module in (base, _accuracy, distance, confusion, curves, overlap, scores)
    for name, value in vars(module).items()
    if name in module.__all__
    and isinstance(value, type)
    and name not in ("Metric", "AccuracyByShape")
}
ALIASES: dict[str, Callable[..., Any]] = {
    "bce": BinaryCrossentropy,
    "kld": KLDivergence,
    "logcosh": LogCoshError,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "mse": MeanSquaredError,
    "msle": MeanSquaredLogarithmicError,
}
NAMES: dict[str, Callable[..., Any]] = {
    **{name.lower(): cls for name, cls in CLASSES.items()},
    **{snake_case(name): cls for name, cls in CLASSES.items()},
    **ALIASES,
}


def get(identifier: Any) -> Any:
    """Return the metric of a name, as Keras does.

    Args:
        identifier: the name of a class, as it is or with underscores, in any case; what
            `serialize` gave; a class, which is made; a metric or a function, which pass through;
            or None.

    Raises:
        ArgumentError: it is none of these.

    >>> get("mse").name, get("MeanSquaredError").name
    ('mean_squared_error', 'mean_squared_error')
    """
    if identifier is None:
        return None
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, str):
        identifier = NAMES[check_choice("metrics.get", "metric", identifier, NAMES)]
    if isinstance(identifier, type):
        return identifier()
    if callable(identifier):
        return identifier
    raise ArgumentError(f"metrics.get: got {identifier!r}, but a name or a metric is needed.")


def as_metric(identifier: Any) -> Metric:
    """Return the metric that `compile` makes of a name, class or function.

    In logs it goes by the name that was asked for. "accuracy", "acc", "crossentropy" and "ce" are
    of the kind that fits the shapes of truth and predictions.

    >>> as_metric("mse").name
    'mse'
    """
    text = identifier.lower() if isinstance(identifier, str) else ""
    if text in ("accuracy", "acc"):
        return AccuracyByShape(identifier)
    if text in ("crossentropy", "ce"):
        metric: Any = MeanMetricWrapper(losses.crossentropy_by_shape, identifier)
        metric.direction = "down"
        return metric
    metric = get(identifier)
    if not isinstance(metric, Metric):
        return MeanMetricWrapper(metric, getattr(metric, "__name__", "metric"))
    if text:
        metric.name = identifier
    return metric


def serialize(metric: Any) -> Any:
    """Return a metric's name and arguments, or a function's name."""
    if isinstance(metric, Metric):
        return configs.described(metric, "keras.metrics")
    return metric.__name__


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the metric that `serialize` gave, before its first batch."""
    if isinstance(config, str):
        return (custom_objects or {}).get(config) or get(config)
    return configs.made("metrics.deserialize", "metric", config, CLASSES, custom_objects)
