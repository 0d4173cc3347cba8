"""Write further Keras values of training: optimizers, losses, metrics, callbacks, fits.

Run it with a Python that has Keras 3, TensorFlow and JAX:

    python tests/oracles/make_keras_training.py

It was run with the versions in the JSON file (CPU) and writes, beside itself,
``keras_more_training.npz`` and ``.json``.  None of these is needed to run the tests.  Optimizers,
schedules and fits are computed by JAX: with TensorFlow, Keras rounds Python's numbers to float32.

Arrays under "<kind>/<id>/<name>"; the cases with their arguments are in the JSON file:

    optimizer  var0, var1 after every step in float64, last0, last1 after the last one in float32;
               starts and gradients are those of ``keras_training.npz``
    loss       y_true, y_pred, weight (where there is one), value, grad (of the value's sum)
    metric     y_true, y_pred and weight (where there are some) of three batches of 5, 3 and 4
    fit        x, y0, ..., weight (where there is one), w0.. (start), new_w0.. (end)

Results of metrics after each batch, schedules, callbacks, histories and the signatures of all
public names are in the JSON file alone.
"""

import inspect
import os
import pickle
import subprocess
import sys
import warnings
import zlib

os.environ |= {
    "KERAS_BACKEND": "jax" if sys.argv[1:] else "tensorflow",
    "JAX_ENABLE_X64": "1",
    "JAX_PLATFORMS": "cpu",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
}

import keras
import make_keras
import numpy as np
import tensorflow as tf
from make_keras import compact, dyadic, optimizer_values, probabilities, versions

SCHEDULE_STEPS = (0, 1, 2, 3, 6, 7, 8, 13, 14, 15, 19, 20, 21, 30, 40, 70, 97)


def random(kind, name):
    return np.random.default_rng(zlib.crc32(f"more/{kind}/{name}".encode()))


# Optimizers and schedules

OPTIMIZERS = [
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.05, "global_clipnorm": 2.0}),
    ("AdamW", {}),
    ("AdamW", {"learning_rate": 0.05, "weight_decay": 0.3, "amsgrad": True, "clipvalue": 0.7}),
    ("Adam", {"learning_rate": 0.02, "global_clipnorm": 1.5, "weight_decay": 0.01}),
    ("RMSprop", {}),
    ("RMSprop", {"learning_rate": 0.01, "rho": 0.8, "momentum": 0.7, "epsilon": 1e-3}),
    ("RMSprop", {"learning_rate": 0.01, "centered": True, "clipnorm": 1.5}),
    ("RMSprop", {"learning_rate": 0.02, "centered": True, "momentum": 0.5, "rho": 0.95}),
    ("Adagrad", {}),
    ("Adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.0, "epsilon": 1e-4}),
    ("Adadelta", {}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.9, "epsilon": 1e-5, "weight_decay": 0.02}),
    ("Adamax", {}),
    ("Adamax", {"learning_rate": 0.03, "beta_1": 0.7, "beta_2": 0.9, "epsilon": 1e-4}),
    ("Nadam", {}),
    ("Nadam", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.95, "clipnorm": 1.0}),
    ("Lion", {}),
    ("Lion", {"learning_rate": 0.02, "beta_1": 0.6, "beta_2": 0.8, "weight_decay": 0.1}),
    ("Ftrl", {}),
    ("Ftrl", {"learning_rate": 0.1, "learning_rate_power": -0.7, "beta": 0.3,
              "initial_accumulator_value": 0.5, "l1_regularization_strength": 0.05,
              "l2_regularization_strength": 0.1, "l2_shrinkage_regularization_strength": 0.02}),
    ("SGD", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.9}),
    ("SGD", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.8,
             "ema_overwrite_frequency": 4}),
    ("Adam", {"learning_rate": 0.02, "gradient_accumulation_steps": 3}),
    ("Nadam", {"learning_rate": 0.02, "gradient_accumulation_steps": 4, "clipnorm": 1.0,
               "weight_decay": 0.1}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.5, "use_ema": True, "ema_momentum": 0.7,
             "gradient_accumulation_steps": 3, "ema_overwrite_frequency": 2}),
    ("Adam", {"learning_rate": 0.02, "loss_scale_factor": 8.0}),
    ("Adam", {"learning_rate": {"class": "PolynomialDecay",
                                "config": {"initial_learning_rate": 0.1, "decay_steps": 12}}}),
]  # fmt: skip

