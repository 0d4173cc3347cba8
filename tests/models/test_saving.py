"""Weights in files: their names, and files that do not fit, are damaged or cannot be written."""

import re

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minicnn import Input, Model, Sequential, Variable, config, layers
from minicnn.errors import ArgumentError, OutputError, WeightsError
from minicnn.layers import BatchNormalization, Conv2D, Dense
from minicnn.saving import safetensors

rng = np.random.default_rng(19)


def network(units=4, **last):
    return Sequential(
        [
            Conv2D(3, (3, 2), input_shape=(5, 7, 2)),
            BatchNormalization(),
            Conv2D(units, 2),
            layers.Flatten(),
            Dense(2, **last),
        ]
    )


def randomized(model):
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.weights])
    return model


def same(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def paths(model):
    return list(safetensors.weight_paths(model))


# Names


def test_weights_are_filed_under_their_path_in_the_network():
    expected = [
        *["conv2d/kernel", "conv2d/bias"],
        *[f"batch_normalization/{name}" for name in ("gamma", "beta")],
        *[f"batch_normalization/moving_{name}" for name in ("mean", "variance")],
        *["conv2d_1/kernel", "conv2d_1/bias", "dense/kernel", "dense/bias"],
    ]
    # The names of the layers count on through the process; their paths do not.
    for _ in range(2):
        assert paths(network()) == expected
    first, second = network(), network()
    assert first.layers[0].name != second.layers[0].name


def test_given_names_and_sub_models_are_in_the_path():
    encoder = Sequential([Dense(4, name="wide", input_shape=(3,)), Dense(2)], name="encoder")
    x = Input((3,))
    model = Model(x, Sequential([Dense(3, input_shape=(2,))])(encoder(x)))
    assert paths(model) == [
        "encoder/wide/kernel",
        "encoder/wide/bias",
        "encoder/dense/kernel",
        "encoder/dense/bias",
        "sequential/dense/kernel",
        "sequential/dense/bias",
    ]


def test_paths_are_distinct_whatever_the_names():
    class Row(Model):
        """Layers in a list, whose names nobody looked at."""

        def __init__(self):
            super().__init__()
            names = (None, "dense", None, "dense_1", "same", "same")
            self.row = [Dense(i, name=name) for i, name in enumerate(names, 1)]

        def call(self, x):
            for layer in self.row:
                x = layer(x)
            return x

    model = Row()
    model(np.ones((2, 3)))
    assert [path.removesuffix("/kernel") for path in paths(model)[::2]] == [
        *["dense", "dense_1", "dense_2", "dense_1_1", "same", "same_1"]
    ]


class Offsets(layers.Layer):
    """Two variables that were not given names."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Variable([1.0, 2.0]), Variable([3.0, 4.0])

    def call(self, inputs):
        return inputs + self.first + self.second


def test_variables_without_names_are_all_saved(tmp_path):
    model = Sequential([Offsets()])
    assert paths(model) == ["offsets/variable", "offsets/variable_1"]
    model.save_weights(tmp_path / "w")
    other = Sequential([Offsets()])
    other.layers[0].first.assign([0.0, 0.0])
    other.layers[0].second.assign([0.0, 0.0])
    other.load_weights(tmp_path / "w")
    same(model, other)


def test_a_shared_layer_is_saved_once(tmp_path):
    a, b = Input((3,)), Input((3,))
    shared = Dense(2)
    inner = Sequential([shared], name="inner")
    model = Model([a, b], [inner(a), shared(b)])
    model.save_weights(tmp_path / "w")
    assert sorted(load_file(tmp_path / "w")) == ["inner/dense/bias", "inner/dense/kernel"]
    before = model.get_weights()
    randomized(model).load_weights(tmp_path / "w")
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


# Round trips


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_come_back_bit_for_bit(tmp_path, dtype):
    with config.use_floatx(dtype):
        model, other = randomized(network()), randomized(network())
        model.save_weights(str(tmp_path / "w.safetensors"))
        other.load_weights(str(tmp_path / "w.safetensors"))
        same(model, other)
        x = rng.normal(size=(3, 5, 7, 2))
        np.testing.assert_array_equal(model(x).numpy(), other(x).numpy())
    stored = load_file(tmp_path / "w.safetensors")
    assert {array.dtype for array in stored.values()} == {np.dtype(dtype)}
    np.testing.assert_array_equal(stored["dense/bias"], model.layers[-1].bias.numpy())


def test_arrays_come_back_whatever_their_order_in_memory(tmp_path):
    # safetensors 0.8.0 writes memory as it lies: findings/safetensors_fortran_order.sh.
    rows = np.arange(24.0).reshape(4, 6)
    arrays = {"columns": np.asfortranarray(rows), "turned": rows.T, "part": rows[::2, 1::2]}
    safetensors.write_arrays(tmp_path / "a.safetensors", arrays, {})
    back = safetensors.read_arrays(tmp_path / "a.safetensors")[0]
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)


def test_the_type_of_the_model_stays(tmp_path):
    with config.use_floatx("float64"):
        randomized(network()).save_weights(tmp_path / "w")
    model = network()
    model.load_weights(tmp_path / "w")
    assert {w.dtype for w in model.weights} == {np.dtype("float32")}
    bias = load_file(tmp_path / "w")["dense/bias"]
    np.testing.assert_array_equal(model.layers[-1].bias.numpy(), bias.astype(np.float32))


def test_a_lazy_chain_is_loaded_after_it_is_built(tmp_path):
    model = Sequential([Dense(2)], name="net")
    with pytest.raises(ArgumentError, match="net has no weights yet; build it by calling it"):
        model.save_weights(tmp_path / "w")
    assert list(tmp_path.iterdir()) == []
    model(np.ones((1, 3)))
    model.save_weights(tmp_path / "w")
    other = Sequential([Dense(2)], name="other")
    with pytest.raises(ArgumentError, match="other has no weights yet"):
        other.load_weights(tmp_path / "w")
    other(np.ones((1, 3)))
    other.load_weights(tmp_path / "w")
    same(model, other)


def test_the_file_says_what_it_is(tmp_path):
    randomized(network()).save_weights(tmp_path / "w")
    arrays, texts = safetensors.read_arrays(tmp_path / "w")
    assert texts == {"format": "minicnn weights"}
    assert sorted(arrays) == sorted(paths(network()))


# Files that do not fit


def refused(model, path, text):
    before = model.get_weights()
    with pytest.raises(WeightsError, match=text):
        model.load_weights(path)
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_missing_and_unexpected_weights_are_listed_and_nothing_changed(tmp_path):
    arrays = {path: np.ones(w.shape) for path, w in safetensors.weight_paths(network()).items()}
    arrays["head/kernel"] = arrays.pop("dense/kernel")
    del arrays["conv2d/bias"]
    save_file(arrays, tmp_path / "w")
    refused(
        network(),
        tmp_path / "w",
        r"w holds the weights of another network: missing conv2d/bias; missing dense/kernel; "
        r"unexpected head/kernel\.",
    )


def test_other_shapes_are_listed_and_nothing_changed(tmp_path):
    randomized(network(units=5)).save_weights(tmp_path / "w")
    refused(
        network(units=4),
        tmp_path / "w",
        r"another network: conv2d_1/kernel has shape \(2, 2, 3, 5\) instead of \(2, 2, 3, 4\); "
        r"conv2d_1/bias has shape \(5,\) instead of \(4,\); dense/kernel has shape",
    )


def test_long_lists_are_cut(tmp_path):
    save_file({f"a{i}": np.ones(1) for i in range(9)}, tmp_path / "w")
    # 10 weights are missing and 9 unexpected.
    refused(network(), tmp_path / "w", r"(missing [\w/]+; ){6}and 13 more\.")


# Files that are none


def test_a_file_that_is_not_there(tmp_path):
    refused(network(), tmp_path / "w", "there is no weights file .*w")
    refused(network(), tmp_path, "there is no weights file")


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file(tmp_path, kept):
    randomized(network()).save_weights(tmp_path / "w")
    whole = (tmp_path / "w").read_bytes()
    (tmp_path / "w").write_bytes(whole[: int(kept * len(whole))])
    refused(network(), tmp_path / "w", r"w is no safetensors file, or it is damaged \(.+\); save")


@pytest.mark.parametrize("kind", ["text", "npz", "png", "header", "bfloat16"])
def test_a_file_of_another_kind(tmp_path, kind):
    path = tmp_path / "w"
    if kind == "text":
        path.write_text("epoch,loss\n1,0.5\n" * 50)
    elif kind == "npz":
        with path.open("wb") as file:
            np.savez(file, kernel=np.ones((3, 2)))
    elif kind == "png":
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    elif kind == "header":
        path.write_bytes((10).to_bytes(8, "little") + b'{"a": 123}')
    else:
        header = b'{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
        path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    refused(network(), path, "w is no safetensors file, or it is damaged")


# Files that cannot be written


def test_a_place_that_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("a file")
    for path in (tmp_path / "file" / "w", tmp_path / "missing" / "w"):
        with pytest.raises(OutputError, match=rf"cannot write {re.escape(str(path))}: "):
            network().save_weights(path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "a file"


def test_a_full_disk_leaves_the_old_file(tmp_path):
    resource = pytest.importorskip("resource", reason="limits of POSIX systems")

    randomized(network()).save_weights(tmp_path / "w")
    old = (tmp_path / "w").read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit on the size of files fails as a full disk does, in the midst of writing.
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(old) // 2, before[1]))
    try:
        with pytest.raises(OutputError, match=r"cannot write .*w: "):
            randomized(network()).save_weights(tmp_path / "w")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "w").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


def test_a_save_that_fails_in_any_other_way_leaves_the_old_file(tmp_path, monkeypatch):
    import safetensors.numpy

    randomized(network()).save_weights(tmp_path / "w")
    old = (tmp_path / "w").read_bytes()

    def fail(arrays, path, metadata):
        path.write_bytes(b"half")
        raise MemoryError

    monkeypatch.setattr(safetensors.numpy, "save_file", fail)
    with pytest.raises(MemoryError):
        randomized(network()).save_weights(tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["w"]
