"""Keras' HDF5 files of weights: both arrangements, and files that do not fit."""

from pathlib import Path

import numpy as np
import pytest

from minicnn import Input, Model, Sequential, layers
from minicnn.errors import ArgumentError, OutputError, WeightsError
from minicnn.saving.keras_weights import keras_paths

h5py = pytest.importorskip("h5py", reason="not installed: Python 3.15 has no wheel yet")

ORACLES = Path(__file__).resolve().parents[1] / "oracles"
rng = np.random.default_rng(29)


class Subclass(Model):
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


def chain(names=("conv", "norm", "flat", "out"), units=2):
    return Sequential(
        [
            Input((5, 7, 2)),
            layers.Conv2D(3, (3, 2), name=names[0]),
            layers.BatchNormalization(name=names[1]),
            layers.Flatten(name=names[2]),
            layers.Dense(units, name=names[3]),
        ]
    )


def stored(name):
    return np.load(ORACLES / "keras_models.npz")[name]


def test_weights_of_a_subclass_that_keras_saved():
    model = Subclass()
    model(stored("subclass/x"))
    model.load_weights(ORACLES / "keras_subclass.weights.h5")
    found = model.predict(stored("subclass/x"), verbose=0)
    np.testing.assert_allclose(found, stored("subclass/predicted"), rtol=1e-5)


@pytest.mark.parametrize("name", ["keras_older.h5", "keras_older_model.h5"])
@pytest.mark.parametrize("by_name", [False, True])
def test_weights_in_the_older_arrangement(name, by_name):
    model = chain()
    model.load_weights(ORACLES / name, by_name=by_name)
    found = model.predict(stored("older/x"), verbose=0)
    np.testing.assert_allclose(found, stored("older/predicted"), rtol=1e-5)


def test_layers_in_order_or_by_name():
    model = chain(names=("a", "b", "c", "d"))
    model.load_weights(ORACLES / "keras_older.h5")
    found = model.predict(stored("older/x"), verbose=0)
    np.testing.assert_allclose(found, stored("older/predicted"), rtol=1e-5)
    model = chain(names=("conv", "b", "c", "d"))
    before = model.get_weights()
    model.load_weights(ORACLES / "keras_older.h5", by_name=True)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [True, True] + [False] * 6


def test_weights_come_back_from_keras_arrangement(tmp_path):
    model, other = chain(), chain(names=("a", "b", "c", "d"))
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.weights])
    model.save_weights(tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5") as file:
        assert file["layers/conv2d/vars/0"].shape == (3, 2, 2, 3)
        assert file["layers/batch_normalization/vars"].attrs["name"] == "norm"
    other.load_weights(tmp_path / "w.weights.h5")
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(OutputError, match="it exists, and overwrite=False"):
        model.save_weights(tmp_path / "w.weights.h5", overwrite=False)
    with pytest.raises(ArgumentError, match="has no weights yet"):
        Sequential([layers.Dense(2)]).save_weights(tmp_path / "v.weights.h5")


def test_paths_are_those_of_keras():
    inner = Sequential([layers.Dense(4, input_shape=(3,)), layers.Dense(2)], name="any")
    x = Input((3,))
    shared = layers.Dense(3, name="twice")
    model = Model(x, inner(shared(shared(x))))
    kinds = [f"sequential/layers/{name}" for name in ("dense", "dense_1")]
    expected = [f"layers/{kind}/vars/{i}" for kind in ["dense", *kinds] for i in (0, 1)]
    assert list(keras_paths(model)) == expected


def refused(model, path, told, **options):
    before = model.get_weights()
    with pytest.raises(WeightsError, match=told):
        model.load_weights(path, **options)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_files_of_other_networks(tmp_path):
    older = ORACLES / "keras_older.h5"
    refused(chain(units=3), older, r"out/0 has shape \(54, 2\) instead of \(54, 3\)")
    short = Sequential([layers.Dense(2, input_shape=(4,), name="end")])
    refused(short, older, r"weights of 3 layers \(conv, norm, out\), but .* has 1 .*\(end\)")
    chain().save_weights(tmp_path / "w.weights.h5")
    refused(short, tmp_path / "w.weights.h5", "unexpected layers/conv2d/vars/0")
    refused(chain(), tmp_path / "w.weights.h5", "by_name is for files of the older", by_name=True)
    chain().save_weights(tmp_path / "w")
    with pytest.raises(ArgumentError, match="by_name=True, which is for older HDF5 files"):
        chain().load_weights(tmp_path / "w", by_name=True)


def test_what_does_not_fit_can_be_left_out(tmp_path):
    model = chain(units=3)
    for path in (ORACLES / "keras_older.h5", tmp_path / "w.weights.h5", tmp_path / "w"):
        if path.parent == tmp_path:
            chain().save_weights(path)
        before = model.get_weights()
        with pytest.warns(UserWarning, match="left out .*: no match"):
            model.load_weights(path, skip_mismatch=True)
        after = model.get_weights()
        assert not np.array_equal(before[0], after[0])
        np.testing.assert_array_equal(before[-2], after[-2])


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.95])
@pytest.mark.parametrize("name", ["keras_older.h5", "keras_subclass.weights.h5"])
def test_a_damaged_file(tmp_path, name, kept):
    whole = (ORACLES / name).read_bytes()
    path = tmp_path / "w.h5"
    path.write_bytes(whole[: int(kept * len(whole))])
    model = chain() if "older" in name else Subclass()
    model(np.ones((1, 5, 7, 2)) if "older" in name else np.ones((1, 4)))
    refused(model, path, "w.h5 is no HDF5 file of weights, or it is damaged")


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "w.h5").write_text("epoch,loss\n")
    refused(chain(), tmp_path / "w.h5", "is no HDF5 file of weights, or it is damaged")
    refused(chain(), tmp_path / "none.h5", "there is no weights file")
