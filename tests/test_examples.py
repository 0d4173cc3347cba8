"""The examples run, on rendered cells."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from minicnn.datasets import save_rendered_cells
from tests.helpers import ROOT


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_malaria_table_prints_a_row_for_each_method(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_rendered_cells(tmp_path / "cells", 24, slides=6)
    options = ["--data", str(tmp_path / "cells"), "--output", str(tmp_path / "runs")]
    load("examples/malaria_table").main([*options, "--epochs", "1", "--limit", "9"])
    rows = re.findall(r"^\| ([^|]+) \|(.*)\|$", capsys.readouterr().out, re.MULTILINE)
    names = [name for name, _ in rows]
    assert names[:4] == ["noisy image", "best Gaussian filter", "median filter", "raw pixels"]
    assert names[5:] == ["standard", "standard, noise 0.25", "faithful", "denoiser", "chance"]
    noisy, gaussian = (list(map(float, re.findall(r"\d+\.\d", rows[i][1]))) for i in (0, 1))
    assert gaussian[1] > noisy[1] > 13  # any smoothing helps at noise 0.2


def test_the_twin_in_pytorch_has_the_same_losses() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    twin = load("tests/benchmarks/torch_twin")
    assert twin.main(["--steps", "12", "--limit", "1e-5"]) == 0
    assert twin.main(["--steps", "12", "--dtype", "float64", "--limit", "1e-12"]) == 0
