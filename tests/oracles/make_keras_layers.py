"""Write the stored Keras values of further layers, penalties, bounds and signatures.

Run it with a Python that has Keras 3 and TensorFlow:

    python tests/oracles/make_keras_layers.py

It was run with the versions that `keras_more_layers.json` names. It writes, beside itself,
``keras_more_layers.npz`` and ``.json``, in the manner of ``make_keras.py``, whose helpers it uses;
that file says what the arrays of a layer case are. Further arrays:

    regularizer/<id>/  x, value, grad
    constraint/<id>/   x, value
    fit/<id>/          x, y, w0.. (start), new_w0.. (end); the losses are in the JSON entry

Signatures of constructors and initializers' ranges stand in the JSON file alone.
"""

import inspect
import json
import os

import numpy as np

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import make_keras as shared
from make_keras import layer_case

CLASSES = {
    "layers": """
        Layer InputLayer Dense Activation ReLU LeakyReLU ELU PReLU Softmax Flatten Reshape Permute
        RepeatVector Identity Dropout SpatialDropout1D SpatialDropout2D GaussianNoise
        GaussianDropout Conv1D Conv2D Conv1DTranspose Conv2DTranspose DepthwiseConv1D
        DepthwiseConv2D SeparableConv1D SeparableConv2D MaxPooling1D MaxPooling2D AveragePooling1D
        AveragePooling2D GlobalMaxPooling1D GlobalMaxPooling2D GlobalAveragePooling1D
        GlobalAveragePooling2D UpSampling1D UpSampling2D ZeroPadding1D ZeroPadding2D Cropping1D
        Cropping2D BatchNormalization LayerNormalization UnitNormalization Add Subtract Multiply
        Average Maximum Minimum Dot Concatenate Lambda ActivityRegularization Rescaling Resizing
    """,
    "regularizers": "Regularizer L1 L2 L1L2 OrthogonalRegularizer",
    "constraints": "Constraint MaxNorm NonNeg UnitNorm MinMaxNorm",
    "initializers": """
        Constant Zeros Ones Identity Orthogonal RandomNormal RandomUniform TruncatedNormal
        VarianceScaling GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform
    """,
}
FUNCTIONS = {
    "layers": "Input add subtract multiply average maximum minimum concatenate dot",
    "activations": """
        celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu
        linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax
        softplus softsign sparse_plus sparse_sigmoid sparsemax squareplus tanh tanh_shrink threshold
    """,
}


def sequence_cases():
    for kernel in (1, 3, 4):
        for stride in (1, 2, 3):
            for padding in ("valid", "same", "causal"):
                config = {"filters": 3, "kernel_size": kernel, "strides": stride}
                config |= {"padding": padding}
                name = f"conv1d-k{kernel}-s{stride}-{padding}"
                yield layer_case(name, "Conv1D", config, (2, 9, 2))
    for padding in ("valid", "same", "causal"):
        config = {"filters": 4, "kernel_size": 3, "dilation_rate": 2, "padding": padding}
        config |= {"groups": 2, "activation": "relu", "use_bias": padding == "same"}
        yield layer_case(f"conv1d-d2-g2-{padding}", "Conv1D", config, (2, 8, 4))
    for kernel, stride, extra in ((3, 1, None), (3, 2, None), (2, 3, None), (4, 2, 1), (5, 3, 2)):
        for padding in ("valid", "same"):
            config = {"filters": 3, "kernel_size": kernel, "strides": stride, "padding": padding}
            name = f"conv1dt-k{kernel}-s{stride}-{padding}"
            if extra is not None:
                config["output_padding"] = extra
                name += f"-o{extra}"
            yield layer_case(name, "Conv1DTranspose", config, (2, 5, 2))
    for kind in ("Max", "Average"):
        for pool, stride in ((2, None), (3, 2), (2, 3)):
            for padding in ("valid", "same"):
                config = {"pool_size": pool, "strides": stride, "padding": padding}
                name = f"{kind.lower()}pool1d-p{pool}-s{shared.tag(stride)}-{padding}"
                extra = {"values": "distinct"}
                yield layer_case(name, f"{kind}Pooling1D", config, (2, 7, 3), **extra)
        for keepdims in (False, True):
            name = f"global{kind.lower()}1d-{'keep' if keepdims else 'drop'}"
            config = {"keepdims": keepdims}
            yield layer_case(name, f"Global{kind}Pooling1D", config, (2, 5, 3), values="distinct")
    yield layer_case("up1d", "UpSampling1D", {"size": 3}, (2, 4, 3))
    for name, amount in {"int": 2, "pair": [1, 3]}.items():
        yield layer_case(f"crop1d-{name}", "Cropping1D", {"cropping": amount}, (2, 6, 3))
        yield layer_case(f"pad1d-{name}", "ZeroPadding1D", {"padding": amount}, (2, 6, 3))


