import json

import numpy as np
import pytest

import minicnn
from minicnn import Variable, config, layers
from minicnn.errors import ArgumentError
from tests.helpers import run_python


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    """Give each test settings of its own."""
    monkeypatch.setattr(config, "_settings", dict(config._settings))


def drawn(count=5):
    return config.random_generator().integers(1_000_000, size=count).tolist()


# Float type.


def test_floatx_is_float32_until_changed():
    assert config.floatx() == "float32"
    config.set_floatx("FLOAT64")
    assert config.floatx() == "float64"
    assert Variable(0.5).dtype == np.float64


def test_use_floatx_ends_with_its_block():
    with config.use_floatx("float64"):
        with config.use_floatx("float32"):
            assert config.floatx() == "float32"
        assert config.floatx() == "float64"
    assert config.floatx() == "float32"
    with pytest.raises(KeyError), config.use_floatx("float64"):
        raise KeyError
    assert config.floatx() == "float32"


@pytest.mark.parametrize("value", ["float16", "int32", None, 64])
def test_other_float_types_are_refused(value):
    with pytest.raises(ArgumentError) as caught:
        config.set_floatx(value)
    assert f"set_floatx: dtype={value!r} is not known" in str(caught.value)
    assert "'float32', 'float64'" in str(caught.value)
    with pytest.raises(ArgumentError), config.use_floatx(value):
        pass
    assert config.floatx() == "float32"


# Backend.


def test_use_backend_ends_with_its_block():
    config.set_backend("NumPy")
    with config.use_backend("loops"):
        assert config.backend() == "loops"
    assert config.backend() == "numpy"
    with pytest.raises(KeyError), config.use_backend("loops"):
        raise KeyError
    assert config.backend() == "numpy"


def test_unknown_backends_are_refused():
    config.set_backend("loops")
    with pytest.raises(ArgumentError, match=r"name='numpi' .*did you mean 'numpy'\? .*'auto', "):
        config.set_backend("numpi")
    assert config.backend() == "loops"


@pytest.mark.parametrize(("value", "expected"), [("loops", "loops"), ("NumPy", "numpy")])
def test_the_environment_chooses_the_backend(value, expected):
    done = run_python("from minicnn import config; print(config.backend())", MINICNN_BACKEND=value)
    assert (done.stdout.strip(), done.stderr) == (expected, "")


def test_the_backend_is_auto_without_a_choice():
    assert run_python("from minicnn import config; print(config.backend())").stdout == "auto\n"


def test_a_wrong_backend_in_the_environment_is_named():
    done = run_python("import minicnn; minicnn.config.backend()", MINICNN_BACKEND="cuda")
    assert "MINICNN_BACKEND: value='cuda' is not known; did you mean 'cupy'? Choose" in done.stderr


# Random numbers.


def test_a_seed_repeats_the_random_numbers():
    config.set_random_seed(7)
    first = drawn()
    assert drawn() != first
    config.set_random_seed(np.int64(7))
    assert drawn() == first
    config.set_random_seed(8)
    assert drawn() != first


def test_a_seed_gives_numpys_numbers():
    config.set_random_seed(2024)
    assert drawn() == np.random.default_rng(2024).integers(1_000_000, size=5).tolist()


def test_without_a_seed_every_process_differs():
    code = "from minicnn import config; print(config.random_generator().integers(10**12))"
    assert run_python(code).stdout != run_python(code).stdout


def test_the_random_state_survives_a_json_file():
    config.set_random_seed(3)
    config.random_generator().normal(size=7)
    state = json.loads(json.dumps(config.random_state()))
    expected = drawn()
    drawn(100)
    config.restore_random_state(state)
    assert drawn() == expected
    config.set_random_seed(99)  # a new generator takes the state as well
    config.restore_random_state(state)
    assert drawn() == expected


def test_the_random_state_is_a_copy():
    config.set_random_seed(3)
    state = config.random_state()
    before = json.dumps(state)
    drawn()
    assert json.dumps(state) == before


@pytest.mark.parametrize("seed", [-1, 1.5, True, "7", None])
def test_other_seeds_are_refused(seed):
    config.set_random_seed(3)
    state = config.random_state()
    with pytest.raises(ArgumentError, match=f"seed={seed!r}, but it must be an integer >= 0"):
        config.set_random_seed(seed)
    assert config.random_state() == state


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda kind: layers.Dense(2, dtype=kind, name="first"), r"Dense 'first': dtype="),
        (lambda kind: layers.Conv2D(2, 3, dtype=kind), r"Conv2D 'conv2d\w*': dtype="),
        (lambda kind: layers.Input((3, 5), dtype=kind), "InputLayer .*: dtype="),
        (lambda kind: minicnn.Variable([1.0], dtype=kind), "Tensor: dtype="),
        (lambda kind: minicnn.cast([1.0], kind), "cast: dtype="),
        (lambda kind: minicnn.zeros((3, 2), kind), "zeros: dtype="),
        (lambda kind: minicnn.ones_like([1.0], kind), "ones_like: dtype="),
        (lambda kind: minicnn.one_hot([1], 3, dtype=kind), "one_hot: dtype="),
    ],
)
def test_types_that_are_not_there_are_named_with_the_way_out(make, told):
    for kind in ("mixed_float16", "bfloat16", "mixed_bfloat16"):
        with pytest.raises(ArgumentError, match=rf"{told}'{kind}' .*leave dtype out for 'float32'"):
            make(kind)
    with pytest.raises(ArgumentError, match=rf"{told}'flot32' .*such as 'float32' \(default\)"):
        make("flot32")
    make("float64")
