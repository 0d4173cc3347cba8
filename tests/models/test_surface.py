"""The methods of models and their arguments, beside Keras'."""

import inspect
import json
from pathlib import Path

import pytest

from minicnn import Model, Sequential

STORED = json.loads(
    (Path(__file__).resolve().parents[1] / "oracles" / "keras_models.json").read_text()
)["surfaces"]

#: Methods of Keras that are not here, and why.
ABSENT = {
    "add_metric": "Keras refuses to run it",
    "add_variable": "an older name of add_weight",
    "build_from_config": "build_by_shape does it, from the same entry of a file",
    "compute_dtype": "weights and results have one type",
    "compute_mask": "no masks: these are networks for images",
    "compute_output_spec": "compute_output_shape tells the shape",
    "compiled_metrics": "compute_metrics does it; Keras calls this one deprecated",
    "distribute_reduction_method": "one device at a time",
    "distribute_strategy": "one device at a time",
    "dtype": "an attribute of each layer",
    "dtype_policy": "weights and results have one type",
    "export": "no other runtime is served",
    "get_build_config": "build_shape, which files hold, is an attribute",
    "get_quantization_layer_structure": "no quantization",
    "get_state_tree": "get_weights gives the arrays",
    "input_dtype": "weights and results have one type",
    "input_spec": "layers check shapes themselves",
    "jit_compile": "an attribute of a compiled model",
    "load_own_variables": "files are written as a whole",
    "loss": "compile keeps it to itself",
    "make_predict_function": "nothing is traced",
    "make_test_function": "nothing is traced",
    "make_train_function": "nothing is traced",
    "metrics_variables": "metrics keep plain numbers",
    "path": "weight_paths tells paths",
    "quantization_mode": "no quantization",
    "quantize": "no quantization",
    "quantized_build": "no quantization",
    "quantized_call": "no quantization",
    "rematerialized_call": "memory is recycled otherwise",
    "run_eagerly": "everything is run at once",
    "save_own_variables": "files are written as a whole",
    "set_state_tree": "set_weights takes the arrays",
    "stateless_call": "no functional transforms",
    "stateless_compute_loss": "no functional transforms",
    "supports_masking": "no masks",
    "symbolic_call": "a call on symbolic tensors does it",
    "variable_dtype": "weights and results have one type",
}

#: Arguments of Keras that are not here, and why.
ABSENT_ARGUMENTS = {
    "zipped": "a model is one file",
    "max_shard_size": "weights are one file",
    "mask": "no masks",
    "rebuild": "a chain is always built anew",
    "autocast": "weights and results have one type",
    "aggregation": "one device at a time",
    "overwrite_with_gradient": "no quantization",
}
#: Methods whose arguments other tests compare, or that Keras gives as anything.
ELSEWHERE = {"__init__", "add_weight"}


@pytest.mark.parametrize("cls", [Model, Sequential])
def test_methods_of_keras_are_here(cls):
    absent = {name for name in STORED[cls.__name__] if not hasattr(cls, name)}
    assert absent <= ABSENT.keys()


@pytest.mark.parametrize("cls", [Model, Sequential])
def test_arguments_have_keras_names_order_and_defaults(cls):
    compared = 0
    for method, arguments in STORED[cls.__name__].items():
        if method in ELSEWHERE or arguments == "property" or not hasattr(cls, method):
            continue
        own = inspect.signature(getattr(cls, method)).parameters
        expected = [(n, d) for n, d in arguments if n[0] != "*" and n not in ABSENT_ARGUMENTS]
        names = [name for name in own if name in dict(expected)]
        assert names == [n for n, _ in expected if n in own], method
        assert [n for n, _ in expected if n not in own] == [], method
        for name, default in expected:
            if name in own and default is not None and method != "call":
                assert repr(own[name].default) == default, (method, name)
                compared += 1
    assert compared > 50


def test_a_chain_is_made_as_keras_makes_it():
    names = [name for name, _ in STORED["Sequential"]["__init__"]]
    assert list(inspect.signature(Sequential).parameters) == names
