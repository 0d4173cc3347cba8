"""The interpreter of CUDA text itself: small bad kernels that it must catch, and good ones."""

import numpy as np
import pytest

from tests.cuda.simulator import cpu_module
from tests.cuda.simulator.cpu_module import CpuModule, KernelError, thread_order
from tests.cuda.simulator.sanitizer import sanitized

pytestmark = pytest.mark.skipif(bool(cpu_module.missing()), reason=str(cpu_module.missing()))

N = 96
HEAD = 'extern "C" __global__ void k('


def run(text, *arguments, grid=(1,), block=(N,), order=0):
    with thread_order(order):
        CpuModule(text).get_function("k")(grid, block, arguments)


def neighbours(barrier):
    """Return a kernel in which each thread reads what another one wrote."""
    return f"""{HEAD}const float* x, float* y) {{
  __shared__ float row[{N}];
  row[threadIdx.x] = x[threadIdx.x];
  {barrier}
  y[threadIdx.x] = row[(threadIdx.x + 1) % {N}] + row[(threadIdx.x + {N - 1}) % {N}];
}}"""


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_a_barrier_makes_all_orders_equal(order):
    x, y = np.arange(N, dtype="f4"), np.full(N, -1, "f4")
    run(neighbours("__syncthreads();"), x, y, order=order)
    np.testing.assert_array_equal(y, np.roll(x, 1) + np.roll(x, -1))


@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_missing_barrier_shows_as_nan(order):
    x, y = np.arange(N, dtype="f4"), np.zeros(N, "f4")
    run(neighbours(""), x, y, order=order)
    assert np.isnan(y).any()


def test_shared_memory_is_nan_at_the_start_of_each_block():
    text = f"""{HEAD}float* y) {{
  __shared__ float total;
  if (blockIdx.x == 0 && threadIdx.x == 0) total = 7;
  __syncthreads();
  y[blockIdx.x * blockDim.x + threadIdx.x] = total;
}}"""
    y = np.zeros((2, 32), "f4")
    run(text, y, grid=(2,), block=(32,))
    assert (y[0] == 7).all()
    assert np.isnan(y[1]).all()


def test_fibers_of_other_processors():
    x, y = np.arange(N, dtype="f4"), np.full(N, -1, "f4")
    with cpu_module.compiler_flags("-DPORTABLE_FIBERS"):
        run(neighbours("__syncthreads();"), x, y, order=3)
    np.testing.assert_array_equal(y, np.roll(x, 1) + np.roll(x, -1))


def test_a_race_shows_in_another_order():
    text = HEAD + "int* y) { y[0] = threadIdx.x; }"  # the last one to write wins
    winners = set()
    for order in (0, 1, 2):
        y = np.zeros(1, "i4")
        run(text, y, order=order)
        winners.add(int(y[0]))
    assert len(winners) == 3
    text = HEAD + "int* y) { y[0] = blockIdx.x; }"  # the same among blocks
    winners = set()
    for order in (0, 1, 2):
        y = np.zeros(1, "i4")
        run(text, y, grid=(50,), order=order)
        winners.add(int(y[0]))
    assert len(winners) == 3


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            "if (threadIdx.x < 40)\n    __syncthreads();",
            "40 of 96 threads wait at the barrier in line 2, 56 have ended, 0 wait elsewhere",
        ),
        (
            "if (threadIdx.x >= 90) return;\n  __syncthreads();",
            "90 of 96 threads wait at the barrier in line 2, 6 have ended",
        ),
        (
            "if (threadIdx.x < 40)\n    __syncthreads();\n  else\n    __syncthreads();",
            "threads wait at different barriers, in lines 2 and 4",
        ),
        (
            "float s[4] = {}; unsigned a[4] = {}, b[2] = {};\n"
            "  if (threadIdx.x != 5) mma_m16n8k8(s, a, b);",
            "a warp acts together, but not all of its threads are there",
        ),
    ],
)
def test_barriers_that_not_all_threads_reach_are_told(body, told):
    with pytest.raises(KernelError) as caught:
        run(f"{HEAD}int* y) {{ {body} }}", np.zeros(1, "i4"))
    assert str(caught.value).startswith("k: ")
    assert told in str(caught.value)
    # Threads that were left in the middle of a kernel do not disturb the next one.
    x, y = np.arange(N, dtype="f4"), np.full(N, -1, "f4")
    run(neighbours("__syncthreads();"), x, y)
    assert not np.isnan(y).any()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([np.zeros(3, "f4")], "the kernel takes 3 arguments, not 1"),
        ([np.zeros(3, "f8"), np.int32(3), np.array((1, 2), "i4,i4")], "argument 0 is f8*"),
        (
            [np.zeros(3, "i4"), np.int32(3), np.array((1, 2), "i4,i4")],
            "but the kernel declares f4*",
        ),
        ([np.zeros(3, "f4"), 3, np.array((1, 2), "i4,i4")], "argument 1 is i8"),
        ([np.zeros(3, "f4"), np.float32(3), np.array((1, 2), "i4,i4")], "argument 1 is f4"),
        ([np.zeros(3, "f4"), np.int32(3), np.array((1, 2, 3), "i4,i4,i4")], "declares V8"),
    ],
)
def test_arguments_of_the_wrong_number_kind_or_size_are_told(arguments, told):
    text = f"struct Pair {{ int a, b; }};\n{HEAD}const float* x, int n, Pair pair) {{ }}"
    run(text, np.zeros(3, "f4"), np.int32(3), np.array((1, 2), "i4,i4"))
    run(text, None, np.int32(3), np.array((1, 2), "i4,i4"))
    with pytest.raises(KernelError) as caught:
        run(text, *arguments)
    assert told in str(caught.value)