SCHEDULES = [
    ("ExponentialDecay", {"initial_learning_rate": 0.2, "decay_steps": 6, "decay_rate": 1.5}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.2, "decay_steps": 7, "decay_rate": 0.5}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.2, "decay_steps": 7, "decay_rate": 0.5,
                          "staircase": True}),
    ("PiecewiseConstantDecay", {"boundaries": [7, 20], "values": [1.0, 0.5, 0.125]}),
    ("PiecewiseConstantDecay", {"boundaries": [3], "values": [0.3, 0.2]}),
    ("PolynomialDecay", {"initial_learning_rate": 0.2, "decay_steps": 20}),
    ("PolynomialDecay", {"initial_learning_rate": 0.2, "decay_steps": 20, "power": 2.5,
                         "end_learning_rate": 0.02}),
    ("PolynomialDecay", {"initial_learning_rate": 0.2, "decay_steps": 7, "cycle": True,
                         "power": 0.5}),
    ("CosineDecay", {"initial_learning_rate": 0.0, "decay_steps": 30, "warmup_target": 0.1,
                     "warmup_steps": 7}),
    ("CosineDecay", {"initial_learning_rate": 0.05, "decay_steps": 13, "warmup_target": 0.02,
                     "warmup_steps": 0, "alpha": 0.2}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 7}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 7, "t_mul": 1.0,
                             "m_mul": 0.8, "alpha": 0.1}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 5, "t_mul": 1.5,
                             "m_mul": 0.5}),
]  # fmt: skip


def schedule(entry):
    return getattr(keras.optimizers.schedules, entry["class"])(**entry["config"])


def run_optimizer(cls, config, dtype, spared):
    keras.config.set_floatx(dtype)
    config = dict(config)
    if isinstance(config.get("learning_rate"), dict):
        config["learning_rate"] = schedule(config["learning_rate"])
    optimizer = getattr(keras.optimizers, cls)(**config)
    starts, gradients = optimizer_values()
    names = ("kernel", "bias")
    variables = [keras.Variable(s, dtype=dtype, name=n) for s, n in zip(starts, names, strict=True)]
    if spared:
        optimizer.exclude_from_weight_decay(var_names=spared)
    optimizer.build(variables)
    history = [[] for _ in variables]
    for step in range(make_keras.STEPS):
        optimizer.apply([keras.ops.convert_to_tensor(g[step], dtype) for g in gradients], variables)
        for values, variable in zip(history, variables, strict=True):
            values.append(np.array(variable))
    optimizer.finalize_variable_values(variables)
    final = [np.array(v) for v in variables]
    keras.config.set_floatx("float64")
    return history, final, int(optimizer.iterations)


def optimizers(arrays):
    entries = []
    cases = [(cls, config, None) for cls, config in OPTIMIZERS]
    cases.append(("AdamW", {"learning_rate": 0.1, "weight_decay": 0.5}, ["bias"]))
    for number, (cls, config, spared) in enumerate(cases):
        name = f"{cls.lower()}-{number}"
        history, final, iterations = run_optimizer(cls, config, "float64", spared)
        last = run_optimizer(cls, config, "float32", spared)[0]
        for i in range(2):
            arrays[f"optimizer/{name}/var{i}"] = compact(history[i])
            arrays[f"optimizer/{name}/final{i}"] = compact(final[i])
            arrays[f"optimizer/{name}/last{i}"] = np.asarray(last[i][-1], np.float32)
        entries.append({"id": name, "class": cls, "config": config, "spared": spared,
                        "iterations": iterations})  # fmt: skip
    return entries


def schedules():
    return [
        {"class": cls, "config": config,
         "values": [float(schedule({"class": cls, "config": config})(s)) for s in SCHEDULE_STEPS]}
        for cls, config in SCHEDULES
    ]  # fmt: skip