def by_channel_cases():
    for kernel, strides, dilation in (
        ([3, 2], 1, 1),
        ([2, 3], 2, 1),
        ([1, 4], 1, 1),
        ([3, 2], 1, 2),
    ):
        for padding in ("valid", "same"):
            config = {"kernel_size": kernel, "strides": strides, "padding": padding}
            config |= {"dilation_rate": dilation}
            case = f"k{shared.tag(kernel)}-s{strides}-d{dilation}-{padding}"
            many = {"depth_multiplier": 2, "use_bias": padding == "same"}
            yield layer_case(f"dw-{case}", "DepthwiseConv2D", config | many, (2, 7, 9, 3))
            few = {"filters": 4, "depth_multiplier": 2, "activation": "tanh"}
            yield layer_case(f"sep-{case}", "SeparableConv2D", config | few, (2, 7, 9, 3))
    yield layer_case("dw-plain", "DepthwiseConv2D", {"kernel_size": [3, 2]}, (1, 5, 6, 4))
    config = {"kernel_size": 3, "strides": 2, "padding": "same", "depth_multiplier": 2}
    yield layer_case("dw1d", "DepthwiseConv1D", config, (2, 8, 3))
    yield layer_case("sep1d", "SeparableConv1D", {"filters": 4, **config}, (2, 8, 3))


def merging_cases():
    full, narrow, lone = (2, 3, 4, 2), (2, 1, 4, 1), (2, 2)
    for layer in ("Add", "Multiply", "Average", "Maximum", "Minimum"):
        name = layer.lower()
        yield layer_case(f"{name}-three", layer, {}, full, full, full, values="distinct")
        yield layer_case(f"{name}-narrow", layer, {}, full, narrow)
        yield layer_case(f"{name}-ranks", layer, {}, full, lone)
    for other in (full, narrow, lone):
        yield layer_case(f"subtract-{len(other)}-{other[1]}", "Subtract", {}, full, other)
    for layer in ("Maximum", "Minimum"):
        yield layer_case(f"{layer.lower()}-ties", layer, {}, (3, 4), (3, 4), values="ties")
    dots = [
        ((2, 5), (2, 5), 1),
        ((2, 5), (2, 5), -1),
        ((2, 4, 3), (2, 3, 5), [2, 1]),
        ((2, 4, 3), (2, 4, 5), 1),
        ((2, 4, 3), (2, 3), [2, 1]),
        ((2, 3), (2, 4, 3), [1, 2]),
        ((2, 3, 4, 5), (2, 6, 5), [3, 2]),
    ]
    for i, (a, b, axes) in enumerate(dots):
        for normalize in (False, True):
            config = {"axes": axes, "normalize": normalize}
            yield layer_case(f"dot-{i}-{'unit' if normalize else 'plain'}", "Dot", config, a, b)


def other_cases():
    yield layer_case("permute", "Permute", {"dims": [3, 1, 2]}, (2, 3, 4, 5))
    yield layer_case("repeat", "RepeatVector", {"n": 3}, (2, 5))
    yield layer_case("identity", "Identity", {}, (2, 3, 5))
    yield layer_case("rescale", "Rescaling", {"scale": 0.25, "offset": -1.5}, (2, 3, 4, 3))
    sizes = [((5, 7), (9, 4)), ((6, 4), (3, 8)), ((5, 7), (5, 7)), ((4, 6), (8, 12))]
    for (height, width), (rows, columns) in sizes:
        for interpolation in ("bilinear", "nearest"):
            config = {"height": rows, "width": columns, "interpolation": interpolation}
            name = f"resize-{height}x{width}-{rows}x{columns}-{interpolation}"
            yield layer_case(name, "Resizing", config, (2, height, width, 3))
    for name in ("crop", "pad"):
        for (height, width), (rows, columns) in sizes[:2]:
            config = {"height": rows, "width": columns, f"{name}_to_aspect_ratio": True}
            config |= {"fill_value": 2.0} if name == "pad" else {}
            case = f"resize-{name}-{height}x{width}-{rows}x{columns}"
            yield layer_case(case, "Resizing", config, (2, height, width, 3))
    yield layer_case("resize-one", "Resizing", {"height": 4, "width": 9}, (5, 6, 3))
    for axis in (-1, 1, [1, 2], [2, 3]):
        config = {"axis": axis, "epsilon": 0.01}
        yield layer_case(
            f"layernorm-{shared.tag(axis)}", "LayerNormalization", config, (2, 3, 4, 5)
        )
    config = {"center": False, "scale": False}
    yield layer_case("layernorm-plain", "LayerNormalization", config, (4, 6))
    for axis in (-1, 1, [1, 2]):
        name = f"unitnorm-{shared.tag(axis)}"
        yield layer_case(name, "UnitNormalization", {"axis": axis}, (2, 3, 4, 5))
    for shared_axes in (None, [1, 2], [3]):
        name = f"prelu-{shared.tag(shared_axes)}"
        yield layer_case(name, "PReLU", {"shared_axes": shared_axes}, (2, 3, 4, 2))
    yield layer_case("prelu-zero", "PReLU", {}, (2, 5), values="zero")
    yield layer_case("leaky", "LeakyReLU", {"negative_slope": 0.1}, (3, 2, 4), values="wide")
    yield layer_case("elu", "ELU", {"alpha": 1.7}, (3, 2, 4), values="wide")
    yield layer_case("softmax-axes", "Softmax", {"axis": [1, 2]}, (3, 2, 4), values="wide")
    config = {"momentum": 0.5, "beta_initializer": "ones", "moving_mean_initializer": "ones"}
    yield layer_case("bn-begin", "BatchNormalization", config, (3, 2, 4, 2), training=True)