@pytest.mark.parametrize(("grid", "block"), [((1,), (1025,)), ((1, 65536), (1,)), ((1,), (0,))])
def test_launches_that_no_card_takes_are_told(grid, block):
    with pytest.raises(KernelError, match="no launch has a grid"):
        run(HEAD + "int* y) { }", np.zeros(1, "i4"), grid=grid, block=block)


def test_blocks_and_threads_have_three_axes():
    text = f"""{HEAD}int* y) {{
  int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  y[block * 24 + thread] += thread + 1;
}}"""
    y = np.zeros((3 * 2 * 5, 24), "i4")
    run(text, y, grid=(3, 2, 5), block=(2, 3, 4), order=4)
    assert (y == np.arange(24) + 1).all()


def test_tensor_cores_multiply_as_matrices():
    text = f"""{HEAD}const float* a, const float* b, float* c) {{
  unsigned left[4], right[2];
  int row = threadIdx.x / 4, mine = threadIdx.x % 4;
  for (int e = 0; e < 4; ++e)
    left[e] = rounded_to_tf32(a[(row + 8 * (e % 2)) * 8 + mine + e / 2 * 4]);
  for (int e = 0; e < 2; ++e) right[e] = rounded_to_tf32(b[(mine + 4 * e) * 8 + row]);
  float sums[4] = {{}};
  mma_m16n8k8(sums, left, right);
  for (int e = 0; e < 4; ++e) c[(row + e / 2 * 8) * 8 + 2 * mine + e % 2] = sums[e];
}}"""
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-9, 10, shape).astype("f4") for shape in ((16, 8), (8, 8)))
    c = np.zeros((16, 8), "f4")
    run(text, a, b, c, block=(32,), order=3)
    np.testing.assert_array_equal(c, a @ b)
    assert not np.array_equal(c, a @ b.T)


def test_text_that_is_no_cuda_is_refused_with_its_line():
    with pytest.raises(cpu_module.CompileError, match=r"kernel\.cu:2:"):
        CpuModule(HEAD + "int* y) {\n  y[0] = nothing;\n}")


SANITIZED = """
import ctypes, sys
import numpy as np
from tests.cuda.simulator.cpu_module import SANITIZER, CpuModule, compiler_flags

with compiler_flags(*SANITIZER):
    module = CpuModule('extern "C" __global__ void k(const float* x, float* y, int n) {\\n'
                       '  y[threadIdx.x] = x[threadIdx.x + n];\\n}')
x, y = np.zeros(64, "f4"), np.zeros(64, "f4")
module.get_function("k")((1,), (64,), (x, y, np.int32(sys.argv[1])))
print("done")
"""


@pytest.mark.parametrize("past", [0, 1])
def test_a_read_past_the_end_is_found_with_its_line(past):
    done = sanitized(SANITIZED, past)
    if past:
        assert done.returncode != 0
        assert "heap-buffer-overflow" in done.stderr
        assert "kernel.cu:2" in done.stderr
    else:
        assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
