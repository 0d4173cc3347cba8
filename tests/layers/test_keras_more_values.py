"""Further layers, penalties and bounds against values of Keras 3; signatures against its own."""

import inspect
import json
import math
from pathlib import Path

import numpy as np
import pytest

import minicnn
from minicnn import (
    GradientTape,
    Input,
    Sequential,
    check_gradients,
    config,
    constraints,
    convert_to_tensor,
    layers,
    regularizers,
)
from minicnn.layers.augmentation import ImageChange

ORACLES = Path(__file__).parents[1] / "oracles"
STORED = json.loads((ORACLES / "keras_more_layers.json").read_text())
CASES = STORED["cases"]


@pytest.fixture(scope="module")
def arrays():
    with np.load(ORACLES / "keras_more_layers.npz") as file:
        return {name: np.asarray(file[name], np.float64) for name in file.files}


@pytest.fixture(autouse=True)
def float64():
    with config.use_floatx("float64"):
        yield


def listed(arrays, prefix, letter):
    """Return the arrays <prefix>/<letter>0, <prefix>/<letter>1, ..."""
    found = []
    while (key := f"{prefix}/{letter}{len(found)}") in arrays:
        found.append(arrays[key])
    return found


def make(case):
    return getattr(layers, case["layer"])(**case["config"])


def one_or_list(items):
    return items if len(items) > 1 else items[0]


def is_close(actual, desired, what, rtol=1e-6, atol=1e-7):
    np.testing.assert_allclose(actual, desired, rtol=rtol, atol=atol, err_msg=what)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_values_and_gradients_are_those_of_keras(case, arrays):
    inputs = [convert_to_tensor(x) for x in listed(arrays, case["id"], "x")]
    layer = make(case)
    layer(one_or_list(inputs))
    assert [w.name for w in layer.weights] == case["weights"]
    layer.set_weights(listed(arrays, case["id"], "w"))

    with GradientTape() as tape:
        tape.watch(inputs)
        y = layer(one_or_list(inputs), training=case["training"])
    # TensorFlow resizes in float32, bilinearly even where the result is float64.
    atol = 2e-6 if case["layer"] == "Resizing" else 1e-7
    is_close(y.numpy(), arrays[f"{case['id']}/y"], "output", atol=atol)

    trained = layer.trainable_weights
    found = tape.gradient(y, [*inputs, *trained], convert_to_tensor(arrays[f"{case['id']}/dy"]))
    wanted = [*listed(arrays, case["id"], "dx"), *listed(arrays, case["id"], "dw")]
    names = [*(f"gradient to input {i}" for i in range(len(inputs))), *(w.name for w in trained)]
    for name, gradient, value in zip(names, found, wanted, strict=True):
        is_close(gradient.numpy(), value, name, atol=atol)

    after = listed(arrays, case["id"], "new_w") or listed(arrays, case["id"], "w")
    for weight, value in zip(layer.weights, after, strict=True):
        is_close(weight.numpy(), value, f"{weight.name} after the call")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_shapes_are_those_of_keras(case, arrays):
    shapes = [x.shape for x in listed(arrays, case["id"], "x")]
    expected = arrays[f"{case['id']}/y"].shape
    assert make(case).compute_output_shape(one_or_list(shapes)) == expected
    if case["id"] == "resize-one":  # an image without a batch axis cannot be an Input
        return
    symbols = [Input(shape[1:]) for shape in shapes]
    assert make(case)(one_or_list(symbols)).shape == (None, *expected[1:])


@pytest.mark.parametrize("case", STORED["regularizers"], ids=lambda case: case["id"])
def test_penalties_are_those_of_keras(case, arrays):
    x, value, grad = (arrays[f"regularizer/{case['id']}/{name}"] for name in ("x", "value", "grad"))
    regularizer = getattr(regularizers, case["class"])(**case["config"])
    with GradientTape() as tape:
        tape.watch(tensor := convert_to_tensor(x))
        y = regularizer(tensor)
    is_close(y.numpy(), value, "value")
    if value:
        is_close(tape.gradient(y, tensor).numpy(), grad, "gradient")


@pytest.mark.parametrize("case", STORED["constraints"], ids=lambda case: case["id"])
def test_bounds_are_those_of_keras(case, arrays):
    constraint = getattr(constraints, case["class"])(**case["config"])
    value = constraint(arrays[f"constraint/{case['id']}/x"])
    is_close(value.numpy(), arrays[f"constraint/{case['id']}/value"], "value")