def activation_cases():
    names = """
        celu glu hard_shrink hard_silu hard_tanh log_sigmoid log_softmax mish relu6 soft_shrink
        sparse_plus sparse_sigmoid squareplus tanh_shrink
    """
    # Not sparsemax, whose sums are not always 1 in Keras; nor celu at 0, where its slope is 2.
    for name in names.split():
        config = {"activation": name}
        yield layer_case(f"act-{name}", "Activation", config, (3, 2, 4), values="wide")
        if name != "celu":
            yield layer_case(f"act-{name}-zero", "Activation", config, (2, 6), values="zero")


def cases():
    groups = sequence_cases, by_channel_cases, merging_cases, other_cases, activation_cases
    return [{"kind": "layer", **case} for group in groups for case in group()]


REGULARIZERS = [
    ("l1", "L1", {"l1": 0.3}, (3, 4)),
    ("l2", "L2", {"l2": 0.3}, (2, 3, 4)),
    ("l1l2", "L1L2", {"l1": 0.2, "l2": 0.05}, (3, 4)),
    ("l1l2-default", "L1L2", {}, (3, 4)),
    ("orthogonal-rows", "OrthogonalRegularizer", {"factor": 0.3}, (3, 5)),
    ("orthogonal-columns", "OrthogonalRegularizer", {"mode": "columns"}, (5, 3)),
]
CONSTRAINTS = [
    ("maxnorm", "MaxNorm", {}, (5, 3)),
    ("maxnorm-axes", "MaxNorm", {"max_value": 0.7, "axis": [0, 1, 2]}, (3, 2, 4, 5)),
    ("nonneg", "NonNeg", {}, (5, 3)),
    ("unitnorm", "UnitNorm", {"axis": 1}, (5, 3)),
    ("minmaxnorm", "MinMaxNorm", {"min_value": 1.5, "max_value": 2.5, "rate": 0.75}, (5, 3)),
    ("minmaxnorm-default", "MinMaxNorm", {"axis": 1}, (5, 3)),
]
FITS = [
    ("weights", {"kernel_regularizer": "l2", "bias_regularizer": "l1"}, {}),
    ("activity", {"activity_regularizer": "l2"}, {"activity_regularizer": "l1"}),
    (
        "both",
        {"kernel_regularizer": "L1L2", "activity_regularizer": "l1"},
        {"kernel_regularizer": "l1", "activity_regularizer": "l2"},
    ),
    ("bounds", {"kernel_constraint": "max_norm"}, {"kernel_constraint": "non_neg"}),
]


