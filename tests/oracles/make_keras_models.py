"""Write the models, weights and signatures of Keras that the tests read.

    KERAS_BACKEND=tensorflow python tests/oracles/make_keras_models.py

It was run with Keras 3.15.1, TensorFlow 2.21.0 (CPU) and h5py 3.14.0. It writes, beside itself:

    keras_functional.keras         two inputs, two outputs, a shared layer, a model inside; compiled
                                     with Adam and trained for three steps
    keras_subclass.weights.h5      of a subclass with layers in attributes, a list and a dictionary
    keras_older.h5                   weights of a chain with BatchNormalization, older arrangement
    keras_older_model.h5             the same chain as a whole model, older arrangement
    keras_models.npz                 inputs and results of these models
    keras_models.json                versions; the methods of Model and Sequential with their
                                     arguments; the order of layers in branched networks; names of
                                     the figures in histories
"""

import importlib.metadata
import inspect
import json
from pathlib import Path

import keras
import numpy as np
from keras import layers
from keras.src.legacy.saving import legacy_h5_format

HERE = Path(__file__).resolve().parent
PACKAGES = ("keras", "tensorflow-cpu", "h5py", "numpy")
rng = np.random.default_rng(11)


def functional():
    image, code = keras.Input((6, 8, 2), name="image"), keras.Input((3,), name="code")
    x = layers.Conv2D(4, (3, 2), padding="same", activation="relu", name="first")(image)
    skip = x
    x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Dropout(0.25)(x)
    x = layers.Conv2DTranspose(4, (2, 3), strides=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.75)(x) * 2.0 + skip
    inner = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, "tanh"), layers.Reshape((1, 1, 4))]
    )
    x = layers.Concatenate()([x, layers.UpSampling2D((6, 8))(inner(code))])
    shared = layers.Conv2D(2, 1, name="shared", kernel_initializer=keras.initializers.HeNormal(3))
    a = layers.GlobalMaxPooling2D(name="largest")(shared(x))
    b = layers.GlobalAveragePooling2D(name="mean")(shared(layers.Activation("relu")(x)))
    return keras.Model([image, code], [a, b], name="two_by_two")


class Subclass(keras.Model):
    def __init__(self):
        super().__init__()
        self.stem = layers.Dense(5, name="stem")
        self.blocks = [layers.Dense(4), layers.BatchNormalization(), layers.Dense(3)]
        self.ends = {"one": layers.Dense(2), "two": layers.Dense(1)}

    def call(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.ends["one"](x) + self.ends["two"](x)


def chain():
    return keras.Sequential(
        [
            keras.Input((5, 7, 2)),
            layers.Conv2D(3, (3, 2), name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(name="flat"),
            layers.Dense(2, name="out"),
        ]
    )


def randomized(model):
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    return model


def arguments(function):
    found = []
    for name, p in inspect.signature(function).parameters.items():
        if name != "self":
            stars = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
            default = None if p.default is p.empty else repr(p.default)
            found.append([stars + name, default])
    return found


def surface(cls):
    found = {"__init__": arguments(cls.__init__)}
    for name in dir(cls):
        if not name.startswith("_"):
            static = inspect.getattr_static(cls, name)
            found[name] = (
                "property" if isinstance(static, property) else arguments(getattr(cls, name))
            )
    return found


def orders():
    """Networks as [layer, inputs] in the order of drawing, and the order of `model.layers`."""
    drawings = [
        ([["a1", "i"], ["b1", "i"], ["a2", "a1"], ["cat", "b1", "a2"]], ["i"], ["cat"]),
        ([["a1", "i"], ["b1", "i"], ["a2", "a1"]], ["i"], ["b1", "a2"]),
        ([["a1", "i"], ["b1", "i"], ["a2", "a1"]], ["i"], ["a2", "b1"]),
        ([["a1", "i"], ["d1", "j"], ["f", "d1"], ["e", "f", "a1"]], ["j", "i"], ["e"]),
        (
            [
                *(["a1", "i"], ["b1", "i"], ["a2", "a1"], ["cat", "b1", "a2"]),
                *(["d1", "j"], ["f", "d1"], ["e", "f", "a1"]),
            ],
            ["j", "i"],
            ["e", "cat"],
        ),
        ([["d", "i"], ["e", "d"], ["s", "i", "e"], ["t", "s", "d"], ["u", "t", "i"]], ["i"], ["u"]),
    ]
    found = []
    for steps, inputs, outputs in drawings:
        tensors = {name: keras.Input((4, 5, 2), name=name) for name in inputs}
        for name, *sources in steps:
            given = [tensors[s] for s in sources]
            many = len(given) > 1
            layer = layers.Add(name=name) if many else layers.Conv2D(2, 1, name=name)
            tensors[name] = layer(given if many else given[0])
        model = keras.Model([tensors[i] for i in inputs], [tensors[o] for o in outputs])
        names = [layer.name for layer in model.layers]
        found.append({"steps": steps, "inputs": inputs, "outputs": outputs, "layers": names})
    return found


def main():
    arrays = {}
    model = randomized(functional())
    x = [rng.normal(size=(4, 6, 8, 2)), rng.normal(size=(4, 3))]
    y = [rng.normal(size=(4, 2)), rng.normal(size=(4, 2))]
    model.compile(
        keras.optimizers.Adam(0.01, beta_1=0.8),
        ["mse", keras.losses.MeanAbsoluteError()],
        loss_weights=[1.0, 0.5],
        metrics=[["mae"], []],
    )
    model.get_layer("dropout").rate = 0.0  # so that the steps can be repeated
    for _ in range(3):
        model.train_on_batch(x, y)
    model.save(HERE / "keras_functional.keras")
    arrays |= {"functional/x0": x[0], "functional/x1": x[1], "functional/y0": y[0]}
    arrays |= {"functional/y1": y[1]}
    for i, result in enumerate(model.predict(x, verbose=0)):
        arrays[f"functional/predicted{i}"] = result
    model.train_on_batch(x, y)
    for i, result in enumerate(model.predict(x, verbose=0)):
        arrays[f"functional/after{i}"] = result

    x = rng.normal(size=(3, 4))
    model = Subclass()
    model(x)
    randomized(model).save_weights(HERE / "keras_subclass.weights.h5")
    arrays |= {"subclass/x": x, "subclass/predicted": model.predict(x, verbose=0)}

    import h5py

    x = rng.normal(size=(3, 5, 7, 2))
    model = randomized(chain())
    with h5py.File(HERE / "keras_older.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    model.save(HERE / "keras_older_model.h5")
    arrays |= {"older/x": x, "older/predicted": model.predict(x, verbose=0)}
    np.savez_compressed(HERE / "keras_models.npz", **arrays)

    versions = {p: importlib.metadata.version(p) for p in PACKAGES}
    surfaces = {cls.__name__: surface(cls) for cls in (keras.Model, keras.Sequential)}
    content = {"versions": versions, "orders": orders(), "surfaces": surfaces}
    (HERE / "keras_models.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