@pytest.mark.parametrize("case", STORED["fits"], ids=lambda case: case["id"])
def test_training_with_penalties_and_bounds_goes_as_in_keras(case, arrays):
    prefix = f"fit/{case['id']}"
    x, y = arrays[f"{prefix}/x"], arrays[f"{prefix}/y"]
    first, second = case["layers"]
    model = Sequential([Input((3,)), layers.Dense(4, "tanh", **first), layers.Dense(2, **second)])
    model.set_weights(listed(arrays, prefix, "w"))
    model.compile(minicnn.optimizers.SGD(0.1), "mse", metrics=["mae"])
    # Keras' optimizer keeps its rate in float32, and its metrics their sums.
    close = {"rtol": 1e-5, "atol": 1e-6}
    is_close(model.evaluate(x, y, batch_size=4, verbose=0), case["before"], "evaluate", **close)
    history = model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0).history
    assert list(history) == list(case["history"])
    for name, values in case["history"].items():
        is_close(history[name], values, name, **close)
    for weight, value in zip(model.weights, listed(arrays, prefix, "new_w"), strict=True):
        is_close(weight.numpy(), value, weight.name, **close)
    model(x)
    is_close([float(loss) for loss in model.losses], case["losses"], "losses", **close)


# ---------------------------------------------------------------------------------------------
# Signatures

#: Arguments of Keras that are deliberately not there, with the reason.
ABSENT = {
    "lora_rank": "adapters for language models",
    "lora_alpha": "adapters for language models",
    "quantization_config": "there are no integer weights",
    "autocast": "inputs always take the layer's type",
    "sparse": "there are no sparse tensors",
    "ragged": "there are no ragged tensors",
    "input_tensor": "a symbolic tensor needs no Input of its own",
    "tensor": "a symbolic tensor needs no Input of its own",
    "optional": "every input must come",
    "mask": "there are no masks",
    "renorm": "a variant of batch normalization that no course uses",
    "renorm_clipping": "a variant of batch normalization that no course uses",
    "renorm_momentum": "a variant of batch normalization that no course uses",
    "synchronized": "there is one device",
    "input_axes": "new in Keras 3.15, for layers of several input axes",
    "output_axes": "new in Keras 3.15, for layers of several input axes",
}

#: Arguments of ours that Keras has not, besides those that lie after its own.
EXTRA = {"Conv1DTranspose": ["groups"], "Conv2DTranspose": ["groups"]}


#: What every layer takes by name, though its own signature may not say so.
OF_ALL_LAYERS = {"name", "dtype", "trainable"}


def spelled(value):
    """Return a default such that (2, 2) and 2 are the same, and "Zeros" and "zeros"."""
    if isinstance(value, list | tuple):
        parts = [spelled(v) for v in value]
        return parts[0] if all(p == parts[0] for p in parts) else parts
    return value.lower() if isinstance(value, str) else value


def own_signature(module, name):
    item = getattr(getattr(minicnn, module), name)
    function = item.__init__ if inspect.isclass(item) else item
    return [
        p
        for p in inspect.signature(function).parameters.values()
        if p.name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]


@pytest.mark.parametrize("case", STORED["signatures"], ids=lambda c: f"{c['module']}.{c['name']}")
def test_arguments_their_order_and_defaults_are_those_of_keras(case):
    found = own_signature(case["module"], case["name"])
    named = {a["name"] for a in case["arguments"]}
    # A layer without arguments of its own shows those of all layers, which are keywords.
    inherited = {p.name for p in found if p.kind is p.KEYWORD_ONLY} - named
    found = [p for p in found if p.name not in inherited | set(EXTRA.get(case["name"], []))]
    implied = OF_ALL_LAYERS - {p.name for p in found} if case["module"] == "layers" else set()
    wanted = [a for a in case["arguments"] if a["name"] not in implied | set(ABSENT)]
    assert [p.name for p in found] == [a["name"] for a in wanted]
    for parameter, argument in zip(found, wanted, strict=True):
        if "default" in argument:
            assert spelled(parameter.default) == spelled(argument["default"]), parameter.name
        elif not case["name"].startswith("AveragePooling"):  # ours has a default as MaxPooling
            assert parameter.default is parameter.empty, parameter.name


def test_no_reason_for_an_absent_argument_is_idle():
    stored = {a["name"] for s in STORED["signatures"] for a in s["arguments"]}
    assert set(ABSENT) <= stored


def changes_images(item):
    return isinstance(item, type) and issubclass(item, ImageChange)


def test_every_layer_has_a_signature_to_compare_with():
    stored = {s["name"] for s in STORED["signatures"] if s["module"] == "layers"}
    aliases = {n for n in layers.__all__ if getattr(layers, n).__name__ != n}
    # The rooms of augmentation have values and ranges of Keras of their own.
    others = {n for n in layers.__all__ if changes_images(getattr(layers, n))}
    assert set(layers.__all__) - aliases - stored - others == {"Operation"}
    for module in ("regularizers", "constraints", "initializers", "activations"):
        own = set(getattr(minicnn, module).__all__) - {"get", "serialize", "fans"}
        own = {n for n in own if getattr(getattr(minicnn, module), n).__name__ == n}
        stored = {s["name"] for s in STORED["signatures"] if s["module"] == module}
        ours = {"regularizers": {"KLSparsity", "CodeOrthogonality"}}
        ours["initializers"] = {"Initializer"}  # which in Keras takes no seed
        assert own - stored == ours.get(module, set()), module