# Losses

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", None)
LOSSES = [
    ("MeanSquaredError", {}, "real"),
    ("MeanAbsoluteError", {}, "real"),
    ("MeanAbsolutePercentageError", {}, "real"),
    ("MeanSquaredLogarithmicError", {}, "real"),
    ("Huber", {}, "real"),
    ("Huber", {"delta": 0.4}, "real"),
    ("LogCosh", {}, "real"),
    ("CosineSimilarity", {}, "real"),
    ("CosineSimilarity", {"axis": 1}, "real"),
    ("Hinge", {}, "binary"),
    ("Hinge", {}, "signs"),
    ("SquaredHinge", {}, "binary"),
    ("SquaredHinge", {}, "signs"),
    ("CategoricalHinge", {}, "categorical"),
    ("Poisson", {}, "counts"),
    ("KLDivergence", {}, "distribution"),
    ("BinaryCrossentropy", {"axis": 1}, "binary"),
    ("BinaryFocalCrossentropy", {}, "binary"),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5,
                                 "label_smoothing": 0.2}, "binary"),
    ("BinaryFocalCrossentropy", {"from_logits": True}, "binary-logits"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.25}, "categorical"),
    ("CategoricalFocalCrossentropy", {}, "categorical"),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "gamma": 3.0, "alpha": [0.1, 0.5, 0.2],
                                      "label_smoothing": 0.1}, "categorical-logits"),
    ("SparseCategoricalCrossentropy", {}, "sparse"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, "sparse"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 255, "from_logits": True},
     "sparse-logits-255"),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.7}, "sparse"),
    ("Dice", {}, "binary"),
    ("Dice", {"axis": [1, 2]}, "binary"),
    ("Tversky", {"alpha": 0.3, "beta": 0.9}, "binary"),
    ("Tversky", {"axis": [2]}, "binary"),
]  # fmt: skip


def loss_data(rng, values, shape):
    true, pred = dyadic(rng, shape), dyadic(rng, shape) + 1 / 64
    labels = rng.integers(0, shape[-1], shape[:-1])
    if values.startswith("binary"):
        true = rng.integers(0, 2, shape).astype(float)
        pred = pred if "logits" in values else rng.integers(1, 64, shape) / 64
    elif values == "signs":
        true = rng.choice([-1.0, 1.0], shape)
    elif values == "counts":
        true, pred = rng.integers(0, 6, shape).astype(float), rng.integers(1, 99, shape) / 16
    elif values == "distribution":
        true, pred = probabilities(rng, shape), probabilities(rng, shape)
    elif values.startswith(("categorical", "sparse")):
        pred = pred if "logits" in values else probabilities(rng, shape)
        true = np.eye(shape[-1])[labels]
        if values.startswith("sparse"):
            true = labels.astype(float)
            if "255" in values:
                true.flat[::3] = 255
    return true, pred


def losses(arrays):
    entries = []
    for number, (cls, config, values) in enumerate(LOSSES):
        # Two reductions for each, by turns.
        for place in (number % 5, (number + 2) % 5):
            reduction = REDUCTIONS[place]
            # Weights by turns: none, one for each sample, one for each value.
            kind = (number + place) % 3
            name = f"{cls}-{number}-{reduction}"
            rng = random("loss", name)
            true, pred = loss_data(rng, values, (4, 5, 3))
            arguments = {**config, "reduction": reduction}
            if "axis" in arguments and isinstance(arguments["axis"], list):
                arguments["axis"] = tuple(arguments["axis"])
            loss = getattr(keras.losses, cls)(**arguments)
            y = tf.constant(pred)
            shape = loss.call(tf.constant(true), y).shape
            weight = None
            if kind and len(shape):
                weight_shape = (shape[0],) + (1,) * (len(shape) - 1) if kind == 1 else shape
                weight = rng.integers(0, 8, weight_shape) / 4
                if kind == 1 and reduction == "mean_with_sample_weight":
                    weight = np.broadcast_to(weight, shape)
            with tf.GradientTape() as tape:
                tape.watch(y)
                value = loss(tf.constant(true), y, sample_weight=weight)
                total = tf.reduce_sum(value)
            prefix = f"loss/{name}"
            arrays[f"{prefix}/y_true"], arrays[f"{prefix}/y_pred"] = compact(true), compact(pred)
            if weight is not None:
                arrays[f"{prefix}/weight"] = compact(weight)
            arrays[f"{prefix}/value"] = compact(value)
            arrays[f"{prefix}/grad"] = compact(tape.gradient(total, y))
            entries.append({"id": name, "class": cls, "config": {**config, "reduction": reduction},
                            "weighted": weight is not None})  # fmt: skip
    return entries


