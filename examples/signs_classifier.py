"""Tell how many fingers a hand shows: the same network trained by a loop of one's own, and by fit.

    python examples/signs_classifier.py [--data FOLDER]

A chain of convolutions learns from 1080 photographs of hands, which the pipeline shifts, turns and
zooms while training goes on. Both trainings begin with the same weights, see the same batches and
end with the same network. It is tested on the photographs that are not among those learned from.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from common import Example

from minicnn import GradientTape, config, losses, metrics, optimizers
from minicnn.applications.augmentation import hand_changes
from minicnn.applications.classifiers import image_classifier
from minicnn.applications.confusion import draw_confusion
from minicnn.applications.figures import draw_curves
from minicnn.data import AUTOTUNE, Dataset
from minicnn.datasets import render_signs, signs
from minicnn.models import Model

BATCH, RATE, CLASSES = 32, 3e-3, 6

Arrays = tuple[np.ndarray, np.ndarray]


def pipeline(images: np.ndarray, labels: np.ndarray) -> Dataset:
    """Return the training batches: in a new order in each epoch, changed a little, made ahead."""
    changes = hand_changes()
    data = Dataset.from_tensor_slices((images, labels)).shuffle(len(images)).batch(BATCH)
    return data.map(lambda x, y: (changes(x, training=True), y)).prefetch(AUTOTUNE)


def prepared(example: Example, train: Arrays, epochs: int) -> tuple[Model, Any, Dataset]:
    """Return a new network, its optimizer and its data, the same at every call."""
    config.set_random_seed(example.seed)
    model = image_classifier(train[0].shape[1:], CLASSES)
    steps = -(-len(train[0]) // BATCH)
    optimizer = optimizers.Adam(optimizers.CosineDecay(RATE, epochs * steps))
    return model, optimizer, pipeline(*train)


def train_by_hand(
    model: Model, optimizer: Any, data: Dataset, epochs: int
) -> dict[str, list[float]]:
    """Train by a written-out loop, as the course does; return the losses and accuracies."""
    loss_of = losses.SparseCategoricalCrossentropy()
    mean_loss, accuracy = metrics.Mean(), metrics.SparseCategoricalAccuracy()
    history: dict[str, list[float]] = {"loss": [], "accuracy": []}
    for epoch in range(epochs):
        mean_loss.reset_state()
        accuracy.reset_state()
        for step, (images, labels) in enumerate(data, 1):
            with GradientTape() as tape:
                predictions = model(images, training=True)
                loss = loss_of(labels, predictions)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            mean_loss.update_state(loss, sample_weight=len(images))
            accuracy.update_state(labels, predictions)
            line = (
                f"epoch {epoch + 1}/{epochs}, step {step}: loss {float(mean_loss.result()):.4f}, "
                f"accuracy {float(accuracy.result()):.4f}"
            )
            if sys.stdout.isatty():  # a file gets a line for each epoch alone
                print(line, end="\r", flush=True)
        print(line, flush=True)
        history["loss"].append(float(mean_loss.result()))
        history["accuracy"].append(float(accuracy.result()))
    return history


def load(example: Example) -> tuple[Arrays, Arrays]:
    """Return the training images, and the test images that are no copies of them, in [0, 1]."""
    rendered = render_signs(96, 32, seed=example.seed), render_signs(30, 32, seed=example.seed + 1)
    (x_train, y_train), (x_test, y_test) = example.load(signs.load_data, lambda: rendered)
    if example.fast:
        x_train, y_train = x_train[:96], y_train[:96]
    clean = signs.clean_test_indices(x_train, x_test)
    example.say("test images; of them no copies", f"{len(x_test)}; {len(clean)}")
    scale = np.float32(255)
    return (x_train / scale, y_train), (x_test[clean] / scale, y_test[clean])


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train twice, compare, draw; return the figures."""
    example = Example(__doc__, "signs_classifier", argv, epochs=20)
    train, (x_test, y_test) = load(example)
    epochs = example.epochs(fast=2)

    model, optimizer, data = prepared(example, train, epochs)
    began = time.perf_counter()
    by_hand = train_by_hand(model, optimizer, data, epochs)
    seconds_by_hand = time.perf_counter() - began
    probabilities = model.predict(x_test, verbose=0)

    twin, optimizer, data = prepared(example, train, epochs)
    twin.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    began = time.perf_counter()
    by_fit = twin.fit(data, epochs=epochs).history
    seconds_by_fit = time.perf_counter() - began

    difference = np.abs(np.subtract(by_hand["loss"], by_fit["loss"])).max()
    figures = {
        "accuracy by hand": float((probabilities.argmax(1) == y_test).mean()),
        "accuracy by fit": float(twin.evaluate(x_test, y_test, verbose=0)[1]),
        "largest difference of the losses": float(difference),
    }
    example.say("seconds of training by hand", seconds_by_hand)
    example.say_all(figures, seconds_by_fit)
    fingers = [str(n) for n in range(CLASSES)]
    example.picture(draw_confusion(x_test, y_test, probabilities, fingers), "confusion.png")
    curves = {
        "loss": {"by hand": by_hand["loss"], "by fit": by_fit["loss"]},
        "accuracy in training": {"by hand": by_hand["accuracy"], "by fit": by_fit["accuracy"]},
    }
    example.picture(draw_curves(curves), "training.png")
    return figures


if __name__ == "__main__":
    main()
