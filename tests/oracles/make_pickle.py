"""Models as version 0.1.0 pickles them: run this with that version, and a path for the file."""

import pickle
import sys
from pathlib import Path

import numpy as np

import minicnn as mc
from minicnn import Input, Model, Sequential, activations, layers, ops

mc.config.set_random_seed(5)
x = Input((6, 5, 3))
y = ops.conv2d(x, np.arange(24, dtype="float32").reshape(2, 2, 3, 2) / 24, padding="same")
y = activations.gelu(layers.Dense(3)(y)) * 2.0 + x
y = ops.max_pool2d(ops.relu(y), (2, 1))
drawn = Model(x, [ops.reshape(y, (-1, 45)), ops.mean_squared_error(x * 0.5, x)])

images = np.linspace(0, 1, 180, dtype="float32").reshape(2, 6, 5, 3)
inner = Sequential([layers.Conv2D(4, (2, 3), activation="relu"), layers.BatchNormalization()])
trained = Sequential(
    [
        Input((6, 5, 3)),
        inner,
        layers.MaxPooling2D((2, 1)),
        layers.Flatten(),
        layers.Dropout(0.2),
        layers.Dense(2, activation="softmax"),
    ]
)
trained.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
trained.fit(images, np.array([0, 1]), epochs=3, verbose=0, batch_size=1)
found = {
    "drawn": drawn,
    "trained": trained,
    "operations": [
        ops.conv2d,
        ops.cross_correlate2d,
        ops.mean_squared_error,
        ops.concatenate,
        activations.gelu,
    ],
    "x": images,
    "drawn_y": [np.asarray(r) for r in drawn(images)],
    "trained_y": trained.predict(images, verbose=0),
    "history": trained.history.history,
    "iterations": int(trained.optimizer.iterations),
}
Path(sys.argv[1]).write_bytes(pickle.dumps(found))
