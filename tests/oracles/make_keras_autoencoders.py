"""Write keras_autoencoders.json: the first steps of training of small autoencoders in Keras.

Run it with a Python that has Keras 3 and TensorFlow:

    python tests/oracles/make_keras_autoencoders.py

It was run with the versions that the file names. It holds, for a variational autoencoder, the
[reconstruction, divergence, loss] of each step; for dense autoencoders with and without an L1
penalty of the code, the loss of each step and the sum of each weight after them. Weights, images
and noise are drawn by NumPy, in the same way by the tests.
"""

import json
import math
import os
from pathlib import Path

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

SHAPE, COUNT, CODE, FILTERS, HIDDEN, STEPS = (8, 12, 1), 5, 3, (2, 3), 128, 3


def images():
    return np.random.default_rng(1).random((COUNT, *SHAPE)).astype("float32")


def set_weights(model):
    rng = np.random.default_rng(2)
    model.set_weights([rng.normal(0, 0.3, w.shape).astype("float32") for w in model.weights])


def encoder_and_decoder():
    image = keras.Input(SHAPE)
    x = layers.Conv2D(FILTERS[0], 3, 2, padding="same", activation="relu")(image)
    x = layers.Conv2D(FILTERS[1], 3, 2, padding="same", activation="relu")(x)
    x = layers.Dense(HIDDEN, "relu")(layers.Flatten()(x))
    left = (SHAPE[0] // 4, SHAPE[1] // 4, FILTERS[1])
    decoder = keras.Sequential(
        [
            keras.Input((CODE,)),
            layers.Dense(HIDDEN, "relu"),
            layers.Dense(math.prod(left)),
            layers.Reshape(left),
            layers.Conv2DTranspose(FILTERS[0], 3, 2, padding="same", activation="relu"),
            layers.Conv2DTranspose(SHAPE[2], 7, 2, padding="same", activation="sigmoid"),
        ]
    )
    return keras.Model(image, [layers.Dense(CODE)(x), layers.Dense(CODE)(x)]), decoder


def variational():
    encoder, decoder = encoder_and_decoder()
    set_weights(encoder)
    set_weights(decoder)
    optimizer = keras.optimizers.Adam(0.01)
    weights = encoder.trainable_variables + decoder.trainable_variables
    noise = np.random.default_rng(7)
    parts = []
    for _ in range(STEPS):
        with tf.GradientTape() as tape:
            mean, log_variance = encoder(images(), training=True)
            drawn = noise.standard_normal((COUNT, CODE), "float32")
            code = mean + ops.exp(0.5 * log_variance) * drawn
            drawn = decoder(code, training=True)
            error = keras.losses.binary_crossentropy(images(), drawn)
            error = ops.mean(ops.sum(error, axis=(1, 2)))
            kl = -0.5 * (1 + log_variance - ops.square(mean) - ops.exp(log_variance))
            kl = ops.mean(ops.sum(kl, axis=1))
            loss = error + 0.5 * kl
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        parts.append([float(error), float(kl), float(loss)])
    return parts


def sparse(penalty, activation):
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Flatten(),
            layers.Dense(6, activation, activity_regularizer=penalty),
            layers.Dense(math.prod(SHAPE), "sigmoid"),
            layers.Reshape(SHAPE),
        ]
    )
    set_weights(model)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    found = [float(model.train_on_batch(images(), images())) for _ in range(STEPS)]
    return {"losses": found, "sums": [float(w.sum()) for w in model.get_weights()]}


def main():
    values = {
        "versions": {"keras": keras.__version__, "tensorflow": tf.__version__},
        "variational": variational(),
        "sparse_l1": sparse(keras.regularizers.L1(0.02), "relu"),
        "sparse_none": sparse(None, "sigmoid"),
    }
    path = Path(__file__).with_name("keras_autoencoders.json")
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