# Metrics

METRICS = [
    ("Sum", {}, "values"),
    ("Mean", {}, "values"),
    ("RootMeanSquaredError", {}, "real"),
    ("MeanAbsolutePercentageError", {}, "real"),
    ("MeanSquaredLogarithmicError", {}, "real"),
    ("LogCoshError", {}, "real"),
    ("CosineSimilarity", {}, "real"),
    ("CosineSimilarity", {"axis": 1}, "real-2d"),
    ("Hinge", {}, "signs"),
    ("SquaredHinge", {}, "signs"),
    ("CategoricalHinge", {}, "onehot"),
    ("KLDivergence", {}, "distribution"),
    ("Poisson", {}, "counts"),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, "yes"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "onehot"),
    ("SparseCategoricalCrossentropy", {}, "label"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, "label"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1, "from_logits": True}, "label-2d"),
    ("PearsonCorrelation", {}, "real"),
    ("ConcordanceCorrelation", {}, "real"),
    ("TopKCategoricalAccuracy", {"k": 2}, "onehot"),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, "label"),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, "label-2d"),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, "sorted"),
    ("TruePositives", {}, "yes"),
    ("TrueNegatives", {"thresholds": [0.25, 0.75]}, "yes"),
    ("FalsePositives", {"thresholds": 0.25}, "yes"),
    ("FalseNegatives", {"thresholds": [0.0, 0.5, 1.0]}, "yes"),
    ("Precision", {}, "yes"),
    ("Precision", {"thresholds": [0.2, 0.5, 0.8]}, "yes"),
    ("Precision", {"top_k": 2}, "yes"),
    ("Precision", {"class_id": 1}, "yes"),
    ("Recall", {}, "yes"),
    ("Recall", {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}, "yes"),
    ("Recall", {"top_k": 1, "class_id": 2}, "yes"),
    ("Recall", {}, "yes-column"),
    ("SensitivityAtSpecificity", {"specificity": 0.5}, "yes"),
    ("SpecificityAtSensitivity", {"sensitivity": 0.55, "num_thresholds": 1}, "yes"),
    ("PrecisionAtRecall", {"recall": 0.4, "num_thresholds": 33}, "yes"),
    ("RecallAtPrecision", {"precision": 0.5, "class_id": 0}, "yes"),
    ("AUC", {}, "yes"),
    ("AUC", {"num_thresholds": 9}, "yes-column"),
    ("AUC", {"curve": "PR"}, "yes"),
    ("AUC", {"curve": "PR", "summation_method": "minoring", "num_thresholds": 17}, "yes"),
    ("AUC", {"summation_method": "majoring", "num_thresholds": 5}, "yes"),
    ("AUC", {"thresholds": [0.3, 0.1, 0.9]}, "yes"),
    ("AUC", {"multi_label": True, "num_thresholds": 21}, "yes"),
    ("AUC", {"multi_label": True, "curve": "PR", "label_weights": [1.0, 3.0, 0.5],
             "num_labels": 3}, "yes"),
    ("AUC", {"label_weights": [1.0, 3.0, 0.5]}, "yes"),
    ("AUC", {"from_logits": True}, "yes-logits"),
    ("F1Score", {}, "onehot"),
    ("F1Score", {"average": "macro", "threshold": 0.5}, "yes"),
    ("FBetaScore", {"average": "micro", "beta": 2.0, "threshold": 0.25}, "yes"),
    ("FBetaScore", {"average": "weighted", "beta": 0.5}, "onehot"),
    ("R2Score", {}, "real"),
    ("R2Score", {"class_aggregation": None}, "real"),
    ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 2}, "real"),
    ("IoU", {"num_classes": 4, "target_class_ids": [0, 2]}, "classes"),
    ("IoU", {"num_classes": 3, "target_class_ids": [1], "ignore_class": 0}, "classes"),
    ("IoU", {"num_classes": 3, "target_class_ids": [0, 1], "sparse_y_pred": False,
             "dtype": "float64"}, "label-2d"),
    ("MeanIoU", {"num_classes": 5}, "classes"),
    ("MeanIoU", {"num_classes": 4, "ignore_class": 3, "dtype": "float64"}, "classes"),
    ("BinaryIoU", {"dtype": "float64"}, "yes"),
    ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.25}, "yes"),
    ("OneHotIoU", {"num_classes": 3, "target_class_ids": [0, 2]}, "onehot"),
    ("OneHotMeanIoU", {"num_classes": 3}, "onehot-2d"),
]  # fmt: skip