@pytest.mark.parametrize("name", ["MaxPool", "AvgPool", "GlobalMaxPool", "GlobalAvgPool"])
def test_other_names_are_the_same_layers(name):
    for rank in ("1D", "2D"):
        full = name.replace("Avg", "Average").replace("Pool", "Pooling") + rank
        assert getattr(layers, name + rank) is getattr(layers, full)


# ---------------------------------------------------------------------------------------------
# Derivatives of both orders


@pytest.mark.parametrize(
    ("make_layer", "shapes"),
    [
        (lambda: layers.Conv1D(3, 3, strides=2, padding="causal"), [(2, 7, 2)]),
        (lambda: layers.Conv1DTranspose(3, 3, strides=2), [(2, 4, 2)]),
        (lambda: layers.DepthwiseConv2D((3, 2), depth_multiplier=2), [(1, 5, 4, 2)]),
        (lambda: layers.SeparableConv2D(3, (3, 2)), [(1, 5, 4, 2)]),
        (lambda: layers.MaxPooling1D(2), [(2, 6, 2)]),
        (lambda: layers.AveragePooling1D(3, 2, "same"), [(2, 6, 2)]),
        (lambda: layers.UpSampling1D(2), [(2, 3, 2)]),
        (lambda: layers.Resizing(7, 3), [(1, 4, 5, 2)]),
        (lambda: layers.Resizing(3, 7, pad_to_aspect_ratio=True), [(1, 4, 5, 2)]),
        (lambda: layers.LayerNormalization(), [(3, 2, 4)]),
        (lambda: layers.UnitNormalization(), [(3, 2, 4)]),
        (lambda: layers.PReLU("ones"), [(3, 2, 4)]),
        (lambda: layers.Multiply(), [(2, 3, 4), (2, 1, 4), (2, 4)]),
        (lambda: layers.Dot((2, 1), normalize=True), [(2, 4, 3), (2, 3, 5)]),
        (lambda: layers.Permute((2, 1)), [(2, 4, 3)]),
        (lambda: layers.RepeatVector(3), [(2, 4)]),
        (lambda: layers.Softmax((1, 2)), [(2, 4, 3)]),
    ],
)
def test_gradients_of_both_orders_agree_with_differences(make_layer, shapes):
    rng = np.random.default_rng(4)
    xs = [rng.normal(size=s) for s in shapes]
    layer = make_layer()
    layer(one_or_list(xs))

    def function(*tensors):
        return layer(one_or_list(list(tensors)))

    check_gradients(function, *xs)


@pytest.mark.parametrize(
    "regularizer",
    [
        regularizers.L1L2(0.3, 0.2),
        regularizers.OrthogonalRegularizer(),
        regularizers.KLSparsity(0.1, 2.0),
        regularizers.CodeOrthogonality(0.5),
    ],
    ids=lambda r: type(r).__name__,
)
def test_penalties_have_derivatives_of_both_orders(regularizer):
    check_gradients(regularizer, np.random.default_rng(6).uniform(0.1, 0.9, (4, 3)))


def test_sparsity_is_the_divergence_of_bernoulli_distributions():
    codes = np.random.default_rng(7).uniform(0.1, 0.9, (6, 3))
    means = codes.mean(0)
    expected = sum(0.2 * math.log(0.2 / m) + 0.8 * math.log(0.8 / (1 - m)) for m in means)
    assert float(regularizers.KLSparsity(0.2, 1.5)(codes)) == pytest.approx(1.5 * expected)


def test_code_orthogonality_is_the_mean_square_of_correlations():
    codes = np.random.default_rng(8).normal(size=(9, 4))
    correlation = np.corrcoef(codes.T)
    expected = (correlation[np.triu_indices(4, 1)] ** 2).mean()
    found = float(regularizers.CodeOrthogonality(3.0)(codes))
    assert found == pytest.approx(3 * expected, rel=1e-9)


@pytest.mark.parametrize(
    ("regularizer", "grows"),
    [(regularizers.L2(0.5), True), (regularizers.KLSparsity(), False)],
    ids=["sum", "mean"],
)
def test_activity_penalties_do_not_grow_with_the_batch(regularizer, grows):
    layer = layers.Activation("sigmoid", activity_regularizer=regularizer)
    x = np.random.default_rng(9).normal(size=(3, 5))
    layer(x)
    once = float(layer.losses[0])
    layer(np.concatenate([x, x, x, x]))
    assert len(layer.losses) == 1
    assert float(layer.losses[0]) == pytest.approx(once)
    whole = float(regularizer(layer(x)))
    assert once == pytest.approx(whole / 3 if grows else whole)
