"""The compiled kernels on the processor at hand and on older ones, in processes of their own.

Numba compiles for whichever processor it is told; newer ones run the code of older ones.
"""

import platform

import pytest
from llvmlite import binding

from minicnn.kernels.compiled import tile
from tests.helpers import run_python

X86 = platform.machine().lower() in ("x86_64", "amd64")
AVX2 = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+bmi,+bmi2"}
SSE = {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "+sse4.2"}

needs_x86 = pytest.mark.skipif(not X86, reason="this processor is no x86")


def has(feature):
    """Return whether the processor at hand has a feature, as LLVM calls it."""
    return bool(binding.get_host_cpu_features().get(feature))


def tile_of(dtypes, **environment):
    """Run the comparison and return the bytes of a vector and the rows of the tile."""
    done = run_python(f"from tests.kernels.parity import main; main({dtypes!r})", **environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return tuple(map(int, done.stdout.split()))


def test_on_the_processor_at_hand_nothing_outside_the_arrays_is_touched():
    lane_bytes, rows = tile_of(("float32", "float64"))
    assert lane_bytes in (16, 32, 64)
    if platform.machine().lower() in ("aarch64", "arm64"):
        assert (lane_bytes, rows) == (16, 8)
    if X86:
        expected = (64, 8) if has("avx512f") else (32, 6) if has("avx2") else (16, 6)
        assert (lane_bytes, rows) == expected


@needs_x86
@pytest.mark.skipif(X86 and not has("avx2"), reason="this processor has no AVX2")
def test_with_vectors_of_32_bytes(tmp_path):
    assert tile_of(("float32",), NUMBA_CACHE_DIR=str(tmp_path), **AVX2) == (32, 6)


@needs_x86
@pytest.mark.slow
@pytest.mark.parametrize("features", [AVX2, SSE], ids=["avx2", "sse"])
def test_with_older_vectors_and_both_types(features, tmp_path):
    if features is AVX2 and not has("avx2"):
        pytest.skip("this processor has no AVX2")
    expected = {id(AVX2): (32, 6), id(SSE): (16, 6)}[id(features)]
    found = tile_of(("float32", "float64"), NUMBA_CACHE_DIR=str(tmp_path), **features)
    assert found == expected


@pytest.mark.parametrize(("machine", "expected"), [("arm64", (16, 8)), ("x86_64", (16, 6))])
def test_where_llvm_cannot_tell_the_processors_features(machine, expected, monkeypatch):
    def unknown():
        raise RuntimeError("failed to get host cpu features.")

    monkeypatch.setattr(binding, "get_host_cpu_features", unknown)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert tile._registers() == expected