#: Metrics whose weights must be whole numbers, or that take one for each sample alone.
WHOLE = ("IoU", "MeanIoU", "BinaryIoU", "OneHotIoU", "OneHotMeanIoU")


def metric_data(rng, values, size):
    shape = (size, 4, 3) if values.endswith("2d") else (size, 3)
    true, pred = dyadic(rng, shape), dyadic(rng, shape)
    labels = rng.integers(0, 3, shape[:-1])
    if values.startswith("yes"):
        shape = (size, 1) if "column" in values else shape
        true, pred = rng.integers(0, 2, shape), rng.integers(0, 17, shape) / 16
        pred = dyadic(rng, shape) if "logits" in values else pred
        true = true[:, 0] if "column" in values else true
    elif values == "signs":
        true = rng.choice([-1.0, 1.0], shape)
    elif values == "counts":
        true, pred = rng.integers(0, 6, shape), rng.integers(1, 99, shape) / 16
    elif values == "distribution":
        true, pred = probabilities(rng, shape), probabilities(rng, shape)
    elif values == "sorted":
        true, pred = labels, np.stack([rng.permutation(3) for _ in range(size)])
    elif values == "classes":
        true, pred = rng.integers(0, 4, (size, 5)), rng.integers(0, 4, (size, 5))
    elif values.startswith(("onehot", "label")):
        pred = probabilities(rng, shape)
        true = np.eye(3)[labels] if values.startswith("onehot") else labels
    elif values == "values":
        true = pred
    return np.asarray(true, float), np.asarray(pred, float)


def metrics(arrays):
    entries = []
    for number, (cls, config, values) in enumerate(METRICS):
        for weighted in (False, True):
            name = f"{cls}-{number}{'-weighted' if weighted else ''}"
            rng = random("metric", name)
            arguments = dict(config)
            if "num_regressors" in arguments and weighted:
                continue
            metric = getattr(keras.metrics, cls)(**arguments)
            kept, results, prefix = [], [], f"metric/{name}"
            for size in (5, 3, 4):
                true, pred = metric_data(rng, values, size)
                places = true.shape if "ignore_class" in config else size
                weight = rng.integers(0, 5, places) / 4 if weighted else None
                if weighted and cls in WHOLE:
                    weight = rng.integers(0, 4, true.shape[:-1] if "onehot" in values else
                                          true.shape)  # fmt: skip
                kept.append((true, pred, weight))
                if weighted and metric.dtype.startswith("int"):
                    weight = np.asarray(weight, int)
                if "TopK" in cls:  # TensorFlow finds the largest of float32 only
                    pred = np.asarray(pred, np.float32)
                if cls in ("Sum", "Mean"):
                    metric.update_state(tf.constant(pred), sample_weight=weight)
                else:
                    metric.update_state(tf.constant(true), tf.constant(pred), sample_weight=weight)
                results.append(np.asarray(metric.result(), float).tolist())
            parts = list(zip(*kept, strict=True))
            arrays[f"{prefix}/y_true"], arrays[f"{prefix}/y_pred"] = (
                compact(np.concatenate(p)) for p in parts[:2]
            )
            if weighted:
                arrays[f"{prefix}/weight"] = compact(np.concatenate(parts[2]))
            entries.append({"id": name, "class": cls, "config": config, "weighted": weighted,
                            "results": results})  # fmt: skip
    return entries


