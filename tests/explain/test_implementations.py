"""The same map in all backends: complete, from the files as they are, and safe in a page."""

import html
import re
import sys

import pytest

import minicnn as mc
from minicnn.errors import ArgumentError
from minicnn.explain import implementations
from minicnn.kernels import MAPS, MODULES
from tests.helpers import ROOT


def steps(name):
    """The backends that show a map: a convolution has two steps in Numba."""
    return ["loops", "numpy", *["numba"] * (1 + (name == "conv2d")), "cupy"]


def test_the_steps_from_the_definition_to_the_gpu():
    found = [
        [(f.name, f.place.split(",")[0].removeprefix("minicnn/kernels/")) for f in part.functions]
        for part in implementations("conv2d").backends
    ]
    assert found[0] == [("conv2d", "loops.py")]
    assert found[1][0] == ("conv2d", "vectorized.py")
    assert found[2:] == [
        [("conv2d", "compiled/plain.py"), ("_conv2d", "compiled/plain.py")],
        [("micro_kernel", "compiled/microkernel.py")],
        [("conv2d", "cuda/conv2d.cu"), ("conv2d", "cuda/plain.py")],
    ]
    # One line is the same from the definition to compiled loops.
    line = "y[n, oh, ow, f] += x[n, h, w, first + c] * kernel[i, j, c, f]"
    shown = [part.functions[-1].source for part in implementations("conv2d").backends]
    assert [line in source for source in shown] == [True, False, True, False, False]


@pytest.mark.parametrize("name", MAPS)
def test_every_map_is_shown_in_every_backend_as_it_stands_in_its_file(name):
    found = implementations(name)
    assert [part.backend for part in found.backends] == steps(name)
    for part in found.backends:
        assert part.functions[0].name in (name, "micro_kernel")
        for function in part.functions:
            path, line = re.fullmatch(
                r"(minicnn/\S+\.(?:py|cu)), line (\d+)", function.place
            ).groups()
            text = (ROOT / path).read_text(encoding="utf-8")
            assert function.source in text
            assert text.splitlines()[int(line) - 1] == function.source.splitlines()[0]
            word = "void" if path.endswith(".cu") else "def"
            assert f"{word} {function.name}(" in function.source
            assert function.source in str(found)
        assert f"# {part.backend}: {part.about}" in str(found)
        assert part.about


def test_cuda_text_stands_before_what_launches_it():
    text, launch, *_ = implementations("average_pool2d").backends[3].functions
    assert text.source.startswith("//")
    assert text.source.endswith("\n}")
    assert "__global__" in text.source
    assert 'kernels.over("average_pool2d"' in launch.source


def helpers(name, backend):
    return [
        f.name for p in implementations(name).backends if p.backend == backend for f in p.functions
    ]


def test_short_helpers_are_shown_and_long_ones_named():
    assert helpers("conv2d", "loops") == ["conv2d"]
    assert "shifted" in helpers("max_pool2d", "numpy")
    # The compiled loop itself, behind Numba's object.
    assert "_resize2d" in helpers("resize2d", "numba")
    parts = implementations("conv2d").backends
    assert "add_outer_product (minicnn/kernels/compiled/tile.py)" in parts[3].others
    assert max(f.source.count("\n") for part in parts for f in part.functions) < 30


@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("cross_correlate2d", "conv2d"),
        ("convolve2d", "conv2d"),
        ("conv2d_transpose", "conv2d_input_gradient"),
        ("upsample2d", "resize2d"),
    ],
)
def test_operations_lead_to_their_kernels_with_a_sentence(name, kernel):
    found = mc.explain.implementations(getattr(mc, name))
    assert found == implementations(name)
    shown = {part.functions[0].name for part in found.backends}
    assert shown - {"micro_kernel"} == {kernel}
    assert name in found.note
    assert str(found).startswith(f"# {found.note}")
    assert implementations(kernel).note == ""


def test_the_page_shows_the_source_as_text():
    found = implementations("conv2d")
    page = found.html()
    blocks = re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", page, re.S)
    sources = [f.source for part in found.backends for f in part.functions]
    assert [html.unescape(block) for block in blocks] == sources
    assert any("<" in source for source in sources)
    assert not any("<" in block for block in blocks)
    assert page.count("<section>") == len(steps("conv2d"))
    assert found._repr_html_() in page
    assert "http" not in page


def test_what_is_no_map_is_refused():
    with pytest.raises(ArgumentError, match=r"op='conv3d' is not known; .*did you mean 'conv2d'"):
        implementations("conv3d")
    with pytest.raises(ArgumentError, match=r"implementations: op='reshape' is not known"):
        implementations(mc.ops.reshape)


def test_a_backend_that_cannot_be_imported_is_told(monkeypatch):
    room = sys.modules["minicnn.explain.implementations"]
    monkeypatch.setattr(room, "MODULES", {"loops": MODULES["loops"], "cupy": "minicnn.nowhere"})
    loops, broken = implementations("conv2d").backends
    assert loops.functions
    assert (broken.functions, broken.others) == ((), ())
    assert "cannot be shown here: No module named 'minicnn.nowhere'" in str(broken)