class Maker(shared.Worker):
    """Computes what this file adds."""

    def regularizer(self, name, cls, config, shape):
        x = shared.dyadic(shared.generator({"kind": "more", "id": name}), shape)
        regularizer = getattr(self.keras.regularizers, cls)(**config)
        # Keras' angles cannot be had in float64.
        dtype = "float32" if cls == "OrthogonalRegularizer" else "float64"

        def penalty(x):
            return self.keras.ops.cast(regularizer(self.keras.ops.cast(x, dtype)), "float64")

        value = self.numpy(penalty(self.tensor(x)))
        (grad,) = self.gradients(penalty, [x])
        return {"x": x, "value": value, "grad": grad}

    def constraint(self, name, cls, config, shape):
        x = shared.dyadic(shared.generator({"kind": "more", "id": name}), shape)
        constraint = getattr(self.keras.constraints, cls)(**config)
        return {"x": x, "value": self.numpy(constraint(self.tensor(x)))}

    def penalized_fit(self, name, first, second):
        """Return the arrays and the losses of three epochs with penalties."""
        keras = self.keras
        rng = shared.generator({"kind": "more", "id": name})
        x, y = shared.dyadic(rng, (10, 3)), shared.dyadic(rng, (10, 2))
        model = keras.Sequential([keras.Input((3,))])
        model.add(keras.layers.Dense(4, activation="tanh", **first))
        model.add(keras.layers.Dense(2, **second))
        weights = [shared.weight_values(rng, w.name, w.shape) for w in model.weights]
        model.set_weights(weights)
        model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"], run_eagerly=True)
        before = model.evaluate(x, y, batch_size=4, verbose=0)
        history = model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0).history
        arrays = {"x": x, "y": y}
        arrays |= {f"w{i}": w for i, w in enumerate(weights)}
        arrays |= {f"new_w{i}": w for i, w in enumerate(model.get_weights())}
        model(x)
        facts = {"losses": [float(v) for v in model.losses], "before": [float(v) for v in before]}
        history = {key: [float(v) for v in values] for key, values in history.items()}
        return arrays, {"id": name, "layers": [first, second], **facts, "history": history}

    def signature(self, module, name):
        """Return the arguments of a function, or of a class' constructor, in order."""
        item = getattr(getattr(self.keras, module), name)
        function = item.__init__ if inspect.isclass(item) else item
        found = []
        for parameter in inspect.signature(function).parameters.values():
            several = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
            if parameter.name == "self" or several:
                continue
            entry = {"name": parameter.name}
            if parameter.kind is parameter.KEYWORD_ONLY:
                entry["keyword_only"] = True
            if parameter.default is not parameter.empty:
                entry["default"] = parameter.default
            found.append(entry)
        return {"module": module, "name": name, "arguments": found}

    def initializer_range(self, cls, config, shape):
        draws = [
            self.numpy(getattr(self.keras.initializers, cls)(**config, seed=seed)(shape, "float64"))
            for seed in range(-(-60_000 // int(np.prod(shape))))
        ]
        values = np.stack(draws)
        facts = {name: float(getattr(values, name)()) for name in ("min", "max", "mean", "std")}
        return {"class": cls, "config": config, "shape": list(shape), **facts}


INITIALIZERS = [
    ("TruncatedNormal", {"mean": 0.5, "stddev": 0.2}, (30, 20)),
    ("VarianceScaling", {}, (3, 2, 4, 5)),
    ("VarianceScaling", {"scale": 2.0, "mode": "fan_out", "distribution": "uniform"}, (30, 20)),
    ("VarianceScaling", {"mode": "fan_avg", "distribution": "untruncated_normal"}, (30, 20)),
    ("Orthogonal", {"gain": 2.0}, (30, 20)),
]


def main():
    maker = Maker()
    arrays, entries = {}, []
    for case in cases():
        found, facts = maker.compute(case)
        found = {name: shared.compact(value) for name, value in found.items()}
        arrays |= {f"{case['id']}/{name}": value for name, value in found.items()}
        hidden = {"kind", "values"}
        entries.append({k: v for k, v in case.items() if k not in hidden} | facts)
    lists = {"cases": entries, "regularizers": [], "constraints": [], "fits": []}
    for kind, items in (("regularizer", REGULARIZERS), ("constraint", CONSTRAINTS)):
        for name, cls, config, shape in items:
            found = getattr(maker, kind)(name, cls, config, shape)
            arrays |= {f"{kind}/{name}/{k}": shared.compact(v) for k, v in found.items()}
            lists[f"{kind}s"].append({"id": name, "class": cls, "config": config})
    for name, first, second in FITS:
        found, entry = maker.penalized_fit(name, first, second)
        arrays |= {f"fit/{name}/{k}": shared.compact(v) for k, v in found.items()}
        lists["fits"].append(entry)
    lists["initializers"] = [maker.initializer_range(*item) for item in INITIALIZERS]
    lists["signatures"] = [
        maker.signature(module, name)
        for group in (CLASSES, FUNCTIONS)
        for module, names in group.items()
        for name in names.split()
    ]
    for entry in lists["signatures"]:
        json.dumps(entry)  # a default that is no plain value would have to be spelled first
    shared.write_arrays("keras_more_layers.npz", arrays)
    shared.write_json("keras_more_layers.json", {"versions": shared.versions()}, lists)


if __name__ == "__main__":
    main()