# Callbacks

SCRIPTS = {
    "falling": [5.0, 4.0, 3.0, 3.5, 3.25, 3.125, 2.0, 2.5, 2.5, 2.5, 2.5, 2.5],
    "flat": [1.0] * 12,
    "slow": [1.0 - 0.00005 * i for i in range(12)],
    "jumping": [3.0, 1.0, 4.0, 1.0, 5.0, 0.5, 9.0, 2.0, 6.0, 0.25, 5.0, 3.0],
    "rising": [0.1, 0.2, 0.3, 0.25, 0.35, 0.35, 0.3, 0.5, 0.4, 0.4, 0.4, 0.4],
}
STOPPINGS = [
    {"patience": 0},
    {"patience": 2},
    {"patience": 3, "min_delta": 0.75},
    {"patience": 1, "start_from_epoch": 3},
    {"patience": 2, "baseline": 2.25},
    {"patience": 2, "baseline": 0.15, "mode": "max"},
    {"patience": 2, "mode": "max"},
    {"patience": 3, "restore_best_weights": True},
    {"patience": 1, "restore_best_weights": True, "mode": "max", "start_from_epoch": 2},
]
PLATEAUS = [
    {"patience": 2},
    {"patience": 1, "factor": 0.5, "cooldown": 2},
    {"patience": 2, "factor": 0.25, "min_lr": 0.05, "mode": "max"},
    {"patience": 1, "factor": 0.5, "min_delta": 1.0},
    {"patience": 0, "factor": 0.5, "cooldown": 1},
]


class StandIn:
    """A model whose weight is the number of the epoch."""

    def __init__(self):
        self.optimizer = keras.optimizers.SGD(0.5)
        self.stop_training, self.weights, self.metrics = False, 0, []

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights = weights


def play(callback, values):
    """Return the rate before each epoch, the epochs done, and the epoch whose weights stay."""
    model, rates = StandIn(), []
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        rates.append(float(model.optimizer.learning_rate.numpy()))
        model.weights = epoch
        callback.on_epoch_begin(epoch, {})
        callback.on_epoch_end(epoch, {"val_loss": value})
        if model.stop_training:
            break
    done = len(rates)
    callback.on_train_end({})
    return {"rates": rates, "epochs": done, "weights": model.weights}


def callbacks():
    groups = {"EarlyStopping": STOPPINGS, "ReduceLROnPlateau": PLATEAUS}
    return [
        {"class": cls, "config": config, "script": script,
         **play(getattr(keras.callbacks, cls)(**config), values)}
        for cls, configs in groups.items()
        for config in configs
        for script, values in SCRIPTS.items()
    ]  # fmt: skip


# Fits

FITS = {
    "schedule": {"optimizer": ("SGD", {"learning_rate": {
        "class": "CosineDecay", "config": {"initial_learning_rate": 0.2, "decay_steps": 6}}}),
        "loss": "mse", "metrics": ["mae"]},
    "ema": {"optimizer": ("SGD", {"learning_rate": 0.125, "use_ema": True, "ema_momentum": 0.75}),
            "loss": "huber"},
    "accumulation": {"optimizer": ("Adam", {"learning_rate": 0.05,
                                            "gradient_accumulation_steps": 2}), "loss": "mae"},
    "weighted": {"optimizer": ("RMSprop", {}), "loss": "mse", "weighted": True,
                 "metrics": ["mae", "mse"], "weighted_metrics": ["mae", "mape"]},
    "two-outputs": {"optimizer": ("Nadam", {}), "loss": {"left": "mse", "right": "log_cosh"},
                    "loss_weights": {"left": 0.5, "right": 2.0}, "weighted": True, "outputs": 2,
                    "metrics": {"left": ["mae"]},
                    "weighted_metrics": {"left": ["mae"], "right": ["mse"]}},
}  # fmt: skip


