"""Every kernel on odd shapes, where a read or write outside of an array ends the program."""

import pytest

from tests.cuda.simulator import cpu_module
from tests.cuda.simulator.sanitizer import sanitized

pytestmark = pytest.mark.skipif(bool(cpu_module.missing()), reason=str(cpu_module.missing()))

RUN = "import sys; from tests.cuda.simulator.every_kernel import main; main(sys.argv[1])"

#: One kernel that reads a pixel too far, to see that the arrays of the stand-in are watched.
TOO_FAR = """
from tests.cuda.simulator import every_kernel
from minicnn.kernels.cuda import device

source = device.source
device.source = lambda *files: source(*files).replace("w < width", "w <= width")
every_kernel.main("plain")
"""


@pytest.mark.slow
@pytest.mark.parametrize("which", ["plain", "float32", "float64", "3xtf32"])
def test_no_kernel_leaves_its_arrays(which):
    done = sanitized(RUN, which)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@pytest.mark.slow
def test_a_kernel_that_leaves_an_array_is_found():
    done = sanitized(TOO_FAR)
    assert done.returncode != 0
    assert "AddressSanitizer" in done.stderr
    assert ".cu:" in done.stderr