def fits(arrays):
    entries = []
    for name, case in FITS.items():
        rng = random("fit", name)
        outputs = case.get("outputs", 1)
        start = keras.Input((3,))
        heads = [keras.layers.Dense(2, name=n)(start) for n in ("left", "right")[:outputs]]
        model = keras.Model(start, heads if outputs > 1 else heads[0])
        weights = [dyadic(rng, w.shape) / 4 for w in model.weights]
        model.set_weights(weights)
        x, ys = dyadic(rng, (10, 3)), [dyadic(rng, (10, 2)) for _ in range(outputs)]
        weight = rng.integers(0, 8, 10) / 4 if case.get("weighted") else None
        cls, config = case["optimizer"]
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = schedule(config["learning_rate"])
        model.compile(
            getattr(keras.optimizers, cls)(**config),
            case["loss"],
            loss_weights=case.get("loss_weights"),
            metrics=case.get("metrics"),
            weighted_metrics=case.get("weighted_metrics"),
            run_eagerly=True,
        )
        arguments = {"batch_size": 4, "shuffle": False, "verbose": 0, "sample_weight": weight}
        y = ys if outputs > 1 else ys[0]
        history = model.fit(x, y, epochs=3, validation_data=(x[:5], [a[:5] for a in ys]
                            if outputs > 1 else y[:5]), **arguments).history  # fmt: skip
        prefix = f"fit/{name}"
        arrays[f"{prefix}/x"] = compact(x)
        arrays |= {f"{prefix}/y{i}": compact(a) for i, a in enumerate(ys)}
        if weight is not None:
            arrays[f"{prefix}/weight"] = compact(weight)
        arrays |= {f"{prefix}/w{i}": compact(w) for i, w in enumerate(weights)}
        arrays |= {f"{prefix}/new_w{i}": compact(w) for i, w in enumerate(model.get_weights())}
        evaluated = model.evaluate(x, y, batch_size=4, verbose=0, sample_weight=weight)
        entries.append({
            "id": name, **case, "outputs": outputs,
            "history": {k: [float(v) for v in values] for k, values in history.items()},
            "evaluated": [float(v) for v in np.atleast_1d(evaluated)],
        })  # fmt: skip
    return entries


# Signatures


def default(parameter):
    if parameter.default is parameter.empty:
        return "required" if parameter.kind is parameter.POSITIONAL_OR_KEYWORD else "more"
    return repr(parameter.default)


def signatures():
    found = {}
    for room in ("optimizers", "optimizers.schedules", "losses", "metrics", "callbacks"):
        module = keras
        for part in room.split("."):
            module = getattr(module, part)
        found[room] = {
            name: {p.name: default(p) for p in inspect.signature(thing).parameters.values()}
            for name, thing in sorted(vars(module).items())
            if callable(thing) and not name.startswith("_")
        }
    return found


def by_jax():
    """Write what JAX computes to the standard output."""
    # Keras rounds float64 to float32 with JAX, whatever floatx says, by this table.
    from keras.src.backend.common import dtypes

    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    arrays = {}
    lists = {
        "optimizers": optimizers(arrays),
        "schedules": schedules(),
        "fits": fits(arrays),
    }
    sys.stdout.buffer.write(pickle.dumps((arrays, lists)))


def main():
    warnings.simplefilter("ignore")
    keras.config.set_floatx("float64")
    if sys.argv[1:]:
        by_jax()
        return
    done = subprocess.run([sys.executable, __file__, "jax"], stdout=subprocess.PIPE, check=True)
    arrays, lists = pickle.loads(done.stdout)
    lists |= {"losses": losses(arrays), "metrics": metrics(arrays), "callbacks": callbacks()}
    make_keras.write_arrays("keras_more_training.npz", arrays)
    head = {"versions": versions(), "schedule_steps": list(SCHEDULE_STEPS), "scripts": SCRIPTS}
    head["signatures"] = signatures()
    make_keras.write_json("keras_more_training.json", head, lists)


if __name__ == "__main__":
    main()
